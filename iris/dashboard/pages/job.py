"""One job: what it waits for, its tasks a cell each, its attempts with their causes, and what was asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Final

from iris.core.ids import JobId, TaskId
from iris.core.instant import Instant
from iris.core.lifecycle import ENDED_JOB, JobState, TaskState
from iris.core.reasons import Reason, Verdict
from iris.core.records import Attempt, Job, Task
from iris.core.state import ClusterState
from iris.core.timeline import Of
from iris.core.timeline import Subject as Timed
from iris.core.views import job_view
from iris.dashboard import reasons
from iris.dashboard.history import History, history_of
from iris.dashboard.page import Asked, Json, Page, Sharing, object_of
from iris.dashboard.rows import JobRow, Rows, cut, job_rows, taken
from iris.dashboard.subject import Refusal, Subject
from iris.dashboard.timeline import Span, Timeline, timeline
from iris.rpc import kinds, kinds_cluster
from iris.rpc.codec import job_to_wire
from iris.rpc.codec_explain import explanation_to_wire

MOST_CELLS: Final = 1_000
MOST_BARS: Final = 40
"""Attempts that are drawn, the newest."""


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """An attempt as a line."""

    task: TaskId
    index: int
    attempt: Attempt
    is_last: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """A task as a cell of the grid."""

    id: TaskId
    index: int
    state: TaskState


@dataclass(frozen=True, slots=True)
class JobPage:
    """What the page shows."""

    row: JobRow
    job: Job
    is_over: bool
    reason: Reason | None  # None: nothing of it waits
    sentences: Sequence[str]
    root_cause: AttemptRow | None  # None: it has not failed by an attempt
    above: Sequence[JobId]
    """Its parents, the root first."""
    cells: Sequence[Cell]
    attempts: Rows[AttemptRow]
    timeline: Timeline
    children: Sequence[JobRow]
    children_total: int
    command: str
    why_not: str
    """What keeps the viewer from stopping it; empty when nothing does."""
    history: History
    whole: Callable[[], Json]
    """All of it for programs; found out when one asks, for it is of every task."""
    turns: int


async def load(subject: Subject, asked: Asked) -> JobPage:
    """Everything on record of a job."""
    state, name = subject.state, JobId(f"/{asked.name}")
    _known(state, name)
    command = await subject.command(name)
    history = await history_of(subject, Timed(Of.JOB, name))
    job = _known(state, name)
    reason, sentences = _waits(subject, job)
    await asked.breath.draw_in_time()
    is_over = job.state in ENDED_JOB
    attempts = [row for task in job.tasks for row in _attempts(task)]
    recent = sorted(attempts, key=lambda row: (-row.attempt.assigned_at, row.index))
    (row,) = job_rows(state, [job], subject.now())
    return JobPage(
        row=row,
        job=job,
        is_over=is_over,
        reason=None if is_over else reason,
        sentences=sentences,
        root_cause=_cause(attempts) if job.state is JobState.FAILED else None,
        above=_above(name),
        cells=[Cell(t.id, t.index, t.state) for t in job.tasks[:MOST_CELLS]],
        attempts=cut(recent, asked.query.page),
        timeline=_timeline(job, recent[:MOST_BARS], subject.now()),
        children=_children(subject, job),
        children_total=len(job.children),
        command=command,
        why_not=subject.why_not_stop(name, asked.viewer),
        history=history,
        whole=partial(_whole, state, name),
        turns=subject.turns,
    )


def _known(state: ClusterState, name: JobId) -> Job:
    job = state.jobs.get(name)
    if job is None:
        raise Refusal(
            HTTPStatus.NOT_FOUND, f"job {name} is not known; ended jobs are kept for a while"
        )
    return job


def _whole(state: ClusterState, name: JobId) -> Json:
    view = job_view(state, name)
    assert view is not None, name
    return kinds_cluster.job(job_to_wire(view))


def _attempts(task: Task) -> list[AttemptRow]:
    last = len(task.attempts) - 1
    return [AttemptRow(task.id, task.index, a, a.number == last) for a in task.attempts]


def _cause(attempts: Sequence[AttemptRow]) -> AttemptRow | None:
    """The failed attempt that ended first of those that ended last of their tasks."""
    failed = [row for row in attempts if row.is_last and row.attempt.state.value == "failed"]
    return min(failed, key=lambda row: row.attempt.ended_at or 0, default=None)


def _above(name: JobId) -> list[JobId]:
    parts = name.split("/")
    return [JobId("/".join(parts[:end])) for end in range(3, len(parts))]


def _waits(subject: Subject, job: Job) -> tuple[Reason | None, Sequence[str]]:
    """Why a job waits, if it does."""
    if job.state in ENDED_JOB:
        return None, ()
    reason, sentences = reasons.whole(subject.state, job.id, subject.now())
    return (None, ()) if reason.verdict is Verdict.NOT_WAITING else (reason, sentences)


def _children(subject: Subject, job: Job) -> list[JobRow]:
    found = (subject.state.jobs[name] for name in reversed(job.children))
    return job_rows(subject.state, taken(found, 1), subject.now())


def _timeline(job: Job, attempts: Sequence[AttemptRow], now: Instant) -> Timeline:
    spans = []
    for row in sorted(attempts, key=lambda it: (it.index, it.attempt.number)):
        a = row.attempt
        label, name = f"task {row.index}", f"{row.index}@{a.number}"
        began = a.started_at if a.started_at is not None else a.ended_at or now
        spans.append(Span(label, a.assigned_at, began, "assigned", f"{name} not running yet"))
        if a.started_at is not None:
            what = f"{name} {a.state.value} on {a.worker}"
            spans.append(Span(label, a.started_at, a.ended_at or now, a.state.value, what))
    return timeline(spans, job.submitted_at, job.ended_at or now)


def told(model: JobPage) -> Json:
    """The same for programs."""
    item = {**model.whole(), "children": list(model.job.children), "explanation": None}
    if model.reason is not None:
        item["explanation"] = kinds.explanation(explanation_to_wire(model.reason, model.turns))
    return object_of("Job", item)


PAGE = Page(
    "/jobs/{name:path}", "job.html", "Jobs", load, told, in_menu=False, sharing=Sharing.VIEWER
)
