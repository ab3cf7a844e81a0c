"""The state of the cluster: its tables, their indexes, and the pen that keeps the two in step.

Three modules write it: this one (moves and ledgers, whose every write keeps the indexes true),
`iris.core.learn` (what a fact says) and `iris.core.apply` (what a decision says). Planners read. Every
index can be rebuilt from the tables, which `rebuild` does after a copy or a recovery.
"""

from bisect import bisect_left, insort
from hashlib import sha256

from iris.core.deadlines import Deadlines, Due
from iris.core.due import due_at
from iris.core.fit import Shape, shape_of, weight_of
from iris.core.ids import GroupName, JobId, RequestId, SliceId, TaskId, UserName, WorkerId, Zone
from iris.core.instant import Instant, after
from iris.core.lifecycle import (
    ATTEMPT_MOVES,
    COMING,
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
from iris.core.news import News
from iris.core.records import Attempt, Books, Gate, Hold, Job, Slice, Task, Usage, Worker
from iris.core.resources import Resources, minus, plus
from iris.core.retry import MEANING, EndCause
from iris.core.room import Pool, Room
from iris.core.spec import ClusterSpec, GroupSpec, JobSpec, Order
from iris.core.usage import accrued
from iris.core.waiting import GANG, QueueKey, Unit, Waiting


class IllegalMove(AssertionError):
    """A thing was to make a move that its table does not have; a bug, which ends the run."""


_NEWS_ONCE = (Due.RETRY, Due.SETTLE, Due.IDLE)
"""What is news once when it falls due, and not again after every rebuild."""

HoldKey = tuple[JobId, int]
PoolKey = tuple[GroupName, Zone]


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


class ClusterState:
    """All that the core knows. Read freely; write only through `learn`, `apply` and this class."""

    def __init__(self) -> None:
        self.now = Instant(0)
        self.spec = ClusterSpec()
        self.jobs: dict[JobId, Job] = {}
        self.slices: dict[SliceId, Slice] = {}
        self.workers: dict[WorkerId, Worker] = {}
        self.holds: dict[HoldKey, Hold] = {}
        self.gates: dict[tuple[Zone, str], Gate] = {}
        self.usage: dict[tuple[int, UserName], Usage] = {}
        self.requests: dict[RequestId, JobId] = {}
        self.books = Books()
        self.news = News()
        self.rebuild()

    # ---- indexes ---------------------------------------------------------------------------

    def rebuild(self) -> None:
        """Make every index anew from the tables."""
        self.groups: dict[GroupName, GroupSpec] = {g.name: g for g in self.spec.groups}
        self.tasks: dict[TaskId, Task] = {t.id: t for j in self.jobs.values() for t in j.tasks}
        self.job_by_number: dict[int, Job] = {j.number: j for j in self.jobs.values()}
        self.slice_by_number: dict[int, Slice] = {s.number: s for s in self.slices.values()}
        self.worker_by_number: dict[int, Worker] = {w.number: w for w in self.workers.values()}
        self.shapes: dict[JobId, Shape] = {
            j.id: shape_of(j.spec) for j in self.jobs.values() if j.ended_at is None
        }
        self.deadlines = Deadlines(lambda at, due, key: due_at(self, due, key) == at)
        self.fleet: dict[GroupName, dict[SliceState, int]] = {}
        self.coming: dict[PoolKey, int] = {}
        self.idle: dict[GroupName, list[tuple[Instant, int]]] = {}
        self.bands_on: dict[PoolKey, list[int]] = {}
        ended = sorted((j.ended_at, j.number, j.id) for j in self.jobs.values() if j.ended_at is not None)
        self.ended: dict[JobId, None] = {job: None for _, _, job in ended}
        self.room = Room()
        self.opened: dict[int, None] = {}
        self.touched: dict[HoldKey, None] = {}
        self.churned: dict[WorkerId, None] = {}
        """Workers whose room or work changed since evictions were last planned."""
        self.hopeless: dict[QueueKey, None] = {}
        """Queues for whose head no set of victims was found on any worker that has not churned since."""
        self.reindex_pools()
        self.reindex_waiting()
        self._rearm()

    def reindex_pools(self) -> None:
        """List all slices and workers anew, after the configuration or the tables changed."""
        self.room.configure(self.spec.groups)
        self.opened = {}
        self.fleet, self.coming, self.idle, self.bands_on = {}, {}, {}, {}
        for slice_ in self.slices.values():
            self._count_slice(slice_, slice_.state, 1)
            if slice_.idle_since is not None:
                insort(self.idle.setdefault(slice_.group, []), (slice_.idle_since, slice_.number))
            for worker in slice_.workers:
                if worker is not None:
                    self.refresh_worker(self.workers[worker])
            self.refresh_slice(slice_)
        for busy in self.workers.values():
            for task in busy.attempts:
                self._count_band(busy, task, 1)

    def reindex_waiting(self) -> None:
        """Queue every unit that waits, in queues of the present policy."""
        self.waiting = Waiting()
        for job in self.jobs.values():
            if job.ended_at is None and job.ending is None:
                for unit in self.units_of(job):
                    self.wait(job, unit)

    def _rearm(self) -> None:
        for job in self.jobs.values():
            if job.ended_at is None:
                self.arm_scheduling(job)
                for task in job.tasks:
                    self.arm_task(job, task)
        for worker in self.workers.values():
            self.arm_silence(worker)
        for slice_ in self.slices.values():
            self.arm_slice(slice_)
        self.arm_books()

    # ---- deadlines -------------------------------------------------------------------------

    def _arm(self, due: Due, key: str) -> None:
        at = due_at(self, due, key)
        if at is not None and (due not in _NEWS_ONCE or at > self.now):
            self.deadlines.add(at, due, key)

    def arm_task(self, job: Job, task: Task) -> None:
        """Wake for whatever the task awaits."""
        if task.not_before is not None:
            self.deadlines.add(task.not_before, Due.RETRY, task.id)
        attempt = self.live_attempt(task)
        if attempt is None:
            return
        if attempt.stop_deadline is not None:
            self.deadlines.add(attempt.stop_deadline, Due.STOP, task.id)
            return
        if attempt.state is not AttemptState.RUNNING:
            launch = after(attempt.assigned_at, self.spec.timeouts.launch_timeout)
            self.deadlines.add(launch, Due.LAUNCH, task.id)
        if job.spec.timeout is not None:
            at = after(attempt.assigned_at, job.spec.timeout)
            self.deadlines.add(at, Due.TIMEOUT, task.id)

    def arm_scheduling(self, job: Job) -> None:
        """Wake for the job's scheduling timeout, if it has one."""
        if job.spec.scheduling_timeout is not None:
            self._arm(Due.SCHEDULING, job.id)

    def arm_silence(self, worker: Worker) -> None:
        """Wake when the worker has been silent for too long, if it is silent."""
        if worker.silent_since is not None:
            self._arm(Due.SILENCE, worker.id)

    def arm_slice(self, slice_: Slice) -> None:
        """Wake for whatever the slice awaits."""
        for due in (Due.SLICE, Due.CORDON, Due.SETTLE, Due.IDLE):
            self._arm(due, slice_.id)

    def arm_books(self) -> None:
        """Wake for the next listing, and for the autoscaler's next chance."""
        self._arm(Due.OBSERVE, "")
        self._arm(Due.SCALE, "")

    # ---- questions -------------------------------------------------------------------------

    def live_attempt(self, task: Task) -> Attempt | None:
        """The task's unfinished attempt, if it has one."""
        if task.attempts and task.attempts[-1].ended_at is None:
            return task.attempts[-1]
        return None

    def units_of(self, job: Job) -> list[Unit]:
        """The units of a job that wait to be placed now."""
        if job.spec.coscheduled:
            waits = all(self._waits(job, t) for t in job.tasks)
            held = self._bound(job, GANG)
            return [Unit(job.number, GANG)] if waits and not held else []
        return [
            Unit(job.number, t.index)
            for t in job.tasks
            if self._waits(job, t) and not self._bound(job, t.index)
        ]

    def _waits(self, job: Job, task: Task) -> bool:
        return (
            task.state is TaskState.PENDING
            and task.retried == len(task.attempts)
            and (task.not_before is None or task.not_before <= self.now)
            and job.ending is None
        )

    def _bound(self, job: Job, member: int) -> bool:
        hold = self.holds.get((job.id, member))
        return hold is not None and hold.kind.value == "eviction"

    def unit_of(self, task: Task) -> Unit:
        """The unit that a task is placed with."""
        job = self.jobs[task.job]
        return Unit(job.number, GANG if job.spec.coscheduled else task.index)

    def members(self, job: Job, member: int) -> list[Task]:
        """The tasks that a unit stands for."""
        return job.tasks if member == GANG else [job.tasks[member]]

    def shape(self, job: Job, member: int) -> Shape:
        """The shape of a unit."""
        shape = self.shapes[job.id]
        avoid: tuple[WorkerId, ...] = ()
        for task in self.members(job, member) if member != GANG or job.spec.coscheduled else ():
            if task.avoid:
                avoid = tuple(sorted({*avoid, *task.avoid}))
        return shape._replace(avoid=avoid) if avoid else shape

    def queue_key(self, job: Job, member: int) -> QueueKey:
        """The queue that a unit waits in."""
        fair = self.spec.scheduler.order is Order.FAIR
        user = job.spec.user if fair else UserName("")
        return QueueKey(int(job.spec.band), user, self.shape(job, member))

    def pool_of(self, slice_: Slice) -> Pool | None:
        """The pool that a slice belongs to; nothing when its group or zone left the configuration."""
        return self.room.pools.get((slice_.group, slice_.zone))

    def existing(self, group: GroupName) -> int:
        """How many slices of a group may exist."""
        tally = self.fleet.get(group, {})
        return sum(tally.values()) - tally.get(SliceState.GONE, 0)

    def open_amount(self, worker: Worker) -> Resources:
        """What a worker has that is neither committed nor held for somebody."""
        amount = minus(worker.offers, worker.committed)
        for key in worker.holds:
            amount = minus(amount, self.holds[key].need)
        return amount

    def may_work(self, slice_: Slice) -> bool:
        """Whether the slice as a whole may get new work."""
        return slice_.state is SliceState.READY and slice_.cordon_until is None

    # ---- what is worth a look ---------------------------------------------------------------

    def may_place(self) -> bool:
        """Whether a unit may be placed that could not be before."""
        return bool(self.waiting.active or self.opened or self.touched)

    def may_scale(self) -> bool:
        """Whether anything changed that the demand for slices depends on."""
        news, waiting = self.news, self.waiting
        demand = waiting.changed and bool(waiting.queues or waiting.had_demand)
        return demand or news.grown or bool(news.due or news.creations)

    def may_observe(self) -> bool:
        """Whether the cloud may have to be asked what it has."""
        news = self.news
        return bool(news.due or news.doubted or news.vanished) or self.now >= self.books.observe_at

    def may_forget(self) -> bool:
        """Whether there may be something old."""
        limit = self.spec.retention.ended_jobs
        return bool(self.news.due) or len(self.ended) > limit + limit // 8

    # ---- the pen: waiting ------------------------------------------------------------------

    def wait(self, job: Job, unit: Unit) -> None:
        """Queue a unit."""
        self.waiting.add(self.queue_key(job, unit.member), unit)

    def unwait(self, job: Job, member: int) -> None:
        """Take a unit out of its queue, if it is in it."""
        key = self.queue_key(job, member)
        queue = self.waiting.queues.get(key)
        unit = Unit(job.number, member)
        if queue is not None and unit in queue:
            self.waiting.remove(key, unit)

    # ---- the pen: workers and slices -------------------------------------------------------

    def refresh_worker(self, worker: Worker) -> None:
        """List a worker's open amount anew."""
        slice_ = self.slices[worker.slice]
        pool = self.pool_of(slice_)
        self.churned[worker.id] = None
        if worker.holds:
            self.touched.update(dict.fromkeys(worker.holds))
        if pool is None:
            return
        amount: Resources | None = None
        if self.may_work(slice_) and worker.state is WorkerState.HEALTHY and not worker.cordoned:
            amount = self.open_amount(worker)
        if self.room.list_worker(worker.number, pool, amount):
            self.opened[worker.number] = None

    def refresh_slice(self, slice_: Slice) -> None:
        """List anew whether gangs may look at a slice, and whether it is idle."""
        pool = self.pool_of(slice_)
        ready = slice_.state is SliceState.READY
        if pool is not None:
            whole = self.may_work(slice_) and (
                slice_.chips_used == 0 or pool.group.accelerator is None
            )
            self._list_number(pool.slices, slice_.number, whole)
        accelerated = pool is not None and pool.group.accelerator is not None
        used = slice_.chips_used if accelerated else slice_.live
        self._set_idle(slice_, ready and not used)

    def _list_number(self, numbers: list[int], number: int, listed: bool) -> None:
        index = bisect_left(numbers, number)
        present = index < len(numbers) and numbers[index] == number
        if listed and not present:
            numbers.insert(index, number)
        elif present and not listed:
            del numbers[index]

    def _set_idle(self, slice_: Slice, idle: bool) -> None:
        if idle == (slice_.idle_since is not None):
            return
        group = self.groups.get(slice_.group)
        if group is not None and group.buffer_slices:
            self.news.grown = True
        if slice_.idle_since is None:
            slice_.idle_since = self.now
            insort(self.idle.setdefault(slice_.group, []), (self.now, slice_.number))
            self._arm(Due.IDLE, slice_.id)
            if not self.spec.autoscaler.idle_timeout:
                self.news.grown = True
        else:
            self.idle[slice_.group].remove((slice_.idle_since, slice_.number))
            slice_.idle_since = None

    def _count_slice(self, slice_: Slice, state: SliceState, by: int) -> None:
        tally = self.fleet.setdefault(slice_.group, {})
        tally[state] = tally.get(state, 0) + by
        if state in COMING:
            key = (slice_.group, slice_.zone)
            self.coming[key] = self.coming.get(key, 0) + by

    def add_slice(self, slice_: Slice) -> None:
        """Put a new slice on the books."""
        self.slices[slice_.id] = slice_
        self.slice_by_number[slice_.number] = slice_
        self._count_slice(slice_, slice_.state, 1)
        self.arm_slice(slice_)
        self.news.grown = True

    def drop_slice(self, slice_: Slice) -> None:
        """Forget a slice and its workers."""
        self._count_slice(slice_, slice_.state, -1)
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
        self._count_slice(slice_, slice_.state, -1)
        slice_.state = to
        slice_.why = why
        self._count_slice(slice_, to, 1)
        self.news.grown = True
        self.refresh_slice(slice_)
        for worker in slice_.workers:
            if worker is not None:
                self.refresh_worker(self.workers[worker])

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
        self.shapes[job.id] = shape_of(job.spec)
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
        job.state = to
        if to in ENDED_JOB:
            job.ended_at = self.now
            self.ended[job.id] = None
            self.news.finished[job.id] = None
            del self.shapes[job.id]

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
        self.arm_task(job, task)
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
        self.news.ended[task.id] = None
        self.settle_task(task)

    def _book(self, job: Job, worker: Worker, task: TaskId, by: int) -> None:
        """Enter an attempt in (1) or out of (-1) the sums that are kept of attempts."""
        slice_ = self.slices[worker.slice]
        need = job.spec.resources
        slice_.live += by
        slice_.chips_used += by * need.chips
        self._count_band(worker, task, by)
        self._use(job.spec, by * weight_of(need))
        self.refresh_worker(worker)
        self.refresh_slice(slice_)
        if slice_.state is SliceState.DRAINING and not slice_.live:
            self.news.emptied[slice_.id] = None

    def _count_band(self, worker: Worker, task: TaskId, by: int) -> None:
        slice_ = self.slices[worker.slice]
        key = (slice_.group, slice_.zone)
        counts = self.bands_on.setdefault(key, [0, 0, 0])
        counts[self.jobs[self.tasks[task].job].spec.band] += by

    def _use(self, spec: JobSpec, weight: int) -> None:
        key = (int(spec.band), spec.user)
        usage = self.usage.get(key)
        if usage is None:
            usage = self.usage[key] = Usage(spec.user, int(spec.band), since=self.now)
        usage.accrued = accrued(usage, self.now, self.spec.scheduler.fair_half_life)
        usage.since = self.now
        usage.rate += weight

    # ---- the pen: holds --------------------------------------------------------------------

    def add_hold(self, hold: Hold) -> None:
        """Keep capacity for a unit."""
        key = (hold.job, hold.index)
        self.holds[key] = hold
        for name in hold.workers:
            worker = self.workers[name]
            worker.holds = (*worker.holds, key)
            self.refresh_worker(worker)

    def drop_hold(self, key: HoldKey) -> None:
        """Keep capacity for a unit no longer."""
        hold = self.holds.pop(key)
        self.touched.pop(key, None)
        for name in hold.workers:
            worker = self.workers[name]
            worker.holds = tuple(k for k in worker.holds if k != key)
            self.refresh_worker(worker)

    # ---- copies ----------------------------------------------------------------------------

    def digest(self) -> str:
        """A hash of everything in the tables; equal states have equal digests."""
        text = sha256()
        for row in self._rows():
            text.update(repr(row).encode())
        return text.hexdigest()

    def _rows(self) -> list[object]:
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
            *(self.usage[k] for k in sorted(self.usage)),
            sorted(self.requests.items()),
        ]


_DIGESTED_BOOKS = tuple(f for f in Books.__slots__ if f not in ("evaluations", "scale_at"))
