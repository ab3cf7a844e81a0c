"""What happened to a job, a task, a slice, a worker or a group, read off recorded turns.

A turn's facts come before its decisions, as they did when it was made. What a fact or decision says
of several things is told of each of them; what it says of nobody (a listing without news, an answer
to a request) is not told. A worker repeats its reports until they are acknowledged: what says
nothing new of an attempt is told once.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from iris.core import decisions as de
from iris.core import events as ev
from iris.core.gates import FOREVER
from iris.core.ids import (
    GroupName,
    SliceId,
    TaskId,
    WorkerId,
    Zone,
    slice_id,
    slice_of,
    split_task_id,
    worker_id,
)
from iris.core.instant import Instant
from iris.core.record import Turn
from iris.core.spec import ClusterSpec
from iris.core.telling import span


class Of(Enum):
    """What kind of thing something happened to."""

    JOB = "job"
    TASK = "task"
    SLICE = "slice"
    WORKER = "worker"
    GROUP = "group"
    ZONE = "zone"
    """What creates of one type meet in one zone; told of the groups that are made of it."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened."""

    at: Instant
    turn: int
    """Counts the turns of the journal from 1; 0: not out of the journal, but as the tables have it."""
    kind: str
    """The class of the fact or decision, or `Record`."""
    of: Of
    subject: str
    text: str
    cause: str
    is_fact: bool
    """It was learned, and not decided."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """A page of a timeline."""

    happenings: tuple[Happening, ...]
    """Oldest first."""
    before: int
    """Asks for what is older, as the number of a turn; 0 when the journal has nothing older."""
    first_turn: int
    """The first that the journal still holds; 0 when it holds none."""
    first_at: Instant
    """Of that turn: what was before is no longer there."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose timeline is asked for."""

    of: Of
    id: str
    pools: frozenset[str] = frozenset()
    """Of a group: its type in each of its zones, as `zone_name` says it."""

    @property
    def words(self) -> tuple[str, ...]:
        """What a turn's JSON holds, one at least, if it may be about it: a cheap question before it is read."""
        match self.of:
            case Of.JOB:
                return (f'"{self.id}"', f'"{self.id}:')
            case Of.SLICE:
                return (f'"{self.id}"', f'"{self.id}-w')
            case Of.WORKER:
                return (f'"{self.id}"', f'"{slice_of(WorkerId(self.id))}"')
            case Of.GROUP:
                return (f'"{self.id}"', f'"{_stem(self.id)}-', '"Throttle"', '"CreatePause"')
            case _:
                return (f'"{self.id}"',)

    def is_of(self, it: Happening) -> bool:
        """Whether it happened to this, or to a part of it."""
        match self.of:
            case Of.JOB:
                return it.subject == self.id or (
                    it.of is Of.TASK and split_task_id(TaskId(it.subject))[0] == self.id
                )
            case Of.SLICE:
                return it.subject == self.id or (
                    it.of is Of.WORKER and it.subject.rpartition("-w")[0] == self.id
                )
            case Of.GROUP if it.of is Of.SLICE:
                return it.subject.rpartition("-")[0] == _stem(self.id)
            case Of.GROUP if it.of is Of.ZONE:
                return it.subject in self.pools or it.subject == ""
            case _:
                return it.of is self.of and it.subject == self.id


def timeline_of_group(spec: ClusterSpec, group: GroupName) -> Subject:
    """Whose timeline a group's is, as it is configured; one that is not has no zones."""
    pools = [
        zone_name(each.accelerator_type, zone)
        for each in spec.groups
        if each.name == group
        for zone in each.zones
    ]
    return Subject(Of.GROUP, group, frozenset(pools))


def zone_name(accelerator_type: str, zone: Zone) -> str:
    """What creates of a type meet in a zone, by name."""
    return f"{accelerator_type} in {zone}"


def _stem(group: str) -> str:
    """How the names of a group's slices begin."""
    return slice_id(GroupName(group), 0).rpartition("-")[0]


