"""Scenarios that theory knows, and how a simulation is held against it."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from sim.dice import Dice
from sim.measure import JobRow, Measures
from sim.model import Scenario
from sim.statistics import mean_interval
from sim.workload import arrivals
from tests.sim.queueing import Customer
from tests.sim.watch import scenario_of

_Value = TypeVar("_Value")

REPLICATIONS: Final = 30
LENGTH: Final = 10 if os.environ.get("IRIS_TESTS") == "night" else 1
"""Runs are this many times as long at night."""


EXPONENTIAL: Final = {"exponential": {"mean": "1h"}}


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
    scenario: Scenario, statistic: Callable[[list[Customer]], _Value], first: int = 1
) -> list[_Value]:
    """A statistic of the loops over replications, each with a seed of its own."""
    seeds = range(first, first + REPLICATIONS)
    return [statistic(customers(replace(scenario, seed=seed))) for seed in seeds]
