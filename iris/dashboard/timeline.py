"""Bars over time, and curves of samples, as numbers for a drawing of fixed size: no browser computes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from iris.core.instant import DAY, HOUR, MINUTE, SECOND, Instant

WIDTH: Final = 1_000
ROW: Final = 16
LABEL: Final = 90
_HEIGHT: Final = 120
_TICKS: Final = 6
_STEPS: Final = (
    *(SECOND * n for n in (1, 2, 5, 10, 20, 30)),
    *(MINUTE * n for n in (1, 2, 5, 10, 20, 30)),
    *(HOUR * n for n in (1, 2, 3, 6, 12)),
    *(DAY * n for n in (1, 2, 5, 10, 30)),
)


@dataclass(frozen=True, slots=True)
class Span:
    """Something that lasted."""

    label: str
    """Spans of one label are in one row."""
    start: Instant
    end: Instant
    state: str
    title: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A span, drawn."""

    x: float
    y: int
    width: float
    state: str
    title: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on the axis of time."""

    x: float
    span: int
    """Milliseconds since the begin."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """A drawing of spans, or nothing to draw."""

    bars: Sequence[Bar]
    rows: Sequence[tuple[int, str]]
    """The lower edge of each row, and its label."""
    ticks: Sequence[Tick]
    height: int


def timeline(spans: Sequence[Span], begin: Instant, end: Instant) -> Timeline:
    """The spans between two instants, a row for each label, in the order in which these first come."""
    whole = max(1, end - begin)
    rows: dict[str, int] = {}
    bars = []
    for span in spans:
        row = rows.setdefault(span.label, len(rows))
        start, stop = max(span.start, begin), min(span.end, end)
        if stop < start:
            continue
        width = (stop - start) * (WIDTH - LABEL) / whole
        x = LABEL + (start - begin) * (WIDTH - LABEL) / whole
        bars.append(Bar(round(x, 1), row * ROW, round(max(width, 1.0), 1), span.state, span.title))
    labels = [(row * ROW + ROW - 4, label) for label, row in rows.items()]
    return Timeline(bars, labels, ticks(whole, WIDTH, LABEL), len(rows) * ROW + 18)


def ticks(whole: int, width: int, left: int) -> list[Tick]:
    """Marks at steps of a span that a person would choose."""
    step = next((it for it in _STEPS if whole <= it * _TICKS), whole // _TICKS)
    step = max(1, step)
    return [
        Tick(round(left + (width - left) * at / whole, 1), at)
        for at in range(0, whole - step // 3, step)
    ]


@dataclass(frozen=True, slots=True)
class Layer:
    """One of the areas that are stacked."""

    name: str
    state: str
    points: str
    """Of a polygon."""


@dataclass(frozen=True, slots=True)
class Areas:
    """A drawing of amounts over time, stacked, or nothing to draw."""

    layers: Sequence[Layer]
    ticks: Sequence[Tick]
    top: int
    """The amount at the upper edge."""
    height: int


def areas(
    at: Sequence[Instant], amounts: Sequence[tuple[str, str, Sequence[int]]], now: Instant
) -> Areas:
    """Amounts over time, the first one lowest.

    Args:
        at: when each sample was taken; it stands until the next one.
        amounts: of each layer its name, its state, and the amount in each sample.
        now: the right edge.
    """
    if not at:
        return Areas((), (), 0, _HEIGHT)
    whole = max(1, now - at[0])
    sums = [sum(column) for column in zip(*(values for _, _, values in amounts), strict=True)]
    top = max(1, *sums)
    xs = [(moment - at[0]) * WIDTH / whole for moment in (*at, now)]
    below = [0] * len(at)
    layers = []
    for name, state, values in amounts:
        above = [low + value for low, value in zip(below, values, strict=True)]
        upper, lower = _steps(xs, above, top), _steps(xs, below, top)
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*upper, *reversed(lower)])
        layers.append(Layer(name, state, points))
        below = above
    return Areas(layers, ticks(whole, WIDTH, 0), top, _HEIGHT)


def _steps(xs: Sequence[float], values: Sequence[int], top: int) -> list[tuple[float, float]]:
    """The corners of a line that stays until the next value comes."""
    corners = []
    for index, value in enumerate(values):
        y = _HEIGHT - value * _HEIGHT / top
        corners += [(xs[index], y), (xs[index + 1], y)]
    return corners
