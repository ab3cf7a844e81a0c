"""What happened to a job, a task, a slice, a worker or a group, when and why: the journal, a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from iris.core.ids import GroupName
from iris.core.instant import Instant
from iris.core.state import ClusterState
from iris.core.timeline import Happening, Of, timeline_of_group
from iris.core.timeline import Subject as Timed
from iris.dashboard.page import Asked, Json, Page, list_of
from iris.dashboard.query import ROWS
from iris.dashboard.subject import Refusal, Subject
from iris.rpc import kinds
from iris.rpc.codec_events import KINDS, happening_to_wire

_MOST_TURNS: Final = 2**53


@dataclass(frozen=True, slots=True)
class Events:
    """What the page shows."""

    of: str
    id: str
    rows: Sequence[Happening]
    """Newest first."""
    before: int
    """Asks for the next page; 0 when there is none."""
    is_trimmed: bool
    """The journal does not begin with its first turn."""
    first_at: Instant


async def load(subject: Subject, asked: Asked) -> Events:
    """The newest of what happened, or what was before a turn."""
    of, _, rest = asked.name.partition("/")
    if of not in KINDS or not rest:
        raise Refusal(
            HTTPStatus.NOT_FOUND, f"write one of {', '.join(KINDS)} and what it is called"
        )
    timed = _timed(subject.state, KINDS[of], rest)
    before = asked.query.number("before", 0, most=_MOST_TURNS)
    page = await subject.history(timed, before, ROWS)
    rows = tuple(reversed(page.happenings))
    return Events(of, timed.id, rows, page.before, page.first_turn > 1, page.first_at)


def _timed(state: ClusterState, of: Of, rest: str) -> Timed:
    """Whose timeline it is: jobs and tasks are named without the slash that they begin with."""
    if of is Of.GROUP:
        return timeline_of_group(state.spec, GroupName(rest))
    return Timed(of, f"/{rest}" if of in (Of.JOB, Of.TASK) else rest)


def told(model: Events) -> Json:
    """The same for programs."""
    items = [kinds.happening(happening_to_wire(row)) for row in model.rows]
    return {**list_of("Event", items, len(items)), "before": model.before or None}


PAGE = Page("/timeline/{name:path}", "events.html", "Events", load, told, in_menu=False)
