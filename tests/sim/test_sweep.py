"""A sweep is planned whole before it runs, says the same as `iris sim` of each point, and names its points."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from iris.exit_status import ExitStatus
from iris.problems import BadInput
from sim.packing import Folder
from sim.results import summarize
from sim.run import simulate
from sim.scenario import load_scenario, scenario_of
from sim.sweep import Lost, SweepResults, gathered, lost_by, plan_sweep
from sim.sweep_charts import figure_rows, sweep_charts
from sim.sweep_export import FILES, write_sweep
from sim.sweep_run import OtherVersion, Unit, run_unit
from sim.sweep_tables import short_names, sweep_text
from sim.sweep_trade import knee, pareto_rows, swings
from tests.sim.sweeping import planned, short, traced
from tests.sim.test_report import Page


def test_a_run_of_a_point_says_what_the_simulation_of_its_scenario_says(tmp_path: Path) -> None:
    sweep, files = planned(tmp_path)
    assert [point.overrides for point in sweep.points] == [
        (f"scale_groups.cpu.max_slices={most}", f"cloud.boot={boot}", "workload.drip.count=4")
        for most in (1, 2)
        for boot in ("2m", "0s")
    ]
    units = sweep.units()
    assert [unit.seed for unit in units] == [3, 4] * 4
    for place in (0, 5):
        there = run_unit(units[place], str(files.path))
        assert there is not None
        overrides = sweep.points[place // 2].overrides
        path = tmp_path / "traced.yaml"
        scenario = load_scenario(path, seed=units[place].seed, overrides=overrides)
        results = summarize(simulate(scenario), scenario.expect)
        del results["wall_s"]
        assert json.loads(there) == json.loads(json.dumps(results))


def test_a_packed_scenario_is_whole_and_holds_no_secret_of_the_cluster(tmp_path: Path) -> None:
    sweep, files = planned(tmp_path)
    assert len(files.files) == 2  # once each, whatever the number of points
    before = load_scenario(tmp_path / "traced.yaml", overrides=sweep.points[0].overrides)
    after = scenario_of(sweep.texts[0], files.path / "scenario.yaml")
    assert after.workload[0].trace is not None
    assert before.workload[0].trace is not None
    moved = replace(after.workload[0].trace, file=before.workload[0].trace.file)
    assert replace(after.workload[0], trace=moved) == before.workload[0]
    same = replace(
        after, workload=before.workload, path=before.path, config_hash=before.config_hash
    )
    assert same == before
    assert "not-for-the-eyes" not in sweep.texts[0]
    assert str(tmp_path) not in sweep.texts[0]


def test_a_text_survives_packing_though_json_and_yaml_differ(tmp_path: Path) -> None:
    texts = ("12:30", "1e3", "no", "0o17", "\u00e9\U0001f600", r"a\u2028b", r"a\x85b")
    values = [f'{{a: "{text}"}}' for text in texts]
    sweep, files = planned(tmp_path, f"scale_groups.cpu.attributes={','.join(values)}")
    found = [scenario_of(text, files.path / "x.yaml") for text in sweep.texts]
    attributes = [scenario.cluster.groups[0].attributes for scenario in found]
    said = ("12:30", "1e3", "no", "0o17", "\u00e9\U0001f600", "a\u2028b", "a\x85b")
    assert attributes == [(("a", text),) for text in said]


def test_points_share_the_seeds_that_are_asked_for(tmp_path: Path) -> None:
    path = traced(tmp_path)
    sweep = plan_sweep(path, ["cloud.boot=1m,2m"], seed=40, replications=3, folder=Folder(tmp_path))
    assert sweep.seeds == range(40, 43)


def test_a_point_at_which_the_scenario_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        planned(tmp_path, "cloud.boot=1m,2m", "scale_groups.cpu.max_slices=2,-1")
    (problem,) = refused.value.problems
    where = "cloud.boot=1m scale_groups.cpu.max_slices=-1"
    assert problem.message == f"-1 is out of range (at the point {where})"
    assert problem.path == "cluster.scale_groups.cpu.max_slices"


def test_what_is_wrong_at_every_point_is_told_once_and_of_none(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        planned(tmp_path, "cloud.boat=1m,2m", "cloud.boot=1m,2m")
    (problem,) = refused.value.problems
    assert problem.message == "unknown key `cloud.boat`"
    assert "boot" in problem.help


def test_a_run_refuses_another_version() -> None:
    with pytest.raises(OtherVersion, match=r"0\.0\.0 planned"):
        run_unit(replace(short(), version="0.0.0"))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OtherVersion("iris 1 is installed here"), ExitStatus.FAILED),
        (ModuleNotFoundError("No module named 'sim'"), ExitStatus.FAILED),
        (RuntimeError("odd"), ExitStatus.BUG),
    ],
)
def test_only_a_bug_is_told_as_one(error: Exception, status: ExitStatus) -> None:
    lost = lost_by(error)
    assert str(error) in lost.why
    assert lost.status is status
    assert (lost.error is error) == (status is ExitStatus.BUG)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> SweepResults:
    """Four points under two seeds, one run of which was lost, and one not begun."""
    sweep, files = planned(tmp_path_factory.mktemp("found"))
    units: list[Unit | None] = list(sweep.units())
    outcomes = [None if unit is None else run_unit(unit, str(files.path)) for unit in units]
    return gathered(sweep, [*outcomes[:4], Lost("it <died>"), *outcomes[5:7], None])


def test_a_lost_run_is_named_and_the_others_are_kept(found: SweepResults) -> None:
    assert [len(one.runs) for one in found.points] == [2, 2, 1, 1]
    assert found.is_partial
    lines = sweep_text(found).splitlines()
    assert lines[0].split()[:2] == ["max_slices", "boot"]
    assert "lost: scale_groups.cpu.max_slices=2 cloud.boot=2m seed=3: it <died>" in lines
    assert [line.split()[-1] for line in lines[1:5]] == ["FALSE", "holds", "-", "-"]


def test_the_object_has_a_number_with_its_interval_and_its_values_for_each_point(
    found: SweepResults,
) -> None:
    whole = json.loads(json.dumps(found.as_object()))
    assert whole["swept"] == ["scale_groups.cpu.max_slices", "cloud.boot"]
    assert whole["fixed"] == {"workload.drip.count": "4"}
    assert whole["seeds"] == [3, 4]
    first, *_, third, fourth = whole["points"]
    assert first["set"] == {"scale_groups.cpu.max_slices": "1", "cloud.boot": "2m"}
    cost = first["results"]["cost_usd"]
    assert cost["ci95_low"] < cost["mean"] < cost["ci95_high"]
    assert cost["mean"] == pytest.approx(sum(cost["values"]) / 2)
    assert third["lost"] == [{"seed": 3, "why": "it <died>"}]
    assert len(fourth["results"]["cost_usd"]["values"]) == 1
    assert "wall_s" not in json.dumps(whole)


def test_the_cheapest_point_is_one_at_which_all_expectations_hold(found: SweepResults) -> None:
    assert [one.holds for one in found.points] == [False, True, None, None]
    assert found.cheapest == 1
    assert "all expectations hold: 2, " in sweep_text(found)


def test_files_hold_a_row_for_each_point_and_each_run(found: SweepResults, tmp_path: Path) -> None:
    paths = write_sweep(tmp_path, found, "iris sim sweep <x>")
    assert [path.name for path in paths] == list(FILES) == sorted(FILES, key=FILES.index)
    points = (tmp_path / "points.csv").read_text().splitlines()
    assert points[0].startswith("point,scale_groups.cpu.max_slices,cloud.boot,runs,lost,holds,")
    assert points[3].startswith("3,2,2m,1,1,,")
    runs = (tmp_path / "runs.csv").read_text().splitlines()
    assert [line.split(",")[:4] for line in runs[1:3]] == [
        ["1", "1", "2m", "3"],
        ["1", "1", "2m", "4"],
    ]
    assert len(runs) == 7
    page = Page((tmp_path / "report.html").read_text())
    assert page.open == page.badly_closed == []
    assert "interrupted" in page.words
    assert "it <died>" in page.words
    places = {value for tag, name, value in page.attributes if (tag, name) == ("div", "id")}
    assert places == {f"chart-{name}" for name in json.loads(page.data["chart-specs"])}
    assert "chart-cost_usd" in places


@pytest.mark.parametrize(
    ("settings", "marks"),
    [
        (("cloud.boot=0s,2m",), ["rule", "line"]),
        (("scale_groups.cpu.max_slices=1,2",), ["rule", "line"]),
        (("cloud.boot=0s,2m", "scale_groups.cpu.max_slices=1,2"), ["rect", "text"]),
        (("cloud.boot=0s,2m", "workload.drip.count=4,5", "warm_up=0s,1m"), ["rule", "point"]),
    ],
)
def test_the_library_draws_every_chart(
    settings: tuple[str, ...], marks: list[str], tmp_path: Path
) -> None:
    import altair
    import vl_convert

    sweep, files = planned(tmp_path, *settings)
    done = gathered(sweep, [run_unit(unit, str(files.path)) for unit in sweep.units()])
    drawn = sweep_charts(done)
    assert drawn is not None
    spec = drawn.specs["queue_wait_s-mean"]
    layers = spec["layer"]
    assert isinstance(layers, list)
    assert [layer["mark"]["type"] for layer in layers] == marks
    version = ".".join(altair.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    titles = {"queue_wait_s-mean": "queue wait, mean (seconds)"}
    if "cost_usd" in drawn.specs:  # Costs differ.
        titles["pareto"] = "Cost against wait"
    if len(done.sweep.grid.keys) > 1:
        titles["tornado-cost_usd"] = "What moves it: cost (dollars)"
    for name, title in titles.items():
        picture = vl_convert.vegalite_to_svg(json.dumps(drawn.specs[name]), vl_version=version)
        assert title in picture


def made_up(found: SweepResults, amounts: Sequence[tuple[float, float]]) -> SweepResults:
    """The points of a sweep with these costs and waits in one run each."""
    run = found.points[0].runs[0]
    outcomes = [
        json.dumps(run | {"cost_usd": cost, "queue_wait_s": {"p95": wait}}).encode()
        for cost, wait in amounts
    ]
    sweep = replace(found.sweep, seeds=range(3, 4))
    return gathered(sweep, outcomes)


def test_the_front_holds_what_no_other_point_beats(found: SweepResults) -> None:
    done = made_up(found, [(1, 100), (2, 10), (2, 10), (3, 10)])
    assert [row["front"] for row in pareto_rows(done)] == [True, True, True, False]
    done = made_up(found, [(1, 100), (2, 10), (4, 100), (9, 0)])
    rows = pareto_rows(done)
    assert [(row["front"], row["knee"]) for row in rows] == [
        (True, False), (True, True), (False, False), (True, False),
    ]  # fmt: skip


def test_a_key_swings_a_figure_by_its_means_over_all_else(found: SweepResults) -> None:
    done = made_up(found, [(1, 5), (3, 1), (4, 5), (10, 1)])
    most, boot = swings(done, ("cost_usd",))
    assert (most.key, most.low, most.at_low, most.high, most.at_high) == (
        "max_slices",
        2,
        "1",
        7,
        "2",
    )
    assert (boot.key, boot.low, boot.at_low, boot.high, boot.at_high) == (
        "boot",
        2.5,
        "2m",
        6.5,
        "0s",
    )
    assert [one.key for one in swings(done, ("queue_wait_s", "p95"))] == ["boot", "max_slices"]


def test_a_knee_is_where_most_is_gained_early_and_nowhere_else() -> None:
    falls = [(1, 100), (2, 20), (3, 15), (9, 0)]
    assert knee(falls) == 1
    assert knee([(x, 100 - y) for x, y in falls]) == 1
    assert knee([(1, 100), (7, 90), (8, 60), (9, 0)]) is None, "it bends the other way"
    assert knee([(1, 3), (2, 2), (3, 1)]) is knee([(1, 2), (2, 0)]) is None
    assert knee([(1, 10), (2, 0), (3, 9)]) is knee([(1, 10), (2, 3), (3, 10)]) is None, "valleys"


def test_values_that_are_all_numbers_are_drawn_as_such(found: SweepResults) -> None:
    rows = figure_rows(found, "money", ("cost_usd",))
    assert [(row["key0"], row["key1"]) for row in rows] == [
        (most, boot) for most in (1.0, 2.0) for boot in ("2m", "0s")
    ]


def test_keys_are_called_by_as_few_of_their_steps_as_tell_them_apart() -> None:
    keys = ["a.tpu.max", "a.cpu.max", "b.idle"]
    assert short_names(keys) == ["tpu.max", "cpu.max", "idle"]


def test_of_many_lost_runs_the_first_are_named_and_the_others_counted(tmp_path: Path) -> None:
    sweep, _ = planned(tmp_path, replications=3)
    done = gathered(sweep, [Lost("gone")] * 12)
    told = [line for line in sweep_text(done).splitlines() if line.startswith("lost: ")]
    assert len(told) == 11
    assert told[-1] == "lost: and 2 more"
    assert done.cheapest is None
    assert not done.is_partial


def test_a_violated_invariant_at_a_point_is_told_over_everything(
    found: SweepResults, tmp_path: Path
) -> None:
    sweep = found.sweep
    runs = [json.loads(json.dumps(run)) for one in found.points for run in one.runs]
    runs[1]["invariants"] |= {"violated": 1, "violations": ["V-01: odd"]}
    outcomes = [json.dumps(run).encode() for run in runs]
    done = gathered(sweep, [*outcomes, *outcomes[2:4]])
    assert [one.violated for one in done.points] == [True, False, False, False]
    write_sweep(tmp_path, done, "")
    assert "trust no number below" in Page((tmp_path / "report.html").read_text()).words
