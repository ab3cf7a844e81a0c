"""The simulator against what theory knows exactly.

Two steps, so that both are sharp and cheap. The simulator agrees job by job, to the millisecond,
with a loop of a few lines on the same draws; and that loop, which is quick, agrees with the formula
within the 95 % interval of 30 long replications. Once, all of Iris is held against the formula.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from iris.core.instant import HOUR, MINUTE
from sim.dice import Dice
from sim.ledger import ledger_gap, ledger_of
from sim.measure import JobRow, Measures
from sim.model import Entry, Scenario
from sim.results import aggregate, summarize
from sim.scenario import load_scenario
from sim.statistics import mean_interval, percentile
from sim.workload import arrivals
from sim.world import World, simulate
from tests.sim import queueing
from tests.sim.queueing import Customer
from tests.sim.watch import scenario_of
from tests.tidy.tree import ROOT

REPLICATIONS: Final = 30
LENGTH: Final = 10 if os.environ.get("IRIS_TESTS") == "night" else 1
"""Runs are this many times as long at night."""


def queue(
    folder: Path, servers: int, rate: float, work: object, count: int, **entry: object
) -> Scenario:
    """So many machines that are always there, and one stream of jobs, first come first served."""
    group = {"accelerator_type": "cpu", "vm": {"cpu": 1, "memory": "4GB"}}
    sections = {
        "seed": 1,
        "cluster": {
            "scale_groups": {"server": {**group, "min_slices": servers, "max_slices": servers}},
            "scheduler": {"order": "fifo", "backfill": "none"},
        },
        "workload": [
            {
                "name": "jobs",
                "arrivals": {"poisson": {"rate": f"{rate:.6f}/h"}},
                "count": count,
                "resources": {"cpu": 1, "memory": "1GB"},
                "run_time": work,
                **entry,
            }
        ],
    }
    return scenario_of(folder, sections)


def customers(scenario: Scenario) -> list[Customer]:
    """The jobs of a scenario as the loops know them; gangs are as wide as they have tasks."""
    return [
        Customer(a.at, a.run_time, a.template.replicas, int(a.template.band) // 2)
        for a in arrivals(scenario, Dice(scenario.seed))
    ]


def in_order(measures: Measures) -> list[JobRow]:
    """The jobs in the order in which they came."""
    return list(measures.jobs.values())


def starts_of(measures: Measures) -> list[int | None]:
    """When each job first ran."""
    return [job.first_running for job in in_order(measures)]


def assert_in_interval(exact: float, values: Sequence[float]) -> None:
    """The exact value lies in the 95 % interval of the replications, which says something."""
    interval = mean_interval(values)
    assert interval.low <= exact <= interval.high, (exact, interval)
    assert interval.high - interval.low < 0.25 * exact, interval


def replicate(
    scenario: Scenario, statistic: Callable[[list[Customer]], float], first: int = 1
) -> list[float]:
    """A statistic of the loops over replications, each with a seed of its own."""
    seeds = range(first, first + REPLICATIONS)
    return [statistic(customers(replace(scenario, seed=seed))) for seed in seeds]


# ---- M/M/c and M/G/1 ---------------------------------------------------------------------------

EXPONENTIAL: Final = {"exponential": {"mean": "1h"}}
LOGNORMAL: Final = {"lognormal": {"mean": "1h", "sigma": 0.8}}

QUEUES: Final = {
    "M/M/1 at .9": (1, 0.9, EXPONENTIAL, queueing.mean_wait(1, 0.9)),
    "M/M/4 at .9": (4, 0.9, EXPONENTIAL, queueing.mean_wait(4, 0.9)),
    "M/M/16 at .9": (16, 0.9, EXPONENTIAL, queueing.mean_wait(16, 0.9)),
    "M/D/1 at .8": (1, 0.8, {"constant": "1h"}, queueing.pollaczek_khinchine(0.8, 1.0)),
    "M/G/1 at .5": (1, 0.5, LOGNORMAL, queueing.pollaczek_khinchine(0.5, 1.8964808793)),
}


@pytest.mark.parametrize("name", QUEUES)
def test_every_job_starts_when_the_loop_says(name: str, tmp_path: Path) -> None:
    servers, load, work, _ = QUEUES[name]
    scenario = queue(tmp_path, servers, servers * load, work, 600 * LENGTH)
    starts = queueing.fifo_starts(customers(scenario), servers)
    measures = simulate(scenario)
    assert starts_of(measures) == starts
    waited = sum(1 for c, at in zip(customers(scenario), starts, strict=True) if at > c.at)
    assert waited > 100


@pytest.mark.parametrize("name", QUEUES)
def test_the_loop_agrees_with_the_formula(name: str, tmp_path: Path) -> None:
    servers, load, work, exact = QUEUES[name]
    skipped, counted = 500 * servers + 1500, 8_000 * LENGTH
    if (servers, load) == (1, 0.9):
        counted *= 2  # Its waits hang together for longest.
    scenario = queue(tmp_path, servers, servers * load, work, skipped + counted)

    def mean(jobs: list[Customer]) -> float:
        starts = queueing.fifo_starts(jobs, servers)
        waits = [at - job.at for job, at in zip(jobs, starts, strict=True)]
        return sum(waits[skipped:]) / counted / HOUR

    assert_in_interval(exact, replicate(scenario, mean))


def test_the_95th_percentile_of_the_wait_agrees_with_the_formula(tmp_path: Path) -> None:
    scenario = queue(tmp_path, 4, 4 * 0.9, EXPONENTIAL, 3_500 + 8_000)

    def late(jobs: list[Customer]) -> float:
        starts = queueing.fifo_starts(jobs, 4)
        waits = [at - job.at for job, at in zip(jobs, starts, strict=True)]
        return percentile(sorted(waits[3_500:]), 95) / HOUR

    assert_in_interval(queueing.wait_percentile(4, 0.9, 0.05), replicate(scenario, late))


def test_thirty_replications_of_iris_itself_agree_with_erlang() -> None:
    overrides = [f"workload.jobs.count={800 * LENGTH}", "warm_up=30h", "expect=[]"]
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


@pytest.mark.parametrize(("band", "exact"), [(0, 1 / 0.7), (1, 1 / (0.7 * 0.2))])
def test_the_time_in_system_of_each_band_agrees_with_the_formula(
    band: int, exact: float, tmp_path: Path
) -> None:
    scenario = two_bands(tmp_path, 10_000 * LENGTH)

    def mean(jobs: list[Customer]) -> float:
        ends = queueing.preemptive_ends(jobs)
        # The last to come are left out, too: the streams do not end at one instant.
        rows = list(zip(jobs, ends, strict=True))[1_000:9_000]
        spans = [end - job.at for job, end in rows if job.band == band]
        return sum(spans) / len(spans) / HOUR

    assert_in_interval(exact, replicate(scenario, mean))


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
    scenario = gangs(tmp_path, servers, wide, 5_000 * LENGTH)

    def rate(line: list[Customer]) -> float:
        starts = queueing.strict_starts(line, servers)
        return (len(line) - 1_000) / ((starts[-1] - starts[999]) / HOUR)

    exact = queueing.gang_saturation(servers, wide)
    values = replicate(scenario, rate)
    assert_in_interval(exact, values)
    assert abs(sum(values) / len(values) / exact - 1) < 0.02


# ---- preemption and checkpoints ----------------------------------------------------------------


class Row(NamedTuple):
    """Hours: between failures, of work, to restart, between checkpoints and for one."""

    mtbf: float
    work: float
    restart: float
    every: float
    cost: float


@pytest.mark.parametrize(
    "row",
    [
        Row(10.0, 48.0, 0.2, 1.0, 0.05),
        Row(24.0, 48.0, 0.1, 1.0, 0.05),
        Row(6.0, 48.0, 0.2, 0.5, 0.02),
    ],
)
def test_work_with_checkpoints_takes_as_long_as_the_formula_says(row: Row, tmp_path: Path) -> None:
    save = {"every": f"{row.every}h", "cost": f"{row.cost}h", "restore": f"{row.restart}h"}
    spans = spans_of(alone(tmp_path, row, 150, {"checkpoint": save}))
    assert_in_interval(queueing.with_checkpoints(*row), spans)


@pytest.mark.parametrize(("mtbf", "work"), [(10.0, 10.0), (6.0, 12.0)])
def test_work_without_checkpoints_takes_as_long_as_the_formula_says(
    mtbf: float, work: float, tmp_path: Path
) -> None:
    # The restart that cannot be hit is the boot of the next machine.
    spans = spans_of(alone(tmp_path, Row(mtbf, work, 0.2, 0, 0), 500, {}, boot="0.2h"))
    assert_in_interval(queueing.without_checkpoints(mtbf, work, 0.2), spans)


def spans_of(scenario: Scenario) -> list[float]:
    """Hours from the first start of each job to its end."""
    rows = in_order(simulate(scenario))
    spans = [
        (job.end - job.first_running) / HOUR
        for job in rows
        if job.end is not None and job.first_running is not None
    ]
    assert len(spans) == len(rows)
    return spans


def alone(
    folder: Path, row: Row, count: int, entry: dict[str, object], boot: str = "0s"
) -> Scenario:
    """Jobs that come so far apart that each is alone with its machine, which the cloud takes."""
    train = {
        "name": "train",
        "arrivals": {"every": "5000h"},
        "count": count * LENGTH,
        "resources": {"cpu": 1, "memory": "1GB"},
        "run_time": f"{row.work}h",
        "max_retries_preemption": 1_000_000,
        **entry,
    }
    lifetime = {"exponential": {"mean": f"{row.mtbf}h"}}
    group = {"accelerator_type": "cpu", "vm": {"cpu": 1}, "max_slices": 2, "preemptible": True}
    # A death is known at once, and an early one is no reason to wait.
    patient = {"settle_time": "0s", "idle_timeout": "0s", "observe_interval": "1000000h"}
    return scenario_of(
        folder,
        {
            "cluster": {"scale_groups": {"spot": group}, "autoscaler": patient},
            "cloud": {"boot": boot, "lifetime": lifetime, "silence": "0s"},
            "workload": [train],
        },
    )


# ---- identities --------------------------------------------------------------------------------


def test_the_number_in_system_is_the_rate_times_the_time_in_system(tmp_path: Path) -> None:
    world = World(queue(tmp_path, 4, 3.6, EXPONENTIAL, 500), audit_every_turn=False)
    area, since, present = 0, 0, 0
    while world.goes_on():
        world.clock.step()
        area += present * (world.clock.now - since)
        since = world.clock.now
        # What the controller holds for unfinished: the rows of the measures do not know it.
        jobs = world.controller.state.jobs.values()
        present = sum(1 for job in jobs if job.ended_at is None)
    rows = in_order(world.finish(partial=False))
    assert area == sum(job.end - job.submit for job in rows if job.end is not None)
    assert area > 500 * HOUR


@pytest.mark.parametrize("name", ["preemption", "unkind_cloud", "eviction", "bulk_loss"])
def test_every_chip_millisecond_is_accounted_for(name: str) -> None:
    measures = simulate(load_scenario(ROOT / "scenarios" / f"{name}.yaml"))
    ledger = ledger_of(measures)
    assert ledger.gap == 0
    assert ledger_gap(measures, ledger) == []
    assert ledger.useful + ledger.lost == sum(row.busy for row in measures.slices.values())
    assert ledger.lost > 0


def test_a_fixed_fleet_is_busy_for_as_long_as_its_jobs_work(tmp_path: Path) -> None:
    scenario = queue(tmp_path, 4, 3.6, EXPONENTIAL, 500)
    measures = simulate(scenario)
    work = sum(customer.work for customer in customers(scenario))
    assert sum(row.busy for row in measures.slices.values()) == 1000 * work
    assert measures.now > 50 * MINUTE
