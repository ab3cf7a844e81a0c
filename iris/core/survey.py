"""What every pool says to a shape, in one state: found out once, for whoever explains many jobs of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from iris.core.blockers import blocker_of, limits_of, slices_by_pool, workers_of
from iris.core.fit import Shape, refusal
from iris.core.lifecycle import COMING
from iris.core.over_quota import over_quota
from iris.core.placing import spare_is_wanted
from iris.core.reasons import Limit, NextEvent, OverQuota, PoolReason, UnderWay, Verdict
from iris.core.records import Slice, Worker
from iris.core.room import Pool
from iris.core.state import ClusterState
from iris.core.tallies import PoolKey
from iris.core.usual import usual_coming
from iris.core.waiting import QueueKey


class AtNoCost:
    """While it is entered, what is asked of the deciding functions does not count as work of a turn."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._before = state.books.evaluations

    def __enter__(self) -> None:
        """Nothing has happened yet."""

    def __exit__(self, *error: object) -> None:
        """As it was before."""
        self._state.books.evaluations = self._before


class Survey:
    """The pools of a state between two turns; good until the next one."""

    def __init__(self, state: ClusterState) -> None:
        self.state = state
        self.renew()

    def renew(self) -> None:
        """Forget what was found out: there was a turn."""
        self._slices: Mapping[PoolKey, Sequence[Slice]] | None = None  # None: nobody has asked
        self._told: dict[Shape, tuple[PoolReason, ...]] = {}
        self._limits: dict[PoolKey, tuple[Limit, ...]] = {}
        self._coming: dict[Shape, tuple[UnderWay, ...]] = {}
        self._stops: dict[Shape, tuple[PoolReason, ...]] = {}
        self._over: dict[QueueKey, OverQuota | None] = {}
        self.in_vain: dict[Shape, tuple[Verdict, Callable[[], NextEvent]]] = {}
        """What was found for shapes that have no room, and for which nothing is kept."""

    @property
    def slices(self) -> Mapping[PoolKey, Sequence[Slice]]:
        """The slices of each pool; most headlines are told without."""
        if self._slices is None:
            self._slices = slices_by_pool(self.state)
        return self._slices

    def pools(self, shape: Shape) -> tuple[PoolReason, ...]:
        """What each pool says to a shape, in the order of the configuration."""
        told = self._told.get(shape)
        if told is None:
            with AtNoCost(self.state):
                told = tuple(self._pool(shape, pool) for pool in self.state.room.pools.values())
            self._told[shape] = told
        return told

    def _pool(self, shape: Shape, pool: Pool) -> PoolReason:
        slices = self.slices[pool.group.name, pool.zone]
        return replace(
            self._stop(shape, pool),
            looked_at=sum(len(it.workers) - it.workers.count(None) for it in slices),
            blocker=blocker_of(self.state, shape, pool, slices),
        )

    def over(self, key: QueueKey) -> OverQuota | None:
        """What the quota of a queue's user lacks for its next unit; nothing when it may start."""
        if key not in self._over:
            self._over[key] = over_quota(self.state, key)
        return self._over[key]

    def stops(self, shape: Shape) -> tuple[PoolReason, ...]:
        """Of each pool whether it would be asked for slices, and what stops that: nobody is looked at."""
        told = self._stops.get(shape)
        if told is None:
            pools = self.state.room.pools.values()
            told = self._stops[shape] = tuple(self._stop(shape, pool) for pool in pools)
        return told

    def _stop(self, shape: Shape, pool: Pool) -> PoolReason:
        bought = is_bought(shape, pool)
        return PoolReason(
            group=pool.group.name,
            zone=pool.zone,
            looked_at=0,
            blocker=None,
            can_serve=refusal(shape, pool.group, pool.zone) is None,
            is_bought=bought,
            limits=self._limits_of(pool) if bought else (),
        )

    def _limits_of(self, pool: Pool) -> tuple[Limit, ...]:
        key = pool.group.name, pool.zone
        told = self._limits.get(key)
        if told is None:
            told = self._limits[key] = tuple(limits_of(self.state, pool))
        return told

    def under_way(self, shape: Shape) -> tuple[UnderWay, ...]:
        """The slices that are coming and will serve a shape, if nobody else is served of them before."""
        told = self._coming.get(shape)
        if told is None:
            told = tuple(
                it
                for pool in self.state.room.candidates(shape)
                if not spare_is_wanted(self.state, shape, pool)
                for it in self._coming_of(pool)
            )
            self._coming[shape] = told
        return told

    def _coming_of(self, pool: Pool) -> Iterator[UnderWay]:
        key = pool.group.name, pool.zone
        if self.state.coming.get(key):
            coming = [slice_ for slice_ in self.slices[key] if slice_.state in COMING]
            usual = usual_coming(self.state, pool.group.name, pool.zone)
            for it in coming:
                assert it.deadline is not None, it  # Whatever is coming has one.
                yield UnderWay(it.id, it.group, it.state, it.requested_at, usual, it.deadline)

    def workers(self, shape: Shape) -> Iterator[Worker]:
        """The workers of all pools that can serve a shape, best-suited pools first."""
        for pool in self.state.room.candidates(shape):
            yield from workers_of(self.state, self.slices[pool.group.name, pool.zone])


def is_bought(shape: Shape, pool: Pool) -> bool:
    """Whether slices of a pool are asked for when a shape waits: no accelerator for CPU work."""
    guest = shape.accelerator is None and pool.group.accelerator is not None
    return refusal(shape, pool.group, pool.zone) is None and not guest
