"""A scenario is read as the design page writes it, and what is wrong is refused where it stands."""

from pathlib import Path

import pytest
import yaml

from iris.core.ids import Zone
from iris.core.instant import DAY, HOUR, MINUTE, SECOND, Instant, Millis
from iris.core.spec import Band, Constraint, ConstraintOp
from sim.dice import Constant, Dice, Exponential, Lognormal
from sim.model import Arrivals, Bulk, Checkpoint, Fault, FaultKind, TraceUnit, UserFailures
from sim.workload import arrivals
from tests.sim.scenario_texts import DESIGN, SMALL, Desk, bent, entry

TEN_MINUTES = Millis(10 * MINUTE)
FIVE = Instant(5 * MINUTE)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def design(desk: Desk) -> Desk:
    (desk.folder / "data" / "zone_b.csv").write_text("t_s,capacity\n0,18\n3600,32\n")
    desk.put("jobs.swf", "; log\n1 0 -1 60 16 -1 -1 -1\n2 5 -1 30 4 -1 -1 -1\n")
    return desk


def test_the_scenario_of_the_design_page_loads(design: Desk) -> None:
    scenario = design.load(DESIGN)
    assert (scenario.name, scenario.seed, scenario.duration) == ("preemption", 7, 3 * DAY)
    assert [group.name for group in scenario.cluster.groups] == ["tpu_v5e_16", "cpu"]
    assert scenario.cluster.groups[0].price_per_hour == 9_600_000
    assert scenario.cluster.autoscaler.idle_timeout == 10 * MINUTE
    train, etl = scenario.workload
    assert train.arrivals == Arrivals(poisson_mean=HOUR / 2)
    assert (train.count, train.run_time) == (40, Lognormal(3 * HOUR, 0.8))
    assert train.template.checkpoint == Checkpoint(every=TEN_MINUTES, restore=Millis(2 * MINUTE))
    assert (train.template.accelerator, train.template.chips) == ("v5litepod-16", 4)
    assert (train.template.cpu_milli, train.template.memory) == (8_000, 32 * 10**9)
    assert (train.template.user, train.template.coscheduled) == ("alice", True)
    assert etl.template.band is Band.BATCH
    assert etl.trace is not None
    assert etl.trace.unit is TraceUnit.CPU
    jobs = [job for job in arrivals(scenario, Dice(7)) if job.template.entry == "etl"]
    assert [job.template.cpu_milli for job in jobs] == [16_000, 4_000]


def test_the_cloud_and_faults_of_the_design_page_are_read(design: Desk) -> None:
    scenario = design.load(DESIGN)
    cloud = scenario.cloud
    assert cloud.boot == Lognormal(150 * SECOND, 0.5)
    assert (cloud.lifetime, cloud.lifetime_max) == (Exponential(Millis(6 * HOUR)), None)
    assert (cloud.bulk, cloud.notice) == (Bulk(2.1, 6), 30 * SECOND)
    assert cloud.create_failures.internal == 0.01
    assert dict(cloud.capacity) == {
        "us-central1-a": ((0, 4), (20 * HOUR, 1), (30 * HOUR, 4)),
        "us-central1-b": ((0, 2), (HOUR, 3)),
    }
    outage, kill = scenario.faults
    assert outage == Fault(
        at=Instant(10 * HOUR),
        kind=FaultKind.ZONE_OUTAGE,
        zone=Zone("us-central1-a"),
        duration=Millis(30 * MINUTE),
    )
    assert (kill.kind, kill.slice, kill.duration) == (FaultKind.KILL_WORKER, "any", None)
    assert [one.text for one in scenario.expect][1] == "queue_wait_s.p95 < 7200"


def test_a_scenario_that_says_little_gets_the_defaults(desk: Desk) -> None:
    scenario = desk.load()
    assert (scenario.name, scenario.seed, scenario.duration) == ("s", 0, None)
    template = scenario.workload[0].template
    assert (template.user, template.band, template.replicas) == ("user", Band.INTERACTIVE, 1)
    assert (template.cpu_milli, template.memory) == (1_000, 1 << 30)
    assert scenario.workload[0].run_time == Constant(HOUR)
    assert scenario.cloud.boot == Constant(Millis(0))
    assert scenario.faults == ()


