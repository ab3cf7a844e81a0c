"""What has been said of slices and workers: the evidence on which one may be given up.

Fed by facts alone. It answers whether anything that was said justifies calling a slice lost or gone, or
an attempt unknown to its worker.
"""

from iris.core import events as ev
from iris.core.ids import SliceId, TaskId, WorkerId
from iris.core.instant import Instant, after, since
from iris.core.lifecycle import SliceState
from iris.core.records import Attempt, Slice
from iris.core.state import ClusterState

_ALIVE = frozenset(
    {
        ev.CloudState.CREATING,
        ev.CloudState.READY,
        ev.CloudState.REPAIRING,
        ev.CloudState.DELETING,
    }
)


class Grounds:
    """The evidence: some of it of this turn, some remembered."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._silent: dict[WorkerId, Instant] = {
            w.id: w.silent_since for w in state.workers.values() if w.silent_since is not None
        }
        """Since when nothing was heard of those who were called silent."""
        self._missing: dict[SliceId, None] = {
            s.id: None for s in state.slices.values() if s.missing_since is not None
        }
        """Slices that the last complete listing lacked."""
        self._gone: dict[SliceId, None] = {
            s.id: None for s in state.slices.values() if s.state is SliceState.GONE
        }
        self._runs = {w.id: w.incarnation for w in state.workers.values()}
        """Which run of each agent speaks now, as facts come in."""
        self._said: list[ev.Event] = []
        self._given_up: dict[SliceId, None] = {}

    def begin(self) -> None:
        """A turn begins: what was said in the last one is over."""
        self._said.clear()
        self._given_up.clear()

    def hear(self, event: ev.Event) -> None:
        """A fact of this turn."""
        match event:
            case ev.WorkerReported():
                if self._silent:
                    self._heard(event.worker, event.incarnation)
                if event.complete:
                    self._said.append(event)
            case ev.WorkerHeard():
                self._heard(event.worker, event.incarnation)
            case ev.WorkerRegistered():
                self._registered(event)
            case ev.WorkerSilent():
                self._fell_silent(event)
            case ev.ControllerStalled():
                self._was_deaf(event.since)
            case ev.ControllerRestarted():
                self._silent = dict.fromkeys(self._state.workers, self._state.now)
            case (
                ev.SlicesObserved()
                | ev.SliceDeleted()
                | ev.SliceTerminateRequested()
                | ev.SliceCreateFailed()
            ):
                self._said.append(event)
            case _:
                pass

    def _registered(self, event: ev.WorkerRegistered) -> None:
        """Another run speaks, unless it was refused: another machine cannot take a host's place by its index."""
        slice_ = self._state.slices.get(event.slice)
        if slice_ is None or not 0 <= event.host < len(slice_.workers):
            return
        name = slice_.workers[event.host]
        worker = self._state.workers.get(name) if name is not None else None
        if worker is not None and worker.address == event.address:
            self._runs[worker.id] = event.incarnation
            self._heard(worker.id, event.incarnation)

    def _heard(self, name: WorkerId, incarnation: str) -> None:
        worker = self._state.workers.get(name)
        if worker is not None and worker.incarnation == incarnation:
            self._silent.pop(name, None)

    def _fell_silent(self, event: ev.WorkerSilent) -> None:
        worker = self._state.workers.get(event.worker)
        if worker is not None and worker.incarnation == event.incarnation:
            self._silent.setdefault(event.worker, event.since)

    def _was_deaf(self, began: Instant) -> None:
        now = self._state.now
        for name, at in self._silent.items():
            deaf = max(0, since(max(began, at), now))
            self._silent[name] = Instant(at + deaf)

    def end(self) -> None:
        """A turn ends: remember what the next one may build on."""
        for event in self._said:
            if isinstance(event, ev.SlicesObserved) and not event.error:
                self._listed(event)

    def _listed(self, event: ev.SlicesObserved) -> None:
        seen = {sighting.slice: None for sighting in event.listing}
        for name in seen:
            self._missing.pop(name, None)
        if event.complete:
            for name, slice_ in self._state.slices.items():
                if name not in seen and slice_.state is not SliceState.REQUESTED:
                    self._missing[name] = None
            self._forget()

    def _forget(self) -> None:
        workers, slices = self._state.workers, self._state.slices
        self._missing = {name: None for name in self._missing if name in slices}
        self._gone = {name: None for name in self._gone if name in slices}
        self._silent = {name: at for name, at in self._silent.items() if name in workers}

    # ---- questions -------------------------------------------------------------------------

    def is_current(self, report: ev.WorkerReported) -> bool:
        """Whether the sender of a report, which was heard just now, had not been replaced by then."""
        return self._runs.get(report.worker) == report.incarnation

    def is_silent(self, worker: WorkerId) -> bool:
        """Whether a worker was called silent and has not been heard since."""
        return worker in self._silent

    def denied(self, worker: WorkerId, task: TaskId) -> bool:
        """Whether a worker told all that it has in this turn, and this task was not among it."""
        return any(
            isinstance(e, ev.WorkerReported)
            and e.complete
            and e.worker == worker
            and all(report.task != task for report in e.reports)
            for e in self._said
        )

    def gave_up(self, attempt: Attempt) -> None:
        """An attempt that was asked to stop ended without a word."""
        if attempt.stop_cause is not None:
            self._given_up[attempt.slice] = None

    def of_loss(self, slice_: Slice) -> bool:
        """Whether a slice may be called lost."""
        if slice_.ready_at is None or slice_.id in self._given_up:
            return (
                True  # Nothing is lost with a slice that never was ready; its boot has a deadline.
            )
        if any(self._silent_for_too_long(w) for w in slice_.workers if w is not None):
            return True
        return any(self._condemns(event, slice_) for event in self._said)

    def _silent_for_too_long(self, worker: WorkerId) -> bool:
        at = self._silent.get(worker)
        timeout = self._state.spec.timeouts.worker_timeout
        return at is not None and after(at, timeout) <= self._state.now

    def _condemns(self, event: ev.Event, slice_: Slice) -> bool:
        match event:
            case ev.SliceTerminateRequested(slice=name) | ev.SliceCreateFailed(slice=name):
                return name == slice_.id
            case ev.SlicesObserved():
                return self._listing_condemns(event, slice_)
            case _:
                return False

    def _listing_condemns(self, event: ev.SlicesObserved, slice_: Slice) -> bool:
        """A listing shows it dead; or lacks it again, or lacks it while its workers do not speak."""
        if event.error:
            return False
        states = [s.state for s in event.listing if s.slice == slice_.id]
        if states:
            return any(state not in _ALIVE for state in states)
        silent = any(w in self._silent for w in slice_.workers if w is not None)
        at_once = not self._state.spec.autoscaler.absence_grace
        return event.complete and (silent or at_once or slice_.id in self._missing)

    def of_absence(self, name: SliceId) -> bool:
        """Whether a slice that was being deleted may be called gone."""
        for event in self._said:
            if isinstance(event, ev.SliceDeleted) and event.slice == name:
                return self._is_gone(name)
            if isinstance(event, ev.SlicesObserved) and event.complete and not event.error:
                if all(sighting.slice != name for sighting in event.listing):
                    return self._is_gone(name)
        return False

    def _is_gone(self, name: SliceId) -> bool:
        self._gone[name] = None
        return True

    def was_gone(self, name: SliceId) -> bool:
        """Whether a slice had been called gone, and is being deleted again."""
        return name in self._gone and self._state.slices[name].state is not SliceState.GONE
