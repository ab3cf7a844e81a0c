"""The files of `iris sim sweep --out DIR`: all of them are written, or those that were there stay.

`points.csv` has a row for each point with means and intervals, `runs.csv` one for each run with every
number of its results, both in the order of the plan. Nothing in them depends on where the runs were
computed or how long that took.
"""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

from iris import __version__
from sim.compare import numbers_of
from sim.export import Cell, json_text, write_table, write_together
from sim.report_charts import Charts, can_draw
from sim.report_page import page, places, table
from sim.sweep import SweepResults
from sim.sweep_charts import sweep_charts
from sim.sweep_tables import (
    cheapest_sentence,
    figure_text,
    lost_sentences,
    seeds_text,
    short_names,
    verdict_text,
)
from sim.tables import at, headline_paths

FILES: Final = ("summary.json", "points.csv", "runs.csv", "report.html")
_INTERVAL: Final = ("mean", "ci95_low", "ci95_high")


def write_sweep(directory: Path, found: SweepResults, command: str) -> list[Path]:
    """Write all files; `command` is the line that repeats the sweep.

    Raises:
        OSError: a file could not be written.
    """

    def write(folder: Path) -> None:
        (folder / "summary.json").write_text(json_text(found.as_object()), encoding="utf-8")
        keys = found.sweep.grid.keys
        figures = [".".join(path) for _, _, path in headline_paths()]
        columns = [f"{figure}.{end}" for figure in figures for end in _INTERVAL]
        header = ("point", *keys, "runs", "lost", "holds", *columns)
        write_table(folder / "points.csv", header, _point_cells(found))
        _write_runs(folder / "runs.csv", found)
        (folder / "report.html").write_text(_report(found, command), encoding="utf-8")

    return write_together(directory, FILES, write)


def _point_cells(found: SweepResults) -> Iterator[Sequence[Cell]]:
    for place, one in enumerate(found.points, start=1):
        cells: list[Cell] = [place, *(value for _, value in one.point.swept)]
        cells += [len(one.runs), len(one.lost), None if one.holds is None else str(one.holds)]
        for _, _, path in headline_paths():
            for end in _INTERVAL:
                cell = None if one.results is None else at(one.results, *path, end)
                assert isinstance(cell, int | float | None), path
                cells.append(cell)
        yield cells


def _write_runs(path: Path, found: SweepResults) -> None:
    numbers = [
        (place, one, run, {".".join(keys): amount for keys, amount in numbers_of(run)})
        for place, one in enumerate(found.points, start=1)
        for run in one.runs
    ]
    columns = list(dict.fromkeys(key for *_, row in numbers for key in row))
    rows = (
        (
            place,
            *(value for _, value in one.point.swept),
            *(str(run[key]) for key in ("seed", "digest")),
            *(row.get(column) for column in columns),
        )
        for place, one, run, row in numbers
    )
    write_table(path, ("point", *found.sweep.grid.keys, "seed", "digest", *columns), rows)


def _report(found: SweepResults, command: str) -> str:
    drawn = sweep_charts(found)
    sections = [
        _header(found, command),
        _trust(found),
        _cheapest(found),
        _points(found),
        _plots(drawn),
        _validity(found),
    ]
    return page(f"{found.sweep.scenario}: a sweep", sections, drawn)


def _header(found: SweepResults, command: str) -> str:
    facts = f"{len(found.points)} points, {seeds_text(found)}, iris {__version__}"
    return (
        f"<h1>{escape(found.sweep.scenario)}: a sweep</h1>\n"
        f'<p class="faint">{escape(facts)}</p>\n'
        f'<p class="faint">repeat it with <code>{escape(command)}</code></p>'
    )


def _trust(found: SweepResults) -> str:
    """The red band over everything, when there is a reason for it."""
    reasons = []
    if any(one.violated for one in found.points):
        reasons.append("Invariants were violated: trust no number below.")
    if found.is_partial:
        reasons.append("This sweep was interrupted: points lack runs, or have none.")
    told = lost_sentences(found)
    if told:
        reasons.append("Runs were lost; figures are over the others.")
    if not reasons:
        return ""
    items = "".join(f"<li>{escape(text)}</li>" for text in told)
    return (
        f'<div class="band" role="alert"><strong>{escape(" ".join(reasons))}</strong>'
        f"{f'<ul>{items}</ul>' if items else ''}</div>"
    )


def _cheapest(found: SweepResults) -> str:
    told = cheapest_sentence(found)
    said = f"The cheapest point at which all expectations hold is {told}."
    return f"<p>{escape(said)}</p>" if told else ""


def _points(found: SweepResults) -> str:
    figures = headline_paths()
    names = short_names(found.sweep.grid.keys)
    header = ("", *names, *(name for name, _, _ in figures), "expect")
    rows = []
    for place, one in enumerate(found.points, start=1):
        cells = [str(place), *(value for _, value in one.point.swept)]
        cells += [figure_text(kind, one.results, path) for _, kind, path in figures]
        rows.append(tuple(escape(cell) for cell in (*cells, verdict_text(one))))
    return "<h2>Points</h2>\n" + table(header, rows, text=(len(header) - 1,))


def _plots(drawn: Charts | None) -> str:
    if drawn:
        return f"<h2>Figures over the points</h2>\n{places(drawn)}"
    if can_draw():
        return ""  # No figure differs between points.
    return (
        '<p class="faint">Plots need Iris to be installed with the extra <code>report</code>.</p>'
    )


def _validity(found: SweepResults) -> str:
    keys = ", ".join(found.sweep.grid.keys)
    fixed = [f"{key}={value}" for key, value in found.sweep.grid.fixed.items()]
    notes = [f"Swept: {keys}." + (f" At every point: {', '.join(fixed)}." if fixed else "")]
    notes += [
        "All points ran under the same seeds, and drew from streams of the same names.",
        "A figure is the mean over the seeds, and ± half its 95 % interval by Student's t.",
        "Points share their seeds, so two of them may differ clearly though their intervals overlap: "
        "`iris sim compare` pairs them.",
        "Cost against wait: a point is on the front if no other is both as cheap and as quick, and better in one. "
        "A knee is where a curve has got most of the way early: the point that is farthest ahead of its chord.",
        "Beside this page: summary.json, points.csv, runs.csv.",
    ]
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<h2>Validity</h2>\n<ul class="faint">{items}</ul>'
