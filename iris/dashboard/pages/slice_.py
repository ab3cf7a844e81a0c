"""One slice: its life in steps against what is usual in its group, its hosts, and what runs on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from iris.core.ids import SliceId, TaskId
from iris.core.instant import Instant
from iris.core.lifecycle import ALIVE
from iris.core.reasons import Usual
from iris.core.records import Attempt, Slice
from iris.core.state import ClusterState
from iris.core.usual import usual_steps
from iris.core.views import WorkerView, slice_view, worker_views
from iris.dashboard.page import Asked, Json, Page, object_of
from iris.dashboard.recent import Entry
from iris.dashboard.subject import Refusal, Subject
from iris.dashboard.timeline import Span, Timeline, timeline
from iris.rpc import kinds_cluster
from iris.rpc.codec import slice_to_wire

_ENTRIES = 50


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a slice's life."""

    name: str
    took: int
    """Milliseconds, so far if it goes on."""
    goes_on: bool
    usual: Usual | None  # None: too few of its group are remembered
    """What others of its group took for it."""


@dataclass(frozen=True, slots=True)
class HostRow:
    """A host, and what runs on it."""

    host: int
    worker: WorkerView | None  # None: it is awaited
    attempts: Sequence[tuple[TaskId, Attempt]]


@dataclass(frozen=True, slots=True)
class SlicePage:
    """What the page shows."""

    slice: Slice
    is_alive: bool
    steps: Sequence[Step]
    timeline: Timeline
    hosts: Sequence[HostRow]
    entries: Sequence[Entry]
    whole: Json


async def load(subject: Subject, asked: Asked) -> SlicePage:
    """Everything on record of a slice."""
    state, name = subject.state, SliceId(asked.name)
    slice_ = state.slices.get(name)
    if slice_ is None:
        message = f"slice {name} is not known; one that is gone is remembered for a while"
        raise Refusal(HTTPStatus.NOT_FOUND, message)
    views = {view.host: view for view in worker_views(state, name)}
    hosts = [_host(state, number, views.get(number)) for number in range(len(slice_.workers))]
    return SlicePage(
        slice=slice_,
        is_alive=slice_.state in ALIVE,
        steps=_steps(state, slice_, subject.now()),
        timeline=_life(slice_, subject.now()),
        hosts=hosts,
        entries=_entries(subject, name),
        whole=kinds_cluster.slice_(slice_to_wire(slice_view(slice_))),
    )


def _host(state: ClusterState, number: int, view: WorkerView | None) -> HostRow:
    tasks = view.tasks if view is not None else ()
    return HostRow(number, view, [(name, state.tasks[name].attempts[-1]) for name in tasks])


def _steps(state: ClusterState, slice_: Slice, now: Instant) -> list[Step]:
    to_accept, to_boot = usual_steps(state, slice_.group)
    accepted, ready = slice_.accepted_at, slice_.ready_at
    end = slice_.gone_at if slice_.gone_at is not None else now
    going = slice_.gone_at is None
    found = [
        _step("asked for", slice_.requested_at, accepted, end, to_accept),
    ]
    if accepted is not None:
        found.append(_step("booting", accepted, ready, end, to_boot))
    if ready is not None:
        found.append(Step("ready, to its end", end - ready, going, None))
    return found


def _step(
    name: str, start: Instant, stop: Instant | None, end: Instant, usual: Usual | None
) -> Step:
    return Step(name, (stop if stop is not None else end) - start, stop is None, usual)


def _life(slice_: Slice, now: Instant) -> Timeline:
    end = slice_.gone_at if slice_.gone_at is not None else now
    marks = [("requested", slice_.requested_at), ("booting", slice_.accepted_at)]
    marks.append(("ready", slice_.ready_at))
    known = [(name, at) for name, at in marks if at is not None]
    ends = [at for _, at in known[1:]] + [end]
    spans = [
        Span(slice_.state.value, at, until, name, name)
        for (name, at), until in zip(known, ends, strict=True)
    ]
    return timeline(spans, slice_.requested_at, end)


def _entries(subject: Subject, name: SliceId) -> list[Entry]:
    found = (entry for entry in subject.recent.entries(subject.state) if entry.slice == name)
    return [entry for _, entry in zip(range(_ENTRIES), found, strict=False)]


def told(model: SlicePage) -> Json:
    """The same for programs."""
    return object_of("Slice", model.whole)


PAGE = Page("/slices/{name}", "slice.html", "Capacity", load, told, in_menu=False)
