"""The rows that the report draws and tabulates, cut to a size that a page can show.

A run may have a million samples, waits and attempts; a page shows some hundreds of each. What is
cut is cut by rule, and the page says so: series into spans of time that keep mean and peak, waits
into quantiles, slices to the worst.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from iris.core.reasons import Verdict
from sim.ledger import end_of, existing_time
from sim.measure import AttemptRow, JobRow, Measures, SliceRow
from sim.results import PERCENTS, completions, counted_jobs, queue_waits, seconds
from sim.statistics import Bucket, buckets, percentile, time_weighted
from sim.tables import number

Record = dict[str, object]

SPANS = 400
"""Of a time series, drawn over the width of a page."""
QUANTILES = 200
GANTT_SLICES = 300
GANTT_SEGMENTS = 12_000
ALL_BANDS = "all"

USES = ("useful", "lost", "restart", "idle", "stranded", "drain", "booting")
"""What chips do, as the ledger has it, in the order in which they are stacked."""


@dataclass(frozen=True, slots=True)
class TimeUnit:
    """What the time axes count in."""

    name: str
    millis: int


def time_unit(measures: Measures) -> TimeUnit:
    """Days, hours, minutes or seconds, so that an axis shows small numbers."""
    units = (("days", 86_400_000, 3), ("hours", 3_600_000, 2), ("minutes", 60_000, 3))
    for name, millis, at_least in units:
        if measures.now >= at_least * millis:
            return TimeUnit(name, millis)
    return TimeUnit("seconds", 1000)


def chips_over_time(measures: Measures, spans: int = SPANS) -> list[Record]:
    """By instant and use, the mean number of chips from there on; `wanted` among the uses.

    Of what an attempt held, restart comes first and what was lost last.
    """
    unit = time_unit(measures)
    series = {name: _sampled(measures, name) for name in ("idle", "stranded", "drain", "booting")}
    series |= _held(measures.attempts)
    series["wanted"] = [(sample.at, sample.wanted) for sample in measures.samples]
    rows: list[Record] = []
    for use in (*USES, "wanted"):
        for at, bucket in _steps(buckets(series[use], 0, measures.now, spans)):
            rows.append({"at": at / unit.millis, "use": use, "chips": round(bucket.mean / 1000, 3)})
    return rows


def _sampled(measures: Measures, use: str) -> list[tuple[int, int]]:
    amounts = {
        "idle": lambda sample: sample.idle - sample.stranded - sample.drain,
        "stranded": lambda sample: sample.stranded,
        "drain": lambda sample: sample.drain,
        "booting": lambda sample: sample.booting,
    }
    return [(sample.at, amounts[use](sample)) for sample in measures.samples]


def _held(attempts: Iterable[AttemptRow]) -> dict[str, list[tuple[int, int]]]:
    """What attempts held over time, in milli-chips, by what came of it."""
    changes: dict[str, dict[int, int]] = {"useful": {}, "lost": {}, "restart": {}}
    for one in attempts:
        if not one.chips_milli:
            continue
        works = one.start + one.restart // one.chips_milli
        spoilt = one.end - (one.lost - one.restart) // one.chips_milli
        spans = {
            "restart": (one.start, works),
            "useful": (works, spoilt),
            "lost": (spoilt, one.end),
        }
        for use, (start, end) in spans.items():
            if end > start:
                steps = changes[use]
                steps[start] = steps.get(start, 0) + one.chips_milli
                steps[end] = steps.get(end, 0) - one.chips_milli
    return {use: _summed(steps) for use, steps in changes.items()}


def _summed(steps: Mapping[int, int]) -> list[tuple[int, int]]:
    """The series of which these are the changes."""
    instants = sorted(steps)
    return list(zip(instants, accumulate(steps[at] for at in instants), strict=True))


def queue_over_time(measures: Measures, spans: int = SPANS) -> list[Record]:
    """By instant, the mean and the peak number of pending tasks from there on."""
    unit = time_unit(measures)
    points = [(sample.at, sample.pending_tasks) for sample in measures.samples]
    return [
        {"at": at / unit.millis, "mean": round(bucket.mean, 3), "peak": bucket.peak}
        for at, bucket in _steps(buckets(points, 0, measures.now, spans))
    ]


def waits_over_time(measures: Measures, spans: int = SPANS) -> list[Record]:
    """By instant and verdict, the mean number of tasks and gangs that wait for that from there on."""
    unit = time_unit(measures)
    rows: list[Record] = []
    for rank, verdict in enumerate(verdicts_seen(measures)):
        points = [(look.at, dict(look.units).get(verdict, 0)) for look in measures.waits]
        for at, bucket in _steps(buckets(points, 0, measures.now, spans)):
            row: Record = {"at": at / unit.millis, "verdict": verdict.value, "rank": rank}
            rows.append(row | {"units": round(bucket.mean, 3)})
    return rows


def verdicts_seen(measures: Measures) -> list[Verdict]:
    """What anything waited for at a look, in the order of the verdicts."""
    seen = {verdict for look in measures.waits for verdict, _ in look.units}
    return [verdict for verdict in Verdict if verdict in seen]


@dataclass(frozen=True, slots=True)
class Waited:
    """For how long units (tasks and gangs) waited for one thing, all together."""

    verdict: Verdict
    time: int
    """In milliseconds of one unit, after the warm-up."""
    peak: int


def waited(measures: Measures) -> list[Waited]:
    """What was waited for, that for which most time was waited first."""
    found = []
    for verdict in verdicts_seen(measures):
        points = [(look.at, dict(look.units).get(verdict, 0)) for look in measures.waits]
        time = time_weighted(points, measures.warm_up, measures.now)
        found.append(Waited(verdict, time, max(units for _, units in points)))
    return sorted(found, key=lambda one: -one.time)


def wait_curve(measures: Measures) -> list[Record]:
    """By band, which share of the started jobs had waited no longer than so many seconds."""
    return [
        {"band": band, "wait_s": span, "share": share}
        for band, jobs in jobs_by_band(measures).items()
        for span, share in curve(queue_waits(jobs))
    ]


def curve(spans: Iterable[int]) -> Iterator[tuple[float, float]]:
    """Seconds, and the share of these milliseconds that is no longer; at most 200 steps."""
    ordered = sorted(spans)
    steps = min(QUANTILES, len(ordered))
    for step in range(steps + 1 if steps else 0):
        rank = -(-step * len(ordered) // steps)
        # A log axis has no 0; less than a second is no time to speak of.
        yield max(1.0, seconds(ordered[max(0, rank - 1)])), round(rank / len(ordered), 6)


def jobs_by_band(measures: Measures) -> dict[str, list[JobRow]]:
    """The jobs that count, by band in the order in which bands first came."""
    bands: dict[str, list[JobRow]] = {}
    for job in counted_jobs(measures):
        bands.setdefault(job.band, []).append(job)
    return bands


def worst_slices(measures: Measures) -> list[SliceRow]:
    """The slices whose time did least good, at most 300, in the order of their start.

    What did no good is provisioned time that no attempt's kept work filled.
    """
    useful: dict[str, int] = {}
    for attempt in measures.attempts:
        useful[attempt.slice] = useful.get(attempt.slice, 0) + attempt.useful
    existing = [row for row in measures.slices.values() if row.created is not None]

    def waste(row: SliceRow) -> int:
        return row.chips_milli * existing_time(row, measures) - useful.get(row.slice, 0)

    worst = sorted(existing, key=lambda row: (-waste(row), row.requested, row.slice))
    return sorted(worst[:GANTT_SLICES], key=lambda row: (row.requested, row.slice))


def gantt_segments(measures: Measures) -> list[Record]:
    """What each of the worst slices did, a row for each phase and each attempt of a job on it."""
    unit = time_unit(measures)
    segments: list[Record] = []
    shown = worst_slices(measures)
    for row in shown:
        end = end_of(row, measures)
        created = row.created if row.created is not None else end
        ready = row.ready if row.ready is not None else end
        for kind, start, until in (("booting", created, ready), ("idle", ready, end)):
            if until > start:
                segments.append(_segment(unit, row, kind, (start, until), ""))
    names = {row.slice: row for row in shown}
    used = [one for one in _gang_attempts(measures.attempts) if one.slice in names]
    used.sort(key=lambda one: (one.start - one.end, one.start, one.job, one.attempt))
    for attempt in used[: max(0, GANTT_SEGMENTS - len(segments))]:
        kind = attempt.outcome.value if attempt.outcome is not None else "unfinished"
        span = (attempt.start, attempt.end)
        segments.append(_segment(unit, names[attempt.slice], kind, span, attempt.job))
    return segments


def spread_by_band(measures: Measures) -> list[Sequence[object]]:
    """Band, what is measured, how many, percentiles and maximum in seconds; all bands first."""
    jobs = {ALL_BANDS: counted_jobs(measures), **jobs_by_band(measures)}
    cuts = (*PERCENTS, 100)
    rows: list[Sequence[object]] = []
    for what, spans_of in (("queue wait", queue_waits), ("completion", completions)):
        for band, of_band in jobs.items():
            ordered = sorted(spans_of(of_band))
            quantiles = [seconds(percentile(ordered, p)) if ordered else None for p in cuts]
            rows.append((what, band, len(of_band), len(ordered), *quantiles))
    return rows


def most_lost(measures: Measures, count: int = 10) -> list[JobRow]:
    """The jobs with the most lost work, of those that lost any."""
    losers = [job for job in counted_jobs(measures) if job.lost > 0]
    return sorted(losers, key=lambda job: (-job.lost, job.job))[:count]


def users(measures: Measures, count: int = 20) -> list[tuple[str, list[JobRow], int]]:
    """Each user's jobs and milli-chip-milliseconds, the greatest users first."""
    jobs: dict[str, list[JobRow]] = {}
    for job in counted_jobs(measures):
        jobs.setdefault(job.user, []).append(job)
    used = [(user, rows, sum(row.useful + row.lost for row in rows)) for user, rows in jobs.items()]
    return sorted(used, key=lambda one: (-one[2], one[0]))[:count]


