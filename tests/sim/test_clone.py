"""A world that goes on from a state: what was known of it goes on as it was, and nothing is lost."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from iris.core.instant import HOUR, MINUTE, Instant, Millis
from iris.core.records import Job
from iris.core.snapshot import copy_state
from sim.clone import Clone, Continuation, Drought
from sim.dice import Constant, Dice, Distribution
from sim.measure import Measures
from sim.model import CloudModel, Scenario
from sim.run import finish, world_of
from sim.workload import arrivals
from sim.world import World
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
