"""Which slices to ask for, and which to give up.

Demand is what the placement of this turn could not serve, tried dry on the slices that are coming:
the same fit, the same ranking of pools, the same order. What is left over is asked for, group by
group in the order of priority, price and the zone's record, all of it at once within the gates.
Amounts are counted by shape, never task by task, so that ten thousand waiting tasks cost what one
costs.

What is idle for long enough, wanted by nobody, and above the floor is drained and given back.
"""

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from iris.core import decisions as de
from iris.core import gates
from iris.core.deadlines import Due
from iris.core.effects import Accepted, Refusal, Rejected
from iris.core.fit import Shape
from iris.core.ids import GroupName, WorkerId, slice_id
from iris.core.instant import Instant, Millis, after, since
from iris.core.lifecycle import COMING, SliceState
from iris.core.order import queues_in_order
from iris.core.placing import spare_is_wanted
from iris.core.records import Slice
from iris.core.resources import Resources, copies, fits, minus, times
from iris.core.room import Pool
from iris.core.spec import GroupSpec
from iris.core.state import ClusterState


@dataclass(slots=True)
class _Coming:
    """The capacity of one pool that is on its way, as far as the dry run has not given it out."""

    whole: int
    """Slices of which nothing is given out."""
    amounts: list[Resources] = field(default_factory=list)
    """Distinct open amounts of hosts of slices that were broken into, ascending."""
    hosts: dict[Resources, int] = field(default_factory=dict)
    """How many hosts have each amount."""

    def put(self, amount: Resources, count: int) -> None:
        """More hosts with an open amount."""
        if amount not in self.hosts:
            insort(self.amounts, amount)
        self.hosts[amount] = self.hosts.get(amount, 0) + count

    def take(self, amount: Resources, count: int) -> None:
        """Fewer hosts with an open amount."""
        self.hosts[amount] -= count
        if not self.hosts[amount]:
            del self.hosts[amount]
            self.amounts.remove(amount)


def plan_capacity(state: ClusterState) -> Iterator[de.Decision]:
    """Requests and drains, if anything that they depend on has changed."""
    yield from _operator(state)
    state.waiting.changed = False
    state.waiting.had_demand = bool(state.waiting.queues)
    planner = Planner(state)
    while True:
        asked = False
        for request in planner.requests():
            asked = True
            yield request
        if not asked:
            break
        # What was asked for may suit others better than what was coming: the plan must stand then.
        planner = Planner(state)
    yield from _idle(state, planner)
    yield from _barred(state, planner)
    if planner.try_again_at != state.books.scale_at:
        state.books.scale_at = planner.try_again_at
        state.arm(Due.SCALE, "")


def _operator(state: ClusterState) -> Iterator[de.Decision]:
    for request in state.news.creations:
        group = state.groups.get(request.group)
        if group is None:
            names = ", ".join(sorted(state.groups)) or "none"
            why = f"group {request.group} is not configured; there are: {names}"
            yield de.Answer(request.request, Rejected(why, Refusal.UNKNOWN))
            continue
        pool = _first_open(state, group)
        if pool is None:
            why = f"group {group.name} is at max_slices, or the cloud has refused it lately"
            yield de.Answer(request.request, Rejected(why, Refusal.CONFLICT))
            continue
        keep_until = after(state.now, request.keep)
        granted = _request(state, pool, "an operator asked for it", keep_until)
        yield granted
        yield de.Answer(request.request, Accepted(slice=granted.slice))


def _first_open(state: ClusterState, group: GroupSpec) -> Pool | None:
    planner = Planner(state)
    return planner.best_of(planner.pools_of(group))


def _request(
    state: ClusterState, pool: Pool, why: str, keep_until: Instant | None = None
) -> de.SliceRequest:
    name = slice_id(pool.group.name, state.books.slices_minted + 1)
    return de.SliceRequest(name, pool.group.name, pool.zone, keep_until, why)


