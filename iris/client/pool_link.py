"""The way to one worker of a pool: sends what it shall make, hears what became of it, mends the line when it breaks.

A line that breaks says nothing of the worker. It is connected again, and both sides compare what they hold; only a
worker that cannot be reached for `PATIENCE_S`, or of which the controller says that it has ended, is lost.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from typing import Final, Protocol

from iris.actor.payload import Payload
from iris.client.pool_book import Book
from iris.core.calls import (
    CallAnswered,
    CallCancelled,
    CallId,
    CallsGivenBack,
    Fact,
    Outcome,
    WorkerBack,
    WorkerLost,
    WorkerReady,
    WorkerSilent,
)
from iris.core.ids import TaskId
from iris.core.retry import Budget
from iris.pool.words import (
    GIVEN_BACK,
    KEPT_FUNCTIONS,
    Answers,
    Call,
    Greeting,
    Orders,
    Session,
    apart,
    own,
)

PATIENCE_S: Final = 10.0
"""So long a worker may be out of reach before its calls are made elsewhere."""
SHIPMENT_BYTES: Final = 4 << 20
"""Of arguments in one message, unless one call's alone are larger."""
_MOST_UNSEEN: Final = 64
"""So many answers have come, and the worker is told that it need not keep them."""
_ANSWER_S: Final = 20.0
"""A message is answered at once; a worker that takes so long is out of reach."""
_BYTES_PER_S: Final = 1 << 20
"""And so much longer for what it holds."""
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0


class LineLost(Exception):
    """Nobody answers any more, or somebody who is not meant."""


class Unsent(LineLost):
    """Nobody could be reached, and nothing was sent."""


class Line(Protocol):
    """A way to call a worker's `iris.pool.post.Post`; all of it raises `LineLost`."""

    async def greet(self, session: Session) -> Greeting:
        """As the post."""
        ...

    async def tell(self, session: Session, orders: Orders) -> None:
        """As the post."""
        ...

    def hear(self, session: Session, seen: int) -> AsyncIterator[Answers]:
        """As the post."""
        ...

    async def dismiss(self, session: Session) -> None:
        """As the post."""
        ...

    def close(self) -> None:
        """End the connection."""
        ...


