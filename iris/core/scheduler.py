"""Which waiting units go where, and what is kept for those that cannot start.

Queues are served head by head in the order of `iris.core.order`. A shape that fits nowhere is
blocked and costs nothing more, however many units wait with it, until room appears that it fits.
What may pass a blocked unit is the backfill policy's to say: nothing (`none`), anything
(`greedy`), or anything that does not touch the capacity held for it (`hold`). A hold begins when
somebody is about to overtake.

The planner is a generator: each decision is applied before the next is made, so that two units of
one turn never count on the same room.
"""

from collections.abc import Iterator
from heapq import heapify, heappop, heapreplace

from iris.core import decisions as de
from iris.core.eviction import make_room, make_room_above
from iris.core.fit import Shape
from iris.core.holds import keep_for, kept_for_less, make_way, may_pass, place_holder
from iris.core.order import ServedAt, served_at
from iris.core.placing import best_host, first_in_line, gang_fits, place_gang, spare_is_wanted
from iris.core.resources import fits, plus
from iris.core.spec import Backfill
from iris.core.state import ClusterState
from iris.core.waiting import GANG, QueueKey, Unit


def plan_placements(state: ClusterState) -> Iterator[de.Decision]:
    """Serve the holders of holds whose room has changed, then everybody whose shape may fit."""
    while True:
        yield from _serve_holders(state)
        _unblock(state)
        if state.waiting.active:
            if state.spec.scheduler.backfill is Backfill.NONE:
                yield from _serve_strictly(state)
            else:
                yield from _serve(state)
        # A holder that started elsewhere has left room behind.
        if not (state.opened or state.touched):
            return


def _serve_holders(state: ClusterState) -> Iterator[de.Decision]:
    touched = list(state.touched)
    state.touched.clear()
    for key in touched:
        yield from place_holder(state, state.holds[key])


def _unblock(state: ClusterState) -> None:
    """Let the shapes be tried again that fit on a worker, or its slice, that has more room now."""
    opened = state.opened
    if not opened:
        return
    waiting = state.waiting
    for shape in list(waiting.blocked):
        for number in opened:
            if _may_fit(state, shape, number):
                waiting.unblock(shape)
                break
    opened.clear()


def _may_fit(state: ClusterState, shape: Shape, number: int) -> bool:
    listed = state.room.where.get(number)
    if listed is None:
        return False
    pool, amount = listed
    state.books.evaluations += 1
    worker = state.worker_by_number[number]
    kept = kept_for_less(state, worker, band=-1)
    if not fits(shape.need, plus(amount, kept)):
        return False
    if not any(pool is candidate for candidate in state.room.candidates(shape)):
        return False
    if any(kept):
        return True  # It may pass, or its band may be the more urgent.
    if not shape.hosts:
        return not spare_is_wanted(state, shape, pool)
    slice_ = state.slices[worker.slice]
    return slice_.number in pool.slices and gang_fits(state, shape, slice_)


# ---- serving -----------------------------------------------------------------------------------


def _serve_strictly(state: ClusterState) -> Iterator[de.Decision]:
    """Head of line: the first unit of all goes next, or nobody does."""
    waiting = state.waiting
    while (key := first_in_line(state)) is not None:
        if key.shape in waiting.blocked:
            return
        placement = _try(state, key, waiting.queues[key].head())
        if placement is None:
            waiting.block(key.shape)
            return
        yield placement


def _serve(state: ClusterState) -> Iterator[de.Decision]:
    """In order, whoever fits; those who do not are passed as the policy allows."""
    waiting = state.waiting
    holding = state.spec.scheduler.backfill is Backfill.HOLD
    heap, drawn_up = _line(state), waiting.unblocked
    served_above: int | None = None  # None: nobody above the one whose turn it is was looked at
    while heap or waiting.unblocked != drawn_up:
        if waiting.unblocked != drawn_up:
            # A placement has made room for others: they line up among those who are left.
            heap, drawn_up = _line(state), waiting.unblocked
            continue
        place, number, key = heap[0]
        if key not in waiting.active:
            heappop(heap)
            continue
        head = waiting.queues[key].head()
        now_at = served_at(state, key, head)
        if now_at != place:
            heapreplace(heap, (now_at, number, key))
            continue
        placement = _try(state, key, head)
        if placement is None and holding:
            placement = _pass(state, key.shape)
            releases = [] if placement is not None else make_way(state, key, head)
            if releases:
                yield from releases
                continue
        if placement is None:
            waiting.block(key.shape)
            yield from make_room(state, key.shape)
            continue
        if key.band != served_above:
            served_above = key.band
            yield from make_room_above(state, key.band)
            continue
        if holding and (kept := keep_for(state, now_at, placement)) is not None:
            # Somebody earlier keeps room from now on: look again whether this one still fits.
            yield kept
            continue
        yield placement


def _line(state: ClusterState) -> list[tuple[ServedAt, int, QueueKey]]:
    """A heap of the queues that may be served, by the place of their heads in the order."""
    waiting = state.waiting
    heads = ((key, waiting.queues[key].head()) for key in waiting.active)
    line = [(served_at(state, key, head), i, key) for i, (key, head) in enumerate(heads)]
    heapify(line)
    return line


def _pass(state: ClusterState, shape: Shape) -> de.Placement | None:
    """A place that is kept for somebody, for whichever head of a shape may use it meanwhile."""
    waiting = state.waiting
    if not state.holds:
        return None
    heads = [(served_at(state, k, waiting.queues[k].head()), k) for k in waiting.by_shape[shape]]
    for (*_, head), key in sorted(heads, key=lambda entry: entry[0]):
        placement = may_pass(state, key, head)
        if placement is not None:
            return placement
    return None


def _try(state: ClusterState, key: QueueKey, unit: Unit) -> de.Placement | None:
    job = state.job_by_number[unit.job]
    if unit.member == GANG:
        return place_gang(state, job, key.shape)
    worker = best_host(state, key.shape)
    if worker is None:
        return None
    task = job.tasks[unit.member]
    return de.Placement(job.id, (task.id,), (state.worker_by_number[worker].id,), de.BEST_FIT)