class Planner:
    """One dry run: what is coming, what is given out of it, and what must be asked for."""

    def __init__(self, state: ClusterState) -> None:
        self.state = state
        self._coming: dict[tuple[str, str], _Coming] | None = None  # None: nobody has asked
        self.wanted: dict[tuple[str, str], None] = {}
        """Pools that waiting work could use."""
        self.barred: dict[WorkerId, None] = {}
        """Hosts on which launches of waiting work have failed, and nothing else can be had for it now."""
        self.try_again_at: Instant | None = None
        self.unmet: dict[GroupName, int] = {}
        """By group, the waiting units for which it was to be asked for more, and could not be."""

    @property
    def coming(self) -> dict[tuple[str, str], _Coming]:
        """By pool, what was coming when it was first asked for, less what was given out since."""
        if self._coming is None:
            state = self.state
            self._coming = {
                key: _Coming(count)
                for key, count in state.coming.items()
                if count and key in state.room.pools
            }
        return self._coming

    def requests(self) -> Iterator[de.SliceRequest]:
        """Floors first, then demand in its order, then buffers."""
        for group in self.state.spec.groups:
            missing = group.min_slices - standing(self.state, group)
            if missing > 0:
                yield from self._ask(self.pools_of(group), missing, "below min_slices")
        for key in queues_in_order(self.state):
            count = len(self.state.waiting.queues[key])
            yield from self._serve(key.shape, count)
        for group in self.state.spec.groups:
            if group.buffer_slices:
                missing = group.buffer_slices - self.spare(group)
                if missing > 0:
                    yield from self._ask(self.pools_of(group), missing, "below buffer_slices")

    # ---- the dry run -----------------------------------------------------------------------

    def _serve(self, shape: Shape, count: int) -> Iterator[de.SliceRequest]:
        left = count
        for rank in self.state.room.ranking(shape):
            for pool in rank:
                if spare_is_wanted(self.state, shape, pool):
                    continue
                self.wanted[pool.group.name, pool.zone] = None
                left -= self._give(pool, shape, left)
        if left <= 0:
            return
        for pools in self._routes(shape):
            each = _capacity(shape, pools[0].group)
            for request in self._ask(pools, -(-left // each), f"{left} waiting"):
                yield request
                left -= self._give(self.state.room.pools[request.group, request.zone], shape, left)
            if left <= 0:
                return
            name = pools[0].group.name
            self.unmet[name] = self.unmet.get(name, 0) + left
        self.barred.update(dict.fromkeys(shape.avoid))

    def _give(self, pool: Pool, shape: Shape, count: int) -> int:
        """Give coming capacity of a pool to `count` units of a shape; returns how many it serves."""
        coming = self.coming.get((pool.group.name, pool.zone))
        if coming is None or count <= 0:
            return 0
        self.state.books.evaluations += 1
        if shape.hosts:
            served = min(coming.whole, count)
            coming.whole -= served
            return served
        served = self._fill(coming, shape.need, count)
        while served < count and coming.whole:
            each = _capacity(shape, pool.group)
            opened = min(coming.whole, -(-(count - served) // each))
            coming.whole -= opened
            coming.put(pool.group.host, opened * pool.group.hosts)
            served += self._fill(coming, shape.need, count - served)
        return served

    def _fill(self, coming: _Coming, need: Resources, count: int) -> int:
        """Place `count` tasks on broken slices, fullest hosts first, many hosts at a time."""
        served = 0
        for amount in list(coming.amounts):
            self.state.books.evaluations += 1
            if served == count:
                break
            if not fits(need, amount):
                continue
            each = copies(need, amount)
            full = min(coming.hosts[amount], (count - served) // each)
            if full:
                coming.take(amount, full)
                coming.put(minus(amount, times(need, each)), full)
                served += full * each
            rest = min(count - served, each)
            if rest and coming.hosts.get(amount):
                coming.take(amount, 1)
                coming.put(minus(amount, times(need, rest)), 1)
                served += rest
        return served

    def spare(self, group: GroupSpec) -> int:
        """Slices of a group, ready or coming, that nothing is given to."""
        idle = len(self.state.idle.get(group.name, ()))
        whole = sum(c.whole for (name, _), c in self.coming.items() if name == group.name)
        return idle + whole

    # ---- routing ---------------------------------------------------------------------------

    def _routes(self, shape: Shape) -> Iterator[list[Pool]]:
        """The pools to ask for a shape, one group after the other, the best group first."""
        groups: dict[str, GroupSpec] = {}
        able: dict[str, list[Pool]] = {}
        for rank in self.state.room.ranking(shape):
            for pool in rank:
                if shape.accelerator is None and pool.group.accelerator is not None:
                    continue  # No accelerator is bought for work that needs none.
                groups[pool.group.name] = pool.group
                able.setdefault(pool.group.name, []).append(pool)
        for name in sorted(groups, key=lambda n: _group_rank(groups[n])):
            yield able[name]

    def pools_of(self, group: GroupSpec) -> list[Pool]:
        """A group's pools, in the order of its zones."""
        return [self.state.room.pools[group.name, zone] for zone in group.zones]

    def best_of(self, pools: list[Pool]) -> Pool | None:
        """The pool of a group to ask next: of those that may be asked, the best zone, then the emptiest."""
        if self._room(pools[0].group) <= 0:
            return None
        tokens = self._tokens()
        able = [pool for pool in pools if self._gate(pool) > 0]
        return min(able, key=self._zone_rank, default=None) if tokens > 0 else None

    def _zone_rank(self, pool: Pool) -> tuple[int, int, int]:
        window = gates.window_of(self.state, pool)
        present = self.state.present.get((pool.group.name, pool.zone), 0)
        return -window, present, pool.rank  # Zones of equal record share a group evenly.

    def _room(self, group: GroupSpec) -> int:
        """How many slices a group may still get, whatever its zones say."""
        state = self.state
        if not state.books.listed:
            return 0
        room = group.max_slices - state.existing(group.name)
        return min(room, reservation_left(state, group))

    def _gate(self, pool: Pool) -> int:
        until = gates.blocked_until(self.state, pool)
        if until is not None:
            if until < gates.FOREVER:
                self._wait_until(until)
            return 0
        coming = sum([self.state.coming.get(key, 0) for key in pool.kin])
        return gates.window_of(self.state, pool) - coming

    def _tokens(self) -> int:
        now = self.state.now
        paused = self.state.books.creates_paused_until
        if paused is not None and paused > now:
            self._wait_until(paused)
            return 0
        whole = gates.tokens_at(self.state, now) // gates.TOKEN
        if whole <= 0:
            self._wait_until(gates.next_token(self.state, now))
        return whole

    def _wait_until(self, at: Instant) -> None:
        if self.try_again_at is None or at < self.try_again_at:
            self.try_again_at = at

    def _ask(self, pools: list[Pool], count: int, why: str) -> Iterator[de.SliceRequest]:
        for _ in range(count):
            pool = self.best_of(pools)
            if pool is None:
                return
            key = (pool.group.name, pool.zone)
            # Entered before it is asked for: whoever is served of it looks at once.
            self.coming.setdefault(key, _Coming(0)).whole += 1
            yield _request(self.state, pool, why)


def _group_rank(group: GroupSpec) -> tuple[int, int]:
    """Of two groups that are alike in this the one that the shape prefers goes first."""
    return group.priority, group.price_per_hour


def _capacity(shape: Shape, group: GroupSpec) -> int:
    """How many units of a shape an empty slice holds."""
    return 1 if shape.hosts else group.hosts * copies(shape.need, group.host)


_STANDING: Final = tuple(s for s in SliceState if s is SliceState.READY or s in COMING)


def standing(state: ClusterState, group: GroupSpec) -> int:
    """Slices of a group that are there to stay or coming: neither draining nor on their way out."""
    tally = state.fleet.get(group.name, {})
    return sum([tally.get(s, 0) for s in _STANDING])


def reservation_left(state: ClusterState, group: GroupSpec) -> int:
    """How many slices of a group its reservation still holds, whatever sizes draw on it."""
    if group.reservation is None:
        return group.max_slices
    chips = dict(state.spec.reservations).get(group.reservation, 0)
    used = sum(
        state.existing(other.name) * other.chips
        for other in state.spec.groups
        if other.reservation == group.reservation
    )
    return (chips - used) // group.chips


# ---- giving back -------------------------------------------------------------------------------


def _idle(state: ClusterState, planner: Planner) -> Iterator[de.SliceDrain]:
    for group in state.spec.groups:
        surplus = standing(state, group) - group.min_slices
        if surplus <= 0:
            continue
        spare = planner.spare(group) - group.buffer_slices
        for idle_since, number in list(state.idle.get(group.name, ())):
            slice_ = state.slice_by_number[number]
            if surplus <= 0 or spare <= 0:
                break
            if since(idle_since, state.now) < state.spec.autoscaler.idle_timeout:
                break
            if not _is_free(state, slice_, planner):
                continue
            surplus -= 1
            spare -= 1
            yield de.SliceDrain(slice_.id, "idle for idle_timeout and wanted by nobody")


def _barred(state: ClusterState, planner: Planner) -> Iterator[de.SliceDrain]:
    """Idle slices that stand in the way of their own replacement: floors and limits count them."""
    timeout = state.spec.autoscaler.idle_timeout
    for name in dict.fromkeys(state.workers[w].slice for w in planner.barred if w in state.workers):
        idle_since = state.slices[name].idle_since
        if idle_since is not None and since(idle_since, state.now) >= timeout:
            yield de.SliceDrain(name, "launches of work that waits for a host have failed on it")


def _is_free(state: ClusterState, slice_: Slice, planner: Planner) -> bool:
    """Whether nobody wants an idle slice: no operator, no holder, no waiting work that could use it."""
    if slice_.keep_until is not None and slice_.keep_until > state.now:
        return False
    if any(w is not None and state.workers[w].holds for w in slice_.workers):
        return False
    if slice_.live and _has_new_work(state, slice_):
        planner.try_again_at = after(state.now, Millis(1))
        return False
    return not (state.may_work(slice_) and (slice_.group, slice_.zone) in planner.wanted)


def _has_new_work(state: ClusterState, slice_: Slice) -> bool:
    """Whether work came to a slice, on the spare cores of its accelerators, in this very turn."""
    return any(
        state.tasks[task].attempts[-1].assigned_at == state.now
        for name in slice_.workers
        if name is not None
        for task in state.workers[name].attempts
    )