def test_the_cluster_may_be_a_file_beside_the_scenario(desk: Desk) -> None:
    cluster = yaml.safe_load(SMALL)["cluster"]
    desk.put("cluster.yaml", yaml.safe_dump(cluster, sort_keys=False))
    assert desk.small(cluster="cluster.yaml").cluster == desk.load().cluster


def test_a_wrong_key_of_the_clusters_file_is_told_in_that_file(desk: Desk) -> None:
    path = desk.put("c.yaml", "scale_groups:\n  g:\n    accelerator_tipe: cpu\n    max_slices: 1\n")
    problems = desk.refused(bent(cluster="c.yaml"))
    unknown = next(one for one in problems if "unknown key" in one.message)
    assert (unknown.file, unknown.line, unknown.column) == (str(path), 3, 5)
    assert unknown.help == "did you mean `accelerator_type`?"


def test_a_clusters_file_that_is_not_there_is_told(desk: Desk) -> None:
    problem = desk.refused_small(cluster="none.yaml")
    assert "none.yaml" in problem.message
    assert "relative to the scenario" in problem.help


def test_nothing_to_do_is_a_right_scenario(desk: Desk) -> None:
    assert desk.small(workload=[]).workload == ()
    nothing = desk.small(workload=entry(arrivals={"poisson": {"rate": "1/s"}}, count=0))
    assert list(arrivals(nothing, Dice(0))) == []


@pytest.mark.parametrize(
    ("when", "meaning"),
    [
        ({"poisson": {"rate": "2/h"}}, Arrivals(poisson_mean=1_800_000.0)),
        ({"poisson": {"rate": "0.5 / s"}}, Arrivals(poisson_mean=2_000.0)),
        ({"poisson": {"rate": "3/m"}}, Arrivals(poisson_mean=20_000.0)),
        ({"poisson": {"rate": "24/d"}}, Arrivals(poisson_mean=3_600_000.0)),
        ({"every": "90s"}, Arrivals(every=Millis(90 * SECOND))),
        ({"at": ["5m", 0, "1h"]}, Arrivals(at=(Instant(0), FIVE, Instant(HOUR)))),
        ({"at": "5m"}, Arrivals(at=(FIVE,) * 3)),
    ],
    ids=str,
)
def test_arrivals_are_told_in_three_ways(
    desk: Desk, when: dict[str, object], meaning: Arrivals
) -> None:
    assert desk.small(workload=entry(arrivals=when)).workload[0].arrivals == meaning


def test_what_an_entry_says_of_its_jobs_is_read(desk: Desk) -> None:
    keys = {
        "constraints": [
            {"key": "zone", "values": ["zone-a"], "soft": True},
            {"key": "disk", "op": "exists"},
        ],
        "max_retries_failure": 2,
        "max_retries_preemption": 0,
        "scheduling_timeout": "2h",
        "timeout": "3h",
        "launch": "10s",
        "checkpoint": {"every": "10m", "cost": "5s", "on_notice": "20s"},
        "failures": {"probability": 0.1, "at": "1m", "out_of_memory": 0.5},
        "resources": {"cpu": "500m", "memory": "1GiB", "disk": "2GB", "gpu": "v100:4"},
        "band": "production",
    }
    template = desk.small(workload=entry(**keys)).workload[0].template
    assert template.constraints == (
        Constraint("zone", ConstraintOp.IN, ("zone-a",), soft=True),
        Constraint("disk", ConstraintOp.EXISTS),
    )
    assert (template.max_retries_failure, template.max_retries_preemption) == (2, 0)
    assert (template.scheduling_timeout, template.timeout) == (2 * HOUR, 3 * HOUR)
    assert template.launch == Constant(Millis(10 * SECOND))
    assert template.checkpoint == Checkpoint(
        TEN_MINUTES, Millis(0), Millis(5 * SECOND), Millis(20 * SECOND)
    )
    assert template.failures == UserFailures(0.1, Constant(MINUTE), 0.5)
    assert (template.cpu_milli, template.memory, template.disk) == (500, 2**30, 2 * 10**9)
    assert (template.accelerator, template.chips) == ("V100", 4)
    assert template.band is Band.PRODUCTION


