"""The results of a run: the object that `iris sim --json` prints, out of the rows of `Measures`.

It decides what each figure means and nothing else; nothing here simulates, draws or formats.

- A job's queue wait is from its submission to its first running attempt, over the jobs that
  started; its completion is from submission to end, over the jobs that succeeded. Jobs that did
  neither are counted under `jobs`, never dropped.
- Percentiles are nearest-rank (see `sim.statistics`), so that each is a wait that really happened.
- Every provisioned chip-second is useful, lost, idle or boot. The sums are integers, from sources
  that do not know each other (`lost` is no remainder), and the identity is checked as an invariant:
  its breach is one violation more, with a sentence that names the first slice that is off.
- What has no value is null, and never 0: the fraction of nothing, the percentile of no waits.
- With a warm-up, jobs submitted before it count in no figure, nor does time before it in the ledger
  and the groups; `sim.ledger` says how that is cut.

Replications are put together number by number; see `aggregate`.
Spans are seconds to the millisecond; chip-seconds are exact to the millionth.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from iris.core.lifecycle import AttemptState, JobState
from sim.expect import judge
from sim.ledger import (
    Ledger,
    busy_before,
    end_of,
    existing_time,
    ledger_gap,
    ledger_of,
    ready_time,
)
from sim.measure import JobRow, Measures, SliceRow
from sim.model import Expectation
from sim.statistics import mean_interval, percentile

PERCENTS = (50, 90, 95, 99)
_CREATE_FAILURES = {
    "stockout": "stockout",
    "quota": "quota",
    "quota_zone": "quota",
    "quota_region": "quota",
    "internal": "internal",
    "rate": "other",
    "permission": "other",
    "bad_request": "other",
    "unknown": "other",
}
_MILLIS_PER_HOUR = 3_600_000
_MILLIONTHS = 1_000_000


def summarize(measures: Measures, scenario_expect: Sequence[Expectation]) -> dict[str, object]:
    """The results of one run, in the order in which they are printed."""
    jobs = counted_jobs(measures)
    ledger = ledger_of(measures)
    groups, cost = _groups(measures)
    gap = ledger_gap(measures, ledger)
    results: dict[str, object] = {
        "scenario": measures.scenario,
        "seed": measures.seed,
        "simulated_s": seconds(measures.now),
        "turns": measures.turns,
        "events": measures.events,
        "digest": measures.digest,
        "jobs": _job_counts(jobs),
        "queue_wait_s": spread(queue_waits(jobs)),
        "completion_s": spread(completions(jobs)),
        "attempts": _attempt_counts(measures),
        "work": _work(ledger),
        "groups": groups,
        "makespan_s": _makespan(jobs),
        "cost_usd": cost,
        "invariants": {
            "checked": measures.invariants_checked + 1,
            "violated": measures.invariants_violated + len(gap),
            "violations": [*measures.violations, *gap],
        },
    }
    wall = {"wall_s": round(measures.wall_s, 3)}
    results["expect"] = [judge(expectation, {**results, **wall}) for expectation in scenario_expect]
    results |= wall
    results["partial"] = measures.partial
    results["warm_up_s"] = seconds(measures.warm_up)
    results["explanations"] = [{"job": job, "why": list(why)} for job, why in measures.explanations]
    return results


def aggregate(summaries: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """The results of replications as one object of the same shape, after `replications: K`.

    Every number, the seed too, becomes `{mean, ci95_low, ci95_high, values}`, with the values in
    order of the seeds and the statistics over those that are not null. The digest becomes
    `{values}`. An expectation holds when it held in every run (`values` says in which), the whole
    is partial when any run was, and sentences of violations and explanations name their seed.
    """
    assert summaries, "an aggregate of nothing"
    together = {key: _together(key, [one[key] for one in summaries]) for key in summaries[0]}
    invariants = together["invariants"]
    assert isinstance(invariants, dict), invariants
    invariants["violations"] = [
        f"seed {one['seed']}: {sentence}" for one in summaries for sentence in violations_of(one)
    ]
    together["explanations"] = [
        {"seed": one["seed"], **row} for one in summaries for row in explanations_of(one)
    ]
    return {"replications": len(summaries), **together}


def is_study(results: Mapping[str, object]) -> bool:
    """Whether these are the results of replications, and not of one run."""
    return "replications" in results


def violations_of(summary: Mapping[str, object]) -> list[str]:
    """The sentences about what must never happen and did, of one run or of an aggregate."""
    invariants = summary["invariants"]
    assert isinstance(invariants, dict), invariants
    return [str(sentence) for sentence in invariants["violations"]]


def explanations_of(summary: Mapping[str, object]) -> list[Mapping[str, object]]:
    """Why some jobs did not succeed: rows of `{job, why}`, of an aggregate with their `seed`."""
    rows = summary["explanations"]
    assert isinstance(rows, list), rows
    return rows


def counted_jobs(measures: Measures) -> list[JobRow]:
    """The jobs that count: those submitted after the warm-up."""
    return [job for job in measures.jobs.values() if job.submit >= measures.warm_up]


def queue_waits(jobs: Iterable[JobRow]) -> list[int]:
    """Milliseconds from submission to the first running attempt, of the jobs that started."""
    return [job.first_running - job.submit for job in jobs if job.first_running is not None]


def completions(jobs: Iterable[JobRow]) -> list[int]:
    """Milliseconds from submission to end, of the jobs that succeeded."""
    return [
        job.end - job.submit
        for job in jobs
        if job.end is not None and job.state is JobState.SUCCEEDED
    ]


def spread(spans: Iterable[int]) -> dict[str, object]:
    """How many spans there are, their mean, percentiles and maximum in seconds; null of none."""
    ordered = sorted(spans)
    if not ordered:
        return {"count": 0, "mean": None, **{f"p{p}": None for p in PERCENTS}, "max": None}
    return {
        "count": len(ordered),
        "mean": round(sum(ordered) / (1000 * len(ordered)), 3),
        **{f"p{p}": seconds(percentile(ordered, p)) for p in PERCENTS},
        "max": seconds(ordered[-1]),
    }


def seconds(span: int) -> float:
    """Milliseconds as seconds."""
    return span / 1000


def chip_seconds(amount: int) -> float:
    """Milli-chip-milliseconds as chip-seconds; the nearest double to the exact millionths."""
    return amount / _MILLIONTHS


def cost_usd(row: SliceRow, measures: Measures) -> float:
    """What one slice cost after the warm-up."""
    return _dollars(_price(row, measures) * existing_time(row, measures))


def group_costs(measures: Measures) -> dict[str, int]:
    """What the slices of every group cost after the warm-up, in millionths of a dollar times hours in milliseconds."""
    costs = dict.fromkeys(measures.group_price_per_hour, 0)
    for row in measures.slices.values():
        cost = _price(row, measures) * existing_time(row, measures)
        costs[row.group] = costs.get(row.group, 0) + cost
    return costs


def _job_counts(jobs: Sequence[JobRow]) -> dict[str, object]:
    ended = (JobState.SUCCEEDED, JobState.FAILED, JobState.KILLED, JobState.UNSCHEDULABLE)
    counts = {state.value: sum(1 for job in jobs if job.state is state) for state in ended}
    return {
        "submitted": len(jobs),
        **counts,
        "unfinished": len(jobs) - sum(counts.values()),
    }


def _attempt_counts(measures: Measures) -> dict[str, object]:
    """The attempts of all jobs that count, by the ends that tell of trouble."""
    counts = dict.fromkeys(AttemptState, 0)
    total = 0
    for attempt in measures.attempts:
        job = measures.jobs.get(attempt.job)
        if job is not None and job.submit < measures.warm_up:
            continue
        total += 1
        if attempt.outcome is not None:
            counts[attempt.outcome] += 1
    return {
        "total": total,
        "preempted": counts[AttemptState.PREEMPTED],
        "evicted": counts[AttemptState.EVICTED],
        "failed": counts[AttemptState.FAILED],
        "worker_failed": counts[AttemptState.WORKER_FAILED],
    }


def _work(ledger: Ledger) -> dict[str, object]:
    return {
        "useful_chip_s": chip_seconds(ledger.useful),
        "lost_chip_s": chip_seconds(ledger.lost),
        "idle_chip_s": chip_seconds(ledger.idle),
        "boot_chip_s": chip_seconds(ledger.boot),
        "provisioned_chip_s": chip_seconds(ledger.provisioned),
        "goodput_fraction": _fraction(ledger.useful, ledger.provisioned),
    }


def _groups(measures: Measures) -> tuple[dict[str, object], float]:
    """The figures of every configured group, used or not, and the cost of all together."""
    rows: dict[str, list[SliceRow]] = {group: [] for group in measures.group_price_per_hour}
    for row in measures.slices.values():
        rows.setdefault(row.group, []).append(row)
    used_before, costs = busy_before(measures), group_costs(measures)
    groups: dict[str, object] = {
        group: _group(slices, measures, used_before, costs[group]) for group, slices in rows.items()
    }
    return groups, _dollars(sum(costs.values()))


def _group(
    slices: Sequence[SliceRow], measures: Measures, used_before: Mapping[str, int], cost: int
) -> dict[str, object]:
    warm_up = measures.warm_up
    existing = sum(existing_time(row, measures) for row in slices)
    capacity = sum(row.chips_milli * ready_time(row, measures) for row in slices)
    busy = sum(row.busy - used_before.get(row.slice, 0) for row in slices)
    refused = dict.fromkeys(("stockout", "quota", "internal", "other"), 0)
    for row in slices:
        if row.outcome in _CREATE_FAILURES and row.requested >= warm_up:
            refused[_CREATE_FAILURES[row.outcome]] += 1
    return {
        "slices_created": sum(
            1 for row in slices if row.created is not None and row.created >= warm_up
        ),
        "slices_preempted": sum(
            1 for row in slices if row.outcome == "preempted" and end_of(row, measures) >= warm_up
        ),
        "slices_peak": max(_counts_over_time(slices, measures), default=0),
        "slices_mean": _fraction(existing, measures.now - warm_up),
        "utilisation": _fraction(busy, capacity),
        "cost_usd": _dollars(cost),
        "create_failures": refused,
    }


def _counts_over_time(slices: Sequence[SliceRow], measures: Measures) -> Iterator[int]:
    """How many slices existed after each change; of one instant, ends come before starts."""
    changes: list[tuple[int, int]] = []
    for row in slices:
        if row.created is not None and existing_time(row, measures) > 0:
            changes.append((max(row.created, measures.warm_up), 1))
            changes.append((end_of(row, measures), -1))
    count = 0
    for _, change in sorted(changes):
        count += change
        yield count


def _price(row: SliceRow, measures: Measures) -> int:
    return measures.group_price_per_hour.get(row.group, 0)


def _dollars(price_millis: int) -> float:
    """Millionths of a dollar an hour, times milliseconds, as dollars."""
    return round(price_millis / (_MILLIS_PER_HOUR * _MILLIONTHS), 6)


def _fraction(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole > 0 else None


def _makespan(jobs: Sequence[JobRow]) -> float | None:
    ends = [job.end for job in jobs if job.end is not None]
    return seconds(max(ends) - min(job.submit for job in jobs)) if ends else None


def _together(key: str, values: Sequence[object]) -> object:
    """One key of several results."""
    first = values[0]
    if key in ("violations", "explanations"):
        return []  # put together by the caller, who knows the seeds
    if isinstance(first, bool):
        return _whether(key, [value is True for value in values])
    if isinstance(first, Mapping):
        rows = [value for value in values if isinstance(value, Mapping)]
        return {name: _together(name, [row[name] for row in rows]) for name in first}
    if isinstance(first, list):
        lists = [value for value in values if isinstance(value, list)]
        return [_expectation(list(ones)) for ones in zip(*lists, strict=True)]
    if isinstance(first, str):
        return {"values": list(values)} if key == "digest" else first
    return _statistic([value for value in values if isinstance(value, int | float | None)])


def _whether(key: str, values: Sequence[bool]) -> bool:
    """A run is partial if any is; anything else is true if it always is."""
    return any(values) if key == "partial" else all(values)


def _expectation(verdicts: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """One expectation over all runs."""
    together = {key: _together(key, [one[key] for one in verdicts]) for key in verdicts[0]}
    return {**together, "values": [one["holds"] for one in verdicts]}


def _statistic(values: Sequence[float | None]) -> dict[str, object]:
    known = [value for value in values if value is not None]
    if not known:
        return {"mean": None, "ci95_low": None, "ci95_high": None, "values": list(values)}
    interval = mean_interval(known)
    return {
        "mean": round(interval.mean, 6),
        "ci95_low": round(interval.low, 6),
        "ci95_high": round(interval.high, 6),
        "values": list(values),
    }
