"""What each fact says, entered into the state. No policy is here: what it means is decided later.

A fact about something that is over (a past attempt, another incarnation, a slice that is gone)
changes only the count of stale facts. A fact learned twice is learned once.
"""

from typing import Final, assert_never

from iris.core import events as ev
from iris.core.cadence import HEARD_BY
from iris.core.deadlines import Due
from iris.core.due import is_due
from iris.core.effects import Acknowledge, Effect, RefuseWorker, StopAttempt
from iris.core.endpoints import endpoints_told
from iris.core.gates import FOREVER, TOKEN, tokens_at
from iris.core.ids import TaskId, WorkerId, worker_id
from iris.core.instant import Instant, Millis, after
from iris.core.lifecycle import (
    COMING,
    ENDED_ATTEMPT,
    AttemptState,
    SliceState,
    WorkerState,
)
from iris.core.placing import has_another_host
from iris.core.records import Attempt, Slice, Task, Worker
from iris.core.retry import EndCause
from iris.core.sightings import (
    GIVEN_UP,
    adopt,
    create_failed,
    delete_failed,
    noticed,
    slice_accepted,
    slice_deleted,
    slices_observed,
)
from iris.core.state import ClusterState

_OWN_CAUSES: Final = frozenset(
    {
        EndCause.EXIT_ZERO,
        EndCause.EXIT_NONZERO,
        EndCause.OUT_OF_MEMORY,
        EndCause.LAUNCH,
        EndCause.BUILD,
        EndCause.PREEMPTION,
    }
)
"""Causes that a worker sees for itself; any other end of a container follows from a stop."""

_RAN: Final = frozenset({EndCause.EXIT_ZERO, EndCause.EXIT_NONZERO, EndCause.OUT_OF_MEMORY})


def learn_time(state: ClusterState, now: Instant) -> None:
    """It is now; tasks whose pause is over wait again, and the rest of what is due is news."""
    state.now = now
    for due, key in state.deadlines.pop_due(now):
        if due is Due.RETRY:
            _end_pause(state, state.tasks[TaskId(key)])
        else:
            state.news.due.append((due, key))


def learn(state: ClusterState, event: ev.Event) -> list[Effect]:
    """Enter one fact; the effects are courtesies of the protocol, no decisions."""
    match event:
        case ev.WorkerReported():
            return _worker_reported(state, event)
        case ev.JobSubmitted():
            state.news.submissions.append(event)
        case ev.WorkerRegistered():
            return _worker_registered(state, event)
        case ev.SliceAccepted():
            slice_accepted(state, event.slice)
        case ev.SliceDeleted():
            slice_deleted(state, event.slice, "the cloud says that it is deleted")
        case ev.SlicesObserved():
            slices_observed(state, event)
        case ev.WorkerSilent():
            _worker_silent(state, event)
        case ev.WorkerHeard():
            _worker_heard(state, _worker(state, event.worker, event.incarnation))
        case ev.SliceCreateFailed():
            create_failed(state, event)
        case ev.PreemptionNoticed():
            noticed(state, event.slice, "the cloud announced a preemption")
        case ev.SliceDeleteFailed():
            delete_failed(state, event)
        case ev.WorkerDrainRequested():
            state.news.drains[event.worker] = not event.resume
        case ev.ControllerStalled():
            _stalled(state, event.since)
        case ev.ControllerRestarted():
            _restarted(state)
        case ev.ConfigLoaded():
            _config_loaded(state, event)
        case ev.JobStopRequested() | ev.SliceTerminateRequested() | ev.SliceCreateRequested():
            _requested(state, event)
        case ev.EndpointRegistered() | ev.EndpointsWithdrawn():
            return endpoints_told(state, event)
        case _:
            assert_never(event)
    return []


def _requested(
    state: ClusterState,
    event: ev.JobStopRequested | ev.SliceTerminateRequested | ev.SliceCreateRequested,
) -> None:
    match event:
        case ev.JobStopRequested():
            state.news.stops.append(event)
        case ev.SliceTerminateRequested():
            state.news.terminations.append(event)
        case ev.SliceCreateRequested():
            state.news.creations.append(event)
        case _:
            assert_never(event)


def _end_pause(state: ClusterState, task: Task) -> None:
    job = state.jobs[task.job]
    for unit in state.units_of(job) if job.spec.coscheduled else [state.unit_of(task)]:
        state.wait(job, unit)