def wait_targets(expectations: object) -> list[Record]:
    """The limits that expectations set for the queue wait, to be marked in its curve."""
    assert isinstance(expectations, list), expectations
    targets: list[Record] = []
    for verdict in expectations:
        assert isinstance(verdict, Mapping), verdict
        limit = number(verdict["right"])
        if str(verdict["expr"]).startswith("queue_wait_s.p") and limit is not None:
            targets.append({"wait_s": max(1.0, limit), "expr": verdict["expr"]})
    return targets


def _steps(spans: Sequence[Bucket]) -> Iterator[tuple[int, Bucket]]:
    """Each span at its start, and the last at its end, too, so that a stepped line gets there."""
    for span in spans:
        yield span.start, span
    for span in spans[-1:]:
        yield span.end, span


def _gang_attempts(attempts: Iterable[AttemptRow]) -> list[AttemptRow]:
    """Of members that ran on one slice over one span, one: a gang is drawn as a single bar."""
    seen: dict[tuple[str, str, int, int, object], AttemptRow] = {}
    for one in attempts:
        seen.setdefault((one.job, one.slice, one.start, one.end, one.outcome), one)
    return list(seen.values())


def _segment(unit: TimeUnit, row: SliceRow, kind: str, span: tuple[int, int], job: str) -> Record:
    return {
        "slice": row.slice,
        "group": row.group,
        "zone": row.zone,
        "kind": kind,
        "start": span[0] / unit.millis,
        "end": span[1] / unit.millis,
        "job": job,
    }


def waits_by_group(measures: Measures) -> list[Record]:
    """By group and band, which share of the jobs that first ran there had waited no longer than so many seconds."""
    jobs: dict[tuple[str, str], list[JobRow]] = {}
    group_of = first_slices(measures)
    for job in counted_jobs(measures):
        row = group_of.get(job.job)
        if row is not None:
            jobs.setdefault((row.group, job.band), []).append(job)
    return [
        {"group": group, "band": band, "wait_s": span, "share": share}
        for (group, band), of_them in jobs.items()
        for span, share in curve(queue_waits(of_them))
    ]


def first_slices(measures: Measures) -> dict[str, SliceRow]:
    """By job, the slice on which user code of it ran first."""
    first: dict[str, AttemptRow] = {}
    for one in measures.attempts:
        known = first.get(one.job)
        if one.running is not None and (
            known is None or known.running is None or one.running < known.running
        ):
            first[one.job] = one
    return {job: measures.slices[one.slice] for job, one in first.items()}
