"""One slice: its life in steps against what is usual in its group, its hosts, and what runs on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from iris.core.ids import SliceId, TaskId
from iris.core.instant import Instant
from iris.core.lifecycle import ALIVE, SliceState
from iris.core.paid import paid_from
from iris.core.reasons import Usual
from iris.core.records import Attempt, Slice
from iris.core.state import ClusterState
from iris.core.timeline import Of
from iris.core.timeline import Subject as Timed
from iris.core.usual import usual_steps
from iris.core.views import WorkerView, slice_view, worker_views
from iris.dashboard.history import History, history_of
from iris.dashboard.logs import Line, of_tail
from iris.dashboard.page import Asked, Json, Page, Sharing, object_of
from iris.dashboard.subject import Refusal, Subject
from iris.dashboard.timeline import Span, Timeline, timeline
from iris.dashboard.words import plural
from iris.rpc import kinds_cluster
from iris.rpc.codec import slice_to_wire

_MOST_HOSTS: Final = 10_000


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
class MachineLog:
    """What one of its machines says of itself."""

    host: int
    lines: Sequence[Line]
    trouble: str
    """Why there are none, or that they are still asked for; empty when they are there."""


@dataclass(frozen=True, slots=True)
class SlicePage:
    """What the page shows."""

    slice: Slice
    is_alive: bool
    why_not: str
    """What keeps the viewer from giving it up; empty when nothing does."""
    steps: Sequence[Step]
    timeline: Timeline
    hosts: Sequence[HostRow]
    log: MachineLog | None  # None: nobody asked for one
    history: History
    whole: Json

    @property
    def follows(self) -> bool:
        """Whether the page is to look again often."""
        return self.log is not None and self.slice.state is not SliceState.GONE


async def load(subject: Subject, asked: Asked) -> SlicePage:
    """Everything on record of a slice."""
    state, name = subject.state, SliceId(asked.name)
    log = await _log(subject, asked, _known(state, name))
    history = await history_of(subject, Timed(Of.SLICE, name))
    slice_ = _known(state, name)
    views = {view.host: view for view in worker_views(state, name)}
    hosts = [_host(state, number, views.get(number)) for number in range(len(slice_.workers))]
    return SlicePage(
        slice=slice_,
        is_alive=slice_.state in ALIVE,
        why_not=subject.why_not_operate(asked.viewer),
        steps=_steps(state, slice_, subject.now()),
        timeline=_life(slice_, subject.now()),
        hosts=hosts,
        log=log,
        history=history,
        whole={**kinds_cluster.slice_(slice_to_wire(slice_view(slice_))), **_told_log(log)},
    )


def _known(state: ClusterState, name: SliceId) -> Slice:
    slice_ = state.slices.get(name)
    if slice_ is None:
        message = f"slice {name} is not known; one that is gone is remembered for a while"
        raise Refusal(HTTPStatus.NOT_FOUND, message)
    return slice_


async def _log(subject: Subject, asked: Asked, slice_: Slice) -> MachineLog | None:
    """The log that is asked for; of a slice that is to come, unasked that of the first host that is awaited."""
    hosts = len(slice_.workers)
    if asked.query.text("log"):
        host = asked.query.number("log", 0, most=_MOST_HOSTS)
        if host >= hosts:
            raise Refusal(
                HTTPStatus.NOT_FOUND,
                f"slice {slice_.id} has {plural(hosts, 'host')}, counted from 0",
            )
    elif _is_awaited(subject, asked, slice_):
        host = slice_.workers.index(None)
    else:
        return None
    try:
        content = await subject.machine_log(slice_.id, host, asked.viewer)
    except Refusal as refusal:
        if slice_.state is SliceState.GONE and refusal.status is HTTPStatus.NOT_FOUND:
            return MachineLog(host, (), "the machine is gone, and its log with it")
        return MachineLog(host, (), str(refusal))
    return MachineLog(host, of_tail(content), "")


def _is_awaited(subject: Subject, asked: Asked, slice_: Slice) -> bool:
    """Whether somebody who may read logs looks at machines of which one has not spoken, or never did."""
    if subject.simulation is not None or subject.why_not_operate(asked.viewer):
        return False
    return paid_from(slice_) is not None and None in slice_.workers


def _told_log(log: MachineLog | None) -> Json:
    if log is None:
        return {}
    return {
        "log": {
            "host": log.host,
            "lines": [line.text for line in log.lines],
            "trouble": log.trouble or None,
        }
    }


def _host(state: ClusterState, number: int, view: WorkerView | None) -> HostRow:
    tasks = view.tasks if view is not None else ()
    return HostRow(number, view, [(name, state.tasks[name].attempts[-1]) for name in tasks])


def _steps(state: ClusterState, slice_: Slice, now: Instant) -> list[Step]:
    to_accept, to_boot = usual_steps(state, slice_.group)
    accepted, ready = slice_.accepted_at, slice_.ready_at
    end = slice_.gone_at if slice_.gone_at is not None else now
    going, last = slice_.gone_at is None, slice_.gone_at
    found = [
        _step("asked for", slice_.requested_at, accepted or last, end, to_accept),
    ]
    if accepted is not None:
        found.append(_step("booting", accepted, ready or last, end, to_boot))
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


def told(model: SlicePage) -> Json:
    """The same for programs."""
    return object_of("Slice", model.whole)


PAGE = Page(
    "/slices/{name}", "slice.html", "Capacity", load, told, in_menu=False, sharing=Sharing.NOBODY
)
