"""How the tasks of recorded jobs went: what each attempt worked and kept, and how long a task really is.

A task's length is known when it succeeded. One that was stopped, or never ran, or runs still, is as
long as similar ones: the median of those of the same user and name (without the numbers in it),
else of those that need the same, else of all; or its declared timeout where there are none. It is
never shorter than it was seen to work.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from iris.core.instant import Instant, Millis
from iris.core.records import Attempt, Job
from iris.core.retry import EndCause
from sim.chronicle import Chronicle
from sim.recorded_model import OwnEnd, TaskCourse

_OWN: Final = frozenset(
    {
        EndCause.EXIT_NONZERO,
        EndCause.OUT_OF_MEMORY,
        EndCause.LAUNCH,
        EndCause.BUILD,
        EndCause.UNKNOWN,
    }
)
"""Ends that the task, or its host's software, came to by itself."""
_OF_ITS_SLICE: Final = frozenset({EndCause.HOST_LOST, EndCause.PREEMPTION})
"""Ends that come with the loss of the slice, and are the task's own only where none was lost."""
_NUMBERS: Final = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True)
class Stretch:
    """One attempt, as work."""

    attempt: Attempt
    before: int
    """Milliseconds of work that earlier attempts had saved."""
    worked: int
    kept: int
    """What of `worked` was saved, or done for good."""


def stretches(job: Job, until: Instant) -> list[list[Stretch]]:
    """The attempts of each task of a job; one that has not ended has worked until an instant.

    What a job says of its checkpoints is believed; without any, an interrupted attempt has saved
    nothing. A gang works in step, from the start of its last member on, and saves in step.
    """
    if job.spec.coscheduled:
        return _in_step(job, [task.attempts for task in job.tasks], until)
    return [_in_step(job, [task.attempts], until)[0] for task in job.tasks]


def _in_step(job: Job, members: list[list[Attempt]], until: Instant) -> list[list[Stretch]]:
    every = job.spec.checkpoint_every
    found: list[list[Stretch]] = [[] for _ in members]
    before = 0
    for number in range(max(len(attempts) for attempts in members)):
        here = [(i, attempts[number]) for i, attempts in enumerate(members) if attempts[number:]]
        began = _began([attempt for _, attempt in here])
        worked = {i: _worked(attempt, began, until) for i, attempt in here}
        broken = [worked[i] for i, a in here if a.cause not in (None, EndCause.EXIT_ZERO)]
        saved = min(broken) // every * every if broken and every is not None else 0
        for i, attempt in here:
            done = attempt.cause in (None, EndCause.EXIT_ZERO)
            kept = worked[i] if done else min(saved, worked[i])
            found[i].append(Stretch(attempt, before, worked[i], kept))
        before += saved
    return found


def _began(attempts: list[Attempt]) -> Instant | None:
    """Since when attempts worked in step; nothing if one of them never ran."""
    starts = [attempt.started_at for attempt in attempts]
    known = [start for start in starts if start is not None]
    return max(known) if len(known) == len(starts) else None


def _worked(attempt: Attempt, began: Instant | None, until: Instant) -> int:
    if began is None:
        return 0
    return max(0, (attempt.ended_at if attempt.ended_at is not None else until) - began)


