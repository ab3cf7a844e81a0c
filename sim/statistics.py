"""The few statistics that a report quotes: percentiles, time-weighted series, Student's t.

Nothing here draws or samples. Percentiles are nearest-rank: the smallest observed value that at
least p percent of the values do not exceed. Such a value was really observed and is an integer when
the values are, so it is the same on every machine; interpolation would invent values between.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, stdev
from typing import TypeVar

_N = TypeVar("_N", int, float)


def percentile(ordered: Sequence[_N], percent: int) -> _N:
    """The nearest-rank percentile of values that are sorted and not empty; 0 < percent <= 100."""
    assert ordered, "a percentile of nothing"
    assert 0 < percent <= 100, percent
    rank = -(-percent * len(ordered) // 100)
    return ordered[rank - 1]


@dataclass(frozen=True, slots=True)
class Interval:
    """The mean of independent values, and where the true mean lies with 95 % confidence."""

    mean: float
    low: float
    high: float


def mean_interval(values: Sequence[float]) -> Interval:
    """The 95 % interval by Student's t; a single value is its own interval."""
    mean = fmean(values)
    if len(values) == 1:
        return Interval(mean, mean, mean)
    half = student_t_quantile(0.975, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


def student_t_quantile(probability: float, degrees: int) -> float:
    """The t that Student's distribution with whole degrees of freedom stays below so often."""
    assert 0.0 < probability < 1.0, probability
    assert degrees >= 1, degrees
    if probability < 0.5:
        return -student_t_quantile(1.0 - probability, degrees)
    high = 1.0
    while student_t_cdf(high, degrees) < probability:
        high *= 2.0
    low = 0.0
    # Halving ends by itself when the middle is one of the ends; 200 is far beyond a double's bits.
    for _ in range(200):
        middle = (low + high) / 2.0
        if student_t_cdf(middle, degrees) < probability:
            low = middle
        else:
            high = middle
    return high


def student_t_cdf(t: float, degrees: int) -> float:
    """P(T <= t), by the finite series that exists for whole degrees (Abramowitz, Stegun 26.7)."""
    angle = math.atan(t / math.sqrt(degrees))
    cosine_squared = degrees / (degrees + t * t)
    if degrees % 2:
        factor, inside = math.sqrt(cosine_squared), angle
        term, first = math.sin(angle) * factor, 3
        share = 2.0 / math.pi
    else:
        inside, term, first = 0.0, math.sin(angle), 2
        share = 1.0
    total = term if degrees > 1 else 0.0
    for order in range(first, degrees - 1, 2):
        term *= cosine_squared * (order - 1) / order
        total += term
    return 0.5 + share * (inside + total) / 2.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """What a stepwise series was over one span of time."""

    start: int
    end: int
    mean: float
    """Weighted by time."""
    peak: int


def time_weighted(points: Sequence[tuple[int, int]], start: int, end: int) -> int:
    """The integral from start to end of a series that keeps each value until the next point.

    Points are (instant, value) in order of time; of several at one instant the last one counts.
    Before its first point the series is 0.
    """
    total = 0
    for position, (at, value) in enumerate(points):
        until = points[position + 1][0] if position + 1 < len(points) else end
        total += value * max(0, min(until, end) - max(at, start))
    return total


def buckets(points: Sequence[tuple[int, int]], start: int, end: int, count: int) -> list[Bucket]:
    """The series cut into at most `count` spans of (nearly) equal length, none of them empty.

    For charts: a run of a million samples and one of ten are drawn at the same cost, and the peak
    of each span survives the averaging.
    """
    span = end - start
    count = min(count, span)
    edges = [start + span * number // count for number in range(count + 1)] if count > 0 else []
    instants = [at for at, _ in points]
    return [_bucket(points, instants, a, b) for a, b in pairwise(edges)]


def _bucket(
    points: Sequence[tuple[int, int]], instants: Sequence[int], start: int, end: int
) -> Bucket:
    first = bisect_left(instants, start)
    until = bisect_left(instants, end)
    entering = points[first - 1][1] if first else 0
    inside = [(start, entering), *points[first:until]]
    total = time_weighted(inside, start, end)
    return Bucket(start, end, total / (end - start), max(_values_that_lasted(inside, end)))


def _values_that_lasted(points: Sequence[tuple[int, int]], end: int) -> Iterable[int]:
    """The values that held for some time; those replaced in their own instant were never seen."""
    for position, (at, value) in enumerate(points):
        until = points[position + 1][0] if position + 1 < len(points) else end
        if until > at:
            yield value
