"""What a job waits for, and what must happen next: the verdict, asked of the functions that decide.

Nothing here has an opinion of its own. Whether something fits, `iris.core.fit` and `placing` say
(`iris.core.blockers` asks them); who is served first, `iris.core.order`; whether a slice may be
asked for, the gates and limits. So an explanation cannot contradict a placement.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from iris.core.deadlines import Due
from iris.core.due import due_at
from iris.core.fit import Shape, shape_of
from iris.core.ids import JobId
from iris.core.instant import Instant
from iris.core.lifecycle import COMING, AttemptState, SliceState, TaskState, WorkerState
from iris.core.placing import best_host, first_in_line, place_gang
from iris.core.queued import is_first
from iris.core.reasons import Kept, Limit, NextEvent, PoolReason, UnderWay, Verdict
from iris.core.records import Attempt, Hold, Job, Worker
from iris.core.room import Pool
from iris.core.spec import Backfill
from iris.core.state import ClusterState
from iris.core.survey import AtNoCost, Survey
from iris.core.waiting import GANG, QueueKey, Unit


@dataclass(slots=True)
class Question:
    """One job, and the first of its units that waits, in the state of now."""

    whole: Survey
    job: Job
    unit: Unit | None = None  # None: nothing of the job waits
    waiting: Sequence[Unit] = ()
    pauses: Sequence[Instant] = ()
    key: QueueKey | None = None  # None: it stands in no queue
    hold: Hold | None = None  # None: nothing is kept for it
    state: ClusterState = field(init=False)

    def __post_init__(self) -> None:
        self.state = self.whole.state
        if self.unit is None:
            self._find_unit()
        else:
            self.waiting = (self.unit,)
        if self.unit is not None:
            self.hold = self.state.holds.get((self.job.id, self.unit.member))
        if self.waiting:
            self.key = self.state.queue_key(self.job, self.waiting[0].member)

    def _find_unit(self) -> None:
        state, job = self.state, self.job
        self.waiting = state.units_of(job) if job.ended_at is None else ()
        self.pauses = pauses_of(state, job)
        bound = [h.index for h in state.holds.values() if h.job == job.id]
        members = [*(u.member for u in self.waiting), *bound]
        if not members and self.pauses:
            members = [GANG if job.spec.coscheduled else _first_paused(state, job)]
        if members:
            self.unit = Unit(job.number, members[0])

    @property
    def shape(self) -> Shape:
        """The shape of the unit that is asked about, or of any when none waits."""
        if self.unit is None:
            return shape_of(self.job.spec)
        return self.state.shape(self.job, self.unit.member)

    def pools(self) -> tuple[PoolReason, ...]:
        """What each pool says to it."""
        return self.whole.pools(self.shape)

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

    def under_way(self) -> tuple[UnderWay, ...]:
        """The slices that are coming and could serve it."""
        return self.whole.under_way(self.shape) if self.unit is not None else ()

    # ---- the answer ------------------------------------------------------------------------

    def answer(self) -> tuple[Verdict, NextEvent]:
        """What it waits for, and what must happen next."""
        if self.unit is None:
            return Verdict.NOT_WAITING, NextEvent(f"nothing: it is {self.job.state.value}", None)
        if self.key is None and self.hold is not None:
            return Verdict.MAKING_ROOM, self._stop_ends(self.hold)
        if self.key is None:
            return Verdict.PAUSED, NextEvent("its pause is over", min(self.pauses))
        candidates = list(self.state.room.candidates(self.shape))
        if not candidates:
            return self._never(), NextEvent("another configuration is loaded", None)
        if self._has_room():
            return self._fits(self.key)
        first = self.first_in_line()
        if first is not None:
            what = f"{first}, which is first in line, is placed"
            return Verdict.BEHIND_OTHERS, NextEvent(what, None)
        if self.under_way():
            return Verdict.WAITING_FOR_SLICES, _comes(self.under_way())
        if self.hold is not None:
            return self._no_room(candidates)
        known = self.whole.in_vain.get(self.shape)
        if known is None:
            known = self.whole.in_vain[self.shape] = self._no_room(candidates)
        return known

    def _never(self) -> Verdict:
        big = any(
            pool.blocker is not None and pool.blocker.check == "host" for pool in self.pools()
        )
        return Verdict.TOO_BIG if big else Verdict.NO_MATCHING_GROUP

    def _has_room(self) -> bool:
        """Whether the scheduler would find a place for it, were it its turn."""
        with AtNoCost(self.state):
            if self.shape.hosts:
                return place_gang(self.state, self.job, self.shape) is not None
            return best_host(self.state, self.shape) is not None

    def _fits(self, key: QueueKey) -> tuple[Verdict, NextEvent]:
        if is_first(self.state, key, self.waiting[0]):
            return Verdict.FITS_NOW, NextEvent("the next step places it", self.state.now)
        first = self.first_in_line() or "whoever is served before it"
        return Verdict.BEHIND_OTHERS, NextEvent(f"{first} is placed, or found not to fit", None)

    def first_in_line(self) -> JobId | None:
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

    def _no_room(self, candidates: Sequence[Pool]) -> tuple[Verdict, NextEvent]:
        pools = self.pools()
        bought = [pool for pool in pools if pool.is_bought]
        gated = [p for p in bought if all(_passes(limit) for limit in p.limits)]
        if gated:
            return _once_asked(gated)
        workers = list(self.whole.workers(self.shape))
        if self.hold is not None or any(worker.attempts for worker in workers):
            return self._in_use(pools, bought), self._somebody_ends(workers)
        if workers:
            return Verdict.BARRED, self._is_let_in(pools, workers)
        if any(self._is_leaving(pool) for pool in candidates):
            return self._in_use(pools, bought), NextEvent("a slice that is leaving is gone", None)
        if any(limit.check == "reservation" for pool in bought for limit in pool.limits):
            return Verdict.QUOTA, NextEvent("the reservation is enlarged, or not all in use", None)
        what = "another configuration is loaded, or a slice comes for other work"
        return Verdict.UNSUPPLIED, NextEvent(what, None)

    def _is_leaving(self, pool: Pool) -> bool:
        """Whether a pool, in which nobody works, has a slice still."""
        slices = self.whole.slices[pool.group.name, pool.zone]
        return any(slice_.state not in COMING for slice_ in slices)

    def _in_use(self, pools: Sequence[PoolReason], bought: Sequence[PoolReason]) -> Verdict:
        """Why what is there does not do, and nothing more is asked for."""
        blockers = [p.blocker for p in pools if p.can_serve and p.blocker is not None]
        if any(blocker.check == "held" for blocker in blockers):
            return Verdict.HELD
        if self.shape.hosts and any(b.check == "room" and b.have != "0" for b in blockers):
            return Verdict.GANG_INCOMPLETE
        checks = {limit.check for pool in bought for limit in pool.limits}
        if "max_slices" in checks:
            return Verdict.GROUP_AT_MAX
        return Verdict.QUOTA if "reservation" in checks else Verdict.FULL

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

    def _somebody_ends(self, workers: Sequence[Worker]) -> NextEvent:
        """The first end of running work that is certain, where this could run."""
        if self.hold is not None:
            return NextEvent("what is kept for it is free", self.hold.expected)
        ends: list[Instant] = []
        for worker in workers:
            for task in worker.attempts:
                dues = (due_at(self.state, due, task) for due in (Due.STOP, Due.TIMEOUT))
                ends += [at for at in dues if at is not None]
        return NextEvent("somebody who runs there ends", min(ends, default=None))


def _once_asked(gated: Sequence[PoolReason]) -> tuple[Verdict, NextEvent]:
    """What stops pools of which slices may be asked for after a while."""
    times = [max((x.until for x in p.limits if x.until is not None), default=None) for p in gated]
    known = [at for at in times if at is not None]
    event = NextEvent("a slice may be asked for", min(known, default=None))
    scarce = any(limit.check == "quota" for pool in gated for limit in pool.limits)
    return (Verdict.QUOTA if scarce else Verdict.BACKOFF), event


def _passes(limit: Limit) -> bool:
    """Whether time alone, or a slice that comes, lifts a limit."""
    return limit.until is not None or limit.check == "window"


def _comes(under_way: Sequence[UnderWay]) -> NextEvent:
    at, name = min((slice_.deadline, slice_.slice) for slice_ in under_way)
    return NextEvent(f"slice {name} is ready, or is asked for again, or given up", at)


def pauses_of(state: ClusterState, job: Job) -> list[Instant]:
    """When each pause of a job's units between two attempts is over."""
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
