"""A world that goes on from a state: what was known of it goes on as it was, and nothing is lost."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from iris.core import events as ev
from iris.core.ids import TaskId, Zone
from iris.core.instant import DAY, HOUR, MINUTE, SECOND, Instant, Millis, after
from iris.core.lifecycle import AttemptState, SliceState
from iris.core.records import Job
from iris.core.snapshot import copy_state
from sim.clone import Clone, Continuation, Drought
from sim.dice import Constant, Dice, Distribution
from sim.measure import Measures
from sim.model import CloudModel, Scenario
from sim.run import finish, world_of
from sim.workload import arrivals
from sim.world import World
from tests.harness import Script, cluster, cpu_group, fleet, tpu_group
from tests.sim.watch import scenario_of

GROUPS: Final = {
    "cpu": {"accelerator_type": "cpu", "vm": {"cpu": 4, "memory": "16GB"}, "max_slices": 3},
    "pod": {"accelerator_type": "v5litepod-16", "max_slices": 2},
}
GANG: Final = {
    "name": "gang",
    "arrivals": {"every": "40m"},
    "count": 6,
    "replicas": 4,
    "coscheduled": True,
    "resources": {"cpu": 8, "memory": "4GB", "tpu": "v5litepod-16"},
    "run_time": {"uniform": {"min": "20m", "max": "3h"}},
    "launch": "1m",
}
SINGLE: Final = {
    "name": "single",
    "arrivals": {"poisson": {"rate": "20/h"}},
    "count": 60,
    "resources": {"cpu": 2, "memory": "1GB"},
    "run_time": {"exponential": {"mean": "25m"}},
}
WIDE: Final = {**SINGLE, "name": "wide", "count": 5, "replicas": 3, "user": "bob"}


@dataclass(frozen=True)
class Known:
    """An outlook of one who knows how long everything takes."""

    cloud: CloudModel
    run_times: dict[str, Millis]
    launches: dict[str, Distribution]
    droughts: tuple[Drought, ...] = ()

    def run_time(self, job: Job) -> Distribution:
        return Constant(self.run_times[job.id])

    def launch(self, job: Job) -> Distribution:
        return self.launches[job.id]


def world_at(scenario: Scenario, at: Instant) -> World:
    """The world of a scenario, after the last turn before an instant."""
    world = world_of(scenario)
    while world.clock.env.peek() <= at:
        world.clock.step()
    return world


def continued(scenario: Scenario, at: Instant, *, audited: bool) -> Measures:
    """What becomes of a world that is continued from what its controller knew at an instant."""
    world = world_at(scenario, at)
    works = {name: work.arrival for name, work in world.fleet.work.items()}
    known = Known(
        scenario.cloud,
        {name: arrival.run_time for name, arrival in works.items()},
        {name: arrival.template.launch for name, arrival in works.items()},
    )
    coming = [a for a in arrivals(scenario, Dice(scenario.seed)) if a.at > at]
    plan = Continuation(
        copy_state(world.controller.state), at, known, Instant(30 * 24 * HOUR), arrivals=coming
    )
    return finish(Clone(plan, audit_every_turn=audited))


def test_a_world_whose_times_are_known_goes_on_as_it_would_have(tmp_path: Path) -> None:
    scenario = scenario_of(
        tmp_path,
        {
            "seed": 3,
            "cluster": {"scale_groups": GROUPS},
            "cloud": {"boot": "5m", "delete": "30s", "call": "2s"},
            "workload": [GANG, SINGLE, WIDE],
        },
    )
    whole = finish(world_of(scenario))
    for minutes in (3, 7, 41, 97, 200):  # In the boots, at work, in the middle of launches.
        at = Instant(minutes * MINUTE)
        rest = continued(scenario, at, audited=minutes == 97)
        assert rest.violations == []
        for name, row in rest.jobs.items():
            truth = whole.jobs[name]
            assert (name, row.first_running, row.end) == (name, truth.first_running, truth.end)
        ended_before = {j.job for j in whole.jobs.values() if j.end is not None and j.end <= at}
        assert set(rest.jobs) == set(whole.jobs) - ended_before


# ---- states that no simulation ends in, as those of real clusters may be -------------------------

TPU: Final = "v5litepod-16"


@dataclass(frozen=True)
class Alike:
    """An outlook in which every job works for an hour, and every slice boots for five minutes."""

    cloud: CloudModel = field(default_factory=lambda: CloudModel(boot=Constant(Millis(5 * MINUTE))))
    droughts: tuple[Drought, ...] = ()

    def run_time(self, _: Job) -> Distribution:
        return Constant(Millis(HOUR))

    def launch(self, _: Job) -> Distribution:
        return Constant(Millis(MINUTE))


def rows(script: Script, outlook: Alike = Alike()) -> dict[str, tuple[int | None, int | None]]:
    """What becomes of each unended job from now on: after so many minutes it runs, and ends."""
    now = script.now
    plan = Continuation(script.controller.state, now, outlook, after(now, Millis(DAY)))
    before = script.controller.digest()
    measures = finish(Clone(plan, audit_every_turn=True))
    assert measures.violations == []
    assert script.controller.digest() == before

    def minutes(at: Instant | None) -> int | None:
        return None if at is None else int((at - now) / MINUTE)

    return {
        row.job: (minutes(row.first_running), minutes(row.end)) for row in measures.jobs.values()
    }


def test_a_slice_of_which_two_hosts_have_come_waits_for_the_others_only() -> None:
    script = cluster(tpu_group(hosts=4))
    job = script.submit(tpu=TPU, replicas=4, gang=True)
    (name,) = script.coming("tpu")
    script.step(ev.SliceAccepted(name)).advance(3 * MINUTE, answer=False)
    script.step(script.registration(name, 0), script.registration(name, 2))
    assert rows(script) == {job: (3, 63)}  # Two minutes of boot are left, and one of launch.


def test_attempts_go_on_from_where_they_are() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    job = script.submit(replicas=3)
    script.running(job).advance(20 * MINUTE)
    script.ends(script.task(job).id)
    launching = script.submit("launching")
    script.advance(30 * SECOND)
    other = script.submit("other", cpu=4)
    assert rows(script) == {job: (-20, 39), launching: (0, 60), other: (61, 121)}


def test_a_member_that_has_ended_is_not_waited_for() -> None:
    script = fleet(tpu_group(hosts=4, min_slices=1))
    job = script.submit(tpu=TPU, replicas=4, gang=True)
    script.running(job).advance(50 * MINUTE)
    script.ends(script.task(job, 0).id)
    assert rows(script) == {job: (-50, 10)}


def test_work_that_was_saved_is_not_done_again() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1, preemptible=True))
    job = script.submit(checkpoint_every=Millis(10 * MINUTE))
    script.running(job).advance(35 * MINUTE)
    (name,) = script.slices_in(SliceState.READY)
    script.preempted(name).deleted(name)
    # Thirty minutes are left, after the boot of another slice.
    assert rows(script) == {job: (6, 36)}


def test_a_shorter_task_of_a_job_ends_when_it_would() -> None:
    script = fleet(cpu_group(min_slices=2, max_slices=2))
    job = script.submit(replicas=2, cpu=4)
    first, second = (task.id for task in script.job(job).tasks)
    script.step(running(script, first)).advance(55 * MINUTE)
    script.step(running(script, second)).advance(10 * MINUTE)
    # The first has lasted for 65 minutes, the second for 10.
    assert rows(script) == {job: (-65, 50)}


def running(script: Script, task: TaskId) -> ev.WorkerReported:
    attempt = script.attempt(task)
    report = ev.AttemptReport(task, attempt.number, AttemptState.RUNNING)
    return script.report(attempt.worker, report)


def test_a_gang_works_from_the_launch_of_its_last_member_on() -> None:
    script = fleet(tpu_group(hosts=4, min_slices=1))
    job = script.submit(tpu=TPU, replicas=4, gang=True)
    first, *others = (task.id for task in script.job(job).tasks)
    script.step(*(running(script, task) for task in others)).advance(10 * MINUTE)
    script.step(running(script, first)).advance(20 * MINUTE)
    assert rows(script)[job][1] == 40


@pytest.mark.parametrize(
    "model",
    [
        CloudModel(boot=Constant(Millis(5 * MINUTE)), lifetime=Constant(Millis(2 * HOUR))),
        CloudModel(boot=Constant(Millis(5 * MINUTE)), lifetime_max=Millis(2 * HOUR)),
    ],
    ids=["lifetime", "lifetime_max"],
)
def test_a_slice_has_only_the_rest_of_its_life(model: CloudModel) -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1, preemptible=True))
    script.advance(85 * MINUTE)
    job = script.submit()
    script.running(job).advance(10 * MINUTE)
    # In 25 minutes it is taken; the boot, the launch and the hour follow.
    assert rows(script, Alike(cloud=model)) == {job: (-10, 91)}


def test_a_listing_that_is_under_way_is_answered() -> None:
    script = Script()
    script.config(cpu_group())
    job = script.submit()
    assert script.controller.state.books.observing_since is not None
    assert rows(script) == {job: (6, 66)}


def test_who_has_been_silent_for_long_is_lost_and_who_has_not_speaks_again() -> None:
    for seconds, expected in ((20, (-10, 49)), (40, (6, 66))):
        script = fleet(cpu_group(min_slices=1, max_slices=1))
        job = script.submit()
        script.running(job).advance(10 * MINUTE)
        (worker,) = script.controller.state.workers
        script.silent(worker).advance(seconds * SECOND)
        assert rows(script) == {job: expected}


def test_a_slice_whose_end_was_announced_ends() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=2, preemptible=True))
    job = script.submit()
    script.running(job).advance(10 * MINUTE)
    (name,) = script.slices_in(SliceState.READY)
    script.step(ev.PreemptionNoticed(name))
    assert rows(script) == {job: (6, 66)}  # The hour begins anew on another slice.


def test_slices_of_a_group_that_is_gone_do_their_work_and_go() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    job = script.submit()
    script.running(job).advance(10 * MINUTE)
    script.config(tpu_group(hosts=4))
    assert rows(script) == {job: (-10, 50)}


def test_what_was_asked_for_and_not_answered_is_asked_for_again() -> None:
    script = cluster(cpu_group())
    job = script.submit()
    (name,) = script.coming("cpu")
    assert script.slice(name).state is SliceState.REQUESTED
    assert rows(script) == {job: (6, 66)}
    dry = Drought(Zone("us-a"), "cpu", 1, Constant(Millis(2 * HOUR)))
    ((begin, _),) = rows(script, Alike(droughts=(dry,))).values()
    assert begin is not None
    assert begin > 2 * 60
