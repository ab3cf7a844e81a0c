"""Settings become points: every combination in the order given, and what is none is refused at its place."""

import pytest

from iris.problems import BadInput
from sim.grid import MOST_POINTS, grid_of


def overrides(*settings: str) -> list[tuple[str, ...]]:
    return [point.overrides for point in grid_of(settings).points()]


def test_points_are_all_combinations_and_the_first_key_changes_slowest() -> None:
    assert overrides("k=b,a", "f=x", "m=-1..1") == [
        (f"k={k}", "f=x", f"m={m}") for k in ("b", "a") for m in (-1, 0, 1)
    ]
    grid = grid_of(["k=b,a", "f=x", "m=1,4..5"])
    assert grid.keys == ("k", "m")
    assert grid.fixed == {"f": "x"}
    assert [point.label for point in grid.points()][:3] == ["k=b m=1", "k=b m=4", "k=b m=5"]


def test_commas_in_brackets_and_quotes_part_nothing() -> None:
    values = ["{a: [1, 2], b: 3}", "'x, y'", "it's", "../a.csv", "[ {c: '}, '} ]", '"1..5"']
    assert overrides(f"k={', '.join(values)}") == [(f"k={value}",) for value in values]


@pytest.mark.parametrize(
    ("setting", "column", "said"),
    [
        ("k", 1, "`k` sets nothing"),
        ("=1,2", 1, "`=1,2` sets nothing"),
        ("k=", 3, "a value is empty"),
        ("k=a,,b", 5, "a value is empty"),
        ("k=1,2,", 7, "a value is empty"),
        ("k=5..1", 3, "`5..1` is an empty range"),
        ("k=1..", 3, "`1..` is no range"),
        ("k=..5", 3, "`..5` is no range"),
        ("k=1,10m..20m", 5, "`10m..20m` is no range"),
        ("k=0.1..0.5", 3, "`0.1..0.5` is no range"),
        ("k=1..3,2", 8, "`2` is listed twice"),
        ("seed=1,2", 1, "`seed` cannot be swept"),
    ],
)
def test_what_is_no_setting_is_refused_at_its_place(setting: str, column: int, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        grid_of(["a=1,2", setting])
    (problem,) = refused.value.problems
    assert (problem.file, problem.column, problem.message) == ("--set", column, said)
    assert problem.help


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["k=1"], "no key has more than one value"),
        (["k=1,2", "k=3,4"], "`k` is set twice"),
        (["k=1..999999999999"], f"more than {MOST_POINTS:,} points"),
        (["k=1..101", "m=1..100"], f"more than {MOST_POINTS:,} points"),
    ],
)
def test_settings_that_make_no_grid_are_refused(settings: list[str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        grid_of(settings)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(BadInput) as refused:
        grid_of(["k=1..", "m=", "k=3,4"])
    assert len(refused.value.problems) == 2
