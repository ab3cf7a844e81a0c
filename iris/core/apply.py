"""What each decision does to the state, and what it asks of the world. Nothing is decided here.

Every branch can be run again from a journal: it uses what the decision carries and the tables,
never policy. That is what lets a new version recover an old version's journal.
"""

from typing import assert_never

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core.gates import TOKEN, tokens_at
from iris.core.ids import Zone, task_id
from iris.core.instant import Instant, after
from iris.core.lifecycle import (
    AttemptState,
    JobState,
    SliceState,
    TaskState,
    WorkerState,
)
from iris.core.records import Gate, Hold, Job, Slice, Task
from iris.core.retry import EndCause, cause_of_loss
from iris.core.state import ClusterState


def apply(state: ClusterState, decision: de.Decision) -> list[ef.Effect]:
    """Enter one decision into the state; returns the requests that it makes of the world."""
    match decision:
        case de.Placement():
            return _place(state, decision)
        case de.Admission():
            return _admit(state, decision)
        case de.Retry():
            return _retry(state, decision)
        case de.AttemptStop():
            return _stop(state, state.tasks[decision.task], decision.cause, decision.why)
        case de.JobEnd():
            return _end_job(state, decision)
        case de.SliceRequest():
            return _request(state, decision)
        case de.SliceDelete():
            return _delete(state, decision)
        case de.SliceLoss():
            return _lose(state, decision)
        case de.Observation():
            return _observe(state, decision)
        case de.Answer():
            return [ef.Reply(decision.request, decision.answer)]
        case de.Eviction():
            return _evict(state, decision)
        case de.SliceAgain():
            return _again(state, decision)
        case de.Oblivion():
            return _forget(state, decision)
        case _:
            _apply_quietly(state, decision)
            return []


def _apply_quietly(
    state: ClusterState,
    decision: de.AttemptLoss
    | de.TaskVerdict
    | de.Holding
    | de.Release
    | de.SliceCordon
    | de.SliceDrain
    | de.SliceGone
    | de.WorkerCordon
    | de.Throttle
    | de.CreatePause,
) -> None:
    """The decisions that change the state and ask nothing of the world."""
    match decision:
        case de.AttemptLoss():
            task = state.tasks[decision.task]
            state.end_attempt(task, task.attempts[-1], decision.cause, decision.why)
        case de.TaskVerdict():
            task = state.tasks[decision.task]
            task.verdict = decision.state
            task.why = decision.why
            state.settle_task(task)
        case de.Holding():
            _hold(state, decision, de.HoldKind.BACKFILL, decision.expected)
        case de.Release():
            _release(state, decision)
        case de.SliceCordon():
            _cordon_slice(state, decision)
        case de.SliceDrain():
            _drain(state, state.slices[decision.slice], decision.why)
        case de.SliceGone():
            _gone(state, state.slices[decision.slice], decision.why)
        case de.WorkerCordon():
            worker = state.workers[decision.worker]
            worker.cordoned = decision.cordoned
            if not decision.cordoned:
                worker.launch_failures = 0
            state.refresh_worker(worker)
            state.news.grown = True
        case de.Throttle():
            _throttle(state, decision)
        case de.CreatePause():
            state.books.creates_paused_until = decision.until
        case _:
            assert_never(decision)


# ---- jobs --------------------------------------------------------------------------------------


def _admit(state: ClusterState, admission: de.Admission) -> list[ef.Effect]:
    state.books.jobs_minted += 1
    spec = admission.spec
    job = Job(
        id=admission.job,
        number=state.books.jobs_minted,
        spec=spec,
        request=admission.request,
        submitted_at=state.now,
        tasks=[Task(task_id(admission.job, i), admission.job, i) for i in range(spec.replicas)],
        tally={TaskState.PENDING: spec.replicas},
        never_ran=spec.replicas,
    )
    state.requests[admission.request] = job.id
    if spec.parent is not None:
        state.jobs[spec.parent].children.append(job.id)
    state.add_job(job)
    return [ef.Reply(admission.request, ef.Accepted(job.id))]


def _retry(state: ClusterState, retry: de.Retry) -> list[ef.Effect]:
    job = state.jobs[retry.job]
    for name in retry.tasks:
        task = state.tasks[name]
        task.retried = len(task.attempts)
        task.not_before = retry.not_before
        task.why = retry.why
        state.settle_task(task)
    if retry.not_before is None:
        state.wait(job, state.unit_of(state.tasks[retry.tasks[0]]))
    else:
        for name in retry.tasks:
            state.arm_task(state.tasks[name])
    return []


