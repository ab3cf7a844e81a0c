"""What a cluster's own past says of its future: run times, launches, boots, losses, droughts, arrivals.

Everything is learned from one state: the jobs that it still knows, ended and not, and the record
that it keeps of each group's slices. It is the same for the same state. Nothing is drawn here but the
jobs that will still come.
"""

from bisect import bisect_right
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from re import compile as pattern
from typing import Final

from iris.core.events import CreateFailure
from iris.core.ids import GroupName, Zone
from iris.core.instant import DAY, HOUR, MINUTE, Instant, Millis, after
from iris.core.lifecycle import ALIVE, COMING, SliceState
from iris.core.records import Attempt, Gate, Job, Life, Slice, Task
from iris.core.retry import EndCause
from iris.core.spec import GroupSpec
from iris.core.state import LIVES_KEPT, ClusterState
from sim.clone import Drought, saved_by, template_of
from sim.dice import Constant, Dice, Distribution, Exponential, Lognormal, Remaining, Uniform
from sim.model import Arrival, CloudModel
from sim.survival import Later, Survival

ENOUGH: Final = 5
"""Ended runs, from which on a kind of jobs speaks for itself."""
_MOST: Final = 400
"""Runs that are looked at of each kind, the newest."""
_MOST_OF_A_JOB: Final = 16
"""Tasks that are looked at of each job: they are alike."""
_UNKNOWN_RUN: Final = Millis(10 * MINUTE)
"""What a run is taken to have lasted for of which nothing at all is known: half last twice as long."""
_UNKNOWN_BOOT: Final = Lognormal(2.5 * MINUTE, 0.5)
_UNKNOWN_LIFE: Final = DAY
"""As if, before all that was seen, one slice had been lost after so long."""
_SHORTEST_PAST: Final = HOUR
"""Of arrivals: three jobs in the first minute are no 180 an hour."""
_JITTER: Final = 2 * HOUR
_SCARCE: Final = frozenset(
    {
        CreateFailure.STOCKOUT.value,
        CreateFailure.QUOTA_ZONE.value,
        CreateFailure.QUOTA_REGION.value,
    }
)
_UP: Final = ALIVE - COMING
_LOSSES: Final = frozenset({SliceState.PREEMPTED, SliceState.FAILED})
_OWN_ENDS: Final = frozenset(
    {EndCause.EXIT_ZERO, EndCause.EXIT_NONZERO, EndCause.OUT_OF_MEMORY, EndCause.TIMEOUT}
)
_COUNTER: Final = pattern(r"[0-9a-f]{8,}|[0-9]+")
"""What tells one job from another that runs the same: a number, or letters that were drawn."""


@dataclass(slots=True)
class _Seen:
    """Spans of one kind."""

    ends: list[Millis] = field(default_factory=list)
    cut: list[Millis] = field(default_factory=list)

    def add(self, span: int, *, over: bool) -> None:
        if len(self.ends) + len(self.cut) < _MOST:
            (self.ends if over else self.cut).append(Millis(span))

    def estimate(self, least: Millis = Millis(1)) -> Survival:
        return Survival(tuple(self.ends), tuple(self.cut), least)


