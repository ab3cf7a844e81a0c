"""Why a quota holds work back, in numbers, and what must happen for it to start.

It asks the rule itself (`iris.core.stakes`). What it adds is who holds the quota: when that is
parents alone, whose own children wait, none of them can end before a child has run.
"""

from iris.core.deadlines import Due
from iris.core.ids import TaskId
from iris.core.reasons import NextEvent, OverQuota
from iris.core.records import Job, Task
from iris.core.stakes import levels_of
from iris.core.state import ClusterState
from iris.core.waiting import QueueKey


def over_quota(state: ClusterState, key: QueueKey) -> OverQuota | None:
    """What the quota of a queue's user lacks for its next unit; nothing when it may start."""
    short, quota = state.stakes.shortfall(key), state.stakes.quota_of(key.user)
    if short is None or quota is None:
        return None
    running = _running(state, key)
    parents = sum(1 for job, _ in running if _has_children(state, job))
    stake = state.stakes.of(key.user)
    return OverQuota(
        quota=quota.user,
        dimension=short.dimension,
        most=short.most,
        held=short.held,
        kept=short.kept,
        need=short.need,
        levels=levels_of(quota, stake),
        running=len(running),
        parents=parents,
    )


def freed(state: ClusterState, key: QueueKey, over: OverQuota) -> NextEvent:
    """What must happen before the quota lets a unit of a queue start."""
    if over.need > over.most:
        return NextEvent("another configuration is loaded", None)
    if over.running == over.parents:
        what = "a larger quota is loaded, or one of the parents that hold it is stopped"
        return NextEvent(what, None)
    ends = (
        at
        for at, task in state.deadlines.of(Due.TIMEOUT, Due.STOP)
        if state.jobs[state.tasks[TaskId(task)].job].spec.user == key.user
    )
    return NextEvent(f"a running task of {key.user} ends", next(ends, None))


def _running(state: ClusterState, key: QueueKey) -> list[tuple[Job, Task]]:
    """What the user of a queue runs."""
    tasks = (state.tasks[name] for worker in state.workers.values() for name in worker.attempts)
    owned = ((state.jobs[task.job], task) for task in tasks)
    return [(job, task) for job, task in owned if job.spec.user == key.user]


def _has_children(state: ClusterState, job: Job) -> bool:
    return any(state.jobs[child].ended_at is None for child in job.children)
