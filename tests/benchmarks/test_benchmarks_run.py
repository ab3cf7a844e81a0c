"""Every benchmark still runs, at a size at which its times mean nothing."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.benchmarks import (
    actors,
    dashboard,
    filling,
    fleet,
    live,
    memory,
    placement,
    pools,
    recovery,
    reporting,
    restart,
    startup,
    trace_speed,
)
from tests.benchmarks.__main__ import benchmarks, main
from tests.benchmarks.figures import Benchmark, run, table

TINY: Final[Mapping[str, Benchmark]] = {
    "fleet": partial(
        fleet.measure,
        overrides=(
            "duration=2h",
            *(f"scale_groups.{group}.min_slices=2" for group in ("tpu", "cpu", "gpu")),
            *(f"scale_groups.{group}.max_slices=2" for group in ("tpu", "cpu", "gpu")),
        ),
        empty_steps=100,
    ),
    "placement": partial(placement.measure, workers=5, pending=20, shapes=2),
    "misfits": partial(placement.measure_misfits, workers=5, many=20, turns=3),
    "fill": partial(filling.measure, workers=20, repeats=1),
    "dispatch": partial(filling.measure_dispatches, dispatches=50, repeats=1),
    "recovery": partial(recovery.measure, tasks=1_000, later=5),
    "restart": partial(restart.measure, tasks=1_000, later=5),
    "memory": partial(memory.measure, live=50),
    "help": partial(startup.measure, repeats=1),
    "live": partial(live.measure, calls=2, commands=1, jobs=4, ups=1, settle_s=0),
    "actors": partial(actors.measure, calls=20, many=50, large=100_000),
    "pool": partial(pools.measure, calls=20, many=50, large=100_000),
    "reporting": partial(reporting.measure, workers=20, span_s=0.5, tasks=40),
    "dashboard": partial(
        dashboard.measure,
        dashboard.Size(
            10, ended=60, running=40, waiting=40, rounds=1, seconds=0.3, settle_s=0, lines=2_000
        ),
    ),
}


def test_every_benchmark_but_the_one_of_the_trace_has_a_tiny_size() -> None:
    assert [*benchmarks()] == ["trace", *TINY]


@pytest.mark.parametrize("name", TINY)
def test_a_benchmark_gives_figures(name: str) -> None:
    rows = run(TINY[name])
    assert rows
    for figure, loop in rows:
        assert figure.what in table([(figure, loop)])
        assert any(letter.isdigit() for letter in figure.measured), figure
        assert loop > 0


def test_many_tasks_that_fit_nowhere_are_asked_about_no_more_often_than_one() -> None:
    one, many = (placement.misfit_cost(workers=5, waiting=count, turns=3) for count in (1, 200))
    assert 0 < many.first_evaluations <= one.first_evaluations
    assert 0 < many.turn_evaluations <= one.turn_evaluations


def test_everybody_finds_the_same_waits_in_a_trace(tmp_path: Path) -> None:
    rest = "-1 " * 13
    rows = (
        f"{n} {10 * n} -1 {40 + 37 * n % 200} {1 + 53 * n % 128} {rest}\n" for n in range(1, 300)
    )
    trace = tmp_path / "jobs.swf"
    trace.write_text("".join(rows))
    race = trace_speed.Race(trace, limit=200)
    race.run_ours()
    assert set(race.mean_wait_s) == {trace_speed.IRIS, trace_speed.HEAP, trace_speed.SIMPY}
    assert len(set(race.mean_wait_s.values())) == 1, race.mean_wait_s
    assert race.mean_wait_s[trace_speed.IRIS] > 0
    assert len(race.jobs) == 200


def test_a_trace_that_is_absent_is_said_to_be_absent(tmp_path: Path) -> None:
    (figure,) = trace_speed.measure(trace=tmp_path / "nothing.swf")
    assert figure.measured == "skipped"
    assert figure.beside.startswith("needs ../shared/data/jobs/")


def test_an_unknown_name_is_answered_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["fleeet"])
    assert end.value.code == 2
    assert "no benchmark is called fleeet; there are trace, fleet, " in capsys.readouterr().err