class History:
    """An outlook (`sim.clone.Outlook`) of one who knows the past, and expects more of it."""

    def __init__(self, state: ClusterState, at: Instant) -> None:
        """Of a state, as of an instant no earlier than its last turn."""
        self._state = state
        self._at = at
        self._runs: dict[Hashable, _Seen] = {}
        self._launches: dict[Hashable, _Seen] = {}
        self._known: dict[Hashable, Distribution] = {}
        for job in sorted(state.jobs.values(), key=lambda j: -j.number):
            for task in job.tasks[: 1 if job.spec.coscheduled else _MOST_OF_A_JOB]:
                self._look_at(job, task)
        groups = state.spec.groups
        self.cloud = CloudModel(
            boot=_UNKNOWN_BOOT,
            group_boot=self._boots(groups),
            group_lifetime={g.name: self._lifetime(g) for g in groups if g.preemptible},
        )
        self.droughts = tuple(self._droughts())
        self.size = self._size()
        """Ended runs, boots and losses of slices that were learned from."""

    def _size(self) -> tuple[int, int, int]:
        runs = sum(
            _ended_by_itself(attempt)
            for job in self._state.jobs.values()
            for task in job.tasks
            for attempt in task.attempts
        )
        lives = [life for group in self._state.lives.values() for life in group]
        boots = sum(life.ready_at is not None for life in lives)
        boots += sum(s.state in _UP for s in self._state.slices.values())
        return runs, boots, sum(life.end in _LOSSES for life in lives if life.ready_at is not None)

    # ---- runs ------------------------------------------------------------------------------

    def _look_at(self, job: Job, task: Task) -> None:
        kinds = (*_kinds(job), *_wide_kinds(job))
        spans: list[int] = []
        over = False
        for number, attempt in enumerate(task.attempts):
            end = attempt.ended_at if attempt.ended_at is not None else self._at
            begun = attempt.started_at
            launched = begun if begun is not None else end
            for kind in kinds:
                seen = self._launches.setdefault(kind, _Seen())
                seen.add(launched - attempt.assigned_at, over=begun is not None)
            if begun is not None:
                spans.append(saved_by(job, task.attempts[:number]) + end - begun)
                over = _ended_by_itself(attempt)
        if spans:
            # However often it was tried, it is one task of one length.
            span = spans[-1] if over else max(spans)
            for kind in kinds:
                self._runs.setdefault(kind, _Seen()).add(span, over=over)

    def run_time(self, job: Job) -> Distribution:
        """How much work each task of a job is: as of its like, else as declared, else as of all."""
        for kind in _kinds(job):
            seen = self._runs.get(kind)
            if seen is not None and len(seen.ends) >= ENOUGH:
                return self._estimate(kind, seen)
        if job.spec.timeout is not None:
            return Uniform(Millis(0), job.spec.timeout)
        for kind in _wide_kinds(job):
            seen = self._runs.get(kind)
            if seen is not None and len(seen.ends) >= ENOUGH:
                return self._estimate(kind, seen)
        return Survival((), (), _UNKNOWN_RUN)

    def _estimate(self, kind: Hashable, seen: _Seen) -> Distribution:
        known = self._known.get(kind)
        if known is None:
            known = self._known[kind] = seen.estimate()
        return known

    def launch(self, job: Job) -> Distribution:
        """From the assignment of an attempt to the user's code running."""
        for kind in (*_kinds(job), *_wide_kinds(job)):
            seen = self._launches.get(kind)
            if seen is not None and len(seen.ends) >= ENOUGH:
                return self._estimate(("launch", kind), seen)
        return Constant(Millis(0))

    # ---- slices ----------------------------------------------------------------------------

    def _boots(self, groups: tuple[GroupSpec, ...]) -> Mapping[GroupName, Distribution]:
        boots = {group.name: _Seen() for group in groups}
        for group in groups:
            seen = boots[group.name]
            for life in reversed(self._state.lives.get(group.name, ())):
                if life.accepted_at is not None and life.failure not in _SCARCE:
                    end = life.ready_at if life.ready_at is not None else life.over_at
                    seen.add(end - life.accepted_at, over=life.ready_at is not None)
            for slice_ in self._living(group):
                if slice_.accepted_at is not None and not slice_.adopted:
                    end = slice_.ready_at if slice_.ready_at is not None else self._at
                    seen.add(end - slice_.accepted_at, over=slice_.ready_at is not None)
        return {name: seen.estimate() for name, seen in boots.items() if len(seen.ends) >= ENOUGH}

    def _living(self, group: GroupSpec) -> Iterator[Slice]:
        for slice_ in self._state.slices.values():
            if slice_.group == group.name and slice_.state in ALIVE:
                yield slice_

    def _lifetime(self, group: GroupSpec) -> Distribution:
        """Exponential, with the rate at which slices were lost in the time that the record covers."""
        lives = self._state.lives.get(group.name, ())
        # A full record has forgotten who was over before its first; what was up then counts only since.
        since = lives[0].over_at if len(lives) >= LIVES_KEPT else Instant(0)
        spans: list[tuple[Instant, Instant]] = [
            (life.ready_at, life.over_at) for life in lives if life.ready_at is not None
        ]
        spans += [(s.ready_at, self._at) for s in self._living(group) if s.ready_at is not None]
        exposed = sum(end - max(begin, since) for begin, end in spans if end > since)
        lost = sum(
            1
            for life in lives
            if life.ready_at is not None and life.end in _LOSSES and life.over_at > since
        )
        return Exponential(Millis((exposed + _UNKNOWN_LIFE) // (lost + 1)))

    # ---- droughts --------------------------------------------------------------------------

    def _droughts(self) -> Iterator[Drought]:
        for _, gate in sorted(self._state.gates.items()):
            past, present = self._spells(gate)
            if present is not None:
                began, last = present
                known = Millis(last - began)
                whole = Remaining(Survival(tuple(past), (known,), MINUTE), known)
                left = Later(whole, Millis(self._at - last))
                yield Drought(gate.zone, gate.family, gate.chips, left)

    def _spells(self, gate: Gate) -> tuple[list[Millis], tuple[Instant, Instant] | None]:
        """How long past droughts of a (zone, type) lasted; of the present one, the first and last refusal.

        A drought ends somewhere between its last refusal and the next slice that is given.
        """
        news: list[tuple[Instant, bool]] = []
        for group in self._state.spec.groups:
            if group.accelerator_type == gate.accelerator_type:
                news += _news_of_stock(self._state.lives.get(group.name, ()), gate.zone)
                given = [s.accepted_at for s in self._living(group) if s.zone == gate.zone]
                news += [(at, True) for at in given if at is not None]
        spells: list[Millis] = []
        present: tuple[Instant, Instant] | None = None
        for at, was_given in sorted(news):
            if not was_given:
                present = (present[0] if present is not None else at, at)
            elif present is not None:
                spells.append(Millis((present[1] + at) // 2 - present[0]))
                present = None
        return spells, present

    # ---- arrivals --------------------------------------------------------------------------

    def arrivals(self, until: Instant, dice: Dice) -> Iterator[Arrival]:
        """Jobs that will come until an instant: those that came, once more, from a drawn day on.

        The past that is still known is taken for a circle; it is entered about this time of a drawn
        day, or, when it is shorter than two days, anywhere.
        """
        jobs = [job for job in self._state.jobs.values() if job.spec.parent is None]
        jobs.sort(key=lambda j: j.number)
        if not jobs:
            return
        span = max(_SHORTEST_PAST, self._at - min(job.submitted_at for job in jobs))
        enter = int(dice.uniform("which past") * span)
        if span >= 2 * DAY:
            span -= span % DAY
            wobble = int((2 * dice.uniform("which hour") - 1) * _JITTER)
            enter = (dice.pick(span // DAY, "which day") * DAY + wobble) % span
        begin = self._at - span
        jobs = [job for job in jobs if job.submitted_at >= begin]
        offsets = [job.submitted_at - begin for job in jobs]
        turn, index = 0, bisect_right(offsets, enter)
        for number in range(1 << 30):
            if index == len(jobs):
                turn, index = turn + span, 0
            at = after(self._at, Millis(offsets[index] - enter + turn))
            if at >= until:
                return
            yield self._once_more(jobs[index], at, number, dice)
            index += 1

    def _once_more(self, job: Job, at: Instant, number: int, dice: Dice) -> Arrival:
        template = template_of(job, self.launch(job), gang=job.spec.coscheduled)
        span = dice.draw(self.run_time(job), "still to come", number)
        entry = replace(template, entry="to-come")
        return Arrival(at, number, span, job.spec.user, entry)


def _ended_by_itself(attempt: Attempt) -> bool:
    return attempt.cause in _OWN_ENDS


def _kinds(job: Job) -> tuple[Hashable, ...]:
    """The kinds of jobs that are its like, the narrowest first."""
    spec, shape = job.spec, _shape_of(job)
    stem = _COUNTER.sub("#", spec.name)
    return ("work", spec.user, stem, shape), ("name", spec.user, stem), ("user", spec.user, shape)


def _wide_kinds(job: Job) -> tuple[Hashable, ...]:
    return ("shape", _shape_of(job)), ("all",)


def _shape_of(job: Job) -> Hashable:
    spec = job.spec
    return spec.accelerator, spec.resources.chips, spec.resources.cpu, spec.replicas


def _news_of_stock(lives: tuple[Life, ...], zone: Zone) -> list[tuple[Instant, bool]]:
    """When a slice was refused for want of stock or quota, and when one was given, in a zone."""
    news: list[tuple[Instant, bool]] = []
    for life in lives:
        if life.zone == zone and life.failure in _SCARCE:
            news.append((life.over_at, False))
        elif life.zone == zone and life.accepted_at is not None:
            news.append((life.accepted_at, True))
    return news
