"""Pages of a timeline out of the journal's file: newest page first, read beside the controller at work.

A page is read over a connection of its own that cannot write, in a thread, and no more turns are read
for it than a bound, so that neither the loop nor a snapshot waits for a long history.
"""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from iris.cluster.controller.journal import SqliteJournal
from iris.core.instant import Instant
from iris.core.record import Turn
from iris.core.recorded import completed
from iris.core.state import ClusterState
from iris.core.timeline import Chapter, Happening, Subject, Timeline, happenings

TURNS_READ: Final = 500
"""For one page; whoever wants more asks for the next one."""
KEPT: Final = 64
"""Timelines that are remembered, so that they are read on."""


def page_of(
    book: SqliteJournal,
    subject: Subject,
    before: int,
    limit: int,
    reader: Timeline | None = None,
) -> Chapter:
    """The newest page of what happened to a subject before a turn (0: of all), of about so many entries.

    All of one turn is on one page, so there may be some more; there are fewer where many turns had
    to be read. A `reader` remembers what was told, for whoever reads on from there.

    Raises:
        JournalError: a turn cannot be read.
    """
    begin = book.begin()
    if begin is None:
        return Chapter((), 0, 0, Instant(0))
    found = book.turns_with(subject.words, before, TURNS_READ + 1)
    used = found[: _enough(found, subject, limit)]
    told = tuple(happenings(reversed(used), subject, reader))
    older = used[-1][0] if len(used) < len(found) else 0
    return Chapter(told, older, begin[0], begin[1])


def _enough(found: Sequence[tuple[int, Turn]], subject: Subject, limit: int) -> int:
    """How many turns, newest first, make up a page."""
    count = 0
    for place, numbered in enumerate(found[:TURNS_READ], start=1):
        count += sum(1 for _ in happenings([numbered], subject))
        if count >= limit:
            return place
    return min(len(found), TURNS_READ)


async def read_page(path: Path, subject: Subject, before: int, limit: int) -> Chapter:
    """The same, of a controller's own journal, while it turns.

    Raises:
        JournalError: it cannot be read.
    """

    def read() -> Chapter:
        with closing(SqliteJournal(path, readonly=True)) as book:
            return page_of(book, subject, before, limit)

    return await asyncio.to_thread(read)


async def read_chapter(
    path: Path, state: ClusterState, subject: Subject, asked: tuple[int, int]
) -> Chapter:
    """A page, and behind the last one what the tables still know from before the journal begins.

    Args:
        path: of the journal.
        state: of its controller.
        subject: whose timeline it is.
        asked: what is older than which turn, and about how many entries; the newest before turn 0.

    Raises:
        JournalError: it cannot be read.
    """
    before, limit = asked
    return completed(await read_page(path, subject, before, limit), state, subject, limit)


@dataclass(slots=True)
class _Told:
    """What was told of one subject, up to a turn."""

    reader: Timeline
    upto: int
    happenings: tuple[Happening, ...]


class Latest:
    """The newest of what happened to those who are looked at, read on from where it was read last.

    So a page that is looked at every second costs the journal a look at its newest turns only.
    """

    def __init__(self, path: Path) -> None:
        """Of a controller's own journal."""
        self._path = path
        self._known: dict[tuple[Subject, int], _Told] = {}
        self._reading = asyncio.Lock()

    async def of(self, state: ClusterState, subject: Subject, limit: int) -> tuple[Happening, ...]:
        """About so many, oldest first.

        Raises:
            JournalError: the journal cannot be read.
        """
        async with self._reading:
            key = subject, limit
            if key in self._known:
                told = self._known.pop(key)
                await asyncio.to_thread(self._read_on, told, subject)
            else:
                told, page = await asyncio.to_thread(self._read, subject, limit)
                told.happenings = completed(page, state, subject, limit).happenings
            told.happenings = told.happenings[-limit:]
            self._known[key] = told
            if len(self._known) > KEPT:
                del self._known[next(iter(self._known))]
            return told.happenings

    def _read(self, subject: Subject, limit: int) -> tuple[_Told, Chapter]:
        with closing(SqliteJournal(self._path, readonly=True)) as book:
            reader, upto = Timeline(), book.last()
            page = page_of(book, subject, upto + 1, limit, reader)
            return _Told(reader, upto, page.happenings), page

    def _read_on(self, told: _Told, subject: Subject) -> None:
        with closing(SqliteJournal(self._path, readonly=True)) as book:
            upto = book.last()
            fresh = book.turns_with(subject.words, upto + 1, TURNS_READ, after=told.upto)
            more = happenings(reversed(fresh), subject, told.reader)
            told.happenings, told.upto = (*told.happenings, *more), upto


async def read_decided(path: Path, before: int, most: int) -> list[Turn]:
    """The last turns before one in which something was decided, oldest first, without their facts.

    Raises:
        JournalError: the journal cannot be read.
    """

    def read() -> list[Turn]:
        with closing(SqliteJournal(path, readonly=True)) as book:
            return book.decided(before, most)

    return await asyncio.to_thread(read)
