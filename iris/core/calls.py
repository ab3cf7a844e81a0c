"""What a pool of workers is told of its calls and workers, and what it asks for; see `iris.core.pool`.

A call is known by a number; what it calls and what came of it are its client's. A seat is one task of one of the
pool's jobs, named as the task is; a worker is an attempt at it.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, NewType, TypeAlias

from iris.core.ids import JobId, TaskId
from iris.core.instant import Millis
from iris.core.retry import Budget

CallId = NewType("CallId", int)
"""Counted from 0 in the order of submission, and never used again."""


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How often a call is made again, and how long it may take in all."""

    failures: int = 0
    """So often it may raise, or end its worker's process, and be made again."""
    losses: int = 100
    """So often it may lose its worker and be made again."""
    timeout: Millis | None = None
    """From its submission to its end, whatever happens to it. None: no limit."""


UNLIMITED: Final = CallLimits()

# ---- facts -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CallSubmitted:
    """Somebody wants a call made."""

    call: CallId
    limits: CallLimits = UNLIMITED
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class CallCancelled:
    """Nobody wants it any more; a worker may have been sent it, and will have been told nothing of it."""

    call: CallId


class Outcome(Enum):
    """How a call ended at a worker."""

    RETURNED = "returned"
    RAISED = "raised"
    CRASHED = "crashed"
    """The process that made it ended."""


@dataclass(frozen=True, slots=True)
class CallAnswered:
    """A worker has made a call."""

    call: CallId
    task: TaskId
    attempt: int
    outcome: Outcome
    took_us: int = 0


@dataclass(frozen=True, slots=True)
class CallsGivenBack:
    """A worker has not begun these calls, and will not."""

    calls: tuple[CallId, ...]
    task: TaskId
    attempt: int


@dataclass(frozen=True, slots=True)
class SeatsAdded:
    """A job was submitted: a worker will come for each of its tasks."""

    tasks: tuple[TaskId, ...]


@dataclass(frozen=True, slots=True)
class SeatsRefused:
    """No job could be submitted for this many seats."""

    count: int
    why: str


@dataclass(frozen=True, slots=True)
class SeatsGone:
    """Tasks have ended for good: no worker will come for them again."""

    tasks: tuple[TaskId, ...]
    why: str


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """A worker is connected, and holds no call."""

    task: TaskId
    attempt: int


@dataclass(frozen=True, slots=True)
class WorkerSilent:
    """A worker does not answer; it may be lost, or only be out of reach."""

    task: TaskId
    attempt: int


@dataclass(frozen=True, slots=True)
class WorkerBack:
    """A worker that was silent answers again, and holds what it held."""

    task: TaskId
    attempt: int


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A worker has ended, or could not be reached for so long that it counts as lost."""

    task: TaskId
    attempt: int
    charges: Budget
    """Whose fault it was: what the call that it was making is charged to."""
    why: str


@dataclass(frozen=True, slots=True)
class Resized:
    """So many workers are wanted from now on; one or more."""

    wanted: int


@dataclass(frozen=True, slots=True)
class PoolClosed:
    """No call will be submitted any more."""

    cancels: bool
    """Those that wait for a worker shall not be made."""


@dataclass(frozen=True, slots=True)
class PoolEnded:
    """Nothing can be done for any call any more."""

    why: str


Fact: TypeAlias = (
    CallSubmitted
    | CallAnswered
    | CallCancelled
    | CallsGivenBack
    | WorkerReady
    | WorkerLost
    | WorkerSilent
    | WorkerBack
    | SeatsAdded
    | SeatsRefused
    | SeatsGone
    | Resized
    | PoolClosed
    | PoolEnded
)

# ---- requests ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SendCalls:
    """To make one after the other, in this order."""

    task: TaskId
    attempt: int
    calls: tuple[CallId, ...]


@dataclass(frozen=True, slots=True)
class RecallCalls:
    """To give back, those of them that have not begun."""

    task: TaskId
    attempt: int
    calls: tuple[CallId, ...]


@dataclass(frozen=True, slots=True)
class AbandonCalls:
    """To end at once, even if one runs: nobody waits for them. Each is answered or given back all the same."""

    task: TaskId
    attempt: int
    calls: tuple[CallId, ...]


class Verdict(Enum):
    """How a call ended for who submitted it."""

    ANSWERED = "answered"
    """As its last answer said: with a value, with what it raised, or with its process."""
    TIMED_OUT = "timed_out"
    LOST = "lost"
    """It lost its worker more often than it may."""
    CANCELLED = "cancelled"
    ENDED = "ended"
    """The pool ended before it."""


@dataclass(frozen=True, slots=True)
class SettleCall:
    """To tell who submitted a call; once for each."""

    call: CallId
    verdict: Verdict
    why: str = ""


@dataclass(frozen=True, slots=True)
class AddSeats:
    """To submit a job of so many tasks; answered by `SeatsAdded` or `SeatsRefused`."""

    count: int


@dataclass(frozen=True, slots=True)
class DismissWorker:
    """To let a worker end well, which ends its task for good."""

    task: TaskId
    attempt: int


@dataclass(frozen=True, slots=True)
class StopJob:
    """To stop a job of which no task is wanted and none has a worker."""

    job: JobId


Request: TypeAlias = (
    SendCalls | RecallCalls | AbandonCalls | SettleCall | AddSeats | DismissWorker | StopJob
)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pool is, in calls and in workers."""

    waiting: int
    running: int
    """Sent to a worker, and not ended."""
    returned: int
    failed: int
    """Ended otherwise, cancelled ones included."""
    workers: int
    """Those that answer."""
    wanted: int
