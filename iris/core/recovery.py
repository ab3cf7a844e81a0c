"""What is asked for again after a restart: all that the state wants and no fact has confirmed.

Names were minted by the core and every request may be performed twice, so asking again is safe
where the first request went out, and right where the crash came before it.
"""

from iris.core import effects as ef
from iris.core.lifecycle import AttemptState, SliceState
from iris.core.records import Task
from iris.core.state import ClusterState


def plan_repairs(state: ClusterState) -> list[ef.Effect]:
    """Creates, deletes, starts and stops that are still wanted, in the order of their names."""
    repairs: list[ef.Effect] = []
    for _, slice_ in sorted(state.slices.items()):
        if slice_.state is SliceState.REQUESTED:
            repairs.append(ef.CreateSlice(slice_.id, slice_.group, slice_.zone))
        elif slice_.state is SliceState.DELETING:
            repairs.append(ef.DeleteSlice(slice_.id, slice_.group, slice_.zone))
    for _, worker in sorted(state.workers.items()):
        for name in sorted(worker.attempts):
            repairs += _repair(state, state.tasks[name])
    return repairs


def _repair(state: ClusterState, task: Task) -> list[ef.Effect]:
    attempt = task.attempts[-1]
    worker = state.workers[attempt.worker]
    if attempt.state is AttemptState.ASSIGNED:
        return [
            ef.StartAttempt(
                worker.id,
                worker.incarnation,
                task.id,
                attempt.number,
                task.index,
                attempt.version,
            )
        ]
    if attempt.state is AttemptState.STOPPING:
        grace = state.spec.timeouts.stop_grace
        return [
            ef.StopAttempt(
                worker.id, worker.incarnation, task.id, attempt.number, grace, worker.version
            )
        ]
    return []
