"""Comparisons: paired by seed, so that what both have in common cancels out."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from sim.compare import Difference, comparison, comparison_text, differences
from sim.results import summarize
from sim.run import simulate
from sim.scenario import load_scenario
from sim.statistics import mean_interval
from tests.tidy.tree import ROOT

SCENARIO = ROOT / "scenarios" / "preemption.yaml"
WAIT = ("queue_wait_s", "mean")


def runs(path: Path, *overrides: str, count: int = 3) -> list[Mapping[str, object]]:
    first = load_scenario(path, overrides=overrides).seed
    scenarios = [load_scenario(path, seed=first + i, overrides=overrides) for i in range(count)]
    return [summarize(simulate(scenario), scenario.expect) for scenario in scenarios]


@pytest.fixture(scope="module")
def few() -> list[Mapping[str, object]]:
    return runs(SCENARIO, "cluster.scale_groups.tpu_v5e_16.max_slices=4")


@pytest.fixture(scope="module")
def many() -> list[Mapping[str, object]]:
    return runs(SCENARIO)


def test_a_scenario_does_not_differ_from_itself(many: list[Mapping[str, object]]) -> None:
    found = differences(many, many)
    assert ("jobs", "succeeded") in found
    assert ("seed",) not in found
    assert ("wall_s",) not in found
    assert all(one.values == (0.0, 0.0, 0.0) for one in found.values())
    assert not any(one.is_distinct for one in found.values())


def test_a_difference_is_taken_within_each_pair(
    few: list[Mapping[str, object]], many: list[Mapping[str, object]]
) -> None:
    waits = [[run["queue_wait_s"]["mean"] for run in side] for side in (many, few)]  # type: ignore[index]
    one = differences(many, few)[WAIT]
    assert one.values == tuple(b - a for a, b in zip(*waits, strict=True))
    assert one.first == pytest.approx(sum(waits[0]) / 3)
    assert one.second == pytest.approx(sum(waits[1]) / 3)
    assert one.is_distinct  # Half of the slices: everybody waits for longer.
    assert mean_interval(one.values).low > 0


def test_what_only_one_of_a_pair_has_is_left_out_of_it() -> None:
    first: list[Mapping[str, object]] = [{"seed": 1, "p": 1.0, "q": None}, {"seed": 2, "p": 2.0}]
    second: list[Mapping[str, object]] = [{"seed": 1, "p": None, "q": 3.0}, {"seed": 2, "p": 5.0}]
    assert differences(first, second) == {("p",): Difference(2.0, 5.0, (3.0,))}
    assert not Difference(2.0, 5.0, (3.0,)).is_distinct  # One pair says nothing of chance.
    assert Difference(0.0, -3.0, (-3.0, -3.1)).is_distinct


def test_the_object_has_every_figure_and_both_sides(
    few: list[Mapping[str, object]], many: list[Mapping[str, object]]
) -> None:
    told = comparison(many, few)
    figures = told["figures"]
    assert isinstance(figures, dict)
    wait = figures["queue_wait_s.mean"]
    assert wait["distinct"]
    assert len(wait["difference"]["values"]) == told["pairs"] == 3
    assert wait["difference"]["ci95_low"] <= wait["difference"]["mean"]
    assert told["a"]["scenario"] == told["b"]["scenario"] == "preemption"  # type: ignore[index]


def test_the_table_says_what_is_more_and_what_is_less(
    few: list[Mapping[str, object]], many: list[Mapping[str, object]]
) -> None:
    lines = comparison_text(many, few, ("many", "few")).splitlines()
    (wait,) = (line for line in lines if line.startswith("queue wait, mean"))
    assert wait.endswith("  more")
    back = comparison_text(few, many, ("few", "many")).splitlines()
    (wait,) = (line for line in back if line.startswith("queue wait, mean"))
    assert wait.endswith("  less")
    (jobs,) = (line for line in lines if line.startswith("jobs succeeded"))
    assert jobs.split()[2:] == ["340", "340", "0", "0", "0"]
    assert lines[-3:] == ["A: many", "B: few", "3 pairs of runs, seeds 7 to 9"]
