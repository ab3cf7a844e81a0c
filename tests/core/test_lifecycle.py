"""The tables of legal moves are total, ends are final, and a job's state follows from its tasks."""

from collections.abc import Mapping
from enum import Enum
from itertools import combinations_with_replacement

import pytest

from iris.core.lifecycle import (
    ATTEMPT_MOVES,
    ENDED_ATTEMPT,
    ENDED_JOB,
    ENDED_TASK,
    JOB_MOVES,
    SLICE_MOVES,
    TASK_MOVES,
    WORKER_MOVES,
    AttemptState,
    JobState,
    SliceState,
    TaskState,
    WorkerState,
    job_state_of,
)
from iris.core.retry import EndCause
from iris.core.state import IllegalMove
from tests.harness import Script, cpu_group, fleet

TABLES: list[tuple[type[Enum], Mapping[Enum, frozenset[Enum]]]] = [
    (JobState, JOB_MOVES),  # type: ignore[list-item]  # a mapping is invariant in its key
    (TaskState, TASK_MOVES),  # type: ignore[list-item]
    (AttemptState, ATTEMPT_MOVES),  # type: ignore[list-item]
    (SliceState, SLICE_MOVES),  # type: ignore[list-item]
    (WorkerState, WORKER_MOVES),  # type: ignore[list-item]
]


@pytest.mark.parametrize(("states", "moves"), TABLES)
def test_i_52_every_state_has_its_row_of_moves(
    states: type[Enum], moves: Mapping[Enum, frozenset[Enum]]
) -> None:
    assert list(moves) == list(states)
    assert all(target in states for targets in moves.values() for target in targets)
    assert all(state not in targets for state, targets in moves.items())


@pytest.mark.parametrize(("states", "moves"), TABLES)
def test_every_state_can_be_reached(
    states: type[Enum], moves: Mapping[Enum, frozenset[Enum]]
) -> None:
    reached = {next(iter(states))}
    while True:
        more = reached | {target for state in reached for target in moves[state]}
        if more == reached:
            break
        reached = more
    assert reached == set(states)


def test_an_end_is_final_but_for_a_success_in_a_gang_that_goes_back() -> None:
    assert not any(JOB_MOVES[state] for state in ENDED_JOB)
    assert not any(ATTEMPT_MOVES[state] for state in ENDED_ATTEMPT)
    assert {s for s in ENDED_TASK if TASK_MOVES[s]} == {TaskState.SUCCEEDED}
    assert TASK_MOVES[TaskState.SUCCEEDED] == {TaskState.PENDING}


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_i_118_a_job_has_ended_exactly_when_all_of_its_tasks_have(count: int) -> None:
    for tasks in combinations_with_replacement(TaskState, count):
        state = job_state_of(tasks)
        assert (state in ENDED_JOB) == all(task in ENDED_TASK for task in tasks), tasks


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_job_succeeds_only_when_every_task_did_and_runs_when_one_is_on_a_worker(
    count: int,
) -> None:
    on_a_worker = {TaskState.ASSIGNED, TaskState.BUILDING, TaskState.RUNNING}
    for tasks in combinations_with_replacement(TaskState, count):
        state = job_state_of(tasks)
        assert (state is JobState.SUCCEEDED) == (set(tasks) == {TaskState.SUCCEEDED}), tasks
        if state not in ENDED_JOB:
            assert (state is JobState.RUNNING) == bool(on_a_worker & set(tasks)), tasks


def test_of_several_bad_ends_the_worst_is_told() -> None:
    bad = [TaskState.KILLED, TaskState.UNSCHEDULABLE, TaskState.FAILED]
    assert job_state_of(bad) is JobState.FAILED
    assert job_state_of(bad[:2]) is JobState.UNSCHEDULABLE
    assert job_state_of(bad[:1]) is JobState.KILLED


def busy() -> Script:
    script = fleet(cpu_group(min_slices=1))
    script.running(script.submit("serve"))
    return script


def test_an_illegal_move_ends_the_run_and_names_the_thing() -> None:
    state = busy().controller.state
    (slice_,) = state.slices.values()
    (worker,) = state.workers.values()
    (job,) = state.jobs.values()
    (task,) = job.tasks
    attempt = task.attempts[-1]
    with pytest.raises(IllegalMove, match="slice iris-cpu-1: ready -> gone"):
        state.move_slice(slice_, SliceState.GONE, "nothing")
    worker.state = WorkerState.LOST
    with pytest.raises(IllegalMove, match="worker iris-cpu-1-w0: lost -> healthy"):
        state.move_worker(worker, WorkerState.HEALTHY)
    with pytest.raises(IllegalMove, match="attempt /alice/serve:0@0: running -> building"):
        state.move_attempt(task, attempt, AttemptState.BUILDING)
    attempt.state = AttemptState.KILLED
    with pytest.raises(IllegalMove, match="attempt /alice/serve:0@0: killed -> failed"):
        state.end_attempt(task, attempt, EndCause.EXIT_NONZERO, "")


def test_a_task_or_job_whose_records_contradict_its_past_ends_the_run() -> None:
    state = busy().controller.state
    (job,) = state.jobs.values()
    (task,) = job.tasks
    task.state = TaskState.FAILED
    with pytest.raises(IllegalMove, match="task /alice/serve:0: failed -> running"):
        state.settle_task(task)
    task.state, job.state = TaskState.RUNNING, JobState.KILLED
    task.attempts.clear()
    with pytest.raises(IllegalMove, match="job /alice/serve: killed -> pending"):
        state.settle_task(task)
