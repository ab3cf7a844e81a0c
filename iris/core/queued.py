"""Where something stands in the queue, and who is served before: the order itself, counted.

`iris.core.order` says who is served first; nothing here has an opinion of its own.
"""

from collections.abc import Sequence
from typing import Final

from iris.core.order import ServedAt, places_in, served_at
from iris.core.reasons import Ahead, QueuePlace
from iris.core.records import Job
from iris.core.state import ClusterState
from iris.core.waiting import QueueKey, Unit

NAMED: Final = 5
"""Of the jobs that are served before; more would not be read."""


def queue_place(state: ClusterState, job: Job, key: QueueKey, unit: Unit) -> QueuePlace:
    """Where a unit stands in its queue and among all others."""
    own_place = served_at(state, key, unit)
    count = own = chips = 0
    heads: list[tuple[ServedAt, Job]] = []
    for other, queue in state.waiting.queues.items():
        head = queue.head()
        if served_at(state, other, head) >= own_place:
            continue
        units = _before(state, other, own_place)
        count += len(units)
        own += _of_user(state, job, other, units)
        chips += len(units) * other.shape.need.chips * max(1, other.shape.hosts)
        heads.append((served_at(state, other, head), state.job_by_number[head.job]))
    first = dict.fromkeys(head.id for _, head in sorted(heads, key=lambda entry: entry[0]))
    named = [state.jobs[name] for name in first if name != job.id][:NAMED]
    ahead = tuple(Ahead(it.id, it.spec.user, len(state.units_of(it))) for it in named)
    return QueuePlace(count, own, chips, ahead)


def is_first(state: ClusterState, key: QueueKey, unit: Unit) -> bool:
    """Whether nobody is served before a unit: the same order, without counting."""
    place = served_at(state, key, unit)
    queues = state.waiting.queues
    return all(served_at(state, other, queues[other].head()) >= place for other in queues)


def _before(state: ClusterState, key: QueueKey, place: ServedAt) -> Sequence[Unit]:
    """The units of a queue that are served before a place in the order, as they lie."""
    queue, place_of = state.waiting.queues[key], places_in(state, key)
    if place_of(queue.head())[:2] < place[:2]:
        return list(queue.in_no_order())
    return [unit for unit in queue.in_no_order() if place_of(unit) < place]


def _of_user(state: ClusterState, job: Job, key: QueueKey, units: Sequence[Unit]) -> int:
    """How many of these units are of the job's own user."""
    user = job.spec.user
    if key.user:
        return len(units) if key.user == user else 0
    return sum(1 for unit in units if state.job_by_number[unit.job].spec.user == user)
