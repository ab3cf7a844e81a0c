"""The stream that tells a page that something changed: names and numbers only; the page asks for the rest.

Every stream is told at most once a second, for a page that is morphed more often is not read, and one after
the other, so that their pages are not all asked for in the same moment. What was made of a page since the
first of them was told is shown to all. Between messages a stream says now and then that it still stands, so
that whatever lies on the way keeps it open.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from iris.dashboard.subject import Subject

EVERY_S: Final = 1.0
APART_S: Final = 0.025
"""Between telling one stream and the next, or less, so that all are told in half the time until they are told again."""
STILL_HERE_S: Final = 15.0


class Beat:
    """Tells all streams of one dashboard of changes; it beats while anybody listens."""

    def __init__(self, subject: Subject, stopping: asyncio.Event) -> None:
        """Until `stopping` is set."""
        self._subject = subject
        self._stopping = stopping
        self._listening: dict[asyncio.Event, None] = {}
        self._beating: asyncio.Task[None] | None = None  # None: nobody listens
        self.told = -1
        """The changes that there were when streams were told last; whatever came later, they will be told of."""

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens."""
        return self._beating is not None

    async def stream(self) -> AsyncIterator[str]:
        """Messages of server-sent events, until the dashboard ends."""
        news = asyncio.Event()
        self._listening[news] = None
        if self._beating is None:
            self.told = self._subject.changes
            self._beating = asyncio.create_task(self._beat())
        known = self.told
        yield _message(known)
        try:
            while not self._stopping.is_set():
                if not await _first(news, self._stopping, within_s=STILL_HERE_S):
                    yield ": still here\n\n"
                news.clear()
                if self.told != known:
                    known = self.told
                    yield _message(known)
        finally:
            del self._listening[news]
            if not self._listening:
                self._beating.cancel()
                self._beating = None

    async def _beat(self) -> None:
        changed = self._subject.watch()
        spent = 0.0
        try:
            while True:
                await asyncio.sleep(EVERY_S - spent)
                if self._subject.changes == self.told:
                    await changed.wait()
                changed.clear()
                if self._subject.changes != self.told:
                    self.told = self._subject.changes
                    spent = await self._tell()
        finally:
            self._subject.unwatch(changed)

    async def _tell(self) -> float:
        """Tell every stream, and say how long that was meant to take, in seconds."""
        streams = list(self._listening)
        apart = min(APART_S, EVERY_S / 2 / len(streams))
        for number, news in enumerate(streams):
            if number:
                await asyncio.sleep(apart)
            news.set()
        return apart * (len(streams) - 1)


def _message(changes: int) -> str:
    return f"event: changed\nid: {changes}\ndata: {changes}\n\n"


async def _first(*events: asyncio.Event, within_s: float) -> bool:
    """Whether one of these is set within a time."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        done, _ = await asyncio.wait(waits, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
    finally:  # Also when whoever listens has gone.
        for wait in waits:
            wait.cancel()
