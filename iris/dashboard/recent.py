"""What was decided lately, and how the fleet was used: kept in memory beside the state, for the pages.

Each turn is only put on a list here; what it says is worked out when a page asks. Nothing of this is
state: a restarted controller reads its last decisions off the journal, which has all of them.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from iris.core import decisions as de
from iris.core.ids import (
    GroupName,
    JobId,
    SliceId,
    TaskId,
    WorkerId,
    slice_id,
    slice_of,
    split_task_id,
)
from iris.core.instant import MINUTE, Instant
from iris.core.lifecycle import COMING, SliceState
from iris.core.record import Turn
from iris.core.state import ClusterState
from iris.dashboard.breath import Breath
from iris.dashboard.costs import Costs
from iris.dashboard.usage import Usage

MOST_DECISIONS: Final = 5_000
MOST_SAMPLES: Final = 1_440
"""A day, in minutes; of a longer simulation every other one is let go again and again."""
MOST_DRAWN: Final = 360
MOST_TURNS: Final = 1_000
SLOW_MS: Final = 1_000
"""A turn that takes longer is told of."""
SLOW_FOR: Final = 10 * MINUTE
_PIECE: Final = 100
"""Decisions that are worked out at a time."""
_SILENT: Final = (de.Answer, de.Observation)
"""Decisions that change nothing that a page shows."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A decision as a line; the same one again and again is one line."""

    at: Instant
    last_at: Instant
    times: int
    rule: str
    """What kind of decision it is."""
    why: str
    job: JobId | None = None  # None: it is about no job
    task: TaskId | None = None  # None: likewise
    slice: SliceId | None = None  # None: it is about no slice
    worker: WorkerId | None = None  # None: it is about no worker
    group: GroupName | None = None  # None: nobody knows, or none
    more: int = 0
    """So many tasks beside the first."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The fleet at an instant; in chips, of a group without accelerators in cores."""

    at: Instant
    busy: int
    idle: int
    coming: int
    waiting: int
    """Units that wait."""


