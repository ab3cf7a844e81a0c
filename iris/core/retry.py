"""What an end means: one total table from the cause of an attempt's end to what follows from it.

A cause is what was seen, or why a stop was asked for. The table says in which state the attempt
ends, whose budget pays when its task is tried again, and whether the host is blamed. Nobody else
in Iris classifies a failure.

A gang's round is judged once, when all of its members have ended, by the set of their causes and
never by the order of the reports: infrastructure outweighs the user's own failure (a sibling that
exits because a host vanished is infrastructure), and a stop that only followed from another end
(`SIBLING`) counts for nothing. A worker reports a cause of its own only for a container that ended
by itself; one that it stopped ends with the cause for which the stop was asked.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from iris.core.lifecycle import AttemptState


class EndCause(Enum):
    """Why an attempt ended."""

    EXIT_ZERO = "exit_zero"
    EXIT_NONZERO = "exit_nonzero"
    OUT_OF_MEMORY = "out_of_memory"
    LAUNCH = "launch"
    """Image, bundle, device or engine: the user's code never ran."""
    BUILD = "build"
    """What the job itself brings could not be made ready: its packages, its project, its archive."""
    HOST_LOST = "host_lost"
    PREEMPTION = "preemption"
    EVICTION = "eviction"
    SIBLING = "sibling"
    """Another member of the gang ended, so this one was stopped."""
    REQUESTED = "requested"
    """A user, or the end of the job's parent, stopped the job."""
    JOB_ENDED = "job_ended"
    """The job ended for another reason (a member failed for good), so this one was stopped."""
    TIMEOUT = "timeout"
    UNKNOWN = "unknown"
    """The worker no longer knows the attempt, or its report names no cause."""


class Budget(Enum):
    """Which of a job's two budgets a repeated task is charged to."""

    FAILURE = "failure"
    PREEMPTION = "preemption"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What follows from an end."""

    state: AttemptState
    charges: Budget | None  # None: nobody pays, and the cause alone repeats nothing
    blames_host: bool = False


_INFRASTRUCTURE: Final = Meaning(AttemptState.WORKER_FAILED, Budget.PREEMPTION)

MEANING: Final[Mapping[EndCause, Meaning]] = {
    EndCause.EXIT_ZERO: Meaning(AttemptState.SUCCEEDED, None),
    EndCause.EXIT_NONZERO: Meaning(AttemptState.FAILED, Budget.FAILURE),
    EndCause.OUT_OF_MEMORY: Meaning(AttemptState.FAILED, Budget.FAILURE),
    EndCause.LAUNCH: Meaning(AttemptState.WORKER_FAILED, Budget.PREEMPTION, blames_host=True),
    EndCause.BUILD: Meaning(AttemptState.FAILED, Budget.PREEMPTION),
    EndCause.HOST_LOST: _INFRASTRUCTURE,
    EndCause.PREEMPTION: Meaning(AttemptState.PREEMPTED, Budget.PREEMPTION),
    EndCause.EVICTION: Meaning(AttemptState.EVICTED, Budget.PREEMPTION),
    EndCause.SIBLING: Meaning(AttemptState.KILLED, None),
    EndCause.REQUESTED: Meaning(AttemptState.KILLED, None),
    EndCause.JOB_ENDED: Meaning(AttemptState.KILLED, None),
    EndCause.TIMEOUT: Meaning(AttemptState.FAILED, None),
    EndCause.UNKNOWN: _INFRASTRUCTURE,
}

_WEIGHT: Final[Mapping[Budget | None, int]] = {
    Budget.PREEMPTION: 2,
    Budget.FAILURE: 1,
    None: 0,
}


def charge_of(causes: Iterable[EndCause]) -> Budget | None:
    """The one budget that a round with these ends is charged to, in whatever order they came."""
    charges = (MEANING[cause].charges for cause in causes)
    return max(charges, key=_WEIGHT.__getitem__, default=None)


BUILD_TRIES: Final = 3
"""So many rounds in a row of a job that cannot be built, on other hosts where there are some, fail it."""


def failed_builds(rounds: Sequence[Collection[EndCause | None]]) -> int:
    """How many rounds, the last ones in a row, ended because something could not be built."""
    count = 0
    for causes in reversed(rounds):
        if EndCause.BUILD not in causes:
            break
        count += 1
    return count


SURVIVES_LOSS: Final = frozenset(
    {EndCause.REQUESTED, EndCause.JOB_ENDED, EndCause.TIMEOUT, EndCause.EVICTION}
)
"""Causes of a stop that stay the cause of the end when the worker is lost before it obeyed."""


def cause_of_loss(stopping_for: EndCause | None, loss: EndCause) -> EndCause:
    """Why an attempt ended whose worker was lost while it may have been stopping."""
    return stopping_for if stopping_for in SURVIVES_LOSS and stopping_for is not None else loss
