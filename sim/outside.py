"""From a chronicle to a scenario: the recorded outside world, for any configuration to decide in.

What came from outside is kept: who submitted what when, how long each task really is and how it
failed of itself, how long each machine booted, what the cloud refused, took or let die and when,
what users and operators asked for. What the controller decided is left out; it decides anew.
Where the new world asks what the record does not say, an assumption answers; all of them are told.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from iris.core import events as ev
from iris.core.events import CreateFailure
from iris.core.ids import GroupName, JobId, Zone
from iris.core.instant import Instant, Millis, after
from iris.core.lifecycle import SliceState
from iris.core.records import Job, Slice
from iris.core.spec import ClusterSpec
from sim.chronicle import Chronicle
from sim.clone import ABROAD, template_of
from sim.courses import Courses
from sim.dice import LONGEST, Constant, Distribution, Empirical
from sim.losses import USUAL_SILENCE, in_order, losses_of, never_booted
from sim.model import Arrival, CloudModel, Scenario
from sim.recorded_model import Answer, Happening, Stall, Told

_SHORT = (CreateFailure.STOCKOUT, CreateFailure.QUOTA_ZONE, CreateFailure.QUOTA_REGION)
"""Refusals that say how much there is to be had; others pass."""


@dataclass(frozen=True, slots=True)
class Outside:
    """The outside world of a chronicle."""

    chronicle: Chronicle
    scenario: Scenario
    """Under the recorded configuration, its recorded changes among the happenings."""
    guessed_tasks: int
    """Tasks whose length is not on record."""
    tasks: int
    losses: int
    carried: Mapping[JobId, Arrival]
    """Jobs that were there when the record began."""


def outside_of(chronicle: Chronicle, name: str) -> Outside:
    """The outside world of a chronicle, as a scenario that is as long as its record."""
    courses = Courses(chronicle)
    losses = tuple(losses_of(chronicle))
    arrivals = _Arrivals(chronicle, courses)
    spec = chronicle.configs[0][1] if chronicle.configs else ClusterSpec()
    scenario = Scenario(
        name=name,
        seed=0,
        duration=Millis(max(1, chronicle.ended - chronicle.began + 1)),
        warm_up=Millis(0),
        cluster=spec,
        cloud=_cloud(chronicle),
        workload=(),
        faults=(),
        expect=(),
        path=Path(),
        whole=True,
        recorded=tuple(arrivals.to_come()),
        happenings=tuple(in_order(chronicle, [*losses, *_told(chronicle)])),
        config_hash=sha256(repr(spec).encode()).hexdigest(),
    )
    return Outside(
        chronicle=chronicle,
        scenario=scenario,
        guessed_tasks=courses.guessed,
        tasks=courses.tasks,
        losses=len(losses),
        carried=arrivals.carried,
    )


def until_done(outside: Outside) -> Outside:
    """The same outside world, in which a simulation goes on behind the record until all jobs have ended."""
    return replace(outside, scenario=replace(outside.scenario, duration=None, whole=False))


def under(
    scenario: Scenario, change: Callable[[ClusterSpec], ClusterSpec], *, keep_edits: bool
) -> Scenario:
    """A recorded outside world under another configuration.

    The edits that the record holds are changed alike, or, unless they are kept, never made.
    """
    happenings: list[Happening] = []
    for one in scenario.happenings:
        match one:
            case Told(at, ev.ConfigLoaded(spec)):
                if keep_edits:
                    happenings.append(Told(at, ev.ConfigLoaded(change(spec))))
            case _:
                happenings.append(one)
    spec = change(scenario.cluster)
    digest = sha256(repr(spec).encode()).hexdigest()
    return replace(scenario, cluster=spec, happenings=tuple(happenings), config_hash=digest)


# ---- jobs ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Arrivals:
    """The submissions; those of running tasks hang on the job whose tasks made them."""

    chronicle: Chronicle
    courses: Courses
    carried: dict[JobId, Arrival] = field(default_factory=dict)
    """Jobs that were there already."""
    _children: dict[int, list[Job]] = field(default_factory=dict)

    def to_come(self) -> Iterator[Arrival]:
        """The jobs that came by themselves, in order, with all that they brought.

        What a job brought that was there already comes at its recorded instant.
        """
        present: dict[JobId, Job] = {}
        roots: list[Job] = []
        for job in self.chronicle.jobs:
            parent = present.get(job.spec.parent) if job.spec.parent is not None else None
            if parent is None or _first_run(parent) is None or self._was_there(parent):
                roots.append(job)
            else:
                self._children.setdefault(parent.number, []).append(job)
            present[job.id] = job
        for number, job in enumerate(roots):
            at = Instant(max(0, job.submitted_at - self.chronicle.began))
            arrival = self._arrival(job, at, number)
            if self._was_there(job):
                self.carried[job.id] = arrival
            else:
                yield arrival

    def _was_there(self, job: Job) -> bool:
        return self.chronicle.image is not None and job.id in self.chronicle.image.jobs

    def _arrival(self, job: Job, at: Instant, number: int) -> Arrival:
        began = _first_run(job)
        children = []
        for child in self._children.get(job.number, ()):
            assert began is not None, job.id
            delay = Millis(max(0, child.submitted_at - began))
            children.append((delay, self._arrival(child, Instant(at + delay), number)))
        courses = self.courses.of(job)
        gang = job.spec.coscheduled
        return Arrival(
            at=at,
            number=number,
            run_time=courses[0].length,
            user=job.spec.user,
            template=replace(template_of(job, Constant(Millis(0)), gang=gang), entry=job.spec.name),
            spec=replace(job.spec, environment=(), payload=""),
            courses=courses,
            children=tuple(children),
        )


def _first_run(job: Job) -> Instant | None:
    """When the first of a job's tasks ran."""
    starts = (a.started_at for task in job.tasks for a in task.attempts if a.started_at is not None)
    return min(starts, default=None)


