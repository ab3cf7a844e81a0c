"""Calls of Google Cloud: none without a deadline, few at a time of each kind, and only reads tried again."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

from iris.cluster.vm.gcp_errors import PASSING, CloudError, Code
from iris.rpc.channel import spread

T = TypeVar("T")
Ask: TypeAlias = Callable[[float], Awaitable[T]]
"""One call, under a deadline in seconds; raises `CloudError`."""

_READS: Final = 4
"""So often a read is tried in all."""
_MARGIN_S: Final = 1.0
"""A library that keeps no deadline is given up so long after it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is asked at once, and for how long."""

    patience_s: float = 30.0
    """Deadline of one call."""
    listing_s: float = 45.0
    """Of a whole listing, however many pages and tries it takes."""
    changes: int = 8
    """Creates, and likewise deletes, under way at once: bursts are answered with internal errors."""
    reads: int = 8
    """Likewise of calls that change nothing, and of looks at operations."""
    retry_s: float = 0.3
    """From the first try of a read to the second; then three times as long, and so on."""
    first_poll_s: float = 2.0
    """From the answer of a call to the first look at its operation; each look waits longer."""
    longest_poll_s: float = 30.0
    polls_per_second: float = 4.0
    """Of all operations together."""
    create_s: float = 1_800.0
    """The operation of a create that takes longer is read no more."""
    delete_s: float = 600.0
    """Likewise of a delete, which is then asked for again."""
    listing_gap_s: float = 2.0
    """From the beginning of one listing to that of the next."""


class Calls:
    """The calls that one controller makes."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._kinds: dict[str, asyncio.Semaphore] = {
            "create": asyncio.Semaphore(limits.changes),
            "delete": asyncio.Semaphore(limits.changes),
            "read": asyncio.Semaphore(limits.reads),
            "poll": asyncio.Semaphore(limits.reads),
        }

    async def create(self, ask: Ask[T]) -> T:
        """Make a call that creates something, once.

        Raises:
            CloudError: it failed.
        """
        return await self._once("create", ask)

    async def delete(self, ask: Ask[T]) -> T:
        """Make a call that removes something, once.

        Raises:
            CloudError: it failed.
        """
        return await self._once("delete", ask)

    async def poll(self, ask: Ask[T]) -> T:
        """Make a call that asks how something stands, once: it is asked again anyway.

        Raises:
            CloudError: it failed.
        """
        return await self._once("poll", ask)

    async def read(self, ask: Ask[T]) -> T:
        """Make a call that changes nothing, again if it was in vain.

        Raises:
            CloudError: the last try failed.
        """
        pause_s = self.limits.retry_s
        for _ in range(_READS - 1):
            try:
                return await self._once("read", ask)
            except CloudError as error:
                if error.code not in PASSING:
                    raise
            await asyncio.sleep(spread(pause_s))
            pause_s *= 3
        return await self._once("read", ask)

    async def _once(self, kind: str, ask: Ask[T]) -> T:
        patience_s = self.limits.patience_s
        async with self._kinds[kind]:
            try:
                async with asyncio.timeout(patience_s + _MARGIN_S):
                    return await ask(patience_s)
            except TimeoutError as error:
                words = f"no answer in {patience_s:g} s"
                raise CloudError(Code.DEADLINE_EXCEEDED, words) from error
