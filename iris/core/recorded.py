"""What the tables still say of a thing's past, where the journal no longer does."""

from collections.abc import Iterator
from dataclasses import replace

from iris.core.ids import JobId, SliceId, TaskId
from iris.core.instant import Instant
from iris.core.records import Task
from iris.core.state import ClusterState
from iris.core.timeline import Chapter, Happening, Of, Subject


def completed(page: Chapter, state: ClusterState, subject: Subject, limit: int) -> Chapter:
    """A page, and behind the last one what the tables still know from before the turns that are kept."""
    if page.before:
        return page
    known = recorded(state, subject, page.first_at)[-limit:]
    return replace(page, happenings=(*known, *page.happenings))


def recorded(state: ClusterState, subject: Subject, before: Instant) -> list[Happening]:
    """What is on record of a job, a task or a slice from before an instant, oldest first."""
    found = [it for it in _recorded(state, subject) if it.at < before]
    return sorted(found, key=lambda it: it.at)  # Of one instant in the order of the tables.


def _recorded(state: ClusterState, subject: Subject) -> Iterator[Happening]:
    match subject.of:
        case Of.JOB if JobId(subject.id) in state.jobs:
            job = state.jobs[JobId(subject.id)]
            said = f"{job.spec.user or 'somebody'} submitted it: {len(job.tasks)} x"
            yield _record(job.submitted_at, Of.JOB, job.id, said)
            for task in job.tasks:
                yield from _of_task(task)
            if job.ended_at is not None:
                yield _record(job.ended_at, Of.JOB, job.id, f"ended: {job.state.value}", job.why)
        case Of.TASK if TaskId(subject.id) in state.tasks:
            yield from _of_task(state.tasks[TaskId(subject.id)])
        case Of.SLICE if SliceId(subject.id) in state.slices:
            row = state.slices[SliceId(subject.id)]
            yield _record(row.requested_at, Of.SLICE, row.id, f"asked for in {row.zone}")
            for at, what in (
                (row.accepted_at, "the cloud took the request"),
                (row.ready_at, "ready"),
                (row.gone_at, "is gone"),
            ):
                if at is not None:
                    yield _record(at, Of.SLICE, row.id, what)
        case _:
            return


def _of_task(task: Task) -> Iterator[Happening]:
    for attempt in task.attempts:
        yield _record(attempt.assigned_at, Of.TASK, task.id, f"placed on {attempt.worker}")
        if attempt.started_at is not None:
            said = f"attempt {attempt.number}: running on {attempt.worker}"
            yield _record(attempt.started_at, Of.TASK, task.id, said)
        if attempt.ended_at is not None and attempt.cause is not None:
            said = f"attempt {attempt.number}: {attempt.state.value} on {attempt.worker}"
            detail = f"{attempt.cause.value}: {attempt.detail}".removesuffix(": ")
            yield _record(attempt.ended_at, Of.TASK, task.id, said, detail)


def _record(at: Instant, of: Of, subject: str, text: str, cause: str = "") -> Happening:
    return Happening(at, 0, "Record", of, subject, text, cause, is_fact=True)
