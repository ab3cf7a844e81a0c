"""Whom a more urgent unit may displace, and where it then goes: both in one decision.

Only attempts of a strictly lower band are victims, and only as many as the beneficiary needs to fit. Of
several places the one whose victims lose least is taken: work since the last checkpoint, weighted by what
it holds, a gang counting whole. The room that the victims leave is kept for the beneficiary, which goes
nowhere else; so the same unit never evicts twice for one start, and nobody slips into the gap.

A search that found nothing is remembered: it is repeated only on workers whose work has changed since.
"""

from collections.abc import Iterable, Iterator

from iris.core import decisions as de
from iris.core.fit import Shape, weight_of
from iris.core.ids import WorkerId
from iris.core.lifecycle import AttemptState, SliceState
from iris.core.order import queues_in_order
from iris.core.records import Slice, Task, Worker
from iris.core.resources import fits, minus, plus
from iris.core.room import Pool
from iris.core.spec import Band
from iris.core.state import ClusterState
from iris.core.waiting import GANG, QueueKey, Unit

_Cost = tuple[int, int, int]
"""What an eviction costs: work lost, the number of victims, the place's number for ties."""


def plan_evictions(state: ClusterState) -> Iterator[de.Decision]:
    """For each blocked queue, while victims can be found: its head takes their place."""
    churned = list(state.churned)
    state.churned.clear()
    waiting = state.waiting
    # What a queue missed while it was not blocked, it must look at when it is blocked again.
    state.hopeless = {
        k: None for k in state.hopeless if k in waiting.queues and k.shape in waiting.blocked
    }
    if not state.spec.scheduler.eviction or not waiting.blocked:
        return
    for key in queues_in_order(state):
        if key.shape not in waiting.blocked or key.band >= Band.BATCH:
            continue
        where = churned if key in state.hopeless else None
        while key in waiting.queues:
            unit = waiting.queues[key].head()
            eviction = _evict_for(state, key, unit, where)
            if eviction is None:
                state.hopeless[key] = None
                break
            yield eviction


def _evict_for(
    state: ClusterState, key: QueueKey, unit: Unit, where: list[WorkerId] | None
) -> de.Eviction | None:
    pools = [p for p in state.room.candidates(key.shape) if _has_victims(state, p, key.band)]
    if not pools:
        return None
    if unit.member == GANG:
        found = _cheapest_slice(state, key, pools, where)
    else:
        found = _cheapest_host(state, key, pools, where)
    if found is None:
        return None
    workers, victims = found
    job = state.job_by_number[unit.job]
    return de.Eviction(
        job.id,
        tuple(t.id for t in state.members(job, unit.member)),
        tuple(w.id for w in workers),
        key.shape.need,
        tuple(v.id for v in victims),
        f"{job.id} ({job.spec.band.name.lower()}) needs the room",
    )


def _has_victims(state: ClusterState, pool: Pool, band: int) -> bool:
    counts = state.bands_on.get((pool.group.name, pool.zone), (0, 0, 0))
    return any(counts[band + 1 :])


def _cheapest_host(
    state: ClusterState, key: QueueKey, pools: list[Pool], where: list[WorkerId] | None
) -> tuple[list[Worker], list[Task]] | None:
    best: tuple[_Cost, list[Worker], list[Task]] | None = None
    for worker in _workers_in(state, pools, where):
        victims = _victims_on(state, worker, key)
        if victims:
            cost = (*_cost(state, victims), worker.number)
            if best is None or cost < best[0]:
                best = (cost, [worker], victims)
        elif victims is not None:
            # Somebody is leaving already, and then it fits here: nobody else need go.
            return None
    return None if best is None else (best[1], best[2])


def _cheapest_slice(
    state: ClusterState, key: QueueKey, pools: list[Pool], where: list[WorkerId] | None
) -> tuple[list[Worker], list[Task]] | None:
    best: tuple[_Cost, list[Worker], list[Task]] | None = None
    for slice_ in _slices_in(state, pools, where):
        workers = [state.workers[w] for w in slice_.workers if w is not None]
        victims = _victims_on_all(state, workers, key)
        if victims:
            cost = (*_cost(state, victims), slice_.number)
            if best is None or cost < best[0]:
                best = (cost, workers, victims)
        elif victims is not None:
            return None
    return None if best is None else (best[1], best[2])


def _workers_in(
    state: ClusterState, pools: list[Pool], where: list[WorkerId] | None
) -> Iterator[Worker]:
    names: Iterable[WorkerId] = state.workers if where is None else where
    for name in names:
        worker = state.workers.get(name)
        listed = state.room.where.get(worker.number) if worker is not None else None
        if worker is not None and listed is not None and listed[0] in pools:
            yield worker


def _slices_in(
    state: ClusterState, pools: list[Pool], where: list[WorkerId] | None
) -> Iterator[Slice]:
    seen: dict[int, Slice] = {}
    for worker in _workers_in(state, pools, where):
        slice_ = state.slices[worker.slice]
        if slice_.state is SliceState.READY:
            seen[slice_.number] = slice_
    yield from seen.values()


def _victims_on_all(
    state: ClusterState, workers: list[Worker], key: QueueKey
) -> list[Task] | None:
    victims: list[Task] = []
    for worker in workers:
        if worker.number not in state.room.where:
            return None
        here = _victims_on(state, worker, key)
        if here is None:
            return None
        victims += here
    return victims


def _victims_on(state: ClusterState, worker: Worker, key: QueueKey) -> list[Task] | None:
    """Whom to stop on a worker so that the need fits: nobody (empty) if it will fit by itself."""
    shape: Shape = key.shape
    if worker.id in shape.avoid:
        return None
    amount = state.open_amount(worker)
    lower: list[tuple[int, int, int, Task]] = []
    for name in worker.attempts:
        task = state.tasks[name]
        job = state.jobs[task.job]
        if task.attempts[-1].state is AttemptState.STOPPING:
            amount = plus(amount, job.spec.resources)
        elif job.spec.band > key.band:
            lower.append((-job.spec.band, _loss(state, task), job.number, task))
    lower.sort(key=lambda entry: (*entry[:3], entry[3].index))
    chosen: list[Task] = []
    for *_, task in lower:
        if fits(shape.need, amount):
            break
        chosen.append(task)
        amount = plus(amount, state.jobs[task.job].spec.resources)
    state.books.evaluations += 1
    if not fits(shape.need, amount):
        return None
    for task in reversed(chosen.copy()):
        without = minus(amount, state.jobs[task.job].spec.resources)
        if fits(shape.need, without):
            chosen.remove(task)
            amount = without
    return chosen


def _cost(state: ClusterState, victims: list[Task]) -> tuple[int, int]:
    return sum(_loss(state, v) for v in victims), len(victims)


def _loss(state: ClusterState, task: Task) -> int:
    """The work that a stop throws away, in milli-core-milliseconds; a gang's member costs the gang."""
    job = state.jobs[task.job]
    if not job.spec.coscheduled:
        return _own_loss(state, task)
    return sum(_own_loss(state, member) for member in job.tasks)


def _own_loss(state: ClusterState, task: Task) -> int:
    spec = state.jobs[task.job].spec
    attempt = task.attempts[-1]
    if attempt.started_at is None or attempt.ended_at is not None:
        return 0
    work = state.now - attempt.started_at
    if spec.checkpoint_every is not None:
        work %= spec.checkpoint_every
    return work * weight_of(spec.resources)
