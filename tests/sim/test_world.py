"""One simulated world: the same bytes for the same seed, one turn per instant, and honest books."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from iris.core.instant import HOUR, MINUTE
from iris.core.lifecycle import JobState
from sim.dice import Constant, Dice
from sim.ledger import ledger_gap, ledger_of
from sim.measure import Measures
from sim.model import Scenario
from sim.results import summarize
from sim.run import simulate
from sim.scenario import load_scenario
from sim.workload import arrivals
from tests.sim.watch import Watch, scenario_of
from tests.tidy.tree import ROOT

UNKIND: Final = ROOT / "scenarios" / "unkind_cloud.yaml"
CPU: Final = {"cpu": {"accelerator_type": "cpu", "vm": {"cpu": 4}, "max_slices": 3}}


def entry(name: str, **keys: object) -> dict[str, object]:
    """A stream of short jobs."""
    plain = {
        "name": name,
        "arrivals": {"poisson": {"rate": "6/h"}},
        "count": 30,
        "resources": {"cpu": 4},
        "run_time": {"exponential": {"mean": "20m"}},
    }
    return {**plain, **keys}


def small(folder: Path, *entries: dict[str, object], **sections: object) -> Scenario:
    """A few machines and these streams."""
    plain = {"seed": 4, "cluster": {"scale_groups": CPU}, "workload": list(entries)}
    return scenario_of(folder, {**plain, **sections})


def rows_of(measures: Measures, name: str) -> list[tuple[object, ...]]:
    """When the jobs of an entry came, and how long their work took in all."""
    jobs = [job for job in measures.jobs.values() if job.entry == name]
    return [(job.submit, job.useful) for job in jobs]


def test_the_same_seed_gives_the_same_digest_and_another_seed_another(tmp_path: Path) -> None:
    scenario = small(tmp_path, entry("work"))
    digest = simulate(scenario).digest
    assert simulate(scenario).digest == digest
    assert simulate(replace(scenario, seed=5)).digest != digest


def test_checking_every_turn_changes_nothing_but_the_count() -> None:
    scenario = load_scenario(UNKIND, overrides=["workload.train.count=20", "workload.etl.count=40"])
    some, all_ = simulate(scenario), simulate(scenario, check_invariants=True)
    assert all_.digest == some.digest
    assert all_.invariants_checked > some.invariants_checked
    assert all_.violations == []


def test_another_entry_moves_no_draw_of_the_first(tmp_path: Path) -> None:
    alone = simulate(small(tmp_path, entry("work")))
    beside = simulate(small(tmp_path, entry("noise", count=7), entry("work")))
    assert rows_of(beside, "work") == rows_of(alone, "work")


def test_a_fault_moves_no_draw_of_the_workload(tmp_path: Path) -> None:
    plain = simulate(small(tmp_path, entry("work")))
    cloud = {"host_failure": {"exponential": {"mean": "3h"}}}
    hit = simulate(small(tmp_path, entry("work"), cloud=cloud))
    assert len(hit.attempts) > len(plain.attempts)
    assert rows_of(hit, "work") == rows_of(plain, "work")


def test_all_facts_of_an_instant_are_one_turn(tmp_path: Path) -> None:
    groups = {"cpu": {**CPU["cpu"], "min_slices": 3}}
    burst = entry("work", arrivals={"at": "1h"}, count=3, run_time="10m")
    scenario = small(tmp_path, burst, cluster={"scale_groups": groups})
    world = Watch(scenario).world
    ends = [job.ended_at for job in world.controller.state.jobs.values()]
    assert ends == [70 * MINUTE] * 3
    # They came in one turn, ran in the next, and ended in the last one.
    before = simulate(small(tmp_path, entry("x", count=0), cluster={"scale_groups": groups}))
    assert world.journal.turns - before.turns <= 8


def test_it_ends_with_the_last_job_or_with_its_duration(tmp_path: Path) -> None:
    assert simulate(small(tmp_path, entry("work", arrivals={"at": "0s"}, count=1))).now < HOUR
    cut = simulate(small(tmp_path, entry("work", count=1000), duration="3h"))
    assert cut.now == 3 * HOUR
    assert {job.state for job in cut.jobs.values()} >= {JobState.SUCCEEDED, JobState.PENDING}


def test_a_world_without_jobs_is_over_at_once(tmp_path: Path) -> None:
    assert simulate(small(tmp_path)).now == 0


def test_a_run_that_is_stopped_is_marked_partial_and_its_books_add_up() -> None:
    scenario = load_scenario(UNKIND)
    measures = simulate(scenario, stop=lambda: True)
    assert measures.partial
    assert measures.now > 0
    assert measures.now < simulate(scenario).now
    assert ledger_gap(measures, ledger_of(measures)) == []
    assert summarize(measures, ())["partial"] is True


def test_progress_is_told_in_simulated_time() -> None:
    seen: list[tuple[int, int]] = []
    measures = simulate(
        load_scenario(UNKIND), progress=lambda now, ended: seen.append((now, ended))
    )
    assert seen == sorted(seen)
    assert seen[-1] == (measures.now, len(measures.jobs))


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_the_unkind_cloud_is_survived_whatever_the_seed(seed: int) -> None:
    scenario = load_scenario(UNKIND, seed=seed)
    measures = simulate(scenario)
    results = summarize(measures, scenario.expect)
    assert measures.violations == []
    assert [e for e in results["expect"] if not e["holds"]] == []  # type: ignore[attr-defined]
    assert ledger_gap(measures, ledger_of(measures)) == []


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_work_that_was_kept_is_counted_once_however_often_it_was_begun(seed: int) -> None:
    launch = "workload.train.launch={uniform: {min: 1s, max: 5m}}"
    scenario = load_scenario(UNKIND, seed=seed, overrides=[launch])
    gangs = [a for a in arrivals(scenario, Dice(seed)) if a.template.entry == "train"]
    jobs = simulate(scenario).jobs
    kept = {a.number: jobs[f"/alice/train-{a.number}"] for a in gangs}
    again = [job for job in kept.values() if job.attempts > 4]
    assert len(again) > 10
    wrong = [
        job.job
        for a in gangs
        if (job := kept[a.number]).state is JobState.SUCCEEDED
        and job.useful != a.run_time * job.chips_milli
    ]
    assert wrong == []


def test_a_warm_up_cuts_jobs_and_time(tmp_path: Path) -> None:
    warm = simulate(small(tmp_path, entry("work"), warm_up="2h"))
    cold = simulate(small(tmp_path, entry("work")))
    assert warm.digest == cold.digest
    counted = summarize(warm, ())["jobs"]
    late = [job for job in cold.jobs.values() if job.submit >= 2 * HOUR]
    assert isinstance(counted, dict)
    assert counted["submitted"] == len(late) < 30


def test_what_is_constant_is_the_same_at_every_seed(tmp_path: Path) -> None:
    fixed = entry("work", arrivals={"every": "10m"}, run_time="25m")
    scenario = small(tmp_path, fixed)
    assert scenario.cloud.boot == Constant(scenario.cloud.notice)
    ends = {tuple(rows_of(simulate(replace(scenario, seed=s)), "work")) for s in range(3)}
    assert len(ends) == 1
