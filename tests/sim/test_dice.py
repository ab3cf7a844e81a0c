"""Draws depend on their name alone, and distributions have the shape that they are named after."""

import math
from statistics import NormalDist, fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris.core.instant import HOUR, MINUTE, Millis
from sim.dice import (
    LONGEST,
    Capped,
    Constant,
    Dice,
    Distribution,
    Empirical,
    Exponential,
    Lognormal,
    Remaining,
    Uniform,
    Weibull,
    exponential,
    logarithm,
    normal_quantile,
)

LAST = 1.0 - 2.0**-53
"""The largest number that a draw can be."""

PINNED_UNIFORM = 0.6366513938716881
PINNED_DRAWS = [5, 337, 3966532, 5092973, 4134827, 400, 1800000]
"""If these change, so does every result of every scenario: say so in the changelog."""

SHAPES: dict[str, Distribution] = {
    "constant": Constant(Millis(5)),
    "uniform": Uniform(Millis(10), Millis(500)),
    "exponential": Exponential(HOUR),
    "lognormal": Lognormal(float(HOUR), 0.8),
    "weibull": Weibull(HOUR, 0.7),
    "weighted": Empirical((Millis(900), Millis(100), Millis(400)), (1.0, 2.0, 1.0)),
    "capped": Capped(Exponential(HOUR), Millis(HOUR // 2)),
}


def test_a_draw_is_pinned_for_every_machine_and_version() -> None:
    dice = Dice(7)
    assert dice.uniform("boot", "slice-1", 3) == PINNED_UNIFORM
    drawn = [dice.draw(shape, "run_time", "train", 0) for shape in SHAPES.values()]
    assert drawn == PINNED_DRAWS


def test_a_draw_does_not_depend_on_what_was_drawn_before() -> None:
    fresh, used = Dice(3), Dice(3)
    for number in range(100):
        used.uniform("another", number)
    assert used.uniform("boot", 5) == fresh.uniform("boot", 5)


def test_seed_stream_and_key_each_make_another_draw() -> None:
    draws = [
        Dice(1).uniform("boot", "a", 1),
        Dice(2).uniform("boot", "a", 1),
        Dice(1).uniform("life", "a", 1),
        Dice(1).uniform("boot", "b", 1),
        Dice(1).uniform("boot", "a", 2),
        Dice(1).uniform("boot", "a"),
        Dice(11).uniform("boot", "a", 1),
        Dice(1).uniform("boot", "a1"),
        Dice(1).uniform("boota", 1),
    ]
    assert len(dict.fromkeys(draws)) == len(draws)


def test_uniform_numbers_fill_the_unit_interval_evenly() -> None:
    dice = Dice(0)
    tenths = [0] * 10
    for number in range(20_000):
        tenths[int(dice.uniform("even", number) * 10)] += 1
    # Five standard deviations of a binomial with 20,000 trials.
    assert all(abs(count - 2_000) < 5 * math.sqrt(20_000 * 0.1 * 0.9) for count in tenths)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@given(st.floats(0, LAST), st.floats(0, LAST))
def test_a_later_quantile_is_never_a_shorter_span(shape: Distribution, a: float, b: float) -> None:
    early, late = shape.sample(min(a, b)), shape.sample(max(a, b))
    assert isinstance(early, int)
    assert 0 <= early <= late <= LONGEST


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_mean_of_many_spans_is_the_mean(shape: Distribution) -> None:
    count = 20_000
    spans = [shape.sample((number + 0.5) / count) for number in range(count)]
    assert fmean(spans) == pytest.approx(shape.mean(), rel=2e-3)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_ends_of_the_range_can_be_drawn(shape: Distribution) -> None:
    assert 0 <= shape.sample(0.0) <= shape.sample(LAST) < LONGEST


def test_quantiles_are_those_of_the_formulas() -> None:
    assert Exponential(HOUR).sample(1 - math.exp(-1)) == HOUR
    assert Exponential(HOUR).sample(0.5) == round(HOUR * math.log(2))
    assert Lognormal(float(HOUR), 0.8).sample(0.5) == HOUR
    one_sigma = NormalDist().cdf(1.0)
    assert Lognormal(float(HOUR), 0.8).sample(one_sigma) == round(HOUR * math.exp(0.8))
    assert Weibull(HOUR, 2.0).sample(1 - math.exp(-4)) == 2 * HOUR
    assert Weibull(HOUR, 1.0).sample(0.3) == Exponential(HOUR).sample(0.3)
    assert Weibull(HOUR, 0.5).sample(0.0) == 0


def test_a_lognormal_can_be_told_by_its_mean() -> None:
    shape = Lognormal.of_mean(HOUR, 0.8)
    assert shape.mean() == pytest.approx(HOUR, rel=1e-12)
    assert shape.sample(0.5) == round(HOUR * math.exp(-0.32))


def test_a_uniform_span_takes_both_ends_alike() -> None:
    shape = Uniform(Millis(3), Millis(5))
    spans = [shape.sample(number / 9) for number in range(9)]
    assert spans == [3, 3, 3, 4, 4, 4, 5, 5, 5]
    assert shape.sample(LAST) == 5
    assert Uniform(Millis(3), Millis(3)).sample(LAST) == 3


def test_empirical_values_come_by_weight_and_in_order() -> None:
    shape = Empirical((Millis(900), Millis(100), Millis(400)), (1.0, 2.0, 1.0))
    assert [shape.sample(u) for u in (0.0, 0.49, 0.5, 0.74, 0.75, LAST)] == [
        100, 100, 400, 400, 900, 900,
    ]  # fmt: skip
    assert shape.mean() == 375
    alike = Empirical((Millis(2), Millis(1)))
    assert [alike.sample(u) for u in (0.0, 0.5)] == [1, 2]


def test_a_value_of_no_weight_never_comes() -> None:
    shape = Empirical((Millis(1), Millis(2), Millis(3)), (0.0, 1.0, 0.0))
    assert [shape.sample(u) for u in (0.0, 0.5, LAST)] == [2, 2, 2]


def test_a_cap_cuts_and_changes_nothing_below() -> None:
    shape = Capped(Exponential(HOUR), MINUTE)
    assert shape.sample(LAST) == MINUTE
    assert shape.sample(0.01) == Exponential(HOUR).sample(0.01) < MINUTE


def test_an_absurd_span_is_cut_at_the_longest() -> None:
    assert Lognormal(1e15, 10.0).sample(LAST) == LONGEST
    assert Weibull(HOUR, 0.05).sample(LAST) == LONGEST


@given(st.floats(2.0**-60, 1e18))
def test_the_logarithm_is_that_of_the_library(x: float) -> None:
    assert logarithm(x) == pytest.approx(math.log(x), rel=2e-15, abs=1e-300)


@given(st.floats(-40, 40))
def test_the_exponential_is_that_of_the_library(x: float) -> None:
    assert exponential(x) == pytest.approx(math.exp(x), rel=2e-15)


def test_the_exponential_has_no_overflow() -> None:
    assert exponential(1e300) == exponential(700.0) > 1e300
    assert 0.0 < exponential(-1e300) == exponential(-700.0) < 1e-300


@given(st.floats(2.0**-54, LAST))
def test_the_normal_quantile_is_that_of_the_library(p: float) -> None:
    assert normal_quantile(p) == pytest.approx(NormalDist().inv_cdf(p), rel=1e-13, abs=1e-15)


@pytest.mark.parametrize("p", [2.0**-54, 1e-12, 1e-5, 0.0749, 0.0751, 0.5, 0.9251, LAST])
def test_the_normal_quantile_is_right_in_all_of_its_ranges(p: float) -> None:
    assert normal_quantile(p) == pytest.approx(NormalDist().inv_cdf(p), rel=1e-13, abs=1e-15)


def test_what_is_sure_happens_and_what_is_impossible_does_not() -> None:
    dice = Dice(5)
    assert all(dice.chance(1.0, "sure", number) for number in range(1_000))
    assert not any(dice.chance(0.0, "never", number) for number in range(1_000))


def test_a_chance_comes_as_often_as_it_says() -> None:
    dice = Dice(5)
    hits = sum(dice.chance(0.2, "often", number) for number in range(20_000))
    assert abs(hits - 4_000) < 5 * math.sqrt(20_000 * 0.2 * 0.8)


def test_picks_are_in_range_and_alike() -> None:
    dice = Dice(5)
    counts = [0] * 7
    for number in range(14_000):
        counts[dice.pick(7, "which", number)] += 1
    assert all(abs(count - 2_000) < 5 * math.sqrt(14_000 / 7 * 6 / 7) for count in counts)
    assert dice.pick(1, "only", 0) == 0


def test_geometric_counts_have_their_mean_and_start_at_one() -> None:
    dice = Dice(5)
    counts = [dice.geometric(2.1, "bulk", number) for number in range(20_000)]
    assert min(counts) == 1
    # The variance of a geometric count of mean m is m (m - 1).
    assert abs(fmean(counts) - 2.1) < 5 * math.sqrt(2.1 * 1.1 / 20_000)
    assert counts.count(1) / 20_000 == pytest.approx(1 / 2.1, abs=0.02)
    assert dice.geometric(1.0, "bulk", 0) == dice.geometric(0.0, "bulk", 0) == 1


def test_what_is_left_of_a_span_is_drawn_from_the_longer_ones() -> None:
    spans = tuple(Millis(n) for n in (10, 20, 30, 40))
    left = Remaining(Empirical(spans), Millis(20))
    assert [left.sample(u) for u in (0.0, 0.49, 0.51, 0.99)] == [10, 10, 20, 20]
    assert Remaining(Empirical(spans), Millis(40)).sample(0.9) == 0
    assert Remaining(Constant(Millis(50)), Millis(20)).sample(0.3) == 30
    # The exponential distribution has no memory.
    fresh = Exponential(Millis(HOUR))
    aged = Remaining(fresh, Millis(3 * HOUR))
    assert [aged.sample(u) for u in (0.1, 0.5, 0.9)] == pytest.approx(
        [fresh.sample(u) for u in (0.1, 0.5, 0.9)], abs=1
    )
    assert aged.mean() == pytest.approx(HOUR, rel=1e-3)
