"""What the core's requests need of the world: narrow ports, each with several adapters.

An adapter reports what it saw as facts of `iris.core.events`; it concludes nothing. Operating
errors are facts, too: a create that was refused is a `SliceCreateFailed`, never an exception.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from iris.core.effects import CreateSlice, DeleteSlice, ObserveSlices
from iris.core.events import Event
from iris.core.ids import GroupName, SliceId, Zone
from iris.core.instant import Instant
from iris.core.record import Turn


@dataclass(frozen=True, slots=True)
class VmPlace:
    """Which machine: a host of a slice, and where that is."""

    slice: SliceId
    host: int
    group: GroupName
    zone: Zone


class NoLog(Exception):
    """A machine's log is not there, or nobody can read it now; says why."""


class Clock(Protocol):
    """Tells the time, in milliseconds that never go back."""

    def now(self) -> Instant:
        """The present instant."""
        ...


class Journal(Protocol):
    """Keeps turns, durably, in order."""

    def append(self, turn: Turn) -> None:
        """Write a turn; when this returns, it is durable.

        Raises:
            OSError: it could not be made durable; the process must end and recover.
        """
        ...


class VmManager(Protocol):
    """A cloud, or a set of hosts, that gives slices and takes them back."""

    async def create_slice(self, request: CreateSlice) -> Sequence[Event]:
        """Ask for a slice under its name; a name that is taken by our own slice is success."""
        ...

    async def delete_slice(self, request: DeleteSlice) -> Sequence[Event]:
        """Give a slice back; one that is not there is success."""
        ...

    async def observe(self, request: ObserveSlices) -> Sequence[Event]:
        """List our machines: the named ones, or all; an error is told in the answer."""
        ...
