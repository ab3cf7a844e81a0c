"""Use of the past: counted exactly, halved at the end of each half-life, by integers alone."""

from hypothesis import given
from hypothesis import strategies as st

from iris.core.ids import UserName
from iris.core.instant import Instant, Millis
from iris.core.records import Usage
from iris.core.usage import accrued

HALF = Millis(1_000)


def used(amount: int = 0, rate: int = 0, since: int = 0) -> Usage:
    return Usage(UserName("alice"), 0, amount, rate, Instant(since))


def test_use_within_a_half_life_is_rate_times_time() -> None:
    assert accrued(used(rate=3), Instant(400), HALF) == 1_200


def test_at_the_end_of_a_half_life_all_that_was_used_counts_half() -> None:
    assert accrued(used(amount=800), Instant(999), HALF) == 800
    assert accrued(used(amount=800), Instant(1_000), HALF) == 400
    assert accrued(used(amount=800), Instant(3_000), HALF) == 100


def test_use_goes_on_while_the_past_is_halved() -> None:
    # 1,000 at the first boundary counts 500; 500 more follow in the half after it.
    assert accrued(used(rate=1), Instant(1_500), HALF) == 500 + 500


def test_who_used_nothing_for_a_very_long_time_is_as_new() -> None:
    assert accrued(used(amount=10**18), Instant(65_000), HALF) == 0
    assert accrued(used(amount=1 << 63), Instant(64_000), HALF) == 0


def test_steady_use_over_a_very_long_time_counts_as_one_half_life_and_the_present() -> None:
    assert accrued(used(rate=4), Instant(1_000_250), HALF) == 4 * 1_000 + 4 * 250


@given(
    amount=st.integers(0, 10**9),
    rate=st.integers(0, 10**6),
    start=st.integers(0, 5_000),
    first=st.integers(0, 5_000),
    second=st.integers(0, 5_000),
)
def test_looking_in_between_changes_nothing(
    amount: int, rate: int, start: int, first: int, second: int
) -> None:
    at_once = accrued(used(amount, rate, start), Instant(start + first + second), HALF)
    halfway = Instant(start + first)
    seen = accrued(used(amount, rate, start), halfway, HALF)
    after = accrued(used(seen, rate, halfway), Instant(start + first + second), HALF)
    assert after == at_once


@given(rate=st.integers(0, 10**6), now=st.integers(0, 10**6))
def test_no_rate_ever_counts_more_than_two_half_lives_of_it(rate: int, now: int) -> None:
    assert accrued(used(rate=rate), Instant(now), HALF) <= 2 * HALF * rate
