"""The report's charts, as Vega-Lite specs and the script that draws them without a network.

Altair and vl-convert are the extra `iris[report]` and are imported here only, when a report is
written; `charts` answers None where they are missing. Every selection and dataset has a name of our
own, since altair counts its own names through the process and two equal reports would differ.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, TypeAlias

from sim.ledger import PARTS
from sim.measure import Measures
from sim.report_data import (
    USES,
    Record,
    chips_over_time,
    gantt_segments,
    queue_over_time,
    time_unit,
    wait_curve,
    wait_targets,
)
from sim.report_facts import parts_by_group, preemptions_over_time, slowdowns

if TYPE_CHECKING:
    import altair

    Chart: TypeAlias = altair.Chart | altair.LayerChart | altair.FacetChart

WIDTH = 900
MOST_LABELS = 60
"""Slices that are named on the axis; of more, the names are in the tooltips."""
USE_COLOURS = {
    "useful": "#3d7fc1",
    "lost": "#5b2333",
    "restart": "#8e4585",
    "idle": "#d9b44a",
    "stranded": "#e58a3c",
    "drain": "#c9c2a5",
    "booting": "#8d96a3",
    "wanted": "#d1495b",
}
KIND_COLOURS = {
    "booting": "#8d96a3",
    "idle": "#d9b44a",
    "succeeded": "#3d7fc1",
    "unfinished": "#7fb2e0",
    "preempted": "#d1495b",
    "evicted": "#e58a3c",
    "worker_failed": "#8e4585",
    "failed": "#5b2333",
    "killed": "#5f6b7a",
}


@dataclass(frozen=True, slots=True)
class Charts:
    """Named specs, in the order in which they are shown, and the script that draws them."""

    specs: Mapping[str, Mapping[str, object]]
    script: str


def charts(measures: Measures, results: Mapping[str, object]) -> Charts | None:
    """The charts of a run, or None without the extra that draws them."""
    if not can_draw():
        return None
    specs: dict[str, Mapping[str, object]] = {}
    if measures.now > 0:
        specs["time"] = _over_time(measures)
    if waits := wait_curve(measures):
        specs["waits"] = _waits(waits, wait_targets(results["expect"])).to_dict()
    if factors := slowdowns(measures):
        specs["slowdown"] = _slowdown(factors).to_dict()
    if parts := parts_by_group(measures):
        specs["goodput"] = _goodput(parts).to_dict()
    if taken := preemptions_over_time(measures, time_unit(measures).millis):
        specs["preemptions"] = _preemptions(taken, time_unit(measures).name).to_dict()
    return charts_of(specs)


def can_draw() -> bool:
    """Whether the extra is installed."""
    try:
        import altair  # noqa: F401
        import vl_convert  # noqa: F401
    except ImportError:
        return False
    return True


def charts_of(specs: Mapping[str, Mapping[str, object]]) -> Charts:
    """Specs as altair makes them, with the script that draws them."""
    import vl_convert

    version = _version()
    assert version in vl_convert.get_vegalite_versions(), version
    return Charts({name: _plain(spec) for name, spec in specs.items()}, _script(version))


def pictures(drawn: Charts) -> dict[str, bytes]:
    """Each chart as a PNG of twice the size that it has in the page."""
    import vl_convert

    version = _version()
    return {
        name: vl_convert.vegalite_to_png(json.dumps(spec), vl_version=version, scale=2)
        for name, spec in drawn.specs.items()
    }


def _version() -> str:
    """Of the language that the specs are in."""
    import altair as alt

    return ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])


def _plain(spec: Mapping[str, object]) -> Mapping[str, object]:
    """The spec without the address of its schema, so that the page names no other place."""
    return {key: value for key, value in spec.items() if key != "$schema"}


@cache
def _script(version: str) -> str:
    """Vega, Vega-Lite and our drawing code in one; a second's work, done once."""
    import vl_convert

    drawing = files("sim").joinpath("report.js").read_text(encoding="utf-8")
    return vl_convert.javascript_bundle(drawing, vl_version=version)


