"""Where there is room now: the open amounts of schedulable hosts, indexed for best fit.

Hosts of one pool with the same open amount share a bucket, and the amounts are kept in order, so
that the best fit is the first amount in the order that covers the need, whatever the number of
hosts. The index holds only hosts that may get work. It is derived from the state and holds no
truth of its own.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence

from iris.core.fit import Shape, preference, refusal
from iris.core.ids import GroupName, Zone
from iris.core.resources import Resources, fits
from iris.core.spec import GroupSpec


class Pool:
    """One group in one zone: its hosts with room, by how much."""

    __slots__ = ("amounts", "buckets", "group", "kin", "rank", "slices", "zone")

    def __init__(self, group: GroupSpec, zone: Zone, rank: int) -> None:
        self.group = group
        self.zone = zone
        self.rank = rank
        """Its place in the configuration."""
        self.kin: tuple[tuple[GroupName, Zone], ...] = ()
        """The pools that draw on the same (zone, type), itself among them."""
        self.amounts: list[Resources] = []
        """The distinct open amounts, ascending."""
        self.buckets: dict[Resources, list[int]] = {}
        """The numbers of the workers with each amount, ascending."""
        self.slices: list[int] = []
        """The numbers of slices that a gang may look at, ascending."""

    def put(self, worker: int, amount: Resources) -> None:
        """List a worker under its open amount."""
        bucket = self.buckets.get(amount)
        if bucket is None:
            self.buckets[amount] = [worker]
            insort(self.amounts, amount)
        else:
            insort(bucket, worker)

    def take(self, worker: int, amount: Resources) -> None:
        """Take a worker off the list."""
        bucket = self.buckets[amount]
        if len(bucket) == 1:
            del self.buckets[amount]
            del self.amounts[bisect_left(self.amounts, amount)]
        else:
            del bucket[bisect_left(bucket, worker)]

    def best(self, need: Resources) -> Resources | None:
        """The fullest amount that covers the need; nothing when no host does."""
        amounts = self.amounts
        for index in range(bisect_left(amounts, need), len(amounts)):
            if fits(need, amounts[index]):
                return amounts[index]
        return None


class Room:
    """All pools, and the ranking of pools for each shape."""

    __slots__ = ("_rankings", "pools", "where")

    def __init__(self) -> None:
        self.pools: dict[tuple[GroupName, Zone], Pool] = {}
        self.where: dict[int, tuple[Pool, Resources]] = {}
        self._rankings: dict[Shape, tuple[tuple[Pool, ...], ...]] = {}

    def configure(self, groups: Sequence[GroupSpec]) -> None:
        """Start anew with the pools of these groups; workers must be listed again."""
        self.pools = {}
        self.where = {}
        self._rankings = {}
        for group in groups:
            for zone in group.zones:
                self.pools[group.name, zone] = Pool(group, zone, len(self.pools))
        for pool in self.pools.values():
            pool.kin = tuple(
                key
                for key, other in self.pools.items()
                if other.zone == pool.zone
                and other.group.accelerator_type == pool.group.accelerator_type
            )

    def list_worker(self, worker: int, pool: Pool, amount: Resources | None) -> bool:
        """List a worker anew, or (no amount) not at all; true when it has more room than before."""
        old = self.where.get(worker)
        if old is not None:
            if old[1] == amount:
                return False
            pool.take(worker, old[1])
            del self.where[worker]
        if amount is None:
            return False
        pool.put(worker, amount)
        self.where[worker] = (pool, amount)
        return old is None or not fits(amount, old[1])

    def ranking(self, shape: Shape) -> tuple[tuple[Pool, ...], ...]:
        """The pools that can serve a shape, best-suited rank first."""
        known = self._rankings.get(shape)
        if known is not None:
            return known
        ranks: dict[tuple[int, int], list[Pool]] = {}
        for pool in self.pools.values():
            if refusal(shape, pool.group, pool.zone) is None:
                ranks.setdefault(preference(shape, pool.group, pool.zone), []).append(pool)
        ranking = tuple(tuple(ranks[rank]) for rank in sorted(ranks))
        self._rankings[shape] = ranking
        return ranking

    def forget_shapes(self, used: Mapping[Shape, object]) -> None:
        """Drop what is remembered of shapes that nobody uses."""
        self._rankings = {s: r for s, r in self._rankings.items() if s in used}

    def candidates(self, shape: Shape) -> Iterator[Pool]:
        """Every pool that can serve a shape, best-suited first."""
        for rank in self.ranking(shape):
            yield from rank
