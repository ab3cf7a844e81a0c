"""Simulated hosts: what an attempt keeps, what it loses, and what a host that was cut off tells."""

from pathlib import Path
from typing import Final

import pytest

from iris.core.instant import HOUR, MINUTE, SECOND
from iris.core.lifecycle import AttemptState, JobState
from sim.measure import AttemptRow
from tests.sim.watch import Watch, scenario_of

ONE_HOST: Final = {
    "cpu": {"accelerator_type": "cpu", "vm": {"cpu": 4, "memory": "16GB"}, "max_slices": 2}
}
WORK: Final = {
    "name": "work",
    "arrivals": {"at": "0s"},
    "count": 1,
    "resources": {"cpu": 4},
    "run_time": "2h",
}


def run(folder: Path, faults: list[object], **entry: object) -> Watch:
    """One job of two hours on one machine, struck by faults."""
    sections = {
        "cluster": {"scale_groups": ONE_HOST},
        "workload": [{**WORK, **entry}],
        "faults": faults,
    }
    return Watch(scenario_of(folder, sections))


def attempts(watch: Watch) -> list[AttemptRow]:
    """All attempts, in the order of their starts."""
    return watch.measures.attempts


def chips(amount: int, cores: int = 4) -> int:
    """A span on so many cores, as the rows count it."""
    return amount * cores * 1000


KILL: Final = {"at": "65m", "kind": "kill_worker", "slice": "any"}


def test_an_attempt_without_checkpoints_loses_all_that_it_did(tmp_path: Path) -> None:
    first, second = attempts(run(tmp_path, [KILL]))
    assert (first.useful, first.lost) == (0, chips(65 * MINUTE))
    assert (second.useful, second.lost) == (chips(2 * HOUR), 0)


def test_an_attempt_keeps_what_it_had_done_by_its_last_checkpoint(tmp_path: Path) -> None:
    save = {"every": "20m", "restore": "3m"}
    first, second = attempts(run(tmp_path, [KILL], checkpoint=save))
    assert (first.useful, first.lost) == (chips(HOUR), chips(5 * MINUTE))
    assert second.end - second.start == 3 * MINUTE + HOUR
    assert (second.useful, second.lost) == (chips(HOUR), chips(3 * MINUTE))


def test_each_checkpoint_costs_time_that_is_lost(tmp_path: Path) -> None:
    (only,) = attempts(run(tmp_path, [], checkpoint={"every": "30m", "cost": "1m"}))
    assert only.end - only.start == 2 * HOUR + 4 * MINUTE
    assert (only.useful, only.lost) == (chips(2 * HOUR), chips(4 * MINUTE))


def test_the_time_to_launch_is_lost_and_no_work(tmp_path: Path) -> None:
    (only,) = attempts(run(tmp_path, [], launch="10m"))
    assert only.running == only.start + 10 * MINUTE
    assert (only.useful, only.lost) == (chips(2 * HOUR), chips(10 * MINUTE))


def test_an_attempt_whose_code_fails_is_tried_again_on_its_own_budget(tmp_path: Path) -> None:
    fails = {"probability": 1.0, "at": "30m"}
    watch = run(tmp_path, [], failures=fails, max_retries_failure=2)
    assert [a.outcome for a in attempts(watch)] == [AttemptState.FAILED] * 3
    (job,) = watch.measures.jobs.values()
    assert job.state is JobState.FAILED
    assert job.lost == chips(90 * MINUTE)


def test_running_out_of_memory_is_a_failure_of_the_user(tmp_path: Path) -> None:
    fails = {"probability": 1.0, "at": "30m", "out_of_memory": 1.0}
    watch = run(tmp_path, [], failures=fails)
    assert [a.outcome for a in attempts(watch)] == [AttemptState.FAILED]


