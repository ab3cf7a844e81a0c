"""What really happened, as the rows of a run: so that a journal has the results of a simulation.

The rows tell what the controller knew: a host that died counts as used until its loss was noticed.
Time begins at 0 with the record. What was there already begins with it; nothing before it counts.
"""

from collections.abc import Callable, Iterator

from iris.core.ids import SliceId
from iris.core.instant import Instant
from iris.core.lifecycle import SliceState
from iris.core.paid import paid_from, paid_until
from iris.core.records import Attempt, Job, Slice, Task
from iris.core.spec import GroupSpec
from sim import explanations
from sim.chronicle import Chronicle
from sim.courses import Stretch, stretches
from sim.measure import AttemptRow, JobRow, Measures
from sim.recorder import Recorder

_REQUESTED, _CREATED, _SUBMITTED, _READY, _STARTED, _RUNNING, _ENDED, _GONE, _OVER, _LOOK = range(
    10
)
"""In this order, of what happened at one instant."""

_Step = tuple[int, int, Callable[[], object]]


def measures_of(chronicle: Chronicle, name: str) -> Measures:
    """The rows of a chronicle."""
    prices: dict[str, int] = {}
    for _, spec in chronicle.configs:
        prices |= {group.name: group.price_per_hour for group in spec.groups}
    measures = Measures(name, 0, group_price_per_hour=prices)
    _Retold(chronicle, measures).retell()
    state, auditor = chronicle.state, chronicle.auditor
    measures.digest = auditor.check_all()
    measures.turns, measures.events = chronicle.turns, chronicle.events
    measures.invariants_checked = auditor.checked
    measures.invariants_violated = auditor.violated
    measures.violations = list(auditor.sentences)
    unfinished = [job.id for job in chronicle.jobs if job.ended_at is None]
    measures.explanations += explanations.still_waiting(state, unfinished)
    return measures


class _Retold:
    """Tells a chronicle to a recorder, in order of time."""

    def __init__(self, chronicle: Chronicle, measures: Measures) -> None:
        self._chronicle = chronicle
        self._measures = measures
        self._recorder = Recorder(measures)
        self._groups: dict[str, GroupSpec] = {}
        for _, spec in chronicle.configs:
            self._groups |= {group.name: group for group in spec.groups}
        self._ends: dict[SliceId, Instant] = {}
        """Of the slices that were ready."""

    def retell(self) -> None:
        steps: list[_Step] = []
        for slice_ in self._chronicle.slices:
            steps += self._slice(slice_)
        for job in self._chronicle.jobs:
            steps += self._job(job)
        for load in self._chronicle.loads:
            at = self._at(load.at)
            amounts = (load.pending_tasks, load.wanted, load.running_tasks)
            steps.append((at, _LOOK, lambda at=at, a=amounts: self._recorder.sample(at, *a)))  # type: ignore[misc]
        for _, _, step in sorted(steps, key=lambda step: step[:2]):
            step()
        for job in self._chronicle.jobs:
            if job.ended_at is None:
                self._recorder.judge(job)
        self._recorder.close(self._at(self._chronicle.ended))

    def _at(self, at: Instant) -> Instant:
        return Instant(max(0, at - self._chronicle.began))

    # ---- slices ----------------------------------------------------------------------------

    def _slice(self, slice_: Slice) -> Iterator[_Step]:
        name, recorder = slice_.id, self._recorder
        requested = self._at(slice_.requested_at)
        group = self._groups.get(slice_.group)
        if group is None:
            return
        yield (
            requested,
            _REQUESTED,
            lambda: recorder.slice_requested(name, group, slice_.zone, requested),
        )
        if slice_.failure:
            yield requested, _CREATED, lambda: recorder.slice_refused(name, slice_.failure)
            return
        paid_since = paid_from(slice_)
        if paid_since is None:
            return
        created = self._at(paid_since)
        yield created, _CREATED, lambda: recorder.slice_created(name, created)
        end = self._end_of(slice_)
        if slice_.ready_at is not None:
            ready = self._at(slice_.ready_at)
            self._ends[name] = end if end is not None else self._at(self._chronicle.ended)
            yield ready, _READY, lambda: recorder.slice_ready(name, ready)
        if end is not None:
            outcome = self._outcome(slice_)
            yield end, _GONE, lambda: recorder.slice_ended(name, end, outcome)

    def _end_of(self, slice_: Slice) -> Instant | None:
        death = self._chronicle.deaths.get(slice_.number)
        end = paid_until(slice_, None if death is None else death.at)
        return None if end is None else self._at(end)

    def _outcome(self, slice_: Slice) -> str:
        death = self._chronicle.deaths.get(slice_.number)
        if death is None:
            return "deleted" if slice_.ready_at is not None else "failed"
        return "preempted" if death.state is SliceState.PREEMPTED else "failed"

    # ---- jobs ------------------------------------------------------------------------------

    def _job(self, job: Job) -> Iterator[_Step]:
        submitted = self._at(job.submitted_at)
        spec = job.spec
        each = spec.resources.chips * 1000 if spec.accelerator is not None else spec.resources.cpu
        row = JobRow(
            job=job.id,
            user=spec.user,
            band=spec.band.name.lower(),
            entry=spec.name,
            replicas=spec.replicas,
            chips_milli=each * spec.replicas,
            submit=submitted,
        )
        yield submitted, _SUBMITTED, lambda: self._measures.jobs.__setitem__(job.id, row)
        for task, spans in zip(job.tasks, stretches(job, self._chronicle.ended), strict=True):
            for one in spans:
                yield from self._attempt(job, task, one)
        if job.ended_at is not None:
            ended = self._at(job.ended_at)
            yield ended, _OVER, lambda: self._job_ended(job, ended)

    def _job_ended(self, job: Job, at: Instant) -> None:
        self._recorder.job_ended(job)
        self._measures.jobs[job.id].end = at
        explanations.note_end(self._measures, job)

    def _attempt(self, job: Job, task: Task, one: Stretch) -> Iterator[_Step]:
        attempt, recorder = one.attempt, self._recorder
        place = self._chronicle.place_of(attempt)
        if place is None or place.id not in self._ends:
            return
        if attempt.ended_at is not None and attempt.ended_at < self._chronicle.began:
            return
        last = self._ends[place.id]
        began = self._at(attempt.assigned_at)
        row = self._row(job, task, attempt, place)
        yield began, _STARTED, lambda: recorder.attempt_started(row)
        if attempt.started_at is not None:
            running = self._at(attempt.started_at)
            yield running, _RUNNING, lambda: recorder.attempt_running(row, running)
        ended = last if attempt.ended_at is None else min(last, self._at(attempt.ended_at))
        runs = ended if attempt.started_at is None else min(ended, self._at(attempt.started_at))
        launch = runs - began
        yield ended, _ENDED, lambda: recorder.attempt_ended(row, ended, one.kept, launch)

    def _row(self, job: Job, task: Task, attempt: Attempt, place: Slice) -> AttemptRow:
        need = job.spec.resources
        cores_count = self._groups[place.group].accelerator is None
        began = self._at(attempt.assigned_at)
        return AttemptRow(
            job=job.id,
            index=task.index,
            attempt=attempt.number,
            slice=place.id,
            host=int(attempt.worker.rpartition("-w")[2]),
            chips_milli=need.cpu if cores_count else need.chips * 1000,
            start=began,
            running=None,
            end=began,
            outcome=None,
            useful=0,
            lost=0,
        )
