"""Rows that several pages show, made from the state: only those that are on the page."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Generic, TypeVar

from iris.core.ids import JobId, SliceId, UserName
from iris.core.instant import Instant
from iris.core.lifecycle import ENDED_JOB, JobState, TaskState
from iris.core.records import Job, Slice
from iris.core.retry import MEANING, Budget
from iris.core.state import ClusterState
from iris.dashboard import reasons
from iris.dashboard.query import ROWS

_Row = TypeVar("_Row")

_TASKS_READ: Final = 200
"""Of a job on a list: its failures are counted over so many of its tasks."""


@dataclass(frozen=True, slots=True)
class Rows(Generic[_Row]):
    """One page of a table."""

    rows: Sequence[_Row]
    page: int
    pages: int
    total: int


def cut(rows: Sequence[_Row], page: int) -> Rows[_Row]:
    """A page of rows that are all there."""
    start = (page - 1) * ROWS
    return Rows(rows[start : start + ROWS], page, pages_of(len(rows)), len(rows))


def taken(rows: Iterable[_Row], page: int) -> list[_Row]:
    """The rows of a page out of all of them."""
    return list(islice(rows, (page - 1) * ROWS, page * ROWS))


def pages_of(total: int) -> int:
    """How many pages so many rows fill."""
    return max(1, -(-total // ROWS))


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as a line."""

    id: JobId
    state: JobState
    user: UserName
    band: str
    tasks: Sequence[tuple[TaskState, int]]
    replicas: int
    failures: int
    max_failures: int
    preemptions: int
    max_preemptions: int
    chips: int
    accelerator: str | None  # None: CPU work
    submitted_at: Instant
    ended_at: Instant | None  # None: it has not ended
    verdict: str
    """What it waits for; empty when it does not wait."""
    why: str

    @property
    def done(self) -> int:
        """Tasks that have succeeded."""
        return sum(count for state, count in self.tasks if state is TaskState.SUCCEEDED)


def job_rows(state: ClusterState, jobs: Iterable[Job], now: Instant) -> list[JobRow]:
    """Jobs as lines, each with why it waits, or how it ended."""
    shown = list(jobs)
    waiting = [it.id for it in shown if it.state is JobState.PENDING]
    told = reasons.headlines(state, waiting, now)
    return [_job_row(job, told.get(job.id)) for job in shown]


def _job_row(job: Job, told: reasons.Told | None) -> JobRow:
    spec = job.spec
    failures, preemptions = tries_of(job)
    why = told.headline if told is not None else why_of(job)
    return JobRow(
        id=job.id,
        state=job.state,
        user=spec.user,
        band=spec.band.name.lower(),
        tasks=tuple((it, job.tally[it]) for it in TaskState if job.tally.get(it)),
        replicas=spec.replicas,
        failures=failures,
        max_failures=spec.max_retries_failure,
        preemptions=preemptions,
        max_preemptions=spec.max_retries_preemption,
        chips=spec.resources.chips * spec.replicas,
        accelerator=spec.accelerator,
        submitted_at=job.submitted_at,
        ended_at=job.ended_at,
        verdict=told.verdict if told is not None else "",
        why=why,
    )


def tries_of(job: Job) -> tuple[int, int]:
    """How many attempts ended by failures of its own, and how many by those of the fleet.

    A gang's attempt is one, however many members it has; of a job of very many tasks, the first are read.
    """
    tasks = job.tasks[: 1 if job.spec.coscheduled else _TASKS_READ]
    failures = preemptions = 0
    for task in tasks:
        for attempt in task.attempts:
            if attempt.cause is None:
                continue
            charges = MEANING[attempt.cause].charges
            failures += charges is Budget.FAILURE
            preemptions += charges is Budget.PREEMPTION
    return failures, preemptions


def why_of(job: Job) -> str:
    """How a job ended, or what it is about to end by; else what is wrong with one of its tasks."""
    if job.why or job.state is JobState.SUCCEEDED:
        return job.why
    for task in job.tasks[:_TASKS_READ]:
        if task.why:
            return task.why
    if job.state not in ENDED_JOB:
        return ""
    details = (a.detail for task in job.tasks[:_TASKS_READ] for a in reversed(task.attempts))
    return next((detail for detail in details if detail), "")


@dataclass(frozen=True, slots=True)
class SliceRow:
    """A slice as a line."""

    id: SliceId
    group: str
    zone: str
    state: str
    hosts: int
    here: int
    """Hosts whose workers have registered."""
    live: int
    chips_used: int
    requested_at: Instant
    ready_at: Instant | None  # None: it was never ready
    why: str


def slice_row(slice_: Slice) -> SliceRow:
    """A slice as a line."""
    return SliceRow(
        slice_.id,
        slice_.group,
        slice_.zone,
        slice_.state.value,
        len(slice_.workers),
        sum(name is not None for name in slice_.workers),
        slice_.live,
        slice_.chips_used,
        slice_.requested_at,
        slice_.ready_at,
        slice_.why,
    )
