"""What a journal holds, read once from its begin to its end.

The rows are those of the controller's own tables, each as it was last, also of jobs and slices that
were forgotten on the way. Facts that came from outside and are in no table (who was silent when,
what operators asked for) are noted as they go by. All instants are the journal's own.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from iris.core import decisions as de
from iris.core import events as ev
from iris.core.controller import Controller
from iris.core.effects import Rejected
from iris.core.ids import JobId, SliceId, WorkerId, job_id, worker_id
from iris.core.instant import SECOND, Instant, Millis, after
from iris.core.invariants import Auditor
from iris.core.lifecycle import SliceState
from iris.core.record import Turn
from iris.core.records import Attempt, Job, Slice
from iris.core.snapshot import Snapshot, copy_state, restore
from iris.core.spec import ClusterSpec
from iris.core.state import ClusterState
from sim.backlog import waiting
from sim.recorder import MOST_SAMPLES

_GIVEN_UP = (SliceState.FAILED, SliceState.PREEMPTED, SliceState.DELETING, SliceState.GONE)


@dataclass(slots=True)
class Silence:
    """A worker was not heard of."""

    since: Instant
    told: Instant
    """When the controller learned of it."""
    heard: Instant | None = None  # None: it was never heard again


@dataclass(frozen=True, slots=True)
class Death:
    """A slice was lost as a whole."""

    at: Instant
    state: SliceState
    by_operator: bool


@dataclass(frozen=True, slots=True)
class Load:
    """How much waited and ran at one instant."""

    at: Instant
    pending_tasks: int
    wanted: int
    """Milli-chips that pending work asks for."""
    running_tasks: int


@dataclass(slots=True)
class Chronicle:
    """All of it."""

    began: Instant
    controller: Controller
    image: ClusterState | None = None  # None: it begins with the first turn of all
    """What it begins with: the turns before are gone."""
    ended: Instant = Instant(0)
    turns: int = 0
    events: int = 0
    auditor: Auditor = field(init=False)
    _by_name: dict[SliceId, list[Slice]] = field(default_factory=dict)
    configs: list[tuple[Instant, ClusterSpec]] = field(default_factory=list)
    """Each one that differs from the last; the first one is that of the begin."""
    jobs: list[Job] = field(default_factory=list)
    """In order of submission, without those that had ended before the begin."""
    slices: list[Slice] = field(default_factory=list)
    """In order of their numbers, without those that were given up before the begin."""
    deaths: dict[int, Death] = field(default_factory=dict)
    """By the number of the slice, as the next two: a name may come again."""
    deletes: dict[int, Instant] = field(default_factory=dict)
    """When the cloud was first asked to take each slice back."""
    notices: dict[int, Instant] = field(default_factory=dict)
    """The first notice to each slice."""
    silences: dict[WorkerId, list[Silence]] = field(default_factory=dict)
    stalls: list[tuple[Instant, Instant]] = field(default_factory=list)
    asked: list[tuple[Instant, ev.Event]] = field(default_factory=list)
    """What users and operators asked for, but for submissions."""
    restarts: int = 0
    refused: int = 0
    """Submissions that were refused."""
    loads: list[Load] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Nothing is read yet."""
        self.auditor = Auditor(self.state, every_turn=False)

    def config_at(self, at: Instant) -> ClusterSpec:
        """The configuration that was in force at an instant."""
        return [spec for since, spec in self.configs if since <= at][-1]

    def enter(self, slice_: Slice) -> None:
        """Enter a slice, under a name of its own if it has that of an earlier one."""
        named = self._by_name.setdefault(slice_.id, [])
        again = f"{slice_.id}.{len(named) + 1}"
        named.append(replace(slice_, id=SliceId(again)) if named else slice_)
        self.slices.append(named[-1])

    def place_of(self, attempt: Attempt) -> Slice | None:
        """The slice that an attempt was on; nothing if it was given up before the begin."""
        named = [
            s for s in self._by_name.get(attempt.slice, ()) if s.requested_at <= attempt.assigned_at
        ]
        return named[-1] if named else None

    def is_lost(self, attempt: Attempt) -> bool:
        """Whether the slice that an attempt was on was lost as a whole."""
        place = self.place_of(attempt)
        return place is not None and place.number in self.deaths

    @property
    def state(self) -> ClusterState:
        """As it is after the last turn that was read."""
        return self.controller.state


def read_chronicle(turns: Iterable[Turn], image: Snapshot | None = None) -> Chronicle | None:
    """All that turns say which follow a snapshot, or the begin; nothing of no turns at all.

    Raises:
        ValueError: a turn lies before the one that it follows.
    """
    chronicle: Chronicle | None = None
    reader: _Reader | None = None
    if image is not None:
        begun = restore(image)
        chronicle = Chronicle(image.now, Controller(copy_state(begun)), begun)
        chronicle.ended = image.now
        chronicle.configs.append((image.now, image.spec))
        reader = _Reader(chronicle)
    for turn in turns:
        if reader is None:
            chronicle = Chronicle(turn.now, Controller())
            reader = _Reader(chronicle)
        reader.read(turn)
    if reader is not None:
        reader.close()
    return chronicle


