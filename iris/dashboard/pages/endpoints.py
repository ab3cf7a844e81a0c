"""The endpoints: which attempts serve under which names, and where."""

from collections.abc import Sequence
from dataclasses import dataclass

from iris.core.ids import TaskId
from iris.core.records import Endpoint
from iris.dashboard.page import Asked, Json, Page, list_of
from iris.dashboard.rows import Rows, cut
from iris.dashboard.subject import Subject
from iris.units import timestamp


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """An endpoint, and whose it is."""

    task: TaskId
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What the page shows."""

    found: Rows[EndpointRow]
    name: str
    job: str


async def load(subject: Subject, asked: Asked) -> Endpoints:
    """One page of the endpoints that are asked for, by their jobs and names."""
    query, state = asked.query, subject.state
    name, job = query.text("name"), query.text("job")
    rows = [
        EndpointRow(task, endpoint)
        for task in sorted(state.endpoints)
        if job in task
        for endpoint in state.endpoints[task]
        if name in endpoint.name
    ]
    return Endpoints(cut(rows, query.page), name, job)


def told(model: Endpoints) -> Json:
    """The same for programs."""
    items: Sequence[Json] = [
        {
            "id": row.endpoint.id,
            "name": row.endpoint.name,
            "address": row.endpoint.address,
            "task": row.task,
            "attempt": row.endpoint.attempt,
            "registered_at": timestamp(row.endpoint.registered_at),
        }
        for row in model.found.rows
    ]
    return list_of("Endpoint", items, model.found.total)


PAGE = Page("/endpoints", "endpoints.html", "Endpoints", load, told)
