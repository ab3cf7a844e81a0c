"""When a job is likely to start: the state of the cluster, run forward many times.

Each future is a `Clone` with luck of its own, and ends when the job starts. What comes out is what
share of the futures did by when; a range of 10 to 90 % of them is as good as what the cluster's past
says of its future, which docs/forecasts.md measures.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from iris.core import effects as ef
from iris.core import events as ev
from iris.core.ids import JobId, WorkerId, split_task_id
from iris.core.instant import DAY, Instant, Millis, after
from iris.core.invariants import Auditor
from iris.core.lifecycle import COMING, ENDED_ATTEMPT
from iris.core.record import Turn
from iris.core.records import Slice
from iris.core.retry import EndCause
from iris.core.snapshot import copy_state
from iris.core.state import ClusterState
from iris.garbage import rare_collections
from sim.clone import Clone, Continuation
from sim.dice import Dice
from sim.history import History
from sim.world import DigestJournal

FUTURES: Final = 50
HORIZON: Final = Millis(7 * DAY)
_ROOM: Final = "room that is there now"


@dataclass(frozen=True, slots=True)
class Future:
    """What one continuation came to."""

    wait: Millis | None  # None: the job does not start in it
    cause: str
    """What the start waited for, or why there is none."""
    ended: bool
    """The job ended without having started."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What all continuations came to."""

    job: JobId
    at: Instant
    """From when on waits are counted."""
    horizon: Millis
    futures: tuple[Future, ...]
    learned_from: tuple[int, int, int]
    """Ended runs, boots and losses of slices that the state remembers."""

    @property
    def waits(self) -> list[Millis]:
        """The waits of those that start, the shortest first."""
        return sorted(future.wait for future in self.futures if future.wait is not None)

    def wait(self, percent: int) -> Millis | None:
        """By when that percentage of the futures has started; None: not within the horizon."""
        rank = -(-percent * len(self.futures) // 100)
        waits = self.waits
        return waits[rank - 1] if rank <= len(waits) else None

    @property
    def never(self) -> bool:
        """Whether the job starts in no future."""
        return not self.waits

    @property
    def causes(self) -> list[tuple[str, int]]:
        """What the futures wait for, and how many of them do, the most frequent first."""
        counts = Counter(future.cause for future in self.futures)
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


@dataclass(frozen=True, slots=True)
class Question:
    """Which job's start is asked for, in which state, and how hard to look."""

    state: ClusterState
    job: JobId
    """Pending, or assigned and not yet running."""
    at: Instant
    """The present."""
    futures: int = FUTURES
    horizon: Millis = HORIZON
    seed: int = 0


def forecast(question: Question, *, progress: Callable[[int], None] | None = None) -> Forecast:
    """Run the state forward as often as asked; `progress` is told how many futures are done."""
    history = History(question.state, question.at)
    question = replace(question, state=lean(question.state))
    futures: list[Future] = []
    with rare_collections():
        for number in range(question.futures):
            futures.append(_future(question, history, number))
            if progress is not None:
                progress(number + 1)
    return Forecast(question.job, question.at, question.horizon, tuple(futures), history.size)


def lean(state: ClusterState) -> ClusterState:
    """A copy without ended jobs that nothing unended hangs on."""
    twin = copy_state(state)
    for job in sorted(twin.jobs.values(), key=lambda j: (-j.id.count("/"), j.number)):
        if job.ended_at is not None and not job.children:
            twin.drop_job(job)
    return twin


def _future(question: Question, history: History, number: int) -> Future:
    until = after(question.at, question.horizon)
    # What one future draws, no other draws: their seeds are far apart.
    seed = question.seed * 1_000_003 + number
    arrivals = history.arrivals(until, Dice(seed))
    plan = Continuation(question.state, question.at, history, until, seed, arrivals)
    watched = _Watched(plan, question.job)
    while watched.goes_on():
        watched.clock.step()
    return watched.told()


class _Unwritten(DigestJournal):
    """A journal that keeps the last turn only."""

    def append(self, turn: Turn) -> None:
        """Enter a turn."""
        self.last = turn
        self.turns += 1


class _Trusting(Auditor):
    """An auditor who looks at nothing: what is forecast is not on trial."""

    def check(self, turn: Turn) -> None:
        """Let it pass."""

    def rested(self, now: Instant) -> None:
        """Likewise."""


class _Watched(Clone):
    """A continuation that ends when one job starts, and knows what it waited for."""

    def __init__(self, plan: Continuation, job: JobId) -> None:
        """A world at the present."""
        self._job = job
        self._ends = 0
        self._freed: dict[WorkerId, tuple[int, ev.AttemptReport]] = {}
        """By worker, what ended there last, and the how manieth of all ends that was."""
        self._cause = ""
        super().__init__(plan)
        self._row = self.measures.jobs[job]
        self.auditor = _Trusting(self.controller.state, every_turn=False)

    def _make_journal(self) -> DigestJournal:
        return _Unwritten()

    def goes_on(self) -> bool:
        """Whether the job is still to start."""
        return not self.over and self._row.first_running is None and self._row.end is None

    def told(self) -> Future:
        """What came of it."""
        row = self._row
        if row.first_running is not None:
            wait = Millis(row.first_running - self._plan.at)
            return Future(wait, self._cause or _ROOM, ended=False)
        if row.end is not None:
            record = self.controller.state.jobs[self._job]
            why = record.why or next((task.why for task in record.tasks if task.why), "")
            return Future(None, why, ended=True)
        return Future(None, "more time than was looked ahead", ended=False)

    def _deliver(self, event: ev.Event) -> None:
        if isinstance(event, ev.WorkerReported):
            for report in event.reports:
                if report.state in ENDED_ATTEMPT:
                    self._ends += 1
                    self._freed[event.worker] = self._ends, report
        super()._deliver(event)

    def _perform(self, effect: ef.Effect) -> None:
        if isinstance(effect, ef.StartAttempt) and split_task_id(effect.task)[0] == self._job:
            self._cause = self._cause or self._waited_for(effect.worker)
        super()._perform(effect)

    def _waited_for(self, name: WorkerId) -> str:
        """What had to happen before a worker could be given to the job."""
        state = self.controller.state
        slice_ = state.slices[state.workers[name].slice]
        gang = state.jobs[self._job].spec.coscheduled
        workers = [w for w in slice_.workers if w is not None] if gang else [name]
        ends = [self._freed[worker] for worker in workers if worker in self._freed]
        if ends:
            _, last = max(ends, key=lambda end: end[0])
            job = split_task_id(last.task)[0]
            if job not in self._plan.state.jobs:
                return "the end of a job that is still to come"
            stopped = last.cause is EndCause.REQUESTED
            return f"{job} to make room" if stopped else f"the end of {job}"
        before = self._plan.state.slices.get(slice_.id)
        if before is None:
            return self._new_slice(slice_)
        return f"the boot of slice {slice_.id}" if before.state in COMING else _ROOM

    def _new_slice(self, slice_: Slice) -> str:
        group = self._group_of(slice_)
        dry = any(
            (drought.zone, drought.family) == (zone, group.family)
            for drought in self._plan.outlook.droughts
            for zone in group.zones
        )
        return f"stock for group {group.name}" if dry else f"a new slice of group {group.name}"
