"""What is counted as it happens, for `metrics` to tell: turns, decisions, waits and calls.

Plain numbers, at a price of less than a microsecond each; nothing here knows who reads them.
"""

import asyncio
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import grpc

from iris.core import decisions as de
from iris.core.record import Turn
from iris.core.spec import Band
from iris.core.state import ClusterState

QUICK_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Upper edges of what a controller should do in milliseconds."""
LONG_S: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0)
"""Upper edges of what people wait for."""
OK: Final = "OK"
_LAG_EVERY_S: Final = 1.0


class Spread:
    """How often a value fell between which edges."""

    def __init__(self, edges: tuple[float, ...]) -> None:
        """Nothing yet; each edge belongs to what is below it."""
        self.edges = edges
        self.counts = [0] * (len(edges) + 1)
        """Of each piece, the last of them without an upper edge."""
        self.sum = 0.0

    def add(self, value: float) -> None:
        """One more."""
        self.counts[bisect_left(self.edges, value)] += 1
        self.sum += value

    def at_most(self, part: float) -> float | None:
        """An edge below which a part of all values lies, as near as the edges allow; nothing without values.

        Of what lies above all edges it is infinite.
        """
        rest = part * sum(self.counts)
        if not rest:
            return None
        for edge, count in zip((*self.edges, float("inf")), self.counts, strict=True):
            rest -= count
            if rest <= 0:
                return edge
        return float("inf")


class _Called(Protocol):
    """What a call knows of how it ends."""

    def code(self) -> object:
        """Its status, once that is set."""


class Counts:
    """Of one controller, since it began."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.turns = Spread(QUICK_S)
        self.decisions: Counter[str] = Counter()
        self.facts: Counter[str] = Counter()
        self.waits = {band: Spread(LONG_S) for band in Band}
        """From a job's submission to the first placement of each of its units, in seconds."""
        self.calls: Counter[tuple[str, str]] = Counter()
        """By method and status."""
        self.call_spans: dict[str, Spread] = {}
        """Of calls that are neither streams nor answered late on purpose."""
        self.lag_s = 0.0
        """By how much the event loop was late, at worst since `take_lag` was called last."""

    def turned(self, turn: Turn, state: ClusterState) -> None:
        """A turn was taken, and left this state."""
        self.facts.update(type(event).__name__ for event in turn.events)
        for decision in turn.decisions:
            self.decisions[type(decision).__name__] += 1
            if isinstance(decision, de.Placement):
                self._placed(decision, turn, state)

    def _placed(self, placement: de.Placement, turn: Turn, state: ClusterState) -> None:
        job = state.jobs.get(placement.job)
        task = state.tasks.get(placement.tasks[0])
        if job is not None and task is not None and len(task.attempts) == 1:
            self.waits[job.spec.band].add((turn.now - job.submitted_at) / 1_000)

    @contextmanager
    def call(self, method: str, context: _Called, *, timed: bool) -> Iterator[None]:
        """A call, from here to its end, however that comes."""
        began, status = time.perf_counter(), OK
        try:
            yield
        except BaseException:
            status = _status_of(context)
            raise
        finally:
            self.calls[method, status] += 1
            if timed:
                spread = self.call_spans.get(method)
                if spread is None:
                    spread = self.call_spans[method] = Spread(QUICK_S)
                spread.add(time.perf_counter() - began)

    async def watch_lag(self) -> None:
        """Measure how late the event loop is, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LAG_EVERY_S
            await asyncio.sleep(_LAG_EVERY_S)
            self.lag_s = max(self.lag_s, loop.time() - due)

    def take_lag(self) -> float:
        """The worst lateness since this was asked last, in seconds."""
        lag, self.lag_s = self.lag_s, 0.0
        return lag


def _status_of(context: _Called) -> str:
    """What an unfinished call ends with: what it was aborted with, or else its client went away."""
    code = context.code()
    if isinstance(code, grpc.StatusCode) and code is not grpc.StatusCode.OK:
        return code.name
    return grpc.StatusCode.CANCELLED.name
