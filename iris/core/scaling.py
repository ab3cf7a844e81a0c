"""What the autoscaler decides about each group now, and by which rule: also that it does nothing, and why.

Asked of the planner itself, run dry, and of the limits that it obeys. Between two turns it has
nothing more to ask for, so what it would still want is what some limit keeps from it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from iris.core import gates
from iris.core.autoscaler import Planner, standing
from iris.core.blockers import limits_of
from iris.core.deadlines import Due
from iris.core.due import due_at
from iris.core.ids import GroupName, JobId
from iris.core.instant import Instant
from iris.core.lifecycle import COMING
from iris.core.order import queues_in_order
from iris.core.reasons import Limit
from iris.core.rules import Rule, Scaling
from iris.core.spec import GroupSpec
from iris.core.state import ClusterState
from iris.core.survey import AtNoCost, is_bought
from iris.core.waiting import QueueKey

JOBS_NAMED: Final = 5
"""Of those that a group is wanted for."""


def scalings(state: ClusterState) -> tuple[Scaling, ...]:
    """What is decided about every configured group, in the order of the configuration."""
    return tuple(_scalings(state, state.spec.groups))


def why_not_scaling(state: ClusterState, group: GroupName) -> Scaling:
    """What a configured group is wanted for, what it has, and what stops it from getting more."""
    (scaling,) = _scalings(state, [state.groups[group]])
    return scaling


def _scalings(state: ClusterState, groups: Sequence[GroupSpec]) -> Iterator[Scaling]:
    planner = Planner(state)
    with AtNoCost(state):
        wanted = Counter(request.group for request in planner.requests())
    queues = queues_in_order(state)
    usable = Counter(s.group for s in state.slices.values() if state.may_work(s))
    for group in groups:
        pools = [state.room.pools[group.name, zone] for zone in group.zones]
        limits = tuple((pool.zone, tuple(limits_of(state, pool))) for pool in pools)
        served = [key for key in queues if any(is_bought(key.shape, pool) for pool in pools)]
        asks = wanted[group.name]
        rule, until = Rule.DEMAND, None
        if not asks:
            rule, until = _rule(planner, group, [told for _, told in limits], demand=bool(served))
        yield Scaling(
            group=group.name,
            at=state.now,
            rule=rule,
            demand=sum(len(state.waiting.queues[key]) for key in served),
            unmet=planner.unmet.get(group.name, 0),
            jobs=_jobs(state, served),
            usable=usable[group.name],
            idle=len(state.idle.get(group.name, ())),
            coming=sum(state.fleet.get(group.name, {}).get(s, 0) for s in COMING),
            standing=standing(state, group),
            existing=state.existing(group.name),
            min_slices=group.min_slices,
            max_slices=group.max_slices,
            buffer_slices=group.buffer_slices,
            tokens=gates.tokens_at(state, state.now) // gates.TOKEN,
            wanted=asks,
            until=until,
            limits=limits,
        )


def _jobs(state: ClusterState, keys: Sequence[QueueKey]) -> tuple[JobId, ...]:
    """The first jobs of some queues."""
    heads = (state.waiting.queues[key].head().job for key in keys)
    return tuple(dict.fromkeys(state.job_by_number[n].id for n in heads))[:JOBS_NAMED]


_OF_ALL_ZONES: Final = {
    "listing": Rule.NOT_LISTED,
    "max_slices": Rule.AT_MAX,
    "reservation": Rule.RESERVATION,
    "pause": Rule.RATE,
    "tokens": Rule.RATE,
}
"""What stops a whole group, whatever its zones say; the first of these is told."""


def _rule(
    planner: Planner,
    group: GroupSpec,
    limits: Sequence[Sequence[Limit]],
    *,
    demand: bool,
) -> tuple[Rule, Instant | None]:
    """What holds for a group that asks for nothing, and until when."""
    state = planner.state
    floor = standing(state, group) < group.min_slices
    buffer = planner.spare(group) < group.buffer_slices
    if not (floor or buffer or planner.unmet.get(group.name)):
        idle = _given_back_at(state, group)
        if demand:
            return Rule.SERVED, None
        return (Rule.IDLE, idle) if idle is not None else (Rule.NO_DEMAND, None)
    for check, rule in _OF_ALL_ZONES.items():
        found = [limit for zone in limits for limit in zone if limit.check == check]
        if found:
            return rule, found[0].until
    checks = {limit.check for zone in limits for limit in zone}
    ends = [max((x.until for x in zone if x.until is not None), default=None) for zone in limits]
    until = min((at for at in ends if at is not None), default=None)
    if "window" in checks:
        return Rule.WINDOW, None
    return (Rule.QUOTA if "quota" in checks else Rule.BACKOFF), until


def _given_back_at(state: ClusterState, group: GroupSpec) -> Instant | None:
    """When the first idle slice is given back, if nobody wants it by then."""
    idle = state.idle.get(group.name, ())
    surplus = min(standing(state, group) - group.min_slices, len(idle) - group.buffer_slices)
    if surplus <= 0:
        return None
    times = [due_at(state, Due.IDLE, state.slice_by_number[n].id) for _, n in idle]
    return min((at for at in times if at is not None), default=None)
