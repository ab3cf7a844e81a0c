"""The links to the workers: who spoke when, who is waiting to be told, and who has fallen silent."""

import asyncio
from collections.abc import Callable, Mapping

from iris.core.cadence import DEAF_AFTER, LOOK_EVERY, SILENT_AFTER
from iris.core.events import Event
from iris.core.hearing import Hearing
from iris.core.ids import WorkerId
from iris.core.instant import Instant
from iris.core.records import Worker
from iris.ports import Clock


class Links:
    """All links, by worker."""

    def __init__(self, clock: Clock, deliver: Callable[[Event], None]) -> None:
        """None yet."""
        self._clock = clock
        self._deliver = deliver
        self._waiters: dict[WorkerId, list[asyncio.Event]] = {}
        self._hearing = Hearing(clock.now(), silent_after=SILENT_AFTER, deaf_after=DEAF_AFTER)

    def heard(self, worker: WorkerId, incarnation: str) -> None:
        """A run of a worker's agent has spoken."""
        self._hearing.heard(worker, incarnation, self._clock.now())

    def heard_at(self, worker: WorkerId) -> Instant | None:
        """When a worker was last heard; nothing if it was not since the controller began."""
        return self._hearing.heard_at(worker, self._clock.now())

    def wake(self, worker: WorkerId) -> None:
        """What this worker shall have has changed: answer its poll."""
        for waiter in self._waiters.get(worker, ()):
            waiter.set()

    async def wait(self, worker: WorkerId, incarnation: str, seconds: float) -> None:
        """Until the worker is to be told something, or so long."""
        if not self._hearing.knows(worker, incarnation):
            return
        waiter = asyncio.Event()
        self._waiters.setdefault(worker, []).append(waiter)
        self._hearing.waits(worker, incarnation, 1)
        try:
            async with asyncio.timeout(seconds):
                await waiter.wait()
        except TimeoutError:
            return
        finally:
            self._hearing.waits(worker, incarnation, -1)
            waiters = self._waiters[worker]
            waiters.remove(waiter)
            if not waiters:
                del self._waiters[worker]

    def release_all(self) -> None:
        """The controller ends: let nobody wait."""
        for worker in self._waiters:
            self.wake(worker)

    async def watch(self, workers: Callable[[], Mapping[WorkerId, Worker]]) -> None:
        """Look for silences, for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY / 1_000)
            self.look(workers())

    def look(self, workers: Mapping[WorkerId, Worker]) -> None:
        """Tell of every silence that has begun, once."""
        for silence in self._hearing.look(self._clock.now(), workers):
            self._deliver(silence)
