"""The report's charts over time, one below the other under one axis, which one brush zooms."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from iris.core.reasons import Verdict
from sim.measure import Measures
from sim.report_colours import KIND_COLOURS, USE_COLOURS, VERDICT_COLOURS, WIDTH, legend, scale_of
from sim.report_data import (
    USES,
    chips_over_time,
    gantt_segments,
    queue_over_time,
    time_unit,
    verdicts_seen,
    waits_over_time,
)
from sim.report_facts import preemptions_over_time

if TYPE_CHECKING:
    import altair

    Chart: TypeAlias = altair.Chart | altair.LayerChart | altair.FacetChart

MOST_LABELS = 60
"""Slices that are named on the axis; of more, the names are in the tooltips."""


def over_time(measures: Measures) -> Mapping[str, object]:
    """Chips, queue, preemptions and slices under one time axis; dragging over the chips zooms them all.

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
    end = measures.now / unit.millis
    if waits := waits_over_time(measures):
        rows["waits"] = waits
        parts.append(_verdicts(verdicts_seen(measures), title, shared))
    if taken := preemptions_over_time(measures, unit.millis):
        rows["preemptions"] = taken
        parts.append(_preemptions(end, title, shared))
    if segments := gantt_segments(measures):
        rows["slices"] = segments
        count = len({row["slice"] for row in segments})
        parts.append(_gantt(count, end, title, shared))
    apart = alt.Resolve(scale=alt.ScaleResolveMap(color="independent"))
    whole = alt.vconcat(*parts, spacing=28, resolve=apart).to_dict()
    return {**whole, "datasets": {**whole.get("datasets", {}), **rows}}


def _chips(title: str, zoom: "altair.Parameter") -> "Chart":
    import altair as alt

    base = alt.Chart().encode(
        x=alt.X("at:Q", title=title, scale=alt.Scale(nice=False)),
        color=alt.Color("use:N", scale=scale_of(USE_COLOURS), legend=legend()),
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
            color=alt.Color("kind:N", scale=scale_of(KIND_COLOURS), legend=legend()),
            tooltip=["slice:N", "group:N", "zone:N", "kind:N", "job:N", "start:Q", "end:Q"],
        )
    )
    layered = alt.layer(bars, _whole(end))
    return layered.properties(
        width=WIDTH,
        height=alt.Step(max(3, min(18, 700 // count))),
        title="Slices: what each did, and how its attempts ended",
    )


def _verdicts(seen: Sequence[Verdict], title: str, scale: "altair.Scale") -> "Chart":
    """What was waited for, of the verdicts that occurred."""
    import altair as alt

    colours = {
        verdict.value: VERDICT_COLOURS[verdict] for verdict in VERDICT_COLOURS if verdict in seen
    }
    drawn: altair.Chart = (
        alt.Chart(alt.NamedData("waits"))
        .mark_area(interpolate="step-after", opacity=0.9, clip=True)
        .encode(
            x=alt.X("at:Q", title=title, scale=scale),
            y=alt.Y("units:Q", title="tasks and gangs", stack="zero"),
            color=alt.Color("verdict:N", scale=scale_of(colours), legend=legend()),
            order="rank:Q",
            tooltip=[
                "verdict:N",
                alt.Tooltip("units:Q", format=",.1f"),
                alt.Tooltip("at:Q", format=".3f"),
            ],
        )
        .properties(width=WIDTH, height=130, title="Why: what tasks and gangs wait for")
    )
    return drawn


def _preemptions(end: float, title: str, scale: "altair.Scale") -> "Chart":
    import altair as alt

    bars = (
        alt.Chart(alt.NamedData("preemptions"))
        .mark_rect(clip=True)
        .encode(
            x=alt.X("at:Q", title=title, scale=scale),
            x2="until:Q",
            y=alt.Y("base:Q", title="slices taken"),
            y2="top:Q",
            color=alt.Color("group:N", scale=alt.Scale(scheme="tableau10"), legend=legend()),
            tooltip=["group:N", "preempted:Q", alt.Tooltip("at:Q", format=".3f")],
        )
    )
    layered = alt.layer(bars, _whole(end))
    return layered.properties(width=WIDTH, height=90, title="Preemptions")


def _whole(end: float) -> "altair.Chart":
    """Unseen, but its ends give a chart the time axis of the others."""
    import altair as alt

    rule = alt.Chart(alt.InlineData(values=[{"start": 0, "end": end}])).mark_rule(opacity=0)
    drawn: altair.Chart = rule.encode(x="start:Q", x2="end:Q")
    return drawn
