"""What each user holds at once, and whether the user's quota lets one more unit start: the one rule.

A quota bounds what a user's unfinished attempts hold together, and what is bound to the user by
evictions. The scheduler, the autoscaler, admission and explanations all ask here; a queue of which
nobody may start is set aside (`iris.core.waiting`), so that it neither holds anybody up nor has
slices asked for.

Trees need more than a sum. A task that waits for its children holds its part of the quota meanwhile;
were all of it held by such tasks, nobody would ever get on. So a tree's tasks leave some of the quota
to what is deeper: a task starts only if, beside all that the user's tasks of its level and above
hold, one more task like it would fit for each level below, down to the quota's `levels`. A chain of
one task per level needs no such room. Tasks that hold chips are taken for leaves.
docs/decisions/0018 says what this guarantees, and what it does not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from iris.core.ids import JobId, UserName
from iris.core.resources import Resources
from iris.core.spec import EVERYBODY, Quota
from iris.core.waiting import QueueKey

USUAL_LEVELS: Final = 4
"""Levels for which room is kept where a quota does not say, as soon as its user's jobs have children."""

DIMENSIONS: Final = ("tasks", "chips", "cpu", "memory")


class Holding(NamedTuple):
    """What some tasks hold together; in the order of `DIMENSIONS`."""

    tasks: int = 0
    chips: int = 0
    cpu: int = 0
    """Millicores."""
    memory: int = 0
    """Bytes."""


def holding(need: Resources, tasks: int) -> Holding:
    """What so many tasks of one need hold."""
    return Holding(tasks, need.chips * tasks, need.cpu * tasks, need.memory * tasks)


def _sum(a: Holding, b: Holding) -> Holding:
    return Holding(a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3])


def depth_of(job: JobId) -> int:
    """How many jobs are above one: 0 for the root of a tree."""
    return job.count("/") - 2


@dataclass(frozen=True, slots=True)
class Shortfall:
    """The first dimension in which a quota does not let a unit start."""

    user: UserName
    dimension: str
    most: int
    """What the quota allows."""
    held: int
    """What the user holds already."""
    kept: int
    """What of the rest is left to work deeper in trees."""
    need: int


class Stake:
    """What one user holds."""

    __slots__ = ("by_depth", "children", "whole")

    def __init__(self) -> None:
        self.whole = Holding()
        self.by_depth: dict[int, Holding] = {}
        """Of tasks that may have children: those that hold no chips."""
        self.children = 0
        """Jobs below another that have not ended."""


class Stakes:
    """What every user holds who has a quota. Derived from the tables, as every index."""

    __slots__ = ("_quotas", "users")

    def __init__(self, quotas: Sequence[Quota] = ()) -> None:
        self._quotas = {quota.user: quota for quota in quotas}
        self.users: dict[UserName, Stake] = {}

    def quota_of(self, user: UserName) -> Quota | None:
        """What a user may hold; nothing when there is no limit."""
        return self._quotas.get(user) or self._quotas.get(EVERYBODY)

    def of(self, user: UserName) -> Stake:
        """What a user with a quota holds: a record of its own, though it be of nothing."""
        return self.users.get(user) or Stake()

    def book(self, job: JobId, user: UserName, need: Resources, tasks: int) -> None:
        """Enter so many tasks of a job; a negative number takes them out."""
        stake, more = self.users.setdefault(user, Stake()), holding(need, tasks)
        stake.whole = _sum(stake.whole, more)
        if not need.chips:
            depth = depth_of(job)
            stake.by_depth[depth] = _sum(stake.by_depth.get(depth, Holding()), more)
        self._forget(user, stake)

    def count_child(self, user: UserName, by: int) -> None:
        """A job below another has come, or (-1) has ended."""
        stake = self.users.setdefault(user, Stake())
        stake.children += by
        self._forget(user, stake)

    def _forget(self, user: UserName, stake: Stake) -> None:
        if not stake.whole.tasks and not stake.children:
            del self.users[user]

    # ---- the rule --------------------------------------------------------------------------

    def allows(self, key: QueueKey) -> bool:
        """Whether a unit of a queue may start, as far as its user's quota is concerned."""
        return self.shortfall(key) is None

    def shortfall(self, key: QueueKey) -> Shortfall | None:
        """What the quota lacks for a unit of a queue; nothing when it may start."""
        quota = self.quota_of(key.user)
        if quota is None:
            return None
        stake = self.of(key.user)
        asked = holding(key.shape.need, key.shape.hosts or 1)
        lack = _beyond(quota, stake.whole, asked, Holding())
        if lack is not None or asked.chips:
            return lack
        for held, below in _levels_below(stake, levels_of(quota, stake), key.level):
            lack = _beyond(quota, held, asked, holding(key.shape.need, below))
            if lack is not None:
                return lack
        return None

    def never(self, user: UserName, need: Resources, tasks: int) -> Shortfall | None:
        """What a quota lacks for a unit even when its user holds nothing else."""
        quota = self.quota_of(user)
        return _beyond(quota, Holding(), holding(need, tasks), Holding()) if quota else None


def levels_of(quota: Quota, stake: Stake) -> int:
    """For how many levels of a tree room is kept."""
    if quota.levels is not None:
        return quota.levels
    return USUAL_LEVELS if stake.children else 1


def _levels_below(stake: Stake, levels: int, level: int) -> Iterator[tuple[Holding, int]]:
    """For each level that a new task counts in: what is held down to it, and the levels below it."""
    held = Holding()
    for depth in range(levels - 1):
        held = _sum(held, stake.by_depth.get(depth, Holding()))
        # While there is no more than a chain, one task for each level, it needs no room beside it.
        if depth >= level and held.tasks > depth:
            yield held, levels - 1 - depth


def _beyond(quota: Quota, held: Holding, asked: Holding, kept: Holding) -> Shortfall | None:
    most = (quota.tasks, quota.chips, quota.cpu, quota.memory)
    for name, limit, has, more, left in zip(DIMENSIONS, most, held, asked, kept, strict=True):
        if limit is not None and has + more + left > limit:
            return Shortfall(quota.user, name, limit, has, left, more)
    return None
