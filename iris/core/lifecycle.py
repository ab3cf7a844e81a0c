"""The states of every thing, and the only moves between them. Read this first.

There are five machines. A **job** and a **task** are what a user sees; an **attempt** is one try
at a task on one worker; a **slice** is what the cloud gives and takes; a **worker** is the agent
on one of its hosts. Only attempts, slices and workers are moved by facts. A task follows its last
attempt, and a job follows its tasks, by the pure functions at the end of this module, so that no
two records can tell different stories.

Who wins a tie: an end is final. A report about an attempt that has ended, a registration of a
worker that was declared lost, a sighting of a slice that is gone change nothing but a counter of
stale facts. Of two facts of one instant about one thing, the first in the turn is learned first;
where the order could matter (why a gang failed), the verdict waits for all of them.

A state that is left has no way back, but for three: a task is `pending` again after an attempt that
may be repeated; a worker may fall silent and speak again; and a slice that the cloud called deleted
is `deleting` again when a later listing shows it alive.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final


class _State(Enum):
    """A state; its identity is its hash, since `Enum` computes one in Python at every look-up."""

    __hash__ = object.__hash__


class JobState(_State):
    """What a user sees of a job."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    KILLED = "killed"
    UNSCHEDULABLE = "unschedulable"


class TaskState(_State):
    """What a user sees of a task."""

    PENDING = "pending"
    ASSIGNED = "assigned"
    BUILDING = "building"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    KILLED = "killed"
    UNSCHEDULABLE = "unschedulable"


class AttemptState(_State):
    """Where one try at a task stands."""

    ASSIGNED = "assigned"
    BUILDING = "building"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    KILLED = "killed"
    PREEMPTED = "preempted"
    EVICTED = "evicted"
    WORKER_FAILED = "worker_failed"


class SliceState(_State):
    """Where a slice stands between the request for it and its end."""

    REQUESTED = "requested"
    BOOTING = "booting"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"
    PREEMPTED = "preempted"
    DELETING = "deleting"
    GONE = "gone"


class WorkerState(_State):
    """Whether the agent on a host speaks."""

    HEALTHY = "healthy"
    SILENT = "silent"
    LOST = "lost"


ENDED_JOB: Final = frozenset(
    {JobState.SUCCEEDED, JobState.FAILED, JobState.KILLED, JobState.UNSCHEDULABLE}
)
ENDED_TASK: Final = frozenset(
    {TaskState.SUCCEEDED, TaskState.FAILED, TaskState.KILLED, TaskState.UNSCHEDULABLE}
)
ENDED_ATTEMPT: Final = frozenset(
    {
        AttemptState.SUCCEEDED,
        AttemptState.FAILED,
        AttemptState.KILLED,
        AttemptState.PREEMPTED,
        AttemptState.EVICTED,
        AttemptState.WORKER_FAILED,
    }
)


def _ends(*states: AttemptState) -> frozenset[AttemptState]:
    return frozenset(states) | ENDED_ATTEMPT


JOB_MOVES: Final[Mapping[JobState, frozenset[JobState]]] = {
    JobState.PENDING: frozenset({JobState.RUNNING}) | ENDED_JOB,
    JobState.RUNNING: frozenset({JobState.PENDING}) | ENDED_JOB,
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.KILLED: frozenset(),
    JobState.UNSCHEDULABLE: frozenset(),
}

TASK_MOVES: Final[Mapping[TaskState, frozenset[TaskState]]] = {
    TaskState.PENDING: frozenset({TaskState.ASSIGNED}) | ENDED_TASK,
    TaskState.ASSIGNED: frozenset({TaskState.BUILDING, TaskState.RUNNING, TaskState.PENDING})
    | ENDED_TASK,
    TaskState.BUILDING: frozenset({TaskState.RUNNING, TaskState.PENDING}) | ENDED_TASK,
    TaskState.RUNNING: frozenset({TaskState.PENDING}) | ENDED_TASK,
    # A member of a gang that had succeeded runs again when the gang goes back whole.
    TaskState.SUCCEEDED: frozenset({TaskState.PENDING}),
    TaskState.FAILED: frozenset(),
    TaskState.KILLED: frozenset(),
    TaskState.UNSCHEDULABLE: frozenset(),
}

ATTEMPT_MOVES: Final[Mapping[AttemptState, frozenset[AttemptState]]] = {
    AttemptState.ASSIGNED: _ends(
        AttemptState.BUILDING, AttemptState.RUNNING, AttemptState.STOPPING
    ),
    AttemptState.BUILDING: _ends(AttemptState.RUNNING, AttemptState.STOPPING),
    AttemptState.RUNNING: _ends(AttemptState.STOPPING),
    AttemptState.STOPPING: _ends(),
    AttemptState.SUCCEEDED: frozenset(),
    AttemptState.FAILED: frozenset(),
    AttemptState.KILLED: frozenset(),
    AttemptState.PREEMPTED: frozenset(),
    AttemptState.EVICTED: frozenset(),
    AttemptState.WORKER_FAILED: frozenset(),
}

SLICE_MOVES: Final[Mapping[SliceState, frozenset[SliceState]]] = {
    SliceState.REQUESTED: frozenset(
        {
            SliceState.BOOTING,
            SliceState.READY,
            SliceState.FAILED,
            SliceState.PREEMPTED,
            SliceState.DELETING,
        }
    ),
    SliceState.BOOTING: frozenset(
        {SliceState.READY, SliceState.FAILED, SliceState.PREEMPTED, SliceState.DELETING}
    ),
    SliceState.READY: frozenset({SliceState.DRAINING, SliceState.FAILED, SliceState.PREEMPTED}),
    SliceState.DRAINING: frozenset({SliceState.FAILED, SliceState.PREEMPTED, SliceState.DELETING}),
    SliceState.FAILED: frozenset({SliceState.DELETING}),
    SliceState.PREEMPTED: frozenset({SliceState.DELETING}),
    SliceState.DELETING: frozenset({SliceState.GONE}),
    SliceState.GONE: frozenset({SliceState.DELETING}),
}

WORKER_MOVES: Final[Mapping[WorkerState, frozenset[WorkerState]]] = {
    WorkerState.HEALTHY: frozenset({WorkerState.SILENT, WorkerState.LOST}),
    WorkerState.SILENT: frozenset({WorkerState.HEALTHY, WorkerState.LOST}),
    WorkerState.LOST: frozenset(),
}

COMING: Final = frozenset({SliceState.REQUESTED, SliceState.BOOTING})
"""Slices that are on their way: asked for, not yet ready."""
ALIVE: Final = COMING | {SliceState.READY, SliceState.DRAINING}
"""Slices that are neither lost nor given back."""


def job_state_of(tasks: Iterable[TaskState]) -> JobState:
    """The state of a job by the states of its tasks; total over every multiset of them.

    The worst end decides once all have ended; until then a job runs when any of its tasks is
    assigned or further, and is pending otherwise.
    """
    seen = set(tasks)
    if seen <= ENDED_TASK:
        for task, job in _WORST_FIRST:
            if task in seen:
                return job
        return JobState.SUCCEEDED
    if seen & {TaskState.ASSIGNED, TaskState.BUILDING, TaskState.RUNNING}:
        return JobState.RUNNING
    return JobState.PENDING


_WORST_FIRST: Final = (
    (TaskState.FAILED, JobState.FAILED),
    (TaskState.UNSCHEDULABLE, JobState.UNSCHEDULABLE),
    (TaskState.KILLED, JobState.KILLED),
)
