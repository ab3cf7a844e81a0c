"""A real log under strict first come first served: the same as a loop of its own, job by job."""

import csv
import gzip
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from iris.problems import BadInput
from sim.measure import Measures
from sim.results import summarize
from sim.run import simulate
from sim.scenario import load_scenario
from tests.sim.queueing import Customer, strict_starts
from tests.sim.real_traces import real_trace
from tests.tidy.tree import ROOT

# Long simulations: the core's coverage is measured by its own tests, at twice the time.

NASA: Final = ROOT / "scenarios" / "nasa.yaml"
PHILLY: Final = ROOT / "scenarios" / "philly.yaml"
PHILLY_SLOTS: Final = ROOT / "scenarios" / "philly_slots.yaml"
LOG: Final = "jobs/NASA-iPSC-1993-3.1-cln.swf.gz"
PROCESSORS: Final = 128


class Outcome(NamedTuple):
    """A run of the whole log, and what the loop says of it."""

    measures: Measures
    results: dict[str, object]
    jobs: list[Customer]
    starts: list[int]


def customers(path: Path) -> list[Customer]:
    """The log by the rules of the comparison: columns 2, 4, and 8 or else 5; seconds."""
    jobs = []
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        if line.strip() and not line.startswith(";"):
            column = [float(text) for text in line.split()]
            width = int(column[7] if column[7] > 0 else column[4])
            if column[3] >= 0 and width > 0:
                jobs.append(Customer(int(column[1]), int(column[3]), width))
    return sorted(jobs, key=lambda job: job.at)


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    path = real_trace(LOG)
    scenario = load_scenario(NASA, overrides=[f"workload.jobs.trace.file={path}"])
    measures = simulate(scenario)
    jobs = customers(path)
    starts = strict_starts(jobs, PROCESSORS)
    return Outcome(measures, summarize(measures, scenario.expect), jobs, starts)


def test_every_job_starts_in_the_second_that_the_loop_says(outcome: Outcome) -> None:
    rows = list(outcome.measures.jobs.values())
    first = outcome.jobs[0].at
    assert [row.submit for row in rows] == [1000 * (job.at - first) for job in outcome.jobs]
    assert [row.first_running for row in rows] == [1000 * (at - first) for at in outcome.starts]


def test_the_loop_finds_what_other_simulators_found(outcome: Outcome) -> None:
    rows = list(zip(outcome.jobs, outcome.starts, strict=True))
    assert len(rows) == 18_239
    assert round(sum(at - job.at for job, at in rows) / len(rows), 2) == 8.00
    assert max(at + job.work for job, at in rows) - outcome.jobs[0].at == 7_949_022


def test_the_figures_are_those_of_the_reference(outcome: Outcome) -> None:
    wait, work = outcome.results["queue_wait_s"], outcome.results["work"]
    assert isinstance(wait, dict)
    assert isinstance(work, dict)
    waited = sum(at - job.at for job, at in zip(outcome.jobs, outcome.starts, strict=True))
    assert wait["mean"] == round(waited / len(outcome.jobs), 3)
    assert outcome.results["makespan_s"] == 7_949_022
    assert round(work["goodput_fraction"], 4) == 0.4661
    assert all(one["holds"] for one in outcome.results["expect"])  # type: ignore[attr-defined]


def test_a_part_of_the_philly_log_runs_on_an_elastic_fleet() -> None:
    path = real_trace("jobs/philly_82k.csv.gz")
    overrides = [f"workload.jobs.trace.file={path}", "workload.jobs.trace.limit=2000"]
    scenario = load_scenario(PHILLY, overrides=overrides)
    results = summarize(simulate(scenario), scenario.expect)
    assert results["jobs"]["succeeded"] == 2000  # type: ignore[index]
    assert all(one["holds"] for one in results["expect"])  # type: ignore[attr-defined]


def test_a_part_of_the_philly_log_on_slots_starts_each_job_in_the_second_that_the_loop_says() -> (
    None
):
    path = real_trace("jobs/philly_82k.csv.gz")
    rows, slots = 3_000, 192
    with gzip.open(path, "rt", encoding="utf-8") as file:
        log = [row for row, _ in zip(csv.DictReader(file), range(rows), strict=False)]
    jobs = [
        Customer(int(row["submit_s"]), round(float(row["duration_s"])), int(row["num_gpus"]))
        for row in log
    ]
    overrides = [
        f"workload.jobs.trace.file={path}",
        f"workload.jobs.trace.limit={rows}",
        f"cluster.scale_groups.slots.vm.cpu={slots}",
    ]
    measures = simulate(load_scenario(PHILLY_SLOTS, overrides=overrides))
    starts = strict_starts(jobs, slots)
    first = jobs[0].at
    assert [row.first_running for row in measures.jobs.values()] == [
        1000 * (at - first) for at in starts
    ]
    assert any(at > job.at for at, job in zip(starts, jobs, strict=True))  # The queue was one.


@pytest.mark.parametrize("scenario", [NASA, PHILLY, PHILLY_SLOTS], ids=lambda path: path.stem)
def test_without_its_log_a_scenario_says_what_is_missing(scenario: Path) -> None:
    with pytest.raises(BadInput) as refusal:
        load_scenario(scenario)
    (problem,) = refusal.value.problems
    assert problem.message.startswith("there is no file") or "no" in problem.message
    assert "trace" in str(problem)