# ---- the cloud -------------------------------------------------------------------------------------


def _cloud(chronicle: Chronicle) -> CloudModel:
    requested = [s for s in chronicle.slices if not s.adopted]
    call = _median([s.accepted_at - s.requested_at for s in requested if s.accepted_at is not None])
    boots = _boots(chronicle, requested, call)
    by_group: dict[GroupName, list[Millis]] = {}
    for (group, _), spans in boots.items():
        known = [span for span in spans if span is not None and span < LONGEST]
        if known:
            by_group.setdefault(group, []).extend(known)
    every = [span for spans in by_group.values() for span in spans]
    silences = [s.told - s.since for spans in chronicle.silences.values() for s in spans]
    return CloudModel(
        boot=_drawn(every),
        group_boot={group: _drawn(spans) for group, spans in by_group.items()},
        boots=boots,
        answers=_answers(chronicle, requested, call),
        # Whoever wants a slice asks again by then: if nobody ever did, nobody knows.
        answers_hold=chronicle.config_at(chronicle.ended).autoscaler.max_backoff,
        call=Constant(call),
        delete=_drawn(list(_deletes(chronicle, call))),
        silence=_median(silences) if silences else USUAL_SILENCE,
    )


def _median(spans: Sequence[int]) -> Millis:
    ordered = sorted(spans)
    return Millis(ordered[(len(ordered) - 1) // 2] if ordered else 0)


def _drawn(spans: list[Millis]) -> Distribution:
    return Empirical(tuple(spans)) if spans else Constant(Millis(0))


def _placed(chronicle: Chronicle) -> dict[int, Slice]:
    """By their numbers, the slices that the world of a snapshot begins with."""
    if chronicle.image is None:
        return {}
    slices = chronicle.image.slices.values()
    return {slice_.number: slice_ for slice_ in slices if slice_.state not in ABROAD}


def _boots(
    chronicle: Chronicle, slices: list[Slice], call: Millis
) -> dict[tuple[GroupName, Zone], tuple[Millis | None, ...]]:
    """How long each machine booted, of those that came to be, in the order of their requests."""
    found: dict[tuple[GroupName, Zone], list[Millis | None]] = {}
    there = _placed(chronicle)
    for old in there.values():
        found.setdefault((old.group, old.zone), []).append(None)
    for slice_ in slices:
        if slice_.accepted_at is None or slice_.failure or slice_.number in there:
            continue
        span = None
        if slice_.ready_at is not None:
            span = Millis(max(0, slice_.ready_at - slice_.requested_at - call))
        elif never_booted(chronicle, slice_):
            span = LONGEST
        found.setdefault((slice_.group, slice_.zone), []).append(span)
    return {place: tuple(spans) for place, spans in found.items()}


def _answers(
    chronicle: Chronicle, slices: list[Slice], call: Millis
) -> dict[tuple[Zone, str], tuple[Answer, ...]]:
    """What each create showed, where any was refused."""
    found: dict[tuple[Zone, str], list[Answer]] = {}
    for slice_ in slices:
        if slice_.requested_at >= chronicle.began:
            row = found.setdefault((slice_.zone, slice_.accelerator_type), [])
            before = row[-1] if row else Answer(Instant(0))
            row.append(_answer(chronicle, slice_, call, before))
    return {
        key: tuple(row)
        for key, row in found.items()
        if any(one.failure or one.short for one in row)
    }


def _answer(chronicle: Chronicle, slice_: Slice, call: Millis, before: Answer) -> Answer:
    at = Instant(slice_.requested_at - chronicle.began + call)
    death = chronicle.deaths.get(slice_.number)
    there = _present(chronicle, slice_, at)
    if not slice_.failure or death is None:
        limit = None if before.limit is None else max(before.limit, there + 1)
        return replace(before, at=at, failure=None, limit=limit)
    late = slice_.accepted_at is not None
    span = Millis(max(0, death.at - chronicle.began - at if late else 0))
    reason = CreateFailure(slice_.failure)
    if reason in _SHORT:
        return Answer(at, None, there, reason, span)
    return replace(before, at=at, failure=reason, after=span)


def _present(chronicle: Chronicle, asked: Slice, at: Instant) -> int:
    """How many of a type existed in a zone when one more was asked for."""
    now, kind = after(chronicle.began, Millis(at)), (asked.zone, asked.accelerator_type)
    alike = (s for s in chronicle.slices if (s.zone, s.accelerator_type) == kind)
    return sum(
        s.number < asked.number and not s.failure and not _is_gone(chronicle, s, now) for s in alike
    )


def _is_gone(chronicle: Chronicle, slice_: Slice, now: Instant) -> bool:
    death = chronicle.deaths.get(slice_.number)
    preempted = death is not None and death.state is SliceState.PREEMPTED and death.at <= now
    return preempted or (slice_.gone_at is not None and slice_.gone_at <= now)


def _deletes(chronicle: Chronicle, call: Millis) -> Iterator[Millis]:
    for slice_ in chronicle.slices:
        asked = chronicle.deletes.get(slice_.number)
        if asked is not None and slice_.gone_at is not None:
            yield Millis(max(0, slice_.gone_at - asked - call))


# ---- what happened ---------------------------------------------------------------------------------


def _told(chronicle: Chronicle) -> Iterator[Happening]:
    began = chronicle.began
    for at, event in chronicle.asked:
        yield Told(Instant(at - began), event)
    for at, spec in chronicle.configs[1:]:
        yield Told(Instant(at - began), ev.ConfigLoaded(spec))
    for since, until in chronicle.stalls:
        yield Stall(Instant(max(0, since - began)), Instant(until - began))
    for slice_ in chronicle.slices:
        noticed = chronicle.notices.get(slice_.number)
        if noticed is not None and slice_.number not in chronicle.deaths:
            yield Told(Instant(noticed - began), ev.PreemptionNoticed(slice_.id))
