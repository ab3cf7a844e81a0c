"""What always holds, and the auditor who looks whether it does. Part of the product, not of its tests.

The predicates stand in five rooms: `iris.core.soundness`, `iris.core.recount` and
`iris.core.overdrawing` look at the state alone, `iris.core.conduct` at what happens in a turn, and
`iris.core.rehearsal` does it again on a twin.
`docs/invariants.md` lists them. Nothing here
changes the state: a simulation with the auditor ends in the digest of one without.
"""

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Final, TypeAlias

from iris.core.conduct import Witness
from iris.core.ids import TaskId, WorkerId
from iris.core.instant import Instant
from iris.core.lifecycle import ENDED_JOB, AttemptState, JobState
from iris.core.overdrawing import QUOTA_PREDICATES
from iris.core.record import Turn
from iris.core.recount import INDEX_PREDICATES
from iris.core.rehearsal import Rehearsal, reads_are_free
from iris.core.retry import EndCause
from iris.core.snapshot import copy_state
from iris.core.soundness import STATE_PREDICATES, Predicate, sight_of
from iris.core.state import ClusterState

PREDICATES: Final = (*STATE_PREDICATES, *INDEX_PREDICATES, *QUOTA_PREDICATES)
"""Every predicate of the state alone."""

SENTENCES_KEPT: Final = 20

_End: TypeAlias = "tuple[AttemptState, EndCause | None, Instant | None, Instant | None, WorkerId]"

_END: Final = attrgetter("state", "cause", "started_at", "ended_at", "worker")

_TURNS_PER_ROW: Final = 4
"""Turns between two looks at the whole state, for each task, slice and worker of it: what such a
look costs, spread.
"""


def violations(state: ClusterState) -> list[str]:
    """A sentence for everything about a state, between two turns, that must not be."""
    sight = sight_of(state)
    return [sentence for predicate in _asked_of(state) for sentence in predicate(sight)]


def _asked_of(state: ClusterState) -> tuple[Predicate, ...]:
    """All predicates, but those of quotas where there are none."""
    return PREDICATES if state.spec.scheduler.quotas else PREDICATES[: -len(QUOTA_PREDICATES)]


class Auditor:
    """Looks at every turn of a controller, and now and then, or each time, at the whole state."""

    def __init__(self, state: ClusterState, *, every_turn: bool) -> None:
        self.checked = 0
        """Evaluations of predicates so far."""
        self.violated = 0
        self.sentences: list[str] = []
        """The first violations, as sentences."""
        self._state = state
        self._rehearsal = Rehearsal(state) if every_turn else None
        self.witness = Witness(state)
        self._turns = 0
        self._next_look = 1
        self._ended_jobs: dict[int, JobState] = {}
        self._ended_attempts: dict[tuple[int, TaskId], list[_End]] = {}

    def after_restart(self, state: ClusterState, before: str) -> "Auditor":
        """The one who goes on when a controller has recovered its state, which should be as it was.

        Args:
            state: as it was recovered.
            before: the digest of the state after the last durable turn.
        """
        after = Auditor(state, every_turn=self._rehearsal is not None)
        after.checked, after.violated = self.checked + 1, self.violated
        after.sentences = self.sentences
        after._turns, after._next_look = self._turns, self._next_look
        after._ended_jobs, after._ended_attempts = self._ended_jobs, self._ended_attempts
        if state.digest() != before:
            after._note(f"V-17 recovery at {state.now} leads to another state")
        return after

    def check(self, turn: Turn) -> None:
        """Judge a turn that the state has just been through."""
        self._note_all(self.witness.saw(turn))
        self._turns += 1
        if self._rehearsal is not None:
            self.checked += 1
            self._note_all(self._rehearsal.follow(turn))
        sparse = self._turns >= self._next_look
        if sparse:
            rows = len(self._state.tasks) + len(self._state.slices) + len(self._state.workers)
            self._next_look = self._turns + max(self._turns, _TURNS_PER_ROW * rows)
        if self._rehearsal is None and sparse:
            self._look()
        elif sparse:
            self.check_all()
        elif self._rehearsal is not None:
            self._look()

    def rested(self, now: Instant) -> None:
        """Judge a wake-up at which nothing was learned and nothing decided."""
        self._note_all(self.witness.rested(now))

    def check_all(self) -> str:
        """The digest of the state, after a look at all of it and at what stays wrong once it is wrong."""
        digest = self._state.digest()
        self._look()
        if self._rehearsal is not None:
            self.checked += 2
            self._note_all(self._rehearsal.recovery_leads_here())
            self._note_all(self._copy_is_equal())
        self.checked += 1
        self._note_all(reads_are_free(self._state, digest))
        return digest

    def _copy_is_equal(self) -> Iterator[str]:
        """V-17: a copy of the tables, which recovery starts from, is equal to the state."""
        if copy_state(self._state).rows() != self._state.rows():
            yield "V-17 a copy of the state is not equal to it"

    def _note_all(self, sentences: Iterable[str]) -> None:
        for sentence in sentences:
            self._note(sentence)

    def _note(self, sentence: str) -> None:
        self.violated += 1
        if len(self.sentences) < SENTENCES_KEPT:
            self.sentences.append(sentence)

    def _look(self) -> None:
        witness = self.witness
        self.checked += len(_asked_of(self._state)) + 5 + witness.checked
        witness.checked = 0
        self._note_all(violations(self._state))
        self._note_all(witness.ends_were_seen())
        self._note_all(witness.progress_was_told())
        self._note_all(witness.the_silent_are_not_healthy())
        self._note_all(self._ends_are_final())
        self._note_all(self._ends_stay())

    def _ends_are_final(self) -> Iterator[str]:
        """V-15: a job that has ended keeps its state, and stays ended."""
        seen: dict[int, JobState] = {}
        for name, job in self._state.jobs.items():
            before = self._ended_jobs.get(job.number)
            if before is not None and job.state is not before:
                yield f"V-15 job {name} had ended as {before.value} and is {job.state.value}"
            if job.state in ENDED_JOB:
                seen[job.number] = job.state
        self._ended_jobs = seen

    def _ends_stay(self) -> Iterator[str]:
        """V-02: an attempt that has ended never changes, and is not forgotten before its job."""
        seen: dict[tuple[int, TaskId], list[_End]] = {}
        for job in self._state.jobs.values():
            for task in job.tasks:
                ends: list[_End] = [_END(a) for a in task.attempts if a.ended_at is not None]
                key = job.number, task.id
                before = self._ended_attempts.get(key)
                if before is not None and ends[: len(before)] != before:
                    yield f"V-02 ended attempts of {task.id} have changed: {before} became {ends}"
                if ends:
                    seen[key] = ends
        self._ended_attempts = seen
