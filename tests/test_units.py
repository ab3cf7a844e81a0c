"""Quantities: what is read, how exactly, what is refused, and that what is printed reads back."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris.core.instant import Millis
from iris.units import (
    DURATION_UNITS,
    SIZE_UNITS,
    BadQuantity,
    format_duration,
    format_size,
    parse_cpu,
    parse_duration,
    parse_price,
    parse_size,
)


@pytest.mark.parametrize(
    ("written", "millis"),
    [
        ("90s", 90_000),
        ("15m", 900_000),
        ("6h", 21_600_000),
        ("2d", 172_800_000),
        ("250ms", 250),
        ("1h30m", 5_400_000),
        ("1.5h", 5_400_000),
        (" 1d 2h ", 93_600_000),
        (5, 5_000),
        (0.25, 250),
        ("90", 90_000),
        (0, 0),
        ("0s", 0),
        (0.1 + 0.2, 300),
        (1e3, 1_000_000),
    ],
)
def test_a_duration_is_whole_milliseconds(written: object, millis: int) -> None:
    assert parse_duration(written) == millis


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("64GB", 64 * 10**9),
        ("64GiB", 64 * 2**30),
        ("64Gi", 64 * 2**30),
        ("64g", 64 * 10**9),
        ("1.5 TB", 1_500_000_000_000),
        ("512", 512),
        (512, 512),
        ("7B", 7),
        (0, 0),
    ],
)
def test_a_size_is_whole_bytes(written: object, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize(
    ("written", "millicores"), [(1, 1_000), (0.5, 500), ("500m", 500), ("2", 2_000), (0.001, 1)]
)
def test_cpus_are_whole_millicores(written: object, millicores: int) -> None:
    assert parse_cpu(written) == millicores


@pytest.mark.parametrize(("written", "micros"), [(9.6, 9_600_000), (0, 0), ("0.000001", 1)])
def test_a_price_is_whole_millionths(written: object, micros: int) -> None:
    assert parse_price(written) == micros


@pytest.mark.parametrize(
    ("parse", "written", "said"),
    [
        (parse_duration, "1 fortnight", "not a duration"),
        (parse_duration, "1m1h", "not a duration"),
        (parse_duration, "h", "not a duration"),
        (parse_duration, "", "not a duration"),
        (parse_duration, None, "nothing is not a duration"),
        (parse_duration, True, "true is not a duration"),
        (parse_duration, [1], "a list is not a duration"),
        (parse_duration, "9" * 50, "not a duration"),
        (parse_duration, "-5m", "negative"),
        (parse_duration, -0.5, "negative"),
        (parse_duration, float("nan"), "not a finite number"),
        (parse_duration, float("inf"), "not a finite number"),
        (parse_duration, 1e30, "too large"),
        (parse_duration, "0.1ms", "less than a millisecond"),
        (parse_duration, "\u0665s", "not a duration"),
        (parse_size, "12 potatoes", "not a size"),
        (parse_size, "GB", "not a size"),
        (parse_size, "-1GB", "negative"),
        (parse_size, 0.2, "less than a byte"),
        (parse_cpu, "1x", "not a number of cpus"),
        (parse_cpu, "-500m", "negative"),
        (parse_cpu, 0.0005, "finer than a millicore"),
        (parse_cpu, 1.0005, "finer than a millicore"),
        (parse_price, "$9", "not a price"),
        (parse_price, -1, "negative"),
    ],
)
def test_anything_else_is_refused_and_told_what_would_be_right(
    parse: Callable[[object], int], written: object, said: str
) -> None:
    with pytest.raises(BadQuantity) as refusal:
        parse(written)
    assert said in refusal.value.message
    assert refusal.value.help.startswith("write ")
    assert str(refusal.value) == f"{refusal.value.message}; {refusal.value.help}"


@given(st.integers(min_value=0, max_value=10**15).map(Millis))
def test_a_printed_duration_reads_back(span: Millis) -> None:
    assert parse_duration(format_duration(span)) == span


@pytest.mark.parametrize(
    ("span", "text"),
    [(0, "0s"), (90_000, "1m30s"), (-1_500, "-1s500ms"), (86_400_000, "1d"), (3_600_001, "1h1ms")],
)
def test_a_duration_is_printed_in_its_units(span: int, text: str) -> None:
    assert format_duration(Millis(span)) == text


@given(st.sampled_from(sorted(SIZE_UNITS)), st.integers(min_value=1, max_value=999))
def test_a_round_size_is_printed_exactly(unit: str, count: int) -> None:
    assert parse_size(format_size(count * SIZE_UNITS[unit])) == count * SIZE_UNITS[unit]


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0B"), (2**30, "1GiB"), (64 * 10**9, "64GB"), (123_456_789, "123MB")]
)
def test_a_size_is_printed_for_people(size: int, text: str) -> None:
    assert format_size(size) == text


def test_units_stand_from_large_to_small_so_that_printing_takes_the_largest() -> None:
    for units in (DURATION_UNITS, SIZE_UNITS):
        assert list(units.values()) == sorted(units.values(), reverse=True)
