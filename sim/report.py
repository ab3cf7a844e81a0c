"""`report.html`: one page that answers what a run or its replications showed, without a network.

The page holds all that it needs, the drawing code included, and a policy that forbids the browser
any request. It says first whether its numbers can be trusted, then whether expectations held, then
the figures. Without the extra `report` the charts are plain tables. Everything that a scenario
could write into the page is escaped.
"""

from collections.abc import Mapping
from html import escape

from iris import __version__
from sim.causes import cause_of
from sim.measure import Measures
from sim.model import Scenario
from sim.report_charts import Charts, charts
from sim.report_data import (
    GANTT_SEGMENTS,
    GANTT_SLICES,
    USES,
    chips_over_time,
    most_lost,
    queue_over_time,
    time_unit,
)
from sim.report_page import page, places, table
from sim.report_sections import (
    autoscaler_section,
    cost_section,
    ledger_section,
    preemption_section,
    users_section,
)
from sim.report_validity import appendix_section, validity_section
from sim.report_waiting import explanations_section, verdicts_section, waits_section
from sim.results import chip_seconds, is_study, violations_of
from sim.tables import (
    DASH,
    GROUP_HEADER,
    at,
    chip_time_text,
    count_text,
    group_cells,
    headline_figures,
    margin_text,
    money_text,
    share_text,
    span_text,
    value_text,
)

TABLE_SPANS = 24
"""Rows of a time series where a table stands in for a chart."""


def render_report(
    measures: Measures, results: Mapping[str, object], scenario: Scenario, command: str = ""
) -> str:
    """The page about `results`; what is drawn and ranked is of the run in `measures`."""
    drawn = charts(measures, results)
    sections = [
        _header(measures, results, scenario, command),
        _trust(results),
        _verdict(measures, results),
        _key_numbers(results),
        ledger_section(measures),
        waits_section(measures),
        verdicts_section(measures),
        explanations_section(results),
        _drawings(measures, drawn) if drawn else _drawings_as_tables(measures),
        _groups(results),
        _lost_work(measures),
        autoscaler_section(measures, {g.name: g.max_slices for g in scenario.cluster.groups}),
        preemption_section(measures),
        cost_section(measures),
        users_section(measures),
        validity_section(measures, results, scenario),
        appendix_section(scenario),
    ]
    return page(f"{scenario.name}: what the simulation showed", sections, drawn)


def _header(
    measures: Measures, results: Mapping[str, object], scenario: Scenario, command: str
) -> str:
    facts = [
        ("seeds" if is_study(results) else "seed", _seeds(results)),
        ("simulated", span_text(results["simulated_s"])),
        ("warm-up cut", span_text(results["warm_up_s"])),
        ("computed in", span_text(results["wall_s"])),
        ("config", scenario.config_hash[:12]),
        ("run", measures.digest[:12]),
        ("iris", __version__),
    ]
    line = " &middot; ".join(f"{escape(name)} <code>{escape(text)}</code>" for name, text in facts)
    again = f'<p class="faint">repeat it with <code>{escape(command)}</code></p>' if command else ""
    return f'<h1>{escape(scenario.name)}</h1>\n<p class="faint">{line}</p>\n{again}'


def _seeds(results: Mapping[str, object]) -> str:
    if not is_study(results):
        return str(results["seed"])
    seeds = at(results, "seed", "values")
    assert isinstance(seeds, list)
    return f"{seeds[0]} to {seeds[-1]}"


def _trust(results: Mapping[str, object]) -> str:
    """The red band over everything, when there is a reason for it."""
    reasons = []
    if results["partial"]:
        reasons.append("This run was interrupted: all figures end where it stopped.")
    sentences = violations_of(results)
    if sentences or count_text(at(results, "invariants", "violated")) != "0":
        times = count_text(at(results, "invariants", "violated"))
        reasons.append(f"Invariants were violated {times} times: trust no number below.")
    if not reasons:
        return ""
    items = "".join(f"<li>{escape(text)}</li>" for text in sentences)
    told = f"<ul>{items}</ul>" if items else ""
    return (
        f'<div class="band" role="alert"><strong>{escape(" ".join(reasons))}</strong>{told}</div>'
    )


def _verdict(measures: Measures, results: Mapping[str, object]) -> str:
    """Each expectation with its margin; of a false one, what weighs most in it."""
    expectations = results["expect"]
    assert isinstance(expectations, list)
    if not expectations:
        return ""
    rows = []
    for verdict in expectations:
        runs = verdict.get("values")
        held = f"{sum(1 for one in runs if one)} of {len(runs)}; means: " if runs else ""
        word = (
            '<span class="holds">holds</span>'
            if verdict["holds"]
            else '<span class="false">false</span>'
        )
        cause = "" if verdict["holds"] else cause_of(verdict["expr"], measures)
        of = f"seed {measures.seed}: " if runs and cause else ""
        seen = escape(held + margin_text(verdict))
        if cause:
            seen += f'<br><span class="cause">{escape(of + cause)}</span>'
        rows.append((word, f"<code>{escape(verdict['expr'])}</code>", seen))
    return "<h2>Verdict</h2>\n" + table(("", "expectation", "seen"), rows, text=(0, 1, 2))


