"""In what order is work served: the one rule, for placement and for buying capacity alike.

By band; within a band, under the fair policy, by what the user has used of that band (older use
counting less, and as if the present use went on for one more half-life), and then by arrival.
"""

from iris.core.ids import UserName
from iris.core.state import ClusterState
from iris.core.usage import accrued
from iris.core.waiting import QueueKey, Unit

ServedAt = tuple[int, int, Unit]
"""Band, use and arrival: lower is served first."""

DEFAULT_WEIGHT = 1


def served_at(state: ClusterState, key: QueueKey, head: Unit) -> ServedAt:
    """Where the head of a queue stands in the order."""
    return key.band, use_of(state, key.band, key.user), head


def use_of(state: ClusterState, band: int, user: UserName) -> int:
    """What a user counts as having used in a band, by weight; 0 where the order is not fair."""
    usage = state.usage.get((band, user)) if user else None
    if usage is None:
        return 0
    policy = state.spec.scheduler
    used = accrued(usage, state.now, policy.fair_half_life) + usage.rate * policy.fair_half_life
    weight = dict(policy.user_weights).get(user, DEFAULT_WEIGHT)
    return used // weight


def queues_in_order(state: ClusterState) -> list[QueueKey]:
    """All queues by the place of their heads: the order in which capacity is bought."""
    queues = state.waiting.queues
    return sorted(queues, key=lambda key: served_at(state, key, queues[key].head()))