def _end_job(state: ClusterState, end: de.JobEnd) -> list[ef.Effect]:
    job = state.jobs[end.job]
    for unit in state.units_of(job):
        state.unwait(job, unit.member)
    for key in [k for k in state.holds if k[0] == job.id]:
        state.drop_hold(key)
    job.ending = end.state
    job.ending_cause = end.cause
    job.why = end.why
    effects: list[ef.Effect] = []
    for task in job.tasks:
        if state.live_attempt(task) is not None:
            effects += _stop(state, task, end.cause, end.why)
        elif task.state is TaskState.PENDING:
            task.verdict = _VERDICT_OF_WAITING[end.state]
            task.why = end.why
            state.settle_task(task)
    return effects


_VERDICT_OF_WAITING = {
    JobState.FAILED: TaskState.KILLED,
    JobState.KILLED: TaskState.KILLED,
    JobState.UNSCHEDULABLE: TaskState.UNSCHEDULABLE,
}


# ---- placement ---------------------------------------------------------------------------------


def _place(state: ClusterState, placement: de.Placement) -> list[ef.Effect]:
    job = state.jobs[placement.job]
    member = state.unit_of(state.tasks[placement.tasks[0]]).member
    if (job.id, member) in state.holds:
        state.drop_hold((job.id, member))
    state.unwait(job, member)
    effects: list[ef.Effect] = []
    for name, host in zip(placement.tasks, placement.workers, strict=True):
        task, worker = state.tasks[name], state.workers[host]
        attempt = state.assign(job, task, worker)
        effects.append(
            ef.StartAttempt(
                worker.id, worker.incarnation, name, attempt.number, task.index, attempt.version
            )
        )
    return effects


def _stop(state: ClusterState, task: Task, cause: EndCause, why: str) -> list[ef.Effect]:
    """Ask an attempt to end; one that is asked already keeps its first cause and deadline."""
    attempt = state.live_attempt(task)
    if attempt is None or attempt.state is AttemptState.STOPPING:
        return []
    timeouts = state.spec.timeouts
    attempt.stop_cause = cause
    attempt.stop_deadline = after(state.now, timeouts.stop_timeout)
    attempt.detail = why
    worker = state.workers[attempt.worker]
    worker.version += 1
    state.move_attempt(task, attempt, AttemptState.STOPPING)
    state.arm_task(task)
    return [
        ef.StopAttempt(
            worker.id,
            worker.incarnation,
            task.id,
            attempt.number,
            timeouts.stop_grace,
            worker.version,
        )
    ]


def _evict(state: ClusterState, eviction: de.Eviction) -> list[ef.Effect]:
    effects: list[ef.Effect] = []
    for victim in eviction.victims:
        effects += _stop(state, state.tasks[victim], EndCause.EVICTION, eviction.why)
    job = state.jobs[eviction.job]
    member = state.unit_of(state.tasks[eviction.tasks[0]]).member
    if (job.id, member) in state.holds:
        state.drop_hold((job.id, member))
    state.unwait(job, member)
    _hold(state, eviction, de.HoldKind.EVICTION, None)
    return effects


def _hold(
    state: ClusterState,
    decision: de.Holding | de.Eviction,
    kind: de.HoldKind,
    expected: Instant | None,
) -> None:
    job = state.jobs[decision.job]
    member = state.unit_of(state.tasks[decision.tasks[0]]).member
    state.add_hold(Hold(job.id, member, kind, decision.workers, decision.need, state.now, expected))


def _release(state: ClusterState, release: de.Release) -> None:
    job = state.jobs[release.job]
    member = state.unit_of(state.tasks[release.tasks[0]]).member
    was = state.holds[job.id, member].kind
    state.drop_hold((job.id, member))
    if was is de.HoldKind.EVICTION:
        state.wait(job, state.unit_of(state.tasks[release.tasks[0]]))


# ---- slices ------------------------------------------------------------------------------------


def _request(state: ClusterState, request: de.SliceRequest) -> list[ef.Effect]:
    books = state.books
    books.slices_minted += 1
    books.tokens = tokens_at(state, state.now) - TOKEN
    books.tokens_at = state.now
    slice_ = Slice(
        id=request.slice,
        number=books.slices_minted,
        group=request.group,
        zone=request.zone,
        requested_at=state.now,
        deadline=after(state.now, state.spec.autoscaler.create_answer_timeout),
        accelerator_type=state.groups[request.group].accelerator_type,
        workers=[None] * state.groups[request.group].hosts,
        keep_until=request.keep_until,
        why=request.why,
    )
    state.add_slice(slice_)
    return [ef.CreateSlice(slice_.id, slice_.group, slice_.zone)]


