"""The state of the cluster: its tables, their indexes, and the pen that keeps the two in step.

Three modules write it: this one (moves and ledgers, whose every write keeps the indexes true),
`iris.core.learn` (what a fact says) and `iris.core.apply` (what a decision says). Planners read.
Every index can be rebuilt from the tables, which `rebuild` does after a copy or a recovery.
"""

from hashlib import sha256
from typing import Final

from iris.core.decisions import HoldKind
from iris.core.fit import shape_of, weight_of
from iris.core.ids import TaskId
from iris.core.indexes import IndexedTables
from iris.core.lifecycle import (
    ALIVE,
    ATTEMPT_MOVES,
    ENDED_JOB,
    JOB_MOVES,
    SLICE_MOVES,
    TASK_MOVES,
    WORKER_MOVES,
    AttemptState,
    SliceState,
    TaskState,
    WorkerState,
    job_state_of,
)
from iris.core.records import (
    Attempt,
    Books,
    Endpoint,
    Hold,
    HoldKey,
    Job,
    Life,
    Slice,
    Task,
    Usage,
    Worker,
)
from iris.core.resources import minus, plus
from iris.core.retry import MEANING, EndCause
from iris.core.spec import JobSpec
from iris.core.usage import accrued


class IllegalMove(AssertionError):
    """A thing was to make a move that its table does not have; a bug, which ends the run."""


def task_state_of(task: Task) -> TaskState:
    """The state of a task by what is on record of it."""
    if task.verdict is not None:
        return task.verdict
    if task.retried == len(task.attempts):
        return TaskState.PENDING
    return _TASK_STATE[task.attempts[-1].state]


_TASK_STATE = {
    AttemptState.ASSIGNED: TaskState.ASSIGNED,
    AttemptState.BUILDING: TaskState.BUILDING,
    AttemptState.RUNNING: TaskState.RUNNING,
    AttemptState.STOPPING: TaskState.RUNNING,
    AttemptState.SUCCEEDED: TaskState.SUCCEEDED,
    # An attempt that ended otherwise waits for its verdict, a gang's for all of its members.
    AttemptState.FAILED: TaskState.PENDING,
    AttemptState.KILLED: TaskState.PENDING,
    AttemptState.PREEMPTED: TaskState.PENDING,
    AttemptState.EVICTED: TaskState.PENDING,
    AttemptState.WORKER_FAILED: TaskState.PENDING,
}


LIVES_KEPT: Final = 100
"""Lives that are remembered of each group: enough to know its boots and its losses by."""


