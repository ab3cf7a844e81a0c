"""Every choice that the core can make, each with its reason. Applying them needs no further thought.

A journal holds the facts and these. Recovery applies recorded decisions without deciding anew, so
each one carries all that its application needs, minted names and instants included.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from iris.core.effects import Accepted, Rejected
from iris.core.ids import GroupName, JobId, RequestId, SliceId, TaskId, WorkerId, Zone
from iris.core.instant import Instant
from iris.core.lifecycle import JobState, SliceState, TaskState
from iris.core.resources import Resources
from iris.core.retry import Budget, EndCause
from iris.core.spec import JobSpec


class HoldKind(Enum):
    """Why capacity is kept for somebody."""

    EVICTION = "eviction"
    """Victims are leaving it; the beneficiary goes nowhere else."""
    BACKFILL = "backfill"
    """Somebody later was about to overtake; the holder takes whatever fits first."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A submission becomes a job."""

    request: RequestId
    job: JobId
    spec: JobSpec


@dataclass(frozen=True, slots=True)
class Answer:
    """A request is answered without anything else coming of it."""

    request: RequestId
    answer: Accepted | Rejected


BEST_FIT: Final = "best fit"
WHOLE_SLICE: Final = "the whole slice is free"
"""Why a task, or a gang, was placed where nothing had been kept for it."""
KEPT: Final = {kind: f"kept for it ({kind.value})" for kind in HoldKind}
"""Why a holder was placed where something had been."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Tasks get their next attempts: one task anywhere, or a whole gang, rank i on host i."""

    job: JobId
    tasks: tuple[TaskId, ...]
    workers: tuple[WorkerId, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Eviction:
    """Attempts are stopped, and the room they leave is kept for one beneficiary."""

    job: JobId
    tasks: tuple[TaskId, ...]
    """The beneficiary: one task, or all of a gang."""
    workers: tuple[WorkerId, ...]
    need: Resources
    """Kept on each of these workers."""
    victims: tuple[TaskId, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Holding:
    """Capacity that is expected to free up first is kept for work that waits for it."""

    job: JobId
    tasks: tuple[TaskId, ...]
    workers: tuple[WorkerId, ...]
    need: Resources
    expected: Instant | None  # None: nobody who is there has said when it ends
    why: str


@dataclass(frozen=True, slots=True)
class Release:
    """Kept capacity is free for all again."""

    job: JobId
    tasks: tuple[TaskId, ...]
    why: str


@dataclass(frozen=True, slots=True)
class AttemptStop:
    """A running attempt is to end."""

    task: TaskId
    cause: EndCause
    why: str


@dataclass(frozen=True, slots=True)
class AttemptLoss:
    """An attempt is over without a report of its own: its launch took too long, or nobody knows it."""

    task: TaskId
    cause: EndCause
    why: str


@dataclass(frozen=True, slots=True)
class Retry:
    """Tasks whose attempts ended go back to wait: one task, or a gang whole."""

    job: JobId
    tasks: tuple[TaskId, ...]
    charge: Budget | None  # None: nobody pays
    not_before: Instant | None  # None: at once
    why: str


@dataclass(frozen=True, slots=True)
class TaskVerdict:
    """A task will not be tried again: it has failed, or was killed."""

    task: TaskId
    state: TaskState
    why: str


@dataclass(frozen=True, slots=True)
class JobEnd:
    """A job is to end in a state: waiting tasks end now, running ones when their attempts have."""

    job: JobId
    state: JobState
    cause: EndCause
    why: str


@dataclass(frozen=True, slots=True)
class SliceRequest:
    """One more slice is wanted."""

    slice: SliceId
    group: GroupName
    zone: Zone
    keep_until: Instant | None  # None: kept only while it is used
    why: str


@dataclass(frozen=True, slots=True)
class SliceCordon:
    """A slice gets no new work until an instant."""

    slice: SliceId
    until: Instant | None  # None: it may have work again
    why: str


@dataclass(frozen=True, slots=True)
class SliceDrain:
    """A slice gets no new work ever and is given back when its last attempt has ended."""

    slice: SliceId
    why: str


@dataclass(frozen=True, slots=True)
class SliceLoss:
    """A slice is lost as a whole, and with it all of its workers and their attempts."""

    slice: SliceId
    state: SliceState
    """`FAILED` or `PREEMPTED`."""
    cause: EndCause
    why: str


@dataclass(frozen=True, slots=True)
class SliceDelete:
    """The cloud is asked, perhaps again, to take a slice back."""

    slice: SliceId
    retry_at: Instant
    why: str


@dataclass(frozen=True, slots=True)
class SliceGone:
    """A slice is off the books."""

    slice: SliceId
    why: str


@dataclass(frozen=True, slots=True)
class SliceAgain:
    """A create call that was never answered is repeated under its name."""

    slice: SliceId
    retry_at: Instant


@dataclass(frozen=True, slots=True)
class WorkerCordon:
    """A worker gets no new work, or some again."""

    worker: WorkerId
    cordoned: bool
    why: str


@dataclass(frozen=True, slots=True)
class Throttle:
    """What is thought of a (zone, type): how many may be coming at once, and not before when."""

    zone: Zone
    accelerator_type: str
    window: int
    level: int
    """How often in a row it disappointed."""
    blocked_until: Instant | None  # None: open
    scarce: bool
    """The block is about stock or quota, and holds for larger sizes of the family, too."""
    why: str


@dataclass(frozen=True, slots=True)
class CreatePause:
    """The project's rate of creates was refused: no create before an instant."""

    until: Instant


@dataclass(frozen=True, slots=True)
class Observation:
    """The cloud is asked what it has: about some slices, or (none named) about all."""

    slices: tuple[SliceId, ...]
    next_at: Instant
    why: str


@dataclass(frozen=True, slots=True)
class Oblivion:
    """Ended jobs and gone slices are forgotten."""

    jobs: tuple[JobId, ...]
    slices: tuple[SliceId, ...]


Decision: TypeAlias = (
    Admission
    | Answer
    | Placement
    | Eviction
    | Holding
    | Release
    | AttemptStop
    | AttemptLoss
    | Retry
    | TaskVerdict
    | JobEnd
    | SliceRequest
    | SliceCordon
    | SliceDrain
    | SliceLoss
    | SliceDelete
    | SliceGone
    | SliceAgain
    | WorkerCordon
    | Throttle
    | CreatePause
    | Observation
    | Oblivion
)
