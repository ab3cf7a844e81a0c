"""When each thing falls due, by the state alone: the truth behind every entry of the deadline heap."""

from iris.core.deadlines import Due
from iris.core.ids import JobId, SliceId, TaskId, WorkerId
from iris.core.instant import Instant, after
from iris.core.lifecycle import AttemptState, TaskState, WorkerState
from iris.core.readonly import Tables
from iris.core.records import Attempt, Job, Slice, Task
from iris.core.spec import ClusterSpec


def due_at(state: Tables, due: Due, key: str) -> Instant | None:
    """When this thing falls due; nothing when it awaits nothing of the kind."""
    if Due.SLICE <= due <= Due.IDLE:  # Most are of slices, and this is asked of every wake-up.
        slice_ = state.slices.get(SliceId(key))
        return _slice_due(state.spec, due, slice_) if slice_ is not None else None
    match due:
        case Due.RETRY | Due.LAUNCH | Due.TIMEOUT | Due.STOP:
            task = state.tasks.get(TaskId(key))
            return _task_due(state, due, task) if task is not None else None
        case Due.SCHEDULING:
            job = state.jobs.get(JobId(key))
            return _scheduling_due(job) if job is not None else None
        case Due.SILENCE:
            worker = state.workers.get(WorkerId(key))
            if worker is None or worker.silent_since is None:
                return None
            return after(worker.silent_since, state.spec.timeouts.worker_timeout)
        case Due.OBSERVE:
            if state.books.observing_since is None:
                return state.books.observe_at
            return after(state.books.observing_since, state.spec.autoscaler.observe_timeout)
        case _:
            return state.books.scale_at


def is_due(state: Tables, due: Due, key: str, now: Instant) -> bool:
    """Whether this thing, which was due when the turn began, still is by all that was learned since."""
    at = due_at(state, due, key)
    return at is not None and at <= now


def _task_due(state: Tables, due: Due, task: Task) -> Instant | None:
    if due is Due.RETRY:
        return task.not_before if task.state is TaskState.PENDING else None
    attempt = task.attempts[-1] if task.attempts else None
    if attempt is None or attempt.ended_at is not None:
        return None
    if due is Due.STOP:
        return attempt.stop_deadline
    if attempt.state is AttemptState.STOPPING:
        return None
    if due is Due.TIMEOUT:
        return _timeout_due(state, task, attempt)
    if attempt.state is AttemptState.RUNNING:
        return None
    return after(attempt.assigned_at, state.spec.timeouts.launch_timeout)


def _timeout_due(state: Tables, task: Task, attempt: Attempt) -> Instant | None:
    """An end in time may be on its way from a worker that cannot be heard."""
    timeout = state.jobs[task.job].spec.timeout
    worker = state.workers.get(attempt.worker)
    if timeout is None or worker is None or worker.state is WorkerState.SILENT:
        return None
    at, deaf_until = after(attempt.assigned_at, timeout), state.books.deaf_until
    return at if deaf_until is None else max(at, deaf_until)


def _scheduling_due(job: Job) -> Instant | None:
    timeout = job.spec.scheduling_timeout
    if timeout is None or not job.never_ran or job.ending is not None:
        return None
    return after(job.submitted_at, timeout)


def _slice_due(spec: ClusterSpec, due: Due, slice_: Slice) -> Instant | None:
    if due is Due.SLICE:
        return slice_.deadline
    if due is Due.CORDON:
        return slice_.cordon_until
    if due is Due.SETTLE:
        if slice_.ready_at is None or slice_.gone_at is not None:
            return None
        return after(slice_.ready_at, spec.autoscaler.settle_time)
    if slice_.idle_since is None:
        return None
    idle = after(slice_.idle_since, spec.autoscaler.idle_timeout)
    return idle if slice_.keep_until is None else max(idle, slice_.keep_until)
