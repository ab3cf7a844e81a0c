"""Amounts: exact integers, compared dimension by dimension, never clamped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris.core.resources import NOTHING, Resources, amount, copies, fits, minus, plus, times
from tests.groups import GIB

numbers = st.integers(-(10**12), 10**12)
amounts = st.builds(Resources, numbers, numbers, numbers, numbers, numbers)
parts = st.integers(0, 50)
small = st.builds(Resources, parts, parts, parts, parts, parts)


@given(amounts, amounts)
def test_what_is_added_can_be_taken_away_exactly(a: Resources, b: Resources) -> None:
    assert minus(plus(a, b), b) == a
    assert plus(a, NOTHING) == a


def test_a_difference_below_zero_is_told_as_it_is() -> None:
    assert minus(Resources(cpu=1), Resources(cpu=3, ports=2)) == Resources(cpu=-2, ports=-2)


@given(small, st.integers(0, 9))
def test_times_is_plus_repeated(a: Resources, count: int) -> None:
    total = NOTHING
    for _ in range(count):
        total = plus(total, a)
    assert times(a, count) == total


@pytest.mark.parametrize("dimension", Resources._fields)
def test_i_32_each_dimension_alone_can_refuse(dimension: str) -> None:
    have = Resources(4, 4, 4, 4, 4)
    assert fits(have, have)
    assert not fits(have._replace(**{dimension: 5}), have)


@given(small, small)
def test_as_many_copies_fit_as_are_counted_and_not_one_more(
    need: Resources, free: Resources
) -> None:
    if not any(need):
        return
    count = copies(need, free)
    assert fits(times(need, count), free)
    assert not fits(times(need, count + 1), free)


@pytest.mark.parametrize(
    ("dimension", "number", "told"),
    [
        ("chips", 4, "4 chips"),
        ("cpu", 1_500, "1500 millicores"),
        ("memory", 3 * GIB, "3 GiB of memory"),
        ("memory", 3 << 20, "3 MiB of memory"),
        ("disk", 3, "3 bytes of disk"),
        ("ports", 2, "2 ports"),
        ("chips", 1, "1 chip"),
    ],
)
def test_an_amount_is_told_in_the_largest_unit_in_which_it_is_whole(
    dimension: str, number: int, told: str
) -> None:
    assert amount(dimension, number) == told
