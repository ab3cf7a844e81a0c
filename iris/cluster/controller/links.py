"""The links to the workers: who spoke when, who is waiting to be told, and who has fallen silent.

A link is no state of the cluster: what it sees becomes facts (`WorkerSilent`), and what follows from
them the core concludes. After a restart all links are new, and the core knows that.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from iris.core.events import Event, WorkerSilent
from iris.core.ids import WorkerId
from iris.core.instant import Instant
from iris.core.lifecycle import WorkerState
from iris.core.records import Worker
from iris.ports import Clock
from iris.rpc.methods import LONG_POLL_MS

SILENT_AFTER_MS: Final = LONG_POLL_MS + 5_000
"""A worker that polls speaks at least every `LONG_POLL_MS`; so long without a word is a silence."""

_LOOK_EVERY_S: Final = 1.0
_DEAF_MS: Final = 5_000
"""Between two looks: whoever was away for so long has heard nobody, and cannot call anybody silent."""


@dataclass(slots=True)
class _Link:
    incarnation: str
    heard_at: Instant
    polls: int = 0
    """Polls that wait for an answer now."""
    told_silent: bool = False
    waiters: list[asyncio.Event] = field(default_factory=list)


class Links:
    """All links, by worker."""

    def __init__(self, clock: Clock, deliver: Callable[[Event], None]) -> None:
        """None yet."""
        self._clock = clock
        self._deliver = deliver
        self._links: dict[WorkerId, _Link] = {}
        self._looked_at = clock.now()

    def heard(self, worker: WorkerId, incarnation: str) -> None:
        """A run of a worker's agent has spoken."""
        now = self._clock.now()
        link = self._links.get(worker)
        if link is None or link.incarnation != incarnation:
            self._links[worker] = _Link(incarnation, now)
            return
        link.heard_at = now
        link.told_silent = False

    def wake(self, worker: WorkerId) -> None:
        """What this worker shall have has changed: answer its poll."""
        link = self._links.get(worker)
        if link is not None:
            for waiter in link.waiters:
                waiter.set()

    async def wait(self, worker: WorkerId, incarnation: str, seconds: float) -> None:
        """Until the worker is to be told something, or so long."""
        link = self._links.get(worker)
        if link is None or link.incarnation != incarnation:
            return
        waiter = asyncio.Event()
        link.waiters.append(waiter)
        link.polls += 1
        try:
            async with asyncio.timeout(seconds):
                await waiter.wait()
        except TimeoutError:
            return
        finally:
            link.polls -= 1
            link.waiters.remove(waiter)

    def release_all(self) -> None:
        """The controller ends: let nobody wait."""
        for worker in self._links:
            self.wake(worker)

    async def watch(self, workers: Callable[[], Mapping[WorkerId, Worker]]) -> None:
        """Look for silences, for ever."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            self.look(workers())

    def look(self, workers: Mapping[WorkerId, Worker]) -> None:
        """Tell of every silence that has begun, once; forget the links of workers that are gone."""
        now = self._clock.now()
        for name in [name for name in self._links if name not in workers]:
            del self._links[name]
        deaf, self._looked_at = now - self._looked_at > _DEAF_MS, now
        if deaf:  # What they said meanwhile waits to be read.
            for link in self._links.values():
                link.heard_at = now
        for name, link in self._links.items():
            silent = now - link.heard_at > SILENT_AFTER_MS and not link.polls
            row = workers[name]
            if silent and not link.told_silent and row.state is WorkerState.HEALTHY:
                link.told_silent = True
                self._deliver(WorkerSilent(name, link.incarnation, link.heard_at))
