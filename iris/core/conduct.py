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
from iris.core.fit import Shape, refusal
from iris.core.gates import TOKEN
from iris.core.grounds import Grounds
from iris.core.ids import GroupName, TaskId, WorkerId, Zone, attempt_name
from iris.core.lifecycle import ENDED_ATTEMPT, SliceState, TaskState, WorkerState
from iris.core.record import Turn
from iris.core.records import Attempt, Job, Task
from iris.core.resources import Resources, fits, minus, plus
from iris.core.retry import Budget, EndCause, charge_of
from iris.core.soundness import GIVEN_UP
from iris.core.state import ClusterState

EVALUATIONS: Final = 8
"""How often the fit may be asked for each change of a turn, each distinct shape, pool and host together."""


class Witness:
    """Sees every turn, and says what in it was not justified."""

    def __init__(self, state: ClusterState) -> None:
        self.state = state
        self.grounds = Grounds(state)
        self.live: dict[WorkerId, dict[TaskId, int]] = {
            name: dict(worker.attempts) for name, worker in state.workers.items()
        }
        """Attempts that were placed and of whose end nothing was seen."""
        self.checked = 0
        self._evaluations = state.books.evaluations
        self._pools: dict[tuple[Shape, GroupName, Zone], bool] = {}
        self._turn = Turn(state.now, (), ())

    def saw(self, turn: Turn) -> Iterator[str]:
        """What was not right about a turn that the state has just been through."""
        self._turn = turn
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

    def _hear(self, event: ev.Event) -> None:
        if isinstance(event, ev.WorkerReported):
            worker = self.state.workers.get(event.worker)
            here = self.live.get(event.worker)
            if worker is None or worker.incarnation != event.incarnation:
                here = self.live.get(event.worker) if self.grounds.has_changed(event) else None
            if here:
                for report in event.reports:
                    if report.state in ENDED_ATTEMPT and here.get(report.task) == report.attempt:
                        del here[report.task]
        elif isinstance(event, ev.ConfigLoaded):
            self._pools.clear()
        self.grounds.hear(event)

    # ---- the memory against the state ------------------------------------------------------

    def ends_were_seen(self) -> Iterator[str]:
        """V-05: an attempt is over only if its end was reported, or its worker is lost."""
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

    # ---- placements ------------------------------------------------------------------------

    def placement(self, placement: de.Placement) -> Iterator[str]:
        """V-16, V-15, V-08, V-04: a placement satisfies the one fit, on hosts that may have new work."""
        state = self.state
        job = state.jobs[placement.job]
        if job.ending is not None or job.ended_at is not None:
            yield f"V-15 {job.id} was placed, and has ended or is ending"
        if job.spec.coscheduled:
            yield from self._gang(job, placement)
        for name, host in zip(placement.tasks, placement.workers, strict=True):
            worker = state.workers[host]
            slice_ = state.slices[worker.slice]
            task = state.tasks[name]
            self.live.setdefault(host, {})[name] = len(task.attempts) - 1
            if slice_.state is not SliceState.READY or slice_.cordon_until is not None:
                yield f"V-08 {name} was placed on {slice_.id}, which may have no new work ({slice_.state.value})"
            if worker.cordoned or worker.state is not WorkerState.HEALTHY:
                yield f"V-08 {name} was placed on {host}, which may have no new work ({worker.state.value})"
            shape = state.shapes.get(job.id)
            if shape is None or not self._serves(shape, slice_.group, slice_.zone):
                yield f"V-16 {name} was placed in {slice_.group}, {slice_.zone}, which cannot serve it"
            if host in task.avoid:
                yield f"V-16 {name} was placed on {host}, where a launch of it had failed"
            if not fits(worker.committed, worker.offers):
                yield f"V-16 {name} was placed on {host}, which has no room for it"

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
        state = self.state
        job = state.jobs[eviction.job]
        member = state.unit_of(state.tasks[eviction.tasks[0]]).member
        hold = state.holds.get((job.id, member))
        if (
            hold is None
            or hold.kind is not de.HoldKind.EVICTION
            or hold.workers != eviction.workers
        ):
            yield f"V-06 {job.id} evicts, and is not bound to {', '.join(eviction.workers)}"
            return
        victims: dict[WorkerId, list[Task]] = {}
        for name in eviction.victims:
            task = state.tasks[name]
            victims.setdefault(task.attempts[-1].worker, []).append(task)
            if state.jobs[task.job].spec.band <= job.spec.band:
                yield f"V-06 {name} was evicted for {job.id}, which is of no higher band"
            if self._placed_now(name):
                yield f"V-25 {name} was evicted for {job.id} in the turn in which it was placed"
            if task.attempts[-1].stop_cause is not EndCause.EVICTION:
                yield f"V-06 {name} was to be evicted for {job.id}, and was not asked to stop"
        for host in eviction.workers:
            yield from self._room_made(eviction, host, victims.pop(host, []))
        for host in victims:
            yield f"V-06 an eviction for {job.id} reaches {host}, which it is not bound to"

    def _placed_now(self, task: TaskId) -> bool:
        """Whether this turn, and not only an earlier one of the same instant, placed a task."""
        return any(isinstance(d, de.Placement) and task in d.tasks for d in self._turn.decisions)

    def _room_made(
        self, eviction: de.Eviction, host: WorkerId, victims: list[Task]
    ) -> Iterator[str]:
        amount = self._room_once_stopped(eviction, host)
        if not fits(eviction.need, amount):
            yield f"V-06 {eviction.job} does not fit on {host} once its victims are gone"
        for task in victims:
            needs = self.state.jobs[task.job].spec.resources
            if fits(eviction.need, minus(amount, needs)):
                yield f"V-06 {task.id} could have been spared by {eviction.job} on {host}"

    def _room_once_stopped(self, eviction: de.Eviction, host: WorkerId) -> Resources:
        """What a host has for the beneficiary once all have stopped who were stopping when it was decided."""
        state = self.state
        worker = state.workers[host]
        amount = plus(state.open_amount(worker), eviction.need)
        for name in worker.attempts:
            if state.tasks[name].attempts[-1].stop_cause is not None:
                amount = plus(amount, state.jobs[state.tasks[name].job].spec.resources)
        later = False
        for other in self._turn.decisions:
            if later:
                amount = plus(amount, self._taken_later(other, host))
            later = later or other is eviction
        return amount

    def _taken_later(self, decision: de.Decision, host: WorkerId) -> Resources:
        """By how much a later decision of the same turn made the room on a host look smaller."""
        state = self.state
        change = Resources()
        if isinstance(decision, de.Eviction):
            if host in decision.workers:
                change = plus(change, decision.need)
            for name in decision.victims:
                if state.tasks[name].attempts[-1].worker == host:
                    change = minus(change, state.jobs[state.tasks[name].job].spec.resources)
        elif isinstance(decision, de.Placement) and host in decision.workers:
            change = state.jobs[decision.job].spec.resources
        elif isinstance(decision, de.Holding) and host in decision.workers:
            change = decision.need
        return change

    # ---- verdicts --------------------------------------------------------------------------

    def retry(self, retry: de.Retry) -> Iterator[str]:
        """V-14: what a round's ends mean is a function of the set of them, charged once, within the budget."""
        job = self.state.jobs[retry.job]
        tasks = [self.state.tasks[name] for name in retry.tasks]
        rounds = _rounds(tasks)
        if not rounds or not rounds[-1]:
            yield f"V-14 {', '.join(retry.tasks)} went back to wait without an attempt"
            return
        told = charge_of(rounds[-1])
        if told is not retry.charge or told is None:
            yield f"V-14 {retry.tasks[0]} goes back at the cost of {retry.charge}, its ends cost {told}"
            return
        spent = sum(1 for causes in rounds if charge_of(causes) is told)
        if spent > _budget(job, told):
            yield f"V-14 {retry.tasks[0]} goes back for the {spent}th time, more than {told.value} allows"

    def verdict(self, verdict: de.TaskVerdict) -> Iterator[str]:
        """V-14: a task fails for good only by an end that may not be repeated, or over its budget."""
        task = self.state.tasks.get(verdict.task)
        if task is None:
            return  # Its job was forgotten in the turn of its end.
        job = self.state.jobs[task.job]
        if verdict.state is TaskState.KILLED:
            if job.ending is None:
                yield f"V-14 {task.id} was killed, and its job is not ending"
            return
        attempt = task.attempts[-1] if task.attempts else None
        if attempt is None or attempt.cause is None or attempt.cause is EndCause.EXIT_ZERO:
            yield f"V-14 {task.id} has failed, and no attempt of it failed"
            return
        members = job.tasks if job.spec.coscheduled else [task]
        rounds = [[c for c in causes if c] for causes in _causes(members)]
        charge = charge_of(rounds[-1])
        if charge is None or attempt.cause is EndCause.TIMEOUT:
            return
        spent = sum(1 for causes in rounds if charge_of(causes) is charge)
        if spent <= _budget(job, charge):
            yield f"V-14 {task.id} has failed with {spent} of {_budget(job, charge)} retries spent"

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

    def slice_loss(self, loss: de.SliceLoss) -> Iterator[str]:
        """V-09, V-12: a slice is lost on evidence, and its attempts with it."""
        slice_ = self.state.slices[loss.slice]
        running = [
            (task, number)
            for name in slice_.workers
            if name is not None
            for task, number in self.live.pop(name, {}).items()
        ]
        hung = any(self._was_stopping(task, number) for task, number in running)
        if not hung and not self.grounds.of_loss(slice_):
            yield f"V-12 slice {slice_.id} was given up as {loss.state.value} without evidence: {loss.why}"

    def _was_stopping(self, task: TaskId, number: int) -> bool:
        record = self.state.tasks.get(task)
        return record is None or record.attempts[number].stop_cause is not None

    def slice_gone(self, gone: de.SliceGone) -> Iterator[str]:
        """V-09: a slice is off the books only by the cloud's word, or by a complete listing without it."""
        if not self.grounds.of_absence(gone.slice):
            yield f"V-09 slice {gone.slice} was taken off the books, and nobody said that it is gone"

    def slice_delete(self, delete: de.SliceDelete) -> Iterator[str]:
        """V-08: a slice with unfinished attempts is not asked to be deleted."""
        slice_ = self.state.slices[delete.slice]
        for name in slice_.workers:
            if name is not None and self.state.workers[name].attempts:
                yield f"V-08 the delete of {slice_.id} was asked for, and {name} has unfinished attempts"

    def slice_drain(self, drain: de.SliceDrain) -> Iterator[str]:
        """V-08: a slice in use drains only for a bad host, or if its group left the configuration."""
        state = self.state
        slice_ = state.slices[drain.slice]
        pool = state.pool_of(slice_)
        if pool is None or any(w and state.workers[w].cordoned for w in slice_.workers):
            return
        # CPU work on the spare cores of an accelerator does not keep it, but is let finish.
        used = slice_.live if pool.group.accelerator is None else slice_.chips_used
        if used:
            yield f"V-08 slice {slice_.id} drains while it is in use, and nothing is wrong with it"

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


