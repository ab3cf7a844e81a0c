"""The controller's loop: one owner of the machine, one turn at a time, durable before it is performed.

Facts come from handlers, workers and the provider by `deliver`; a turn takes all that are there.
Whoever asks for something waits for the `Reply` of its request. Between step and perform nothing
awaits, so that nobody sees half a turn, or one that is not on the disk.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from iris.cluster.controller.counts import Counts
from iris.cluster.controller.journal import SqliteJournal
from iris.core import effects as ef
from iris.core import events as ev
from iris.core.controller import Controller
from iris.core.ids import RequestId
from iris.core.instant import Instant
from iris.core.record import Turn
from iris.core.snapshot import snapshot
from iris.dashboard.recent import Recent
from iris.drive import turn
from iris.ports import Clock

SNAPSHOT_EVERY: Final = 20_000
"""Turns; recovery replays no more than this and what a crash lost of it."""

STALL_MS: Final = 5_000
"""A loop that was away for longer has not heard anybody, and says so before it judges silence."""

_BREATH_S: Final = 1.0

Answer = ef.Accepted | ef.Rejected


class TurnLoop:
    """The machine, its inbox, and those who wait."""

    def __init__(
        self,
        controller: Controller,
        journal: SqliteJournal,
        clock: Clock,
    ) -> None:
        """A loop that does not turn yet; `run` is told who performs its effects."""
        self.controller = controller
        self.journal = journal
        self.clock = clock
        self.recent = Recent()
        """What was decided lately, for the dashboard."""
        self.counts = Counts()
        """What was counted since it began, for its metrics."""
        self._looked = time.monotonic()
        self._inbox: list[ev.Event] = []
        self._wake = asyncio.Event()
        self._replies: dict[RequestId, list[asyncio.Future[Answer]]] = {}
        self._changed: list[asyncio.Event] = []
        self._closing = False
        self._last_snapshot = journal.turns

    def deliver(self, event: ev.Event) -> None:
        """Put a fact into the next turn."""
        self._inbox.append(event)
        self._wake.set()

    async def ask(self, request: RequestId, event: ev.Event) -> Answer:
        """Put a request into the next turn; its answer, once that is durable."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        waiting = self._replies.setdefault(request, [])
        waiting.append(future)
        self.deliver(event)
        try:
            return await future
        finally:
            waiting.remove(future)
            if not waiting:
                self._replies.pop(request, None)

    def look(self) -> None:
        """It looks for work now."""
        self._looked = time.monotonic()

    def age_s(self) -> float:
        """How long ago it last looked for work, in seconds; it does so every second, however idle."""
        return time.monotonic() - self._looked

    def watch(self) -> asyncio.Event:
        """An event that is set after the next turn; hand it back with `unwatch`."""
        changed = asyncio.Event()
        self._changed.append(changed)
        return changed

    def unwatch(self, changed: asyncio.Event) -> None:
        """Nobody waits for this any more."""
        self._changed.remove(changed)

    def close(self) -> None:
        """End the loop after the turn under way."""
        self._closing = True
        self._wake.set()

    async def run(self, perform: Callable[[ef.Effect], None]) -> None:
        """Turn until closed.

        Args:
            perform: starts every effect but replies, which go to those who asked.

        Raises:
            OSError: a turn could not be made durable; memory is ahead of the disk, so the process
                must end and recover.
        """
        deadline = self.controller.next_deadline()
        awake = self.controller.state.now  # Nobody was heard since the turn that began this life.
        while not self._closing:
            await self._rest(deadline)
            self.look()
            now = self.clock.now()
            if now - awake > STALL_MS:
                self._inbox.insert(0, ev.ControllerStalled(awake))
            awake = now
            if self._inbox or (deadline is not None and deadline <= now):
                deadline = self._turn(now, perform)
        self.journal.save(snapshot(self.controller.state))

    async def _rest(self, deadline: Instant | None) -> None:
        span = _BREATH_S
        if deadline is not None:
            span = min(span, max(0, deadline - self.clock.now()) / 1_000)
        try:
            await asyncio.wait_for(self._wake.wait(), span)
        except TimeoutError:
            return
        # What arrives in the same round of the loop belongs to the same turn, and the same write.
        await asyncio.sleep(0)

    def append(self, turn: Turn) -> None:
        """Write a turn down, and remember it for those who look.

        Raises:
            OSError: it could not be made durable.
        """
        self.journal.append(turn)
        self.recent.turned(turn, self.controller.state)
        self.counts.turned(turn, self.controller.state)

    def _turn(self, now: Instant, perform: Callable[[ef.Effect], None]) -> Instant | None:
        self._wake.clear()
        events, self._inbox = self._inbox, []
        effects: list[ef.Effect] = []
        began = time.perf_counter()
        deadline = turn(self.controller, now, events, journal=self, perform=effects.append)
        took = time.perf_counter() - began
        self.recent.took(now, took * 1_000)
        self.counts.turns.add(took)
        for effect in effects:
            if isinstance(effect, ef.Reply):
                for future in self._replies.get(effect.request, ()):
                    if not future.done():
                        future.set_result(effect.answer)
            else:
                perform(effect)
        for changed in self._changed:
            changed.set()
        if self.journal.turns - self._last_snapshot >= SNAPSHOT_EVERY:
            self.journal.save(snapshot(self.controller.state))
            self._last_snapshot = self.journal.turns
        return deadline
