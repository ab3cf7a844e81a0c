"""Whether an eviction was right: held against the turn that it stands in and the state that it led to.

One of the judges of `iris.core.conduct`. What a host had for the beneficiary when the eviction was
decided is worked out backwards: from the room there is now, less what later decisions of the turn did.
"""

from collections.abc import Iterator

from iris.core import decisions as de
from iris.core.ids import TaskId, WorkerId
from iris.core.record import Turn
from iris.core.records import Task
from iris.core.resources import Resources, fits, minus, plus
from iris.core.retry import EndCause
from iris.core.state import ClusterState


def what_is_wrong_with(eviction: de.Eviction, turn: Turn, state: ClusterState) -> Iterator[str]:
    """A sentence for everything about an eviction that its turn and the state do not justify."""
    job = state.jobs[eviction.job]
    member = state.unit_of(state.tasks[eviction.tasks[0]]).member
    hold = state.holds.get((job.id, member))
    if hold is None or hold.kind is not de.HoldKind.EVICTION or hold.workers != eviction.workers:
        yield f"V-06 {job.id} evicts, and is not bound to {', '.join(eviction.workers)}"
        return
    victims: dict[WorkerId, list[Task]] = {}
    for name in eviction.victims:
        task = state.tasks[name]
        victims.setdefault(task.attempts[-1].worker, []).append(task)
        if state.jobs[task.job].spec.band <= job.spec.band:
            yield f"V-06 {name} was evicted for {job.id}, which is of no higher band"
        if _was_placed_in(turn, name):
            yield f"V-25 {name} was evicted for {job.id} in the turn in which it was placed"
        if task.attempts[-1].stop_cause is not EndCause.EVICTION:
            yield f"V-06 {name} was to be evicted for {job.id}, and was not asked to stop"
    for host in eviction.workers:
        yield from _room_made(eviction, turn, state, host, victims.pop(host, []))
    for host in victims:
        yield f"V-06 an eviction for {job.id} reaches {host}, which it is not bound to"


def _was_placed_in(turn: Turn, task: TaskId) -> bool:
    """Whether this turn, and not only an earlier one of the same instant, placed a task."""
    return any(isinstance(d, de.Placement) and task in d.tasks for d in turn.decisions)


def _room_made(
    eviction: de.Eviction, turn: Turn, state: ClusterState, host: WorkerId, victims: list[Task]
) -> Iterator[str]:
    amount = _room_once_stopped(eviction, turn, state, host)
    if not fits(eviction.need, amount):
        yield f"V-06 {eviction.job} does not fit on {host} once its victims are gone"
    for task in victims:
        if fits(eviction.need, minus(amount, state.jobs[task.job].spec.resources)):
            yield f"V-06 {task.id} could have been spared by {eviction.job} on {host}"


def _room_once_stopped(
    eviction: de.Eviction, turn: Turn, state: ClusterState, host: WorkerId
) -> Resources:
    """What a host has for the beneficiary once all have stopped who were stopping when it was decided."""
    worker = state.workers[host]
    amount = plus(state.open_amount(worker), eviction.need)
    for name in worker.attempts:
        if state.tasks[name].attempts[-1].stop_cause is not None:
            amount = plus(amount, state.jobs[state.tasks[name].job].spec.resources)
    later = False
    for other in turn.decisions:
        if later:
            amount = plus(amount, _taken_later(other, state, host))
        later = later or other is eviction
    return amount


def _taken_later(decision: de.Decision, state: ClusterState, host: WorkerId) -> Resources:
    """By how much a later decision of the same turn made the room on a host look smaller."""
    change = Resources()
    if isinstance(decision, de.Eviction):
        if host in decision.workers:
            change = plus(change, decision.need)
        for name in decision.victims:
            if state.tasks[name].attempts[-1].worker == host:
                change = minus(change, state.jobs[state.tasks[name].job].spec.resources)
    elif isinstance(decision, de.Placement) and host in decision.workers:
        change = state.jobs[decision.job].spec.resources
    elif isinstance(decision, de.Holding) and host in decision.workers:
        change = decision.need
    return change
