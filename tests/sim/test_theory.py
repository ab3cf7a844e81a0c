"""The simulator against what theory knows exactly.

Two steps, so that both are sharp and cheap. The simulator agrees job by job, to the millisecond,
with a loop of a few lines on the same draws; and that loop, which is quick, agrees with the formula
within the 95 % interval of 30 long replications. Once, all of Iris is held against the formula.
"""

from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Final

import pytest

from iris.core.instant import HOUR
from sim.model import Entry, Scenario
from sim.results import aggregate, summarize
from sim.run import simulate
from sim.scenario import load_scenario
from sim.statistics import percentile
from tests.sim import queueing
from tests.sim.queueing import Customer
from tests.sim.theory import (
    EXPONENTIAL,
    LENGTH,
    REPLICATIONS,
    assert_in_interval,
    customers,
    in_order,
    queue,
    replicate,
    starts_of,
)
from tests.sim.watch import scenario_of
from tests.tidy.tree import ROOT

# Long simulations: the core's coverage is measured by its own tests, at twice the time.

# ---- M/M/c and M/G/1 ---------------------------------------------------------------------------

LOGNORMAL: Final = {"lognormal": {"mean": "1h", "sigma": 0.8}}

QUEUES: Final = {
    "M/M/1 at .9": (1, 0.9, EXPONENTIAL, queueing.mean_wait(1, 0.9), 8_000),
    "M/M/4 at .9": (4, 0.9, EXPONENTIAL, queueing.mean_wait(4, 0.9), 8_000),
    "M/M/16 at .9": (16, 0.9, EXPONENTIAL, queueing.mean_wait(16, 0.9), 10_000),
    "M/D/1 at .8": (1, 0.8, {"constant": "1h"}, queueing.pollaczek_khinchine(0.8, 1.0), 4_000),
    "M/G/1 at .5": (1, 0.5, LOGNORMAL, queueing.pollaczek_khinchine(0.5, 1.8964808793), 4_000),
}
"""Servers, the load of each, the work, the mean wait in hours, and the jobs that show it."""

SKIPPED: Final = 2_000
"""So many jobs are six relaxation times at a load of .9: the queue knows no more that it began empty."""


@pytest.mark.parametrize("name", QUEUES)
def test_every_job_starts_when_the_loop_says(name: str, tmp_path: Path) -> None:
    servers, load, work, _, _ = QUEUES[name]
    scenario = queue(tmp_path, servers, servers * load, work, 600 * LENGTH)
    starts = queueing.fifo_starts(customers(scenario), servers)
    measures = simulate(scenario)
    assert starts_of(measures) == starts
    waited = sum(1 for c, at in zip(customers(scenario), starts, strict=True) if at > c.at)
    assert waited > 100


@pytest.mark.parametrize("name", QUEUES)
def test_the_loop_agrees_with_the_formula(name: str, tmp_path: Path) -> None:
    servers, load, work, exact, counted = QUEUES[name]
    counted *= LENGTH
    scenario = queue(tmp_path, servers, servers * load, work, SKIPPED + counted)
    late: list[float] = []

    def mean(jobs: list[Customer]) -> float:
        starts = queueing.fifo_starts(jobs, servers)
        waits = [at - job.at for job, at in zip(jobs, starts, strict=True)][SKIPPED:]
        late.append(percentile(sorted(waits), 95) / HOUR)
        return sum(waits) / counted / HOUR

    assert_in_interval(exact, replicate(scenario, mean))
    if work is EXPONENTIAL:
        assert_in_interval(queueing.wait_percentile(servers, load, 0.05), late)


def test_thirty_replications_of_iris_itself_agree_with_erlang() -> None:
    overrides = [f"workload.jobs.count={400 * LENGTH}", "warm_up=20h", "expect=[]"]
    scenario = load_scenario(ROOT / "scenarios" / "mm16.yaml", overrides=overrides)
    runs = [
        summarize(simulate(replace(scenario, seed=seed)), ()) for seed in range(1, REPLICATIONS + 1)
    ]
    together = aggregate(runs)["queue_wait_s"]
    assert isinstance(together, dict)
    mean = together["mean"]
    exact = 3600 * queueing.mean_wait(16, 0.9)
    assert mean["ci95_low"] <= exact <= mean["ci95_high"]
    assert len(set(mean["values"])) == REPLICATIONS


def test_the_formulas_are_those_of_the_books() -> None:
    assert round(queueing.mean_wait(16, 0.9), 6) == 0.369590
    assert round(queueing.erlang_c(64, 0.95), 6) == 0.588011
    assert round(queueing.wait_percentile(1, 0.9, 0.05), 6) == 28.903718
    assert round(queueing.gang_saturation(4, 0.1), 6) == 2.387632
    assert round(queueing.gang_saturation(64, 0.05), 6) == 5.002466
    assert round(queueing.with_checkpoints(10, 48, 0.2, 1, 0.05), 4) == 54.2146
    assert round(queueing.without_checkpoints(6, 12, 0.2), 4) == 39.6121


