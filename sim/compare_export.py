"""The files of `iris sim compare --out DIR`: the comparison as one object, and as a page.

The page pairs the headline figures and says of each whether it got better, got worse, or shows no
difference; below, the distributions of both sides lie over each other, over the jobs of all runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

from iris import __version__
from sim.compare import comparison, differences
from sim.export import json_text, write_together
from sim.measure import Measures
from sim.report_charts import Charts, can_draw, charts_of
from sim.report_colours import WIDTH
from sim.report_data import Record, curve
from sim.report_page import page, places, table
from sim.results import completions, counted_jobs, queue_waits
from sim.statistics import mean_interval
from sim.tables import headline_paths, value_text

if TYPE_CHECKING:
    import altair

FILES: Final = ("summary.json", "report.html")
_GOOD: Final = frozenset({("jobs", "succeeded"), ("work", "goodput_fraction")})
"""The headline figures of which more is better; of all others less is."""
_WORDS: Final = {"better": "holds", "worse": "false", "no difference shown": "faint"}


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two that are compared."""

    name: str
    results: Sequence[Mapping[str, object]]
    runs: Sequence[Measures]


def write_comparison(directory: Path, first: Side, second: Side, command: str) -> list[Path]:
    """Write both files; `command` is the line that repeats the comparison.

    Raises:
        OSError: a file could not be written.
    """

    def write(folder: Path) -> None:
        found = comparison(first.results, second.results)
        (folder / "summary.json").write_text(json_text(found), encoding="utf-8")
        (folder / "report.html").write_text(_report(first, second, command), encoding="utf-8")

    return write_together(directory, FILES, write)


def _report(first: Side, second: Side, command: str) -> str:
    drawn = _charts(first, second)
    seeds = [one["seed"] for one in first.results]
    facts = f"{len(seeds)} pairs of runs, seeds {seeds[0]} to {seeds[-1]}, iris {__version__}"
    header = (
        f"<h1>A and B</h1>\n<p>A: <code>{escape(first.name)}</code></p>"
        f"<p>B: <code>{escape(second.name)}</code></p>\n"
        f'<p class="faint">{escape(facts)}</p>\n'
        f'<p class="faint">repeat it with <code>{escape(command)}</code></p>'
    )
    sections = [header, _trust(first, second), _figures(first, second), _plots(drawn), _VALIDITY]
    return page("A and B: how their figures differ", sections, drawn)


def _trust(*sides: Side) -> str:
    violated = any(
        invariants["violated"]
        for side in sides
        for one in side.results
        if isinstance(invariants := one["invariants"], Mapping)
    )
    if not violated:
        return ""
    told = "Invariants were violated: trust no number below."
    return f'<div class="band" role="alert"><strong>{told}</strong></div>'


def _figures(first: Side, second: Side) -> str:
    found = differences(first.results, second.results)
    rows = []
    for name, kind, path in headline_paths():
        if path not in found:
            continue
        one = found[path]
        whole = mean_interval(one.values)
        word = verdict(path, whole.mean, distinct=one.is_distinct)
        cells = (one.first, one.second, whole.mean, whole.low, whole.high)
        texts = [escape(value_text(kind, cell)) for cell in cells]
        rows.append((escape(name), *texts, f'<span class="{_WORDS[word]}">{word}</span>'))
    header = ("", "A", "B", "B - A", "95 % from", "to", "B is")
    return "<h2>Key numbers</h2>\n" + table(header, rows, text=(0, 6))


def verdict(path: tuple[str, ...], change: float, *, distinct: bool) -> str:
    """Whether B is better or worse in a headline figure, or shows no difference."""
    if not distinct:
        return "no difference shown"
    return "better" if (change > 0) == (path in _GOOD) else "worse"


def _plots(drawn: Charts | None) -> str:
    if drawn is not None:
        return f"<h2>Distributions</h2>\n{places(drawn)}" if drawn.specs else ""
    return (
        '<p class="faint">Plots need Iris to be installed with the extra <code>report</code>.</p>'
    )


_VALIDITY: Final = (
    '<h2>Validity</h2>\n<ul class="faint"><li>Run i of A and run i of B have the same seed, and meet the same '
    "arrivals, run times and moods of the cloud as far as they have them in common; the interval is that of "
    "the differences within pairs, by Student's t.</li><li>Better or worse is said where the interval leaves "
    "out zero: of twenty figures that do not differ, one says so by chance. Of jobs that succeeded and of "
    "goodput more is better, of everything else less.</li><li>The curves are over the jobs of all runs; those "
    "that never started, or did not succeed, are in none of them.</li></ul>"
)


def _charts(first: Side, second: Side) -> Charts | None:
    if not can_draw():
        return None
    specs: dict[str, Mapping[str, object]] = {}
    for name, title, spans_of in (
        ("waits", "Queue wait: how many waited how long", queue_waits),
        ("completions", "Completion: how many took how long", completions),
    ):
        rows: list[Record] = []
        for word, side in (("A", first), ("B", second)):
            spans = [one for run in side.runs for one in spans_of(counted_jobs(run))]
            rows += [{"side": word, "span_s": span, "share": share} for span, share in curve(spans)]
        if rows:
            specs[name] = _curves(rows, title).to_dict()
    return charts_of(specs)


def _curves(rows: Sequence[Record], title: str) -> "altair.Chart":
    import altair as alt

    drawn: altair.Chart = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(interpolate="step-after")
        .encode(
            x=alt.X("span_s:Q", title="seconds (log)", scale=alt.Scale(type="log")),
            y=alt.Y("share:Q", title="share of jobs", axis=alt.Axis(format="%")),
            color=alt.Color(
                "side:N",
                scale=alt.Scale(scheme="tableau10"),
                legend=alt.Legend(title=None, orient="top"),
            ),
            tooltip=["side:N", "span_s:Q", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(width=WIDTH, height=220, title=title)
    )
    return drawn