def _rounds(tasks: list[Task]) -> list[list[EndCause]]:
    """The causes of each round that was sent back, first round first."""
    count = min(task.retried for task in tasks)
    return [[c for c in causes if c is not None] for causes in _causes(tasks)[:count]]


def _causes(tasks: list[Task]) -> list[tuple[EndCause | None, ...]]:
    ends = [[attempt.cause for attempt in task.attempts] for task in tasks]
    return list(zip(*ends, strict=False))


def _budget(job: Job, charge: Budget) -> int:
    if charge is Budget.FAILURE:
        return job.spec.max_retries_failure
    return job.spec.max_retries_preemption


def _ended_now(task: Task, state: ClusterState) -> Attempt | None:
    for attempt in reversed(task.attempts):
        if attempt.ended_at == state.now:
            return attempt
    return None


_JUDGES: Final[dict[type, Callable[..., Iterator[str]]]] = {
    de.Placement: Witness.placement,
    de.Eviction: Witness.eviction,
    de.Retry: Witness.retry,
    de.TaskVerdict: Witness.verdict,
    de.AttemptLoss: Witness.attempt_loss,
    de.SliceLoss: Witness.slice_loss,
    de.SliceGone: Witness.slice_gone,
    de.SliceDelete: Witness.slice_delete,
    de.SliceDrain: Witness.slice_drain,
    de.SliceRequest: Witness.slice_request,
}
