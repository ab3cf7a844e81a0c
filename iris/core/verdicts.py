"""Whether what an end was said to mean is what it means: retries, verdicts, hosts that are put out.

One of the judges of `iris.core.conduct`. It asks `iris.core.retry` what an end charges, and nothing of
what the planner of jobs came to.
"""

from collections.abc import Iterator
from typing import Final

from iris.core import decisions as de
from iris.core import events as ev
from iris.core.ids import TaskId, attempt_name
from iris.core.lifecycle import TaskState
from iris.core.record import Turn
from iris.core.records import Job, Task
from iris.core.retry import BUILD_TRIES, Budget, EndCause, charge_of, failed_builds
from iris.core.state import ClusterState

_STOPPED: Final = frozenset({EndCause.REQUESTED, EndCause.JOB_ENDED, EndCause.SIBLING})
"""Ends that were asked for, and say nothing against the task."""
_ASKED_FOR: Final = frozenset(
    {EndCause.REQUESTED, EndCause.JOB_ENDED, EndCause.TIMEOUT, EndCause.EVICTION}
)
"""Stops that had a reason of their own, whatever became of the host."""


def what_is_wrong_with_retry(retry: de.Retry, state: ClusterState) -> Iterator[str]:
    """A sentence if the ends of a round do not say that it goes back, at this cost."""
    job = state.jobs[retry.job]
    tasks = [state.tasks[name] for name in retry.tasks]
    rounds = _rounds(tasks)
    if not rounds or not rounds[-1]:
        yield f"V-14 {', '.join(retry.tasks)} went back to wait without an attempt"
        return
    told = charge_of(rounds[-1])
    if told is not retry.charge or told is None:
        yield f"V-14 {retry.tasks[0]} goes back at the cost of {retry.charge}, its ends cost {told}"
        return
    spent = sum(1 for causes in rounds if charge_of(causes) is told)
    if spent > _budget(job, told):
        yield f"V-14 {retry.tasks[0]} has gone back {spent} times, more than {told.value} allows"
    if failed_builds(rounds) >= BUILD_TRIES:
        yield f"V-14 {retry.tasks[0]} goes back after {BUILD_TRIES} failed builds"


def what_is_wrong_with_verdict(verdict: de.TaskVerdict, state: ClusterState) -> Iterator[str]:
    """A sentence if the ends of a task do not say what it was judged to be."""
    task = state.tasks.get(verdict.task)
    if task is None:
        return  # Its job was forgotten in the turn of its end.
    job = state.jobs[task.job]
    if verdict.state is TaskState.KILLED:
        if job.ending is None:
            yield f"V-14 {task.id} was killed, and its job is not ending"
        return
    if job.ending is None and job.ended_at is None:
        yield f"V-14 {task.id} has failed for good, and its job goes on"
    attempt = task.attempts[-1] if task.attempts else None
    if attempt is None or attempt.cause is None or attempt.cause is EndCause.EXIT_ZERO:
        yield f"V-14 {task.id} has failed, and no attempt of it failed"
        return
    if attempt.cause in _STOPPED:
        yield f"V-14 {task.id} has failed, and was only asked to stop ({attempt.cause.value})"
    members = job.tasks if job.spec.coscheduled else [task]
    rounds = [[c for c in causes if c] for causes in _causes(members)]
    charge = charge_of(rounds[-1])
    if charge is None or attempt.cause is EndCause.TIMEOUT:
        return
    spent = sum(1 for causes in rounds if charge_of(causes) is charge)
    if spent <= _budget(job, charge) and failed_builds(rounds) < BUILD_TRIES:
        yield f"V-14 {task.id} has failed with {spent} of {_budget(job, charge)} retries spent"


def what_is_wrong_with_loss(
    loss: de.SliceLoss, task: TaskId, number: int, state: ClusterState
) -> Iterator[str]:
    """A sentence if an attempt that went with its slice is said to have ended otherwise."""
    record = state.tasks.get(task)
    if record is None:
        return  # Its job was forgotten in the turn of its end.
    attempt = record.attempts[number]
    if attempt.cause in (None, loss.cause):
        return
    if attempt.cause is not attempt.stop_cause or attempt.cause not in _ASKED_FOR:
        name = attempt_name(task, number)
        yield f"V-14 {name} was lost by {loss.cause.value}, and its end is called {attempt.cause.value}"


def what_is_wrong_with_cordon(
    cordon: de.WorkerCordon, turn: Turn, state: ClusterState
) -> Iterator[str]:
    """A sentence if a host is put out of use, and neither an operator nor a launch that failed says so."""
    for event in turn.events:
        if isinstance(event, ev.WorkerDrainRequested) and event.worker == cordon.worker:
            return
        if isinstance(event, ev.WorkerReported) and event.worker == cordon.worker:
            if any(_is_failed_launch(report, state) for report in event.reports):
                return
    yield f"V-14 {cordon.worker} was put out of use, and no launch failed on it in this turn"


def _is_failed_launch(report: ev.AttemptReport, state: ClusterState) -> bool:
    task = state.tasks.get(report.task)
    if task is None or report.attempt >= len(task.attempts):
        return task is None  # Its job was forgotten in the turn of its end.
    return task.attempts[report.attempt].cause is EndCause.LAUNCH


def _rounds(tasks: list[Task]) -> list[list[EndCause]]:
    """The causes of each round that was sent back, first round first."""
    count = min(task.retried for task in tasks)
    return [[c for c in causes if c is not None] for causes in _causes(tasks)[:count]]


def _causes(tasks: list[Task]) -> list[tuple[EndCause | None, ...]]:
    ends = [[attempt.cause for attempt in task.attempts] for task in tasks]
    return list(zip(*ends, strict=False))


def _budget(job: Job, charge: Budget) -> int:
    if charge is Budget.FAILURE:
        return job.spec.max_retries_failure
    return job.spec.max_retries_preemption
