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
from iris.core.lifecycle import AttemptState, SliceState, WorkerState
from iris.core.news import News
from iris.core.queueing import QueuedUnits
from iris.core.records import (
    Books,
    Endpoint,
    Gate,
    Hold,
    HoldKey,
    Job,
    Life,
    Slice,
    Task,
    Usage,
    Worker,
)
from iris.core.resources import Resources, minus
from iris.core.room import Pool, Room
from iris.core.spec import ClusterSpec, GroupSpec
from iris.core.tallies import Tallies
from iris.core.waiting import QueueKey

_NEWS_ONCE = (Due.SETTLE, Due.IDLE)
"""What is news once when it falls due, and not again after every rebuild."""


class IndexedTables(Tallies, QueuedUnits):
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
        self.touched: dict[HoldKey, None] = {}
        self.reindex_stakes()
        self.unended = {}
        for job in self.jobs.values():
            if job.ended_at is None:
                self.count_tasks(job, 1)
        self.deadlines = Deadlines(lambda at, due, key: due_at(self, due, key) == at)
        self.idle: dict[GroupName, list[tuple[Instant, int]]] = {}
        self.reindex_states()
        self.room = Room()
        self.opened: dict[int, None] = {}
        self.churned: dict[WorkerId, None] = {}
        """Workers whose room or work changed since evictions were last planned."""
        self.hopeless: dict[QueueKey, tuple[int, ...]] = {}
        """Queues for whose head no set of victims was found on any worker that has not churned since,
        and the pools that were searched."""
        self.reindex_pools()
        self.reindex_waiting()
        self._rearm()

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