def _config_loaded(state: ClusterState, event: ev.ConfigLoaded) -> None:
    first = not state.books.tokens_at and not state.groups
    named = {group.name for group in event.spec.groups}
    earned = tokens_at(state, state.now)
    state.spec = event.spec
    state.news.reconfigured = True
    state.news.grown = True
    bucket = event.spec.autoscaler.create_burst * TOKEN
    state.books.tokens = bucket if first else min(earned, bucket)
    state.books.tokens_at = state.now
    state.books.observe_at = state.now
    state.lives = {group: lives for group, lives in state.lives.items() if group in named}
    for gate in state.gates.values():
        if gate.blocked_until == FOREVER:
            gate.blocked_until = None
    state.rebuild()


# ---- workers -----------------------------------------------------------------------------------


def _worker(state: ClusterState, name: WorkerId, incarnation: str) -> Worker | None:
    """The worker that speaks, if it is the one that is on the books and not given up."""
    worker = state.workers.get(name)
    if worker is None or worker.incarnation != incarnation or worker.state is WorkerState.LOST:
        state.books.stale_facts += 1
        return None
    return worker


def _worker_silent(state: ClusterState, event: ev.WorkerSilent) -> None:
    worker = _worker(state, event.worker, event.incarnation)
    if worker is None or worker.state is WorkerState.SILENT:
        return
    worker.silent_since = event.since
    state.move_worker(worker, WorkerState.SILENT)
    state.arm_silence(worker)
    state.news.doubted[worker.slice] = f"worker {worker.id} is silent"


def _worker_heard(state: ClusterState, worker: Worker | None) -> None:
    if worker is not None and worker.state is WorkerState.SILENT:
        worker.silent_since = None
        state.move_worker(worker, WorkerState.HEALTHY)
        state.arm_timeouts(worker)


def _stalled(state: ClusterState, since: Instant) -> None:
    """Silence and slowness for which the controller was not awake do not count."""
    state.books.deaf_until = after(state.now, HEARD_BY)
    for worker in state.workers.values():
        state.arm_timeouts(worker)
        if worker.silent_since is not None and worker.state is WorkerState.SILENT:
            deaf = state.now - max(since, worker.silent_since)
            worker.silent_since = after(worker.silent_since, Millis(max(0, deaf)))
            state.arm_silence(worker)
    for task, attempt, deadline in _stopping(state):
        attempt.stop_deadline = after(deadline, Millis(state.now - since))
        state.arm_task(task)
    _look_again(state)


def _stopping(state: ClusterState) -> list[tuple[Task, Attempt, Instant]]:
    """Attempts that were asked to stop, and by when."""
    tasks = [state.tasks[name] for worker in state.workers.values() for name in worker.attempts]
    last = [(task, task.attempts[-1]) for task in tasks]
    return [(t, a, a.stop_deadline) for t, a in last if a.stop_deadline is not None]


def _look_again(state: ClusterState) -> None:
    """Of the silences that fell due in this turn, those count that are too long by the new clocks."""
    state.news.due = [
        (due, key)
        for due, key in state.news.due
        if due is not Due.SILENCE or is_due(state, due, key, state.now)
    ]


def _restarted(state: ClusterState) -> None:
    """After a restart nobody's liveness is known, and what the cloud has must be listed first."""
    for worker in state.workers.values():
        if worker.state is not WorkerState.LOST:
            worker.silent_since = state.now
            if worker.state is WorkerState.HEALTHY:
                state.move_worker(worker, WorkerState.SILENT)
            state.arm_silence(worker)
    for task, attempt, _ in _stopping(state):
        attempt.stop_deadline = after(state.now, state.spec.timeouts.stop_timeout)
        state.arm_task(task)
    _look_again(state)
    state.books.listed = False
    state.books.observing_since = None
    state.books.observe_at = state.now


def _worker_registered(state: ClusterState, event: ev.WorkerRegistered) -> list[Effect]:
    slice_ = state.slices.get(event.slice)
    if slice_ is None and event.group in state.groups and event.zone is not None:
        slice_ = adopt(state, event.slice, event.group, event.zone)
    why = _why_refused(state, slice_, event)
    if why:
        state.books.stale_facts += 1
        return [RefuseWorker(event.slice, event.host, event.incarnation, why)]
    assert slice_ is not None
    known = slice_.workers[event.host]
    if known is None:
        _add_worker(state, slice_, event)
    else:
        worker = state.workers[known]
        if worker.incarnation != event.incarnation:
            _doubt_unheard(state, worker)
        worker.incarnation = event.incarnation
        worker.address = event.address
        _worker_heard(state, worker)
    return []