class _Reader:
    """Reads turn after turn into a chronicle."""

    def __init__(self, chronicle: Chronicle) -> None:
        self._chronicle = chronicle
        self._jobs: dict[int, Job] = {}
        self._slices: dict[int, Slice] = {}
        state = chronicle.state
        self._before = {job.number for job in state.jobs.values() if job.ended_at is not None}
        self._given_up = {s.number for s in state.slices.values() if s.state in _GIVEN_UP}
        self._step = Millis(SECOND)
        self._next_look = chronicle.began

    def read(self, turn: Turn) -> None:
        """Enter a turn."""
        chronicle = self._chronicle
        self._look(turn.now)
        chronicle.turns += 1
        chronicle.events += len(turn.events)
        chronicle.ended = turn.now
        for decision in turn.decisions:
            self._conclude(decision, turn)
        for event in turn.events:
            self._note(event, turn.now)
        chronicle.controller.replay(turn)
        chronicle.auditor.check(turn)

    def _conclude(self, decision: de.Decision, turn: Turn) -> None:
        """Note a decision of which the tables keep too little."""
        match decision:
            case de.Oblivion(jobs=jobs, slices=slices):
                self._keep(jobs, slices)
            case de.SliceLoss(slice=name, state=state):
                asked = (e for e in turn.events if isinstance(e, ev.SliceTerminateRequested))
                by_operator = any(event.slice == name for event in asked)
                number = self._chronicle.state.slices[name].number
                self._chronicle.deaths[number] = Death(turn.now, state, by_operator)
            case de.SliceDelete(slice=name):
                number = self._chronicle.state.slices[name].number
                self._chronicle.deletes.setdefault(number, turn.now)
            case de.Answer(request=request, answer=Rejected()):
                submitted = (e for e in turn.events if isinstance(e, ev.JobSubmitted))
                self._chronicle.refused += any(event.request == request for event in submitted)
            case _:
                return

    def _note(self, event: ev.Event, now: Instant) -> None:
        chronicle = self._chronicle
        match event:
            case ev.ConfigLoaded(spec=spec):
                if not chronicle.configs or chronicle.configs[-1][1] != spec:
                    chronicle.configs.append((now, spec))
            case ev.WorkerSilent():
                silences = chronicle.silences.setdefault(event.worker, [])
                if not silences or silences[-1].heard is not None:
                    silences.append(Silence(event.since, now))
            case ev.WorkerHeard() | ev.WorkerReported():
                self._heard(event.worker, now)
            case ev.WorkerRegistered():
                self._heard(worker_id(event.slice, event.host), now)
            case ev.PreemptionNoticed(slice=name) if name in chronicle.state.slices:
                chronicle.notices.setdefault(chronicle.state.slices[name].number, now)
            case ev.ControllerStalled(since=since):
                chronicle.stalls.append((since, now))
            case ev.ControllerRestarted():
                chronicle.restarts += 1
            case (
                ev.JobStopRequested()
                | ev.WorkerDrainRequested()
                | ev.SliceTerminateRequested()
                | ev.SliceCreateRequested()
            ):
                chronicle.asked.append((now, event))
            case _:
                return

    def _heard(self, worker: WorkerId, now: Instant) -> None:
        silences = self._chronicle.silences.get(worker)
        if silences and silences[-1].heard is None:
            silences[-1].heard = now

    def _look(self, now: Instant) -> None:
        """Note how much waits and runs, since the last turn and until this one."""
        if self._next_look > now:
            return
        chronicle = self._chronicle
        pending, wanted = waiting(chronicle.state)
        running = sum(len(worker.attempts) for worker in chronicle.state.workers.values())
        while self._next_look <= now:
            chronicle.loads.append(Load(self._next_look, pending, wanted, running))
            if len(chronicle.loads) >= 2 * MOST_SAMPLES:
                del chronicle.loads[1::2]
                self._step = Millis(self._step * 2)
            self._next_look = after(chronicle.loads[-1].at, self._step)

    def _keep(self, jobs: Iterable[JobId], slices: Iterable[SliceId]) -> None:
        """Keep rows that are forgotten now, or at the end all of them."""
        state = self._chronicle.state
        for job in (state.jobs[name] for name in jobs):
            if job.number not in self._before:
                self._jobs[job.number] = job
        for slice_ in (state.slices[name] for name in slices):
            if slice_.number not in self._given_up:
                self._slices[slice_.number] = slice_

    def close(self) -> None:
        """The journal ends here."""
        chronicle, state = self._chronicle, self._chronicle.state
        self._look(chronicle.ended)
        self._keep(state.jobs, state.slices)
        chronicle.jobs = _told_apart(job for _, job in sorted(self._jobs.items()))
        for _, slice_ in sorted(self._slices.items()):
            chronicle.enter(slice_)


def _told_apart(jobs: Iterable[Job]) -> list[Job]:
    """The jobs with a name of its own each: one that was forgotten may have left its name to another."""
    found: dict[JobId, Job] = {}
    name_now: dict[JobId, JobId] = {}
    for row in jobs:
        spec = row.spec
        parent = None if spec.parent is None else name_now.get(spec.parent, spec.parent)
        name, number = job_id(parent, spec.user, spec.name), 1
        while name in found:
            number += 1
            name = job_id(parent, spec.user, f"{spec.name[:50]}.{number}")
        name_now[row.id] = name
        own = name.rpartition("/")[2]
        same = name == row.id
        found[name] = (
            row if same else replace(row, id=name, spec=replace(spec, name=own, parent=parent))
        )
    return list(found.values())
