"""The tables of the cluster's state and every index over them, and how the indexes follow the tables.

An index answers a question without a scan (who waits, where there is room, what falls due, what is
idle) and holds no truth of its own: `rebuild` makes all of them from the tables, after a copy or a
recovery, and they must come out as they were. `iris.core.state` is the pen on top of this.
"""

from bisect import bisect_left, insort

from iris.core.deadlines import Deadlines, Due
from iris.core.due import due_at
from iris.core.fit import Shape, shape_of
from iris.core.ids import GroupName, JobId, RequestId, SliceId, TaskId, UserName, WorkerId, Zone
from iris.core.instant import Instant, after
from iris.core.lifecycle import COMING, AttemptState, SliceState, TaskState, WorkerState
from iris.core.news import News
from iris.core.records import (
    Attempt,
    Books,
    Endpoint,
    Gate,
    Hold,
    Job,
    Life,
    Slice,
    Task,
    Usage,
    Worker,
)
from iris.core.resources import Resources, minus
from iris.core.room import Pool, Room
from iris.core.spec import ClusterSpec, GroupSpec, Order
from iris.core.waiting import GANG, QueueKey, Unit, Waiting

_NEWS_ONCE = (Due.SETTLE, Due.IDLE)
"""What is news once when it falls due, and not again after every rebuild."""

HoldKey = tuple[JobId, int]
PoolKey = tuple[GroupName, Zone]