def test_overrides_reach_entries_by_name_and_the_cluster_without_its_prefix(desk: Desk) -> None:
    scenario = desk.load(
        SMALL,
        "workload.train.count=5",
        "workload.0.run_time={exponential: {mean: 2h}}",
        "scale_groups.cpu.max_slices=9",
        "cluster.scheduler.order=fifo",
        "cloud.notice=45s",
        "seed=3",
    )
    assert scenario.workload[0].count == 5
    assert scenario.workload[0].run_time == Exponential(Millis(2 * HOUR))
    assert scenario.cluster.groups[2].max_slices == 9
    assert scenario.cluster.scheduler.order.value == "fifo"
    assert (scenario.cloud.notice, scenario.seed) == (45 * SECOND, 3)


def test_an_override_may_name_another_cluster_and_then_change_it(desk: Desk) -> None:
    desk.put("c.yaml", "scale_groups: {other: {accelerator_type: cpu, max_slices: 1}}")
    scenario = desk.load(SMALL, "scale_groups.other.max_slices=7", "cluster=c.yaml")
    assert [(group.name, group.max_slices) for group in scenario.cluster.groups] == [("other", 7)]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("workload.train.count", "is no override"),
        ("=5", "is no override"),
        ("workload.trian.count=5", "no workload entry is called `trian`"),
        ("workload.train.cuont=5", "unknown key `workload.0.cuont`"),
        ("workload.train.count=-1", "-1 is out of range"),
        ("workload.train.run_time=1parsec", "'1parsec' is not a duration"),
        ("cloud.notice=[", "not valid YAML"),
        ("seed.x=1", "no"),
    ],
)
def test_a_wrong_override_is_told(desk: Desk, override: str, message: str) -> None:
    problem = desk.refused(SMALL if "seed" not in override else "seed: 1\n" + SMALL, override)[0]
    assert message in problem.message
    assert problem.file == "--set"


def test_a_seed_given_by_hand_wins(desk: Desk) -> None:
    assert desk.load("seed: 4\n" + SMALL, seed=9).seed == 9
    assert desk.load("seed: 4\n" + SMALL, seed=0).seed == 0
    assert desk.load("seed: 4\n" + SMALL).seed == 4


def test_the_hash_is_of_what_is_said_and_not_of_how_or_with_which_seed(desk: Desk) -> None:
    plain = desk.load().config_hash
    assert desk.load("# a note\nseed: 5\n" + SMALL).config_hash == plain
    assert desk.load(SMALL, "workload.train.count=4").config_hash != plain
    assert desk.load(SMALL, "workload.train.count=3").config_hash == plain
    assert desk.load(SMALL, "scale_groups.cpu.max_slices=5").config_hash != plain


def test_a_problem_tells_file_line_column_key_and_what_would_be_right(desk: Desk) -> None:
    text = SMALL.replace("count: 3", "cuont: 3")
    (problem,) = desk.refused("duration: 1h\n" + text)
    assert problem.file == str(desk.folder / "scenarios" / "s.yaml")
    assert (problem.line, problem.column) == (8, 43)
    assert problem.path == "workload.0.cuont"
    assert problem.help == "did you mean `count`?"


def test_all_problems_are_told_at_once_in_order(desk: Desk) -> None:
    text = bent(
        cloud={"capacity": {"zone-x": 1}, "quota": {"zone-y": 1}},
        workload=entry(resources={"tpu": "v5litepod-17"}),
        expect=["jobs.nothing == 1"],
        faults=[{"at": 0, "kind": "preempt", "zone": "zone-z", "group": "none"}],
    )
    problems = desk.refused(text)
    assert len(problems) == 6
    assert [one.line for one in problems] == sorted(one.line for one in problems)


def test_gangs_of_the_right_size_and_single_tasks_are_accepted(desk: Desk) -> None:
    tpu = {"tpu": "v5litepod-16"}
    gang = desk.small(workload=entry(replicas=4, coscheduled=True, resources=tpu))
    assert gang.workload[0].template.replicas == 4
    assert desk.small(workload=entry(replicas=3, resources=tpu)).workload[0].template.chips == 4
