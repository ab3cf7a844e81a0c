"""When the core wants to be woken: one heap of deadlines, pruned lazily.

A deadline is no callback. It names a kind and a thing, and is true only while the state says so:
an entry whose thing has moved on is dropped when it comes to the top. Entries of one instant come
in the order of their kinds and names, never in the order in which they were made, so that a heap
rebuilt from a snapshot fires as the old one would have.
"""

from collections.abc import Callable, Iterator
from enum import IntEnum
from heapq import heapify, heappop, heappush

from iris.core.instant import Instant


class Due(IntEnum):
    """What may fall due; the order is the order of firing within an instant."""

    RETRY = 0
    SCHEDULING = 1
    LAUNCH = 2
    TIMEOUT = 3
    STOP = 4
    SILENCE = 5
    SLICE = 6
    CORDON = 7
    SETTLE = 8
    IDLE = 9
    OBSERVE = 10
    SCALE = 11


class Deadlines:
    """The heap."""

    __slots__ = ("_heap", "_is_true")

    def __init__(self, is_true: Callable[[Instant, Due, str], bool]) -> None:
        self._heap: list[tuple[Instant, Due, str]] = []
        self._is_true = is_true

    def add(self, at: Instant, due: Due, key: str = "") -> None:
        """Wake me at an instant for this."""
        heappush(self._heap, (at, due, key))

    def next(self) -> Instant | None:
        """The earliest true deadline; nothing when there is none."""
        heap = self._heap
        while heap:
            at, due, key = heap[0]
            if self._is_true(at, due, key):
                return at
            heappop(heap)
        return None

    def of(self, *kinds: Due) -> Iterator[tuple[Instant, str]]:
        """The true deadlines of some kinds, in order, a few of which are asked for: all of them stay."""
        found = [entry for entry in self._heap if entry[1] in kinds]
        heapify(found)
        while found:
            entry = heappop(found)
            if self._is_true(*entry):
                yield entry[0], entry[2]

    def pop_due(self, now: Instant) -> Iterator[tuple[Due, str]]:
        """Take out every true deadline up to now, in order, each once."""
        heap = self._heap
        last: tuple[Instant, Due, str] | None = None
        while heap and heap[0][0] <= now:
            entry = heappop(heap)
            if entry != last and self._is_true(*entry):
                yield entry[1], entry[2]
            last = entry

    def entries(self) -> frozenset[tuple[Instant, Due, str]]:
        """All that is in the heap, true or not: for the invariants."""
        return frozenset(self._heap)
