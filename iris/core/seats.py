"""The seats of a pool of workers: which have a worker, what each has been sent, and who can take more.

A seat comes with a job's task and goes with its end. Between, workers sit on it, one attempt after the
other. Which calls are made is the pool's to say (`iris.core.pool`); here is how many a worker may hold:
one, and as many more as are made within `STOCK_US`, so that it is not idle while the next ones travel.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from iris.core.calls import CallId
from iris.core.ids import JobId, TaskId, split_task_id
from iris.core.instant import Instant, Millis, after, since

STOCK_US: Final = 50_000
"""So much work, in microseconds, a worker may hold beside the call that it makes."""
MAX_HELD: Final = 256
STOCK_BYTES: Final = 4 << 20
"""Of arguments, that a worker may hold beside the call that it makes."""
STUCK: Final = Millis(50)
"""A worker that has answered nothing for so long gets no further calls; what waits behind its call may be recalled."""
_WEIGHT: Final = 8
"""The mean of what calls take forgets an old one by this part with each new one."""


class SeatState(Enum):
    """What a seat is for."""

    WANTED = "wanted"
    LEAVING = "leaving"
    """Its worker gets no more calls, and is dismissed when it holds none."""
    DISMISSED = "dismissed"


@dataclass(slots=True)
class Seat:
    """One of them."""

    task: TaskId
    state: SeatState = SeatState.WANTED
    attempt: int | None = None  # None: no worker is there
    held: dict[CallId, int] = field(default_factory=dict)
    """What its worker was sent and has not answered, in order, with the bytes of each."""
    held_bytes: int = 0
    recalled: dict[CallId, None] = field(default_factory=dict)
    is_silent: bool = False
    """Whether its worker does not answer at the moment: it is sent nothing."""
    heard_at: Instant = Instant(0)
    """When its worker last answered, or was sent something when it held nothing."""


class Seats:
    """All of them, oldest first."""

    def __init__(self) -> None:
        """None yet."""
        self.by_task: dict[TaskId, Seat] = {}
        self._free: OrderedDict[TaskId, None] = OrderedDict()
        """Wanted seats whose worker holds nothing; who has waited longest comes first."""
        self._roomy: OrderedDict[TaskId, None] = OrderedDict()
        """Wanted seats whose worker holds something and may hold more."""
        self._stacked: OrderedDict[TaskId, None] = OrderedDict()
        """Seats whose worker holds calls that could be recalled."""
        self._pace_us: int | None = None  # None: no call was answered yet

    def __iter__(self) -> Iterator[Seat]:
        return iter(self.by_task.values())

    def with_worker(self, task: TaskId, attempt: int) -> Seat | None:
        """The seat on which this attempt sits; None if it sits nowhere."""
        seat = self.by_task.get(task)
        return seat if seat is not None and seat.attempt == attempt else None

    @property
    def workers(self) -> int:
        """How many answer."""
        return sum(seat.attempt is not None and not seat.is_silent for seat in self)

    @property
    def has_free(self) -> bool:
        """Whether a wanted worker holds nothing."""
        return bool(self._free)

    # ---- changes ---------------------------------------------------------------------------------

    def add(self, tasks: Iterable[TaskId]) -> None:
        """Seats without a worker."""
        for task in tasks:
            self.by_task[task] = Seat(task)

    def remove(self, seat: Seat) -> None:
        """Its task has ended for good."""
        seat.attempt = None
        self.sort_in(seat)
        del self.by_task[seat.task]

    def sit(self, seat: Seat, attempt: int | None, now: Instant) -> None:
        """A worker that holds nothing sits down, or none is there any more."""
        seat.attempt = attempt
        seat.held.clear()
        seat.recalled.clear()
        seat.held_bytes = 0
        seat.is_silent = False
        seat.heard_at = now
        self.sort_in(seat)

    def hold(self, seat: Seat, call: CallId, size_bytes: int, now: Instant) -> None:
        """Its worker is sent a call."""
        if not seat.held:
            seat.heard_at = now
        seat.held[call] = size_bytes
        seat.held_bytes += size_bytes

    def let_go(self, seat: Seat, call: CallId) -> None:
        """Its worker holds a call no more; to be sorted in afterwards."""
        seat.held_bytes -= seat.held.pop(call)
        seat.recalled.pop(call, None)

    def heard(self, seat: Seat, took_us: int, now: Instant) -> None:
        """Its worker has made a call."""
        seat.heard_at = now
        old = self._pace_us
        self._pace_us = took_us if old is None else ((_WEIGHT - 1) * old + took_us) // _WEIGHT

    def sort_in(self, seat: Seat) -> None:
        """Whether it is free, roomy and stacked, after it has changed."""
        for order in (self._free, self._roomy, self._stacked):
            order.pop(seat.task, None)
        if seat.attempt is None or seat.is_silent:
            return
        if len(seat.held) > len(seat.recalled) + 1:
            self._stacked[seat.task] = None
        if seat.state is SeatState.WANTED:
            order = self._roomy if seat.held else self._free
            order[seat.task] = None

    # ---- who takes more --------------------------------------------------------------------------

    def next_taker(self, now: Instant) -> tuple[Seat, int] | None:
        """A worker for the next calls, and how many it may take; one that holds nothing comes first."""
        if self._free:
            return self.by_task[next(iter(self._free))], self._most()
        while self._roomy:
            seat = self.by_task[next(iter(self._roomy))]
            room = self._most() - len(seat.held)
            if room > 0 and seat.held_bytes < STOCK_BYTES and not is_stuck(seat, now):
                return seat, room
            self.has_no_room(seat)
        return None

    def has_no_room(self, seat: Seat) -> None:
        """Its worker gets nothing more until it has answered."""
        self._roomy.pop(seat.task)

    def _most(self) -> int:
        """How many calls a worker may hold; one until it is known what they take."""
        if self._pace_us is None:
            return 1
        return min(MAX_HELD, 1 + STOCK_US // (1 + self._pace_us))

    def stuck(self, now: Instant) -> list[Seat]:
        """Those whose worker has calls wait behind one that takes long."""
        seats = (self.by_task[task] for task in self._stacked)
        return [seat for seat in seats if is_stuck(seat, now)]

    def next_stuck(self) -> Instant | None:
        """When the next of them counts as stuck; None if none holds more than it makes."""
        return min(
            (after(self.by_task[task].heard_at, STUCK) for task in self._stacked), default=None
        )

    def jobs_without_use(self) -> list[JobId]:
        """Jobs of which no seat is wanted, and none has a worker."""
        useful: dict[JobId, bool] = {}
        for seat in self:
            job, _ = split_task_id(seat.task)
            is_useful = seat.state is SeatState.WANTED or seat.attempt is not None
            useful[job] = useful.get(job, False) or is_useful
        return [job for job, is_useful in useful.items() if not is_useful]


def is_stuck(seat: Seat, now: Instant) -> bool:
    """Whether its worker has answered nothing for long."""
    return since(seat.heard_at, now) >= STUCK
