"""What the charts have in common: their width, and what each colour stands for."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from iris.core.reasons import Verdict

if TYPE_CHECKING:
    import altair

WIDTH = 900
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
VERDICT_COLOURS = {
    Verdict.FITS_NOW: "#5fa777",
    Verdict.MAKING_ROOM: "#9bc48d",
    Verdict.PAUSED: "#c9c2a5",
    Verdict.WAITING_FOR_SLICES: "#3d7fc1",
    Verdict.BEHIND_OTHERS: "#9db7d4",
    Verdict.HELD: "#4fa3a5",
    Verdict.GANG_INCOMPLETE: "#8e4585",
    Verdict.GROUP_AT_MAX: "#d9b44a",
    Verdict.FULL: "#b08d2e",
    Verdict.BUDGET: "#b48ead",
    Verdict.QUOTA: "#e58a3c",
    Verdict.BACKOFF: "#d1495b",
    Verdict.BARRED: "#7a6a58",
    Verdict.UNSUPPLIED: "#8d96a3",
    Verdict.TOO_BIG: "#5b2333",
    Verdict.NO_MATCHING_GROUP: "#2b1016",
}
"""What will pass by itself at the bottom, what never does on top."""
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


def scale_of(colours: Mapping[str, str]) -> "altair.Scale":
    """Names with their colours, in this order."""
    import altair as alt

    return alt.Scale(domain=list(colours), range=list(colours.values()))


def legend() -> "altair.Legend":
    """Above the chart, without a title."""
    import altair as alt

    return alt.Legend(title=None, orient="top")
