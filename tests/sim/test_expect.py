"""Expectations compare results with numbers, exactly, and are never run as code."""

import pytest

from sim.expect import RESULT_KEYS, judge, parse_expectation

RESULTS: dict[str, object] = {
    "scenario": "x",
    "jobs": {"submitted": 40, "succeeded": 40, "failed": 0},
    "queue_wait_s": {"count": 0, "p95": None},
    "completion_s": {"p95": 0.1 + 0.2},
    "work": {"goodput_fraction": 0.85},
    "groups": {
        "tpu_v5e_16": {"cost_usd": 96.0, "create_failures": {"stockout": 3}},
        "a.b": {"slices_peak": 2},
    },
    "makespan_s": 7200.0,
    "cost_usd": True,
}
GROUPS = ("tpu_v5e_16", "a.b")


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("jobs.succeeded == jobs.submitted", True),
        ("jobs.succeeded != jobs.submitted", False),
        ("jobs.failed < 1", True),
        ("jobs.failed > 0", False),
        ("jobs.succeeded <= 40", True),
        ("jobs.succeeded < 40", False),
        ("jobs.succeeded >= 40.0", True),
        ("jobs.succeeded>40", False),
        ("40 == jobs.succeeded", True),
        ("work.goodput_fraction > 0.85", False),
        ("work.goodput_fraction >= 8.5e-1", True),
        ("completion_s.p95 == 0.3", False),
        ("makespan_s == 2h", True),
        ("makespan_s < 7200", False),
        ("  makespan_s   >  90m ", True),
        ("groups.tpu_v5e_16.cost_usd == 96", True),
        ("groups.tpu_v5e_16.create_failures.stockout == 3", True),
        ("groups.a.b.slices_peak == 2", True),
    ],
)
def test_a_comparison_is_judged_exactly(text: str, *, holds: bool) -> None:
    assert judge(parse_expectation(text, GROUPS), RESULTS)["holds"] is holds


def test_a_verdict_shows_both_sides_as_they_are() -> None:
    verdict = judge(parse_expectation("jobs.succeeded == 40"), RESULTS)
    assert verdict == {"expr": "jobs.succeeded == 40", "holds": True, "left": 40, "right": 40}
    assert isinstance(verdict["right"], int)
    assert judge(parse_expectation("makespan_s < 3h"), RESULTS)["right"] == 10_800


@pytest.mark.parametrize("text", ["queue_wait_s.p95 < 7200", "queue_wait_s.p95 != 1"])
def test_what_has_no_number_does_not_hold(text: str) -> None:
    verdict = judge(parse_expectation(text), RESULTS)
    assert (verdict["holds"], verdict["left"]) == (False, None)


def test_a_result_that_is_missing_or_no_number_does_not_hold() -> None:
    assert judge(parse_expectation("jobs.killed == 0"), RESULTS)["holds"] is False
    assert judge(parse_expectation("cost_usd == 1"), RESULTS)["holds"] is False
    assert judge(parse_expectation("makespan_s == 0"), {"makespan_s": "0"})["holds"] is False


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is no comparison"),
        ("jobs.succeeded", "is no comparison"),
        ("jobs.succeeded = 4", "is no comparison"),
        ("jobs.succeeded == ", "is no comparison"),
        ("1 < jobs.succeeded < 4", "is no comparison"),
        ("jobs.succeeded == 1 or 1 == 1", "is no comparison"),
        ("jobs.succeeded == jobs.submitted * 2", "is no comparison"),
        ("1 == 1", "names no result"),
        ("__import__('os').system('true') == 0", "neither a key"),
        ("(lambda:1)() == 1", "neither a key"),
        ("jobs.__class__ == 1", "no number `jobs.__class__`"),
        ("jobs.suceeded == 4", "did you mean `jobs.succeeded`?"),
        ("jobs.x == 4", "jobs.submitted"),
        ("digest == 4", "no number `digest`"),
        ("jobs == 4", "no number `jobs`"),
        ("groups.gpu.cost_usd < 4", "no number `groups.gpu.cost_usd`"),
        ("groups.tpu_v5e_16.cost < 4", "did you mean `groups.tpu_v5e_16.cost_usd`?"),
        ("jobs.failed < 2h", "no time"),
        ("queue_wait_s.count < 2h", "no time"),
        ("work.lost_chip_s < 2h", "no time"),
        ("makespan_s < 2x", "'2x'"),
        ("makespan_s < nan", "no number `nan`"),
        ("makespan_s < 1_000", "'1_000'"),
    ],
)
def test_what_is_no_expectation_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r".") as refusal:
        parse_expectation(text, GROUPS)
    assert reason in str(refusal.value)


def test_every_key_of_the_contract_can_be_expected() -> None:
    for key in RESULT_KEYS:
        assert parse_expectation(f"{key} >= 0").left == key
    contract = {
        "jobs": "submitted succeeded failed killed unschedulable unfinished",
        "queue_wait_s": "count mean p50 p90 p95 p99 max",
        "completion_s": "count mean p50 p90 p95 p99 max",
        "attempts": "total preempted evicted failed worker_failed",
        "work": "useful_chip_s lost_chip_s idle_chip_s boot_chip_s provisioned_chip_s"
        " goodput_fraction",
        "invariants": "checked violated",
    }
    for section, fields in contract.items():
        for field in fields.split():
            assert f"{section}.{field}" in RESULT_KEYS
