"""What is kept beside the tables equals what the tables say: every cached sum and index, told anew.

The sums and indexes are there for speed; each has one writer in `iris.core.state`. Here they are worked
out from the tables by the plainest means, without their writers, and compared. Last comes the promise
that the waiting index makes: whoever waits, fits nowhere.
"""

from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias, TypeVar

from iris.core.fit import Shape, shape_of, weight_of
from iris.core.ids import GroupName, SliceId, UserName, WorkerId, Zone
from iris.core.instant import Instant
from iris.core.lifecycle import COMING, AttemptState, SliceState, WorkerState
from iris.core.placing import best_host, first_in_line, place_gang
from iris.core.records import Slice, Worker
from iris.core.resources import Resources
from iris.core.soundness import Predicate, Sight
from iris.core.spec import Backfill
from iris.core.state import ClusterState
from iris.core.waiting import GANG, QueueKey, Unit

_PoolKey: TypeAlias = tuple[GroupName, Zone]
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def differ(what: str, cached: Mapping[_Key, _Value], told: Mapping[_Key, _Value]) -> Iterator[str]:
    """A sentence for every key under which two tables disagree; what is absent and what is nothing agree."""
    for key in (*cached, *(k for k in told if k not in cached)):
        here, there = cached.get(key), told.get(key)
        if here != there and (here or there):
            yield f"{what} {key}: cached {here}, recomputed {there}"


# ---- sums --------------------------------------------------------------------------------------


def sums_of_attempts(sight: Sight) -> Iterator[str]:
    """V-01: what a slice, a pool and a user have in use is the sum over unfinished attempts."""
    state = sight.state
    live: dict[SliceId, int] = {}
    chips: dict[SliceId, int] = {}
    bands: dict[_PoolKey, list[int]] = {}
    leaving: dict[WorkerId, int] = {}
    rates: dict[tuple[int, UserName], int] = {}
    for job, _, attempt in sight.live:
        slice_ = state.slices.get(attempt.slice)
        if slice_ is None:
            continue  # V-01 speaks of its worker already.
        spec = job.spec
        live[slice_.id] = live.get(slice_.id, 0) + 1
        chips[slice_.id] = chips.get(slice_.id, 0) + spec.resources.chips
        bands.setdefault((slice_.group, slice_.zone), [0, 0, 0])[spec.band] += 1
        if attempt.state is AttemptState.STOPPING:
            leaving[attempt.worker] = leaving.get(attempt.worker, 0) + 1
        user = (int(spec.band), spec.user)
        rates[user] = rates.get(user, 0) + weight_of(spec.resources)
    slices = state.slices.values()
    yield from differ("V-01 live attempts of", {s.id: s.live for s in slices}, live)
    yield from differ("V-01 chips in use on", {s.id: s.chips_used for s in slices}, chips)
    counted = {key: counts for key, counts in state.bands_on.items() if any(counts)}
    yield from differ("V-01 attempts by band on", counted, bands)
    yield from differ("V-01 stopping attempts on", state.leaving, leaving)
    used = {key: usage.rate for key, usage in state.usage.items()}
    yield from differ("V-01 rate of use of", used, rates)


def tasks_that_never_ran(sight: Sight) -> Iterator[str]:
    """V-03: a job knows how many of its tasks no attempt has run yet."""
    for job in sight.open_jobs:
        told = sum(1 for t in job.tasks if all(a.started_at is None for a in t.attempts))
        if job.never_ran != told:
            yield f"V-03 job {job.id} counts {job.never_ran} tasks that never ran, there are {told}"


def sums_of_slices(sight: Sight) -> Iterator[str]:
    """V-07: slices are counted by group and state, those that are coming by pool, the idle ones in order."""
    state = sight.state
    fleet: dict[tuple[GroupName, SliceState], int] = {}
    coming: dict[_PoolKey, int] = {}
    present: dict[_PoolKey, int] = {}
    idle: dict[GroupName, list[tuple[Instant, int]]] = {}
    for slice_ in state.slices.values():
        key = (slice_.group, slice_.state)
        fleet[key] = fleet.get(key, 0) + 1
        pool = (slice_.group, slice_.zone)
        if slice_.gone_at is None:
            present[pool] = present.get(pool, 0) + 1
        if slice_.state in COMING:
            coming[pool] = coming.get(pool, 0) + 1
        if slice_.idle_since is not None:
            idle.setdefault(slice_.group, []).append((slice_.idle_since, slice_.number))
        yield from _idleness(state, slice_)
    cached = {(g, s): count for g, tally in state.fleet.items() for s, count in tally.items()}
    yield from differ("V-07 slices of", cached, fleet)
    yield from differ("V-07 slices coming to", state.coming, coming)
    yield from differ("V-07 slices that may exist in", state.present, present)
    yield from differ("V-27 idle slices of", state.idle, {g: sorted(i) for g, i in idle.items()})


