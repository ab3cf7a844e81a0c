"""The terminal's summary: aligned, with units, within 80 columns, and never cropped."""

import pytest

from sim.measure import Measures
from sim.results import aggregate, summarize
from sim.tables import aligned, chip_time_text, count_text, share_text, span_text, terminal_summary
from tests.sim.example_run import example
from tests.sim.example_study import example_scenario

STORY = """\
jobs        5 submitted: 2 succeeded, 1 failed, 1 killed, 1 unfinished
attempts    4 total: 1 preempted, 1 failed
queue wait  p50 2m 50s  p90 1h 5m  p95 1h 5m  p99 1h 5m  max 1h 5m
completion  p50 17m 45s  p90 1h 23m  p95 1h 23m  p99 1h 23m  max 1h 23m
chip time   45.0% useful, 6.0% lost, 40.2% idle, 8.8% boot of 43.0 chip-h
cost        $21.01; $1.0866 per useful chip-hour; makespan 1h 23m

group  created  preempted  peak  mean  in use    cost  refused
tpu          3          1     2  1.07   68.0%  $20.45  stockout 1
cpu          1          0     1  0.28   12.9%   $0.55  -
spare        0          0     0  0.00       -   $0.00  -

FALSE  jobs.unfinished == 0  (1 against 0: 1 apart)
holds  queue_wait_s.p95 < 2h  (3,910 against 7,200: 3,290 apart, 45.7%)
holds  invariants  (100 checked)

example: seed 7, 2h simulated in 250ms, 28,800 times as fast as real
"""


def test_the_summary_of_the_example() -> None:
    scenario = example_scenario("jobs.unfinished == 0", "queue_wait_s.p95 < 2h")
    text = terminal_summary(summarize(example(), scenario.expect))
    assert text == STORY
    assert max(map(len, text.splitlines())) <= 80


def test_a_long_name_is_whole() -> None:
    measures = example()
    name = "g" * 100
    measures.group_price_per_hour[name] = 0
    assert name in terminal_summary(summarize(measures, ()))


def test_a_partial_run_and_a_violation_are_told() -> None:
    measures = example()
    measures.partial = True
    measures.invariants_violated, measures.violations = 1, ["two tasks on one chip"]
    text = terminal_summary(summarize(measures, ()))
    assert "PARTIAL: interrupted" in text
    assert "FALSE  invariants  (violated 1 times; trust no number above)" in text
    assert "       two tasks on one chip" in text


def test_an_empty_run_says_that_nothing_happened() -> None:
    text = terminal_summary(summarize(Measures(scenario="empty", seed=0), ()))
    assert "queue wait  - (no job started)" in text
    assert "chip time   - (nothing was provisioned)" in text


def test_replications_are_told_with_their_intervals() -> None:
    scenario = example_scenario("jobs.unfinished == 0")
    other = example()
    other.seed = 8
    other.jobs["/carol/oops"].state = other.jobs["/carol/late"].state
    results = aggregate([summarize(run, scenario.expect) for run in (example(), other)])
    lines = terminal_summary(results).splitlines()
    unfinished = next(line for line in lines if line.startswith("jobs unfinished"))
    assert unfinished.split()[2:] == ["1.5", "-4.9", "7.9", "1", "2"]
    assert "FALSE  jobs.unfinished == 0  (in 0 of 2 runs)" in lines
    assert lines[-1].startswith("example: 2 replications, seeds 7 to 8, 2h simulated")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0, "0s"),
        (0.004, "4ms"),
        (0.9999, "1.0s"),
        (3.24, "3.2s"),
        (9.96, "10s"),
        (59.6, "1m"),
        (61, "1m 1s"),
        (3599.7, "1h"),
        (3661, "1h 1m"),
        (86_399, "1d"),
        (90_061, "1d 1h"),
        (-90, "-1m 30s"),
    ],
)
def test_a_span_is_said_in_at_most_two_units(seconds: float | None, text: str) -> None:
    assert span_text(seconds) == text


def test_numbers_carry_their_units() -> None:
    assert count_text(1234567) == "1,234,567"
    assert count_text({"mean": 2.25}) == "2.2"
    assert share_text(0.12345) == "12.3%"
    assert chip_time_text(7200) == "2.0 chip-h"


def test_columns_are_as_wide_as_what_they_hold() -> None:
    assert aligned([("a", "long header"), ("a name", "7")]) == [
        "a       long header",
        "a name            7",
    ]
