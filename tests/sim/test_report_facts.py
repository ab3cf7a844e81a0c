"""What the report tells beyond the results, on a run whose sums can be done on paper."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from iris.core.decisions import Throttle
from iris.core.ids import Zone
from iris.core.lifecycle import JobState
from sim.choices import Choices
from sim.ledger import ledger_gap, ledger_of, parts_of
from sim.measure import Measures
from sim.recorder import Recorder
from sim.report_facts import (
    cost_by_user,
    costs,
    jain_index,
    losses,
    preempted_classes,
    preemptions_over_time,
    scalings,
    slowdown,
)
from sim.results import summarize
from sim.run import simulate
from sim.scenario import scenario_of
from tests.groups import tpu_group
from tests.sim.example_run import at, chip_time, example

SHORT_OF_ROOM = """
name: parts
seed: 3
duration: 8h
cluster:
  scale_groups:
    tpu: {accelerator_type: v5litepod-16, max_slices: 3, preemptible: true, zones: [a]}
    cpu: {accelerator_type: cpu, vm: {cpu: 8, memory: 32GB}, max_slices: 2, zones: [a]}
  autoscaler: {idle_timeout: 5m}
cloud:
  boot: {uniform: {min: 60s, max: 300s}}
  lifetime: {exponential: {mean: 1h}}
  capacity: {a: [[0s, 4], [2h, 2], [4h, 5]]}
workload:
  - name: gang
    arrivals: {poisson: {rate: 4/h}}
    count: 30
    replicas: 4
    coscheduled: true
    resources: {cpu: 1, memory: 1GB, tpu: v5litepod-16}
    run_time: {exponential: {mean: 30m}}
    launch: {constant: 20s}
    checkpoint: {every: 5m, restore: 1m}
  - name: wide
    arrivals: {poisson: {rate: 6/h}}
    count: 40
    resources: {cpu: 5, memory: 1GB}
    run_time: {exponential: {mean: 20m}}