def _over_time(measures: Measures) -> Mapping[str, object]:
    """Chips, queue and slices under one time axis; dragging over the chips zooms all three.

    The charts only name their rows, which are put beside them at the end: altair copies and checks all
    that it holds, many times over.
    """
    import altair as alt

    zoom = alt.selection_interval(name="zoom", encodings=["x"])
    shared = alt.Scale(domain=zoom, nice=False)
    unit = time_unit(measures)
    title = f"simulated {unit.name}"
    chips = chips_over_time(measures)
    rows = {
        "uses": [row for row in chips if row["use"] != "wanted"],
        "wanted": [row for row in chips if row["use"] == "wanted"],
        "queue": queue_over_time(measures),
    }
    parts: list[Chart] = [_chips(title, zoom), _queue(title, shared)]
    if segments := gantt_segments(measures):
        rows["slices"] = segments
        count = len({row["slice"] for row in segments})
        parts.append(_gantt(count, measures.now / unit.millis, title, shared))
    apart = alt.Resolve(scale=alt.ScaleResolveMap(color="independent"))
    whole = alt.vconcat(*parts, spacing=28, resolve=apart).to_dict()
    return {**whole, "datasets": {**whole.get("datasets", {}), **rows}}


def _chips(title: str, zoom: "altair.Parameter") -> "Chart":
    import altair as alt

    base = alt.Chart().encode(
        x=alt.X("at:Q", title=title, scale=alt.Scale(nice=False)),
        color=alt.Color("use:N", scale=_scale(USE_COLOURS), legend=_legend()),
        tooltip=["use:N", alt.Tooltip("chips:Q", format=",.1f"), alt.Tooltip("at:Q", format=".3f")],
    )
    # Useful at the bottom: what is paid for nothing lies on top of what is used.
    areas = (
        base.properties(data=alt.NamedData("uses"), name="chips")
        .mark_area(interpolate="step-after", opacity=0.9)
        .transform_calculate(rank=f"indexof({list(USES)}, datum.use)")
        .encode(y=alt.Y("chips:Q", title="chips", stack="zero"), order="rank:Q")
        .add_params(zoom)
    )
    wanted = base.properties(data=alt.NamedData("wanted"))
    line = wanted.mark_line(interpolate="step-after", strokeWidth=1.5)
    layered = alt.layer(areas, line.encode(y="chips:Q"))
    return layered.properties(width=WIDTH, height=220, title="Chips by use, and chips wanted")


def _queue(title: str, scale: "altair.Scale") -> "Chart":
    import altair as alt

    base = alt.Chart(alt.NamedData("queue")).encode(
        x=alt.X("at:Q", title=title, scale=scale),
        tooltip=[alt.Tooltip("at:Q", format=".3f"), alt.Tooltip("mean:Q", format=",.1f"), "peak:Q"],
    )
    peak = base.mark_area(interpolate="step-after", opacity=0.3, color="#3d7fc1", clip=True)
    mean = base.mark_line(interpolate="step-after", color="#3d7fc1", clip=True, strokeWidth=1.5)
    layered = alt.layer(
        peak.encode(y=alt.Y("peak:Q", title="pending tasks")), mean.encode(y="mean:Q")
    )
    return layered.properties(width=WIDTH, height=130, title="Queue: mean, and peak behind it")


