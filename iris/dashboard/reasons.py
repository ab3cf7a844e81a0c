"""Why work waits and groups stand as they do, in the core's own words, for as many as a page shows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from iris.core.explain import why_not_scaling, why_waiting
from iris.core.ids import GroupName, JobId
from iris.core.instant import Instant
from iris.core.reasons import Reason, Verdict, sentences
from iris.core.state import ClusterState

MOST_SHAPES: Final = 40
"""Kinds of waiting work that are explained on one page."""


@dataclass(frozen=True, slots=True)
class Told:
    """Why a job waits."""

    verdict: str
    headline: str
    sentences: Sequence[str]


@dataclass(frozen=True, slots=True)
class GroupTold:
    """Why a group has the slices that it has."""

    group: GroupName
    rule: str
    headline: str
    sentences: Sequence[str]
    demand: int
    is_held: bool
    """Work waits for it, and it gets no slice now."""


def told(state: ClusterState, job: JobId, now: Instant) -> Told:
    """Why a job on record waits."""
    return _told(why_waiting(state, job, now))


def _told(reason: Reason) -> Told:
    said = sentences(reason)
    return Told(reason.verdict.value, said[0], said)


def headlines(state: ClusterState, jobs: Iterable[JobId]) -> Mapping[JobId, Told]:
    """The same for several jobs that wait."""
    return {job: told(state, job, state.now) for job in jobs}


def by_verdict(state: ClusterState) -> Mapping[str, int]:
    """How many units wait, by what they wait for; of many kinds of work, the first ones."""
    counts: dict[str, int] = {}
    for queue in list(state.waiting.queues.values())[:MOST_SHAPES]:
        job = state.job_by_number[queue.head().job].id
        verdict = why_waiting(state, job, state.now).verdict.value
        counts[verdict] = counts.get(verdict, 0) + len(queue)
    return counts


def of_groups(state: ClusterState) -> Sequence[GroupTold]:
    """What holds for every configured group, in the order of the configuration."""
    found = []
    for group in state.spec.groups:
        scaling = why_not_scaling(state, group.name)
        said = sentences(scaling)
        limits = [limit for _, zone in scaling.limits for limit in zone]
        held = bool(scaling.demand and all(zone for _, zone in scaling.limits))
        rule = limits[0].check if held and limits else "open"
        found.append(GroupTold(group.name, rule, said[-1], said, scaling.demand, held))
    return found


NEVER: Final = frozenset({Verdict.NEVER_FITS.value})
"""Verdicts of work that nobody need wait for."""