class Courses:
    """Makes courses of the tasks of a record."""

    def __init__(self, chronicle: Chronicle) -> None:
        """Of the jobs of a chronicle."""
        self._chronicle = chronicle
        self._until = chronicle.ended
        self._lengths: dict[object, list[int]] = {}
        self._launches: list[int] = []
        self.guessed = 0
        """Tasks whose length is not on record."""
        self.tasks = 0
        for job in chronicle.jobs:
            for task in stretches(job, chronicle.ended):
                self._learn(job, task)
        for lengths in self._lengths.values():
            lengths.sort()
        self._launches.sort()

    def _learn(self, job: Job, task: list[Stretch]) -> None:
        for one in task:
            span = _launch(one.attempt)
            if span is not None:
                self._launches.append(span)
            if one.attempt.cause is EndCause.EXIT_ZERO:
                for key in _likenesses(job):
                    self._lengths.setdefault(key, []).append(one.before + one.worked)

    def of(self, job: Job) -> tuple[TaskCourse, ...]:
        """The courses of a job's tasks."""
        tasks = stretches(job, self._until)
        failed = [n for n in range(max(map(len, tasks))) if self._is_failed(tasks, n)]
        return tuple(self._course(job, task, failed) for task in tasks)

    def _is_failed(self, tasks: list[list[Stretch]], number: int) -> bool:
        return any(self._is_failure(task[number].attempt) for task in tasks if task[number:])

    def _is_failure(self, attempt: Attempt) -> bool:
        """Whether an attempt failed of itself since the record began; what was before will not be again."""
        ended = attempt.ended_at
        return ended is not None and ended > self._chronicle.began and self._is_own(attempt)

    def _is_own(self, attempt: Attempt) -> bool:
        """Whether an attempt came to an end before its time by itself."""
        if attempt.cause in _OF_ITS_SLICE:
            return not self._chronicle.is_lost(attempt)
        return attempt.cause in _OWN

    def _course(self, job: Job, task: list[Stretch], failed: list[int]) -> TaskCourse:
        if not job.spec.coscheduled:
            failed = [n for n, one in enumerate(task) if self._is_failure(one.attempt)]
        return TaskCourse(
            length=self._length(job, task),
            failures=tuple(self._failure(task[n]) if task[n:] else None for n in failed),
            launches=tuple(self._launches_of(task)),
        )

    def _failure(self, one: Stretch) -> OwnEnd | None:
        cause = one.attempt.cause
        if cause is None or not self._is_own(one.attempt):
            return None
        return OwnEnd(Millis(one.before + one.worked), cause)

    def _length(self, job: Job, task: list[Stretch]) -> Millis:
        self.tasks += 1
        done = [s.before + s.worked for s in task if s.attempt.cause is EndCause.EXIT_ZERO]
        if done:
            return Millis(done[-1])
        self.guessed += 1
        seen = max((s.before + s.worked for s in task), default=0)
        return Millis(max(seen + 1, self._typical(job)))

    def _typical(self, job: Job) -> int:
        for key in _likenesses(job):
            if key is None and job.spec.timeout is not None:
                break
            lengths = self._lengths.get(key)
            if lengths:
                return _median(lengths)
        return job.spec.timeout or 0

    def _launches_of(self, task: list[Stretch]) -> Iterator[Millis]:
        usual = _median(self._launches) if self._launches else 0
        for one in task:
            span = _launch(one.attempt)
            yield Millis(usual if span is None else span)
        if not task:
            yield Millis(usual)


def _launch(attempt: Attempt) -> int | None:
    """From an attempt's start to its user's code running, or to its failing before that."""
    if attempt.started_at is not None:
        return attempt.started_at - attempt.assigned_at
    if attempt.cause in (EndCause.LAUNCH, EndCause.BUILD) and attempt.ended_at is not None:
        return attempt.ended_at - attempt.assigned_at
    return None


def _likenesses(job: Job) -> tuple[object, ...]:
    """What similar jobs have in common, the closest first; nothing is common to all."""
    spec = job.spec
    name = spec.user, _NUMBERS.sub("", job.id)
    return name, (spec.accelerator, spec.resources, spec.replicas), None


def _median(ordered: list[int]) -> int:
    return ordered[(len(ordered) - 1) // 2]


def saved_at(job: Job, now: Instant) -> list[int]:
    """Milliseconds of work that each task of a job has saved at an instant, live attempts apart."""
    found = []
    for task in stretches(job, now):
        last = task[-1] if task else None
        is_over = last is not None and last.attempt.cause not in (None, EndCause.EXIT_ZERO)
        before = last.before if last is not None else 0
        found.append(before + (last.kept if last is not None and is_over else 0))
    return found
