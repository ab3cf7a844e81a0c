"""Capacity that is kept for one unit: for whom, where, and who may use it meanwhile.

Two reasons make a hold. An eviction keeps the room that its victims leave. Backfilling keeps, for
a unit that is about to be overtaken, the host or slice that is expected to free up first; then
wide work does not starve however many small units come. Later work may use such a place only if it
surely ends before: it has declared a timeout, and so has everybody who is there. Work of a more
urgent band is not later work: what is kept for backfilling makes way for it.

Nothing on accelerator hosts is kept for CPU work, which is a guest there.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from iris.core import decisions as de
from iris.core.decisions import HoldKind
from iris.core.fit import Shape
from iris.core.instant import Instant
from iris.core.lifecycle import SliceState, WorkerState
from iris.core.order import ServedAt, served_at
from iris.core.placing import spare_is_wanted
from iris.core.records import Hold, Slice, Task, Worker
from iris.core.resources import NOTHING, Resources, fits, plus
from iris.core.room import Pool
from iris.core.spec import Backfill
from iris.core.state import ClusterState
from iris.core.waiting import GANG, QueueKey, Unit

HOSTS_LOOKED_AT: Final = 32
"""How many hosts are compared when a place is chosen for one task: those with the most room first."""


def place_holder(state: ClusterState, hold: Hold) -> Iterator[de.Decision]:
    """Place the holder if its place is free now; give the place up if it can never have it."""
    job = state.jobs[hold.job]
    backfill = hold.kind is HoldKind.BACKFILL
    if backfill and state.spec.scheduler.backfill is not Backfill.HOLD:
        yield _release(state, hold, "the policy keeps nothing for those who wait")
        return
    if backfill and state.queue_key(job, hold.index) in state.waiting.held:
        yield _release(state, hold, "the quota of its user lets it start no more")
        return
    workers = [state.workers[w] for w in hold.workers]
    if any(not _stands(state, worker) for worker in workers):
        yield _release(state, hold, "the place that was kept is lost")
        return
    if any(worker.state is WorkerState.SILENT for worker in workers):
        return
    if all(fits(hold.need, plus(state.open_amount(w), hold.need)) for w in workers):
        if backfill and _is_wanted_above(state, hold, workers):
            yield _release(state, hold, "more urgent work needs the room")
            return
        tasks = tuple(t.id for t in state.members(job, hold.index))
        yield de.Placement(job.id, tasks, hold.workers, de.KEPT[hold.kind])


def _is_wanted_above(state: ClusterState, hold: Hold, workers: list[Worker]) -> bool:
    """Whether somebody of a more urgent band waits who fits where the holder would go."""
    band = state.jobs[hold.job].spec.band
    for key, queue in state.waiting.queues.items():
        if key.band < band:
            for worker in workers:
                hosts = _hosts_with(state, worker, queue.head())
                if all(_fits_without_holds(state, key, host) for host in hosts):
                    return True
    return False


def _stands(state: ClusterState, worker: Worker) -> bool:
    slice_ = state.slices[worker.slice]
    return state.may_work(slice_) and not worker.cordoned


def may_pass(state: ClusterState, key: QueueKey, unit: Unit) -> de.Placement | None:
    """A place that is kept for somebody, for one task that surely ends before it is needed."""
    job = state.job_by_number[unit.job]
    timeout = job.spec.timeout
    if unit.member == GANG or timeout is None:
        return None
    ends = state.now + timeout + state.spec.timeouts.stop_timeout
    for hold in state.holds.values():
        if hold.expected is None or ends > hold.expected:
            continue
        for name in hold.workers:
            worker = state.workers[name]
            if _fits_with(state, key.shape, worker, hold.need):
                task = job.tasks[unit.member]
                why = "it ends before the place is needed by its holder"
                return de.Placement(job.id, (task.id,), (name,), why)
    return None


def _fits_with(state: ClusterState, shape: Shape, worker: Worker, more: Resources) -> bool:
    """Whether a member of a shape fits on a worker that has so much more open room."""
    listed = state.room.where.get(worker.number)
    if listed is None or worker.id in shape.avoid:
        return False
    if not any(pool is listed[0] for pool in state.room.candidates(shape)):
        return False
    if spare_is_wanted(state, shape, listed[0]):
        return False
    state.books.evaluations += 1
    return fits(shape.need, plus(listed[1], more))


# ---- making way --------------------------------------------------------------------------------


def make_way(state: ClusterState, key: QueueKey, unit: Unit) -> list[de.Release]:
    """The holds that keep a more urgent unit out of room which is free but for them."""
    for hold in state.holds.values():
        if _gives_way(state, hold, key.band):
            for name in hold.workers:
                hosts = _hosts_with(state, state.workers[name], unit)
                if all(_fits_without_holds(state, key, worker) for worker in hosts):
                    return releases_on(state, hosts, key.band)
    return []


def releases_on(state: ClusterState, workers: Iterable[Worker], band: int) -> list[de.Release]:
    """What ends the holds on workers that give way to a band, each once."""
    found = {
        key: state.holds[key]
        for worker in workers
        for key in worker.holds
        if _gives_way(state, state.holds[key], band)
    }
    return [_release(state, hold, "more urgent work needs the room") for hold in found.values()]


def _release(state: ClusterState, hold: Hold, why: str) -> de.Release:
    tasks = state.members(state.jobs[hold.job], hold.index)
    return de.Release(hold.job, tuple(t.id for t in tasks), why)


def kept_for_less(state: ClusterState, worker: Worker, band: int) -> Resources:
    """What of a worker is kept for work that gives way to a band."""
    amount = NOTHING
    for key in worker.holds:
        hold = state.holds[key]
        if _gives_way(state, hold, band):
            amount = plus(amount, hold.need)
    return amount


def _gives_way(state: ClusterState, hold: Hold, band: int) -> bool:
    return hold.kind is HoldKind.BACKFILL and state.jobs[hold.job].spec.band > band


def _hosts_with(state: ClusterState, worker: Worker, unit: Unit) -> list[Worker]:
    """The hosts that a unit would take if it took this one."""
    if unit.member != GANG:
        return [worker]
    return [state.workers[w] for w in state.slices[worker.slice].workers if w is not None]


def _fits_without_holds(state: ClusterState, key: QueueKey, worker: Worker) -> bool:
    return _fits_with(state, key.shape, worker, kept_for_less(state, worker, key.band))


# ---- beginning a hold --------------------------------------------------------------------------


def keep_for(state: ClusterState, place: ServedAt, placement: de.Placement) -> de.Holding | None:
    """A hold for the first blocked unit that this placement would overtake, if it has none yet."""
    blocked = state.waiting.blocked
    if not blocked:
        return None
    pool, _ = state.room.where[state.workers[placement.workers[0]].number]
    for shape in blocked:
        if not _serves(state, shape, pool):
            continue
        for other in state.waiting.by_shape[shape]:
            head = state.waiting.queues[other].head()
            if served_at(state, other, head) < place:
                holding = _hold_for(state, other, head)
                if holding is not None:
                    return holding
    return None


def _serves(state: ClusterState, shape: Shape, pool: Pool) -> bool:
    if shape.accelerator is None and pool.group.accelerator is not None:
        return False
    return any(pool is candidate for candidate in state.room.candidates(shape))


def _hold_for(state: ClusterState, key: QueueKey, unit: Unit) -> de.Holding | None:
    job = state.job_by_number[unit.job]
    if (job.id, unit.member) in state.holds:
        return None
    if unit.member == GANG:
        workers = _slice_freed_first(state, key.shape)
    else:
        workers = _host_freed_first(state, key.shape)
    if workers is None:
        return None
    return de.Holding(
        job.id,
        tuple(t.id for t in state.members(job, unit.member)),
        tuple(w.id for w in workers),
        key.shape.need,
        _free_at(state, workers),
        "later work was about to overtake it",
    )


def _slice_freed_first(state: ClusterState, shape: Shape) -> list[Worker] | None:
    pools = [(p.group.name, p.zone) for p in state.room.candidates(shape)]
    best: tuple[tuple[int, int, int, int], list[Worker]] | None = None
    for slice_ in state.slices.values():
        if slice_.state is not SliceState.READY or (slice_.group, slice_.zone) not in pools:
            continue
        workers = _holdable(state, shape, slice_)
        if workers is not None:
            rank = (*_expectation(state, workers), slice_.number)
            if best is None or rank < best[0]:
                best = (rank, workers)
    return best[1] if best is not None else None


def _holdable(state: ClusterState, shape: Shape, slice_: Slice) -> list[Worker] | None:
    """The hosts of a slice, if a gang of this shape may claim them all."""
    workers = [state.workers[w] for w in slice_.workers if w is not None]
    for worker in workers:
        if worker.number not in state.room.where or not _may_claim(shape, worker):
            return None
    return workers


def _host_freed_first(state: ClusterState, shape: Shape) -> list[Worker] | None:
    best: tuple[tuple[int, int, int, int], Worker] | None = None
    for pool in state.room.candidates(shape):
        if shape.accelerator is None and pool.group.accelerator is not None:
            continue
        for worker in _roomiest(state, pool):
            if not _may_claim(shape, worker):
                continue
            rank = (*_expectation(state, [worker]), worker.number)
            if best is None or rank < best[0]:
                best = (rank, worker)
    return [best[1]] if best is not None else None


def _may_claim(shape: Shape, worker: Worker) -> bool:
    """Whether a host could have the room one day, and nobody else has claimed it."""
    return fits(shape.need, worker.offers) and not worker.holds and worker.id not in shape.avoid


def _roomiest(state: ClusterState, pool: Pool) -> Iterator[Worker]:
    left = HOSTS_LOOKED_AT
    for amount in reversed(pool.amounts):
        for number in pool.buckets[amount][:left]:
            yield state.worker_by_number[number]
            left -= 1
        if left <= 0:
            return


def _expectation(state: ClusterState, workers: list[Worker]) -> tuple[int, int, int]:
    """How soon hosts are expected to be free: unknown ends, the latest known one, who is there."""
    unknown, latest, present = 0, 0, 0
    for worker in workers:
        for name in worker.attempts:
            present += 1
            ends = _ends_at(state, state.tasks[name])
            if ends is None:
                unknown += 1
            else:
                latest = max(latest, ends)
    return unknown, latest, present


def _ends_at(state: ClusterState, task: Task) -> Instant | None:
    timeout = state.jobs[task.job].spec.timeout
    if timeout is None:
        return None
    attempt = task.attempts[-1]
    return Instant(attempt.assigned_at + timeout + state.spec.timeouts.stop_timeout)


def _free_at(state: ClusterState, workers: list[Worker]) -> Instant | None:
    unknown, latest, _ = _expectation(state, workers)
    return None if unknown else Instant(max(latest, state.now))
