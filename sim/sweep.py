"""A sweep: one scenario at every point of a grid, under the same seeds, run wherever there is room.

Planning reads and checks every point before any of them runs, and makes of each the same bytes for any
executor. Points draw from streams of the same names, so they meet the same arrivals, run times and
moods of the cloud as far as they have them in common. What comes back is put together by its place in
the plan, never by when it came.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from iris.exit_status import ExitStatus
from iris.problems import BadInput, Problem
from sim.grid import Grid, Point, grid_of
from sim.packing import Folder, pack
from sim.results import aggregate
from sim.scenario import load_document, scenario_in
from sim.suspicions import suspicions
from sim.sweep_run import OtherVersion, Unit
from sim.tables import at, number

_MOST_TOLD: Final = 10
"""Of so many different problems the user learns at once."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A run that ended without results."""

    why: str
    status: ExitStatus = ExitStatus.FAILED
    """How the command ends because of it."""
    error: BaseException | None = None  # None: no bug in Iris


Outcome: TypeAlias = bytes | Lost | None
"""Results as JSON; why there are none; or None when the sweep was stopped before."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Who waits for a sweep."""

    stop: Callable[[], bool] = lambda: False
    """Asked now and then; once it says so, what has not ended is given up."""
    ended: Callable[[int], None] = lambda _: None
    """Told the number of runs that have ended each time that it grows."""


class Executor(Protocol):
    """A place where runs are computed."""

    def __call__(self, units: Sequence[Unit], files: Folder, watch: Watch) -> list[Outcome]:
        """What became of each run, in the order of the runs."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is to be run."""

    scenario: str
    """Its name."""
    grid: Grid
    points: tuple[Point, ...]
    seeds: range
    """Of every point."""
    texts: tuple[str, ...]
    """The scenario of each point, packed."""
    warnings: tuple[str, ...]
    """What is legal in one or several points, and probably not meant."""

    def units(self) -> list[Unit]:
        """All runs, point by point and seed by seed."""
        return [Unit(text, seed) for text in self.texts for seed in self.seeds]


def plan_sweep(
    path: Path, settings: Sequence[str], *, seed: int | None, replications: int, folder: Folder
) -> Sweep:
    """The sweep of a scenario over the grid that the settings span.

    Args:
        path: the scenario's file.
        settings: as `KEY=A,B,C` and `KEY=1..5`; see `sim.grid`.
        seed: the first one; that of the scenario if None.
        replications: runs of each point, with so many seeds in a row.
        folder: where copies of all traces go.

    Raises:
        BadInput: a setting is wrong, or the scenario is at some point, which is then named.
        OSError: a file could not be copied.
    """
    grid = grid_of(settings)
    points = tuple(grid.points())
    warnings: dict[str, None] = {}
    names: dict[str, None] = {}
    texts: list[str] = []
    wrong = _Wrong()
    for point in points:
        try:
            document = load_document(path, point.overrides)
            scenario = scenario_in(document, path, seed=seed)
        except BadInput as error:
            wrong.add(error, point)
            continue
        seed = scenario.seed
        names.setdefault(scenario.name)
        warnings.update(dict.fromkeys(suspicions(scenario)))
        texts.append(pack(document, scenario.name, path.parent, folder))
    wrong.refuse(len(points))
    assert seed is not None
    seeds = range(seed, seed + replications)
    return Sweep(next(iter(names)), grid, points, seeds, tuple(texts), tuple(warnings))


