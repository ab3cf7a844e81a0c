"""What may happen within a turn: each decision, held against the facts that are supposed to justify it.

A witness sees every turn, its facts and its decisions, with the state that they led to, and remembers
little: which attempts are unfinished, who is silent since when, what the last complete listing lacked.
Its memory is fed by facts and decisions, never by the state, so that a state that forgets or invents
something is found out when the two are compared. A turn costs it about as much as it holds.
"""

from collections.abc import Callable, Iterator
from typing import Final

from iris.core import decisions as de
from iris.core import events as ev
from iris.core import verdicts
from iris.core.displacing import what_is_wrong_with
from iris.core.fit import Shape, refusal
from iris.core.gates import TOKEN
from iris.core.grounds import Grounds
from iris.core.ids import GroupName, SliceId, TaskId, UserName, WorkerId, Zone, attempt_name
from iris.core.instant import Instant
from iris.core.lifecycle import ENDED_ATTEMPT, AttemptState, SliceState, WorkerState
from iris.core.overdrawing import is_overdrawn
from iris.core.overtaking import First, first_who_waits, outstays, overtakes
from iris.core.record import Turn
from iris.core.records import Attempt, Job, Task
from iris.core.resources import fits
from iris.core.shrinking import what_is_wrong_with_drain
from iris.core.soundness import GIVEN_UP
from iris.core.state import ClusterState

EVALUATIONS: Final = 8
"""How often the fit may be asked for each change of a turn, each distinct shape, pool and host together."""


_UNDER_WAY: Final = frozenset({AttemptState.BUILDING, AttemptState.RUNNING})