class Recent:
    """The last decisions and samples of one controller."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._decisions: deque[tuple[Instant, de.Decision]] = deque(maxlen=MOST_DECISIONS)
        """Those that no page has asked for yet."""
        self._entries: deque[Entry] = deque(maxlen=MOST_DECISIONS)
        """All others as lines, the oldest first, each run of equal ones folded into one."""
        self.samples: list[Sample] = []
        self._every = MINUTE
        self._next_at = Instant(0)
        self.costs = Costs()
        self.usage = Usage()
        self.pace: deque[tuple[Instant, float]] = deque(maxlen=MOST_TURNS)
        """When the last turns were, and the milliseconds that each took."""

    def turned(self, turn: Turn, state: ClusterState) -> None:
        """A turn was taken."""
        for decision in turn.decisions:
            if not isinstance(decision, _SILENT):
                self._decisions.append((turn.now, decision))
        self.costs.turned(turn, state)
        self.look(state, turn.now)

    def recall(self, turns: Sequence[Turn], state: ClusterState) -> None:
        """Put what was decided before before everything that was decided since.

        Args:
            turns: the oldest first.
            state: as it is.
        """
        later = list(self._entries)
        self._entries.clear()
        for turn in turns:
            for decision in turn.decisions:
                if not isinstance(decision, _SILENT):
                    self._enter(entry_of(state, turn.now, decision))
        for entry in later:
            self._enter(entry)

    def took(self, at: Instant, millis: float) -> None:
        """A turn took so long, from its facts to its requests."""
        self.pace.append((at, millis))

    def lateness(self, now: Instant) -> str | None:
        """What is to be said of turns that took too long lately; nothing if none did."""
        slow = [
            (millis, at) for at, millis in self.pace if millis >= SLOW_MS and at >= now - SLOW_FOR
        ]
        if not slow:
            return None
        millis, _ = max(slow)
        count = "a turn" if len(slow) == 1 else f"{len(slow)} turns"
        return f"{count} of the last {SLOW_FOR // MINUTE} minutes took long, up to {millis:,.0f} ms"

    def look(self, state: ClusterState, now: Instant) -> None:
        """Take a sample if one is due."""
        if now < self._next_at:
            return
        self.samples.append(sample_of(state, now))
        if len(self.samples) > MOST_SAMPLES:
            if self._every * MOST_SAMPLES < now - self.samples[0].at:
                del self.samples[0]
            else:
                self.samples = self.samples[::2]
        self._next_at = Instant(now + self._every)

    async def catch_up(self, state: ClusterState, breath: Breath) -> None:
        """Work out what the decisions say that nobody has asked for yet, a piece at a time."""
        while self._decisions:
            self._work_off(state, min(_PIECE, len(self._decisions)))
            await breath.draw_in_time()

    def entries(self, state: ClusterState) -> Iterator[Entry]:
        """Decisions as lines, the newest first, each run of equal ones folded into one."""
        self._work_off(state, len(self._decisions))
        return reversed(self._entries)

    def _work_off(self, state: ClusterState, count: int) -> None:
        for _ in range(count):
            self._enter(entry_of(state, *self._decisions.popleft()))

    def _enter(self, entry: Entry) -> None:
        lines = self._entries
        if lines and _same(lines[-1], entry):
            lines[-1] = _folded(entry, lines[-1])
        else:
            lines.append(entry)


def _same(one: Entry, other: Entry) -> bool:
    return (one.rule, one.why, one.job, one.slice, one.worker, one.group) == (
        other.rule, other.why, other.job, other.slice, other.worker, other.group
    )  # fmt: skip


def _folded(newer: Entry, older: Entry) -> Entry:
    return Entry(
        older.at, newer.last_at, newer.times + older.times, newer.rule, newer.why, newer.job, newer.task,
        newer.slice, newer.worker, newer.group, newer.more,
    )  # fmt: skip


def thinned(samples: Sequence[Sample]) -> Sequence[Sample]:
    """As many of the samples as a drawing has room for, at even distances."""
    return samples[:: -(-len(samples) // MOST_DRAWN) or 1]


def sample_of(state: ClusterState, now: Instant) -> Sample:
    """The fleet as it is."""
    busy = cores = ready = coming = 0
    for group in state.spec.groups:
        tally = state.fleet.get(group.name, {})
        coming += group.chips * sum(tally.get(it, 0) for it in COMING)
    for slice_ in state.slices.values():
        group_ = state.groups.get(slice_.group)
        if group_ is None or slice_.state not in (SliceState.READY, SliceState.DRAINING):
            continue
        ready += group_.chips
        if group_.accelerator is not None:
            busy += slice_.chips_used
        else:
            hosts = (state.workers[name] for name in slice_.workers if name is not None)
            cores += sum(worker.committed.cpu for worker in hosts)
    busy += round(cores / 1_000)
    waiting = sum(len(queue) for queue in state.waiting.queues.values())
    return Sample(now, busy, max(0, ready - busy), coming, waiting)


def entry_of(state: ClusterState, at: Instant, decision: de.Decision) -> Entry:
    """One decision as a line."""
    tasks = tuple(getattr(decision, "tasks", ()))
    task = getattr(decision, "task", None) or (tasks[0] if tasks else None)
    job = getattr(decision, "job", None) or (split_task_id(task)[0] if task else None)
    workers = tuple(getattr(decision, "workers", ()))
    worker = getattr(decision, "worker", None) or (workers[0] if workers else None)
    slice_ = getattr(decision, "slice", None) or (slice_of(worker) if worker else None)
    group = getattr(decision, "group", None) or _group_of(state, slice_)
    more = max(0, len(tasks) - 1)
    rule, why = rule_of(decision), _why(decision)
    return Entry(at, at, 1, rule, why, job, task, slice_, worker, group, more)


def _group_of(state: ClusterState, slice_: SliceId | None) -> GroupName | None:
    """Whose a slice is, or was by its name."""
    if slice_ is None:
        return None
    if slice_ in state.slices:
        return state.slices[slice_].group
    stem = slice_.rpartition("-")[0]
    return next((it for it in state.groups if slice_id(it, 0).rpartition("-")[0] == stem), None)


def rule_of(decision: de.Decision) -> str:
    """The kind of a decision, in words."""
    name = type(decision).__name__
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()


RULES: Final = tuple(
    sorted(
        rule
        for kind in de.Decision.__args__
        if kind not in _SILENT
        for rule in ["".join(f" {c.lower()}" if c.isupper() else c for c in kind.__name__).strip()]
    )
)
"""All kinds that a page may show."""


def _why(decision: de.Decision) -> str:
    match decision:
        case de.Admission():
            return "submitted"
        case de.Eviction(victims=victims, why=why):
            return f"{why}; {', '.join(victims[:5])} must go"
        case de.JobEnd(state=state, why=why) | de.TaskVerdict(state=state, why=why):
            return f"{state.value}: {why}"
        case de.SliceLoss(state=state, why=why):
            return f"{state.value}: {why}"
        case de.Throttle(zone=zone, accelerator_type=kind, window=window, why=why):
            return f"{kind} in {zone}: {why}; at most {window} may be coming"
        case de.AttemptStop(cause=cause, why=why) | de.AttemptLoss(cause=cause, why=why):
            return f"{cause.value}: {why}"
        case de.Oblivion(jobs=jobs, slices=slices):
            return f"{len(jobs)} ended jobs and {len(slices)} slices are forgotten"
        case de.SliceAgain():
            return "its create was not answered, and is repeated"
        case de.CreatePause():
            return "the project's rate of creates was refused"
        case _:
            return str(getattr(decision, "why", ""))
