"""What readers are told: frozen answers, built from the state when somebody asks, and never kept.

A view copies what it shows, so that a later turn does not change it, and asking leaves no trace in
the state. What a view says follows from the tables; why something waits, `iris.core.explain` says.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from iris.core import gates
from iris.core.autoscaler import standing
from iris.core.ids import (
    GroupName,
    JobId,
    SliceId,
    TaskId,
    UserName,
    WorkerId,
    Zone,
    worker_id,
)
from iris.core.instant import Instant
from iris.core.lifecycle import AttemptState, JobState, SliceState, TaskState, WorkerState
from iris.core.records import Attempt, Job, Slice, Task, Worker
from iris.core.resources import Resources
from iris.core.retry import EndCause
from iris.core.spec import Band, Constraint, GroupSpec, JobSpec
from iris.core.state import ClusterState

_Named = TypeVar("_Named", TaskState, SliceState)


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One try at a task: where, when, and how it ended."""

    number: int
    state: AttemptState
    worker: WorkerId
    slice: SliceId
    assigned_at: Instant
    started_at: Instant | None  # None: the user's code has not run
    ended_at: Instant | None  # None: it has not ended
    cause: EndCause | None  # None: likewise
    detail: str


@dataclass(frozen=True, slots=True)
class TaskView:
    """One of a job's tasks, with all of its attempts."""

    id: TaskId
    state: TaskState
    attempts: tuple[AttemptView, ...]
    not_before: Instant | None  # None: it is not kept waiting between two attempts
    avoids: tuple[WorkerId, ...]
    """Workers on which a launch of it failed."""
    why: str


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job as one line of a list."""

    id: JobId
    state: JobState
    user: UserName
    band: Band
    submitted_at: Instant
    ended_at: Instant | None  # None: it has not ended
    tasks: tuple[tuple[TaskState, int], ...]
    """How many tasks are in each state that any is in, in the order of the states."""


@dataclass(frozen=True, slots=True)
class JobView:
    """A job with everything that is on record of it."""

    line: JobLine
    spec: JobSpec
    tasks: tuple[TaskView, ...]
    children: tuple[JobId, ...]
    ending: JobState | None  # None: no end was decided for it
    why: str

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """Every condition on where it may run; what came from its parent says `inherited`."""
        return self.spec.constraints


@dataclass(frozen=True, slots=True)
class JobPage:
    """One page of the list of jobs, newest first."""

    jobs: tuple[JobLine, ...]
    total: int
    """How many match, shown or not."""


@dataclass(frozen=True, slots=True)
class WorkerView:
    """The agent on one host, and what it holds."""

    id: WorkerId
    slice: SliceId
    host: int
    address: str
    state: WorkerState
    silent_since: Instant | None  # None: it speaks
    cordoned: bool
    offers: Resources
    committed: Resources
    tasks: tuple[TaskId, ...]
    """Whose unfinished attempts are on it."""
    held_for: tuple[JobId, ...]
    """For whom room is kept on it."""
    launch_failures: int


@dataclass(frozen=True, slots=True)
class VmView:
    """A machine: one host of a slice, whether its agent has spoken or is awaited."""

    id: WorkerId
    """What its agent is called, or will be."""
    slice: SliceId
    host: int
    group: GroupName
    zone: Zone
    slice_state: SliceState
    worker: WorkerView | None  # None: it is awaited
    attempts: tuple[AttemptView, ...]
    """Those of the worker's tasks that have not ended, in the same order."""
    why: str
    """What was last said of its slice."""


@dataclass(frozen=True, slots=True)
class SliceView:
    """A slice that may exist, or did until lately."""

    id: SliceId
    group: GroupName
    zone: Zone
    state: SliceState
    workers: tuple[WorkerId | None, ...]  # None in it: that host is awaited
    requested_at: Instant
    ready_at: Instant | None  # None: never ready
    deadline: Instant | None  # None: nothing is awaited of the cloud
    cordon_until: Instant | None  # None: it may have work
    idle_since: Instant | None  # None: in use, or not ready
    live: int
    """Unfinished attempts on it."""
    chips_used: int
    adopted: bool
    why: str


@dataclass(frozen=True, slots=True)
class GateView:
    """What is thought of one (zone, type)."""

    zone: Zone
    accelerator_type: str
    window: int
    """How many slices may be coming at once."""
    level: int
    """How often in a row it disappointed."""
    blocked_until: Instant | None  # None: open
    for_ever: bool
    """Only a new configuration lifts the block."""
    scarce: bool
    why: str


@dataclass(frozen=True, slots=True)
class GroupView:
    """A kind of slice, and how many there are."""

    spec: GroupSpec
    slices: tuple[tuple[SliceState, int], ...]
    """How many slices are in each state that any is in, in the order of the states."""
    standing: int
    """Ready or coming: what counts for the floor."""
    existing: int
    """All that may exist: what counts for the limit."""
    idle: int


def job_view(state: ClusterState, job: JobId) -> JobView | None:
    """Everything on record of a job; nothing when it is not known."""
    row = state.jobs.get(job)
    if row is None:
        return None
    return JobView(
        line=job_line(row),
        spec=row.spec,
        tasks=tuple(task_view(task) for task in row.tasks),
        children=tuple(row.children),
        ending=row.ending,
        why=row.why,
    )


def job_page(
    state: ClusterState,
    *,
    user: UserName | None = None,
    job_state: JobState | None = None,
    only: Callable[[Job], bool] | None = None,
    limit: int,
) -> JobPage:
    """The newest jobs of a user (or of all) in a state (or in any), and how many there are.

    With `only`, those for which it says yes; it must change nothing.
    """
    matching = [
        job
        for job in state.jobs.values()
        if (user is None or job.spec.user == user) and (job_state is None or job.state is job_state)
    ]
    if only is not None:
        matching = [job for job in matching if only(job)]
    newest = sorted(matching, key=lambda job: -job.number)[: max(0, limit)]
    return JobPage(tuple(job_line(job) for job in newest), len(matching))


