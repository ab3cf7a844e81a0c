"""Jobs listed by their states, in the order in which they came into them: what a page or a query begins with."""

from collections.abc import Collection

from iris.core.ids import JobId
from iris.core.lifecycle import JobState
from iris.core.records import Job

ByState = dict[JobState, dict[JobId, None]]


def listed(jobs: Collection[Job]) -> tuple[dict[JobId, None], ByState]:
    """Those that have ended, and all by state, made anew.

    Jobs that have not ended are listed as they arrived, for what else they went through is not on record.
    """
    ends = sorted((j.ended_at, j.number, j.id) for j in jobs if j.ended_at is not None)
    ended: dict[JobId, None] = {job: None for _, _, job in ends}
    by_state: ByState = {state: {} for state in JobState}
    states = {job.id: job.state for job in jobs}
    for name in (*(job.id for job in jobs if job.ended_at is None), *ended):
        by_state[states[name]][name] = None
    return ended, by_state
