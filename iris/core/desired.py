"""What a worker shall be running, by the state alone, and whether what it says is news.

The wire exchanges whole truths: a worker tells all attempts that it has, and is told all that it
shall have. What it holds beyond that it stops, and forgets once it has ended: for an attempt leaves
the desired set only when its end is on record.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from iris.core.events import AttemptReport
from iris.core.ids import TaskId, WorkerId
from iris.core.instant import Millis
from iris.core.lifecycle import ENDED_ATTEMPT, AttemptState, WorkerState
from iris.core.records import Worker
from iris.core.state import ClusterState


@dataclass(frozen=True, slots=True)
class WantedAttempt:
    """One attempt that a worker shall have, or shall bring to its end."""

    task: TaskId
    attempt: int
    rank: int
    stop: bool = False
    grace: Millis = Millis(0)
    """From SIGTERM to SIGKILL, if it is to stop."""
    seen: bool = False
    """It may have been started already: a worker that does not have it runs it no second time."""


@dataclass(frozen=True, slots=True)
class DesiredSet:
    """All attempts of a worker, as of one version of its books."""

    version: int
    attempts: tuple[WantedAttempt, ...]


def desired_set(state: ClusterState, worker: Worker) -> DesiredSet:
    """What this worker shall have now, in the order of the tasks' names."""
    grace = state.spec.timeouts.stop_grace
    wanted = []
    for name in sorted(worker.attempts):
        task = state.tasks[name]
        attempt = task.attempts[-1]
        stop = attempt.state is AttemptState.STOPPING
        wanted.append(
            WantedAttempt(
                name,
                attempt.number,
                task.index,
                stop=stop,
                grace=grace if stop else Millis(0),
                seen=attempt.doubted
                or attempt.state in (AttemptState.BUILDING, AttemptState.RUNNING),
            )
        )
    return DesiredSet(worker.version, tuple(wanted))


def is_known(state: ClusterState, worker: WorkerId, incarnation: str) -> bool:
    """Whether this run of an agent is the one on the books, and not given up."""
    row = state.workers.get(worker)
    return row is not None and row.incarnation == incarnation and row.state is not WorkerState.LOST


def is_news(
    state: ClusterState, worker: Worker, reports: Sequence[AttemptReport], acted_on: int
) -> bool:
    """Whether a complete report says anything that the state does not know; else it costs no turn."""
    if worker.state is not WorkerState.HEALTHY:
        return True
    spoken = {report.task: report for report in reports}
    for name, number in worker.attempts.items():
        report = spoken.pop(name, None)
        attempt = state.tasks[name].attempts[-1]
        if report is None:
            if attempt.version <= acted_on:
                return True
            continue
        if report.attempt != number:
            return True
        if attempt.state is not AttemptState.STOPPING or report.state in ENDED_ATTEMPT:
            if report.state is not attempt.state:
                return True
    return bool(spoken)
