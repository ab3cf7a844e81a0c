"""What is forgotten: ended jobs beyond a number or an age, oldest first, and slices that are long gone.

A job goes with everything below it, and only once all of that has ended. Without this the state,
and with it each snapshot, would grow with the history of the cluster.
"""

from collections.abc import Iterator
from itertools import groupby

from iris.core import decisions as de
from iris.core.deadlines import Due
from iris.core.ids import JobId, SliceId
from iris.core.instant import since
from iris.core.lifecycle import SliceState
from iris.core.state import ClusterState


def plan_oblivion(state: ClusterState) -> Iterator[de.Decision]:
    """Forget in bulk: jobs when an eighth too many are kept, what is old at each listing."""
    jobs = _surplus_jobs(state)
    slices: tuple[SliceId, ...] = ()
    if any(due is Due.OBSERVE for due, _ in state.news.due):
        jobs.update(_aged_jobs(state))
        slices = tuple(
            s.id
            for s in state.slices.values()
            if s.state is SliceState.GONE
            and s.gone_at is not None
            and since(s.gone_at, state.now) >= state.spec.autoscaler.tombstone_age
        )
    if jobs or slices:
        yield de.Oblivion(tuple(jobs), slices)


def _surplus_jobs(state: ClusterState) -> dict[JobId, None]:
    limit = state.spec.retention.ended_jobs
    surplus = len(state.ended) - limit
    forgotten: dict[JobId, None] = {}
    if surplus <= limit // 8:
        return forgotten
    for job in _oldest_first(state):
        if len(forgotten) >= surplus:
            break
        forgotten.update(_whole_tree(state, job))
    return forgotten


def _aged_jobs(state: ClusterState) -> dict[JobId, None]:
    forgotten: dict[JobId, None] = {}
    for job in _oldest_first(state):
        ended_at = state.jobs[job].ended_at
        assert ended_at is not None, job
        if since(ended_at, state.now) < state.spec.retention.max_age:
            break
        forgotten.update(_whole_tree(state, job))
    return forgotten


def _oldest_first(state: ClusterState) -> Iterator[JobId]:
    # The index holds those of one instant as they came; after a recovery that is forgotten.
    for _, together in groupby(state.ended, key=lambda job: state.jobs[job].ended_at):
        yield from sorted(together, key=lambda job: state.jobs[job].number)


def _whole_tree(state: ClusterState, job: JobId) -> dict[JobId, None]:
    """A job and everything below it, children before their parents; nothing while any of it lives."""
    tree = _tree(state, job)
    ended = all(state.jobs[name].ended_at is not None for name in tree)
    return dict.fromkeys(tree) if ended else {}


def _tree(state: ClusterState, job: JobId) -> list[JobId]:
    """A job and everything below it, children before their parents."""
    below = [name for child in state.jobs[job].children for name in _tree(state, child)]
    return [*below, job]
