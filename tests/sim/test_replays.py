"""A journal retold as a run, and its outside world lived through again."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from iris.core.controller import Controller
from iris.core.events import CreateFailure
from iris.core.instant import HOUR, MINUTE, SECOND, Instant
from iris.core.lifecycle import JobState
from iris.core.record import Turn
from iris.core.resources import Resources
from iris.core.snapshot import Snapshot, snapshot
from iris.core.spec import RetentionPolicy
from sim.measure import Measures
from sim.outside import Outside, outside_of, under, until_done
from sim.recorded import measures_of
from sim.recorded_config import changed
from sim.recorded_model import Loss, LossKind
from sim.results import summarize
from sim.resumed import live_again
from sim.run import simulate
from sim.what_if import fidelity
from tests.harness import GIB, cluster, cpu_group, tpu_group
from tests.sim.journals import chronicle_of, lived
from tests.sim.watch import scenario_of

EVENTFUL: Final[dict[str, object]] = {
    "seed": 3,
    "cluster": {
        "scale_groups": {
            "tpu": {
                "accelerator_type": "v5litepod-16",
                "max_slices": 5,
                "preemptible": True,
                "zones": ["zone-a", "zone-b"],
                "price_per_hour": 9.6,
            },
            "cpu": {"accelerator_type": "cpu", "vm": {"cpu": 8}, "min_slices": 1, "max_slices": 4},
        }
    },
    "cloud": {
        "boot": {"lognormal": {"median": "150s", "sigma": 0.5}},
        "lifetime": {"exponential": {"mean": "3h"}},
        "notice": "30s",
        "scarcity": {"exponential": {"mean": "10m"}},
        "capacity": {"zone-a": [["0s", 3], ["4h", 1], ["6h", 3]], "zone-b": [["0s", 1]]},
        "verdict": "20s",
    },
    "workload": [
        {
            "name": "train",
            "arrivals": {"poisson": {"rate": "4/h"}},
            "count": 16,
            "replicas": 4,
            "coscheduled": True,
            "resources": {"cpu": 8, "tpu": "v5litepod-16"},
            "run_time": {"lognormal": {"median": "40m", "sigma": 0.6}},
            "checkpoint": {"every": "10m"},
            "launch": {"uniform": {"min": "5s", "max": "40s"}},
            "failures": {"probability": 0.2},
            "max_retries_failure": 3,
        },
        {
            "name": "urgent",
            "band": "production",
            "arrivals": {"poisson": {"rate": "1/h"}},
            "count": 4,
            "replicas": 4,
            "coscheduled": True,
            "resources": {"cpu": 8, "tpu": "v5litepod-16"},
            "run_time": "20m",
        },
        {
            "name": "etl",
            "arrivals": {"poisson": {"rate": "12/h"}},
            "count": 60,
            "replicas": 2,
            "resources": {"cpu": 3, "memory": "2GB"},
            "run_time": {"exponential": {"mean": "15m"}},
            "failures": {"probability": 0.1, "out_of_memory": 0.5},
            "max_retries_failure": 1,
        },
    ],
    "faults": [
        {"at": "90m", "kind": "kill_worker", "group": "cpu", "slice": "any"},
        {"at": "2h", "kind": "silence_worker", "group": "cpu", "slice": "any", "for": "40s"},
        {"at": "2h30m", "kind": "stall_controller", "for": "50s"},
        {"at": "3h", "kind": "zone_outage", "zone": "zone-a", "for": "5m"},
        {"at": "3h20m", "kind": "stop_job"},
        {"at": "4h", "kind": "edit_config", "set": {"scale_groups.cpu.max_slices": 3}},
    ],
}


@pytest.fixture(scope="module")
def eventful(tmp_path_factory: pytest.TempPathFactory) -> tuple[Measures, list[Turn]]:
    """A run in which much befalls a cluster: what really was, and the journal of it."""
    return lived(scenario_of(tmp_path_factory.mktemp("eventful"), EVENTFUL))


def ends(measures: Measures) -> dict[str, tuple[object, ...]]:
    """What became of each job, and when it first ran."""
    return {name: (job.first_running, job.end, job.state) for name, job in measures.jobs.items()}


def outcomes(measures: Measures) -> dict[str, int]:
    """How many slices came to each end; one with a dead host is lost to some and deleted to others."""
    found: dict[str, int] = {}
    for row in measures.slices.values():
        end = "failed or deleted" if row.outcome in ("failed", "deleted") else row.outcome
        found[end] = found.get(end, 0) + 1
    return found


def split(turns: list[Turn], number: int) -> tuple[Snapshot, list[Turn]]:
    """A snapshot behind so many turns, and the turns after it."""
    copy = Controller()
    for turn in turns[:number]:
        copy.replay(turn)
    return snapshot(copy.state), turns[number:]


# ---- what happened ---------------------------------------------------------------------------------


def test_what_is_retold_is_what_was(eventful: tuple[Measures, list[Turn]]) -> None:
    truth, turns = eventful
    told = measures_of(chronicle_of(turns), "told")
    assert ends(told) == ends(truth)
    assert {state for *_, state in ends(told).values()} > {JobState.SUCCEEDED, JobState.KILLED}
    assert outcomes(told) == outcomes(truth)
    assert {"preempted", "failed or deleted", "stockout"} <= set(outcomes(told))
    real, results = summarize(truth, ()), summarize(told, ())
    same = ("jobs", "attempts", "queue_wait_s", "completion_s", "makespan_s", "turns", "events")
    assert {key: results[key] for key in same} == {key: real[key] for key in same}
    assert results["explanations"] == real["explanations"]
    invariants = results["invariants"]
    assert isinstance(invariants, dict)
    assert invariants["violations"] == []  # The ledger adds up, too.
    assert len(told.samples) > 1_000
    assert max(one.pending_tasks for one in told.samples) > 4


def test_a_record_from_a_snapshot_on_tells_what_was_since(
    eventful: tuple[Measures, list[Turn]],
) -> None:
    truth, turns = eventful
    image, rest = split(turns, len(turns) // 2)
    told = measures_of(chronicle_of(rest, image), "told")
    later = {n: row for n, row in truth.jobs.items() if row.end is None or row.end > image.now}
    assert set(told.jobs) == set(later)
    assert any(row.submit == 0 for row in told.jobs.values())
    for name, row in told.jobs.items():
        assert row.submit == max(0, later[name].submit - image.now)
        assert row.end == Instant((later[name].end or 0) - image.now)
    assert summarize(told, ())["invariants"] != {}
    assert told.violations == []


def test_a_name_that_is_used_again_is_two_jobs() -> None:
    script = cluster(cpu_group(min_slices=1))
    script.ready("cpu")
    for _ in range(2):
        job = script.submit("again")
        script.advance(SECOND).running(job).advance(MINUTE).finish(job)
        script.config(cpu_group(min_slices=1), retention=RetentionPolicy(ended_jobs=0))
        script.advance(2 * HOUR)
    told = measures_of(chronicle_of(script.journal), "told")
    assert list(told.jobs) == ["/alice/again", "/alice/again.2"]
    assert [row.state for row in told.jobs.values()] == [JobState.SUCCEEDED] * 2


# ---- the same again --------------------------------------------------------------------------------


def test_under_its_own_configuration_the_record_happens_again(
    eventful: tuple[Measures, list[Turn]],
) -> None:
    _, turns = eventful
    chronicle = chronicle_of(turns)
    told = measures_of(chronicle, "told")
    outside = outside_of(chronicle, "again")
    again = live_again(outside, outside.scenario)
    assert ends(again) == ends(told)
    assert outcomes(again) == outcomes(told)
    closeness = fidelity(told, again)
    assert (closeness["jobs"], closeness["same_end"]) == (80, 80)
    kinds = {one.kind for one in outside.scenario.happenings if isinstance(one, Loss)}
    assert kinds == {
        LossKind.PREEMPTED,
        LossKind.HOST_DEAD,
        LossKind.HOST_SILENT,
        LossKind.VANISHED,
    }


@pytest.mark.parametrize("part", [0.2, 0.5, 0.8])
def test_a_record_from_a_snapshot_on_happens_again(
    eventful: tuple[Measures, list[Turn]], part: float
) -> None:
    image, rest = split(eventful[1], int(len(eventful[1]) * part))
    chronicle = chronicle_of(rest, image)
    told = measures_of(chronicle, "told")
    outside = outside_of(chronicle, "again")
    again = live_again(outside, outside.scenario)
    assert len(outside.carried) > 2
    differ = [name for name, end in ends(told).items() if ends(again)[name] != end]
    assert differ == []


def test_what_runs_at_the_instant_of_the_snapshot_is_still_told() -> None:
    """Else its controller would give the launch up after an hour."""
    script = cluster(cpu_group(min_slices=1))
    script.ready("cpu")
    job = script.submit()
    placed = len(script.journal)
    script.running(job).advance(3 * HOUR).finish(job)
    image, rest = split(script.journal, placed)
    outside = outside_of(chronicle_of(rest, image), "again")
    again = live_again(outside, outside.scenario)
    assert [(row.attempts, row.end) for row in again.jobs.values()] == [(1, Instant(3 * HOUR))]


# ---- another configuration -------------------------------------------------------------------------


def asked(outside: Outside, *overrides: str) -> Measures:
    """The outside world under its configuration with keys changed."""
    return live_again(
        outside,
        under(outside.scenario, lambda spec: changed(spec, overrides, None), keep_edits=True),
    )


def test_another_configuration_meets_the_same_world(
    eventful: tuple[Measures, list[Turn]],
) -> None:
    outside = outside_of(chronicle_of(eventful[1]), "asked")
    same = live_again(outside, outside.scenario)
    few = asked(outside, "scale_groups.cpu.max_slices=1")
    assert asked(outside).digest == same.digest
    submitted = {name: row.submit for name, row in same.jobs.items()}
    assert {name: row.submit for name, row in few.jobs.items()} == submitted
    peak = [dict(sample.slices)["cpu"] for sample in few.samples]
    assert max(peak) == 1  # Also after the recorded edit, which is changed alike.
    waits = [
        sum((row.first_running or few.now) - row.submit for row in run.jobs.values())
        for run in (same, few)
    ]
    assert waits[1] > 2 * waits[0]


@pytest.mark.parametrize(
    "change", ["scale_groups.tpu.max_slices=2", "scale_groups.cpu.max_slices=2"]
)
def test_a_prediction_comes_near_to_what_the_world_would_have_done(
    tmp_path: Path, change: str
) -> None:
    """The truth of a simulated record can be had: the same world, run under the other configuration."""
    sections = {**EVENTFUL, "faults": []}
    _, turns = lived(scenario_of(tmp_path, sections))
    truth = simulate(scenario_of(tmp_path, sections, change))
    outside = until_done(outside_of(chronicle_of(turns), "asked"))
    same, found, real = (mean_wait(run) for run in (asked(outside), asked(outside, change), truth))
    assert real > 1.5 * same
    assert found == pytest.approx(real, rel=0.2)


def mean_wait(measures: Measures) -> float:
    """Seconds from submission to the first run, over all jobs."""
    spread = summarize(measures, ())["queue_wait_s"]
    assert isinstance(spread, dict)
    return float(spread["mean"])


@pytest.mark.parametrize(("ready", "hit"), [(4, 1), (8, 2), (12, 3), (2, 1), (0, 0)])
def test_a_loss_is_a_risk_that_each_slice_runs(ready: int, hit: int) -> None:
    script = cluster(tpu_group(hosts=4, min_slices=4, max_slices=20, preemptible=True))
    slices = script.ready("tpu")
    script.advance(HOUR).preempted(slices[1]).deleted(slices[1])
    script.advance(MINUTE).ready("tpu")
    script.advance(10 * MINUTE)
    outside = outside_of(chronicle_of(script.journal), "asked")
    (loss,) = (one for one in outside.scenario.happenings if isinstance(one, Loss))
    assert (loss.at, loss.among, loss.kind) == (Instant(HOUR), 4, LossKind.PREEMPTED)
    run = asked(outside, f"scale_groups.tpu.min_slices={ready}")
    lost = [row for row in run.slices.values() if row.outcome == "preempted"]
    assert len(lost) in ((0, 1) if ready == 2 else (hit,))
    assert all(row.end == Instant(HOUR) for row in lost)


def test_creates_are_refused_as_they_were() -> None:
    script = cluster(cpu_group(max_slices=3))
    first = script.submit("first", cpu=4)
    script.ready("cpu")
    script.running(first)
    second = script.submit("second", cpu=4)
    script.refused(script.coming("cpu")[0], CreateFailure.STOCKOUT).advance(3 * MINUTE)
    script.ready("cpu")
    script.running(second).advance(HOUR).finish(first).finish(second)
    outside = outside_of(chronicle_of(script.journal), "asked")
    (answers,) = outside.scenario.cloud.answers.values()
    assert [(one.limit, one.short) for one in answers] == [
        (None, None),
        (1, CreateFailure.STOCKOUT),
        (2, CreateFailure.STOCKOUT),
    ]
    run = asked(outside, "autoscaler.stockout_backoff=10s")
    refused = [row.requested for row in run.slices.values() if row.outcome == "stockout"]
    assert len(refused) > 2
    assert all(at < answers[-1].at for at in refused)
    # Where one is enough, none is refused: the zone was short of a second one only.
    roomy = replace(outside.scenario.cluster.groups[0], host=Resources(cpu=64_000, memory=64 * GIB))
    large = under(outside.scenario, lambda spec: replace(spec, groups=(roomy,)), keep_edits=True)
    assert [row.outcome for row in live_again(outside, large).slices.values()] == ["live"]


def test_jobs_of_tasks_come_after_their_parent_runs() -> None:
    script = cluster(cpu_group(min_slices=2, max_slices=4))
    script.ready("cpu")
    above = script.submit("parent")
    script.running(above).advance(10 * MINUTE)
    below = script.submit("child", parent=above)
    script.running(below).advance(5 * MINUTE).finish(below)
    script.advance(5 * MINUTE).finish(above)
    script.advance(HOUR)
    outside = outside_of(chronicle_of(script.journal), "asked")
    later = replace(
        outside.scenario.cloud, boots={}, group_boot={}, boot=outside.scenario.cloud.call
    )
    slow = replace(outside, scenario=replace(outside.scenario, cloud=later))
    assert set(asked(slow).jobs) == {"/alice/parent", "/alice/parent/child"}
    rows = asked(outside, "scale_groups.cpu.min_slices=0").jobs
    parent, child = rows["/alice/parent"], rows["/alice/parent/child"]
    assert parent.first_running is not None
    assert child.submit == parent.first_running + 10 * MINUTE
    none = asked(outside, "scale_groups.cpu.min_slices=0", "scale_groups.cpu.max_slices=0")
    assert set(none.jobs) == {"/alice/parent"}
