"""What a record of a real cluster says of its outside world, as frozen values.

How each task goes when nothing interrupts it, and what happened to the cluster without its doing.
`sim.outside` reads these out of a journal; the fleet and `sim.happenings` act on them.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from iris.core.events import CreateFailure, Event
from iris.core.ids import GroupName, SliceId, Zone
from iris.core.instant import Instant, Millis
from iris.core.retry import EndCause


@dataclass(frozen=True, slots=True)
class Answer:
    """What one create showed of what a zone would give of a type."""

    at: Instant
    """When the call was taken."""
    failure: CreateFailure | None = None  # None: it did not fail for a passing reason
    limit: int | None = None  # None: the zone was never short
    """So many could exist there, as far as was known after it."""
    short: CreateFailure | None = None  # None: likewise
    """What is said to those that ask for more."""
    after: Millis = Millis(0)
    """How long after the call a refusal was told."""

    def to(self, present: int) -> CreateFailure | None:
        """What a create is told while so many exist; nothing if it is granted."""
        if self.failure is not None:
            return self.failure
        return self.short if self.limit is not None and present >= self.limit else None


@dataclass(frozen=True, slots=True)
class OwnEnd:
    """An end before its time that a task came to by itself."""

    at: Millis
    """How much work was done by then, what was saved before included."""
    cause: EndCause


@dataclass(frozen=True, slots=True)
class TaskCourse:
    """How a task goes, attempt by attempt, when nothing interrupts it."""

    length: Millis
    """All of its work, from its user's code running to its success."""
    failures: tuple[OwnEnd | None, ...] = ()
    """Its ends before that, in order; None: in that round another member of its gang failed."""
    launches: tuple[Millis, ...] = ()
    """From the start of each attempt to the user's code running; the last for all further ones."""

    def launch(self, attempt: int) -> Millis:
        """How long an attempt launches."""
        return self.launches[min(attempt, len(self.launches) - 1)] if self.launches else Millis(0)

    def failure(self, failed: int) -> OwnEnd | None:
        """The end before its time of an attempt before which so many had failed by themselves."""
        return self.failures[failed] if failed < len(self.failures) else None


class LossKind(Enum):
    """How something was lost."""

    PREEMPTED = "preempted"
    """The cloud took the slice."""
    VANISHED = "vanished"
    """The slice died, and the cloud says so when it is asked."""
    HOST_DEAD = "host_dead"
    """One of its hosts was heard of no more."""
    HOST_SILENT = "host_silent"
    """One of its hosts was not heard of for a while."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A slice, or a host of one, was lost; in another world others run the same risk."""

    at: Instant
    kind: LossKind
    slice: SliceId
    group: GroupName
    zone: Zone
    among: int = 1
    """How many of the group could have been hit then, itself included."""
    booting: bool = False
    """It was not ready yet."""
    told: bool = False
    """The cloud said so itself, before a silence was noticed."""
    host: int = 0
    span: Millis = Millis(0)
    """Of a preemption its notice; of a silence how long it lasted."""


@dataclass(frozen=True, slots=True)
class Told:
    """A user or an operator asked for something, or the cloud announced what then did not come."""

    at: Instant
    event: Event


@dataclass(frozen=True, slots=True)
class Stall:
    """The controller stood still."""

    at: Instant
    until: Instant


Happening: TypeAlias = Loss | Told | Stall
