"""What a sweep is a choice between: the Pareto front of cost and wait, its knee, and which key moves a figure most.

Everything is of the means over the seeds; points without a figure take no part in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sim.report_data import Record
from sim.sweep import SweepResults
from sim.sweep_tables import figure_text, short_names
from sim.tables import at, number

COST: Final = ("cost_usd",)
WAIT: Final = ("queue_wait_s", "p95")
_BEND: Final = 0.1
"""Of the way: a curve that is nowhere so far ahead of its chord has no knee."""


def knee(curve: Sequence[tuple[float, float]]) -> int | None:
    """Where a curve has got most of the way early: the point that is farthest ahead of its chord.

    Both axes are cut to 0..1 between the ends of the curve. None if it bends the other way, hardly at
    all, or leaves that square. (V. Satopää and others, "Finding a Kneedle in a haystack", 2011.)
    """
    if len(curve) < 3 or curve[0][0] == curve[-1][0] or curve[0][1] == curve[-1][1]:
        return None
    (x0, y0), (x1, y1) = curve[0], curve[-1]
    ways = [(y - y0) / (y1 - y0) for _, y in curve]
    ahead = [way - (x - x0) / (x1 - x0) for way, (x, _) in zip(ways, curve, strict=True)]
    best = max(range(len(curve)), key=ahead.__getitem__)
    is_curve = all(-_BEND <= way <= 1 + _BEND for way in ways)
    return best if is_curve and ahead[best] > _BEND else None


def pareto_rows(found: SweepResults) -> list[Record]:
    """Cost and p95 of the queue wait at each point that has both; those that no other beats are the front.

    A point is beaten by one that is not worse in either and better in one.
    """
    rows: list[Record] = []
    amounts: list[tuple[float, float]] = []
    for place, one in enumerate(found.points, start=1):
        results = one.results
        cost = None if results is None else number(at(results, *COST))
        wait = None if results is None else number(at(results, *WAIT))
        if cost is not None and wait is not None:
            amounts.append((cost, wait))
            label = " ".join(value for _, value in one.point.swept)
            texts = (figure_text("money", results, COST), figure_text("span", results, WAIT))
            row: Record = {"place": place, "point": f"{place}: {label}", "cost": cost, "wait": wait}
            rows.append(row | {"text": ", ".join(texts)})
    front = [(a, b) for a, b in amounts if not any(_beats(other, (a, b)) for other in amounts)]
    curve = sorted(set(front))
    bend = knee(curve)
    for row, amount in zip(rows, amounts, strict=True):
        row["front"] = amount in curve
        row["knee"] = bend is not None and amount == curve[bend]
    return rows


def _beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[0] and one[1] <= other[1] and one != other


@dataclass(frozen=True, slots=True)
class Swing:
    """How far a figure moves with one key, everything else averaged."""

    key: str
    low: float
    at_low: str
    """The value of the key at which the figure is least."""
    high: float
    at_high: str


def swings(found: SweepResults, path: Sequence[str]) -> list[Swing]:
    """Of each swept key the least and the greatest mean over its values, the key that moves it most first."""
    moved = []
    for place, key in enumerate(short_names(found.sweep.grid.keys)):
        sums: dict[str, list[float]] = {}
        for one in found.points:
            amount = None if one.results is None else number(at(one.results, *path))
            if amount is not None:
                sums.setdefault(one.point.swept[place][1], []).append(amount)
        means = {value: sum(each) / len(each) for value, each in sums.items()}
        if means:
            low, high = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
            moved.append(Swing(key, means[low], low, means[high], high))
    return sorted(moved, key=lambda one: (one.low - one.high, one.key))
