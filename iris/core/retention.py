"""What is forgotten: ended jobs beyond a number, oldest first, and slices that are long gone.

A job goes with everything below it, and only once all of that has ended. Without this the state,
and with it each snapshot, would grow with the history of the cluster.
"""

from collections.abc import Iterator

from iris.core import decisions as de
from iris.core.deadlines import Due
from iris.core.ids import JobId, SliceId
from iris.core.instant import since
from iris.core.lifecycle import SliceState
from iris.core.state import ClusterState


def plan_oblivion(state: ClusterState) -> Iterator[de.Decision]:
    """Forget in bulk: jobs when an eighth too many are kept, slices at each listing."""
    jobs = _old_jobs(state)
    slices: tuple[SliceId, ...] = ()
    if any(due is Due.OBSERVE for due, _ in state.news.due):
        slices = tuple(
            s.id
            for s in state.slices.values()
            if s.state is SliceState.GONE
            and s.gone_at is not None
            and since(s.gone_at, state.now) >= state.spec.autoscaler.tombstone_age
        )
    if jobs or slices:
        yield de.Oblivion(tuple(jobs), slices)


def _old_jobs(state: ClusterState) -> dict[JobId, None]:
    limit = state.spec.retention.ended_jobs
    surplus = len(state.ended) - limit
    forgotten: dict[JobId, None] = {}
    if surplus <= limit // 8:
        return forgotten
    # The index holds those of one instant as they came; after a recovery that is forgotten.
    for job in sorted(state.ended, key=lambda name: _age(state, name)):
        if len(forgotten) >= surplus:
            break
        tree = _tree(state, job)
        if all(state.jobs[name].ended_at is not None for name in tree):
            forgotten.update(dict.fromkeys(tree))
    return forgotten


def _age(state: ClusterState, job: JobId) -> tuple[int, int]:
    row = state.jobs[job]
    return row.ended_at or 0, row.number


def _tree(state: ClusterState, job: JobId) -> list[JobId]:
    """A job and everything below it, children before their parents."""
    below = [name for child in state.jobs[job].children for name in _tree(state, child)]
    return [*below, job]
