"""What each user has had: chip time by what became of it, and its share of what slices cost.

Ended jobs are read once, when a page first asks after their end, and stay counted when they are
forgotten. An attempt that did not succeed counts as lost: what it had saved by then, only it knows.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from iris.core.ids import JobId, SliceId, UserName, slice_id
from iris.core.instant import Instant
from iris.core.lifecycle import AttemptState, JobState
from iris.core.records import Job
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
    """By attempts that succeeded."""
    lost: int = 0
    """By attempts that ended otherwise."""
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
    _prices: dict[str, int] = field(default_factory=dict)
    """Of a chip for an hour, in millionths of a dollar, by how the names of a group's slices begin.

    Slices are forgotten, and groups leave the configuration: what attempts on them have cost stays.
    """

    async def look(self, state: ClusterState, now: Instant) -> dict[UserName, Had]:
        """What each user has had until now."""
        for group in state.spec.groups:
            self._prices[_stem(slice_id(group.name, 0))] = group.price_per_hour // max(
                1, group.chips
            )
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
                self._ended.setdefault(job.spec.user, Had()).add(_had(self._prices, job, now))
            if number % _BREATH == _BREATH - 1:
                await asyncio.sleep(0)
        whole = {user: Had(**_fields(had)) for user, had in self._ended.items()}
        open_jobs = [*state.by_state[JobState.RUNNING], *state.by_state[JobState.PENDING]]
        for number, name in enumerate(open_jobs):
            job = state.jobs.get(name)
            if job is not None and job.ended_at is None:
                whole.setdefault(job.spec.user, Had()).add(_had(self._prices, job, now))
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


def _had(prices: Mapping[str, int], job: Job, now: Instant) -> Had:
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
                had.lost += amount
            had.cost += amount * prices.get(_stem(attempt.slice), 0)
    return had


def _stem(slice_: SliceId) -> str:
    """What the names of all slices of its group have in common, and those of no other group."""
    return slice_.rpartition("-")[0]
