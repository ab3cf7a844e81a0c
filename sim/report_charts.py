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
from sim.report_colours import USE_COLOURS, WIDTH, legend, scale_of
from sim.report_data import Record, wait_curve, wait_targets, waits_by_group
from sim.report_facts import parts_by_group, slowdowns
from sim.report_time import over_time

if TYPE_CHECKING:
    import altair

    Chart: TypeAlias = altair.Chart | altair.LayerChart | altair.FacetChart


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
        specs["time"] = over_time(measures)
    if waits := wait_curve(measures):
        specs["waits"] = _waits(waits, wait_targets(results["expect"])).to_dict()
    by_group = waits_by_group(measures)
    if len({row["group"] for row in by_group}) > 1:
        specs["waits-by-group"] = _waits_by_group(by_group).to_dict()
    if factors := slowdowns(measures):
        specs["slowdown"] = _slowdown(factors).to_dict()
    if parts := parts_by_group(measures):
        specs["goodput"] = _goodput(parts).to_dict()
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


def _waits(rows: Sequence[Record], targets: Sequence[Record]) -> "Chart":
    import altair as alt

    curve = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(interpolate="step-after", point=alt.OverlayMarkDef(size=12))
        .encode(
            x=alt.X("wait_s:Q", title="queue wait, seconds (log)", scale=alt.Scale(type="log")),
            y=alt.Y("share:Q", title="share of started jobs", axis=alt.Axis(format="%")),
            color=alt.Color("band:N", scale=alt.Scale(scheme="tableau10"), legend=legend()),
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


def _waits_by_group(rows: Sequence[Record]) -> "Chart":
    """A small curve for each group, all on one scale."""
    import altair as alt

    drawn: altair.FacetChart = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(interpolate="step-after")
        .encode(
            x=alt.X("wait_s:Q", title="seconds (log)", scale=alt.Scale(type="log")),
            y=alt.Y("share:Q", title="share of started jobs", axis=alt.Axis(format="%")),
            color=alt.Color("band:N", scale=alt.Scale(scheme="tableau10"), legend=legend()),
            tooltip=["group:N", "band:N", "wait_s:Q", alt.Tooltip("share:Q", format=".1%")],
            facet=alt.Facet("group:N", title=None, sort=None, columns=3),
        )
        .properties(width=WIDTH // 3 - 40, height=120)
        .properties(title="Queue wait by the group in which jobs first ran")
    )
    return drawn


def _slowdown(rows: Sequence[Record]) -> "Chart":
    import altair as alt

    drawn: altair.Chart = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_point(filled=True, opacity=0.5, size=25)
        .encode(
            x=alt.X("chips:Q", title="chips of the job (log)", scale=_log()),
            y=alt.Y("slowdown:Q", title="bounded slowdown (log)", scale=_log()),
            color=alt.Color("band:N", scale=alt.Scale(scheme="tableau10"), legend=legend()),
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
            color=alt.Color("part:N", scale=scale_of(colours), legend=legend()),
            order="rank:Q",
            tooltip=["group:N", "part:N", "chip_hours:Q", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(width=WIDTH, height=alt.Step(24), title="Goodput and badput by group")
    )
    return drawn


def _log() -> "altair.Scale":
    import altair as alt

    return alt.Scale(type="log", padding=15)
