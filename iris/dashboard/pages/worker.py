"""One worker: how it stands, what it holds, and for whom room is kept on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from iris.core.ids import TaskId, WorkerId
from iris.core.lifecycle import WorkerState
from iris.core.records import Attempt
from iris.core.timeline import Of
from iris.core.timeline import Subject as Timed
from iris.core.views import WorkerView, worker_view
from iris.dashboard.history import History, history_of
from iris.dashboard.page import Asked, Json, Page, Sharing, object_of
from iris.dashboard.subject import Refusal, Subject
from iris.rpc import kinds_cluster
from iris.rpc.codec import worker_to_wire


@dataclass(frozen=True, slots=True)
class WorkerPage:
    """What the page shows."""

    worker: WorkerView
    is_lost: bool
    attempts: Sequence[tuple[TaskId, Attempt]]
    why_not: str
    """What keeps the viewer from draining it; empty when nothing does."""
    history: History
    whole: Json


async def load(subject: Subject, asked: Asked) -> WorkerPage:
    """Everything on record of a worker."""
    state, name = subject.state, WorkerId(asked.name)
    row = state.workers.get(name)
    if row is None:
        message = f"worker {name} is not known; it goes with its slice"
        raise Refusal(HTTPStatus.NOT_FOUND, message)
    history = await history_of(subject, Timed(Of.WORKER, name))
    view = worker_view(row)
    attempts = [(task, state.tasks[task].attempts[-1]) for task in view.tasks]
    return WorkerPage(
        worker=view,
        is_lost=view.state is WorkerState.LOST,
        attempts=attempts,
        why_not=subject.why_not_operate(asked.viewer),
        history=history,
        whole=kinds_cluster.worker(worker_to_wire(view)),
    )


def told(model: WorkerPage) -> Json:
    """The same for programs."""
    return object_of("Worker", model.whole)


PAGE = Page(
    "/workers/{name}", "worker.html", "Workers", load, told, in_menu=False, sharing=Sharing.VIEWER
)