def _gantt(count: int, end: float, title: str, scale: "altair.Scale") -> "Chart":
    """The bars of so many slices."""
    import altair as alt

    named = count <= MOST_LABELS
    labels = alt.Axis(labelLimit=180) if named else alt.Axis(labels=False, ticks=False)
    bars = (
        alt.Chart(alt.NamedData("slices"))
        .mark_bar(clip=True)
        .encode(
            x=alt.X("start:Q", title=title, scale=scale),
            x2="end:Q",
            y=alt.Y("slice:N", sort=None, title="slices", axis=labels),
            color=alt.Color("kind:N", scale=_scale(KIND_COLOURS), legend=_legend()),
            tooltip=["slice:N", "group:N", "zone:N", "kind:N", "job:N", "start:Q", "end:Q"],
        )
    )
    # Unseen, but its ends give this chart the time axis of the others.
    whole = alt.Chart(alt.InlineData(values=[{"start": 0, "end": end}])).mark_rule(opacity=0)
    layered = alt.layer(bars, whole.encode(x="start:Q", x2="end:Q"))
    return layered.properties(
        width=WIDTH,
        height=alt.Step(max(3, min(18, 700 // count))),
        title="Slices: what each did, and how its attempts ended",
    )


def _waits(rows: Sequence[Record], targets: Sequence[Record]) -> "Chart":
    import altair as alt

    curve = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(interpolate="step-after", point=alt.OverlayMarkDef(size=12))
        .encode(
            x=alt.X("wait_s:Q", title="queue wait, seconds (log)", scale=alt.Scale(type="log")),
            y=alt.Y("share:Q", title="share of started jobs", axis=alt.Axis(format="%")),
            color=alt.Color("band:N", scale=alt.Scale(scheme="tableau10"), legend=_legend()),
            tooltip=["band:N", "wait_s:Q", alt.Tooltip("share:Q", format=".1%")],
        )
    )
    layers: list[altair.Chart] = [curve]
    if targets:
        rule = alt.Chart(alt.InlineData(values=targets)).mark_rule(
            strokeDash=[5, 4], color="#d1495b"
        )
        layers.append(rule.encode(x="wait_s:Q", tooltip=["expr:N"]))
    layered = alt.layer(*layers)
    return layered.properties(width=WIDTH, height=220, title="Queue wait: how many waited how long")


def _slowdown(rows: Sequence[Record]) -> "Chart":
    import altair as alt

    drawn: altair.Chart = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_point(filled=True, opacity=0.5, size=25)
        .encode(
            x=alt.X("chips:Q", title="chips of the job (log)", scale=_log()),
            y=alt.Y("slowdown:Q", title="bounded slowdown (log)", scale=_log()),
            color=alt.Color("band:N", scale=alt.Scale(scheme="tableau10"), legend=_legend()),
            tooltip=["job:N", "band:N", "chips:Q", alt.Tooltip("slowdown:Q", format=",.2f")],
        )
        .properties(width=WIDTH, height=180, title="Slowdown: how much longer jobs took than alone")
    )
    return drawn


def _goodput(rows: Sequence[Record]) -> "Chart":
    import altair as alt

    colours = {part: USE_COLOURS.get(part, USE_COLOURS["booting"]) for part in PARTS}
    drawn: altair.Chart = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_bar()
        .encode(
            x=alt.X("share:Q", title="share of the chip time paid", axis=alt.Axis(format="%")),
            y=alt.Y("group:N", title=None, sort=None),
            color=alt.Color("part:N", scale=_scale(colours), legend=_legend()),
            order="rank:Q",
            tooltip=["group:N", "part:N", "chip_hours:Q", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(width=WIDTH, height=alt.Step(24), title="Goodput and badput by group")
    )
    return drawn


def _preemptions(rows: Sequence[Record], unit: str) -> "Chart":
    import altair as alt

    drawn: altair.Chart = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_bar()
        .encode(
            x=alt.X("at:Q", title=f"simulated {unit}", bin="binned"),
            x2="until:Q",
            y=alt.Y("preempted:Q", title="slices taken", stack="zero"),
            color=alt.Color("group:N", scale=alt.Scale(scheme="tableau10"), legend=_legend()),
            tooltip=["group:N", "preempted:Q", alt.Tooltip("at:Q", format=".3f")],
        )
        .properties(width=WIDTH, height=110, title="Preemptions")
    )
    return drawn


def _log() -> "altair.Scale":
    import altair as alt

    return alt.Scale(type="log", padding=15)


def _scale(colours: Mapping[str, str]) -> "altair.Scale":
    import altair as alt

    return alt.Scale(domain=list(colours), range=list(colours.values()))


def _legend() -> "altair.Legend":
    import altair as alt

    return alt.Legend(title=None, orient="top")
