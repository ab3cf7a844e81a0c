"""Sections of the report about itself: how its numbers were made, from which data, and what they leave out."""

import gzip
import json
from collections.abc import Iterator, Mapping
from html import escape
from itertools import takewhile
from pathlib import Path
from typing import Final

from iris import __version__
from sim.measure import Measures
from sim.model import Fidelity, Scenario
from sim.packing import paths_in
from sim.report_page import table
from sim.results import is_study
from sim.tables import at, count_text

FILES_BESIDE: Final = (
    "summary.json", "jobs.csv", "slices.csv", "timeseries.csv", "waiting.csv", "trace.json",
)  # fmt: skip
"""What lies beside the page."""
_MODELS: Final = {
    "boot": "boot",
    "preemption": "lifetime lifetime_max zone_lifetime bulk scarcity notice notice_lost host_by_host",
    "stock": "capacity weather quota reservations verdict create_failures",
    "hosts": "host_failure straggler partial",
}
_KIND: Final = {
    "boot": "slices are ready as soon as they are asked for",
    "preemption": "the cloud takes nothing by itself",
    "stock": "any number of slices can be had",
    "hosts": "no host fails by itself",
}
"""What holds where the scenario says nothing."""
_MOST: Final = 300
"""Characters of a model, and of what a file says of itself."""
_COMMENTS: Final = ("#", ";")


def validity_section(measures: Measures, results: Mapping[str, object], scenario: Scenario) -> str:
    """How these numbers were made, and what they leave out."""
    notes = [
        f"{count_text(results['events'])} events in {count_text(results['turns'])} turns of the "
        f"controller; {count_text(at(results, 'invariants', 'checked'))} checks of invariants.",
        "Percentiles are nearest-rank: each is a value that occurred. Waits are of jobs that "
        "started, completions of jobs that succeeded; the others are counted beside them.",
        "Useful, lost, idle and boot add up to all that was paid, to the millisecond. What useful "
        "chips achieve (their floating-point rate) is outside the simulation.",
        "A chip of a CPU machine is a core.",
    ]
    if scenario.fidelity is Fidelity.CAPACITY:
        notes.append(
            "Left out: what messages, agents and containers do wrong, and how long the controller itself "
            "takes; `fidelity: protocol` has the former in it."
        )
    notes.append(
        "Left out: how fast work is on what it runs on, networks and storage between tasks."
    )
    if is_study(results):
        notes.append(
            f"Charts, bands, jobs and users are of seed {measures.seed}; tables in files of all."
        )
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<h2>Validity</h2>\n<ul class="faint">{items}</ul>' + _sources(scenario)


def _sources(scenario: Scenario) -> str:
    """Where the behaviour of the cloud and the jobs come from."""
    if not scenario.resolved:
        return ""
    import yaml

    said = yaml.safe_load(scenario.resolved)
    cloud = said.get("cloud") or {}
    rows = []
    for name, keys in _MODELS.items():
        found = {key: cloud[key] for key in keys.split() if key in cloud}
        text = _short(json.dumps(found, ensure_ascii=False)) if found else _KIND[name]
        rows.append((name, f'<span class="wrap">{escape(text)}</span>'))
    rows += [
        (
            f"<code>{escape(path.name)}</code>",
            f'<span class="wrap">{escape(_own_words(path))}</span>',
        )
        for path in dict.fromkeys(_files(said, scenario.path.parent))
    ]
    note = (
        "What stands in the scenario itself is as old, and as true, as whoever wrote it there; a file is told "
        "with what it says of itself."
    )
    return (
        table(("model", "from"), rows, text=(0, 1), caption="The data behind the models")
        + f'<p class="faint">{note}</p>'
    )


def _files(said: dict[str, object], home: Path) -> Iterator[Path]:
    said.setdefault("workload", [])
    for holder, key in paths_in(said):
        yield home / str(holder[key])


def _own_words(path: Path) -> str:
    """The comments with which a file of data opens, which may say from where and of when it is."""
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            lines = list(takewhile(lambda line: line.startswith(_COMMENTS), file))
    except (OSError, UnicodeDecodeError):
        return "it is no longer there to be read"
    words = " ".join(line.lstrip("#; ").strip() for line in lines[:20])
    return _short(words) if words else "it does not say from where or of when it is"


def _short(text: str) -> str:
    return text if len(text) <= _MOST else f"{text[:_MOST]} ..."


def appendix_section(scenario: Scenario) -> str:
    """The files beside the page, and what was run, word for word, folded away."""
    links = ", ".join(f'<a href="{name}">{name}</a>' for name in FILES_BESIDE)
    told = f"<p>Beside this page: {links}. trace.json opens in Perfetto.</p>"
    told += f'<p class="faint">Their columns and keys are those of iris {escape(__version__)}.</p>'
    if scenario.resolved:
        text = escape(scenario.resolved)
        told += f"<details><summary>Configuration</summary>\n<pre>{text}</pre></details>"
    return f"<h2>Appendix</h2>\n{told}"
