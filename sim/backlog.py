"""What waits in a run: how much, of which kinds, and for what by the verdicts of the core's one explanation.

Asking for verdicts changes nothing, and is paid for by what happens in the run, so that all looks
together cost little beside it. When is looked depends on scenario and seed alone.
"""

from collections.abc import Iterable
from typing import Final

from iris.core.explain import waiting_by_verdict
from iris.core.instant import Instant
from iris.core.lifecycle import JobState
from iris.core.reasons import Verdict
from iris.core.state import ClusterState
from iris.core.survey import Survey
from sim.measure import Measures, Waits
from sim.recorder import MOST_SAMPLES

_OF_A_LOOK: Final = 20
"""In turns that must be taken for it: a fiftieth of the time that they take."""
_OF_A_QUEUE: Final = 30
"""To ask for one queue, and twice as much more as a gang has hosts."""
_OF_A_BEGIN: Final = 200
"""What the first looks of a run may cost, before anything has paid for them."""
_RECORDS: Final = 8
"""Attempts, jobs and slices that are walked over for the price of one turn."""


class Verdicts:
    """Enters what waits into the measures of a run."""

    def __init__(self, measures: Measures) -> None:
        """Nobody has looked yet."""
        self._measures = measures
        self._turns = -1
        """How many there were at the last look."""
        self._saved = _OF_A_BEGIN
        """What happened since then, and was not needed for it."""

    def look(self, state: ClusterState, now: Instant, turns: int) -> None:
        """Look between two turns, if there was one since the last look and enough happened for another."""
        self._saved += 1  # Simulated time pays, too: what waits in silence is looked at.
        if turns == self._turns:
            return
        happened = self._saved + turns - max(0, self._turns)
        price = _price(state)
        if happened >= price:
            self._saved = min(happened - price, MOST_SAMPLES)
            self._turns = turns
            self.note(state, now)

    def note(self, state: ClusterState, now: Instant) -> None:
        """Enter what waits now, if that has changed."""
        waits = self._measures.waits
        units = units_by_verdict(state)
        if waits and waits[-1].units == units:
            return
        waits.append(Waits(now, units))
        if len(waits) >= 2 * MOST_SAMPLES:
            del waits[1::2]


def kinds_waiting(state: ClusterState) -> frozenset[str | None]:
    """The accelerators that waiting work needs; None among them when some needs none."""
    waiting = state.waiting
    kinds: set[str | None] = set(waiting.accelerators)
    if any(shape.accelerator is None for shape in waiting.by_shape):
        kinds.add(None)
    return frozenset(kinds)


def waiting(state: ClusterState) -> tuple[int, int]:
    """How many tasks wait, and how many milli-chips those ask for that no quota holds back."""
    held, wanted = state.waiting.held, 0
    pending = sum(len(queue) * max(1, key.shape.hosts) for key, queue in held.items())
    for key, queue in state.waiting.queues.items():
        shape = key.shape
        tasks = len(queue) * max(1, shape.hosts)
        each = shape.need.chips * 1000 if shape.accelerator is not None else shape.need.cpu
        pending += tasks
        wanted += tasks * each
    return pending, wanted


def units_by_verdict(state: ClusterState) -> tuple[tuple[Verdict, int], ...]:
    """How many units (tasks and gangs) wait for what, in the order of the verdicts, none left out."""
    survey = Survey(state) if state.waiting.queues else None
    counts: dict[Verdict, int] = {}
    for verdict, units in waiting_by_verdict(state, survey):
        if units:
            counts[verdict] = counts.get(verdict, 0) + units
    return tuple((verdict, counts[verdict]) for verdict in Verdict if verdict in counts)


def _price(state: ClusterState) -> int:
    """What a look costs, in turns that must be taken for it."""
    queues: Iterable[int] = (_OF_A_QUEUE + 2 * key.shape.hosts for key in state.waiting.queues)
    working = sum(sum(counts) for counts in state.bands_on.values())
    records = working + len(state.by_state[JobState.PENDING]) + len(state.slices)
    return _OF_A_LOOK + sum(queues) + records // _RECORDS
