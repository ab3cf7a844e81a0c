"""What each user has had: chip time by what became of it, and its share of what slices cost.

Ended jobs are read once, when a page first asks after their end, and stay counted when they are
forgotten. What a job says of its checkpoints is believed: of an attempt that did not succeed, whole
spans of `checkpoint_every` since its start are kept. Without any all of it is lost.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from iris.core.ids import JobId, SliceId, UserName, slice_id
from iris.core.instant import Instant, Millis
from iris.core.lifecycle import AttemptState, JobState
from iris.core.records import Attempt, Job
from iris.core.spec import GroupSpec
from iris.core.state import ClusterState

_BREATH: Final = 500
"""Jobs that are read before others have their turn."""
_GOES_ON: Final = frozenset(
    {AttemptState.ASSIGNED, AttemptState.BUILDING, AttemptState.RUNNING, AttemptState.STOPPING}
)


@dataclass(slots=True)
class Had:
    """What one user has had; in chip-milliseconds, of work without an accelerator in core-milliseconds."""

    kept: int = 0
    """By attempts that succeeded, and what others had saved."""
    lost: int = 0
    """By attempts that ended otherwise, but for what they had saved."""
    running: int = 0
    """By attempts that go on."""
    jobs: int = 0
    cost: int = 0
    """The shares of slices that its attempts had, in millionths of a dollar times hours in milliseconds."""

    def add(self, other: "Had") -> None:
        """Put another's on top."""
        self.kept += other.kept
        self.lost += other.lost
        self.running += other.running
        self.jobs += other.jobs
        self.cost += other.cost


@dataclass(slots=True)
class Usage:
    """All users, remembered from one look to the next."""

    _ended: dict[UserName, Had] = field(default_factory=dict)
    _seen: dict[JobId, None] = field(default_factory=dict)
    _groups: dict[str, GroupSpec] = field(default_factory=dict)
    """By how the names of their slices begin.

    Slices are forgotten, and groups leave the configuration: what attempts on them have cost stays.
    """

    async def look(self, state: ClusterState, now: Instant) -> dict[UserName, Had]:
        """What each user has had until now."""
        for group in state.spec.groups:
            self._groups[_stem(slice_id(group.name, 0))] = group
        fresh: list[JobId] = []
        for name in reversed(state.ended):  # Those that ended last are at the end.
            if name in self._seen:
                break
            fresh.append(name)
        self._seen = {name: None for name in chain(state.ended) if name in self._seen}
        for number, name in enumerate(fresh):
            job = state.jobs.get(name)
            if job is not None:
                self._seen[name] = None
                self._ended.setdefault(job.spec.user, Had()).add(_had(self._groups, job, now))
            if number % _BREATH == _BREATH - 1:
                await asyncio.sleep(0)
        whole = {user: Had(**_fields(had)) for user, had in self._ended.items()}
        open_jobs = [*state.by_state[JobState.RUNNING], *state.by_state[JobState.PENDING]]
        for number, name in enumerate(open_jobs):
            job = state.jobs.get(name)
            if job is not None and job.ended_at is None:
                whole.setdefault(job.spec.user, Had()).add(_had(self._groups, job, now))
            if number % _BREATH == _BREATH - 1:
                await asyncio.sleep(0)
        return whole


def _fields(had: Had) -> dict[str, int]:
    return {
        "kept": had.kept,
        "lost": had.lost,
        "running": had.running,
        "jobs": had.jobs,
        "cost": had.cost,
    }


def _had(groups: Mapping[str, GroupSpec], job: Job, now: Instant) -> Had:
    had = Had(jobs=1)
    weight = job.spec.resources.chips * 1_000 or job.spec.resources.cpu
    for task in job.tasks:
        for attempt in task.attempts:
            end = attempt.ended_at if attempt.ended_at is not None else now
            amount = (end - attempt.assigned_at) * weight // 1_000
            if attempt.state is AttemptState.SUCCEEDED:
                had.kept += amount
            elif attempt.state in _GOES_ON:
                had.running += amount
            else:
                saved = _saved(attempt, job.spec.checkpoint_every, end) * weight // 1_000
                had.kept += saved
                had.lost += amount - saved
            group = groups.get(_stem(attempt.slice))
            # CPU work on a slice that is bought for its chips takes nothing of those.
            if group is not None and (group.accelerator is None or job.spec.resources.chips):
                had.cost += amount * (group.price_per_hour // max(1, group.chips))
    return had


def _saved(attempt: Attempt, every: Millis | None, end: Instant) -> int:
    """Milliseconds of an attempt's work that were not in vain though it was cut short."""
    if every is None or attempt.started_at is None:
        return 0
    return (end - attempt.started_at) // every * every


def _stem(slice_: SliceId) -> str:
    """What the names of all slices of its group have in common, and those of no other group."""
    return slice_.rpartition("-")[0]