def _idleness(state: ClusterState, slice_: Slice) -> Iterator[str]:
    group = state.groups.get(slice_.group)
    known = (
        group is not None
        and slice_.zone in group.zones
        and slice_.accelerator_type == group.accelerator_type
    )
    accelerated = known and group is not None and group.accelerator is not None
    busy = slice_.chips_used if accelerated else slice_.live
    idle = slice_.state is SliceState.READY and not busy
    if idle is not (slice_.idle_since is not None):
        yield f"V-27 slice {slice_.id} is {'idle' if idle else 'in use'}, idle since {slice_.idle_since}"


# ---- look-ups ----------------------------------------------------------------------------------


def look_ups_lead_home(sight: Sight) -> Iterator[str]:
    """V-01: every look-up by name or number leads to the row of that name or number, and none is missing."""
    state = sight.state
    jobs, slices, workers = state.jobs.values(), state.slices.values(), state.workers.values()
    numbers = {j.number: j.id for j in jobs}
    yield from differ("V-01 job", {n: j.id for n, j in state.job_by_number.items()}, numbers)
    numbered = {s.number: s.id for s in slices}
    yield from differ("V-01 slice", {n: s.id for n, s in state.slice_by_number.items()}, numbered)
    counted = {w.number: w.id for w in workers}
    yield from differ("V-01 worker", {n: w.id for n, w in state.worker_by_number.items()}, counted)
    tasks = {t.id: j.id for j in jobs for t in j.tasks}
    yield from differ("V-01 task", {name: t.job for name, t in state.tasks.items()}, tasks)
    shapes = {j.id: shape_of(j.spec) for j in sight.open_jobs}
    yield from differ("V-01 shape of", state.shapes, shapes)
    ended = {j.id: j.id for j in jobs if j.ended_at is not None}
    listed = {name: it for it, names in state.by_state.items() for name in names}
    yield from differ("V-01 state of job", listed, {j.id: j.state for j in jobs})
    yield from differ("V-01 ended job", {name: name for name in state.ended}, ended)
    groups = {g.name: g for g in state.spec.groups}
    yield from differ("V-01 group", state.groups, groups)


def holds_are_mutual(sight: Sight) -> Iterator[str]:
    """V-06: a worker lists exactly the holds that name it, and a hold is for work that waits."""
    state = sight.state
    named: dict[WorkerId, list[tuple[str, int]]] = {}
    for key, hold in state.holds.items():
        for name in hold.workers:
            named.setdefault(name, []).append(key)
        job = state.jobs.get(hold.job)
        if key != (hold.job, hold.index) or job is None or job.ending or job.ended_at is not None:
            yield f"V-06 the hold of {hold.job} is for a job that does not wait"
            continue
        for task in state.members(job, hold.index):
            if state.live_attempt(task) is not None:
                yield f"V-06 the hold of {task.id} is for a task that runs"
    listed = {w.id: sorted(w.holds) for w in state.workers.values()}
    yield from differ("V-06 holds on", listed, {n: sorted(keys) for n, keys in named.items()})


# ---- who waits, and where there is room ---------------------------------------------------------


def waiting_is_indexed(sight: Sight) -> Iterator[str]:
    """V-22: exactly the units that wait are queued, each in its queue, and nobody in two."""
    state, waiting = sight.state, sight.state.waiting
    told: dict[QueueKey, list[Unit]] = {}
    accelerators: dict[str, int] = {}
    users: dict[tuple[UserName, QueueKey], bool] = {}
    for job in sight.open_jobs:
        for unit in state.units_of(job):
            key = state.queue_key(job, unit.member)
            told.setdefault(key, []).append(unit)
            users[key.user, key] = True
            name = job.spec.accelerator
            if name is not None and key not in waiting.held:
                accelerators[name] = accelerators.get(name, 0) + 1
    queued = {key: list(queue.units()) for key, queue in waiting.queues.items()}
    aside = {key: list(queue.units()) for key, queue in waiting.held.items()}
    for key in aside:
        if key in queued:
            yield f"V-22 queue {key} is set aside, and listed"
    yield from differ(
        "V-22 queue", {**queued, **aside}, {key: sorted(units) for key, units in told.items()}
    )
    yield from differ("V-22 waiting for", waiting.accelerators, accelerators)
    by_shape = {(s, key): True for s, keys in waiting.by_shape.items() for key in keys}
    yield from differ("V-22 shape of queue", by_shape, {(k.shape, k): True for k in queued})
    by_user = {(user, key): True for user, keys in waiting.by_user.items() for key in keys}
    yield from differ("V-22 queue of user", by_user, users)
    active = {key: True for key in waiting.queues if key.shape not in waiting.blocked}
    yield from differ("V-22 active queue", dict.fromkeys(waiting.active, True), active)
    for shape in waiting.blocked:
        if shape not in waiting.by_shape:
            yield f"V-22 shape {shape} is blocked, and nobody waits with it"