"""


@pytest.mark.parametrize("warm_up", ["0s", "3h"])
def test_the_fine_parts_add_up_to_the_ledger_of_a_run_in_which_each_occurs(warm_up: str) -> None:
    scenario = scenario_of(f"warm_up: {warm_up}{SHORT_OF_ROOM}", Path("parts.yaml"))
    measures = simulate(scenario)
    parts, ledger = parts_of(measures), ledger_of(measures)
    assert min(parts.values()) > 0, parts
    assert parts["useful"] == ledger.useful
    assert parts["lost"] + parts["restart"] == ledger.lost
    assert parts["idle"] + parts["stranded"] + parts["drain"] == ledger.idle
    assert parts["provision"] == ledger.boot
    assert sum(parts.values()) == ledger.provisioned
    by_group = [parts_of(measures, group) for group in ("tpu", "cpu")]
    assert {name: sum(one[name] for one in by_group) for name in parts} == parts
    assert {kind for kind, _ in measures.choices} == {
        "asked for",
        "given back",
        "held for lost",
        "stopped asking",
    }
    blocked = measures.blocked["a", "v5litepod-16"]
    assert 0 < blocked <= measures.now - measures.warm_up


def test_a_part_that_is_more_than_what_it_is_part_of_is_a_violation() -> None:
    measures = example()
    measures.slices["iris-cpu-0"].drain = measures.slices["iris-cpu-0"].idle
    assert ledger_gap(measures, ledger_of(measures)) == []
    measures.slices["iris-tpu-1"].stranded = measures.slices["iris-tpu-1"].idle + 1
    (sentence,) = ledger_gap(measures, ledger_of(measures))
    assert sentence == "the part of the ledger called idle is -1 milli-chip-milliseconds"


def test_slowdown_is_completion_over_the_time_the_work_takes_alone() -> None:
    jobs = example().jobs
    assert slowdown(jobs["/alice/train"]) == 5000 / 4100
    assert slowdown(jobs["/bob/etl"]) == 1065 / 1000
    assert slowdown(jobs["/bob/probe"]) is None
    brief = replace(jobs["/bob/etl"], useful=chip_time(4, 1))
    assert slowdown(brief) == 106.5, "work of a second counts as ten"
    weightless = replace(jobs["/bob/etl"], chips_milli=0)
    assert slowdown(weightless) == 1.065


def test_requests_boots_flaps_and_the_time_at_the_maximum_are_told_by_group() -> None:
    measures = example()
    measures.slices["iris-cpu-1"] = replace(
        measures.slices["iris-cpu-0"],
        slice="iris-cpu-1",
        requested=at(2500),
        created=at(2510),
        ready=at(2600),
        end=at(3000),
    )
    tpu, cpu = scalings(measures, {"tpu": 2, "cpu": 1})
    assert (tpu.asked, tpu.boots.count, tpu.boots.p50, tpu.flaps) == (4, 2, 160_000, 0)
    assert (tpu.demands.count, tpu.demands.p50, tpu.demands.p90) == (2, 160_000, 3_660_000)
    assert (cpu.demands.count, cpu.demands.p50) == (1, 65_000)
    assert tpu.at_max == 490_000, "both from 4,010 to 4,500"
    assert (cpu.asked, cpu.flaps, cpu.at_max) == (2, 1, 1_995_000 + 490_000)
    measures.slices["iris-cpu-1"].requested = at(2601)
    assert scalings(measures, {})[1].flaps == 0
    assert scalings(measures, {})[1].at_max is None


def test_preemptions_are_told_by_slice_hour_and_by_what_they_did_to_jobs() -> None:
    measures = example()
    tpu, _ = losses(measures)
    assert (tpu.preempted, tpu.hours) == (1, Fraction(3590 + 3590 + 490, 3600))
    never, once = preempted_classes(measures)
    assert (never[0], never[1], never[2].count) == ("never", 4, 1)
    assert (once[0], once[1], once[2].p50, once[3]) == ("once", 1, 5_000_000, [5000 / 4100])
    job = measures.jobs["/alice/train"]
    job.replicas = job.preempted = 4
    assert preempted_classes(measures)[1][0] == "once", "a gang goes as a whole"
    (row,) = preemptions_over_time(measures, 3_600_000, spans=2)
    assert (row["at"], row["until"], row["group"], row["preempted"]) == (1.0, 2.0, "tpu", 1)


def test_cost_is_split_by_what_chips_did_and_adds_up() -> None:
    measures = example()
    found = costs(measures)
    for one in found:
        assert one.useful + one.lost + one.idle + one.boot == one.whole
    whole = sum(float(one.whole) for one in found) / 1e6
    assert whole == pytest.approx(summarize(measures, ())["cost_usd"], abs=0.01)
    users = cost_by_user(measures)
    assert users["alice"] == Fraction(9_600_000 * (3440 + 1240), 3600)
    assert users["bob"] == Fraction(1_000_000 * 1000, 4 * 3600)


def test_jains_index_is_one_for_equal_shares_and_one_nth_for_a_single_winner() -> None:
    assert jain_index([5, 5, 5]) == 1
    assert jain_index([0, 0, 0, 8]) == 0.25
    assert jain_index([]) is jain_index([0]) is None


def test_a_job_that_did_not_succeed_has_no_slowdown() -> None:
    job = example().jobs["/alice/train"]
    job.state = JobState.KILLED
    assert slowdown(job) is None


def test_time_before_the_warm_up_strands_and_drains_nothing() -> None:
    measures = Measures(scenario="short", seed=0, warm_up=at(100))
    recorder = Recorder(measures)
    group = tpu_group(hosts=4)
    for name in ("a", "b"):
        recorder.slice_requested(name, group, "us-a", at(0))
        recorder.slice_created(name, at(0))
        recorder.slice_ready(name, at(0))
    recorder.work_waits(at(0), frozenset({group.accelerator}))
    recorder.slice_leaving("b", at(50))
    recorder.slice_leaving("b", at(60))
    recorder.close(at(300))
    stranded, leaving = measures.slices["a"], measures.slices["b"]
    assert (stranded.stranded, stranded.drain) == (chip_time(16, 200), 0)
    assert (leaving.stranded, leaving.drain) == (0, chip_time(16, 200))


def test_a_stop_of_asking_counts_once_for_as_long_as_it_is_known() -> None:
    measures = Measures(scenario="short", seed=0)
    choices = Choices(measures)

    def throttle(until: float) -> Throttle:
        return Throttle(Zone("a"), "v5e", 1, 1, at(until), scarce=True, why="stockout: none left")

    choices.note(at(10), [throttle(100)])
    choices.note(at(20), [throttle(100)])  # Something else of it changed.
    choices.note(at(50), [throttle(400)])
    choices.close(at(300))
    assert measures.choices == {("stopped asking", "stockout"): 2}
    assert measures.blocked == {("a", "v5e"): 290_000}
