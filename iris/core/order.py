"""In what order is work served: the one rule, for placement and for buying capacity alike.

By band; within a band, under the fair policy, by what the user has used of that band (older use
counting less, and as if the present use went on for one more half-life), and then by arrival. A user
with a quota is served depth first: what is deeper in a tree takes the turn of what is less deep, so
that trees are finished before others are begun.
"""

from collections.abc import Callable, Iterator

from iris.core.ids import UserName
from iris.core.spec import Order
from iris.core.state import ClusterState
from iris.core.usage import accrued
from iris.core.waiting import QueueKey, Unit

ServedAt = tuple[int, int, Unit, int, Unit]
"""Band, use, whose turn it is by arrival, depth (negative), and arrival: lower is served first."""

DEFAULT_WEIGHT = 1


def served_at(state: ClusterState, key: QueueKey, head: Unit) -> ServedAt:
    """Where the head of a queue stands in the order."""
    turn = min([head, *_less_deep(state, key)]) if key.level else head
    return key.band, use_of(state, key.band, key.user), turn, -key.level, head


def places_in(state: ClusterState, key: QueueKey) -> Callable[[Unit], ServedAt]:
    """Where each unit of one queue stands in the order: what they have in common is found out once."""
    band, use, level = key.band, use_of(state, key.band, key.user), -key.level
    first = min(_less_deep(state, key), default=None) if key.level else None

    def place(unit: Unit) -> ServedAt:
        return band, use, unit if first is None or unit < first else first, level, unit

    return place


def _less_deep(state: ClusterState, key: QueueKey) -> Iterator[Unit]:
    """Whose turn the deeper work of a user may take: who is first of what is less deep."""
    waiting = state.waiting
    above = (k for k in waiting.by_user[key.user] if k.band == key.band and k.level < key.level)
    return (waiting.queues[k].head() for k in above if k in waiting.queues)


def use_of(state: ClusterState, band: int, user: UserName) -> int:
    """What a user counts as having used in a band, by weight; 0 where the order is not fair."""
    policy = state.spec.scheduler
    usage = state.usage.get((band, user)) if policy.order is Order.FAIR else None
    if usage is None:
        return 0
    used = accrued(usage, state.now, policy.fair_half_life) + usage.rate * policy.fair_half_life
    weight = dict(policy.user_weights).get(user, DEFAULT_WEIGHT)
    return used // weight


def queues_in_order(state: ClusterState) -> list[QueueKey]:
    """All queues by the place of their heads: the order in which capacity is bought."""
    queues = state.waiting.queues
    return sorted(queues, key=lambda key: served_at(state, key, queues[key].head()))
