"""Simulations: the one that runs here with its speed, and finished ones, alone or two side by side."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from iris.dashboard.page import Asked, Json, Page, Sharing, list_of, object_of
from iris.dashboard.runs import KEYS, REPORT, TABLES, Run, file_of, find_run, find_runs
from iris.dashboard.subject import Refusal, Simulation, Subject

SPEEDS: tuple[tuple[str, float | None], ...] = (
    ("rest", 0),
    ("as it is", 1),
    ("a minute a second", 60),
    ("ten minutes a second", 600),
    ("an hour a second", 3_600),
    ("six hours a second", 21_600),
    ("as fast as it goes", None),
)


@dataclass(frozen=True, slots=True)
class Simulations:
    """What the page shows."""

    runs: Sequence[Run]
    folder: str
    speeds: Sequence[tuple[str, float | None]]


async def load(subject: Subject, _: Asked) -> Simulations:
    """All finished runs."""
    found = await asyncio.to_thread(find_runs, subject.runs)
    return Simulations(found, str(subject.runs or ""), SPEEDS)


def told(model: Simulations) -> Json:
    """The same for programs."""
    runs = [{"name": run.name, "summary": run.summary} for run in model.runs]
    return list_of("Simulation", runs, len(runs))


def speed_text(simulation: Simulation) -> str:
    """How fast a simulation goes, in words."""
    if simulation.is_over:
        return "over"
    names = {speed: name for name, speed in SPEEDS}
    return names.get(simulation.speed, f"{simulation.speed} times as fast")


# Folders come and go without a turn, all the more when a simulation is over.
PAGE = Page("/simulations", "simulations.html", "Simulations", load, told, sharing=Sharing.NOBODY)


@dataclass(frozen=True, slots=True)
class RunPage:
    """What the page of one run shows."""

    run: Run
    figures: Sequence[tuple[str, float | None]]
    has_report: bool
    tables: Sequence[str]
    """The names of its other files."""


async def load_run(subject: Subject, asked: Asked) -> RunPage:
    """One finished run."""
    return await asyncio.to_thread(_run, subject, asked.name)


def _run(subject: Subject, name: str) -> RunPage:
    run = find_run(subject.runs, name)
    if run is None:
        raise Refusal(HTTPStatus.NOT_FOUND, f"there is no finished simulation {name!r}")
    return RunPage(
        run,
        [(words, run.number(key)) for key, words in KEYS],
        file_of(subject.runs, name, REPORT) is not None,
        [file for file in TABLES if file_of(subject.runs, name, file) is not None],
    )


def told_run(model: RunPage) -> Json:
    """The same for programs."""
    return object_of("Simulation", {"name": model.run.name, "summary": model.run.summary})


RUN = Page(
    "/simulations/runs/{name}",
    "run.html",
    "Simulations",
    load_run,
    told_run,
    in_menu=False,
    sharing=Sharing.NOBODY,
)


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of two runs."""

    words: str
    one: float | None
    other: float | None

    @property
    def change(self) -> float | None:
        """By which part it is more in the other; nothing when that cannot be said."""
        if self.one is None or self.other is None or not self.one:
            return None
        return (self.other - self.one) / abs(self.one)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the page of two runs shows."""

    one: Run
    other: Run
    rows: Sequence[Row]


async def load_comparison(subject: Subject, asked: Asked) -> Comparison:
    """Two finished runs side by side."""
    names = asked.query.text("one"), asked.query.text("other")
    one, other = await asyncio.to_thread(lambda: [_run(subject, name).run for name in names])
    rows = [Row(words, one.number(key), other.number(key)) for key, words in KEYS]
    return Comparison(one, other, rows)


def told_comparison(model: Comparison) -> Json:
    """The same for programs."""
    rows = [{"figure": row.words, "one": row.one, "other": row.other} for row in model.rows]
    return object_of(
        "SimulationComparison", {"one": model.one.name, "other": model.other.name, "figures": rows}
    )


COMPARE = Page(
    "/simulations/compare",
    "compare.html",
    "Simulations",
    load_comparison,
    told_comparison,
    in_menu=False,
    sharing=Sharing.NOBODY,
)
