"""What a job waits for, and what must happen next: the verdict, asked of the functions that decide.

Nothing here has an opinion of its own. Whether something fits, `iris.core.fit` and `placing` say
(`iris.core.blockers` asks them); who is served first, `iris.core.order`; whether a slice may be
asked for, the gates and limits. So an explanation cannot contradict a placement.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from iris.core.blockers import all_but_held, held_hosts, roomy_hosts
from iris.core.deadlines import Due
from iris.core.due import due_at
from iris.core.fit import Shape, shape_of
from iris.core.ids import JobId, TaskId
from iris.core.instant import Instant
from iris.core.lifecycle import COMING, AttemptState, SliceState, TaskState, WorkerState
from iris.core.over_quota import freed
from iris.core.placing import best_host, first_in_line, place_gang, spare_is_wanted
from iris.core.queued import is_first
from iris.core.reasons import Kept, Limit, NextEvent, OverQuota, PoolReason, UnderWay, Verdict
from iris.core.records import Attempt, Hold, Job
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
    over: OverQuota | None = None  # None: it is within its user's quota
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
            self.over = self.whole.over(self.key)

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
        """What each pool says to it; of none is anything asked on account of what is over its quota."""
        told = self.whole.pools(self.shape)
        if self.over is None:
            return told
        return tuple(replace(pool, is_bought=False, limits=()) for pool in told)

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

    def answer(self) -> tuple[Verdict, Callable[[], NextEvent]]:
        """What it waits for, and how to find out what must happen next, which may take longer."""
        if self.unit is None:
            return _sure(Verdict.NOT_WAITING, f"nothing: it is {self.job.state.value}")
        if self.key is None:
            return self._out_of_the_queue()
        candidates = list(self.state.room.candidates(self.shape))
        if not candidates:
            return _sure(self._never(), "another configuration is loaded")
        key, over = self.key, self.over
        if over is not None:
            return Verdict.BUDGET, lambda: freed(self.state, key, over)
        if self._has_room():
            return self._fits(self.key)
        first = self.first_in_line()
        if first is not None:
            return _sure(Verdict.BEHIND_OTHERS, f"{first}, which is first in line, is placed")
        if self.under_way():
            return Verdict.WAITING_FOR_SLICES, lambda: _comes(self.under_way())
        if self.hold is not None:
            return self._no_room(candidates)
        known = self.whole.in_vain.get(self.shape)
        if known is None:
            known = self.whole.in_vain[self.shape] = self._no_room(candidates)
        return known

    def _out_of_the_queue(self) -> tuple[Verdict, Callable[[], NextEvent]]:
        hold = self.hold
        if hold is not None:
            return Verdict.MAKING_ROOM, lambda: self._stop_ends(hold)
        return Verdict.PAUSED, lambda: NextEvent("its pause is over", min(self.pauses))

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

    def _fits(self, key: QueueKey) -> tuple[Verdict, Callable[[], NextEvent]]:
        if is_first(self.state, key, self.waiting[0]):
            now = self.state.now
            return Verdict.FITS_NOW, lambda: NextEvent("the next step places it", now)
        first = self.first_in_line() or "whoever is served before it"
        return _sure(Verdict.BEHIND_OTHERS, f"{first} is placed, or found not to fit")

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

    def _no_room(self, candidates: Sequence[Pool]) -> tuple[Verdict, Callable[[], NextEvent]]:
        bought = [pool for pool in self.whole.stops(self.shape) if pool.is_bought]
        gated = [p for p in bought if all(_passes(limit) for limit in p.limits)]
        if gated:
            return _once_asked(gated)
        if self.hold is not None or any(self._works(pool) for pool in candidates):
            return self._in_use(candidates, bought), self._somebody_ends
        if any(True for _ in self.whole.workers(self.shape)):
            return Verdict.BARRED, self._is_let_in
        if any(self._is_leaving(pool) for pool in candidates):
            verdict = self._in_use(candidates, bought)
            return _sure(verdict, "a slice that is leaving is gone")
        if any(limit.check == "reservation" for pool in bought for limit in pool.limits):
            return _sure(Verdict.QUOTA, "the reservation is enlarged, or not all in use")
        what = "another configuration is loaded, or a slice comes for other work"
        return _sure(Verdict.UNSUPPLIED, what)

    def _works(self, pool: Pool) -> bool:
        """Whether anything runs in a pool."""
        return any(self.state.bands_on.get((pool.group.name, pool.zone), ()))

    def _is_leaving(self, pool: Pool) -> bool:
        """Whether a pool, in which nobody works, has a slice still."""
        slices = self.whole.slices[pool.group.name, pool.zone]
        return any(slice_.state not in COMING for slice_ in slices)

    def _in_use(self, candidates: Sequence[Pool], bought: Sequence[PoolReason]) -> Verdict:
        """Why what is there does not do, and nothing more is asked for."""
        if any(self._is_held(pool) for pool in candidates):
            return Verdict.HELD
        if self.shape.hosts and any(self._has_a_host(pool) for pool in candidates):
            return Verdict.GANG_INCOMPLETE
        checks = {limit.check for pool in bought for limit in pool.limits}
        if "max_slices" in checks:
            return Verdict.GROUP_AT_MAX
        return Verdict.QUOTA if "reservation" in checks else Verdict.FULL

    def _is_held(self, pool: Pool) -> bool:
        """Whether it would fit, were nothing kept for others."""
        if spare_is_wanted(self.state, self.shape, pool):
            return False
        for worker in held_hosts(self.state, self.shape, pool):
            slice_ = self.state.slices[worker.slice]
            if not self.shape.hosts:
                return True
            if slice_.number in pool.slices and all_but_held(self.state, self.shape, slice_):
                return True
        return False

    def _has_a_host(self, pool: Pool) -> bool:
        """Whether a member of the gang would fit on some host of a slice that the gang may look at."""
        numbers = frozenset(pool.slices)
        return any(
            worker.id not in self.shape.avoid and self.state.slices[worker.slice].number in numbers
            for worker in roomy_hosts(self.state, self.shape, pool)
        )

    def _is_let_in(self) -> NextEvent:
        """What opens one of the hosts that are there, and on which nothing runs."""
        workers = list(self.whole.workers(self.shape))
        for worker in workers:
            if worker.state is WorkerState.SILENT:
                given_up = due_at(self.state, Due.SILENCE, worker.id)
                return NextEvent(f"{worker.id} speaks again, or is given up", given_up)
        for worker in workers:
            if worker.cordoned and self.state.slices[worker.slice].state is SliceState.READY:
                command = f"iris worker drain --resume {worker.id}"
                return NextEvent(f"an operator lets work onto {worker.id} again: {command}", None)
        checks = [pool.blocker.check for pool in self.pools() if pool.can_serve and pool.blocker]
        if "avoid" in checks:
            return NextEvent("a host comes on which no launch of it failed", None)
        return NextEvent("a slice that is leaving is gone, or another host comes", None)

    def _somebody_ends(self) -> NextEvent:
        """The first end of running work that is certain, where this could run."""
        if self.hold is not None:
            return NextEvent("what is kept for it is free", self.hold.expected)
        pools = list(self.state.room.candidates(self.shape))
        for at, key in self.state.deadlines.of(Due.TIMEOUT, Due.STOP):
            attempt = self.state.tasks[TaskId(key)].attempts[-1]
            if self.state.pool_of(self.state.slices[attempt.slice]) in pools:
                return NextEvent("somebody who runs there ends", at)
        return NextEvent("somebody who runs there ends", None)


def _sure(verdict: Verdict, what: str) -> tuple[Verdict, Callable[[], NextEvent]]:
    """A verdict, and a next event that nobody can name a time of."""
    return verdict, lambda: NextEvent(what, None)


def _once_asked(gated: Sequence[PoolReason]) -> tuple[Verdict, Callable[[], NextEvent]]:
    """What stops pools of which slices may be asked for after a while."""
    times = [max((x.until for x in p.limits if x.until is not None), default=None) for p in gated]
    known = [at for at in times if at is not None]
    event = NextEvent("a slice may be asked for", min(known, default=None))
    scarce = any(limit.check == "quota" for pool in gated for limit in pool.limits)
    return (Verdict.QUOTA if scarce else Verdict.BACKOFF), lambda: event


def _passes(limit: Limit) -> bool:
    """Whether time alone, or a slice that comes, lifts a limit."""
    return limit.until is not None or limit.check == "window"


def _comes(under_way: Sequence[UnderWay]) -> NextEvent:
    at, name = min((slice_.deadline, slice_.slice) for slice_ in under_way)
    return NextEvent(f"slice {name} is ready, or is asked for again, or given up", at)


def pauses_of(state: ClusterState, job: Job) -> list[Instant]:
    """When each pause of a job's units between two attempts is over."""
    if job.ending is not None or TaskState.PENDING not in job.tally:
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
