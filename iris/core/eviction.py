"""Whom a more urgent unit may displace, and where it then goes: both in one decision.

Only attempts of a strictly lower band are victims, and only as many as the beneficiary needs to
fit. Of several places the one whose victims lose least is taken: the lowest band first, then work
since the last checkpoint, weighted by what it holds, a gang counting whole and once. The room that
the victims leave is kept for the beneficiary, which goes nowhere else; so the same unit never
evicts twice for one start, and nobody slips into the gap.

A search that found nothing is remembered: it is repeated only on workers whose work has changed
since. One that found a place is remembered while its queue is served: for the next unit only the
places that the eviction touched are looked at again.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from iris.core import decisions as de
from iris.core.fit import Shape, weight_of
from iris.core.holds import kept_for_less, releases_on
from iris.core.ids import SliceId, WorkerId
from iris.core.lifecycle import AttemptState
from iris.core.offers import Offer, Offers
from iris.core.order import queues_in_order, served_at
from iris.core.placing import spare_is_wanted
from iris.core.records import HoldKey, Job, Task, Worker
from iris.core.resources import fits, minus, plus
from iris.core.room import Pool
from iris.core.spec import Band
from iris.core.state import ClusterState
from iris.core.waiting import GANG, QueueKey, Unit

_FREE: Final = (-len(Band), 0, 0)
"""Less than what anybody's loss costs."""


@dataclass(frozen=True, slots=True)
class _Search:
    """For whom room is looked for, and where."""

    key: QueueKey
    unit: Unit
    own: HoldKey
    """What is kept for it already is no bar to it."""
    pools: tuple[Pool, ...]
    where: list[WorkerId] | None  # None: everywhere


def plan_evictions(state: ClusterState) -> Iterator[de.Decision]:
    """For each blocked queue, while victims can be found: its head takes their place."""
    churned = list(state.churned)
    state.churned.clear()
    state.waiting.unsearched = False
    waiting = state.waiting
    # What a queue missed while it was not blocked, it must look at when it is blocked again.
    state.hopeless = {
        k: searched
        for k, searched in state.hopeless.items()
        if k in waiting.queues and k.shape in waiting.blocked
    }
    if not state.spec.scheduler.eviction or not waiting.blocked:
        return
    for key in queues_in_order(state):
        if key.band < Band.BATCH:
            yield from _evict_for_queue(state, key, churned)


def make_room(state: ClusterState, shape: Shape) -> Iterator[de.Decision]:
    """The same, at once, for a shape that was found to fit nowhere: before later work is placed."""
    if not state.spec.scheduler.eviction:
        return
    queues = state.waiting.queues
    keys = [key for key in state.waiting.by_shape[shape] if key.band < Band.BATCH]
    for key in sorted(keys, key=lambda k: served_at(state, k, queues[k].head())):
        yield from _evict_for_queue(state, key, list(state.churned))


def make_room_above(state: ClusterState, band: int) -> Iterator[de.Decision]:
    """The same for whoever is blocked and more urgent, before work of a band is placed that would give way.

    Room that others are leaving already is kept for them, too: what took it would have to go again.
    """
    if state.spec.scheduler.eviction and state.waiting.blocked:
        for key in queues_in_order(state):
            if key.band < band:
                yield from _evict_for_queue(state, key, list(state.churned), claiming=True)


def _evict_for_queue(
    state: ClusterState, key: QueueKey, churned: list[WorkerId], *, claiming: bool = False
) -> Iterator[de.Decision]:
    waiting = state.waiting
    while key in waiting.queues and key.shape in waiting.blocked:
        unit = waiting.queues[key].head()
        pools = _open_pools(state, key.shape)
        ranks = tuple(pool.rank for pool in pools)
        where = churned if state.hopeless.get(key) == ranks else None
        job = state.job_by_number[unit.job]
        search = _Search(key, unit, (job.id, unit.member), pools, where)
        found = _cheapest(state, search)
        if found is None and claiming:
            found = _vacated(state, search)
        if found is None:
            state.hopeless[key] = ranks
            return
        if not found.victims and not claiming:
            # Somebody is leaving already, and then it fits there: nobody else need go.
            state.hopeless.pop(key, None)
            return
        yield from releases_on(state, found.workers, key.band)
        yield de.Eviction(
            job.id,
            tuple(t.id for t in state.members(job, unit.member)),
            tuple(w.id for w in found.workers),
            key.shape.need,
            tuple(v.id for v in found.victims),
            f"{job.id} ({job.spec.band.name.lower()}) needs the room",
        )