def _again(state: ClusterState, again: de.SliceAgain) -> list[ef.Effect]:
    slice_ = state.slices[again.slice]
    slice_.deadline = again.retry_at
    state.arm_slice(slice_)
    return [ef.CreateSlice(slice_.id, slice_.group, slice_.zone)]


def _cordon_slice(state: ClusterState, cordon: de.SliceCordon) -> None:
    slice_ = state.slices[cordon.slice]
    slice_.cordon_until = cordon.until
    _relist(state, slice_)
    state.arm_slice(slice_)


def _relist(state: ClusterState, slice_: Slice) -> None:
    state.news.grown = True
    state.refresh_slice(slice_)
    for worker in slice_.workers:
        if worker is not None:
            state.refresh_worker(state.workers[worker])


def _drain(state: ClusterState, slice_: Slice, why: str) -> None:
    state.move_slice(slice_, SliceState.DRAINING, why)
    if not slice_.live:
        state.news.emptied[slice_.id] = None


def _lose(state: ClusterState, loss: de.SliceLoss) -> list[ef.Effect]:
    """The whole slice in one turn: every worker is lost, and what it held goes away with it."""
    slice_ = state.slices[loss.slice]
    slice_.deadline = None
    slice_.cordon_until = None
    state.move_slice(slice_, loss.state, loss.why)
    state.news.lost[slice_.id] = None
    workers = [state.workers[w] for w in slice_.workers if w is not None]
    for worker in workers:
        worker.silent_since = None
        state.move_worker(worker, WorkerState.LOST)
    for worker in workers:
        for name in sorted(worker.attempts):
            task = state.tasks[name]
            attempt = task.attempts[-1]
            cause = cause_of_loss(attempt.stop_cause, loss.cause)
            state.end_attempt(task, attempt, cause, loss.why)
    return []


def _delete(state: ClusterState, delete: de.SliceDelete) -> list[ef.Effect]:
    slice_ = state.slices[delete.slice]
    if slice_.state is not SliceState.DELETING:
        state.move_slice(slice_, SliceState.DELETING, delete.why)
        slice_.missing_since = state.now
        slice_.gone_at = None
    slice_.deadline = delete.retry_at
    state.arm_slice(slice_)
    return [ef.DeleteSlice(slice_.id, slice_.group, slice_.zone)]


def _gone(state: ClusterState, slice_: Slice, why: str) -> None:
    slice_.deadline = None
    slice_.missing_since = None
    slice_.gone_at = state.now
    state.move_slice(slice_, SliceState.GONE, why)


def _observe(state: ClusterState, observation: de.Observation) -> list[ef.Effect]:
    if not observation.slices:
        state.books.observing_since = state.now
        state.books.asked_at = state.now
        state.books.observe_at = observation.next_at
        state.arm_books()
    return [ef.ObserveSlices(observation.slices)]


# ---- gates and memory --------------------------------------------------------------------------


def _throttle(state: ClusterState, throttle: de.Throttle) -> None:
    key = (throttle.zone, throttle.accelerator_type)
    gate = state.gates.get(key)
    if gate is None:
        gate = state.gates[key] = _new_gate(state, throttle.zone, throttle.accelerator_type)
    if throttle.blocked_until is not None and throttle.blocked_until != gate.blocked_until:
        gate.blocked_at = state.now
    gate.window = throttle.window
    gate.level = throttle.level
    gate.blocked_until = throttle.blocked_until
    gate.scarce = throttle.scarce
    gate.why = throttle.why
    state.news.grown = True


def _new_gate(state: ClusterState, zone: Zone, accelerator_type: str) -> Gate:
    group = next(g for g in state.spec.groups if g.accelerator_type == accelerator_type)
    return Gate(zone, accelerator_type, group.family, group.chips, 0)


def _forget(state: ClusterState, oblivion: de.Oblivion) -> list[ef.Effect]:
    for job in oblivion.jobs:
        state.drop_job(state.jobs[job])
    for slice_ in oblivion.slices:
        state.drop_slice(state.slices[slice_])
    state.room.forget_shapes(state.waiting.by_shape)
    return [ef.ForgetJobs(oblivion.jobs)] if oblivion.jobs else []
