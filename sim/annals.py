"""What happened in a simulation to each job, task, slice, worker and group, for those who look at it.

A live cluster reads this out of its journal, which a simulation does not write: here the same reader reads each
turn once, when it is taken. A job's entries hold those of its tasks, a slice's those of its workers; what is kept
grows as the state does, and a while after a record is forgotten its entries are.
"""

from collections import deque
from collections.abc import Iterator
from heapq import merge
from typing import Final, TypeAlias

from iris.core import decisions as de
from iris.core.ids import GroupName, TaskId, WorkerId, slice_id, slice_of, split_task_id
from iris.core.instant import Instant
from iris.core.record import Turn
from iris.core.timeline import Chapter, Happening, Of, Subject, Timeline

MOST: Final = 10_000
"""Entries of one thing; then its oldest go."""
MOST_FORGOTTEN: Final = 10_000
"""Things without a record whose entries are kept."""
_READER_TURNS: Final = 10_000
"""For so long it is remembered which reports were told."""

_Key: TypeAlias = tuple[Of, str]
_Entry: TypeAlias = tuple[int, Happening]
"""Numbered in the order in which they happened."""


class Annals:
    """What has happened, by whom it happened to."""

    def __init__(self) -> None:
        """Nothing has."""
        self._kept: dict[_Key, deque[_Entry]] = {}
        self._forgotten: deque[tuple[_Key, int]] = deque()
        """Whose record is gone, since which turn."""
        self._reader = Timeline()
        self._count = 0

    def turned(self, turn: Turn, number: int) -> None:
        """A turn was taken.

        Args:
            turn: the turn.
            number: counts them from 1.
        """
        if number % _READER_TURNS == 0:
            self._reader = Timeline()
        for it in self._reader.of_turn(turn, number):
            self._count += 1
            for key in _keys_of(it):
                self._kept.setdefault(key, deque(maxlen=MOST)).append((self._count, it))
        for decision in turn.decisions:
            if isinstance(decision, de.Oblivion):
                self._forgotten += (((Of.JOB, job), number) for job in decision.jobs)
                self._forgotten += (((Of.SLICE, slice_), number) for slice_ in decision.slices)
        while len(self._forgotten) > MOST_FORGOTTEN:
            self._drop(*self._forgotten.popleft())

    def _drop(self, key: _Key, number: int) -> None:
        """Let go of one whose record was forgotten in a turn, unless another of that name has come."""
        if key in self._kept and self._kept[key][-1][1].turn <= number:
            del self._kept[key]

    def chapter(self, subject: Subject, before: int, limit: int) -> Chapter:
        """The newest of what happened to a subject before a turn (0: of all), about so many entries.

        All of one turn is on one page, so there may be some more.
        """
        found = [self._kept[key] for key in _keys_to(subject) if key in self._kept]
        newest = merge(*map(reversed, found), key=lambda entry: entry[0], reverse=True)
        told: list[Happening] = []
        older = 0
        for _, it in newest:
            if not subject.is_of(it) or (before and it.turn >= before):
                continue
            if len(told) >= limit and it.turn != told[-1].turn:
                older = told[-1].turn
                break
            told.append(it)
        full = [entries[0] for entries in found if len(entries) == MOST]
        first = max(full)[1] if full else None
        return Chapter(
            tuple(reversed(told)),
            older,
            1 if first is None else first.turn,
            Instant(0) if first is None else first.at,
        )


def _keys_of(it: Happening) -> Iterator[_Key]:
    """Where something that happened is entered."""
    match it.of:
        case Of.TASK:
            yield Of.JOB, split_task_id(TaskId(it.subject))[0]
        case Of.WORKER:
            yield Of.SLICE, slice_of(WorkerId(it.subject))
        case Of.SLICE:
            yield Of.SLICE, it.subject
            yield Of.GROUP, _stem(it.subject)
        case Of.GROUP:
            yield Of.GROUP, _stem(slice_id(GroupName(it.subject), 0))
        case _:
            yield it.of, it.subject


def _keys_to(subject: Subject) -> Iterator[_Key]:
    """Where what happened to a subject is entered, and what happened to others, too."""
    match subject.of:
        case Of.TASK:
            yield Of.JOB, split_task_id(TaskId(subject.id))[0]
        case Of.WORKER:
            yield Of.SLICE, slice_of(WorkerId(subject.id))
        case Of.GROUP:
            yield Of.GROUP, _stem(slice_id(GroupName(subject.id), 0))
            yield from ((Of.ZONE, pool) for pool in (*sorted(subject.pools), ""))
        case _:
            yield subject.of, subject.id


def _stem(slice_: str) -> str:
    """How the names of all slices of a group begin."""
    return slice_.rpartition("-")[0]
