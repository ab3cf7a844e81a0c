"""What happened to one thing, for its own page: out of the journal, as commands tell it.

While that cannot be read, what was decided lately stands in for it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from iris.core.timeline import Happening
from iris.core.timeline import Subject as Timed
from iris.dashboard.recent import Entry
from iris.dashboard.subject import Subject

MOST: Final = 30
"""Of a page that is about something else, too; all of them have a page of their own."""


@dataclass(frozen=True, slots=True)
class History:
    """The newest first."""

    happenings: Sequence[Happening]
    entries: Sequence[Entry]
    """Decisions, where no turns can be read."""


async def history_of(subject: Subject, timed: Timed, is_of: Callable[[Entry], bool]) -> History:
    """The newest of what happened to one thing, which decisions are about by `is_of`."""
    latest = await subject.latest(timed, MOST)
    if latest is not None:
        return History(tuple(reversed(latest)), ())
    found = (entry for entry in subject.recent.entries(subject.state) if is_of(entry))
    return History((), tuple(islice(found, MOST)))