class Timeline:
    """Reads turns in their order, and tells what happened in each."""

    def __init__(self) -> None:
        self._told: set[tuple[TaskId, int, str]] = set()
        self._seen: dict[SliceId, ev.CloudState] = {}

    def of_turn(self, turn: Turn, number: int) -> Iterator[Happening]:
        """All that happened in a turn, facts first."""
        for event in turn.events:
            for said in self._of_fact(event):
                kind = type(event).__name__
                yield Happening(turn.now, number, kind, *said, is_fact=True)
        for decision in turn.decisions:
            for said in _of_decision(decision, turn.now):
                kind = type(decision).__name__
                yield Happening(turn.now, number, kind, *said, is_fact=False)

    def _of_fact(self, event: ev.Event) -> Iterator["_Said"]:
        match event:
            case ev.WorkerReported():
                yield from self._reported(event)
            case ev.SlicesObserved():
                yield from self._listed(event)
            case ev.ConfigLoaded(spec):
                for group in spec.groups:
                    sizes = f"{group.min_slices} to {group.max_slices} slices"
                    yield Of.GROUP, group.name, f"the configuration was read: {sizes}", ""
            case _:
                yield from _of_plain_fact(event)

    def _reported(self, event: ev.WorkerReported) -> Iterator["_Said"]:
        for report in event.reports:
            key = report.task, report.attempt, f"{report.state.value} {report.cause}"
            if key in self._told:
                continue
            self._told.add(key)
            cause = report.cause.value if report.cause is not None else ""
            text = f"attempt {report.attempt}: {report.state.value} on {event.worker}"
            yield Of.TASK, report.task, text, ": ".join(filter(None, (cause, report.detail)))

    def _listed(self, event: ev.SlicesObserved) -> Iterator["_Said"]:
        for sighting in event.listing:
            if self._seen.get(sighting.slice) is not sighting.state:
                self._seen[sighting.slice] = sighting.state
                yield Of.SLICE, sighting.slice, f"the cloud calls it {sighting.state.value}", ""


_Said: TypeAlias = tuple[Of, str, str, str]
"""What it happened to, which one, what, and why."""


def _of_plain_fact(event: ev.Event) -> Iterator[_Said]:
    match event:
        case ev.JobStopRequested(job=job, user=user):
            yield Of.JOB, job, f"{user or 'somebody'} asked for it to be stopped", ""
        case ev.SliceCreateRequested(group=group):
            yield Of.GROUP, group, "an operator asked for one more slice", ""
        case ev.WorkerRegistered(slice=slice_, host=host):
            yield Of.WORKER, worker_id(slice_, host), f"it registered, at {event.address}", ""
        case ev.WorkerSilent(worker=worker):
            yield Of.WORKER, worker, "it has fallen silent", ""
        case ev.WorkerHeard(worker=worker):
            yield Of.WORKER, worker, "it speaks again", ""
        case ev.WorkerDrainRequested(worker=worker, resume=resume):
            what = "may have work again" if resume else "shall get no new work"
            yield Of.WORKER, worker, f"an operator says that it {what}", ""
        case _:
            yield from _of_other_fact(event)


def _of_other_fact(event: ev.Event) -> Iterator[_Said]:
    match event:
        case ev.EndpointRegistered(task=task, name=name, address=address):
            yield Of.TASK, task, f"serves {name} at {address}", ""
        case ev.EndpointsWithdrawn(task=task, endpoints=endpoints, expired=expired):
            why = "their leases have run out" if expired else ""
            yield Of.TASK, task, f"serves no more: {', '.join(endpoints)}", why
        case ev.SliceAccepted(slice=slice_):
            yield Of.SLICE, slice_, "the cloud took the request", ""
        case ev.SliceCreateFailed(slice=slice_, reason=reason, detail=detail):
            yield Of.SLICE, slice_, f"the cloud refused it: {reason.value}", detail
        case ev.PreemptionNoticed(slice=slice_):
            yield Of.SLICE, slice_, "the cloud announced that it takes it", ""
        case ev.SliceDeleted(slice=slice_):
            yield Of.SLICE, slice_, "the cloud says that it is no more", ""
        case ev.SliceDeleteFailed(slice=slice_, detail=detail):
            yield Of.SLICE, slice_, "the cloud could not delete it", detail
        case ev.SliceTerminateRequested(slice=slice_):
            yield Of.SLICE, slice_, "an operator gave it up", ""
        case _:
            return  # Of the controller itself, or told by the decision that it led to.


