"""The shipped scenarios: they say what they show, show what they say, and print the same bytes."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from iris.core.instant import HOUR, MINUTE, Instant
from iris.core.lifecycle import JobState
from sim.measure import JobRow, Measures
from sim.model import Scenario
from sim.results import summarize
from sim.run import simulate
from sim.scenario import load_scenario
from tests.sim.expected import NAMES, OWN, SCENARIOS, golden, printed
from tests.tidy.tree import ROOT

# Long simulations: the core's coverage is measured by its own tests, at twice the time.

PAGE: Final = ROOT / "docs" / "simulation.md"


def load(name: str, *overrides: str, seed: int | None = None) -> Scenario:
    """A shipped scenario."""
    return load_scenario(SCENARIOS / f"{name}.yaml", seed=seed, overrides=overrides)


def run(name: str, *overrides: str) -> Measures:
    """A shipped scenario, simulated."""
    return simulate(load(name, *overrides))


def waits(measures: Measures, entry: str) -> list[int]:
    """How long the jobs of an entry waited, in order of their arrival."""
    return [
        job.first_running - job.submit
        for job in measures.jobs.values()
        if job.entry == entry and job.first_running is not None
    ]


def mean(values: Iterable[int]) -> float:
    """The plain mean."""
    listed = list(values)
    return sum(listed) / len(listed)


# ---- all of them -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OWN)
def test_a_scenario_passes_and_prints_what_it_printed(name: str) -> None:
    """Under another seed of hashes than that under which the expected files are written."""
    status, text = printed(name, "1")
    assert status == 0, text
    assert text == golden(name).read_text(encoding="utf-8")


def test_the_expected_files_are_those_of_the_scenarios() -> None:
    assert sorted(path.stem for path in (SCENARIOS / "expected").glob("*")) == OWN


@pytest.mark.parametrize("name", OWN)
def test_no_expected_file_holds_a_violation_or_a_broken_expectation(name: str) -> None:
    results = json.loads(golden(name).read_text(encoding="utf-8"))
    assert results["invariants"]["violated"] == 0
    assert results["expect"]
    assert all(one["holds"] for one in results["expect"])
    assert results["jobs"]["unfinished"] == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_opens_by_saying_what_it_shows_and_how_to_read_it(name: str) -> None:
    text = (SCENARIOS / f"{name}.yaml").read_text(encoding="utf-8")
    head = text.partition("\nname:")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    assert "How to read the result" in head
    assert max(len(line) for line in text.splitlines()) <= 110


@pytest.mark.parametrize("name", NAMES)
def test_the_page_lists_every_scenario(name: str) -> None:
    assert f"scenarios/{name}.yaml" in PAGE.read_text(encoding="utf-8")


SETTINGS: Final = re.compile(r"--set\s+(?:'([^']+)'|([^\s`)]+))")


@pytest.mark.parametrize("name", OWN)
def test_the_overrides_that_a_scenario_proposes_are_understood(name: str) -> None:
    text = (SCENARIOS / f"{name}.yaml").read_text(encoding="utf-8").replace("\n#", "")
    proposed = [quoted or plain for quoted, plain in SETTINGS.findall(text)]
    for override in proposed:
        if "PATH" not in override:
            assert load(name, override).workload


# ---- what each shows ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [123, 8])
def test_the_main_job_runs_at_other_seeds_too(seed: int) -> None:
    scenario = load("preemption", seed=seed)
    results = summarize(simulate(scenario), scenario.expect)
    assert all(one["holds"] for one in results["expect"])  # type: ignore[attr-defined]


def test_the_main_job_has_preemptions_an_outage_and_a_stockout() -> None:
    measures = run("preemption")
    rows = measures.slices.values()
    assert sum(1 for row in rows if row.outcome == "preempted") > 10
    assert sum(1 for row in rows if row.outcome == "failed" and row.end == 10 * HOUR) > 0
    assert sum(1 for row in rows if row.outcome == "stockout") > 10


def test_a_held_slice_keeps_wide_work_from_starving() -> None:
    half = ("workload.small.count=1440", "workload.quick.count=320")
    held = run("gang_starvation", *half)
    greedy = run("gang_starvation", *half, "cluster.scheduler.backfill=greedy")
    strict = run("gang_starvation", *half, "cluster.scheduler.backfill=none")
    assert max(waits(held, "gang")) < HOUR
    assert max(waits(greedy, "gang")) > 2 * HOUR
    assert mean(waits(held, "small")) < 2 * MINUTE
    assert mean(waits(strict, "small")) > 5 * mean(waits(held, "small"))


def test_the_fair_order_keeps_a_flood_from_those_who_did_not_cause_it() -> None:
    fair, fifo = run("fair_share"), run("fair_share", "cluster.scheduler.order=fifo")
    for entry in ("drip", "trickle"):
        assert 5 * mean(waits(fair, entry)) < mean(waits(fifo, entry))
    assert mean(waits(fair, "flood")) > mean(waits(fifo, "flood"))


def test_production_waits_for_nobody_below_it() -> None:
    evicting = run("eviction")
    waiting = run("eviction", "cluster.scheduler.eviction=false")
    assert max(waits(evicting, "urgent")) == 0
    assert max(waits(waiting, "urgent")) > 10 * MINUTE
    assert not [job for job in waiting.jobs.values() if job.evicted]


def test_a_churning_zone_is_turned_away_from() -> None:
    zones = [row.zone for row in run("churn").slices.values()]
    assert zones.count("us-east1-b") < zones.count("us-east1-d") / 3


def test_gangs_flee_from_a_zone_and_lose_less_than_two_checkpoints() -> None:
    jobs = run("zone_outage").jobs.values()
    spans = [job.end - job.submit for job in jobs if job.end is not None]
    assert len(spans) == 8
    assert max(spans) < 10 * HOUR + 30 * MINUTE


def test_small_slices_come_while_the_large_wait_at_the_wall() -> None:
    rows = run("quota_wall").slices.values()
    refused = [row.requested for row in rows if row.group == "large" and row.created is None]
    small = [row.created for row in rows if row.group == "small" and row.created is not None]
    assert [at for at in small if min(refused) < at < max(refused)]


def test_the_ladder_is_climbed_down_and_up_again() -> None:
    rows = [row for row in run("stockout_ladder").slices.values() if row.created is not None]
    home = [row.created for row in rows if row.group == "spot_home" and row.created is not None]
    last = [row.created for row in rows if row.group == "on_demand" and row.created is not None]
    assert min(home) < min(last)
    assert [at for at in home if at > min(last) + 4 * HOUR]


def test_checkpoints_near_the_optimum_of_young_cost_least() -> None:
    def cost(every: str) -> float:
        overrides = (f"workload.train.checkpoint.every={every}", "workload.train.count=30")
        scenario = load("checkpoint_sweep", *overrides)
        results = summarize(simulate(scenario), ())
        return float(results["cost_usd"])  # type: ignore[arg-type]

    best = cost("1h")
    assert best < cost("10m")
    assert best < cost("8h")


def test_a_real_series_takes_the_place_of_the_made_up_steps(tmp_path: Path) -> None:
    trace = tmp_path / "series.csv"
    trace.write_text("t_s,capacity\n0,40\n3600,10\n5400,40\n", encoding="utf-8")
    measures = run("bulk_loss", f"cloud.capacity.us-east1-c={{trace: {trace}}}")
    rows = [row for row in measures.slices.values() if row.outcome == "preempted"]
    assert rows
    assert {row.end for row in rows} == {Instant(HOUR)}


def test_nothing_ends_badly_in_the_unkind_cloud() -> None:
    until_the_last_fault = [
        f"workload.{entry}.count={n}" for entry, n in (("train", 36), ("etl", 120), ("serve", 3))
    ]
    measures = simulate(load("unkind_cloud", *until_the_last_fault), check_invariants=True)
    assert measures.violations == []
    assert {job.state for job in measures.jobs.values()} == {JobState.SUCCEEDED, JobState.KILLED}
    assert len([job for job in measures.jobs.values() if is_killed(job)]) == 1


def is_killed(job: JobRow) -> bool:
    """Whether somebody stopped it."""
    return job.state is JobState.KILLED
