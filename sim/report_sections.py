"""Sections of the report about what lies behind the results: where time and money went, and why.

HTML out of the rows of `sim.report_facts`; a section about nothing is empty. Everything that a
scenario could write is escaped.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from html import escape

from sim.ledger import PARTS, parts_of
from sim.measure import Measures
from sim.report_data import users
from sim.report_facts import (
    FLAP,
    SHORT_JOB_MS,
    Spread,
    cost_by_user,
    costs,
    jain_index,
    losses,
    preempted_classes,
    scalings,
)
from sim.report_page import table
from sim.results import chip_seconds, queue_waits, seconds, spread
from sim.tables import DASH, chip_time_text, count_text, money_text, share_text, span_text

_MOST_RULES = 20
_WORDS = (0, 1)


def ledger_section(measures: Measures) -> str:
    """Every chip-second that was paid, in exactly one part."""
    parts = parts_of(measures)
    whole = sum(parts.values())
    if not whole:
        return ""
    rows = [
        _cells(part, meaning, chip_time_text(chip_seconds(parts[part])), _share(parts[part], whole))
        for part, meaning in PARTS.items()
    ]
    rows.append(_cells("paid", "all of it", chip_time_text(chip_seconds(whole)), _share(1, 1)))
    used = parts["useful"] + parts["lost"] + parts["restart"]
    note = (
        f"Goodput {_share(parts['useful'], whole)} = scheduling {_share(used, whole)} (of the time paid, "
        f"held by jobs) &times; runtime {_share(parts['useful'], used)} (of that, kept)."
    )
    return (
        "<h2>Goodput and badput</h2>\n"
        + table(("chip time", "", "amount", "share"), rows, text=_WORDS)
        + f'<p class="faint">{note}</p>'
    )


def autoscaler_section(measures: Measures, max_slices: Mapping[str, int]) -> str:
    """What was asked for, by which rule, how long it took, and what stood in the way."""
    rows = []
    for one in scalings(measures, max_slices):
        at_max = DASH if one.at_max is None else _share(one.at_max, one.span)
        boots = (count_text(one.boots.count), *_quantiles(one.boots))
        demands = (count_text(one.demands.count), *_quantiles(one.demands))
        figures = (count_text(one.asked), *boots, *demands, count_text(one.flaps))
        rows.append(_cells(one.group, *figures, at_max))
    if not rows:
        return ""
    header = (
        "group", "asked for", "came up", "p50", "p90", "jobs that waited for one", "p50", "p90", "flaps",
        "time at max",
    )  # fmt: skip
    note = (
        "The first p50 and p90 are from the request to all hosts being up; the others from a job's "
        "submission to the slice being ready on which it first ran, refused requests and all, of jobs "
        "that came before that slice. A flap is a slice that is asked for "
        f"within {span_text(seconds(FLAP))} of one in its group and zone being given back."
    )
    html = f'<h2>Autoscaler</h2>\n<p class="faint">{note}</p>\n' + table(header, rows)
    ranked = sorted(measures.choices.items(), key=lambda item: (-item[1], item[0]))
    if ranked:
        rules = [_cells(kind, why, count_text(n)) for (kind, why), n in ranked[:_MOST_RULES]]
        html += table(("decision", "because", "times"), rules, text=_WORDS)
    span = measures.now - measures.warm_up
    blocked = [
        _cells(zone, kind, span_text(seconds(time)), _share(time, span))
        for (zone, kind), time in sorted(measures.blocked.items())
    ]
    if blocked:
        caption = "Where nothing was asked for, since the cloud had refused or lost slices"
        html += table(("zone", "type", "for", "of the time"), blocked, text=_WORDS, caption=caption)
    return html


def preemption_section(measures: Measures) -> str:
    """How often slices were taken, and what that did to jobs."""
    taken = losses(measures)
    if not any(one.preempted for one in taken):
        return ""
    rows = [
        _cells(
            one.group,
            count_text(one.preempted),
            f"{float(one.hours):,.1f}",
            f"{one.preempted / float(one.hours):,.3f}" if one.hours else DASH,
        )
        for one in taken
    ]
    header = ("group", "slices taken", "slice-hours", "an hour")
    jobs = []
    for name, count, ends, factors in preempted_classes(measures):
        middle = f"{factors[(len(factors) - 1) // 2]:,.2f}" if factors else DASH
        jobs.append(
            _cells(name, count_text(count), count_text(ends.count), *_quantiles(ends), middle)
        )
    effect = ("preempted", "jobs", "succeeded", "completion p50", "p90", "slowdown p50")
    note = (
        "Slowdown is completion over the time that the work takes undisturbed, or over "
        f"{SHORT_JOB_MS // 1000} s for shorter work. Longer jobs are taken more often, so a longer "
        "completion is not all the cloud's doing; slowdown compares like with like."
    )
    return (
        "<h2>Preemption</h2>\n"
        + table(header, rows)
        + table(effect, jobs)
        + f'<p class="faint">{note}</p>'
    )


def cost_section(measures: Measures) -> str:
    """Money by group and what its chips did, and by user."""
    found = costs(measures)
    whole = sum((one.whole for one in found), Fraction(0))
    if not whole:
        return ""
    rows = []
    for one in found:
        hours = one.useful_chip_ms / 3_600_000_000
        each = f"${float(one.whole) / 1e6 / hours:,.4f}" if hours else DASH
        parts = (one.useful, one.lost, one.idle, one.boot, one.whole)
        rows.append(_cells(one.group, *map(_money, parts), each))
    header = ("group", "useful", "lost", "idle", "boot", "cost", "a useful chip-hour")
    by_user = sorted(cost_by_user(measures).items(), key=lambda item: (-item[1], item[0]))[:20]
    people = [_cells(user, _money(spent), _share(spent, whole)) for user, spent in by_user]
    return (
        "<h2>Cost</h2>\n"
        + table(header, rows)
        + table(("user", "for what their tasks held", "of all cost"), people)
    )


def users_section(measures: Measures) -> str:
    """Who used how much, and who waited."""
    ranked = users(measures)
    whole = sum(used for _, _, used in ranked)
    rows = []
    for user, jobs, used in ranked:
        waits = spread(queue_waits(jobs))
        texts = (span_text(waits["p50"]), span_text(waits["p95"]))
        rows.append(_cells(user, count_text(len(jobs)), _share(used, whole), *texts))
    if not rows:
        return ""
    header = ("user", "jobs", "of chip time used", "wait p50", "wait p95")
    index = jain_index([used for _, _, used in ranked])
    note = (
        f'<p class="faint">Jain\'s index of these shares is {index:.2f}; 1 is even.</p>'
        if index is not None and len(ranked) > 1
        else ""
    )
    return "<h2>Users</h2>\n" + table(header, rows) + note


def _cells(*texts: str) -> Sequence[str]:
    return tuple(escape(text) for text in texts)


def _quantiles(found: Spread) -> tuple[str, str]:
    texts = (DASH if one is None else span_text(seconds(one)) for one in (found.p50, found.p90))
    first, second = texts
    return first, second


def _share(part: int | Fraction, whole: int | Fraction) -> str:
    return share_text(float(Fraction(part, whole))) if whole else DASH


def _money(millionths: Fraction) -> str:
    return money_text(float(millionths) / 1e6)