def room_is_indexed(sight: Sight) -> Iterator[str]:
    """V-22: the room index lists exactly the workers that may have work, by what they have left."""
    state = sight.state
    for worker in state.workers.values():
        slice_ = state.slices[worker.slice]
        told = _open_amount(state, slice_, worker)
        listed = state.room.where.get(worker.number)
        if (listed[1] if listed is not None else None) != told:
            yield f"V-22 worker {worker.id} is listed with {listed and listed[1]}, and has {told}"
        elif listed is not None and listed[0] is not state.pool_of(slice_):
            yield f"V-22 worker {worker.id} is listed in a pool that is not its own"
    for number in state.room.where:
        if number not in state.worker_by_number:
            yield f"V-22 worker number {number} is listed, and is not known"
    yield from _pools(state)


def _open_amount(state: ClusterState, slice_: Slice, worker: Worker) -> Resources | None:
    """What a worker may give to new work; nothing when it may have none."""
    ready = slice_.state is SliceState.READY and slice_.cordon_until is None
    if not ready or worker.state is not WorkerState.HEALTHY or worker.cordoned:
        return None
    if state.pool_of(slice_) is None:
        return None
    left = [a - b for a, b in zip(worker.offers, worker.committed, strict=True)]
    for key in worker.holds:
        left = [a - b for a, b in zip(left, state.holds[key].need, strict=True)]
    return Resources(*left)


def _pools(state: ClusterState) -> Iterator[str]:
    for key, pool in state.room.pools.items():
        told: dict[Resources, list[int]] = {}
        for number, (home, amount) in state.room.where.items():
            if home is pool:
                told.setdefault(amount, []).append(number)
        told = {amount: sorted(numbers) for amount, numbers in told.items()}
        yield from differ(f"V-22 hosts in {key} with", pool.buckets, told)
        if pool.amounts != sorted(pool.buckets):
            yield f"V-22 the amounts of {key} are not those of its hosts, in order"
        whole = sorted(
            s.number
            for s in state.slices.values()
            if state.pool_of(s) is pool
            and state.may_work(s)
            and (pool.group.accelerator is None or not s.chips_used)
        )
        if pool.slices != whole:
            yield f"V-22 slices open to gangs in {key}: listed {pool.slices}, there are {whole}"


def whoever_waits_fits_nowhere(sight: Sight) -> Iterator[str]:
    """V-22: no unit waits that fits on free capacity, unless the order itself forbids it to pass."""
    state, waiting = sight.state, sight.state.waiting
    strict = state.spec.scheduler.backfill is Backfill.NONE
    first = first_in_line(state) if strict else None
    before = state.books.evaluations
    fits: dict[Shape, bool] = {}
    for key, queue in waiting.queues.items():
        if first is not None and key != first:
            continue
        if key.shape not in fits:
            fits[key.shape] = _fits_somewhere(state, key, queue.head())
        if fits[key.shape]:
            job = state.job_by_number[queue.head().job]
            yield f"V-22 job {job.id} has a unit that waits, and there is room for it"
    state.books.evaluations = before


def _fits_somewhere(state: ClusterState, key: QueueKey, unit: Unit) -> bool:
    if unit.member == GANG:
        return place_gang(state, state.job_by_number[unit.job], key.shape) is not None
    return best_host(state, key.shape) is not None


INDEX_PREDICATES: Final[tuple[Predicate, ...]] = (
    sums_of_attempts,
    tasks_that_never_ran,
    sums_of_slices,
    look_ups_lead_home,
    holds_are_mutual,
    waiting_is_indexed,
    room_is_indexed,
    whoever_waits_fits_nowhere,
)
