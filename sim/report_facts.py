"""What the report tells beyond the results: slowdown, the autoscaler, preemption, cost, fairness.

Rows out of `Measures`, cut to what a page can show; nothing here formats or draws.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from iris.core.instant import HOUR, MINUTE
from iris.core.lifecycle import JobState
from sim.ledger import PARTS, existing_time, parts_of
from sim.measure import JobRow, Measures, SliceRow
from sim.report_data import first_slices
from sim.results import counted_jobs
from sim.statistics import percentile

Record = dict[str, object]

SHORT_JOB_MS: Final = 10_000
"""The least run time that a bounded slowdown divides by (Feitelson and Rudolph, "Metrics and
benchmarking for parallel job scheduling", 1998)."""
FLAP: Final = 10 * MINUTE
"""A slice that is asked for so soon after one of its group and zone was given back was given back
too early."""
SCATTERED: Final = 2_000
"""Jobs that are drawn as points."""
_PREEMPTED_CLASSES: Final = (
    (0, 0, "never"),
    (1, 1, "once"),
    (2, 4, "2 to 4 times"),
    (5, None, "5 or more"),
)


def slowdown(job: JobRow) -> float | None:
    """The bounded slowdown of a job that succeeded, at least 1; None for others.

    It is the time from submission to end over the time that its work takes without an interruption,
    or over 10 s for shorter work.
    """
    if job.state is not JobState.SUCCEEDED or job.end is None:
        return None
    if job.chips_milli:
        work = job.useful / job.chips_milli
    else:
        work = job.end - (job.first_running if job.first_running is not None else job.submit)
    return max(1.0, (job.end - job.submit) / max(work, SHORT_JOB_MS))


def slowdowns(measures: Measures) -> list[Record]:
    """A row for each of the jobs that succeeded and held chips; of many, an even choice."""
    rows: list[Record] = []
    for job in counted_jobs(measures):
        factor = slowdown(job)
        if factor is not None and job.chips_milli:
            row = {"job": job.job, "band": job.band, "chips": job.chips_milli / 1000}
            rows.append(row | {"slowdown": round(factor, 4)})
    step = -(-len(rows) // SCATTERED) or 1
    return rows[::step]


@dataclass(frozen=True, slots=True)
class Spread:
    """How many, and the percentiles; None of nothing."""

    count: int
    p50: int | None
    p90: int | None


def spread_of(values: Iterable[int]) -> Spread:
    """The spread of values in any order."""
    ordered = sorted(values)
    if not ordered:
        return Spread(0, None, None)
    return Spread(len(ordered), percentile(ordered, 50), percentile(ordered, 90))


@dataclass(frozen=True, slots=True)
class Scaling:
    """What the autoscaler's requests came to in one group; times in milliseconds."""

    group: str
    asked: int
    boots: Spread
    """From a request to its slice being ready."""
    demands: Spread
    """From the submission of a job to the slice being ready on which it first ran, of those that came for it."""
    flaps: int
    at_max: int | None
    """For how long as many slices existed as are allowed; None: how many are is not known."""
    span: int


def scalings(measures: Measures, max_slices: Mapping[str, int]) -> list[Scaling]:
    """Each group that was asked for, in the order of the configuration."""
    found = []
    demands: dict[str, list[int]] = {}
    first = first_slices(measures)
    for job in counted_jobs(measures):
        row = first.get(job.job)
        if row is not None and row.ready is not None and row.ready > job.submit:
            demands.setdefault(row.group, []).append(row.ready - job.submit)
    for group, slices in _by_group(measures).items():
        boots = [row.ready - row.requested for row in slices if row.ready is not None]
        limit = max_slices.get(group)
        at_max = None if limit is None else _time_at(slices, limit, measures)
        span = measures.now - measures.warm_up
        found.append(
            Scaling(
                group=group,
                asked=len(slices),
                boots=spread_of(boots),
                demands=spread_of(demands.get(group, ())),
                flaps=_flaps(slices),
                at_max=at_max,
                span=span,
            )
        )
    return found


def _by_group(measures: Measures) -> dict[str, list[SliceRow]]:
    groups: dict[str, list[SliceRow]] = {name: [] for name in measures.group_price_per_hour}
    for row in measures.slices.values():
        groups.setdefault(row.group, []).append(row)
    return {name: rows for name, rows in groups.items() if rows}


def _flaps(slices: Sequence[SliceRow]) -> int:
    """How many slices were asked for soon after one of their kind was given back unbroken."""
    given_back: dict[str, list[int]] = {}
    for row in slices:
        if row.outcome == "deleted" and row.end is not None:
            given_back.setdefault(row.zone, []).append(row.end)
    return sum(
        any(0 <= row.requested - end <= FLAP for end in given_back.get(row.zone, ()))
        for row in slices
    )


def _time_at(slices: Sequence[SliceRow], limit: int, measures: Measures) -> int:
    """For how long, after the warm-up, at least so many slices were paid for."""
    steps = sorted(_steps(slices, measures))
    total, count, since = 0, 0, int(measures.warm_up)
    for at, step in steps:
        if count >= limit:
            total += max(0, at - since)
        since, count = max(since, at), count + step
    return total + (max(0, measures.now - since) if count >= limit else 0)


def _steps(slices: Iterable[SliceRow], measures: Measures) -> Iterator[tuple[int, int]]:
    for row in slices:
        if row.created is not None:
            yield row.created, 1
            yield (row.end if row.end is not None else measures.now), -1


@dataclass(frozen=True, slots=True)
class Losses:
    """How often the cloud took slices of one group."""

    group: str
    preempted: int
    hours: Fraction
    """Slice-hours for which they were paid, after the warm-up."""


def losses(measures: Measures) -> list[Losses]:
    """Each group that had slices."""
    found = []
    for group, slices in _by_group(measures).items():
        taken = [
            row
            for row in slices
            if row.outcome == "preempted" and row.end is not None and row.end >= measures.warm_up
        ]
        paid = sum(existing_time(row, measures) for row in slices)
        found.append(Losses(group, len(taken), Fraction(paid, HOUR)))
    return found


def preempted_classes(measures: Measures) -> list[tuple[str, int, Spread, list[float]]]:
    """By how often jobs were preempted: how many jobs, completion of those that succeeded, slowdown.

    A job was preempted as often as its tasks were on average, rounded up: a gang goes as a whole.
    """
    jobs = [(job, -(-job.preempted // job.replicas)) for job in counted_jobs(measures)]
    found = []
    for least, most, name in _PREEMPTED_CLASSES:
        members = [job for job, n in jobs if n >= least and (most is None or n <= most)]
        if not members:
            continue
        ends = [
            j.end - j.submit for j in members if j.state is JobState.SUCCEEDED and j.end is not None
        ]
        factors = sorted(f for j in members if (f := slowdown(j)) is not None)
        found.append((name, len(members), spread_of(ends), factors))
    return found


def preemptions_over_time(measures: Measures, unit: int, spans: int = 60) -> list[Record]:
    """By span of time and group, how many slices the cloud took; `at` in the unit of milliseconds.

    Groups of one span lie on each other, from `base` to `top`.
    """
    span = max(1, -(-measures.now // spans))
    counts: dict[tuple[int, str], int] = {}
    for row in measures.slices.values():
        if row.outcome == "preempted" and row.end is not None:
            key = (row.end // span, row.group)
            counts[key] = counts.get(key, 0) + 1
    tops: dict[int, int] = {}
    rows: list[Record] = []
    for (at, group), count in sorted(counts.items()):
        base = tops.get(at, 0)
        tops[at] = base + count
        found: Record = {"at": at * span / unit, "until": (at + 1) * span / unit, "group": group}
        rows.append(found | {"preempted": count, "base": base, "top": base + count})
    return rows


@dataclass(frozen=True, slots=True)
class Cost:
    """What one group cost, in millionths of a dollar, by what its chips did."""

    group: str
    whole: Fraction
    useful: Fraction
    lost: Fraction
    """Thrown away, and restarts."""
    idle: Fraction
    """Idle, stranded and draining."""
    boot: Fraction
    useful_chip_ms: int


def costs(measures: Measures) -> list[Cost]:
    """Each group that had slices; the parts add up to the whole."""
    found = []
    for group, slices in _by_group(measures).items():
        price = measures.group_price_per_hour.get(group, 0)
        paid = sum(existing_time(row, measures) for row in slices)
        whole = Fraction(paid * price, HOUR)
        parts = parts_of(measures, group)
        each = whole / total if (total := sum(parts.values())) else Fraction(0)
        found.append(
            Cost(
                group=group,
                whole=whole,
                useful=each * parts["useful"],
                lost=each * (parts["lost"] + parts["restart"]),
                idle=each * (parts["idle"] + parts["stranded"] + parts["drain"]),
                boot=each * parts["provision"],
                useful_chip_ms=parts["useful"],
            )
        )
    return found


def cost_by_user(measures: Measures) -> dict[str, Fraction]:
    """Millionths of a dollar for what each user's attempts held, kept or not; idle time is nobody's."""
    users = {job.job: job.user for job in counted_jobs(measures)}
    found: dict[str, Fraction] = {}
    for attempt in measures.attempts:
        user, row = users.get(attempt.job), measures.slices.get(attempt.slice)
        if user is None or row is None or not row.chips_milli:
            continue
        price = Fraction(measures.group_price_per_hour.get(row.group, 0), HOUR * row.chips_milli)
        spent = price * (attempt.useful + attempt.lost)
        found[user] = found.get(user, Fraction(0)) + spent
    return found


def jain_index(shares: Sequence[int]) -> float | None:
    """How even shares are: 1 when all are the same, 1/n when one has all; None of nothing.

    (R. Jain, D. Chiu, W. Hawe, "A quantitative measure of fairness", DEC TR-301, 1984.)
    """
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else None


def parts_by_group(measures: Measures) -> list[Record]:
    """By group and part of the ledger, chip-hours and the share of the group's time."""
    rows: list[Record] = []
    for group in _by_group(measures):
        parts = parts_of(measures, group)
        total = sum(parts.values())
        for rank, part in enumerate(PARTS):
            if total:
                share = round(parts[part] / total, 6)
                hours = round(parts[part] / (1000 * HOUR), 3)
                row = {"group": group, "part": part, "rank": rank}
                rows.append(row | {"chip_hours": hours, "share": share})
    return rows
