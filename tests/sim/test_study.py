"""Studies: the same bytes whatever the number of processes, and no process left behind."""

import json
import multiprocessing
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sim.results import aggregate
from sim.study import Plan, RunLost, Simulate, run_study
from tests.sim.example_study import broken, dying, endless, example_scenario, quick


def plan(
    simulate: Simulate, *, replications: int = 4, processes: int = 1, keep_rows: bool = False
) -> Plan:
    scenario = example_scenario("queue_wait_s.p50 < 3m")
    return Plan(scenario, replications, processes, keep_rows, simulate)


def endless_plan(begun: Path, simulate: Simulate = endless, *, processes: int = 2) -> Plan:
    """Nine runs that do not end, and make the file `begun` when the first of them begins."""
    base = plan(simulate, replications=9, processes=processes)
    return replace(base, scenario=replace(base.scenario, path=begun))


def never() -> bool:
    return False


def test_replication_i_has_seed_plus_i() -> None:
    runs = run_study(plan(quick), stop=never)
    assert [run.results["seed"] for run in runs] == [7, 8, 9, 10]


def test_the_number_of_processes_changes_no_byte() -> None:
    alone = run_study(plan(quick, replications=5), stop=never)
    together = run_study(plan(quick, replications=5, processes=2), stop=never)
    texts = [json.dumps(aggregate([run.results for run in runs])) for runs in (alone, together)]
    assert texts[0] == texts[1]


def test_rows_come_back_only_when_they_are_asked_for() -> None:
    kept = run_study(plan(quick, replications=2, processes=2, keep_rows=True), stop=never)
    assert [run.measures.seed for run in kept if run.measures is not None] == [7, 8]
    assert all(run.measures is None for run in run_study(plan(quick), stop=never))


@pytest.mark.parametrize("processes", [1, 2])
def test_it_tells_how_many_runs_have_ended(processes: int) -> None:
    told: list[int] = []
    run_study(plan(quick, replications=3, processes=processes), stop=never, finished=told.append)
    assert told == sorted(told)
    assert told[-1] == 3


def test_a_stop_ends_the_runs_under_way_as_partial_and_leaves_out_the_others(
    tmp_path: Path,
) -> None:
    begun = tmp_path / "begun"
    runs = run_study(endless_plan(begun), stop=begun.exists)
    assert 1 <= len(runs) <= 2
    assert all(run.results["partial"] is True for run in runs)
    assert multiprocessing.active_children() == []


def test_a_stop_ends_a_study_in_one_process_likewise(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    runs = run_study(endless_plan(begun, processes=1), stop=begun.exists)
    assert [run.results["partial"] for run in runs] == [True]


def test_a_stop_before_the_first_run_leaves_nothing() -> None:
    assert run_study(plan(quick), stop=lambda: True) == []


def test_a_process_that_dies_is_told_as_such() -> None:
    with pytest.raises(RunLost, match="one of 2 processes"):
        run_study(plan(dying, processes=2), stop=never)
    assert multiprocessing.active_children() == []


def test_a_bug_in_one_run_ends_the_study_at_once(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(RuntimeError, match="a bug under seed 8"):
        run_study(endless_plan(tmp_path / "begun", broken), stop=never)
    assert time.monotonic() < began + 30, "the other runs were waited for"
    assert multiprocessing.active_children() == []
