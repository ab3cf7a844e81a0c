"""What keeps a shape out of a pool now, and what keeps the pool from getting slices: in numbers.

The blocker is the first refusal of the very functions that place work; the limits are those that
the autoscaler obeys. Both are read from the state as it is between two turns.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from iris.core import gates
from iris.core.autoscaler import reservation_left
from iris.core.deadlines import Due
from iris.core.due import due_at
from iris.core.events import CreateFailure
from iris.core.fit import Lack, Shape, lacks, refusal
from iris.core.lifecycle import SliceState
from iris.core.placing import gang_fits, spare_is_wanted
from iris.core.reasons import Blocker, Limit
from iris.core.records import Slice, Worker
from iris.core.resources import Resources, amount, fits, minus
from iris.core.room import Pool
from iris.core.state import ClusterState
from iris.core.tallies import PoolKey

_QUOTAS: Final = (CreateFailure.QUOTA_ZONE.value, CreateFailure.QUOTA_REGION.value)
"""How a gate's reason begins that a quota has shut."""


def slices_by_pool(state: ClusterState) -> Mapping[PoolKey, Sequence[Slice]]:
    """The slices of each pool that are on the books: found once, for whoever asks about many pools."""
    found: dict[PoolKey, list[Slice]] = {key: [] for key in state.room.pools}
    for slice_ in state.slices.values():
        if slice_.gone_at is None:
            pool = state.pool_of(slice_)
            if pool is not None:
                found[pool.group.name, pool.zone].append(slice_)
    return found


def blocker_of(
    state: ClusterState, shape: Shape, pool: Pool, slices: Sequence[Slice]
) -> Blocker | None:
    """The first thing that keeps a shape out of a pool, which has these slices; nothing when it fits."""
    refused = refusal(shape, pool.group, pool.zone)
    if refused is not None:
        short = lacks(shape.need, pool.group.host) if refused.check == "host" else ()
        missing = _missing(short) if short else ""
        return Blocker(refused.check, refused.need, refused.have, lacks=short, missing=missing)
    if spare_is_wanted(state, shape, pool):
        kind = pool.group.accelerator or ""
        count = state.waiting.accelerators[kind]
        return Blocker("spare", f"no work that waits for {kind}", f"{count} waiting")
    if shape.hosts:
        return _gang_blocker(state, shape, pool, slices)
    return _task_blocker(state, shape, pool, slices)


def limits_of(state: ClusterState, pool: Pool) -> Iterator[Limit]:
    """Every limit that stops slices from being asked of a pool now; none when one may be."""
    group, books, now = pool.group, state.books, state.now
    if not books.listed:
        yield Limit("listing", 0, due_at(state, Due.OBSERVE, ""), "the cloud was not listed yet")
    existing = state.existing(group.name)
    if existing >= group.max_slices:
        detail = f"{existing} of max_slices {group.max_slices} exist"
        yield Limit("max_slices", group.max_slices - existing, None, detail)
    left = reservation_left(state, group)
    if group.reservation is not None and left <= 0:
        yield Limit("reservation", left, None, f"reservation {group.reservation} is used up")
    until = gates.blocked_until(state, pool)
    if until is not None:
        why = _gate_says(state, pool)
        check = "quota" if why.startswith(_QUOTAS) else "gate"
        detail = f"{group.accelerator_type} in {pool.zone} is blocked ({why})"
        yield Limit(check, 0, until if until < gates.FOREVER else None, detail)
    window, coming = gates.window_of(state, pool), _coming_of_type(state, pool)
    if coming >= window:
        yield Limit("window", window - coming, None, f"{coming} coming of a window of {window}")
    paused = books.creates_paused_until
    if paused is not None and paused > now:
        yield Limit("pause", 0, paused, "the cloud refused the rate of creates")
    if gates.tokens_at(state, now) < gates.TOKEN:
        yield Limit("tokens", 0, gates.next_token(state, now), "the bucket of creates is empty")


def _gate_says(state: ClusterState, pool: Pool) -> str:
    """Why the gate is shut that is shut longest for a pool."""
    until = gates.blocked_until(state, pool)
    return next(
        gate.why
        for _, gate in sorted(state.gates.items())
        if gate.zone == pool.zone and gate.blocked_until == until
    )


def _coming_of_type(state: ClusterState, pool: Pool) -> int:
    return sum(
        state.coming.get((group.name, pool.zone), 0)
        for group in state.spec.groups
        if group.accelerator_type == pool.group.accelerator_type
    )


def workers_of(state: ClusterState, slices: Sequence[Slice]) -> Iterator[Worker]:
    """The workers of some slices that are on the books."""
    workers = state.workers
    for slice_ in slices:
        for name in slice_.workers:
            if name is not None:
                yield workers[name]


