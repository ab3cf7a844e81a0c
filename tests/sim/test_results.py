"""What each figure of the results means, against sums done by hand and random runs that add up."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris.core.instant import Instant
from iris.core.lifecycle import AttemptState
from sim.expect import parse_expectation
from sim.ledger import end_of
from sim.measure import AttemptRow, Measures, SliceRow
from sim.results import aggregate, summarize
from tests.sim.example_run import at, example

CONTRACT = {
    "scenario": None,
    "seed": None,
    "simulated_s": None,
    "turns": None,
    "events": None,
    "digest": None,
    "jobs": ["submitted", "succeeded", "failed", "killed", "unschedulable", "unfinished"],
    "queue_wait_s": ["count", "mean", "p50", "p90", "p95", "p99", "max"],
    "completion_s": ["count", "mean", "p50", "p90", "p95", "p99", "max"],
    "attempts": ["total", "preempted", "evicted", "failed", "worker_failed"],
    "work": [
        "useful_chip_s", "lost_chip_s", "idle_chip_s", "boot_chip_s",
        "provisioned_chip_s", "goodput_fraction",
    ],
    "groups": ["tpu", "cpu", "spare"],
    "makespan_s": None,
    "cost_usd": None,
    "invariants": ["checked", "violated"],
    "expect": None,
    "wall_s": None,
}  # fmt: skip
GROUP = [
    "slices_created", "slices_preempted", "slices_peak", "slices_mean", "utilisation",
    "cost_usd", "create_failures",
]  # fmt: skip


def section(results: dict[str, object], *keys: str) -> dict[str, object]:
    found: object = results
    for key in keys:
        assert isinstance(found, dict)
        found = found[key]
    assert isinstance(found, dict)
    return found


def test_the_keys_are_those_of_the_contract_in_its_order() -> None:
    results = summarize(example(), ())
    assert list(results)[: len(CONTRACT)] == list(CONTRACT)
    for key, inner in CONTRACT.items():
        if inner is not None:
            assert list(section(results, key))[: len(inner)] == inner
    for group in ("tpu", "cpu", "spare"):
        assert list(section(results, "groups", group)) == GROUP
        failures = list(section(results, "groups", group, "create_failures"))
        assert failures[:3] == ["stockout", "quota", "internal"]


def test_jobs_are_counted_by_their_end_and_none_is_dropped() -> None:
    assert summarize(example(), ())["jobs"] == {
        "submitted": 5, "succeeded": 2, "failed": 1, "killed": 1,
        "unschedulable": 0, "unfinished": 1,
    }  # fmt: skip


def test_waits_are_of_started_jobs_and_completions_of_succeeded_ones() -> None:
    results = summarize(example(), ())
    # Waits 65, 170 and 3,910 s; completions 1,065 and 5,000 s.
    assert results["queue_wait_s"] == {
        "count": 3, "mean": 1381.667, "p50": 170.0, "p90": 3910.0, "p95": 3910.0,
        "p99": 3910.0, "max": 3910.0,
    }  # fmt: skip
    assert results["completion_s"] == {
        "count": 2, "mean": 3032.5, "p50": 1065.0, "p90": 5000.0, "p95": 5000.0,
        "p99": 5000.0, "max": 5000.0,
    }  # fmt: skip
    assert results["makespan_s"] == 5000.0


def test_attempts_are_counted_by_the_trouble_they_ended_in() -> None:
    measures = example()
    first = measures.attempts[0]
    measures.attempts += [
        replace(first, attempt=5, useful=0, lost=0, chips_milli=0, outcome=outcome)
        for outcome in (AttemptState.EVICTED, AttemptState.WORKER_FAILED, None)
    ]
    assert summarize(measures, ())["attempts"] == {
        "total": 7, "preempted": 1, "evicted": 1, "failed": 1, "worker_failed": 1,
    }  # fmt: skip


def test_the_ledger_is_the_sum_done_on_paper() -> None:
    work = section(summarize(example(), ()), "work")
    assert work == {
        "useful_chip_s": 16 * 4100.0 + 4 * 1000,
        "lost_chip_s": 16 * 580.0,
        "idle_chip_s": 16 * 2200.0 + 16 * 1935 - 4000,
        # 150 s twice, 490 s of the slice that never was ready, 60 s of the CPU machine.
        "boot_chip_s": 16 * (150.0 + 150 + 490 + 60),
        "provisioned_chip_s": 16 * (3590.0 + 3590 + 490 + 1995),
        "goodput_fraction": round(69_600 / 154_640, 6),
    }


def test_a_group_tells_how_many_slices_existed_and_what_they_cost() -> None:
    groups = section(summarize(example(), ()), "groups")
    tpu = section(groups, "tpu")
    assert tpu["slices_created"] == 3
    assert tpu["slices_preempted"] == 1
    assert tpu["slices_peak"] == 2
    assert tpu["slices_mean"] == round((3590 + 3590 + 490) / 7200, 6)
    assert tpu["utilisation"] == round((3440 + 1240) / (3440 + 3440), 6)
    assert tpu["cost_usd"] == round(9.6 * 7670 / 3600, 6)
    assert tpu["create_failures"] == {"stockout": 1, "quota": 0, "internal": 0, "other": 0}


def test_a_group_that_was_never_used_is_listed_and_has_no_utilisation() -> None:
    spare = section(summarize(example(), ()), "groups", "spare")
    assert spare["slices_created"] == spare["slices_peak"] == 0
    assert spare["utilisation"] is None
    assert spare["cost_usd"] == spare["slices_mean"] == 0.0


def test_the_costs_of_the_groups_add_up_to_the_whole() -> None:
    results = summarize(example(), ())
    assert results["cost_usd"] == pytest.approx((9.6 * 7670 + 1.0 * 1995) / 3600, abs=1e-6)


def test_a_slice_that_ends_as_another_starts_is_not_counted_beside_it() -> None:
    measures = example()
    measures.slices["iris-tpu-1"].created = at(3600)
    del measures.slices["iris-tpu-3"]
    assert section(summarize(measures, ()), "groups", "tpu")["slices_peak"] == 1


@pytest.mark.parametrize(
    ("reason", "key"),
    [
        ("quota_zone", "quota"),
        ("quota_region", "quota"),
        ("internal", "internal"),
        ("rate", "other"),
        ("unknown", "other"),
    ],
)
def test_every_reason_of_a_refused_create_is_counted_somewhere(reason: str, key: str) -> None:
    measures = example()
    measures.slices["iris-tpu-2"].outcome = reason
    failures = section(summarize(measures, ()), "groups", "tpu", "create_failures")
    assert failures == {**dict.fromkeys(("stockout", "quota", "internal", "other"), 0), key: 1}


def test_what_has_no_value_is_null() -> None:
    results = summarize(Measures(scenario="empty", seed=0), ())
    assert section(results, "queue_wait_s")["p50"] is None
    assert section(results, "work")["goodput_fraction"] is None
    assert results["makespan_s"] is None
    assert results["cost_usd"] == 0.0


def test_a_millisecond_that_nobody_accounts_for_is_a_violation_that_names_the_slice() -> None:
    measures = example()
    measures.slices["iris-tpu-1"].idle -= 16_000
    invariants = section(summarize(measures, ()), "invariants")
    assert (invariants["checked"], invariants["violated"]) == (100, 1)
    sentences = invariants["violations"]
    assert isinstance(sentences, list)
    assert "off by 16000 milli-chip-milliseconds" in sentences[0]
    assert "1 of 5 slices do not add up: iris-tpu-1" in sentences[0]


def test_two_errors_that_cancel_out_are_seen_all_the_same() -> None:
    measures = example()
    measures.slices["iris-tpu-1"].idle -= 5
    measures.slices["iris-cpu-0"].idle += 5
    assert section(summarize(measures, ()), "invariants")["violated"] == 1


def test_a_slice_whose_busy_time_is_not_that_of_its_attempts_is_a_violation() -> None:
    measures = example()
    measures.slices["iris-tpu-0"].busy -= 1
    assert section(summarize(measures, ()), "invariants")["violated"] == 1


def test_an_attempt_on_a_slice_that_never_was_is_a_violation() -> None:
    measures = example()
    measures.attempts.append(replace(measures.attempts[1], slice="iris-cpu-9"))
    invariants = section(summarize(measures, ()), "invariants")
    assert "that never were" in str(invariants["violations"])


def test_the_violations_of_the_run_come_first() -> None:
    measures = example()
    measures.invariants_violated, measures.violations = 3, ["a worker held too much"]
    measures.slices["iris-tpu-0"].idle += 1
    invariants = section(summarize(measures, ()), "invariants")
    assert invariants["violated"] == 4
    assert str(invariants["violations"]).startswith("['a worker held too much', 'the ledger")


def test_expectations_are_judged_by_the_results_that_are_printed() -> None:
    texts = ("jobs.succeeded == 2", "queue_wait_s.p95 < 1h", "groups.tpu.slices_peak <= 2")
    results = summarize(example(), [parse_expectation(text, ["tpu"]) for text in texts])
    assert results["expect"] == [
        {"expr": "jobs.succeeded == 2", "holds": True, "left": 2, "right": 2},
        {"expr": "queue_wait_s.p95 < 1h", "holds": False, "left": 3910.0, "right": 3600.0},
        {"expr": "groups.tpu.slices_peak <= 2", "holds": True, "left": 2, "right": 2},
    ]


def test_only_the_wall_time_differs_between_two_equal_runs() -> None:
    first, second = example(), example()
    second.wall_s = 99.0
    one, two = summarize(first, ()), summarize(second, ())
    assert one.pop("wall_s") != two.pop("wall_s")
    assert json.dumps(one) == json.dumps(two)


def test_jobs_before_the_warm_up_count_in_no_figure() -> None:
    measures = example()
    measures.warm_up = at(150)
    results = summarize(measures, ())
    assert section(results, "jobs")["submitted"] == 2
    assert section(results, "queue_wait_s")["count"] == 0
    assert section(results, "attempts")["total"] == 0
    assert results["warm_up_s"] == 150.0


def test_time_before_the_warm_up_is_cut_out_of_the_ledger_exactly() -> None:
    measures = example()
    measures.warm_up = at(1000)
    results = summarize(measures, ())
    work = section(results, "work")
    # 840 of the first attempt's 3,440 s lie before, taken as even over useful and lost.
    useful_before = 16_000_000_000 * 3000 * 840 // 3440 // 1000
    assert work["useful_chip_s"] == pytest.approx(16 * 4100 + 4 * 65 - useful_before / 1e6)
    assert work["boot_chip_s"] == 16 * (150.0 + 490)
    assert work["idle_chip_s"] == 16 * 2200.0 + 16 * 1000 - 4 * 65
    assert work["provisioned_chip_s"] == 16 * (2600.0 + 3590 + 490 + 1000)
    assert section(results, "invariants")["violated"] == 0
    tpu = section(results, "groups", "tpu")
    assert tpu["slices_created"] == 2
    assert tpu["slices_mean"] == round((2600 + 3590 + 490) / 6200, 6)
    assert tpu["utilisation"] == round((2600 + 1240) / (2600 + 3440), 6)


@st.composite
def runs(draw: st.DrawFn) -> Measures:
    """Slices whose attempts follow each other with gaps, counted as the simulator counts."""
    measures = Measures(scenario="drawn", seed=0, now=Instant(10_000))
    measures.group_price_per_hour = {"g": 1_000_000}
    measures.warm_up = Instant(draw(st.integers(0, 9_999)))
    for number in range(draw(st.integers(0, 4))):
        chips = draw(st.integers(1, 3000))
        marks = sorted(draw(st.lists(st.integers(0, 10_000), min_size=3, max_size=12)))
        row = SliceRow(f"s{number}", "g", "z", chips, Instant(0), Instant(marks[0]))
        measures.slices[row.slice] = row
        if draw(st.booleans()):
            row.ready = Instant(marks[1])
            _fill(draw, measures, row, marks[1:-1])
        row.end = Instant(marks[-1]) if draw(st.booleans()) else None
        ready = row.ready if row.ready is not None else end_of(row, measures)
        row.idle = chips * (end_of(row, measures) - ready) - row.busy
    return measures


def _fill(draw: st.DrawFn, measures: Measures, row: SliceRow, marks: list[int]) -> None:
    for start, end in zip(marks[::2], marks[1::2], strict=False):
        whole = row.chips_milli * (end - start)
        useful = draw(st.integers(0, whole))
        row.busy += whole
        measures.attempts.append(
            AttemptRow(
                "/u/j", 0, 0, row.slice, 0, row.chips_milli, Instant(start), None,
                Instant(end), AttemptState.SUCCEEDED, useful, whole - useful,
            )
        )  # fmt: skip


@given(runs())
def test_the_ledger_adds_up_for_every_run_and_every_warm_up(measures: Measures) -> None:
    results = summarize(measures, ())
    assert section(results, "invariants")["violations"] == []
    work = section(results, "work")
    parts = [work[f"{part}_chip_s"] for part in ("useful", "lost", "idle", "boot")]
    amounts = [round(part * 1_000_000) for part in parts if isinstance(part, float)]
    provisioned = work["provisioned_chip_s"]
    assert isinstance(provisioned, float)
    assert sum(amounts) == round(provisioned * 1_000_000)
    assert all(amount >= 0 for amount in amounts)


def numbers(value: object) -> list[float]:
    if isinstance(value, dict):
        return [number for inner in value.values() for number in numbers(inner)]
    if isinstance(value, list):
        return [number for inner in value for number in numbers(inner)]
    return [value] if isinstance(value, int | float) else []


@given(runs())
def test_every_number_is_finite(measures: Measures) -> None:
    assert all(math.isfinite(number) for number in numbers(summarize(measures, ())))


def replications() -> list[dict[str, object]]:
    expectation = parse_expectation("jobs.unfinished <= 1", ["tpu"])
    results = []
    for seed, late in ((7, False), (8, True)):
        measures = example()
        measures.seed, measures.digest = seed, f"d{seed}"
        if late:
            measures.jobs["/bob/etl"].first_running = at(100)
            measures.jobs["/carol/oops"].state = measures.jobs["/carol/late"].state
            measures.invariants_violated, measures.violations = 1, ["two tasks on one chip"]
        results.append(summarize(measures, [expectation]))
    return results


def test_replications_turn_every_number_into_its_statistics() -> None:
    whole = aggregate(replications())
    assert whole["replications"] == 2
    assert list(whole)[1:] == list(replications()[0])
    assert whole["scenario"] == "example"
    assert section(whole, "seed")["values"] == [7, 8]
    assert whole["digest"] == {"values": ["d7", "d8"]}
    mean = section(whole, "queue_wait_s", "mean")
    values = mean["values"]
    assert values == [1381.667, 1393.333]
    # Half the distance, times t with one degree of freedom.
    half = 12.7062 * (1393.333 - 1381.667) / 2
    assert mean["mean"] == pytest.approx(1387.5)
    assert mean["ci95_low"] == pytest.approx(1387.5 - half, abs=1e-2)
    assert mean["ci95_high"] == pytest.approx(1387.5 + half, abs=1e-2)
    assert section(whole, "groups", "tpu", "create_failures", "stockout")["values"] == [1, 1]


def test_an_expectation_of_replications_holds_only_if_it_held_in_each() -> None:
    (verdict,) = [aggregate(replications())["expect"]]
    assert isinstance(verdict, list)
    assert verdict[0]["expr"] == "jobs.unfinished <= 1"
    assert verdict[0]["holds"] is False
    assert verdict[0]["values"] == [True, False]
    assert verdict[0]["left"]["values"] == [1, 2]


def test_violations_of_replications_name_their_seed_and_null_is_left_out_of_means() -> None:
    whole = aggregate(replications())
    assert section(whole, "invariants")["violations"] == ["seed 8: two tasks on one chip"]
    assert section(whole, "invariants", "violated")["values"] == [0, 1]
    utilisation = section(whole, "groups", "spare", "utilisation")
    assert utilisation == {
        "mean": None, "ci95_low": None, "ci95_high": None, "values": [None, None],
    }  # fmt: skip


def test_explanations_of_replications_name_their_seed() -> None:
    one, two = replications()
    why = {"job": "/bob/probe", "why": ["/bob/probe is failed: exit status 1."]}
    whole = aggregate([one, {**two, "explanations": [why]}])
    assert whole["explanations"] == [{"seed": 8, **why}]


def test_replications_are_partial_when_any_is() -> None:
    one, two = replications()
    assert aggregate([one, two])["partial"] is False
    assert aggregate([one, {**two, "partial": True}])["partial"] is True


def test_one_replication_has_the_same_shape() -> None:
    whole = aggregate(replications()[:1])
    assert section(whole, "jobs", "submitted") == {
        "mean": 5.0, "ci95_low": 5.0, "ci95_high": 5.0, "values": [5],
    }  # fmt: skip