class Witness:
    """Sees every turn, and says what in it was not justified."""

    def __init__(self, state: ClusterState) -> None:
        self.state = state
        self.grounds = Grounds(state)
        self.live: dict[WorkerId, dict[TaskId, int]] = {
            name: dict(worker.attempts) for name, worker in state.workers.items()
        }
        """Attempts that were placed and of whose end nothing was seen."""
        self.told: dict[TaskId, int] = {
            task.id: task.attempts[-1].number
            for task in state.tasks.values()
            if task.attempts and task.attempts[-1].state in _UNDER_WAY
        }
        """The attempt of each task that its worker has said to be building or running."""
        self.left_at: dict[SliceId, Instant] = {
            s.id: s.idle_since for s in state.slices.values() if s.idle_since is not None
        }
        """When work that keeps a slice was last seen to end there."""
        self.checked = 0
        self._evaluations = state.books.evaluations
        self._pools: dict[tuple[Shape, GroupName, Zone], bool] = {}
        self._turn = Turn(state.now, (), ())
        self._first: First | None = None  # None: nobody waits, or all may pass
        self._given: dict[UserName, None] = {}
        """Users whose quotas were looked at in this turn."""

    def saw(self, turn: Turn) -> Iterator[str]:
        """What was not right about a turn that the state has just been through."""
        self._turn = turn
        self._first = first_who_waits(turn, self.state)
        self._given.clear()
        self.grounds.begin()
        for event in turn.events:
            self._hear(event)
        for decision in turn.decisions:
            judge = _JUDGES.get(type(decision))
            if judge is not None:
                self.checked += 1
                yield from judge(self, decision)
        self.grounds.end()
        yield from self._cost(turn)

    def rested(self, now: Instant) -> Iterator[str]:
        """What was not right about a wake-up that brought nothing, and so is no turn of the record."""
        yield from self._cost(Turn(now, (), ()))

    def _hear(self, event: ev.Event) -> None:
        if isinstance(event, ev.WorkerReported):
            here = self.live.get(event.worker)
            if here and self.grounds.is_current(event):
                for report in event.reports:
                    if here.get(report.task) == report.attempt:
                        self._told_of(event.worker, report)
        elif isinstance(event, ev.ConfigLoaded):
            self._pools.clear()
        self.grounds.hear(event)

    def _told_of(self, worker: WorkerId, report: ev.AttemptReport) -> None:
        """The worker that has an attempt said how it stands."""
        here = self.live[worker]
        if report.state in ENDED_ATTEMPT:
            del here[report.task]
            self.told.pop(report.task, None)
            self._left(worker, report.task)
        else:
            self.told[report.task] = report.attempt

    def _left(self, worker: WorkerId, task: TaskId) -> None:
        """Work is over on a host: if it was of the kind that keeps its slice, that may be idle now."""
        record, host = self.state.tasks.get(task), self.state.workers.get(worker)
        if record is not None and host is not None:
            slice_ = self.state.slices[host.slice]
            pool = self.state.pool_of(slice_)
            plain = pool is None or pool.group.accelerator is None
            if plain or self.state.jobs[record.job].spec.resources.chips:
                self.left_at[slice_.id] = self.state.now

    # ---- the memory against the state ------------------------------------------------------

    def ends_were_seen(self) -> Iterator[str]:
        """V-05, V-11: an attempt is over only if its own worker reported it, or that worker is lost."""
        for name, worker in self.state.workers.items():
            here = self.live.get(name, {})
            if here == worker.attempts:
                continue
            for task, number in here.items():
                if worker.attempts.get(task) != number:
                    yield f"V-05 {attempt_name(task, number)} gave back its room on {name}, and nobody saw it end"
            for task, number in worker.attempts.items():
                if here.get(task) != number:
                    yield f"V-05 {attempt_name(task, number)} is on {name}, and was not placed there"
        for name, here in self.live.items():
            if name not in self.state.workers:
                for task, number in here.items():
                    yield f"V-05 {attempt_name(task, number)} was on {name}, which is no longer known"

    def progress_was_told(self) -> Iterator[str]:
        """V-11: an attempt builds or runs only if the present agent of its own worker has said so."""
        for worker in self.state.workers.values():
            for task, number in worker.attempts.items():
                attempt = self.state.tasks[task].attempts[number]
                if attempt.state in _UNDER_WAY and self.told.get(task) != number:
                    yield f"V-11 {attempt_name(task, number)} is {attempt.state.value}, and {worker.id} never said so"

    def the_silent_are_not_healthy(self) -> Iterator[str]:
        """V-12: whoever was called silent, as all are by a restart, is healthy only once heard again."""
        for name, worker in self.state.workers.items():
            if worker.state is WorkerState.HEALTHY and self.grounds.is_silent(name):
                yield f"V-12 worker {name} is healthy, and has not been heard since it was called silent"

    # ---- admissions and placements ------------------------------------------------------------------------

    def admission(self, admission: de.Admission) -> Iterator[str]:
        """V-07: no user has more tasks than a user may have."""
        user, most = admission.spec.user, self.state.spec.scheduler.max_tasks_per_user
        has = self.state.unended.get(user, 0)
        if has > most:
            yield f"V-07 {admission.job} makes {has} tasks of {user}, who may have {most}"

    def placement(self, placement: de.Placement) -> Iterator[str]:
        """V-16, V-15, V-08, V-04, V-29: a placement satisfies the one fit, on hosts that may have new work."""
        state = self.state
        job = state.jobs[placement.job]
        if (
            placement.why != de.KEPT[de.HoldKind.EVICTION]
        ):  # Whoever was bound to room was given it then.
            yield from self._within_quota(job.spec.user)
        if job.ending is not None or job.ended_at is not None:
            yield f"V-15 {job.id} was placed, and has ended or is ending"
        if job.spec.coscheduled:
            yield from self._gang(job, placement)
        passed = overtakes(job, placement, self._first, state) if self._first else ""
        yield from filter(None, (passed, outstays(job, placement, state)))
        for name, host in zip(placement.tasks, placement.workers, strict=True):
            worker = state.workers[host]
            slice_ = state.slices[worker.slice]
            task = state.tasks[name]
            self.live.setdefault(host, {})[name] = len(task.attempts) - 1
            if slice_.state is not SliceState.READY or slice_.cordon_until is not None:
                yield f"V-08 {name} was placed on {slice_.id}, which may have no new work ({slice_.state.value})"
            if worker.launch_failures >= state.spec.timeouts.launch_failures_per_host:
                yield f"V-08 {name} was placed on {host}, on which {worker.launch_failures} launches failed"
            if worker.cordoned or worker.state is not WorkerState.HEALTHY:
                yield f"V-08 {name} was placed on {host}, which may have no new work ({worker.state.value})"
            shape = state.shapes.get(job.id)
            if shape is None or not self._serves(shape, slice_.group, slice_.zone):
                yield f"V-16 {name} was placed in {slice_.group}, {slice_.zone}, which cannot serve it"
            if host in task.avoid:
                yield f"V-16 {name} was placed on {host}, where a launch of it had failed"
            if not fits(worker.committed, worker.offers):
                yield f"V-16 {name} was placed on {host}, which has no room for it"

    def _within_quota(self, user: UserName) -> Iterator[str]:
        if user not in self._given:
            self._given[user] = None
            yield from is_overdrawn(self.state, user)

    def _gang(self, job: Job, placement: de.Placement) -> Iterator[str]:
        slices = {self.state.workers[w].slice for w in placement.workers}
        hosts = [self.state.workers[w].host for w in placement.workers]
        tasks = tuple(task.id for task in job.tasks)
        if placement.tasks != tasks or len(slices) != 1 or hosts != list(range(len(tasks))):
            yield f"V-04 gang {job.id} was placed as {placement.tasks} on {placement.workers}"

    def _serves(self, shape: Shape, group: GroupName, zone: Zone) -> bool:
        key = (shape, group, zone)
        known = self._pools.get(key)
        if known is None:
            spec = self.state.groups.get(group)
            known = spec is not None and zone in spec.zones and refusal(shape, spec, zone) is None
            self._pools[key] = known
        return known

    # ---- evictions -------------------------------------------------------------------------

    def eviction(self, eviction: de.Eviction) -> Iterator[str]:
        """V-06: it is for a higher band, which is bound to the room and needs every one of the victims."""
        yield from what_is_wrong_with(eviction, self._turn, self.state)
        yield from self._within_quota(self.state.jobs[eviction.job].spec.user)

    # ---- verdicts --------------------------------------------------------------------------

    def retry(self, retry: de.Retry) -> Iterator[str]:
        """V-14: what a round's ends mean is a function of the set of them, charged once, within the budget."""
        yield from verdicts.what_is_wrong_with_retry(retry, self.state)

    def verdict(self, verdict: de.TaskVerdict) -> Iterator[str]:
        """V-14: a task fails for good only by an end that may not be repeated, or over its budget."""
        yield from verdicts.what_is_wrong_with_verdict(verdict, self.state)

    # ---- attempts and slices ---------------------------------------------------------------

    def attempt_loss(self, loss: de.AttemptLoss) -> Iterator[str]:
        """V-05: an attempt ends unreported only if its worker has denied it, or is lost with its slice."""
        task = self.state.tasks.get(loss.task)
        if task is None:
            return  # Its job was forgotten in the turn of its end.
        attempt = _ended_now(task, self.state)
        if attempt is None:
            yield f"V-05 {loss.task} was lost, and none of its attempts has ended"
            return
        denied = self.grounds.denied(attempt.worker, task.id)
        if not denied and self.state.slices[attempt.slice].state not in GIVEN_UP:
            name = attempt_name(task.id, attempt.number)
            yield f"V-05 {name} was given up, and {attempt.worker} neither denied it nor was lost"
        self.grounds.gave_up(attempt)
        self.live.get(attempt.worker, {}).pop(task.id, None)
        self._left(attempt.worker, task.id)

    def slice_loss(self, loss: de.SliceLoss) -> Iterator[str]:
        """V-09, V-12, V-14: a slice is lost on evidence, and its attempts with it, for that reason."""
        slice_ = self.state.slices[loss.slice]
        running = [
            (task, number)
            for name in slice_.workers
            if name is not None
            for task, number in self.live.pop(name, {}).items()
        ]
        hung = any(self._was_stopping(task, number) for task, number in running)
        for task, number in running:
            yield from verdicts.what_is_wrong_with_loss(loss, task, number, self.state)
        if not hung and not self.grounds.of_loss(slice_):
            yield f"V-12 slice {slice_.id} was given up as {loss.state.value} without evidence: {loss.why}"

    def _was_stopping(self, task: TaskId, number: int) -> bool:
        record = self.state.tasks.get(task)
        return record is None or record.attempts[number].stop_cause is not None

    def worker_cordon(self, cordon: de.WorkerCordon) -> Iterator[str]:
        """V-14: a host is put out by an operator or by failed launches, not by the code that it ran."""
        if cordon.cordoned:
            yield from verdicts.what_is_wrong_with_cordon(cordon, self._turn, self.state)

    def slice_gone(self, gone: de.SliceGone) -> Iterator[str]:
        """V-09: a slice is off the books only by the cloud's word, or by a complete listing without it."""
        self.left_at.pop(gone.slice, None)
        if not self.grounds.of_absence(gone.slice):
            yield f"V-09 slice {gone.slice} was taken off the books, and nobody said that it is gone"

    def slice_delete(self, delete: de.SliceDelete) -> Iterator[str]:
        """V-08: a slice with unfinished attempts is not asked to be deleted."""
        slice_ = self.state.slices[delete.slice]
        for name in slice_.workers:
            if name is not None and self.state.workers[name].attempts:
                yield f"V-08 the delete of {slice_.id} was asked for, and {name} has unfinished attempts"

    def slice_drain(self, drain: de.SliceDrain) -> Iterator[str]:
        """V-08, V-22, V-27: a slice drains for a reason, or when nobody has used it for long and nobody wants it."""
        yield from what_is_wrong_with_drain(drain, self.left_at.get(drain.slice), self.state)

    def slice_request(self, request: de.SliceRequest) -> Iterator[str]:
        """V-07, V-16: it is within every limit, and it is for a floor, a buffer, an operator or demand it fits."""
        state = self.state
        group = state.groups[request.group]
        again = sum(
            1
            for d in self._turn.decisions
            if isinstance(d, de.SliceDelete) and self.grounds.was_gone(d.slice)
        )
        existing = state.existing(group.name) - again
        if existing > group.max_slices:
            yield f"V-07 {request.slice} makes {existing} of {group.name}, which may have {group.max_slices}"
        for name, chips in state.spec.reservations:
            used = sum(
                state.existing(g.name) * g.chips for g in state.spec.groups if g.reservation == name
            )
            if group.reservation == name and used - again * group.chips > chips:
                yield f"V-07 {request.slice} makes {used} chips of reservation {name}, which has {chips}"
        if state.books.tokens > state.spec.autoscaler.create_burst * TOKEN:
            yield f"V-07 {request.slice} left {state.books.tokens} in the create bucket"
        floor = group.min_slices or group.buffer_slices or request.keep_until is not None
        if not floor and not any(
            self._serves(shape._replace(avoid=()), group.name, request.zone)
            for shape in state.waiting.by_shape
        ):
            yield f"V-16 {request.slice} of {group.name} in {request.zone} would serve nobody who waits"

    # ---- cost ------------------------------------------------------------------------------

    def _cost(self, turn: Turn) -> Iterator[str]:
        """V-20: the fit is asked in proportion to what changed, whatever the backlog and the history."""
        state = self.state
        asked = state.books.evaluations - self._evaluations
        self._evaluations = state.books.evaluations
        changes = len(turn.events) + len(turn.decisions) + 1
        if asked <= EVALUATIONS * changes:
            return
        self.checked += 1
        shapes = len(set(state.shapes.values()))
        things = shapes + len(state.room.pools) + len(state.workers)
        changes += sum(len(e.reports) for e in turn.events if isinstance(e, ev.WorkerReported))
        if asked > EVALUATIONS * changes * things:
            yield f"V-20 at {turn.now} the fit was asked {asked} times for {changes} changes"


def _ended_now(task: Task, state: ClusterState) -> Attempt | None:
    for attempt in reversed(task.attempts):
        if attempt.ended_at == state.now:
            return attempt
    return None


_JUDGES: Final[dict[type, Callable[..., Iterator[str]]]] = {
    de.Admission: Witness.admission,
    de.Placement: Witness.placement,
    de.Eviction: Witness.eviction,
    de.Retry: Witness.retry,
    de.TaskVerdict: Witness.verdict,
    de.AttemptLoss: Witness.attempt_loss,
    de.SliceLoss: Witness.slice_loss,
    de.WorkerCordon: Witness.worker_cordon,
    de.SliceGone: Witness.slice_gone,
    de.SliceDelete: Witness.slice_delete,
    de.SliceDrain: Witness.slice_drain,
    de.SliceRequest: Witness.slice_request,
}