def _doubt_unheard(state: ClusterState, worker: Worker) -> None:
    """A machine that started anew may have run what it was told to before: no second time."""
    for task in worker.attempts:
        attempt = state.tasks[task].attempts[-1]
        if attempt.state is AttemptState.ASSIGNED:
            attempt.doubted = True


def _why_refused(state: ClusterState, slice_: Slice | None, event: ev.WorkerRegistered) -> str:
    if slice_ is None:
        return "it names no slice that is known, and no group of the configuration"
    if slice_.state in GIVEN_UP:
        if slice_.state is SliceState.GONE:
            state.news.seen_alive[slice_.id] = None
        return f"slice {slice_.id} is {slice_.state.value}"
    if not 0 <= event.host < len(slice_.workers):
        return f"slice {slice_.id} has no host {event.host}, only 0 to {len(slice_.workers) - 1}"
    known = slice_.workers[event.host]
    if known is None or state.workers[known].incarnation == event.incarnation:
        return ""
    other = state.workers[known]
    if other.address != event.address and other.state is WorkerState.HEALTHY:
        return f"host {event.host} of slice {slice_.id} is {other.address}, which still speaks"
    return ""


def _add_worker(state: ClusterState, slice_: Slice, event: ev.WorkerRegistered) -> None:
    state.books.workers_minted += 1
    worker = Worker(
        id=worker_id(slice_.id, event.host),
        number=state.books.workers_minted,
        slice=slice_.id,
        host=event.host,
        incarnation=event.incarnation,
        address=event.address,
        offers=event.offers,
    )
    slice_.workers[event.host] = worker.id
    state.add_worker(worker)
    if slice_.state is SliceState.REQUESTED:
        slice_accepted(state, slice_.id)
    if slice_.state in COMING and None not in slice_.workers:
        slice_.deadline = None
        slice_.ready_at = state.now
        state.move_slice(slice_, SliceState.READY, "every host has registered")
        state.news.ready[slice_.id] = None
        state.arm_slice(slice_)


# ---- attempts ----------------------------------------------------------------------------------


def _worker_reported(state: ClusterState, event: ev.WorkerReported) -> list[Effect]:
    worker = _worker(state, event.worker, event.incarnation)
    if worker is None:
        return []
    _worker_heard(state, worker)
    effects: list[Effect] = []
    for report in event.reports:
        effects.extend(_attempt_reported(state, worker, report))
    if event.complete:
        spoken = {report.task for report in event.reports}
        for task in sorted(worker.attempts):
            attempt = state.tasks[task].attempts[-1]
            if task not in spoken and attempt.version <= event.acted_on:
                state.news.unknown[task] = None
    return effects


def _attempt_reported(
    state: ClusterState, worker: Worker, report: ev.AttemptReport
) -> list[Effect]:
    ended = report.state in ENDED_ATTEMPT
    acknowledge = Acknowledge(worker.id, worker.incarnation, report.task, report.attempt)
    task = state.tasks.get(report.task)
    if task is None or worker.attempts.get(report.task) != report.attempt:
        # An attempt that is over, or never was: its container has no business on this host.
        state.books.stale_facts += 1
        if ended:
            return [acknowledge]
        return [_stop(state, worker, report.task, report.attempt)]
    attempt = task.attempts[report.attempt]
    if ended:
        _attempt_ended(state, worker, task, attempt, report)
        return [acknowledge]
    if attempt.state is AttemptState.ASSIGNED or (
        attempt.state is AttemptState.BUILDING and report.state is AttemptState.RUNNING
    ):
        state.move_attempt(task, attempt, report.state)
    else:
        state.books.stale_facts += 1
    return []


def _stop(state: ClusterState, worker: Worker, task: TaskId, attempt: int) -> Effect:
    grace = state.spec.timeouts.stop_grace
    return StopAttempt(worker.id, worker.incarnation, task, attempt, grace, worker.version)


def _attempt_ended(
    state: ClusterState, worker: Worker, task: Task, attempt: Attempt, report: ev.AttemptReport
) -> None:
    cause = report.cause
    if cause not in _OWN_CAUSES or cause is None:
        cause = attempt.stop_cause or EndCause.UNKNOWN
    if cause in _RAN and attempt.started_at is None:
        state.note_started(task, attempt)
    if cause is EndCause.LAUNCH:
        task.avoid = tuple(sorted({*task.avoid, worker.id}))
        worker.launch_failures += 1
        state.news.blamed[worker.id] = None
    elif cause is EndCause.BUILD and has_another_host(state, task, worker):
        task.avoid = tuple(sorted({*task.avoid, worker.id}))
    state.end_attempt(task, attempt, cause, report.detail)
