"""The charts of a sweep, one for each headline figure that differs between points.

Before them cost against wait with its Pareto front. One swept key: a line with the 95 % intervals, its knee
ringed. Two: a heat map. More: a dot with its interval for each point. With several keys, a bar for each says how far
it moves a figure. A key whose values are all numbers has a scale of numbers; others are in the order given.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from sim.report_charts import Charts, can_draw, charts_of
from sim.report_colours import WIDTH
from sim.report_data import Record
from sim.sweep import SweepResults
from sim.sweep_tables import figure_text, short_names
from sim.sweep_trade import Swing, knee, pareto_rows, swings
from sim.tables import at, headline_paths, number

if TYPE_CHECKING:
    import altair

    Chart: TypeAlias = altair.LayerChart | altair.FacetChart

_COLOUR: Final = "#3d7fc1"
_BEATEN: Final = "#8d96a3"
_MARK: Final = "#d1495b"
_SWUNG: Final = (("queue_wait_s", "p95"), ("work", "goodput_fraction"), ("cost_usd",))
"""Figures of which is told which key moves them most."""
_UNITS: Final = {"span": "seconds", "share": "fraction", "money": "dollars", "count": "number"}


def sweep_charts(found: SweepResults) -> Charts | None:
    """The charts, or None without the extra that draws them, or when no figure differs."""
    specs: dict[str, Mapping[str, object]] = {}
    if can_draw():
        trade = pareto_rows(found)
        if len({row["cost"] for row in trade}) > 1:
            specs["pareto"] = _pareto(trade).to_dict()
        for name, kind, path in headline_paths():
            rows = figure_rows(found, kind, path)
            if len({row["mean"] for row in rows}) > 1:
                title = f"{name} ({_UNITS[kind]})"
                specs["-".join(path)] = _chart(found, rows, title).to_dict()
                if len(found.sweep.grid.keys) > 1 and path in _SWUNG:
                    specs["tornado-" + "-".join(path)] = _tornado(
                        swings(found, path), title
                    ).to_dict()
    return charts_of(specs) if specs else None


def figure_rows(found: SweepResults, kind: str, path: Sequence[str]) -> list[Record]:
    """A figure over the points that have it: its mean, its interval, and the values of the keys."""
    scales = [_numbers(found, place) for place in range(len(found.sweep.grid.keys))]
    rows: list[Record] = []
    for place, one in enumerate(found.points):
        if one.results is None or number(at(one.results, *path)) is None:
            continue
        values = [value for _, value in one.point.swept]
        chosen = [
            value if scale is None else scale[value]
            for value, scale in zip(values, scales, strict=True)
        ]
        row: Record = {f"key{number}": value for number, value in enumerate(chosen)}
        row |= {
            "point": f"{place + 1}: {' '.join(values)}",
            "mean": at(one.results, *path, "mean"),
            "low": at(one.results, *path, "ci95_low"),
            "high": at(one.results, *path, "ci95_high"),
            "text": figure_text(kind, one.results, path),
        }
        rows.append(row)
    return rows


def _numbers(found: SweepResults, place: int) -> dict[str, float] | None:
    """The values of a key as numbers, if they all are."""
    texts = [one.point.swept[place][1] for one in found.points]
    try:
        return {text: float(text) for text in texts}
    except ValueError:
        return None


def _chart(found: SweepResults, rows: Sequence[Record], title: str) -> "Chart":
    names = short_names(found.sweep.grid.keys)
    if len(names) == 1:
        return _line(rows, names[0], title, is_scale=_numbers(found, 0) is not None)
    return _map(rows, names, title) if len(names) == 2 else _dots(rows, title)


def _line(rows: Sequence[Record], key: str, title: str, *, is_scale: bool) -> "Chart":
    import altair as alt

    scale = alt.Scale(zero=False)
    x = (
        alt.X("key0:Q", title=key, scale=scale)
        if is_scale
        else alt.X("key0:N", title=key, sort=None, axis=alt.Axis(labelAngle=0))
    )
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=x, tooltip=["point:N", "text:N"])
    mean = base.mark_line(color=_COLOUR, point=True).encode(
        y=alt.Y("mean:Q", title=title, scale=scale)
    )
    interval = base.mark_rule(color=_COLOUR).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q")
    layers: list[altair.Chart] = [interval, mean]
    bend = (
        knee([(_amount(row["key0"]), _amount(row["mean"])) for row in rows]) if is_scale else None
    )
    if bend is not None:
        layers.append(_ring([rows[bend]]).encode(x=x, y=alt.Y("mean:Q", scale=scale)))
        title += ", the knee ringed"
    return alt.layer(*layers).properties(width=WIDTH, height=200, title=title)


def _amount(value: object) -> float:
    assert isinstance(value, int | float), value
    return value


def _ring(rows: Sequence[Record]) -> "altair.Chart":
    """Around a point that is worth a look."""
    import altair as alt

    drawn: altair.Chart = alt.Chart(alt.InlineData(values=rows)).mark_point(
        size=220, color=_MARK, strokeWidth=2
    )
    return drawn


def _pareto(rows: Sequence[Record]) -> "Chart":
    """Cost against wait, a line through the points that no other beats, the knee ringed."""
    import altair as alt

    front = sorted(
        (row for row in rows if row["front"]),
        key=lambda row: (_amount(row["cost"]), _amount(row["wait"])),
    )
    scale = alt.Scale(zero=False, padding=20)
    x = alt.X("cost:Q", title="cost (dollars)", scale=scale)
    y = alt.Y("wait:Q", title="queue wait, p95 (seconds)", scale=scale)
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=x, y=y, tooltip=["point:N", "text:N"])
    dots = base.mark_point(filled=True, size=50).encode(
        color=alt.condition("datum.front", alt.value(_COLOUR), alt.value(_BEATEN))
    )
    names = base.mark_text(dy=-11, fontSize=10, color=_BEATEN).encode(text="place:O")
    line = alt.Chart(alt.InlineData(values=front)).mark_line(
        interpolate="step-after", color=_COLOUR, strokeWidth=1.5
    )
    layers: list[altair.Chart] = [line.encode(x=x, y=y), dots, names]
    knees = [row for row in front if row["knee"]]
    if knees:
        layers.append(_ring(knees).encode(x=x, y=y))
    title = "Cost against wait: the front of points that no other beats" + (
        ", the knee ringed" if knees else ""
    )
    return alt.layer(*layers).properties(width=WIDTH, height=260, title=title)


def _tornado(moved: Sequence[Swing], title: str) -> "Chart":
    """A bar for each key, the one that moves the figure most on top."""
    import altair as alt

    rows = [
        {
            "key": one.key,
            "low": one.low,
            "high": one.high,
            "at_low": f"{one.key}={one.at_low}",
            "at_high": f"{one.key}={one.at_high}",
        }
        for one in moved
    ]
    scale = alt.Scale(zero=False, padding=60)
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        y=alt.Y("key:N", sort=None, title=None),
        tooltip=["at_low:N", "low:Q", "at_high:N", "high:Q"],
    )
    bars = base.mark_bar(color=_COLOUR).encode(
        x=alt.X("low:Q", title=title, scale=scale), x2="high:Q"
    )
    left = base.mark_text(align="right", dx=-4, color=_BEATEN).encode(
        x=alt.X("low:Q", scale=scale), text="at_low:N"
    )
    right = base.mark_text(align="left", dx=4, color=_BEATEN).encode(
        x=alt.X("high:Q", scale=scale), text="at_high:N"
    )
    told = f"What moves it: {title}, means over all else"
    return alt.layer(bars, left, right).properties(width=WIDTH, height=alt.Step(26), title=told)


def _map(rows: Sequence[Record], names: Sequence[str], title: str) -> "Chart":
    import altair as alt

    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("key1:O", title=names[1], sort=None, axis=alt.Axis(labelAngle=0)),
        y=alt.Y("key0:O", title=names[0], sort=None),
        tooltip=["point:N", "text:N"],
    )
    # Light enough at both ends for the figures on it.
    shades = alt.Scale(range=["#f3f7fb", "#8fb8de"])
    cells = base.mark_rect().encode(
        color=alt.Color("mean:Q", scale=shades, legend=alt.Legend(title=None))
    )
    texts = base.mark_text(color="#1b2430", fontSize=11).encode(text="text:N")
    width = alt.Step(120)
    return alt.layer(cells, texts).properties(width=width, height=alt.Step(28), title=title)


def _dots(rows: Sequence[Record], title: str) -> "Chart":
    import altair as alt

    scale = alt.Scale(zero=False)
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        y=alt.Y("point:N", sort=None, title="point", axis=alt.Axis(labelLimit=300)),
        tooltip=["point:N", "text:N"],
    )
    mean = base.mark_point(color=_COLOUR, filled=True).encode(
        x=alt.X("mean:Q", title=title, scale=scale)
    )
    interval = base.mark_rule(color=_COLOUR).encode(x=alt.X("low:Q", scale=scale), x2="high:Q")
    return alt.layer(interval, mean).properties(width=WIDTH, height=alt.Step(14), title=title)
