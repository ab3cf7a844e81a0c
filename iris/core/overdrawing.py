"""Whether quotas are kept: nobody is given more than their quota, and nobody waits for it without need.

One of the judges of `iris.core.conduct`, and two predicates. What a user holds is added up from the
tables, and the rule is worked out from its words in docs/decisions/0018: nothing is asked of
`iris.core.stakes`.
"""

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from iris.core.decisions import HoldKind
from iris.core.ids import JobId, UserName
from iris.core.recount import differ
from iris.core.resources import Resources
from iris.core.soundness import Predicate, Sight
from iris.core.spec import EVERYBODY, Quota
from iris.core.stakes import Holding
from iris.core.state import ClusterState
from iris.core.waiting import QueueKey

_LEVELS: Final = 4
"""For how many levels of a tree room is kept where nobody says how many."""

_Held: TypeAlias = tuple[int, Resources]
"""A task that holds something: how deep it is in its tree, and what it holds."""


def is_overdrawn(state: ClusterState, user: UserName) -> Iterator[str]:
    """A sentence if what a user was just given makes more than the user's quota."""
    quota = _quota(state, user)
    if quota is None:
        return
    rows = [row for owner, row in _rows(state) if owner == user]
    for name, most, has in _sums(quota, rows, Resources(), 0):
        if has > most:
            yield f"V-29 {user} was given {has} {name}, and the quota is {most}"


def stakes_are_sums(sight: Sight) -> Iterator[str]:
    """V-01: what users hold of their quotas is the sum over unfinished attempts and what is bound to them."""
    state = sight.state
    told: dict[UserName, list[_Held]] = {}
    for user, row in _rows(state):
        if _quota(state, user) is not None:
            told.setdefault(user, []).append(row)
    for user in dict.fromkeys([*told, *state.stakes.users]):
        stake, rows = state.stakes.of(user), told.get(user, [])
        added = (len(rows), *(sum(need[i] for _, need in rows) for i in range(3)))
        if stake.whole != added:
            yield f"V-01 {user} holds {tuple(stake.whole)}, attempts and holds make {added}"
        depths: dict[int, Holding] = {}
        for depth, need in rows:
            if not need.chips:
                before = depths.get(depth, Holding())
                depths[depth] = Holding(
                    before.tasks + 1, 0, before.cpu + need.cpu, before.memory + need.memory
                )
        cached = {depth: had for depth, had in stake.by_depth.items() if had.tasks}
        yield from differ(f"V-01 {user} holds at depth", cached, depths)
        children = sum(
            1 for job in sight.open_jobs if job.spec.user == user and job.spec.parent is not None
        )
        if stake.children != children:
            yield f"V-01 {user} has {children} jobs below others, and {stake.children} are counted"


def whoever_is_held_back_lacks_quota(sight: Sight) -> Iterator[str]:
    """V-29, V-30: a unit is held back by its user's quota exactly when that has no room for it."""
    state = sight.state
    rows = _rows(state)
    for key in (*state.waiting.queues, *state.waiting.held):
        quota = _quota(state, key.user)
        held = [row for owner, row in rows if owner == key.user]
        branches = any(
            job.spec.user == key.user and job.spec.parent is not None for job in sight.open_jobs
        )
        lacking = quota is not None and _is_lacking(quota, held, key, branches=branches)
        if lacking and key in state.waiting.queues:
            yield f"V-29 work of {key.user} may start, and the quota has no room for it: {key}"
        elif not lacking and key in state.waiting.held:
            yield f"V-30 work of {key.user} is held back, and the quota has room for it: {key}"


def _is_lacking(quota: Quota, held: Sequence[_Held], key: QueueKey, *, branches: bool) -> bool:
    need, tasks = key.shape.need, key.shape.hosts or 1
    if any(has > most for _, most, has in _sums(quota, held, need, tasks)):
        return True
    if need.chips:
        return False
    usual = _LEVELS if branches else 1
    deepest = (quota.levels if quota.levels is not None else usual) - 1
    for depth in range(key.level, deepest):
        upper = [row for row in held if row[0] <= depth and not row[1].chips]
        sums = _sums(quota, upper, need, tasks + deepest - depth)
        if len(upper) > depth and any(has > most for _, most, has in sums):
            return True
    return False


def _quota(state: ClusterState, user: UserName) -> Quota | None:
    named = {quota.user: quota for quota in state.spec.scheduler.quotas}
    return named.get(user, named.get(EVERYBODY))


def _rows(state: ClusterState) -> list[tuple[UserName, _Held]]:
    """Every task that holds something, or to which something is bound, and whose it is."""
    jobs: list[JobId] = []
    for worker in state.workers.values():
        jobs += [state.tasks[name].job for name in worker.attempts]
    for hold in state.holds.values():
        if hold.kind is HoldKind.EVICTION:
            jobs += [hold.job] * len(hold.workers)
    specs = ((name, state.jobs[name].spec) for name in jobs)
    return [(spec.user, (name.count("/") - 2, spec.resources)) for name, spec in specs]


def _sums(
    quota: Quota, held: Sequence[_Held], need: Resources, tasks: int
) -> Iterator[tuple[str, int, int]]:
    """For each limit its name, the most, and what is held with so many tasks more."""
    for name, most in (("chips", quota.chips), ("cpu", quota.cpu), ("memory", quota.memory)):
        if most is not None:
            index = Resources._fields.index(name)
            yield name, most, sum(row[index] for _, row in held) + tasks * need[index]
    if quota.tasks is not None:
        yield "tasks", quota.tasks, len(held) + tasks


QUOTA_PREDICATES: Final[tuple[Predicate, ...]] = (
    stakes_are_sums,
    whoever_is_held_back_lacks_quota,
)
