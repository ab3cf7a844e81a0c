"""Who waits: units (a task, or a gang whole) in queues of one band, user and shape, in order of arrival.

A queue of which the user's quota lets nobody start is set aside: it is no demand, is looked at by no
planner, and holds nobody up.

Cost is kept to what changes: a queue whose shape is known to fit nowhere is `blocked` and not
looked at again until room appears that its shape fits (`iris.core.scheduler` decides that). Like
every index it is derived from the state; an invariant recomputes it.
"""

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from typing import NamedTuple

from iris.core.fit import Shape
from iris.core.ids import UserName

GANG = -1
"""The index of a unit that is a whole gang."""


class Unit(NamedTuple):
    """What is placed at once: a job's number, and a task's index or `GANG`."""

    job: int
    member: int


class QueueKey(NamedTuple):
    """Units of one queue differ in nothing but when they came."""

    band: int
    user: UserName  # empty: under `fifo`, everybody who has no quota
    shape: Shape
    level: int = 0
    """How deep in their trees they are, of a user with a quota."""


class Queue:
    """The waiting units of one key, first come first."""

    __slots__ = ("_heap", "_members")

    def __init__(self) -> None:
        self._heap: list[Unit] = []
        self._members: set[Unit] = set()

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, unit: Unit) -> bool:
        return unit in self._members

    def add(self, unit: Unit) -> None:
        """Let a unit wait here."""
        self._members.add(unit)
        heappush(self._heap, unit)

    def remove(self, unit: Unit) -> None:
        """The unit waits no longer; its place in the heap is cleared when it is reached."""
        self._members.remove(unit)

    def head(self) -> Unit:
        """The unit that came first; the queue is not empty."""
        heap = self._heap
        while heap[0] not in self._members:
            heappop(heap)
        return heap[0]

    def units(self) -> Iterator[Unit]:
        """All units, first come first."""
        yield from sorted(self._members)

    def in_no_order(self) -> Iterable[Unit]:
        """All units as they lie, for whoever only counts them."""
        return self._members


class Waiting:
    """All queues, and which of them are worth a look."""

    __slots__ = (
        "_allows",
        "accelerators",
        "active",
        "blocked",
        "by_shape",
        "by_user",
        "changed",
        "had_demand",
        "held",
        "queues",
        "unblocked",
        "unsearched",
    )

    def __init__(self, allows: Callable[[QueueKey], bool] = lambda _: True) -> None:
        """Nobody waits.

        Args:
            allows: whether the quota of a queue's user lets a unit of it start.
        """
        self._allows = allows
        self.queues: dict[QueueKey, Queue] = {}
        self.held: dict[QueueKey, Queue] = {}
        """Queues that are set aside, since their user's quota lets nobody of them start."""
        self.by_user: dict[UserName, dict[QueueKey, None]] = {}
        """All queues, those that are set aside among them."""
        self.by_shape: dict[Shape, dict[QueueKey, None]] = {}
        self.blocked: dict[Shape, None] = {}
        """Shapes that fit on no open capacity."""
        self.active: dict[QueueKey, None] = {}
        """Queues whose shape may fit."""
        self.accelerators: dict[str, int] = {}
        """Waiting units by the accelerator that they need."""
        self.changed = True
        """Something came or went since the autoscaler last looked."""
        self.unblocked = 0
        """Counts how often a shape was found to fit again."""
        self.unsearched = False
        """Something was blocked for which no room by eviction was looked for yet."""
        self.had_demand = True
        """Somebody waited when it last looked, as far as is known."""

    def add(self, key: QueueKey, unit: Unit) -> None:
        """A unit waits; one that does already is not counted twice."""
        aside = self.held.get(key)
        queue = self.queues.get(key) if aside is None else aside
        if queue is not None and unit in queue:
            return
        leads = queue is None or unit < queue.head()
        if queue is None:
            queue = Queue()
            self.by_user.setdefault(key.user, {})[key] = None
            if self._allows(key):
                self._list(key, queue)
            else:
                aside = self.held[key] = queue
        queue.add(unit)
        if aside is not None:
            return
        self.changed = True
        if key.shape not in self.blocked:
            self.active[key] = None
        elif leads:
            # Its band or its timeout may let it in where the ones before it were not.
            self.unblock(key.shape)
        self._count(key.shape, 1)

    def remove(self, key: QueueKey, unit: Unit) -> None:
        """A unit waits no longer."""
        aside = self.held.get(key)
        queue = self.queues[key] if aside is None else aside
        queue.remove(unit)
        if aside is None:
            self.changed = True
            self._count(key.shape, -1)
        if queue:
            if aside is None and key.shape in self.blocked and unit < queue.head():
                self.unblock(key.shape)  # The next one's timeout may let it in.
            return
        if aside is None:
            self._unlist(key)
        else:
            del self.held[key]
        same_user = self.by_user[key.user]
        del same_user[key]
        if not same_user:
            del self.by_user[key.user]

    def review(self, user: UserName) -> None:
        """What a user holds has changed: set aside what may not start now, and bring back what may."""
        for key in list(self.by_user.get(user, ())):
            aside = self.held.get(key)
            if self._allows(key) is (aside is None):
                continue
            self.changed = True
            if aside is None:
                queue = self.held[key] = self.queues[key]
                self._unlist(key)
                self._count(key.shape, -len(queue))
            else:
                del self.held[key]
                self._list(key, aside)
                self._count(key.shape, len(aside))
                self.blocked.pop(key.shape, None)
                self.unblocked += 1
                self.active.update(self.by_shape[key.shape])

    def _list(self, key: QueueKey, queue: Queue) -> None:
        self.queues[key] = queue
        self.by_shape.setdefault(key.shape, {})[key] = None

    def _unlist(self, key: QueueKey) -> None:
        del self.queues[key]
        self.active.pop(key, None)
        same_shape = self.by_shape[key.shape]
        del same_shape[key]
        if not same_shape:
            del self.by_shape[key.shape]
            self.blocked.pop(key.shape, None)

    def _count(self, shape: Shape, units: int) -> None:
        """Count units in or out of those that wait for an accelerator."""
        accelerator = shape.accelerator
        if accelerator is None:
            return
        self.accelerators[accelerator] = self.accelerators.get(accelerator, 0) + units
        if not self.accelerators[accelerator]:
            del self.accelerators[accelerator]
            self._unblock_spare()

    def block(self, shape: Shape) -> None:
        """The shape fits nowhere now."""
        self.blocked[shape] = None
        self.unsearched = True
        for key in self.by_shape[shape]:
            self.active.pop(key, None)

    def unblock(self, shape: Shape) -> None:
        """The shape may fit again."""
        del self.blocked[shape]
        self.unblocked += 1
        self.active.update(self.by_shape[shape])

    def _unblock_spare(self) -> None:
        """CPU work may look at accelerator hosts again, since no accelerator work wants them."""
        for shape in [s for s in self.blocked if s.accelerator is None]:
            self.unblock(shape)
