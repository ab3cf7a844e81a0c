"""The list of jobs: filters in the address, fifty on a page, found by the index of states."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from iris.core.lifecycle import JobState
from iris.core.records import Job
from iris.core.state import ClusterState
from iris.core.views import JobLine, job_line
from iris.dashboard.page import Asked, Json, Page, list_of
from iris.dashboard.rows import JobRow, Rows, job_rows, pages_of, taken
from iris.dashboard.subject import Subject
from iris.rpc.codec import job_line_to_wire
from iris.rpc.kinds_cluster import job

MOST_SEARCHED: Final = 20_000
"""Jobs that are looked at for a user or a name, the newest first."""


@dataclass(frozen=True, slots=True)
class Jobs:
    """What the page shows."""

    counts: Mapping[JobState, int]
    state: JobState | None  # None: all
    user: str
    name: str
    found: Rows[JobRow]
    lines: Sequence[JobLine]


async def load(subject: Subject, asked: Asked) -> Jobs:
    """One page of the jobs that are asked for."""
    state, query = subject.state, asked.query
    only, user, name = query.choice("state", JobState), query.text("user"), query.text("name")
    jobs = _in(state, only)
    total = len(state.by_state[only] if only is not None else state.jobs)
    if user or name:
        looked_at = islice(jobs, MOST_SEARCHED)
        matching = [it for it in looked_at if user in ("", it.spec.user) and name in it.id]
        jobs, total = iter(matching), len(matching)
    shown = taken(jobs, query.page)
    found = Rows(job_rows(state, shown, subject.now()), query.page, pages_of(total), total)
    counts = {it: len(names) for it, names in state.by_state.items()}
    return Jobs(counts, only, user, name, found, [job_line(it) for it in shown])


def _in(state: ClusterState, only: JobState | None) -> Iterator[Job]:
    """The jobs of a state, the one first that came into it last; of all states, the newest first."""
    if only is None:
        return iter(reversed(state.jobs.values()))
    return (state.jobs[name] for name in reversed(state.by_state[only]))


def told(model: Jobs) -> Json:
    """The same for programs."""
    items = [job(job_line_to_wire(line)) for line in model.lines]
    return list_of("Job", items, model.found.total)


PAGE = Page("/jobs", "jobs.html", "Jobs", load, told)
