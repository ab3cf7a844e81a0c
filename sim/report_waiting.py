"""Sections of the report about waiting: how long, for what, and why some jobs never came to an end.

HTML out of rows; a section about nothing is empty. Everything that a scenario could write is escaped.
"""

from collections.abc import Mapping
from html import escape

from iris.core.instant import HOUR
from iris.core.telling import VERDICTS
from sim.measure import Measures
from sim.report_data import ALL_BANDS, jobs_by_band, spread_by_band, waited
from sim.report_facts import slowdown
from sim.report_page import table
from sim.results import PERCENTS, counted_jobs, explanations_of
from sim.statistics import percentile
from sim.tables import DASH, count_text, share_text, span_text


def waits_section(measures: Measures) -> str:
    """Percentiles by band; those who have not started or ended are counted beside them."""
    rows = []
    for what, band, jobs, counted, *quantiles in spread_by_band(measures):
        texts = (str(what), str(band), count_text(jobs), count_text(counted))
        rows.append(tuple(escape(cell) for cell in (*texts, *map(span_text, quantiles))))
    for band, jobs_of in {ALL_BANDS: counted_jobs(measures), **jobs_by_band(measures)}.items():
        factors = sorted(factor for job in jobs_of if (factor := slowdown(job)) is not None)
        cuts = (f"{percentile(factors, p):,.2f}" if factors else DASH for p in (*PERCENTS, 100))
        counts = (count_text(len(jobs_of)), count_text(len(factors)))
        rows.append(tuple(escape(cell) for cell in ("bounded slowdown", band, *counts, *cuts)))
    header = ("", "band", "jobs", "counted", "p50", "p90", "p95", "p99", "max")
    return "<h2>Waits and completions</h2>\n" + table(header, rows, text=(0, 1))


def verdicts_section(measures: Measures) -> str:
    """For what tasks and gangs waited, and for how long in all."""
    ranked = waited(measures)
    whole = sum(one.time for one in ranked)
    if not whole:
        return ""
    rows = [
        (
            f"<code>{one.verdict.value}</code>",
            escape(VERDICTS[one.verdict]),
            f"{one.time / HOUR:,.1f}",
            share_text(one.time / whole),
            count_text(one.peak),
        )
        for one in ranked
    ]
    header = ("verdict", "", "hours waited", "share", "at most")
    note = (
        "Hours of one task or gang, by the explanation that the controller itself gives, looked at "
        "again and again: what came and went between two looks is not in it."
    )
    return (
        "<h2>What work waited for</h2>\n"
        + table(header, rows, text=(0, 1))
        + f'<p class="faint">{note}</p>'
    )


def explanations_section(results: Mapping[str, object]) -> str:
    """Why the first of the jobs that did not succeed, or wait, did not come further."""
    items = []
    for row in explanations_of(results):
        why = row["why"]
        assert isinstance(why, list), row
        first, *rest = (escape(str(sentence)) for sentence in why)
        seed = f"seed {row['seed']}: " if "seed" in row else ""
        more = f"<p>{' '.join(rest)}</p>" if rest else ""
        items.append(f"<details><summary>{seed}{first}</summary>{more}</details>")
    if not items:
        return ""
    return f"<h2>Jobs that did not succeed</h2>\n{''.join(items)}"
