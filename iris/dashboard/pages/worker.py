"""One worker: how it stands, what it holds, and for whom room is kept on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from iris.core.ids import TaskId, WorkerId
from iris.core.lifecycle import WorkerState
from iris.core.records import Attempt
from iris.core.views import WorkerView, worker_view
from iris.dashboard.page import Asked, Json, Page, object_of
from iris.dashboard.recent import Entry
from iris.dashboard.subject import Refusal, Subject
from iris.rpc import kinds_cluster
from iris.rpc.codec import worker_to_wire

_ENTRIES = 30


@dataclass(frozen=True, slots=True)
class WorkerPage:
    """What the page shows."""

    worker: WorkerView
    is_lost: bool
    attempts: Sequence[tuple[TaskId, Attempt]]
    entries: Sequence[Entry]
    whole: Json


async def load(subject: Subject, asked: Asked) -> WorkerPage:
    """Everything on record of a worker."""
    state, name = subject.state, WorkerId(asked.name)
    row = state.workers.get(name)
    if row is None:
        message = f"worker {name} is not known; it goes with its slice"
        raise Refusal(HTTPStatus.NOT_FOUND, message)
    view = worker_view(row)
    attempts = [(task, state.tasks[task].attempts[-1]) for task in view.tasks]
    found = (entry for entry in subject.recent.entries(state) if entry.worker == name)
    return WorkerPage(
        worker=view,
        is_lost=view.state is WorkerState.LOST,
        attempts=attempts,
        entries=[entry for _, entry in zip(range(_ENTRIES), found, strict=False)],
        whole=kinds_cluster.worker(worker_to_wire(view)),
    )


def told(model: WorkerPage) -> Json:
    """The same for programs."""
    return object_of("Worker", model.whole)


PAGE = Page("/workers/{name}", "worker.html", "Workers", load, told, in_menu=False)
