"""What happened to one thing, for its own page: the newest of it, as commands tell it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from iris.core.timeline import Happening
from iris.core.timeline import Subject as Timed
from iris.dashboard.subject import Refusal, Subject

MOST: Final = 30
"""On a page that is about something else, too; all of it has a page of its own."""


@dataclass(frozen=True, slots=True)
class History:
    """The newest first."""

    happenings: Sequence[Happening]
    trouble: str
    """Why it cannot be told; empty when it can."""


async def history_of(subject: Subject, timed: Timed) -> History:
    """The newest of what happened to one thing. Its page is there though its history cannot be read."""
    try:
        latest = await subject.latest(timed, MOST)
    except Refusal as refusal:
        return History((), str(refusal))
    return History(tuple(reversed(latest)), "")