def _key_numbers(results: Mapping[str, object]) -> str:
    figures = {
        "jobs succeeded": f"{count_text(at(results, 'jobs', 'succeeded'))} of "
        f"{count_text(at(results, 'jobs', 'submitted'))}",
        "unfinished": count_text(at(results, "jobs", "unfinished")),
        "queue wait p50": span_text(at(results, "queue_wait_s", "p50")),
        "queue wait p95": span_text(at(results, "queue_wait_s", "p95")),
        "completion p95": span_text(at(results, "completion_s", "p95")),
        "goodput": share_text(at(results, "work", "goodput_fraction")),
        "preempted attempts": count_text(at(results, "attempts", "preempted")),
        "cost": money_text(results["cost_usd"]),
        "makespan": span_text(results["makespan_s"]),
    }
    cards = "".join(
        f'<div class="card"><b>{escape(text)}</b><span class="faint">{escape(name)}</span></div>'
        for name, text in figures.items()
    )
    note = '<p class="faint">Means over the replications.</p>' if is_study(results) else ""
    more = _ledger(results) + _intervals(results) if is_study(results) else ""
    return f'<h2>Key numbers</h2>\n{note}<div class="cards">{cards}</div>\n{more}'


def _ledger(results: Mapping[str, object]) -> str:
    """Where the provisioned chip time went."""
    whole = at(results, "work", "provisioned_chip_s")
    rows = []
    for name, meaning in (
        ("useful", "work that was kept"),
        ("lost", "work thrown away, start-up and restore"),
        ("idle", "ready, and unused"),
        ("boot", "paid, and not yet ready"),
        ("provisioned", "all that was paid"),
    ):
        amount = at(results, "work", f"{name}_chip_s")
        rows.append((name, meaning, chip_time_text(amount), _part(amount, whole)))
    cells = [tuple(escape(cell) for cell in row) for row in rows]
    return table(("chip time", "", "amount", "share"), cells, text=(0, 1))


def _part(amount: object, whole: object) -> str:
    part, total = (
        value["mean"] if isinstance(value, Mapping) else value for value in (amount, whole)
    )
    if not isinstance(part, int | float) or not isinstance(total, int | float) or total == 0:
        return DASH
    return share_text(part / total)


def _intervals(results: Mapping[str, object]) -> str:
    rows = []
    for name, kind, value in headline_figures(results):
        assert isinstance(value, Mapping)
        cells = (value["mean"], value["ci95_low"], value["ci95_high"])
        rows.append((escape(name), *(escape(value_text(kind, cell)) for cell in cells)))
    caption = f"Over {results['replications']} replications, with 95 % intervals of the mean"
    return table(("", "mean", "from", "to"), rows, caption=caption)


def _drawings(measures: Measures, drawn: Charts) -> str:
    note = "Drag over the chips to zoom the charts below them; double click to go back. "
    existing = sum(1 for row in measures.slices.values() if row.created is not None)
    if existing > GANTT_SLICES:
        note += f"Of {existing:,} slices the {GANTT_SLICES} that wasted most are drawn. "
    if len(measures.attempts) > GANTT_SEGMENTS:
        note += f"Of {len(measures.attempts):,} attempts the longest are drawn. "
    note += "All are in <code>trace.json</code>."
    return f'<h2>Over time</h2>\n<p class="faint">{note}</p>\n{places(drawn)}'


def _drawings_as_tables(measures: Measures) -> str:
    """What the charts would show, where the extra that draws is not installed."""
    unit = time_unit(measures)
    chips: dict[object, dict[object, object]] = {}
    for row in chips_over_time(measures, TABLE_SPANS):
        chips.setdefault(row["at"], {})[row["use"]] = row["chips"]
    uses = (*USES, "wanted")
    rows = [
        (
            f"{row['at']:,.2f}",
            *(count_text(chips[row["at"]][use]) for use in uses),
            count_text(row["mean"]),
            count_text(row["peak"]),
        )
        for row in queue_over_time(measures, TABLE_SPANS)
    ]
    header = (unit.name, *uses, "pending, mean", "pending, peak")
    note = (
        "Charts instead of this table need Iris to be installed with the extra <code>report</code>."
    )
    return f'<h2>Over time</h2>\n<p class="faint">{note}</p>\n' + table(header, rows)


def _groups(results: Mapping[str, object]) -> str:
    groups = at(results, "groups")
    assert isinstance(groups, Mapping)
    rows = [
        tuple(escape(cell) for cell in group_cells(name, figures))
        for name, figures in groups.items()
    ]
    return "<h2>Groups</h2>\n" + table(GROUP_HEADER, rows, text=(0, len(GROUP_HEADER) - 1))


def _lost_work(measures: Measures) -> str:
    rows = [
        (
            escape(job.job),
            escape(job.band),
            count_text(job.attempts),
            count_text(job.preempted),
            chip_time_text(chip_seconds(job.lost)),
            chip_time_text(chip_seconds(job.useful)),
        )
        for job in most_lost(measures)
    ]
    if not rows:
        return ""
    header = ("job", "band", "attempts", "preempted", "lost", "useful")
    return "<h2>Most work lost</h2>\n" + table(header, rows, text=(0, 1))
