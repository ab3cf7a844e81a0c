"""The stream that tells a page that something changed: names and numbers only; the page asks for the rest.

At most one message a second, for a page that is morphed more often is not read. Between them the stream
says now and then that it still stands, so that whatever lies on the way keeps it open.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from iris.dashboard.subject import Subject

EVERY_S: Final = 1.0
STILL_HERE_S: Final = 15.0


async def changes(subject: Subject, stopping: asyncio.Event) -> AsyncIterator[str]:
    """Messages of server-sent events, until the dashboard ends."""
    told = subject.turns
    yield _message(told)
    changed = subject.watch()
    try:
        while not await _first(stopping, within_s=EVERY_S):
            if subject.turns == told and not await _first(changed, stopping, within_s=STILL_HERE_S):
                yield ": still here\n\n"
            changed.clear()
            if subject.turns != told:
                told = subject.turns
                yield _message(told)
    finally:
        subject.unwatch(changed)


def _message(turns: int) -> str:
    return f"event: changed\nid: {turns}\ndata: {turns}\n\n"


async def _first(*events: asyncio.Event, within_s: float) -> bool:
    """Whether one of these is set within a time."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        done, _ = await asyncio.wait(waits, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
    finally:  # Also when whoever listens has gone.
        for wait in waits:
            wait.cancel()
