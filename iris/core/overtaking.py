"""Whether anybody went ahead of the first who waits, or into kept room for too long, by the policy's words.

One of the judges of `iris.core.conduct`. It asks neither the order nor the holds that the scheduler
goes by: under `fifo` the first is told by band and arrival. It looks at the first alone, which costs a
turn one look at its queues.
"""

from iris.core import decisions as de
from iris.core.fit import Shape
from iris.core.record import Turn
from iris.core.records import Job
from iris.core.resources import fits, plus
from iris.core.spec import Backfill, Order
from iris.core.state import ClusterState
from iris.core.waiting import GANG, Unit

First = tuple[int, Unit, Shape]
"""Band, unit and shape of the one who should be served before all others that wait."""


def first_who_waits(turn: Turn, state: ClusterState) -> First | None:
    """After a turn; nobody if the policy lets all pass, or if kept room was given up meanwhile."""
    policy = state.spec.scheduler
    if policy.order is not Order.FIFO or policy.backfill is Backfill.GREEDY:
        return None
    if any(isinstance(d, de.Release) for d in turn.decisions):
        return None  # Who was bound to room waits again, and did not when others were placed.
    heads = ((key.band, queue.head(), key.shape) for key, queue in state.waiting.queues.items())
    return min(heads, key=lambda head: head[:2], default=None)


def overtakes(job: Job, placement: de.Placement, first: First, state: ClusterState) -> str:
    """A sentence if a placement passed the first where nothing was kept for it; else nothing."""
    band, unit, shape = first
    if placement.why == de.KEPT[de.HoldKind.BACKFILL] and job.spec.band > band:
        return _took_room_of(job, placement, first, state)
    if job.spec.parent is not None and state.stakes.quota_of(job.spec.user) is not None:
        return ""  # Of a user with a quota, what is deeper takes the turn of what is less deep.
    member = GANG if job.spec.coscheduled else job.tasks.index(state.tasks[placement.tasks[0]])
    if placement.why not in (de.BEST_FIT, de.WHOLE_SLICE):
        return ""  # It had room of its own.
    if (job.spec.band, Unit(job.number, member)) <= (band, unit):
        return ""
    candidates = list(state.room.candidates(shape))
    if shape.accelerator is None and all(pool.group.accelerator for pool in candidates):
        return ""  # It is a guest wherever it may go, and makes way.
    if state.spec.scheduler.backfill is Backfill.HOLD:
        host = state.workers[placement.workers[0]]
        could = not shape.hosts and fits(shape.need, host.offers) and host.id not in shape.avoid
        if state.holds or not could or not _is_served_there(state, shape, placement):
            return ""
    earlier = state.job_by_number[unit.job].id
    return f"V-23 {job.id} was placed ahead of {earlier}, for which nothing is kept"


def _took_room_of(job: Job, placement: de.Placement, first: First, state: ClusterState) -> str:
    """What is kept for those who wait makes way for a more urgent band, which could have had it."""
    _, unit, shape = first
    host = state.workers[placement.workers[0]]
    had = plus(state.open_amount(host), job.spec.resources)
    could = not shape.hosts and fits(shape.need, had) and host.id not in shape.avoid
    if not could or not _is_served_there(state, shape, placement):
        return ""
    earlier = state.job_by_number[unit.job].id
    return f"V-23 {job.id} took the room kept for it, and {earlier}, which is more urgent, waits for it"


def _is_served_there(state: ClusterState, shape: Shape, placement: de.Placement) -> bool:
    listed = state.room.where.get(state.workers[placement.workers[0]].number)
    if listed is None or (shape.accelerator is None and listed[0].group.accelerator is not None):
        return False
    return any(pool is listed[0] for pool in state.room.candidates(shape))


def outstays(job: Job, placement: de.Placement, state: ClusterState) -> str:
    """A sentence if a placement takes room that is kept for another beyond the instant it is kept for."""
    if placement.why in de.KEPT.values():
        return ""
    for name in placement.workers:
        worker = state.workers[name]
        # Those of this turn may have been made after the placement.
        kept = [h for h in map(state.holds.__getitem__, worker.holds) if h.since < state.now]
        room = worker.committed
        for hold in kept:
            room = plus(room, hold.need)
        if not kept or fits(room, worker.offers):
            continue
        timeout = job.spec.timeout
        span = None if timeout is None else timeout + state.spec.timeouts.stop_timeout
        if not any(
            span is not None and hold.expected is not None and state.now + span <= hold.expected
            for hold in kept
        ):
            return f"V-23 {job.id} was let into the room kept for {kept[0].job}, and may outstay it"
    return ""
