"""Jobs that submit jobs, and members of gangs that notice the loss of another, in simulated worlds."""

from collections import Counter
from itertools import accumulate
from pathlib import Path

import pytest

from iris.core.ids import JobId
from iris.core.instant import MINUTE
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


WIDE = """\
cluster:
  scale_groups:
    cpu: {accelerator_type: cpu, vm: {cpu: 16, memory: 64GB}, max_slices: 4}
  scheduler: {quotas: {alice: {tasks: 10}}}
workload:
  - {name: root, user: alice, arrivals: {at: [0s]}, run_time: 1s, waits: true}
  - {name: mid, user: alice, parent: root, per_parent: 50, after: 5s, run_time: 1s, waits: true}
  - {name: leaf, user: alice, parent: mid, per_parent: 2, after: 1m, run_time: 30s}
duration: 12h
"""


def most_at_once(world: World) -> int:
    """The most attempts that were under way at one instant."""
    moves: list[tuple[int, int]] = []
    for job in world.controller.state.jobs.values():
        for attempt in (a for task in job.tasks for a in task.attempts):
            ended = attempt.ended_at if attempt.ended_at is not None else world.clock.now
            moves += [(attempt.assigned_at, 1), (ended, -1)]
    counts = accumulate(by for _, by in sorted(moves))
    return max(counts)


@pytest.mark.parametrize("fidelity", ["capacity", "protocol"])
def test_i_110_a_tree_of_width_50_whose_parents_wait_finishes_under_a_quota_of_10(
    fidelity: str,
) -> None:
    world = world_of(scenario_of(f"{WIDE}fidelity: {fidelity}\n", Path("wide.yaml")))
    measures = finish(world)
    assert measures.violations == []
    states = Counter(job.state for job in world.controller.state.jobs.values())
    assert states == {JobState.SUCCEEDED: 1 + 50 + 100}
    # The tenth is kept for a fourth level, which never comes.
    assert most_at_once(world) == 9


def test_i_110_without_room_for_what_is_deeper_it_stands_still_and_says_why() -> None:
    text = WIDE.replace("{tasks: 10}", "{tasks: 10, levels: 1}")
    world = world_of(scenario_of(text, Path("wide.yaml")))
    measures = finish(world)
    assert measures.violations == []
    assert world.ended_jobs == 0
    told = [sentence for _, why in measures.explanations for sentence in why]
    assert "All 10 running tasks belong to jobs whose own children wait." in told


def test_i_108_the_whole_of_a_wide_tree_ends_in_the_turn_in_which_its_root_is_stopped() -> None:
    text = f"{WIDE}faults: [{{at: 10m, kind: stop_job, job: /alice/root-0}}]\n"
    world = world_of(scenario_of(text, Path("wide.yaml")))
    measures = finish(world)
    assert measures.violations == []
    ends = Counter(job.state for job in world.controller.state.jobs.values())
    assert ends[JobState.KILLED] > 40
    # Whoever waited ended at once, and whoever ran was asked to stop in the same turn.
    jobs = world.controller.state.jobs.values()
    late = [job.id for job in jobs if job.ended_at is None or job.ended_at > 10 * MINUTE]
    assert late == []


@pytest.mark.parametrize(
    ("entry", "path", "said"),
    [
        ("per_parent: 2, arrivals: {at: [0s]}", "workload.1.arrivals", "`arrivals` cannot"),
        ("per_parent: 2, count: 3", "workload.1.count", "`count` cannot"),
        ("after: 5s, arrivals: {at: [0s]}", "workload.1.after", "give `per_parent`"),
        ("per_parent: 0", "workload.1.per_parent", "out of range"),
    ],
)
def test_children_by_the_parent_are_told_in_one_way(entry: str, path: str, said: str) -> None:
    head = TREES.split("  - {name: leaf", maxsplit=1)[0]
    text = f"{head}  - {{name: leaf, parent: root, run_time: 1m, {entry}}}\n"
    with pytest.raises(BadInput) as caught:
        scenario_of(text, Path("trees.yaml"))
    (problem, *_) = caught.value.problems
    assert problem.path == path
    assert said in f"{problem.message} {problem.help}"


def test_children_by_the_parent_need_one() -> None:
    text = TREES.replace("parent: root, arrivals: {at: [5m, 45m]}", "per_parent: 2")
    with pytest.raises(BadInput, match="missing key `parent` in 'leaf'"):
        scenario_of(text, Path("trees.yaml"))


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
