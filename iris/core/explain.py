"""Why a job waits, and why a group gets no more slices: asked of the functions that decide it.

Nothing here has an opinion of its own. Whether something fits, `iris.core.fit` and `placing` say
(`iris.core.blockers` asks them); who is served first, `iris.core.order`; whether a slice may be
asked for, the gates and limits. So an explanation cannot contradict a placement.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from iris.core import gates
from iris.core.autoscaler import standing
from iris.core.blockers import blocker_of, limits_of, workers_of
from iris.core.deadlines import Due
from iris.core.due import due_at
from iris.core.fit import Shape, refusal, shape_of
from iris.core.ids import GroupName, JobId
from iris.core.instant import Instant
from iris.core.lifecycle import COMING, AttemptState, SliceState, TaskState, WorkerState
from iris.core.order import served_at
from iris.core.over_quota import freed, over_quota
from iris.core.placing import best_host, first_in_line, place_gang
from iris.core.reasons import (
    Kept,
    Limit,
    NextEvent,
    OverQuota,
    PoolReason,
    Reason,
    Scaling,
    UnderWay,
    Verdict,
)
from iris.core.records import Attempt, Hold, Job, Worker
from iris.core.room import Pool
from iris.core.spec import Backfill
from iris.core.state import ClusterState
from iris.core.waiting import GANG, QueueKey, Unit


def why_waiting(state: ClusterState, job: JobId, now: Instant) -> Reason:
    """Why a job that is on record waits, seen at `now`, between two turns."""
    asked = _Question(state, state.jobs[job])
    pools = tuple(asked.pools()) if asked.unit is not None else ()
    under_way = tuple(asked.under_way())
    verdict, event = asked.answer(pools, under_way)
    return Reason(
        job=job,
        state=asked.job.state,
        at=now,
        verdict=verdict,
        waiting=len(asked.waiting),
        paused=len(asked.pauses),
        need=asked.job.spec.resources,
        hosts=asked.shape.hosts,
        position=asked.position(),
        quota=asked.over,
        pools=pools,
        kept=asked.kept(),
        under_way=under_way,
        next=event,
        gives_up_at=due_at(state, Due.SCHEDULING, job),
    )


def why_not_scaling(state: ClusterState, group: GroupName) -> Scaling:
    """What a configured group is wanted for, what it has, and what stops it from getting more."""
    spec = state.groups[group]
    pools = [state.room.pools[group, zone] for zone in spec.zones]
    demand = sum(
        len(queue)
        for key, queue in state.waiting.queues.items()
        if any(_is_bought(key.shape, pool) for pool in pools)
    )
    return Scaling(
        group=group,
        at=state.now,
        demand=demand,
        standing=standing(state, spec),
        existing=state.existing(group),
        min_slices=spec.min_slices,
        max_slices=spec.max_slices,
        coming=sum(state.fleet.get(group, {}).get(s, 0) for s in COMING),
        tokens=gates.tokens_at(state, state.now) // gates.TOKEN,
        limits=tuple((pool.zone, tuple(limits_of(state, pool))) for pool in pools),
    )


def _is_bought(shape: Shape, pool: Pool) -> bool:
    """Whether slices of a pool are asked for when a shape waits: no accelerator for CPU work."""
    guest = shape.accelerator is None and pool.group.accelerator is not None
    return refusal(shape, pool.group, pool.zone) is None and not guest


def _ahead(state: ClusterState, key: QueueKey, unit: Unit) -> int:
    """How many waiting units are served before one."""
    mine, count = served_at(state, key, unit), 0
    for other, queue in state.waiting.queues.items():
        place = served_at(state, other, queue.head())
        if place[:2] < mine[:2]:
            count += len(queue)
        elif place[:2] == mine[:2]:
            places = (served_at(state, other, waiting) for waiting in queue.units())
            count += sum(1 for place in places if place < mine)
    return count


@dataclass(slots=True)
class _Question:
    """One job, and the first of its units that waits, in the state of now."""

    state: ClusterState
    job: Job
    waiting: Sequence[Unit] = ()
    pauses: Sequence[Instant] = ()
    unit: Unit | None = None  # None: nothing of the job waits
    key: QueueKey | None = None  # None: it stands in no queue
    hold: Hold | None = None  # None: nothing is kept for it
    over: OverQuota | None = None  # None: it is within its user's quota

    def __post_init__(self) -> None:
        state, job = self.state, self.job
        self.waiting = state.units_of(job) if job.ended_at is None else ()
        self.pauses = _pauses(state, job)
        bound = [h.index for h in state.holds.values() if h.job == job.id]
        members = [*(u.member for u in self.waiting), *bound]
        if not members and self.pauses:
            members = [GANG if job.spec.coscheduled else _first_paused(state, job)]
        if members:
            self.unit = Unit(job.number, members[0])
            self.hold = state.holds.get((job.id, members[0]))
        if self.waiting:
            self.key = state.queue_key(job, self.waiting[0].member)
            self.over = over_quota(state, self.key)

    def position(self) -> int | None:
        """How many units are served before its first one; nothing when it stands in no line."""
        if self.key is None or self.over is not None:
            return None
        return _ahead(self.state, self.key, self.waiting[0])

    @property
    def shape(self) -> Shape:
        """The shape of the unit that is asked about, or of any when none waits."""
        if self.unit is None:
            return shape_of(self.job.spec)
        return self.state.shape(self.job, self.unit.member)

    # ---- the pools -------------------------------------------------------------------------

    def pools(self) -> Iterator[PoolReason]:
        """What each pool says, in the order of the configuration."""
        shape = self.shape
        for pool in self.state.room.pools.values():
            workers = sum(1 for _ in workers_of(self.state, pool))
            bought = _is_bought(shape, pool) and self.over is None
            yield PoolReason(
                group=pool.group.name,
                zone=pool.zone,
                looked_at=workers,
                blocker=blocker_of(self.state, shape, pool),
                can_serve=refusal(shape, pool.group, pool.zone) is None,
                is_bought=bought,
                limits=tuple(limits_of(self.state, pool)) if bought else (),
            )

    # ---- what is done about it -------------------------------------------------------------

    def kept(self) -> Kept | None:
        """What is kept for it, and who is still there."""
        if self.hold is None:
            return None
        attempts = list(_attempts_on(self.state, self.hold))
        leaving = sum(1 for a in attempts if a.state is AttemptState.STOPPING)
        hold = self.hold
        staying = len(attempts) - leaving
        return Kept(hold.kind, hold.workers, hold.expected, leaving, staying)

    def under_way(self) -> Iterator[UnderWay]:
        """The slices that are coming and could serve it."""
        if self.unit is None:
            return
        able = {(p.group.name, p.zone) for p in self.state.room.candidates(self.shape)}
        for slice_ in self.state.slices.values():
            if slice_.state in COMING and (slice_.group, slice_.zone) in able:
                assert slice_.deadline is not None, slice_  # Whatever is coming has one.
                yield UnderWay(slice_.id, slice_.state, slice_.deadline)

    # ---- the answer ------------------------------------------------------------------------

    def answer(
        self, pools: Sequence[PoolReason], under_way: Sequence[UnderWay]
    ) -> tuple[Verdict, NextEvent]:
        """What it waits for, and what must happen next."""
        if self.unit is None:
            return Verdict.NOT_WAITING, NextEvent(f"nothing: it is {self.job.state.value}", None)
        if self.key is None and self.hold is not None:
            return Verdict.MAKING_ROOM, self._stop_ends(self.hold)
        if self.key is None:
            return Verdict.PAUSED, NextEvent("its pause is over", min(self.pauses))
        if not any(pool.can_serve for pool in pools):
            return Verdict.NEVER_FITS, NextEvent("another configuration is loaded", None)
        if self.over is not None:
            return Verdict.BUDGET, freed(self.state, self.key, self.over)
        if any(pool.blocker is None for pool in pools):
            return self._fits(self.key)
        first = self._first_in_line()
        if first is not None:
            return Verdict.BEHIND, NextEvent(f"{first}, which is first in line, is placed", None)
        if under_way:
            return Verdict.COMING, _comes(under_way)
        return self._no_room(pools)

    def _fits(self, key: QueueKey) -> tuple[Verdict, NextEvent]:
        shape = self.shape
        gang = place_gang(self.state, self.job, shape) if shape.hosts else None
        found = gang if shape.hosts else best_host(self.state, shape)
        assert found is not None, self.job
        if _ahead(self.state, key, self.waiting[0]) == 0:
            return Verdict.FITS_NOW, NextEvent("the next step places it", self.state.now)
        first = self._first_in_line() or "whoever is served before it"
        return Verdict.BEHIND, NextEvent(f"{first} is placed, or found not to fit", None)

    def _first_in_line(self) -> JobId | None:
        """The job that everybody waits for, where the order is strict and it is another one."""
        queues = self.state.waiting.queues
        if self.state.spec.scheduler.backfill is not Backfill.NONE:
            return None
        head = first_in_line(self.state)
        assert head is not None, self.job
        first = self.state.job_by_number[queues[head].head().job].id
        return first if first != self.job.id else None

    def _stop_ends(self, hold: Hold) -> NextEvent:
        stops = [
            a.stop_deadline for a in _attempts_on(self.state, hold) if a.stop_deadline is not None
        ]
        what = "the last of those who were asked to stop is gone, or its slice is given up"
        return NextEvent(what, max(stops, default=None))

    def _no_room(self, pools: Sequence[PoolReason]) -> tuple[Verdict, NextEvent]:
        gated = [p for p in pools if p.is_bought and all(_passes(limit) for limit in p.limits)]
        if gated:
            times = [
                max((x.until for x in p.limits if x.until is not None), default=None) for p in gated
            ]
            known = [at for at in times if at is not None]
            return Verdict.GATED, NextEvent("a slice may be asked for", min(known, default=None))
        candidates = list(self.state.room.candidates(self.shape))
        workers = [worker for pool in candidates for worker in workers_of(self.state, pool)]
        if self.hold is not None or any(worker.attempts for worker in workers):
            return Verdict.FULL, self._somebody_ends()
        if workers:
            return Verdict.BARRED, self._is_let_in(pools, workers)
        if any(self.state.existing(pool.group.name) for pool in candidates):
            return Verdict.FULL, NextEvent("a slice that is leaving is gone", None)
        what = "another configuration is loaded, or a slice comes for other work"
        return Verdict.UNSUPPLIED, NextEvent(what, None)

    def _is_let_in(self, pools: Sequence[PoolReason], workers: Sequence[Worker]) -> NextEvent:
        """What opens one of the hosts that are there, and on which nothing runs."""
        for worker in workers:
            if worker.state is WorkerState.SILENT:
                given_up = due_at(self.state, Due.SILENCE, worker.id)
                return NextEvent(f"{worker.id} speaks again, or is given up", given_up)
        for worker in workers:
            if worker.cordoned and self.state.slices[worker.slice].state is SliceState.READY:
                command = f"iris worker drain --resume {worker.id}"
                return NextEvent(f"an operator lets work onto {worker.id} again: {command}", None)
        checks = [pool.blocker.check for pool in pools if pool.can_serve and pool.blocker]
        if "avoid" in checks:
            return NextEvent("a host comes on which no launch of it failed", None)
        return NextEvent("a slice that is leaving is gone, or another host comes", None)

    def _somebody_ends(self) -> NextEvent:
        """The first end of running work that is certain, where this could run."""
        if self.hold is not None:
            return NextEvent("what is kept for it is free", self.hold.expected)
        ends: list[Instant] = []
        for pool in self.state.room.candidates(self.shape):
            for worker in workers_of(self.state, pool):
                for task in worker.attempts:
                    dues = (due_at(self.state, due, task) for due in (Due.STOP, Due.TIMEOUT))
                    ends += [at for at in dues if at is not None]
        return NextEvent("somebody who runs there ends", min(ends, default=None))


def _passes(limit: Limit) -> bool:
    """Whether time alone, or a slice that comes, lifts a limit."""
    return limit.until is not None or limit.check == "window"


def _comes(under_way: Sequence[UnderWay]) -> NextEvent:
    at, name = min((slice_.deadline, slice_.slice) for slice_ in under_way)
    return NextEvent(f"slice {name} is ready, or is asked for again, or given up", at)


def _pauses(state: ClusterState, job: Job) -> list[Instant]:
    if job.ending is not None:
        return []
    return [
        task.not_before
        for task in job.tasks
        if task.state is TaskState.PENDING
        and task.not_before is not None
        and task.not_before > state.now
    ]


def _first_paused(state: ClusterState, job: Job) -> int:
    return next(
        task.index
        for task in job.tasks
        if task.not_before is not None and task.not_before > state.now
    )


def _attempts_on(state: ClusterState, hold: Hold) -> Iterator[Attempt]:
    for name in hold.workers:
        for task in state.workers[name].attempts:
            yield state.tasks[task].attempts[-1]
