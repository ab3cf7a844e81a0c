"""Work under preemption against its formula, and identities that hold on every finished run."""

from pathlib import Path
from typing import NamedTuple

import pytest

from iris.core.instant import HOUR, MINUTE
from sim.ledger import ledger_gap, ledger_of
from sim.model import Scenario
from sim.run import simulate
from sim.scenario import load_scenario
from sim.world import World
from tests.sim import queueing
from tests.sim.theory import EXPONENTIAL, LENGTH, assert_in_interval, customers, in_order, queue
from tests.sim.watch import scenario_of
from tests.tidy.tree import ROOT

# Long simulations: the core's coverage is measured by its own tests, at twice the time.

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
    spans = spans_of(alone(tmp_path, row, 60, {"checkpoint": save}))
    assert_in_interval(queueing.with_checkpoints(*row), spans)


@pytest.mark.parametrize(("mtbf", "work"), [(10.0, 10.0), (6.0, 12.0)])
def test_work_without_checkpoints_takes_as_long_as_the_formula_says(
    mtbf: float, work: float, tmp_path: Path
) -> None:
    # The restart that cannot be hit is the boot of the next machine.
    spans = spans_of(alone(tmp_path, Row(mtbf, work, 0.2, 0, 0), 250, {}, boot="0.2h"))
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
