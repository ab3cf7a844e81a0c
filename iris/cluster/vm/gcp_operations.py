"""Follows what calls have begun at Google: one poller for all operations, so many looks a second and no more.

An operation that failed says so soon; one that does not end says nothing, and nobody concludes from it.
"""

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from iris.cluster.vm.gcp_calls import Limits
from iris.cluster.vm.gcp_errors import CloudError, Code

_GROWTH: Final = 1.5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an operation ended."""

    error: CloudError | None = None  # None: well


Look: TypeAlias = Callable[[], Awaitable[Outcome | None]]
"""Asks how an operation stands; nothing while it goes on. Raises `CloudError` when it was not told."""


class StillGoing(Exception):
    """An operation has not ended in the time that it is given."""


@dataclass(order=True, slots=True)
class _Followed:
    due: float
    number: int
    pause_s: float = field(compare=False)
    until: float = field(compare=False)
    look: Look = field(compare=False)
    end: "asyncio.Future[Outcome]" = field(compare=False)


class Operations:
    """The operations under way."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._heap: list[_Followed] = []
        self._number = 0
        self._news = asyncio.Event()

    async def outcome(self, look: Look, limit_s: float) -> Outcome:
        """Wait for an operation to end; if the waiter is cancelled, it is followed no more.

        Raises:
            StillGoing: it takes too long.
        """
        now = asyncio.get_running_loop().time()
        first_s = self._limits.first_poll_s
        self._number += 1
        end: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        followed = _Followed(now + first_s, self._number, first_s, now + limit_s, look, end)
        heapq.heappush(self._heap, followed)
        self._news.set()
        return await end

    async def poll(self) -> None:
        """Look at the operations as each falls due, for ever."""
        async with asyncio.TaskGroup() as looks:
            while True:
                followed = await self._next()
                if not followed.end.done():
                    looks.create_task(self._look(followed))
                    await asyncio.sleep(1 / self._limits.polls_per_second)

    async def _next(self) -> _Followed:
        loop = asyncio.get_running_loop()
        while not self._heap or self._heap[0].due > loop.time():
            self._news.clear()
            wait_s = self._heap[0].due - loop.time() if self._heap else None
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._news.wait()
        return heapq.heappop(self._heap)

    async def _look(self, followed: _Followed) -> None:
        try:
            outcome = await followed.look()
        except CloudError as error:
            if error.code is Code.NOT_FOUND:
                outcome = Outcome()  # It is forgotten, as old ones are; what became of it is seen.
            else:
                _log.info("an operation did not answer: %s", error)
                outcome = None
        if followed.end.done():
            return
        now = asyncio.get_running_loop().time()
        if outcome is not None:
            followed.end.set_result(outcome)
        elif now >= followed.until:
            followed.end.set_exception(StillGoing("its operation goes on"))
        else:
            followed.pause_s = min(followed.pause_s * _GROWTH, self._limits.longest_poll_s)
            followed.due = now + followed.pause_s
            heapq.heappush(self._heap, followed)
            self._news.set()
