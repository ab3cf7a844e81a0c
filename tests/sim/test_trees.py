"""Jobs that submit jobs, and members of gangs that notice the loss of another, in simulated worlds."""

from pathlib import Path

import pytest

from iris.core.ids import JobId
from iris.core.lifecycle import JobState
from iris.core.retry import EndCause
from iris.problems import BadInput
from sim.protocol_world import ProtocolWorld
from sim.run import finish, world_of
from sim.scenario import scenario_of
from sim.world import World

TREES = """\
cluster:
  scale_groups:
    cpu: {accelerator_type: cpu, vm: {cpu: 8, memory: 16GB}, max_slices: 1}
workload:
  - {name: root, arrivals: {every: 1h}, count: 2, run_time: 30m}
  - {name: leaf, parent: root, arrivals: {at: [5m, 45m]}, run_time: 10m}
  - {name: deep, parent: leaf, arrivals: {at: [6m]}, run_time: 2h}
duration: 3h
"""

GANG = """\
seed: 1
duration: 2h
fidelity: protocol
cluster:
  scale_groups:
    pod: {accelerator_type: v5litepod-16, max_slices: 1}
workload:
  - name: train
    arrivals: {every: 1h}
    count: 1
    replicas: 4
    coscheduled: true
    resources: {tpu: v5litepod-16, memory: 1GB}
    run_time: 30m
faults: [{at: 10m, kind: kill_worker, slice: any, host: 0}]
runtime: {siblings: {probability: 1.0, span: 2s}}
"""


@pytest.mark.parametrize("fidelity", ["capacity", "protocol"])
def test_a_job_is_submitted_by_its_parent_and_ends_with_it(fidelity: str) -> None:
    world = world_of(scenario_of(f"{TREES}fidelity: {fidelity}\n", Path("trees.yaml")))
    measures = finish(world)
    assert measures.violations == []
    states = {name: job.state for name, job in world.controller.state.jobs.items()}
    assert states == {
        "/user/root-0": JobState.SUCCEEDED,
        "/user/root-0/leaf-0": JobState.SUCCEEDED,
        "/user/root-0/leaf-0/deep-0": JobState.KILLED,
        "/user/root-1": JobState.SUCCEEDED,
    }, "a child that comes before its parent is refused"
    assert world.ended_jobs == len(states)
    assert not world.goes_on()
    assert world.clock.now < world.scenario.duration  # type: ignore[operator]


@pytest.mark.parametrize(
    ("change", "parent"),
    [(("parent: root", "parent: deep"), "deep"), (("name: root", "name: root, user: bob"), "root")],
)
def test_a_parent_is_an_earlier_entry_of_the_same_user(
    change: tuple[str, str], parent: str
) -> None:
    with pytest.raises(BadInput) as caught:
        scenario_of(TREES.replace(*change), Path("trees.yaml"))
    (problem, *_) = caught.value.problems
    assert problem.path == "workload.1.parent"
    assert f"'{parent}' is no earlier entry of user 'user' with `arrivals`" in problem.message


def causes(world: World) -> list[EndCause | None]:
    tasks = world.controller.state.jobs[JobId("/user/train-0")].tasks
    return [task.attempts[0].cause for task in tasks]


def test_i_114_who_gives_up_when_another_loses_its_host_does_not_cost_the_job_a_failure() -> None:
    world = world_of(scenario_of(GANG, Path("gang.yaml")))
    measures = finish(world)
    assert isinstance(world, ProtocolWorld)
    assert measures.violations == []
    assert world.fleet.exits == 3
    assert EndCause.EXIT_NONZERO in causes(world)
    assert EndCause.HOST_LOST in causes(world)
    assert world.controller.state.jobs[JobId("/user/train-0")].state is JobState.SUCCEEDED
