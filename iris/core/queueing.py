"""Which units wait and in which queues, and what the users' quotas let start of them.

The part of the tables' indexes (`iris.core.indexes`) that is about work which waits: what a unit is
called, which queue it belongs to, and when a queue is set aside.
"""

from iris.core.decisions import HoldKind
from iris.core.fit import Shape
from iris.core.ids import JobId, TaskId, UserName, WorkerId
from iris.core.instant import Instant
from iris.core.lifecycle import TaskState
from iris.core.records import Attempt, Hold, HoldKey, Job, Task, Worker
from iris.core.spec import ClusterSpec, Order
from iris.core.stakes import Stakes, depth_of
from iris.core.waiting import GANG, QueueKey, Unit, Waiting


class QueuedUnits:
    """What the tables say of work that waits."""

    now: Instant
    spec: ClusterSpec
    jobs: dict[JobId, Job]
    tasks: dict[TaskId, Task]
    workers: dict[WorkerId, Worker]
    holds: dict[HoldKey, Hold]
    shapes: dict[JobId, Shape]
    unended: dict[UserName, int]
    touched: dict[HoldKey, None]
    waiting: Waiting
    stakes: Stakes

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
        return hold is not None and hold.kind is HoldKind.EVICTION

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
        user, shape = job.spec.user, self.shape(job, member)
        if self.stakes.quota_of(user) is not None:
            return QueueKey(int(job.spec.band), user, shape, depth_of(job.id))
        fair = self.spec.scheduler.order is Order.FAIR
        return QueueKey(int(job.spec.band), user if fair else UserName(""), shape)

    # ---- the pen: waiting ------------------------------------------------------------------

    def wait(self, job: Job, unit: Unit) -> None:
        """Queue a unit."""
        self.waiting.add(self.queue_key(job, unit.member), unit)

    def unwait(self, job: Job, member: int) -> None:
        """Take a unit out of its queue, if it is in it."""
        key = self.queue_key(job, member)
        queue = self.waiting.queues.get(key) or self.waiting.held.get(key)
        unit = Unit(job.number, member)
        if queue is not None and unit in queue:
            self.waiting.remove(key, unit)

    def count_tasks(self, job: Job, sign: int) -> None:
        """Let a job's tasks count among those of its user that have not ended, or no more."""
        count = self.unended.get(job.spec.user, 0) + sign * len(job.tasks)
        if count:
            self.unended[job.spec.user] = count
        else:
            del self.unended[job.spec.user]
        if job.spec.parent is not None and self.stakes.quota_of(job.spec.user) is not None:
            self.stakes.count_child(job.spec.user, sign)
            self.waiting.review(job.spec.user)

    def book_stake(self, job: Job, tasks: int) -> None:
        """Enter so many tasks of a job in (or, below zero, out of) what its user holds of a quota."""
        user = job.spec.user
        if self.stakes.quota_of(user) is None:
            return
        self.stakes.book(job.id, user, job.spec.resources, tasks)
        self.waiting.review(user)
        # What is kept for one who may not start now is looked at again.
        self.touched.update({k: None for k in self.holds if self.jobs[k[0]].spec.user == user})

    def reindex_waiting(self) -> None:
        """Queue every unit that waits, in queues of the present policy."""
        for job in self.jobs.values():
            if job.ended_at is None and job.ending is None:
                for unit in self.units_of(job):
                    self.wait(job, unit)

    def reindex_stakes(self) -> None:
        """Begin anew with nobody waiting, and what every user with a quota holds by the tables."""
        self.stakes = Stakes(self.spec.scheduler.quotas)
        self.waiting = Waiting(self.stakes.allows)
        for worker in self.workers.values() if self.spec.scheduler.quotas else ():
            for name in worker.attempts:
                self.book_stake(self.jobs[self.tasks[name].job], 1)
        for (holder, member), hold in self.holds.items():
            if hold.kind is HoldKind.EVICTION:
                job = self.jobs[holder]
                self.book_stake(job, len(self.members(job, member)))
