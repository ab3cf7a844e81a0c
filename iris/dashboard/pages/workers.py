"""The workers: who is healthy, who fell silent, what each holds; fifty on a page, in trouble first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from iris.core.ids import WorkerId
from iris.core.lifecycle import WorkerState
from iris.core.records import Worker
from iris.core.views import WorkerView, worker_view
from iris.dashboard.page import Asked, Json, Page, list_of
from iris.dashboard.rows import Rows, cut
from iris.dashboard.subject import Subject
from iris.rpc import kinds_cluster
from iris.rpc.codec import worker_to_wire

MOST_BOXES = 1_000


@dataclass(frozen=True, slots=True)
class Box:
    """A worker as a box of the map."""

    id: WorkerId
    state: str
    title: str


@dataclass(frozen=True, slots=True)
class Workers:
    """What the page shows."""

    counts: Sequence[tuple[str, int]]
    only: str
    name: str
    boxes: Sequence[Box]
    found: Rows[WorkerView]


CORDONED = "drained"


async def load(subject: Subject, asked: Asked) -> Workers:
    """One page of the workers that are asked for."""
    query = asked.query
    only, name = query.text("state"), query.text("name")
    rows = list(subject.state.workers.values())
    kinds = [*(it.value for it in WorkerState), CORDONED]
    tally = dict.fromkeys(kinds, 0)
    for row in rows:
        tally[_kind(row)] += 1
    matching = [
        row
        for row in rows
        if (only == _kind(row) if only else row.state is not WorkerState.LOST) and name in row.id
    ]
    matching.sort(
        key=lambda row: (row.state is WorkerState.HEALTHY and not row.cordoned, -row.number)
    )
    shown = cut(matching, query.page)
    views = [worker_view(row) for row in shown.rows]
    return Workers(
        counts=list(tally.items()),
        only=only,
        name=name,
        boxes=list(_boxes(sorted(matching[:MOST_BOXES], key=lambda row: row.number))),
        found=Rows(views, shown.page, shown.pages, shown.total),
    )


def _kind(row: Worker) -> str:
    return CORDONED if row.cordoned and row.state is WorkerState.HEALTHY else row.state.value


def _boxes(rows: Iterable[Worker]) -> Iterable[Box]:
    for row in rows:
        kind = _kind(row)
        used = "running" if row.attempts else "idle"
        state = used if kind == WorkerState.HEALTHY.value else kind
        yield Box(row.id, state, f"{row.id}: {kind}, {len(row.attempts)} attempts")


def told(model: Workers) -> Json:
    """The same for programs."""
    items = [kinds_cluster.worker(worker_to_wire(view)) for view in model.found.rows]
    return list_of("Worker", items, model.found.total)


PAGE = Page("/workers", "workers.html", "Workers", load, told)
