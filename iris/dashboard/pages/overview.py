"""The overview: what needs attention with a link to its cause, then what there is and how it was used."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from iris.core.instant import DAY, HOUR, Instant
from iris.core.lifecycle import ALIVE, JobState, SliceState, WorkerState
from iris.core.state import ClusterState
from iris.dashboard import reasons, words
from iris.dashboard.page import Asked, Json, Page, object_of
from iris.dashboard.recent import Sample, sample_of, thinned
from iris.dashboard.rows import JobRow, job_rows
from iris.dashboard.subject import Subject
from iris.dashboard.timeline import Areas, areas

MOST_FAILED = 8
MOST_SILENT = 8
_BAD = (JobState.FAILED, JobState.UNSCHEDULABLE)


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing that somebody should look at."""

    what: str
    url: str
    why: str
    at: Instant | None  # None: it is so now
    is_bad: bool
    """It has gone wrong, and does not only wait."""


@dataclass(frozen=True, slots=True)
class Overview:
    """What the page shows."""

    alarms: Sequence[Alarm]
    more_failed: int
    jobs: Mapping[JobState, int]
    verdicts: Mapping[str, int]
    waiting: Sequence[JobRow]
    """The jobs that wait longest."""
    workers: Mapping[str, int]
    now: Sample
    per_hour: int
    """What all slices cost, in millionths of a dollar."""
    groups: Sequence[tuple[str, int, int]]
    """Name, slices that may exist, and the most that there may be."""
    since: Instant
    """When the first sample of the drawing was taken."""
    chart: Areas


async def load(subject: Subject, asked: Asked) -> Overview:
    """The cluster at a glance."""
    verdicts = await reasons.by_verdict(subject, asked.breath)
    await asked.breath.draw_in_time()
    state, now = subject.state, subject.now()
    since = Instant(max(0, now - DAY))
    failed, more = _failed(state, since, now)
    waiting = _longest_waiting(state, now)
    await asked.breath.draw_in_time()
    alarms = [*_silent(state), *_lost(state, now), *_groups(state), *_late(subject)]
    await asked.breath.draw_in_time()
    samples = thinned(subject.recent.samples)
    return Overview(
        alarms=[*failed, *alarms],
        more_failed=more,
        jobs={it: len(names) for it, names in state.by_state.items()},
        verdicts=verdicts,
        waiting=waiting,
        workers=_workers(state),
        now=sample_of(state, now),
        per_hour=sum(subject.recent.costs.per_hour(state).values()),
        groups=[(g.name, state.existing(g.name), g.max_slices) for g in state.spec.groups],
        since=samples[0].at if samples else now,
        chart=areas(
            [it.at for it in samples],
            [
                ("busy", "busy", [it.busy for it in samples]),
                ("idle", "idle", [it.idle for it in samples]),
                ("coming", "wait", [it.coming for it in samples]),
            ],
            now,
        ),
    )


def _failed(state: ClusterState, since: Instant, now: Instant) -> tuple[list[Alarm], int]:
    """The jobs that failed last, and how many more did within a day; a tree is told by its root cause."""
    fresh = [
        name
        for kind in _BAD
        for name in islice(reversed(state.by_state[kind]), 200)
        if (state.jobs[name].ended_at or 0) >= since
    ]
    fresh.sort(key=lambda name: -(state.jobs[name].ended_at or 0))
    rows = job_rows(state, (state.jobs[name] for name in fresh[:MOST_FAILED]), now)
    alarms = [
        Alarm(
            f"{row.id} {row.state.value}", words.job_url(row.id), row.why, row.ended_at, is_bad=True
        )
        for row in rows
    ]
    return alarms, len(fresh) - len(rows)


def _groups(state: ClusterState) -> Iterator[Alarm]:
    for told in reasons.of_groups(state):
        if told.is_held:
            wanted = words.plural(told.scaling.demand, "unit")
            what = f"{told.group} gets no more slices, and {wanted} of work would use them"
            yield Alarm(what, f"/capacity#why-{told.group}", told.headline, None, is_bad=False)


def _silent(state: ClusterState) -> Iterator[Alarm]:
    """Workers of which a word is awaited, and not those of slices that are being given back."""
    silent = (
        row
        for row in state.workers.values()
        if row.state is WorkerState.SILENT and state.slices[row.slice].state in ALIVE
    )
    for row in islice(silent, MOST_SILENT):
        why = f"on {row.slice}, with {words.plural(len(row.attempts), 'attempt')}"
        yield Alarm(
            f"{row.id} is silent", words.worker_url(row.id), why, row.silent_since, is_bad=True
        )


def _lost(state: ClusterState, now: Instant) -> Iterator[Alarm]:
    """Groups that lost slices within an hour, and not to the cloud's own preemption."""
    for group in state.spec.groups:
        recent = [it for it in state.lives.get(group.name, ()) if it.over_at >= now - HOUR]
        failed = [it for it in recent if it.end is SliceState.FAILED]
        if failed:
            refusals = ", ".join(sorted({it.failure for it in failed if it.failure}))
            what = f"{words.plural(len(failed), 'slice')} of {group.name} failed within an hour"
            why = f"refused by the cloud: {refusals}" if refusals else "hosts were lost"
            yield Alarm(what, f"/capacity#why-{group.name}", why, failed[-1].over_at, is_bad=True)


def _late(subject: Subject) -> Iterator[Alarm]:
    lateness = subject.recent.lateness(subject.now())
    if lateness is not None:
        yield Alarm("the controller's loop was late", "/controller", lateness, None, is_bad=True)


def _longest_waiting(state: ClusterState, now: Instant) -> list[JobRow]:
    pending = islice(state.by_state[JobState.PENDING], 5)
    return job_rows(state, (state.jobs[name] for name in pending), now)


def _workers(state: ClusterState) -> dict[str, int]:
    """Those of slices that live; whoever is lost goes with its slice."""
    tally = {it.value: 0 for it in WorkerState}
    for row in state.workers.values():
        tally[row.state.value] += 1
    del tally[WorkerState.LOST.value]
    return {name: count for name, count in tally.items() if count}


def told(model: Overview) -> Json:
    """The same for programs."""
    item = {
        "attention": [
            {"what": alarm.what, "page": alarm.url, "why": alarm.why} for alarm in model.alarms
        ],
        "jobs": {state.value: count for state, count in model.jobs.items()},
        "waiting": dict(model.verdicts),
        "workers": dict(model.workers),
        "chips": {
            "busy": model.now.busy,
            "idle": model.now.idle,
            "coming": model.now.coming,
        },
        "usd_per_hour": model.per_hour / 1_000_000,
    }
    return object_of("Overview", item)


PAGE = Page("/", "overview.html", "Overview", load, told)