def _of_decision(decision: de.Decision, now: Instant) -> Iterator[_Said]:
    match decision:
        case de.Placement(job=job, tasks=tasks, workers=workers, why=why):
            if len(tasks) > 1:
                yield Of.JOB, job, f"{len(tasks)} tasks are placed", why
            for task, worker in zip(tasks, workers, strict=True):
                yield Of.TASK, task, f"placed on {worker}", why
                yield Of.WORKER, worker, f"{task} was placed on it", why
        case de.Eviction(job=job, victims=victims, why=why):
            yield Of.JOB, job, f"asked to stop for it: {', '.join(victims)}", why
            for task in victims:
                yield Of.TASK, task, f"asked to stop for {job}", why
        case de.Holding(job=job, workers=workers, why=why):
            yield Of.JOB, job, f"room on {', '.join(workers)} is kept for it", why
        case de.Release(job=job, why=why):
            yield Of.JOB, job, "room is kept for it no longer", why
        case de.JobEnd(job=job, state=state, cause=cause, why=why):
            yield Of.JOB, job, f"is to end: {state.value} ({cause.value})", why
        case de.Admission(job=job, spec=spec):
            user = spec.user or "somebody"
            size = f"{spec.replicas} x, {spec.band.name.lower()}"
            yield Of.JOB, job, f"{user} submitted it: {size}", ""
        case _:
            yield from _of_attempt(decision, now)


def _of_attempt(decision: de.Decision, now: Instant) -> Iterator[_Said]:
    match decision:
        case de.AttemptStop(task=task, cause=cause, why=why):
            yield Of.TASK, task, f"asked to stop: {cause.value}", why
        case de.AttemptLoss(task=task, cause=cause, why=why):
            yield Of.TASK, task, f"its attempt is lost: {cause.value}", why
        case de.Retry():
            yield from _of_retry(decision, now)
        case de.TaskVerdict(task=task, state=state, why=why):
            yield Of.TASK, task, f"ended: {state.value}", why
        case de.Oblivion(jobs=jobs, slices=slices):
            yield from ((Of.JOB, job, "its record is forgotten", "") for job in jobs)
            yield from ((Of.SLICE, slice_, "its record is forgotten", "") for slice_ in slices)
        case _:
            yield from _of_capacity(decision, now)


def _of_retry(retry: de.Retry, now: Instant) -> Iterator[_Said]:
    later = ""
    if retry.not_before is not None and retry.not_before > now:
        later = f" in {span(retry.not_before - now)}"
    charge = f", at the cost of one {retry.charge.value} retry" if retry.charge is not None else ""
    text = f"is tried again{later}{charge}"
    if len(retry.tasks) > 1:
        yield Of.JOB, retry.job, text, retry.why
    for task in retry.tasks:
        yield Of.TASK, task, text, retry.why


def _of_capacity(decision: de.Decision, now: Instant) -> Iterator[_Said]:
    match decision:
        case de.SliceRequest(slice=slice_, zone=zone, why=why):
            yield Of.SLICE, slice_, f"asked for in {zone}", why
        case de.SliceCordon(slice=slice_, until=until, why=why):
            text = "may have work again" if until is None else "gets no new work for a while"
            yield Of.SLICE, slice_, text, why
        case de.SliceDrain(slice=slice_, why=why):
            yield Of.SLICE, slice_, "gets no new work, and is given back when it is empty", why
        case de.SliceLoss(slice=slice_, state=state, cause=cause, why=why):
            yield Of.SLICE, slice_, f"is lost as a whole: {state.value} ({cause.value})", why
        case de.SliceDelete(slice=slice_, why=why):
            yield Of.SLICE, slice_, "the cloud is asked to take it back", why
        case de.SliceGone(slice=slice_, why=why):
            yield Of.SLICE, slice_, "is gone", why
        case de.SliceAgain(slice=slice_):
            yield Of.SLICE, slice_, "is asked for again, since no answer came", ""
        case de.WorkerCordon(worker=worker, cordoned=cordoned, why=why):
            yield Of.WORKER, worker, "put out of use" if cordoned else "in use again", why
        case de.Throttle(zone=zone, accelerator_type=kind, why=why):
            yield Of.ZONE, zone_name(kind, zone), _throttled(decision, now), why
        case de.CreatePause(until=until):
            yield Of.ZONE, "", f"no creates for {span(until - now)}", "the cloud refused their rate"
        case _:
            return


def _throttled(throttle: de.Throttle, now: Instant) -> str:
    until, where = throttle.blocked_until, zone_name(throttle.accelerator_type, throttle.zone)
    if until is None or until <= now:
        return f"{where}: {throttle.window} may come at once"
    if until >= FOREVER:
        return f"{where}: no creates until another configuration is read"
    return f"{where}: no creates for {span(until - now)}"


def happenings(
    turns: Iterable[tuple[int, Turn]], subject: Subject, reader: Timeline | None = None
) -> Iterator[Happening]:
    """What happened to a subject in numbered turns, which come in their order.

    Args:
        turns: with their numbers.
        subject: whose timeline it is.
        reader: has read what was before; without one nothing was.
    """
    reader = reader or Timeline()
    for number, turn in turns:
        yield from (it for it in reader.of_turn(turn, number) if subject.is_of(it))
