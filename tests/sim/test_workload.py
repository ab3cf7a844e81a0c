"""Jobs come in one written order, and no entry moves another's draws."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris.core.instant import DAY, HOUR, MINUTE, Instant, Millis
from iris.core.spec import Band, ClusterSpec
from sim.dice import Constant, Dice, Exponential
from sim.model import (
    Arrival,
    Arrivals,
    CloudModel,
    Entry,
    JobTemplate,
    Scenario,
    Trace,
    TraceUnit,
)
from sim.workload import arrivals, total_jobs_known

POISSON = Arrivals(poisson_mean=float(HOUR))


def template(name: str, user: str = "alice") -> JobTemplate:
    return JobTemplate(name, user, Band.BATCH, 1, False, 1_000, 0, 0, None, 0)  # noqa: FBT003


def drawn(name: str, when: Arrivals, count: int | None = 5) -> Entry:
    return Entry(template(name), when, None, count, Exponential(HOUR))


def listed(name: str, *minutes: int) -> Entry:
    at = tuple(Instant(MINUTE * minute) for minute in minutes)
    return Entry(template(name), Arrivals(at=at), None, None, Constant(MINUTE))


def scenario(*workload: Entry, duration: Millis | None = None) -> Scenario:
    return Scenario(
        name="s",
        seed=1,
        duration=duration,
        warm_up=Millis(0),
        cluster=ClusterSpec(),
        cloud=CloudModel(),
        workload=workload,
        faults=(),
        expect=(),
        path=Path("s.yaml"),
        config_hash="",
    )


def come(*workload: Entry, duration: Millis | None = None) -> list[Arrival]:
    return list(arrivals(scenario(*workload, duration=duration), Dice(1)))


def of_entry(name: str, jobs: Sequence[Arrival]) -> list[Arrival]:
    return [job for job in jobs if job.template.entry == name]


def test_jobs_of_one_instant_come_by_entry_and_then_by_number() -> None:
    jobs = come(listed("b", 5, 5), listed("a", 0, 5))
    assert [(job.at // MINUTE, job.template.entry, job.number) for job in jobs] == [
        (0, "a", 0), (5, "b", 0), (5, "b", 1), (5, "a", 1),
    ]  # fmt: skip


def test_periodic_jobs_start_at_once() -> None:
    jobs = come(drawn("a", Arrivals(every=MINUTE), count=3))
    assert [job.at for job in jobs] == [0, MINUTE, 2 * MINUTE]
    assert [job.number for job in jobs] == [0, 1, 2]


def test_a_burst_comes_at_one_instant() -> None:
    jobs = come(drawn("a", Arrivals(every=Millis(0)), count=4))
    assert [job.at for job in jobs] == [0, 0, 0, 0]


def test_another_entry_moves_no_draw() -> None:
    alone = come(drawn("b", POISSON))
    together = come(drawn("a", POISSON), drawn("b", POISSON), drawn("c", POISSON))
    assert of_entry("b", together) == alone
    assert [job.at for job in of_entry("a", together)] != [job.at for job in alone]


def test_more_jobs_move_no_draw_of_the_first_ones() -> None:
    assert come(drawn("a", POISSON, count=50))[:5] == come(drawn("a", POISSON, count=5))


def test_another_run_time_moves_no_arrival() -> None:
    longer = replace(drawn("a", POISSON), run_time=Constant(DAY))
    assert [job.at for job in come(longer)] == [job.at for job in come(drawn("a", POISSON))]


def test_another_seed_draws_other_jobs() -> None:
    entry = drawn("a", POISSON)
    other = list(arrivals(scenario(entry), Dice(2)))
    assert [job.at for job in other] != [job.at for job in come(entry)]
    assert [job.run_time for job in other] != [job.run_time for job in come(entry)]


def test_poisson_gaps_have_their_rate_and_are_memoryless() -> None:
    count = 20_000
    times = [0, *(job.at for job in come(drawn("a", POISSON, count=count)))]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    # The standard error of the mean of n exponential gaps is mean / sqrt(n).
    assert abs(fmean(gaps) - HOUR) < 5 * HOUR / count**0.5
    assert fmean(gap > HOUR for gap in gaps) == pytest.approx(0.3679, abs=0.02)
    assert times[1] > 0


def test_a_gap_is_the_nearest_millisecond_of_its_own_draw_and_not_the_run_time() -> None:
    for seed in range(20):
        first = next(arrivals(scenario(drawn("a", POISSON)), Dice(seed)))
        assert first.at == round(-HOUR * math.log(1.0 - Dice(seed).uniform("arrival", "a", 0)))
        assert int(first.run_time) != int(first.at)


def test_frequent_arrivals_keep_their_rate_though_instants_are_whole() -> None:
    jobs = come(drawn("a", Arrivals(poisson_mean=0.25), count=20_000))
    assert jobs[-1].at == pytest.approx(5_000, rel=0.04)


def test_an_endless_entry_is_drawn_only_as_far_as_it_is_asked() -> None:
    endless = scenario(drawn("a", POISSON, count=None), drawn("b", POISSON, count=None))
    assert len(list(islice(arrivals(endless, Dice(1)), 1_000))) == 1_000


def test_no_job_comes_at_the_end_or_later() -> None:
    jobs = come(drawn("a", Arrivals(every=MINUTE), count=None), duration=Millis(3 * MINUTE))
    assert [job.at // MINUTE for job in jobs] == [0, 1, 2]


def test_how_many_jobs_come_is_known_unless_it_is_endless() -> None:
    counted = [drawn("a", POISSON, count=7), listed("b", 1, 2)]
    assert total_jobs_known(scenario(*counted)) == 9
    assert total_jobs_known(scenario(*counted, drawn("c", POISSON, count=None))) is None
    assert total_jobs_known(scenario()) == 0
    assert come() == []
    assert come(drawn("a", POISSON, count=0)) == []


@given(st.lists(st.lists(st.integers(0, 9), max_size=6).map(sorted), max_size=5))
def test_any_entries_merge_into_one_order(plan: list[list[int]]) -> None:
    entries = [listed(f"e{i}", *minutes) for i, minutes in enumerate(plan) if minutes]
    position = {entry.template.entry: i for i, entry in enumerate(entries)}
    keys = [(job.at, position[job.template.entry], job.number) for job in come(*entries)]
    assert keys == sorted(keys)
    assert len(keys) == sum(len(minutes) for minutes in plan)


def traced(path: Path, unit: TraceUnit, **more: float) -> Entry:
    width = {TraceUnit.CPU: "cpu", TraceUnit.GPU: "gpus", TraceUnit.REPLICAS: "replicas"}[unit]
    columns = {"submit_s": "submit_s", "duration_s": "duration_s", width: "n", "user": "user"}
    trace = Trace(
        file=path,
        format="csv",
        unit=unit,
        columns=columns,
        gpus_per_task=8,
        time_scale=more.get("time_scale", 1.0),
        limit=int(more["limit"]) if "limit" in more else None,
    )
    count = int(more["count"]) if "count" in more else None
    return Entry(template("t"), None, trace, count, None)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("submit_s,duration_s,n,user\n10,5,12,bob\n0,7,2,\n20,0,8,bob\n30,1,2,carol\n")
    return path


def test_a_row_of_cpus_is_one_task(rows: Path) -> None:
    jobs = come(traced(rows, TraceUnit.CPU))
    assert [(job.at, job.run_time, job.template.cpu_milli, job.user) for job in jobs] == [
        (0, 7_000, 2_000, "alice"),
        (10_000, 5_000, 12_000, "bob"),
        (20_000, 0, 8_000, "bob"),
        (30_000, 1_000, 2_000, "carol"),
    ]
    assert all(job.template.replicas == 1 for job in jobs)
    assert jobs[0].template is jobs[3].template


def test_a_row_of_replicas_is_so_many_tasks(rows: Path) -> None:
    jobs = come(traced(rows, TraceUnit.REPLICAS))
    assert [job.template.replicas for job in jobs] == [2, 12, 8, 2]
    assert all(job.template.cpu_milli == 1_000 for job in jobs)


def test_a_row_of_more_gpus_than_a_machine_has_becomes_several_tasks(rows: Path) -> None:
    jobs = come(traced(rows, TraceUnit.GPU))
    assert [(job.template.replicas, job.template.chips) for job in jobs] == [
        (1, 2), (2, 8), (1, 8), (1, 2),
    ]  # fmt: skip


def test_a_trace_can_be_cut_and_its_load_raised(rows: Path) -> None:
    assert [job.at for job in come(traced(rows, TraceUnit.CPU, time_scale=0.5))] == [
        0, 5_000, 10_000, 15_000,
    ]  # fmt: skip
    for cut in ({"limit": 2}, {"count": 2}, {"limit": 2, "count": 3}):
        entry = traced(rows, TraceUnit.CPU, **cut)
        assert [job.at for job in come(entry)] == [0, 10_000]
        assert total_jobs_known(scenario(entry)) == 2
    assert total_jobs_known(scenario(traced(rows, TraceUnit.CPU))) == 4