class _Wrong:
    """What is wrong with a scenario, and at which points."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, int, int, str], tuple[Problem, list[Point]]] = {}

    def add(self, error: BadInput, point: Point) -> None:
        for one in error.problems:
            known = (one.file, one.line, one.column, one.message)
            self._found.setdefault(known, (one, []))[1].append(point)

    def refuse(self, count: int) -> None:
        """Raise if there is anything; what is wrong at all of so many points needs no name of one."""
        problems = [
            one
            if len(where) == count
            else replace(one, message=f"{one.message} (at the point {where[0].label})")
            for one, where in self._found.values()
        ]
        if problems:
            raise BadInput(problems[:_MOST_TOLD])


def lost_by(error: BaseException) -> Lost:
    """What to say of a run that raised: that its place is not fit for it, or that Iris has a bug."""
    if isinstance(error, OtherVersion):
        return Lost(str(error))
    if isinstance(error, ImportError):
        return Lost(f"{error}: the place that ran it needs `iris` and `sim` as they are here")
    return Lost(f"{type(error).__name__}: {error}", ExitStatus.BUG, error)


@dataclass(frozen=True, slots=True)
class PointResults:
    """What came of one point."""

    point: Point
    runs: tuple[dict[str, object], ...]
    """The results of the runs that ended, in order of their seeds."""
    lost: tuple[tuple[int, Lost], ...]
    """Seeds without results, and why."""
    planned: int
    """How many runs there should be."""
    results: dict[str, object] | None  # None: no run has ended
    """The runs as replications."""

    @property
    def holds(self) -> bool | None:
        """Whether every expectation held in every run; None when there is none, or a run lacks."""
        lacks = len(self.runs) < self.planned
        if self.results is None or lacks or not self.results["expect"]:
            return None
        verdicts = self.results["expect"]
        assert isinstance(verdicts, list), verdicts
        return all(verdict["holds"] for verdict in verdicts)

    @property
    def violated(self) -> bool:
        """Whether an invariant was, so that no number can be trusted."""
        return any(number(at(run, "invariants", "violated")) for run in self.runs)


@dataclass(frozen=True, slots=True)
class SweepResults:
    """What came of a sweep, in the order of its plan."""

    sweep: Sweep
    points: tuple[PointResults, ...]

    @property
    def is_partial(self) -> bool:
        """Whether the sweep was stopped before all runs had ended."""
        return any(len(one.runs) + len(one.lost) < one.planned for one in self.points)

    @property
    def lost(self) -> Iterator[tuple[Point, int, Lost]]:
        """All runs without results, but for those that were stopped."""
        return ((one.point, seed, lost) for one in self.points for seed, lost in one.lost)

    @property
    def cheapest(self) -> int | None:
        """Of the points at which all expectations hold, the one that costs least on average."""
        fit = [place for place, one in enumerate(self.points) if one.holds]
        costs = {place: self._cost(place) for place in fit}
        return (
            min(fit, key=lambda place: (costs[place], place))
            if fit and any(costs.values())
            else None
        )

    def _cost(self, place: int) -> float:
        results = self.points[place].results
        assert results is not None
        return number(results["cost_usd"]) or 0.0

    def as_object(self) -> dict[str, object]:
        """All of it, as `--json` prints it."""
        return {
            "scenario": self.sweep.scenario,
            "replications": len(self.sweep.seeds),
            "seeds": list(self.sweep.seeds),
            "swept": list(self.sweep.grid.keys),
            "fixed": self.sweep.grid.fixed,
            "partial": self.is_partial,
            "cheapest": None if self.cheapest is None else self.cheapest + 1,
            "points": [_as_object(place, one) for place, one in enumerate(self.points, start=1)],
        }


def _as_object(place: int, one: PointResults) -> dict[str, object]:
    return {
        "point": place,
        "set": dict(one.point.swept),
        "holds": one.holds,
        "lost": [{"seed": seed, "why": lost.why} for seed, lost in one.lost],
        "results": one.results,
    }


def gathered(sweep: Sweep, outcomes: Sequence[Outcome]) -> SweepResults:
    """The results of a sweep out of what became of its runs, in the order of `Sweep.units`."""
    count = len(sweep.seeds)
    assert len(outcomes) == count * len(sweep.points), len(outcomes)
    return SweepResults(
        sweep,
        tuple(
            _point_results(point, sweep.seeds, outcomes[place * count : (place + 1) * count])
            for place, point in enumerate(sweep.points)
        ),
    )


def _point_results(point: Point, seeds: range, outcomes: Sequence[Outcome]) -> PointResults:
    runs = tuple(_results(outcome) for outcome in outcomes if isinstance(outcome, bytes))
    lost = tuple(
        (seed, outcome)
        for seed, outcome in zip(seeds, outcomes, strict=True)
        if isinstance(outcome, Lost)
    )
    return PointResults(point, runs, lost, len(seeds), aggregate(runs) if runs else None)


def _results(outcome: bytes) -> dict[str, object]:
    results = json.loads(outcome)
    assert isinstance(results, dict), results
    return results