class IndexedTables:
    """The tables, and the indexes that are kept true to them."""

    def __init__(self) -> None:
        self.now = Instant(0)
        self.spec = ClusterSpec()
        self.jobs: dict[JobId, Job] = {}
        self.slices: dict[SliceId, Slice] = {}
        self.workers: dict[WorkerId, Worker] = {}
        self.holds: dict[HoldKey, Hold] = {}
        self.gates: dict[tuple[Zone, str], Gate] = {}
        self.lives: dict[GroupName, tuple[Life, ...]] = {}
        """Of each group, the slices that were over last."""
        self.usage: dict[tuple[int, UserName], Usage] = {}
        self.requests: dict[RequestId, JobId] = {}
        self.endpoints: dict[TaskId, tuple[Endpoint, ...]] = {}
        """Of the unfinished attempts of these tasks, where they serve."""
        self.endpoint_changes = 0
        """How often that table changed here: for those who wait for news of it; no part of the state."""
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
        self.unended: dict[UserName, int] = {}
        """Tasks of jobs that have not ended, by user."""
        for job in self.jobs.values():
            if job.ended_at is None:
                self.count_tasks(job, 1)
        self.deadlines = Deadlines(lambda at, due, key: due_at(self, due, key) == at)
        self.fleet: dict[GroupName, dict[SliceState, int]] = {}
        self.coming: dict[PoolKey, int] = {}
        self.present: dict[PoolKey, int] = {}
        """Slices that may exist, by pool."""
        self.idle: dict[GroupName, list[tuple[Instant, int]]] = {}
        self.bands_on: dict[PoolKey, list[int]] = {}
        self.leaving: dict[WorkerId, int] = {}
        """How many attempts are stopping on a worker, where any is."""
        ended = sorted(
            (j.ended_at, j.number, j.id) for j in self.jobs.values() if j.ended_at is not None
        )
        self.ended: dict[JobId, None] = {job: None for _, _, job in ended}
        self.room = Room()
        self.opened: dict[int, None] = {}
        self.touched: dict[HoldKey, None] = {}
        self.churned: dict[WorkerId, None] = {}
        """Workers whose room or work changed since evictions were last planned."""
        self.hopeless: dict[QueueKey, tuple[int, ...]] = {}
        """Queues for whose head no set of victims was found on any worker that has not churned since,
        and the pools that were searched."""
        self.reindex_pools()
        self.reindex_waiting()
        self._rearm()

    def count_tasks(self, job: Job, sign: int) -> None:
        """Let a job's tasks count among those of its user that have not ended, or no more."""
        count = self.unended.get(job.spec.user, 0) + sign * len(job.tasks)
        if count:
            self.unended[job.spec.user] = count
        else:
            del self.unended[job.spec.user]

    def reindex_pools(self) -> None:
        """List all slices and workers anew, after the configuration or the tables changed."""
        self.room.configure(self.spec.groups)
        self.opened = {}
        self.fleet, self.coming, self.present, self.idle, self.bands_on = {}, {}, {}, {}, {}
        self.leaving = {}
        for slice_ in self.slices.values():
            self.count_slice(slice_, slice_.state, 1)
            if slice_.idle_since is not None:
                insort(self.idle.setdefault(slice_.group, []), (slice_.idle_since, slice_.number))
            for worker in slice_.workers:
                if worker is not None:
                    self.refresh_worker(self.workers[worker])
            self.refresh_slice(slice_)
        for busy in self.workers.values():
            for task in busy.attempts:
                self.count_band(busy, task, 1)
                if self.tasks[task].attempts[-1].state is AttemptState.STOPPING:
                    self.count_leaving(busy.id, 1)

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
                    self.arm_task(task)
        for worker in self.workers.values():
            self.arm_silence(worker)
        for slice_ in self.slices.values():
            self.arm_slice(slice_)
        self.arm_books()

    # ---- deadlines -------------------------------------------------------------------------

    def arm(self, due: Due, key: str) -> None:
        """Wake for a thing when the state says so."""
        at = due_at(self, due, key)
        if at is not None and (due not in _NEWS_ONCE or at > self.now):
            self.deadlines.add(at, due, key)

    def arm_task(self, task: Task) -> None:
        """Wake for whatever the task awaits."""
        if task.not_before is not None and task.not_before > self.now:
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
        self.arm(Due.TIMEOUT, task.id)

    def arm_scheduling(self, job: Job) -> None:
        """Wake for the job's scheduling timeout, if it has one."""
        if job.spec.scheduling_timeout is not None:
            self.arm(Due.SCHEDULING, job.id)

    def arm_timeouts(self, worker: Worker) -> None:
        """Wake when what the worker runs has run for too long."""
        for task in worker.attempts:
            self.arm(Due.TIMEOUT, task)

    def arm_silence(self, worker: Worker) -> None:
        """Wake when the worker has been silent for too long, if it is silent."""
        if worker.silent_since is not None:
            self.arm(Due.SILENCE, worker.id)

    def arm_slice(self, slice_: Slice) -> None:
        """Wake for whatever the slice awaits."""
        for due in (Due.SLICE, Due.CORDON, Due.SETTLE, Due.IDLE):
            self.arm(due, slice_.id)

    def arm_books(self) -> None:
        """Wake for the next listing, and for the autoscaler's next chance."""
        self.arm(Due.OBSERVE, "")
        self.arm(Due.SCALE, "")

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
        """The pool that a slice belongs to; nothing when the configuration has no such slices now."""
        pool = self.room.pools.get((slice_.group, slice_.zone))
        if pool is None or pool.group.accelerator_type != slice_.accelerator_type:
            return None
        return pool

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

    def may_evict(self) -> bool:
        """Whether there may be room by eviction that was not looked for yet."""
        return bool(self.churned or self.waiting.unsearched)

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
        self.news.stirred.append(worker.id)
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
            self._list_number(pool.slices, slice_.number, listed=whole)
        accelerated = pool is not None and pool.group.accelerator is not None
        used = slice_.chips_used if accelerated else slice_.live
        self._set_idle(slice_, idle=ready and not used)

    def _list_number(self, numbers: list[int], number: int, *, listed: bool) -> None:
        index = bisect_left(numbers, number)
        present = index < len(numbers) and numbers[index] == number
        if listed and not present:
            numbers.insert(index, number)
        elif present and not listed:
            del numbers[index]

    def _set_idle(self, slice_: Slice, *, idle: bool) -> None:
        if idle == (slice_.idle_since is not None):
            return
        group = self.groups.get(slice_.group)
        if group is not None and group.buffer_slices:
            self.news.grown = True
        if slice_.idle_since is None:
            slice_.idle_since = self.now
            insort(self.idle.setdefault(slice_.group, []), (self.now, slice_.number))
            self.arm(Due.IDLE, slice_.id)
            if not self.spec.autoscaler.idle_timeout:
                self.news.grown = True
        else:
            self.idle[slice_.group].remove((slice_.idle_since, slice_.number))
            slice_.idle_since = None

    def count_slice(self, slice_: Slice, state: SliceState, by: int) -> None:
        """Count a slice in (1) or out of (-1) the tallies of its group and pool."""
        tally = self.fleet.setdefault(slice_.group, {})
        tally[state] = tally.get(state, 0) + by
        key = (slice_.group, slice_.zone)
        if state is not SliceState.GONE:
            self.present[key] = self.present.get(key, 0) + by
        if state in COMING:
            self.coming[key] = self.coming.get(key, 0) + by

    def count_band(self, worker: Worker, task: TaskId, by: int) -> None:
        """Count an attempt in (1) or out of (-1) the bands that work in its pool."""
        slice_ = self.slices[worker.slice]
        key = (slice_.group, slice_.zone)
        counts = self.bands_on.setdefault(key, [0, 0, 0])
        counts[self.jobs[self.tasks[task].job].spec.band] += by

    def count_leaving(self, worker: WorkerId, by: int) -> None:
        """Count an attempt in (1) or out of (-1) those that are stopping on a worker."""
        count = self.leaving.get(worker, 0) + by
        if count:
            self.leaving[worker] = count
        else:
            del self.leaving[worker]