def _task_blocker(
    state: ClusterState, shape: Shape, pool: Pool, slices: Sequence[Slice]
) -> Blocker | None:
    if not pool.amounts:
        have = f"0 of {sum(1 for _ in workers_of(state, slices))}"
        return Blocker("workers", "1 that may have work", have, missing="1 worker")
    roomy = list(roomy_hosts(state, shape, pool))
    if any(worker.id not in shape.avoid for worker in roomy):
        return None
    if roomy:
        need = "a host on which no launch of it failed"
        have = f"{len(roomy)} with room, all of which failed it"
        return Blocker("avoid", need, have, missing="1 host")
    for worker in held_hosts(state, shape, pool):
        return _room_blocker("held", shape, worker, state.room.where[worker.number][1])
    free = min(pool.amounts, key=lambda it: (_shortage(shape.need, it), pool.buckets[it][0]))
    return _room_blocker("room", shape, state.worker_by_number[pool.buckets[free][0]], free)


def roomy_hosts(state: ClusterState, shape: Shape, pool: Pool) -> Iterator[Worker]:
    """The hosts of a pool on which one task of a shape fits, be they to be avoided or not."""
    for open_amount in pool.amounts:
        if fits(shape.need, open_amount):
            yield from (state.worker_by_number[n] for n in pool.buckets[open_amount])


def held_hosts(state: ClusterState, shape: Shape, pool: Pool) -> Iterator[Worker]:
    """The hosts of a pool on which one task of a shape would fit, were nothing kept for others there."""
    names = dict.fromkeys(name for hold in state.holds.values() for name in hold.workers)
    for worker in sorted((state.workers[name] for name in names), key=lambda it: it.number):
        listed = state.room.where.get(worker.number)
        if listed is not None and listed[0] is pool and worker.id not in shape.avoid:
            if fits(shape.need, minus(worker.offers, worker.committed)):
                yield worker


def _shortage(need: Resources, free: Resources) -> tuple[int, tuple[int, ...]]:
    """How far a host is from having the room: dimensions that lack, then by how much."""
    short = lacks(need, free)
    return len(short), tuple(lack.need - lack.have for lack in short)


def _room_blocker(check: str, shape: Shape, worker: Worker, free: Resources) -> Blocker:
    short = lacks(shape.need, free)
    first = short[0]
    need, have = amount(first.dimension, first.need), amount(first.dimension, max(0, first.have))
    return Blocker(check, need, have, worker.id, short, _missing(short))


def _missing(short: tuple[Lack, ...]) -> str:
    """By how much the first dimension that lacks falls short."""
    return amount(short[0].dimension, short[0].need - max(0, short[0].have))


def _gang_blocker(
    state: ClusterState, shape: Shape, pool: Pool, slices: Sequence[Slice]
) -> Blocker | None:
    numbers = frozenset(pool.slices)
    whole = [s for s in slices if s.number in numbers]
    if any(gang_fits(state, shape, slice_) for slice_ in whole):
        return None
    if not whole:
        ready = [s for s in slices if s.state is SliceState.READY]
        if not ready:
            have = f"0 of {len(slices)}"
            return Blocker("slices", "1 that is ready", have, missing="1 slice")
        used = sum(1 for s in ready if s.chips_used)
        have = f"{len(ready)} ready: {used} in use, {len(ready) - used} kept free of new work"
        need = "1 ready slice of which no chip is used"
        return Blocker("whole", need, have, missing="1 slice")
    held = [s for s in whole if all_but_held(state, shape, s)]
    counts = {s.number: _hosts_that_fit(state, shape, s) for s in held or whole}
    nearest = max(held or whole, key=lambda s: (counts[s.number], -s.number))
    count = counts[nearest.number]
    first = next(w for w in _members(state, nearest) if not _host_fits(state, shape, w))
    listed = state.room.where.get(first.number)
    short = lacks(shape.need, listed[1]) if listed is not None else ()
    check = "held" if held else "room"
    need = f"{shape.hosts} hosts of one slice with room"
    missing = (
        f"{shape.hosts - count} host"
        if shape.hosts - count == 1
        else f"{shape.hosts - count} hosts"
    )
    return Blocker(check, need, f"{count}", nearest.id, short, missing)


def _members(state: ClusterState, slice_: Slice) -> list[Worker]:
    return [state.workers[name] for name in slice_.workers if name is not None]


def _host_fits(state: ClusterState, shape: Shape, worker: Worker) -> bool:
    listed = state.room.where.get(worker.number)
    return listed is not None and worker.id not in shape.avoid and fits(shape.need, listed[1])


def _hosts_that_fit(state: ClusterState, shape: Shape, slice_: Slice) -> int:
    return sum(1 for worker in _members(state, slice_) if _host_fits(state, shape, worker))


def all_but_held(state: ClusterState, shape: Shape, slice_: Slice) -> bool:
    """Whether only what is kept for others makes a slice too small."""
    return all(
        worker.number in state.room.where
        and worker.id not in shape.avoid
        and fits(shape.need, minus(worker.offers, worker.committed))
        for worker in _members(state, slice_)
    )