def _open_pools(state: ClusterState, shape: Shape) -> tuple[Pool, ...]:
    """The pools in which a shape may take room from others."""
    candidates = state.room.candidates(shape)
    return tuple(p for p in candidates if not spare_is_wanted(state, shape, p))


def _cheapest(state: ClusterState, search: _Search) -> Offer | None:
    """The place whose victims lose least, or one that will be free without any."""
    pools = tuple(p for p in search.pools if _has_victims(state, p, search.key.band))
    if not pools:
        return None  # Nobody there would have to go: no worker need be looked at.
    there = replace(search, pools=pools)
    if search.where is not None:
        return _best_of(state, there, search.where, {})
    return _best_of(state, there, state.workers, state.news.offers)


def _vacated(state: ClusterState, search: _Search) -> Offer | None:
    """The cheapest place where somebody is leaving, also where nobody works who would have to go."""
    return _best_of(state, search, state.leaving, state.news.vacated)


def _best_of(
    state: ClusterState,
    search: _Search,
    names: Iterable[WorkerId],
    memory: dict[QueueKey, Offers],
) -> Offer | None:
    """The cheapest place on some workers; if they are remembered, only the stirred are looked at."""
    ranks = tuple(pool.rank for pool in search.pools)
    known = memory.get(search.key)
    if known is None or known.pools != ranks:
        offers = memory[search.key] = Offers(ranks)
    else:
        own = state.holds.get(search.own)
        kept = own.workers if own is not None else ()
        offers, names = known, dict.fromkeys((*kept, *state.news.stirred[known.seen :]))
    offers.seen = len(state.news.stirred)
    for number, workers in _places(state, search, names):
        offers.put(number, _offer(state, number, workers, search))
    return offers.best()


def _offer(
    state: ClusterState, number: int, workers: list[Worker], search: _Search
) -> Offer | None:
    victims = _victims_on_all(state, workers, search)
    if victims is None:
        return None
    return Offer((*_cost(state, victims), number), workers, victims)


def _has_victims(state: ClusterState, pool: Pool, band: int) -> bool:
    counts = state.bands_on.get((pool.group.name, pool.zone), (0, 0, 0))
    return any(counts[band + 1 :])


def _places(
    state: ClusterState, search: _Search, names: Iterable[WorkerId]
) -> Iterator[tuple[int, list[Worker]]]:
    """Hosts for a task, whole slices for a gang, each with its number."""
    seen: dict[SliceId, None] = {}
    for worker in _workers_in(state, search.pools, names):
        if search.unit.member != GANG:
            yield worker.number, [worker]
        elif worker.slice not in seen:
            seen[worker.slice] = None
            slice_ = state.slices[worker.slice]
            yield slice_.number, [state.workers[w] for w in slice_.workers if w is not None]


def _workers_in(
    state: ClusterState, pools: tuple[Pool, ...], names: Iterable[WorkerId]
) -> Iterator[Worker]:
    for name in names:
        worker = state.workers.get(name)
        listed = state.room.where.get(worker.number) if worker is not None else None
        if worker is not None and listed is not None and listed[0] in pools:
            yield worker


def _victims_on_all(
    state: ClusterState, workers: list[Worker], search: _Search
) -> list[Task] | None:
    victims: list[Task] = []
    for worker in workers:
        if worker.number not in state.room.where:
            return None
        here = _victims_on(state, worker, search)
        if here is None:
            return None
        victims += here
    return victims


def _victims_on(state: ClusterState, worker: Worker, search: _Search) -> list[Task] | None:
    """Whom to stop on a worker so that the need fits: nobody (empty) if it will fit by itself."""
    key, shape = search.key, search.key.shape
    if worker.id in shape.avoid:
        return None
    amount = plus(state.open_amount(worker), kept_for_less(state, worker, key.band))
    if search.own in worker.holds:
        amount = plus(amount, shape.need)
    lower: list[tuple[int, int, int, Task]] = []
    for name in worker.attempts:
        task = state.tasks[name]
        job = state.jobs[task.job]
        if task.attempts[-1].state is AttemptState.STOPPING:
            amount = plus(amount, job.spec.resources)
        elif _gives_way(job, key):
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


def _gives_way(job: Job, key: QueueKey) -> bool:
    """Whether a job's tasks may be stopped for a queue; CPU work drives nobody off an accelerator."""
    return job.spec.band > key.band and bool(key.shape.accelerator or not job.spec.accelerator)


def _cost(state: ClusterState, victims: list[Task]) -> tuple[int, int, int]:
    if not victims:
        return _FREE
    units = {state.unit_of(victim): victim for victim in victims}
    urgent = max(-state.jobs[victim.job].spec.band for victim in victims)
    return urgent, sum(_loss(state, victim) for victim in units.values()), len(victims)


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
