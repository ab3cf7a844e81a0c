"""Why jobs did not succeed, or still wait when a run ends, in the controller's own words."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from iris.core.explain import why_waiting
from iris.core.ids import JobId
from iris.core.lifecycle import JobState
from iris.core.records import Job
from iris.core.state import ClusterState
from iris.core.telling import sentences
from sim.measure import Measures

MOST_EXPLAINED: Final = 5
"""Of so many jobs that did not succeed, and of so many that still wait, the reason is told."""


def note_end(measures: Measures, job: Job) -> None:
    """Keep the reasons of the first jobs that did not succeed."""
    told = measures.explanations
    if job.state is JobState.SUCCEEDED or len(told) >= MOST_EXPLAINED:
        return
    why = job.why or next((task.why for task in job.tasks if task.why), "")
    told.append((job.id, (f"{job.id} is {job.state.value}: {why}.",)))


def still_waiting(
    state: ClusterState, unfinished: Iterable[JobId]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The first of these jobs that wait, and for what."""
    pending = (name for name in unfinished if name in state.jobs)
    waiting_jobs = (name for name in pending if state.jobs[name].state is JobState.PENDING)
    for name in islice(waiting_jobs, MOST_EXPLAINED):
        yield name, sentences(why_waiting(state, name, state.now))
