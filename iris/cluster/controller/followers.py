"""Who follows a log waits here: told of each new piece, and of a turn that changed what they follow.

A thousand followers cost a turn one cheap look each, and nothing while nothing happens.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from iris.cluster.controller.turns import TurnLoop
from iris.core.ids import TaskId


@dataclass(eq=False, slots=True)
class _Waiting:
    standing: Callable[[], object]
    known: object
    news: asyncio.Event = field(default_factory=asyncio.Event)


class Followers:
    """All who wait for more of some log."""

    def __init__(self, loop: TurnLoop) -> None:
        """Nobody waits yet."""
        self._loop = loop
        self._waiting: dict[TaskId, list[_Waiting]] = {}
        self._looking: asyncio.Task[None] | None = None

    def told(self, task: TaskId) -> None:
        """A piece of a task's log has come."""
        for waiting in self._waiting.get(task, ()):
            waiting.news.set()

    async def wait(self, task: TaskId, standing: Callable[[], object], known: object) -> None:
        """Until a piece came, or what `standing` says is not `known` any more."""
        if standing() != known:
            return
        waiting = _Waiting(standing, known)
        self._waiting.setdefault(task, []).append(waiting)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            await waiting.news.wait()
        finally:
            self._waiting[task].remove(waiting)
            if not self._waiting[task]:
                del self._waiting[task]
            if not self._waiting:
                self._looking.cancel()
                self._looking = None

    async def _look(self) -> None:
        changed = self._loop.watch()
        with suppress(asyncio.CancelledError):
            while True:
                await changed.wait()
                changed.clear()
                for waiting in [w for each in self._waiting.values() for w in each]:
                    if waiting.standing() != waiting.known:
                        waiting.news.set()
        self._loop.unwatch(changed)
