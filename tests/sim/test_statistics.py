"""Percentiles, Student's t and time weighting, held against worked values and definitions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.statistics import (
    buckets,
    mean_interval,
    percentile,
    student_t_cdf,
    student_t_quantile,
    time_weighted,
)

# Printed tables of Student's t, two-sided 95 % and 99 %.
TABLE = [
    (0.975, 1, 12.706),
    (0.975, 2, 4.303),
    (0.975, 3, 3.182),
    (0.975, 4, 2.776),
    (0.975, 9, 2.262),
    (0.975, 10, 2.228),
    (0.975, 29, 2.045),
    (0.975, 30, 2.042),
    (0.975, 120, 1.980),
    (0.995, 1, 63.657),
    (0.995, 5, 4.032),
    (0.995, 24, 2.797),
    (0.95, 7, 1.895),
]


@pytest.mark.parametrize(("probability", "degrees", "expected"), TABLE)
def test_the_t_quantile_agrees_with_the_printed_tables(
    probability: float, degrees: int, expected: float
) -> None:
    assert student_t_quantile(probability, degrees) == pytest.approx(expected, abs=6e-4)


def test_the_t_quantile_is_odd_and_the_median_is_zero() -> None:
    assert student_t_quantile(0.025, 6) == -student_t_quantile(0.975, 6)
    assert student_t_quantile(0.5, 6) == pytest.approx(0.0, abs=1e-9)


@given(st.integers(1, 200), st.floats(0.501, 0.9995))
def test_the_t_quantile_inverts_the_distribution(degrees: int, probability: float) -> None:
    quantile = student_t_quantile(probability, degrees)
    assert student_t_cdf(quantile, degrees) == pytest.approx(probability, abs=1e-9)


def test_with_many_degrees_student_is_normal() -> None:
    assert student_t_quantile(0.975, 100_000) == pytest.approx(1.95996, abs=1e-4)


def test_percentiles_are_observed_values() -> None:
    values = list(range(1, 11))
    assert [percentile(values, p) for p in (50, 90, 91, 95, 99, 100)] == [5, 9, 10, 10, 10, 10]
    assert percentile([7], 50) == 7
    assert percentile([1, 2], 50) == 1
    assert percentile([1, 2], 51) == 2


@given(st.lists(st.integers(0, 1000), min_size=1), st.integers(1, 100))
def test_a_percentile_is_the_smallest_value_that_enough_others_do_not_exceed(
    values: list[int], percent: int
) -> None:
    def is_enough(candidate: int) -> bool:
        return sum(1 for value in values if value <= candidate) * 100 >= percent * len(values)

    assert percentile(sorted(values), percent) == min(v for v in values if is_enough(v))


def test_the_interval_of_a_worked_example() -> None:
    # Mean 5, standard deviation 2, n = 4: half-width 3.182 * 2 / 2.
    interval = mean_interval([3.0, 4.0, 5.0, 8.0])
    deviation = (14 / 3) ** 0.5
    assert interval.mean == 5.0
    assert interval.high - interval.mean == pytest.approx(3.18245 * deviation / 2, abs=1e-4)
    assert interval.mean - interval.low == pytest.approx(interval.high - interval.mean)


def test_one_value_is_its_own_interval() -> None:
    interval = mean_interval([4.5])
    assert (interval.mean, interval.low, interval.high) == (4.5, 4.5, 4.5)


def test_a_value_weighs_as_long_as_it_lasts() -> None:
    points = [(0, 2), (10, 4), (10, 6), (30, 0)]
    assert time_weighted(points, 0, 40) == 2 * 10 + 6 * 20
    assert time_weighted(points, 5, 15) == 2 * 5 + 6 * 5
    assert time_weighted([(20, 3)], 0, 30) == 30


def test_buckets_keep_the_peak_but_not_what_lasted_no_time() -> None:
    first, second = buckets([(0, 1), (4, 9), (5, 1), (12, 99), (12, 2)], 0, 20, 2)
    assert (first.start, first.end, first.peak) == (0, 10, 9)
    assert first.mean == pytest.approx(1.8)
    assert (second.start, second.end, second.peak) == (10, 20, 2)
    assert second.mean == pytest.approx((1 * 2 + 2 * 8) / 10)


def test_a_span_of_no_time_has_no_buckets() -> None:
    assert buckets([(0, 1)], 5, 5, 10) == []
    assert len(buckets([(0, 1)], 0, 3, 10)) == 3


@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 50)), max_size=30),
    st.integers(1, 120),
    st.integers(1, 20),
)
def test_buckets_add_up_to_the_whole(points: list[tuple[int, int]], end: int, count: int) -> None:
    points.sort(key=lambda point: point[0])
    parts = buckets(points, 0, end, count)
    assert [b.start for b in parts[1:]] == [b.end for b in parts[:-1]]
    whole = sum(bucket.mean * (bucket.end - bucket.start) for bucket in parts)
    assert whole == pytest.approx(time_weighted(points, 0, end))
