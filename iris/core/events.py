"""Every fact that the core can be told, in the past tense. A fact says what was seen, never what it means."""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from iris.core.ids import (
    EndpointId,
    GroupName,
    JobId,
    RequestId,
    SliceId,
    TaskId,
    UserName,
    WorkerId,
    Zone,
)
from iris.core.instant import Instant, Millis
from iris.core.lifecycle import AttemptState
from iris.core.resources import Resources
from iris.core.retry import EndCause
from iris.core.spec import ClusterSpec, JobSpec


class CreateFailure(Enum):
    """Why the cloud refused or broke off a create, as its adapter classified the error."""

    STOCKOUT = "stockout"
    QUOTA_ZONE = "quota_zone"
    QUOTA_REGION = "quota_region"
    RATE = "rate"
    PERMISSION = "permission"
    BAD_REQUEST = "bad_request"
    INTERNAL = "internal"
    UNKNOWN = "unknown"


class CloudState(Enum):
    """What a listing says of a machine; every state that no adapter knows is `OTHER`."""

    CREATING = "creating"
    READY = "ready"
    REPAIRING = "repairing"
    PREEMPTED = "preempted"
    DELETING = "deleting"
    STOPPED = "stopped"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ConfigLoaded:
    """The operator's configuration was read, at the start or again."""

    spec: ClusterSpec


@dataclass(frozen=True, slots=True)
class JobSubmitted:
    """A user, or a running task, submitted a job; the same request twice is one job."""

    request: RequestId
    spec: JobSpec


@dataclass(frozen=True, slots=True)
class JobStopRequested:
    """A user asked for a job and its whole tree to be stopped."""

    request: RequestId
    job: JobId
    user: UserName


@dataclass(frozen=True, slots=True)
class WorkerRegistered:
    """An agent introduced itself: which host of which slice it is, and what the host offers."""

    slice: SliceId
    host: int
    incarnation: str
    """Names one run of the agent's process; a restarted agent has another."""
    address: str
    offers: Resources
    group: GroupName | None = None  # None: the machine's labels name no group
    zone: Zone | None = None  # None: likewise


@dataclass(frozen=True, slots=True)
class AttemptReport:
    """What a worker says of one attempt; an ended one is repeated until it is acknowledged."""

    task: TaskId
    attempt: int
    state: AttemptState
    """`BUILDING` or `RUNNING`, or any ended state, which only says that the container is gone."""
    cause: EndCause | None = None  # None: it has not ended
    detail: str = ""


@dataclass(frozen=True, slots=True)
class WorkerReported:
    """A worker spoke about attempts: some of them, or, when `complete`, all that it has."""

    worker: WorkerId
    incarnation: str
    reports: tuple[AttemptReport, ...]
    complete: bool = False
    acted_on: int = 0
    """The version of the worker's desired set that it had last carried out; used when complete."""


@dataclass(frozen=True, slots=True)
class WorkerSilent:
    """Nothing has been heard from a worker since an instant, though it should have spoken."""

    worker: WorkerId
    incarnation: str
    since: Instant


@dataclass(frozen=True, slots=True)
class WorkerHeard:
    """A silent worker spoke again."""

    worker: WorkerId
    incarnation: str


@dataclass(frozen=True, slots=True)
class WorkerDrainRequested:
    """An operator asked for a worker to get no new work, or (`resume`) to get some again."""

    worker: WorkerId
    resume: bool = False


@dataclass(frozen=True, slots=True)
class ControllerStalled:
    """The controller itself stood still from an instant until now, and heard nobody."""

    since: Instant


@dataclass(frozen=True, slots=True)
class ControllerRestarted:
    """The controller was restarted and has recovered its journal."""


@dataclass(frozen=True, slots=True)
class SliceAccepted:
    """The cloud took a create request; the machines may come now."""

    slice: SliceId


@dataclass(frozen=True, slots=True)
class SliceCreateFailed:
    """The cloud refused a create, in the call or later in its operation."""

    slice: SliceId
    reason: CreateFailure
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PreemptionNoticed:
    """The cloud announced that it will take a slice."""

    slice: SliceId


@dataclass(frozen=True, slots=True)
class SliceSighting:
    """One machine of a listing that carries our label."""

    slice: SliceId
    state: CloudState
    group: GroupName | None = None  # None: its labels name no group
    zone: Zone | None = None  # None: the listing names no zone


@dataclass(frozen=True, slots=True)
class SlicesObserved:
    """The cloud listed machines. Only a complete listing speaks about what it does not hold."""

    listing: tuple[SliceSighting, ...]
    asked_at: Instant
    """When the question was asked: what came later cannot be missing from the answer."""
    complete: bool
    missing: tuple[SliceId, ...] = ()
    """Slices that were asked for by name and not found; a hint, and never a proof of absence."""
    error: str = ""
    """Set when the call failed: then nothing at all was learned."""


@dataclass(frozen=True, slots=True)
class SliceDeleted:
    """The cloud says that a deleted slice is no more, or that it never was."""

    slice: SliceId


@dataclass(frozen=True, slots=True)
class SliceDeleteFailed:
    """The cloud could not delete a slice now."""

    slice: SliceId
    detail: str = ""
    denied: bool = False
    """Whether it refuses whoever asks: no waiting helps."""


@dataclass(frozen=True, slots=True)
class SliceTerminateRequested:
    """An operator asked for a slice to be given up at once, work and all."""

    request: RequestId
    slice: SliceId


@dataclass(frozen=True, slots=True)
class SliceCreateRequested:
    """An operator asked for one more slice of a group, over and above the demand."""

    request: RequestId
    group: GroupName
    keep: Millis
    """How long it is kept even when nobody uses it."""


@dataclass(frozen=True, slots=True)
class EndpointRegistered:
    """A server inside a task said that it serves; the same twice is one endpoint."""

    request: RequestId
    task: TaskId
    attempt: int
    name: str
    address: str
    """As `10.0.0.3:10417`."""


@dataclass(frozen=True, slots=True)
class EndpointsWithdrawn:
    """Servers of a task serve no more: they said so, or did not renew their leases."""

    task: TaskId
    endpoints: tuple[EndpointId, ...]
    """Each names its attempt."""
    expired: bool = False
    """Nobody said so: their leases have run out."""


Event: TypeAlias = (
    ConfigLoaded
    | JobSubmitted
    | JobStopRequested
    | WorkerRegistered
    | WorkerReported
    | WorkerSilent
    | WorkerHeard
    | WorkerDrainRequested
    | ControllerStalled
    | ControllerRestarted
    | SliceAccepted
    | SliceCreateFailed
    | PreemptionNoticed
    | SlicesObserved
    | SliceDeleted
    | SliceDeleteFailed
    | SliceTerminateRequested
    | SliceCreateRequested
    | EndpointRegistered
    | EndpointsWithdrawn
)