# ---- two bands ---------------------------------------------------------------------------------


def two_bands(folder: Path, count: int) -> Scenario:
    """One server, urgent work at .3, and batch work at .5 that loses nothing when displaced."""
    sections = {
        "cluster": {
            "scale_groups": {
                "server": {
                    "accelerator_type": "cpu",
                    "vm": {"cpu": 1, "memory": "4GB"},
                    "min_slices": 1,
                    "max_slices": 1,
                }
            },
            "scheduler": {"order": "fifo"},
        },
        "workload": [
            {
                "name": name,
                "band": name,
                "arrivals": {"poisson": {"rate": rate}},
                "count": count * part // 8,
                "resources": {"cpu": 1, "memory": "1GB"},
                "run_time": EXPONENTIAL,
                "checkpoint": {"every": "1ms"},
                "max_retries_preemption": 100_000,
            }
            for name, rate, part in (("production", "0.3/h", 3), ("batch", "0.5/h", 5))
        ],
    }
    return scenario_of(folder, sections)


def test_displaced_work_resumes_as_the_loop_says(tmp_path: Path) -> None:
    scenario = two_bands(tmp_path, 600 * LENGTH)
    measures = simulate(scenario)
    assert [job.end for job in in_order(measures)] == queueing.preemptive_ends(customers(scenario))
    assert sum(job.evicted for job in in_order(measures)) > 50


def test_the_time_in_system_of_each_band_agrees_with_the_formula(tmp_path: Path) -> None:
    scenario = two_bands(tmp_path, 10_000 * LENGTH)

    def means(jobs: list[Customer]) -> tuple[float, float]:
        ends = queueing.preemptive_ends(jobs)
        # The last to come are left out, too: the streams do not end at one instant.
        rows = list(zip(jobs, ends, strict=True))[1_000:9_000]
        spans = [[end - job.at for job, end in rows if job.band == band] for band in (0, 1)]
        return mean(spans[0]) / HOUR, mean(spans[1]) / HOUR

    urgent, batch = zip(*replicate(scenario, means), strict=True)
    assert_in_interval(1 / 0.7, urgent)
    assert_in_interval(1 / (0.7 * 0.2), batch)


# ---- gangs -------------------------------------------------------------------------------------


def gangs(folder: Path, servers: int, wide: float, count: int) -> Scenario:
    """One slice of so many hosts, and far more jobs than it can serve: some need all of it."""
    work = {"run_time": EXPONENTIAL, "resources": {"cpu": 1, "memory": "1GB"}}
    plenty = 20 * servers
    sections = {
        "cluster": {
            "scale_groups": {
                "rack": {
                    "accelerator_type": "cpu",
                    "vm": {"cpu": 1, "memory": "4GB", "count": servers},
                    "min_slices": 1,
                    "max_slices": 1,
                }
            },
            "scheduler": {"order": "fifo", "backfill": "none"},
        },
        "duration": f"{count / plenty:.6f}h",
        "workload": [
            {
                "name": "wide",
                "arrivals": {"poisson": {"rate": f"{plenty * wide:.6f}/h"}},
                "replicas": servers,
                "coscheduled": True,
                **work,
            },
            {
                "name": "narrow",
                "arrivals": {"poisson": {"rate": f"{plenty * (1 - wide):.6f}/h"}},
                **work,
            },
        ],
    }
    return scenario_of(folder, sections)


@pytest.mark.parametrize(("servers", "wide"), [(4, 0.1), (8, 0.3), (16, 0.05)])
def test_gangs_start_when_the_loop_says(servers: int, wide: float, tmp_path: Path) -> None:
    scenario = gangs(tmp_path, servers, wide, 400 * LENGTH)
    line = customers(scenario)
    starts = queueing.strict_starts(line, servers)
    measures = simulate(replace(scenario, duration=None, workload=cut(scenario, line)))
    assert starts_of(measures) == starts


def cut(scenario: Scenario, line: list[Customer]) -> tuple[Entry, ...]:
    """The same entries, with counts in place of the duration, so that all of them end."""
    wide = sum(1 for customer in line if customer.width > 1)
    counts = (wide, len(line) - wide)
    return tuple(replace(e, count=n) for e, n in zip(scenario.workload, counts, strict=True))


@pytest.mark.parametrize(
    ("servers", "wide"), [(4, 0.05), (4, 0.1), (4, 0.3), (8, 0.1), (16, 0.05), (64, 0.3)]
)
def test_strict_gangs_saturate_where_the_formula_says(
    servers: int, wide: float, tmp_path: Path
) -> None:
    scenario = gangs(tmp_path, servers, wide, 3_000 * LENGTH)

    def rate(line: list[Customer]) -> float:
        starts = queueing.strict_starts(line, servers)
        return (len(line) - 500) / ((starts[-1] - starts[499]) / HOUR)

    exact = queueing.gang_saturation(servers, wide)
    values = replicate(scenario, rate)
    assert_in_interval(exact, values)
    assert abs(sum(values) / len(values) / exact - 1) < 0.02
