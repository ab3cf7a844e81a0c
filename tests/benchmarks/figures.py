"""A figure: what was measured, what it should be, and what it was measured beside."""

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias, TypeVar

from iris.garbage import rare_collections

_Result = TypeVar("_Result")

LOOP_TURNS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    what: str
    target: str
    measured: str
    beside: str
    """The same work, or the least of it, done in another way in the same run."""


class Clocks(NamedTuple):
    """A span on the wall, and how much of it a processor worked: all, on a quiet machine."""

    wall_s: float
    cpu_s: float


Benchmark: TypeAlias = Callable[[], list[Figure]]


def timed(work: Callable[[], _Result]) -> tuple[float, _Result]:
    """How many seconds something takes, and what comes of it."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def clocked(work: Callable[[], _Result]) -> tuple[Clocks, _Result]:
    """How long something takes, by both clocks, and what comes of it."""
    before = time.process_time()
    wall, result = timed(work)
    return Clocks(wall, time.process_time() - before), result


def loop_ms() -> float:
    """A loop of a million additions, in milliseconds: what the machine gives at the moment."""
    spans: list[float] = []
    for _ in range(3):
        began = time.perf_counter()
        total = 0
        for number in range(LOOP_TURNS):
            total += number
        spans.append((time.perf_counter() - began) * 1_000)
    return statistics.median(spans)


def run(benchmark: Benchmark) -> list[tuple[Figure, float]]:
    """Its figures, each with the mean of the calibration loops before and after.

    Garbage is collected as in a controller and a simulation, also for what is measured beside them.
    """
    before = loop_ms()
    with rare_collections():
        figures = benchmark()
    loop = (before + loop_ms()) / 2
    return [(figure, loop) for figure in figures]


def milliseconds(seconds: float) -> str:
    """A short span, for the table."""
    return f"{seconds * 1_000:,.1f} ms"


def table(rows: Iterable[tuple[Figure, float]]) -> str:
    """A table in Markdown of figures and the calibration loop around each."""
    lines = [
        "| what | target | measured | beside it, in the same run | loop |",
        "|---|---|---|---|---|",
    ]
    for figure, loop in rows:
        cells = (figure.what, figure.target, figure.measured, figure.beside, f"{loop:.0f} ms")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