class ClusterState(IndexedTables):
    """All that the core knows. Read freely; write only through `learn`, `apply` and this class."""

    def add_slice(self, slice_: Slice) -> None:
        """Put a new slice on the books."""
        self.slices[slice_.id] = slice_
        self.slice_by_number[slice_.number] = slice_
        self.count_slice(slice_, slice_.state, 1)
        self.arm_slice(slice_)
        self.news.grown = True

    def drop_slice(self, slice_: Slice) -> None:
        """Forget a slice and its workers."""
        self.count_slice(slice_, slice_.state, -1)
        for worker in slice_.workers:
            if worker is not None:
                del self.worker_by_number[self.workers[worker].number]
                del self.workers[worker]
        del self.slices[slice_.id]
        del self.slice_by_number[slice_.number]

    def move_slice(self, slice_: Slice, to: SliceState, why: str) -> None:
        """Move a slice by its table, and list it and its workers anew."""
        if to not in SLICE_MOVES[slice_.state]:
            raise IllegalMove(f"slice {slice_.id}: {slice_.state.value} -> {to.value} ({why})")
        if slice_.state in ALIVE and to not in ALIVE:
            self._remember(slice_, to)
        self.count_slice(slice_, slice_.state, -1)
        slice_.state = to
        slice_.why = why
        self.count_slice(slice_, to, 1)
        self.news.grown = True
        self.refresh_slice(slice_)
        for worker in slice_.workers:
            if worker is not None:
                self.refresh_worker(self.workers[worker])

    def _remember(self, slice_: Slice, end: SliceState) -> None:
        """A slice is over: enter it in its group's record, which forgets the oldest."""
        if slice_.group not in self.groups:
            return
        life = Life(
            zone=slice_.zone,
            requested_at=slice_.requested_at,
            accepted_at=None if slice_.adopted else slice_.accepted_at,
            ready_at=slice_.ready_at,
            over_at=self.now,
            end=end,
            failure=slice_.failure,
        )
        before = self.lives.get(slice_.group, ())
        self.lives[slice_.group] = (*before[-LIVES_KEPT + 1 :], life)

    def add_worker(self, worker: Worker) -> None:
        """Put a new worker on the books."""
        self.workers[worker.id] = worker
        self.worker_by_number[worker.number] = worker

    def move_worker(self, worker: Worker, to: WorkerState) -> None:
        """Move a worker by its table."""
        if to not in WORKER_MOVES[worker.state]:
            raise IllegalMove(f"worker {worker.id}: {worker.state.value} -> {to.value}")
        worker.state = to
        self.refresh_worker(worker)

    # ---- the pen: jobs, tasks, attempts ----------------------------------------------------

    def add_job(self, job: Job) -> None:
        """Put a new job on the books and let its units wait."""
        self.jobs[job.id] = job
        self.job_by_number[job.number] = job
        self.by_state[job.state][job.id] = None
        self.shapes[job.id] = shape_of(job.spec)
        self.count_tasks(job, 1)
        for task in job.tasks:
            self.tasks[task.id] = task
        for unit in self.units_of(job):
            self.wait(job, unit)
        self.arm_scheduling(job)

    def drop_job(self, job: Job) -> None:
        """Forget an ended job."""
        parent = self.jobs.get(job.spec.parent) if job.spec.parent is not None else None
        if parent is not None:
            parent.children.remove(job.id)
        for task in job.tasks:
            del self.tasks[task.id]
        del self.jobs[job.id]
        del self.job_by_number[job.number]
        del self.ended[job.id]
        del self.by_state[job.state][job.id]
        self.requests.pop(job.request, None)

    def settle_task(self, task: Task) -> None:
        """Let a task's state, and its job's, follow from what is on record."""
        to = task_state_of(task)
        if to is task.state:
            return
        if to not in TASK_MOVES[task.state]:
            raise IllegalMove(f"task {task.id}: {task.state.value} -> {to.value}")
        job = self.jobs[task.job]
        tally = job.tally
        tally[task.state] -= 1
        if not tally[task.state]:
            del tally[task.state]
        tally[to] = tally.get(to, 0) + 1
        task.state = to
        self._settle_job(job)

    def _settle_job(self, job: Job) -> None:
        to = job_state_of(job.tally)
        if to is job.state:
            return
        if to not in JOB_MOVES[job.state]:
            raise IllegalMove(f"job {job.id}: {job.state.value} -> {to.value}")
        del self.by_state[job.state][job.id]
        self.by_state[to][job.id] = None
        job.state = to
        if to in ENDED_JOB:
            job.ended_at = self.now
            self.ended[job.id] = None
            self.news.finished[job.id] = None
            del self.shapes[job.id]
            self.count_tasks(job, -1)

    def assign(self, job: Job, task: Task, worker: Worker) -> Attempt:
        """Give a task its next attempt, on a worker, and enter it in the ledgers."""
        worker.version += 1
        attempt = Attempt(
            number=len(task.attempts),
            worker=worker.id,
            slice=worker.slice,
            assigned_at=self.now,
            version=worker.version,
        )
        task.attempts.append(attempt)
        task.not_before = None
        worker.attempts[task.id] = attempt.number
        worker.committed = plus(worker.committed, job.spec.resources)
        self._book(job, worker, task.id, 1)
        self.settle_task(task)
        self.arm_task(task)
        return attempt

    def move_attempt(self, task: Task, attempt: Attempt, to: AttemptState) -> None:
        """Move an unfinished attempt to another unfinished state."""
        if to not in ATTEMPT_MOVES[attempt.state]:
            raise IllegalMove(
                f"attempt {task.id}@{attempt.number}: {attempt.state.value} -> {to.value}"
            )
        attempt.state = to
        if to is AttemptState.RUNNING:
            self.note_started(task, attempt)
        elif to is AttemptState.STOPPING:
            self.churned[attempt.worker] = None  # What is leaving need not be evicted.
            self.news.stirred.append(attempt.worker)
            self.count_leaving(attempt.worker, 1)
        self.settle_task(task)

    def note_started(self, task: Task, attempt: Attempt) -> None:
        """The user's code runs, or ran, in an attempt."""
        attempt.started_at = self.now
        if all(a.started_at is None for a in task.attempts[:-1]):
            self.jobs[task.job].never_ran -= 1

    def end_attempt(self, task: Task, attempt: Attempt, cause: EndCause, detail: str) -> None:
        """An attempt is over: give back what it held, and put its task up for a verdict."""
        to = MEANING[cause].state
        if to not in ATTEMPT_MOVES[attempt.state]:
            raise IllegalMove(
                f"attempt {task.id}@{attempt.number}: {attempt.state.value} -> {to.value}"
            )
        if attempt.state is AttemptState.STOPPING:
            self.count_leaving(attempt.worker, -1)
        attempt.state = to
        attempt.cause = cause
        attempt.detail = detail
        attempt.ended_at = self.now
        attempt.stop_deadline = None
        job = self.jobs[task.job]
        worker = self.workers[attempt.worker]
        worker.version += 1
        del worker.attempts[task.id]
        worker.committed = minus(worker.committed, job.spec.resources)
        self._book(job, worker, task.id, -1)
        if task.id in self.endpoints:
            self.keep_endpoints(task.id, ())
        self.news.ended[task.id] = None
        self.settle_task(task)

    def _book(self, job: Job, worker: Worker, task: TaskId, by: int) -> None:
        """Enter an attempt in (1) or out of (-1) the sums that are kept of attempts."""
        slice_ = self.slices[worker.slice]
        need = job.spec.resources
        slice_.live += by
        slice_.chips_used += by * need.chips
        self.book_stake(job, by)
        self.count_band(worker, task, by)
        self._use(job.spec, by * weight_of(need))
        self.refresh_worker(worker)
        self.refresh_slice(slice_)
        if slice_.state is SliceState.DRAINING and not slice_.live:
            self.news.emptied[slice_.id] = None

    def _use(self, spec: JobSpec, weight: int) -> None:
        key = (int(spec.band), spec.user)
        usage = self.usage.get(key)
        if usage is None:
            usage = self.usage[key] = Usage(spec.user, int(spec.band), since=self.now)
        usage.accrued = accrued(usage, self.now, self.spec.scheduler.fair_half_life)
        usage.since = self.now
        usage.rate += weight

    # ---- the pen: endpoints ----------------------------------------------------------------

    def list_endpoint(self, task: TaskId, endpoint: Endpoint) -> None:
        """List one more place where a task's unfinished attempt serves."""
        self.keep_endpoints(task, (*self.endpoints.get(task, ()), endpoint))

    def keep_endpoints(self, task: TaskId, left: tuple[Endpoint, ...]) -> None:
        """List only these of a task's endpoints."""
        self.endpoint_changes += 1
        if left:
            self.endpoints[task] = left
        else:
            del self.endpoints[task]

    # ---- the pen: holds --------------------------------------------------------------------

    def add_hold(self, hold: Hold) -> None:
        """Keep capacity for a unit."""
        key = (hold.job, hold.index)
        self.holds[key] = hold
        self._stake_hold(hold, 1)
        for name in hold.workers:
            worker = self.workers[name]
            worker.holds = (*worker.holds, key)
            self.refresh_worker(worker)

    def drop_hold(self, key: HoldKey) -> None:
        """Keep capacity for a unit no longer."""
        hold = self.holds.pop(key)
        self.news.grown = True  # What was kept may be idle, and nobody's now.
        self._stake_hold(hold, -1)
        self.touched.pop(key, None)
        for name in hold.workers:
            worker = self.workers[name]
            worker.holds = tuple(k for k in worker.holds if k != key)
            self.refresh_worker(worker)

    def _stake_hold(self, hold: Hold, by: int) -> None:
        """Who evicts others for a unit has bound what it needs: it counts as held already."""
        if hold.kind is HoldKind.EVICTION:
            job = self.jobs[hold.job]
            self.book_stake(job, by * len(self.members(job, hold.index)))

    # ---- copies ----------------------------------------------------------------------------

    def digest(self) -> str:
        """A hash of everything in the tables; equal states have equal digests."""
        text = sha256()
        for row in self.rows():
            text.update(repr(row).encode())
        return text.hexdigest()

    def rows(self) -> list[object]:
        """Everything in the tables, in an order that does not hang on how it came there."""
        books = (*(getattr(self.books, f) for f in _DIGESTED_BOOKS),)
        return [
            self.now,
            self.spec,
            books,
            *(self.jobs[k] for k in sorted(self.jobs)),
            *(self.slices[k] for k in sorted(self.slices)),
            *((w, sorted(w.attempts)) for _, w in sorted(self.workers.items())),
            *(self.holds[k] for k in sorted(self.holds)),
            *(self.gates[k] for k in sorted(self.gates)),
            *(self.lives[k] for k in sorted(self.lives)),
            *(self.usage[k] for k in sorted(self.usage)),
            *(self.endpoints[k] for k in sorted(self.endpoints)),
            sorted(self.requests.items()),
        ]


_DIGESTED_BOOKS = tuple(f for f in Books.__slots__ if f not in ("evaluations", "scale_at"))