def lines_above(state: ClusterState, page: JobPage) -> tuple[JobLine, ...]:
    """The jobs above those of a page that are on record and not among them, the oldest first."""
    there = {line.id for line in page.jobs}
    above: dict[JobId, Job] = {}
    for line in page.jobs:
        parent = state.jobs[line.id].spec.parent
        while parent in state.jobs and parent not in above:
            above[parent] = state.jobs[parent]
            parent = state.jobs[parent].spec.parent
    jobs = sorted(above.values(), key=lambda job: job.number)
    return tuple(job_line(job) for job in jobs if job.id not in there)


def slice_views(state: ClusterState, group: GroupName | None = None) -> tuple[SliceView, ...]:
    """The slices of a group (or of all), oldest first."""
    rows = sorted(state.slices.values(), key=lambda slice_: slice_.number)
    return tuple(slice_view(row) for row in rows if group is None or row.group == group)


def worker_views(state: ClusterState, slice_: SliceId | None = None) -> tuple[WorkerView, ...]:
    """The workers of a slice (or of all), oldest first."""
    rows = sorted(state.workers.values(), key=lambda worker: worker.number)
    return tuple(worker_view(row) for row in rows if slice_ is None or row.slice == slice_)


def vm_views(state: ClusterState, slice_: SliceId | None = None) -> tuple[VmView, ...]:
    """The machines of a slice (or of all that may exist), oldest first, each slice's by their hosts."""
    rows = sorted(state.slices.values(), key=lambda row: row.number)
    return tuple(
        _vm(state, row, host)
        for row in rows
        if row.state is not SliceState.GONE and slice_ in (None, row.id)
        for host in range(len(row.workers))
    )


def group_views(state: ClusterState) -> tuple[GroupView, ...]:
    """Every configured group, in the order of the configuration."""
    return tuple(_group(state, group) for group in state.spec.groups)


def gate_views(state: ClusterState) -> tuple[GateView, ...]:
    """Every (zone, type) of which something was learned, by name."""
    return tuple(
        GateView(
            zone=gate.zone,
            accelerator_type=gate.accelerator_type,
            window=gate.window,
            level=gate.level,
            blocked_until=gate.blocked_until if _blocks(state, gate.blocked_until) else None,
            for_ever=gate.blocked_until == gates.FOREVER,
            scarce=gate.scarce,
            why=gate.why,
        )
        for _, gate in sorted(state.gates.items())
    )


def _blocks(state: ClusterState, until: Instant | None) -> bool:
    return until is not None and until > state.now


def job_line(job: Job) -> JobLine:
    """A job as one line of a list."""
    return JobLine(
        id=job.id,
        state=job.state,
        user=job.spec.user,
        band=job.spec.band,
        submitted_at=job.submitted_at,
        ended_at=job.ended_at,
        tasks=_counts(job.tally, TaskState),
    )


def _counts(
    tally: Mapping[_Named, int], states: Iterable[_Named]
) -> tuple[tuple[_Named, int], ...]:
    return tuple((state, tally[state]) for state in states if tally.get(state))


def task_view(task: Task) -> TaskView:
    """A task with all of its attempts."""
    return TaskView(
        id=task.id,
        state=task.state,
        attempts=tuple(_attempt(attempt) for attempt in task.attempts),
        not_before=task.not_before if task.state is TaskState.PENDING else None,
        avoids=task.avoid,
        why=task.why,
    )


def _attempt(attempt: Attempt) -> AttemptView:
    return AttemptView(
        number=attempt.number,
        state=attempt.state,
        worker=attempt.worker,
        slice=attempt.slice,
        assigned_at=attempt.assigned_at,
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
        cause=attempt.cause,
        detail=attempt.detail,
    )


def slice_view(row: Slice) -> SliceView:
    """A slice."""
    return SliceView(
        id=row.id,
        group=row.group,
        zone=row.zone,
        state=row.state,
        workers=tuple(row.workers),
        requested_at=row.requested_at,
        ready_at=row.ready_at,
        deadline=row.deadline,
        cordon_until=row.cordon_until,
        idle_since=row.idle_since,
        live=row.live,
        chips_used=row.chips_used,
        adopted=row.adopted,
        why=row.why,
    )


def worker_view(row: Worker) -> WorkerView:
    """A worker."""
    return WorkerView(
        id=row.id,
        slice=row.slice,
        host=row.host,
        address=row.address,
        state=row.state,
        silent_since=row.silent_since,
        cordoned=row.cordoned,
        offers=row.offers,
        committed=row.committed,
        tasks=tuple(sorted(row.attempts)),
        held_for=tuple(job for job, _ in row.holds),
        launch_failures=row.launch_failures,
    )


def _vm(state: ClusterState, row: Slice, host: int) -> VmView:
    name = row.workers[host]
    worker = None if name is None else state.workers[name]
    held = [] if worker is None else sorted(worker.attempts.items())
    return VmView(
        id=worker_id(row.id, host),
        slice=row.id,
        host=host,
        group=row.group,
        zone=row.zone,
        slice_state=row.state,
        worker=None if worker is None else worker_view(worker),
        attempts=tuple(_attempt(state.tasks[task].attempts[number]) for task, number in held),
        why=row.why,
    )


def _group(state: ClusterState, group: GroupSpec) -> GroupView:
    return GroupView(
        spec=group,
        slices=_counts(state.fleet.get(group.name, {}), SliceState),
        standing=standing(state, group),
        existing=state.existing(group.name),
        idle=len(state.idle.get(group.name, ())),
    )
