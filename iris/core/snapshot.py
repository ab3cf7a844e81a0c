"""The whole state as one record, and back: for snapshots, twins and recovery.

Only the tables are copied. The indexes are made anew from them, so that a twin can never share one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any, Final, TypeVar

from iris.core.ids import GroupName, JobId, RequestId, TaskId
from iris.core.instant import Instant
from iris.core.record import Json, from_json, to_json
from iris.core.records import (
    Attempt,
    Books,
    Endpoint,
    Gate,
    Hold,
    Job,
    Life,
    Slice,
    Task,
    Usage,
    Worker,
)
from iris.core.spec import ClusterSpec
from iris.core.state import ClusterState

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every table of a state at one instant, between two turns."""

    now: Instant
    spec: ClusterSpec
    jobs: tuple[Job, ...]
    slices: tuple[Slice, ...]
    workers: tuple[Worker, ...]
    holds: tuple[Hold, ...]
    gates: tuple[Gate, ...]
    usage: tuple[Usage, ...]
    requests: tuple[tuple[RequestId, JobId], ...]
    books: Books
    lives: tuple[tuple[GroupName, tuple[Life, ...]], ...] = ()
    endpoints: tuple[tuple[TaskId, tuple[Endpoint, ...]], ...] = ()


def snapshot(state: ClusterState) -> Snapshot:
    """A copy of every table; later turns do not change it."""
    return Snapshot(
        now=state.now,
        spec=state.spec,
        jobs=tuple(_copy_job(job) for job in state.jobs.values()),
        slices=tuple(_copy_slice(slice_) for slice_ in state.slices.values()),
        workers=tuple(_copy_worker(worker) for worker in state.workers.values()),
        holds=_copies(state.holds.values()),
        gates=_copies(state.gates.values()),
        usage=_copies(state.usage.values()),
        requests=tuple(state.requests.items()),
        books=_copy(state.books),
        lives=tuple(state.lives.items()),
        endpoints=tuple(state.endpoints.items()),
    )


def restore(image: Snapshot) -> ClusterState:
    """The state that a snapshot was taken of; the snapshot's rows become its own."""
    state = ClusterState()
    state.now = image.now
    state.spec = image.spec
    state.jobs = {job.id: job for job in image.jobs}
    state.slices = {slice_.id: slice_ for slice_ in image.slices}
    state.workers = {worker.id: worker for worker in image.workers}
    state.holds = {(hold.job, hold.index): hold for hold in image.holds}
    state.gates = {(gate.zone, gate.accelerator_type): gate for gate in image.gates}
    state.usage = {(usage.band, usage.user): usage for usage in image.usage}
    state.requests = dict(image.requests)
    state.lives = dict(image.lives)
    state.endpoints = dict(image.endpoints)
    state.books = image.books
    state.rebuild()
    return state


def copy_state(state: ClusterState) -> ClusterState:
    """A twin that shares nothing that changes."""
    return restore(snapshot(state))


def without_secrets(image: Snapshot) -> Snapshot:
    """What may be told of a state to anybody who may read its jobs.

    Variables, what a job runs, the ids of requests and what attempts and agents said of themselves,
    with where they serve, stay here; nothing of that decides when and where work is placed.
    """
    return replace(
        image,
        jobs=tuple(_told_job(job) for job in image.jobs),
        workers=tuple(replace(w, incarnation=w.id, address="") for w in image.workers),
        requests=(),
        endpoints=(),
    )


def _told_job(job: Job) -> Job:
    tasks = [
        replace(task, attempts=[replace(a, detail="") for a in task.attempts], why="")
        for task in job.tasks
    ]
    spec = replace(job.spec, environment=(), payload="")
    return replace(job, spec=spec, request=RequestId(""), tasks=tasks, why="")


def snapshot_to_json(image: Snapshot) -> Json:
    """A snapshot as plain JSON values."""
    return to_json(image)


def snapshot_from_json(data: Json) -> Snapshot:
    """A snapshot that was written with `snapshot_to_json`.

    Raises:
        ValueError: the data is no snapshot.
    """
    image = from_json(data, Snapshot)
    assert isinstance(image, Snapshot), image
    return image


def _copies(rows: Iterable[_Row]) -> tuple[_Row, ...]:
    return tuple(_copy(row) for row in rows)


def _copy(row: _Row) -> _Row:
    """The same values in a new row; `copy.copy` takes several times as long for one with slots."""
    kind = type(row)
    return kind(*_VALUES[kind](row))


def _copy_job(job: Job) -> Job:
    twin = _copy(job)
    twin.tasks = [_copy_task(task) for task in job.tasks]
    twin.children = list(job.children)
    twin.tally = dict(job.tally)
    return twin


def _copy_task(task: Task) -> Task:
    twin = _copy(task)
    twin.attempts = [_copy(attempt) for attempt in task.attempts]
    return twin


def _copy_slice(slice_: Slice) -> Slice:
    twin = _copy(slice_)
    twin.workers = list(slice_.workers)
    return twin


def _copy_worker(worker: Worker) -> Worker:
    twin = _copy(worker)
    twin.attempts = dict(worker.attempts)
    return twin


_VALUES: Final[dict[type, Callable[[Any], tuple[Any, ...]]]] = {
    kind: attrgetter(*(field.name for field in fields(kind)))
    for kind in (Attempt, Books, Gate, Hold, Job, Slice, Task, Usage, Worker)
}
"""The values of a row, in the order in which its class takes them."""
