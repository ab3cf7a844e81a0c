"""What the pages have in common: one file that asks nobody for anything, its tables, its charts.

A page holds all that it needs, the drawing code included, and a policy that forbids the browser any
request.
"""

import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files

from sim.report_charts import Charts

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline' 'unsafe-eval'; img-src data: blob:"
)
"""Vega compiles its expressions, hence eval; no address may be asked for anything."""

Cell = str


def page(title: str, sections: Sequence[str], drawn: Charts | None) -> str:
    """A page of sections that are HTML, with the charts that have a place in them; None without any."""
    style = files("sim").joinpath("report.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        + "\n".join(section for section in sections if section)
        + (_scripts(drawn) if drawn else "")
        + "\n</body>\n</html>\n"
    )


def places(drawn: Charts) -> str:
    """Where the charts of a page go, one below the other."""
    return "\n".join(
        f'<div class="scroll"><div id="chart-{escape(name)}"></div></div>' for name in drawn.specs
    )


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    text: Sequence[int] = (0,),
    caption: str = "",
) -> str:
    """A table out of cells that are HTML; the columns in `text` are words, the others numbers."""
    marks = [' class="text"' if position in text else "" for position in range(len(header))]
    head = "".join(f"<th{mark}>{escape(c)}</th>" for c, mark in zip(header, marks, strict=True))
    body = "\n".join(
        "<tr>"
        + "".join(f"<td{mark}>{cell}</td>" for cell, mark in zip(row, marks, strict=True))
        + "</tr>"
        for row in rows
    )
    named = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="scroll"><table>{named}<thead><tr>{head}</tr></thead>'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _scripts(drawn: Charts) -> str:
    """The specs as data and the code that draws them; neither can close its own tag."""
    specs = json.dumps(drawn.specs, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    script = drawn.script.replace("</script", "<\\/script")
    return (
        f'\n<script type="application/json" id="chart-specs">{specs}</script>'
        f'\n<script type="module">{script}</script>'
    )