class Link:
    """One worker. All of it lives in the pool's loop."""

    def __init__(
        self,
        line: Line,
        sessions: Iterator[Session],
        book: Book,
        report: Callable[["Link", Fact], object],
        trouble: Callable[[], object],
    ) -> None:
        """Not connected yet; `run` does that.

        Args:
            line: the way to the worker.
            sessions: of the pool, each with another number.
            book: what the calls are about.
            report: told what happens.
            trouble: told when the line breaks.
        """
        self._line = line
        self._sessions = sessions
        self._book = book
        self._report: Callable[[Fact], object] = partial(report, self)
        self._trouble = trouble
        self.task: TaskId | None = None  # None: it has never answered
        self.attempt = 0
        self.is_well = False
        """Whether it answers."""
        self.why_not = "it has not answered yet"
        self.born = time.monotonic()
        self._session: Session = ("", 0, 0)
        self._wake = asyncio.Event()
        self._held: dict[CallId, None] = {}
        """What the worker was sent, or is about to be, and has not answered."""
        self._unsent: dict[CallId, None] = {}
        self._abandoned: dict[CallId, None] = {}
        self._recalled: dict[CallId, None] = {}
        self._untold = False
        """Whether some that are abandoned or recalled must be told."""
        self._known: OrderedDict[bytes, None] = OrderedDict()
        """Functions that the worker has."""
        self._seen = self._told_seen = 0
        self._unseen_bytes = 0
        """Of answers that have come and that the worker still keeps."""

    # ---- what the pool asks for --------------------------------------------------------------------

    def send(self, calls: tuple[CallId, ...]) -> None:
        """Have calls made; what cannot be sent now is given back."""
        if not self.is_well:
            assert self.task is not None
            self._report(CallsGivenBack(calls, self.task, self.attempt))
            return
        for call in calls:
            self._held[call] = None
            self._unsent[call] = None
        self._wake.set()

    def recall(self, calls: Iterable[CallId]) -> None:
        """Have calls given back that have not begun."""
        self._recalled.update(dict.fromkeys(calls))
        self._spare()

    def abandon(self, calls: Iterable[CallId]) -> None:
        """Have calls ended, even if they run."""
        self._abandoned.update(dict.fromkeys(calls))
        self._spare()

    def _spare(self) -> None:
        """What was recalled or abandoned and never sent is given back here; of the rest, the worker is told."""
        spared = [c for c in self._unsent if c in self._recalled or c in self._abandoned]
        if spared:
            for call in spared:
                self._forget(call)
            assert self.task is not None
            self._report(CallsGivenBack(tuple(spared), self.task, self.attempt))
        self._untold = bool(self._abandoned or self._recalled)
        self._wake.set()

    def _forget(self, call: CallId) -> None:
        for calls in (self._held, self._unsent, self._abandoned, self._recalled):
            calls.pop(call, None)

    async def dismiss(self) -> None:
        """Have the worker end, if it answers."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._line.dismiss(self._session)
        except (LineLost, TimeoutError):
            return

    # ---- the line ----------------------------------------------------------------------------------

    async def run(self, ping_s: float) -> None:
        """Keep the line, and say every `ping_s` seconds at least that the pool lives; ends when it is cancelled."""
        (pool, number, _), connection = next(self._sessions), 0
        pause, lost_at = _FIRST_PAUSE_S, time.monotonic()
        try:
            while True:
                connection += 1
                self._session = (pool, number, connection)
                try:
                    await self._greet(is_new=connection == 1)
                    pause = _FIRST_PAUSE_S
                    await self._converse(ping_s)
                except* (LineLost, TimeoutError) as errors:
                    self.why_not = str(errors.exceptions[0]) or "it did not answer in time"
                if self.is_well:
                    self.is_well, lost_at = False, time.monotonic()
                    self._doubt()
                elif connection > 1 and time.monotonic() - lost_at > PATIENCE_S:
                    self._lose()
                    (pool, number, _), connection = next(self._sessions), 0
                elif connection == 1:
                    connection = 0  # The session has not begun.
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
        finally:
            self._line.close()

    async def _greet(self, *, is_new: bool) -> None:
        async with asyncio.timeout(_ANSWER_S):
            task, attempt, held = await self._line.greet(self._session)
        self.task, self.attempt, self.is_well = TaskId(task), attempt, True
        self._known.clear()
        if is_new:
            self._seen = self._told_seen = 0
            self._report(WorkerReady(self.task, attempt))
        else:
            self._report(WorkerBack(self.task, attempt))
            arrived = set(held)
            self._unsent = {call: None for call in self._held if call not in arrived}
            self._spare()

    def _doubt(self) -> None:
        """The line has broken: what was not sent yet can be sent to others."""
        assert self.task is not None
        self._report(WorkerSilent(self.task, self.attempt))
        unsent = tuple(self._unsent)
        for call in unsent:
            self._forget(call)
        if unsent:
            self._report(CallsGivenBack(unsent, self.task, self.attempt))
        self._trouble()

    def _lose(self) -> None:
        assert self.task is not None
        for calls in (self._held, self._unsent, self._abandoned, self._recalled):
            calls.clear()
        why = (
            f"{self.task}@{self.attempt} could not be reached for {PATIENCE_S:g} s: {self.why_not}"
        )
        self._report(WorkerLost(self.task, self.attempt, Budget.PREEMPTION, why))

    async def _converse(self, ping_s: float) -> None:
        """Until the line breaks."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._hear())
            both.create_task(self._tell(ping_s))

    async def _tell(self, ping_s: float) -> None:
        while True:
            self._wake.clear()
            orders, size = self._orders()
            try:
                async with asyncio.timeout(_ANSWER_S + size / _BYTES_PER_S):
                    await self._line.tell(self._session, orders)
            except Unsent:
                told = dict.fromkeys(call[0] for call in orders[4])
                self._unsent = {**told, **self._unsent}
                raise
            if self._unsent or self._untold:
                continue
            try:
                async with asyncio.timeout(ping_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _orders(self) -> tuple[Orders, int]:
        """What to say next, and how many bytes of arguments are in it."""
        functions: dict[bytes, bytes] = {}
        calls: list[Call] = []
        size = 0
        for number in list(self._unsent):
            entry = self._book.to_send(number)
            if entry is None:
                self._forget(number)
                self._report(CallCancelled(number))
                continue
            if calls and size + entry.size_bytes > SHIPMENT_BYTES:
                break
            del self._unsent[number]
            size += entry.size_bytes
            digest = entry.function.digest
            if digest not in self._known:
                functions[digest] = entry.function.content
            self._known[digest] = None
            self._known.move_to_end(digest)
            calls.append((number, digest, apart(entry.arguments)))
        while len(self._known) > KEPT_FUNCTIONS:
            self._known.popitem(last=False)
        abandoned, recalled = tuple(self._abandoned), tuple(self._recalled)
        self._untold = False
        self._told_seen, self._unseen_bytes = self._seen, 0
        return (self._seen, abandoned, recalled, functions, tuple(calls)), size

    async def _hear(self) -> None:
        async for first, answers in self._line.hear(self._session, self._seen):
            for call, outcome, took_us, payload in answers:
                self._heard(call, outcome, took_us, payload)
            self._seen = first + len(answers) - 1
            is_much = self._unseen_bytes > SHIPMENT_BYTES
            if is_much or self._seen - self._told_seen >= _MOST_UNSEEN:
                self._wake.set()
        raise LineLost("somebody else listens to it")

    def _heard(self, call: CallId, outcome: str, took_us: int, payload: Payload) -> None:
        assert self.task is not None
        self._forget(call)
        self._unseen_bytes += sum(memoryview(buffer).nbytes for buffer in payload)
        if outcome == GIVEN_BACK:
            self._report(CallsGivenBack((call,), self.task, self.attempt))
            return
        self._book.answered(call, Outcome(outcome), own(payload))
        self._report(CallAnswered(call, self.task, self.attempt, Outcome(outcome), took_us))