@pytest.mark.parametrize(("span", "kept"), [("20s", 0), ("2m", 2 * MINUTE)])
def test_a_save_on_notice_needs_as_long_a_notice_as_it_says(
    span: str, kept: int, tmp_path: Path
) -> None:
    groups = {"cpu": {**ONE_HOST["cpu"], "preemptible": True}}
    sections = {
        "cluster": {"scale_groups": groups},
        "cloud": {"notice": span},
        "workload": [{**WORK, "checkpoint": {"every": "1h", "on_notice": "30s"}}],
        "faults": [{"at": "30m", "kind": "preempt"}],
    }
    first = attempts(Watch(scenario_of(tmp_path, sections)))[0]
    assert first.useful == (chips(30 * MINUTE + kept - 30 * SECOND) if kept else 0)


GANG: Final = {
    "replicas": 4,
    "coscheduled": True,
    "resources": {"cpu": 8, "tpu": "v5litepod-16"},
    "checkpoint": {"every": "20m"},
}


def gang(folder: Path, faults: list[object]) -> Watch:
    """One gang of four on a slice of four hosts."""
    groups = {"tpu": {"accelerator_type": "v5litepod-16", "max_slices": 2}}
    sections = {
        "cluster": {"scale_groups": groups},
        "workload": [{**WORK, **GANG}],
        "faults": faults,
    }
    return Watch(scenario_of(folder, sections))


def test_a_gang_gets_no_further_than_its_first_member_that_was_lost(tmp_path: Path) -> None:
    rows = attempts(gang(tmp_path, [{**KILL, "at": "59m30s", "host": 1}]))
    first, rest = rows[:4], rows[4:]
    # The others worked on past the hour until they were stopped, but their round was broken.
    assert [a.end for a in first if a.host != 1] == [60 * MINUTE + 30 * SECOND] * 3
    assert {a.useful for a in first} == {chips(40 * MINUTE)}
    assert {a.useful for a in rest} == {chips(80 * MINUTE)}


def test_a_cut_link_hides_an_end_until_it_heals(tmp_path: Path) -> None:
    cut = {"at": "119m30s", "kind": "silence_worker", "slice": "any", "for": "40s"}
    watch = run(tmp_path, [cut])
    (job,) = watch.measures.jobs.values()
    assert attempts(watch)[0].end == 2 * HOUR
    assert job.end == 2 * HOUR + 10 * SECOND


def test_what_runs_on_behind_a_cut_link_is_for_nobody_once_another_took_over(
    tmp_path: Path,
) -> None:
    sections = {
        "cluster": {"scale_groups": ONE_HOST},
        "cloud": {"deletes": {"lost": 1.0}},
        "workload": [{**WORK, "checkpoint": {"every": "20m"}}],
        "faults": [{"at": "30m", "kind": "silence_worker", "slice": "any"}],
        "duration": "4h",
    }
    watch = Watch(scenario_of(tmp_path, sections))
    first, second = attempts(watch)
    assert second.start == 31 * MINUTE
    assert first.end == 2 * HOUR
    assert first.useful == chips(20 * MINUTE)
    assert second.useful == chips(100 * MINUTE)


def test_what_runs_when_the_simulation_stops_is_not_lost(tmp_path: Path) -> None:
    sections = {
        "duration": "50m",
        "cluster": {"scale_groups": ONE_HOST},
        "workload": [WORK],
    }
    watch = Watch(scenario_of(tmp_path, sections))
    (only,) = attempts(watch)
    assert (only.useful, only.lost, only.outcome) == (chips(50 * MINUTE), 0, None)


def test_a_gang_works_in_step_from_its_last_launch_on(tmp_path: Path) -> None:
    groups = {"tpu": {"accelerator_type": "v5litepod-16", "max_slices": 2}}
    sections = {
        "cluster": {"scale_groups": groups},
        "workload": [{**WORK, **GANG, "launch": {"uniform": {"min": "1m", "max": "9m"}}}],
    }
    rows = attempts(Watch(scenario_of(tmp_path, sections)))
    launched = [row.running for row in rows if row.running is not None]
    assert len(set(launched)) == 4
    assert {row.end for row in rows} == {max(launched) + 2 * HOUR}
    assert {row.useful for row in rows} == {chips(2 * HOUR)}
