"""Where a unit fits now: best fit for one task, the first whole slice for a gang."""

from iris.core import decisions as de
from iris.core.fit import Shape
from iris.core.order import served_at
from iris.core.records import Job, Slice, Task, Worker
from iris.core.resources import Resources, fits
from iris.core.room import Pool
from iris.core.state import ClusterState
from iris.core.waiting import QueueKey


def best_host(state: ClusterState, shape: Shape) -> int | None:
    """The number of the worker on which one task of a shape fits best; nothing when it fits nowhere."""
    if shape.avoid:
        return _best_allowed_host(state, shape)
    need = shape.need
    for rank in state.room.ranking(shape):
        best: tuple[Resources, int] | None = None
        for pool in rank:
            if spare_is_wanted(state, shape, pool):
                continue
            state.books.evaluations += 1
            amount = pool.best(need)
            if amount is not None:
                found = (amount, pool.buckets[amount][0])
                if best is None or found < best:
                    best = found
        if best is not None:
            return best[1]
    return None


def _best_allowed_host(state: ClusterState, shape: Shape) -> int | None:
    """The same, for a task that must avoid some workers."""
    for rank in state.room.ranking(shape):
        options: list[tuple[Resources, int]] = []
        for pool in rank:
            if spare_is_wanted(state, shape, pool):
                continue
            for amount in pool.amounts:
                state.books.evaluations += 1
                if fits(shape.need, amount):
                    options.extend(
                        (amount, number)
                        for number in pool.buckets[amount]
                        if state.worker_by_number[number].id not in shape.avoid
                    )
        if options:
            return min(options)[1]
    return None


def spare_is_wanted(state: ClusterState, shape: Shape, pool: Pool) -> bool:
    """Whether CPU work must stay off an accelerator pool, since accelerator work waits for it."""
    return (
        shape.accelerator is None
        and pool.group.accelerator is not None
        and pool.group.accelerator in state.waiting.accelerators
    )


def first_in_line(state: ClusterState) -> QueueKey | None:
    """Whose head goes next where nobody may pass; nothing when nobody waits.

    A guest that must make way on every host which could serve it holds nobody up: whoever it makes
    way for would wait for it in turn.
    """
    waiting = state.waiting
    keys = [key for key in waiting.queues if not _makes_way(state, key.shape)]
    return min(keys, key=lambda k: served_at(state, k, waiting.queues[k].head()), default=None)


def _makes_way(state: ClusterState, shape: Shape) -> bool:
    if shape.accelerator is not None or not state.waiting.accelerators:
        return False
    return all(spare_is_wanted(state, shape, pool) for pool in state.room.candidates(shape))


def place_gang(state: ClusterState, job: Job, shape: Shape) -> de.Placement | None:
    """The placement of a gang on the first slice that can take all of it, rank i on host i."""
    for rank in state.room.ranking(shape):
        for pool in rank:
            for number in pool.slices:
                slice_ = state.slice_by_number[number]
                if gang_fits(state, shape, slice_):
                    return placement_on(job, slice_, de.WHOLE_SLICE)
    return None


def has_another_host(state: ClusterState, task: Task, failed: Worker) -> bool:
    """Whether a host is up that could hold a task, were it empty, and on which it did not fail yet."""
    shape = state.shape(state.jobs[task.job], state.unit_of(task).member)
    candidates = list(state.room.candidates(shape))
    for worker in state.workers.values():
        slice_ = state.slices[worker.slice]
        together = slice_.workers if shape.hosts else [worker.id]
        if any(name == failed.id or name in shape.avoid for name in together):
            continue
        if worker.cordoned or not state.may_work(slice_):
            continue
        if state.pool_of(slice_) in candidates and fits(shape.need, worker.offers):
            return True
    return False


def placement_on(job: Job, slice_: Slice, why: str) -> de.Placement:
    """A gang on a slice."""
    workers = tuple(w for w in slice_.workers if w is not None)
    return de.Placement(job.id, tuple(t.id for t in job.tasks), workers, why)


def gang_fits(state: ClusterState, shape: Shape, slice_: Slice) -> bool:
    """Whether every host of a slice has the room for a member now."""
    where = state.room.where
    for name in slice_.workers:
        state.books.evaluations += 1
        if name is None or name in shape.avoid:
            return False
        listed = where.get(state.workers[name].number)
        if listed is None or not fits(shape.need, listed[1]):
            return False
    return True
