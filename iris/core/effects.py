"""Every request that the core makes of the world, in the imperative. Each may be performed twice.

Names are minted by the core, so repeating a request creates and ends nothing twice: a create that
finds its name taken has succeeded, a delete that finds nothing has, too.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from iris.core.ids import EndpointId, GroupName, JobId, RequestId, SliceId, TaskId, WorkerId, Zone
from iris.core.instant import Millis


@dataclass(frozen=True, slots=True)
class CreateSlice:
    """Ask the cloud for a slice; answered by `SliceAccepted` or `SliceCreateFailed`."""

    slice: SliceId
    group: GroupName
    zone: Zone


@dataclass(frozen=True, slots=True)
class DeleteSlice:
    """Give a slice back; answered by `SliceDeleted` or `SliceDeleteFailed`."""

    slice: SliceId
    group: GroupName
    zone: Zone


@dataclass(frozen=True, slots=True)
class ObserveSlices:
    """List our machines: the named ones, or all of them; answered by `SlicesObserved`."""

    slices: tuple[SliceId, ...] = ()


@dataclass(frozen=True, slots=True)
class StartAttempt:
    """Start a task's attempt on a worker."""

    worker: WorkerId
    incarnation: str
    task: TaskId
    attempt: int
    rank: int
    """The task's index, which in a gang is the number of its host."""
    version: int
    """Of the worker's desired set, from which on it holds this attempt."""


@dataclass(frozen=True, slots=True)
class StopAttempt:
    """End an attempt: SIGTERM, the grace, SIGKILL, and report when the container is gone."""

    worker: WorkerId
    incarnation: str
    task: TaskId
    attempt: int
    grace: Millis
    version: int


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Tell a worker that the end of an attempt is on record and need not be repeated."""

    worker: WorkerId
    incarnation: str
    task: TaskId
    attempt: int


@dataclass(frozen=True, slots=True)
class RefuseWorker:
    """Tell an agent that its registration is refused, and why; it must not run anything."""

    slice: SliceId
    host: int
    incarnation: str
    why: str


@dataclass(frozen=True, slots=True)
class ForgetJobs:
    """Remove what these jobs left behind, before one of the same name may begin."""

    jobs: tuple[JobId, ...]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer to a request that was granted."""

    job: JobId | None = None  # None: the request was not a submission
    slice: SliceId | None = None  # None: it did not ask for a slice
    endpoint: EndpointId | None = None  # None: it did not say where it serves


class Refusal(Enum):
    """What kind of refusal it is, for whoever must act on it."""

    INVALID = "invalid"
    """What was asked for cannot be."""
    UNKNOWN = "unknown"
    """It names what is not there."""
    CONFLICT = "conflict"
    """It exists already, or is in a state that does not allow this."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The answer to a request that was refused: what was wrong, and what would be right."""

    why: str
    refusal: Refusal = Refusal.INVALID


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer the one who asked."""

    request: RequestId
    answer: Accepted | Rejected


Effect: TypeAlias = (
    CreateSlice
    | DeleteSlice
    | ObserveSlices
    | StartAttempt
    | StopAttempt
    | Acknowledge
    | RefuseWorker
    | ForgetJobs
    | Reply
)
