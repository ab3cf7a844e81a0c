"""The worker's own machine: what to launch, stop and forget, by what it was told and what it sees.

Like the controller it is told the time and what happened, and returns requests; its driver talks
to the runtime and to the wire. It never concludes anything about a job. It starts what it is told
to have and does not have, ends what it has and is not told to have, and keeps every end until the
controller no longer wants the attempt, which it does only once the end is on record.

An attempt is launching, running, stopping, or ended. A stop is never taken back: an older desired
set that arrives late revives nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias, assert_never

from iris.core.desired import DesiredSet, WantedAttempt
from iris.core.events import AttemptReport
from iris.core.ids import TaskId
from iris.core.instant import Instant, Millis, after, since
from iris.core.lifecycle import AttemptState
from iris.core.retry import EndCause

Key: TypeAlias = tuple[TaskId, int]
"""A task, and the number of an attempt at it."""

# ---- facts -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """The controller answered: this is all that the worker shall have."""

    desired: DesiredSet


@dataclass(frozen=True, slots=True)
class Found:
    """The runtime holds an attempt from before this agent started."""

    task: TaskId
    attempt: int


@dataclass(frozen=True, slots=True)
class Started:
    """The user's code of an attempt runs."""

    task: TaskId
    attempt: int


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt's process or container is gone, with everything that it started."""

    task: TaskId
    attempt: int
    cause: EndCause
    """As the runtime saw it."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ShutdownNoticed:
    """The machine will be taken, or the worker was asked to end: nothing new, and stop what runs."""

    grace: Millis


LAST_GRACE: Final = Millis(3_000)
"""From SIGTERM to SIGKILL for what runs when the worker itself must end, or is refused."""
NOTICE_GRACE: Final = Millis(25_000)
"""Likewise when the cloud has announced that it takes the machine, which it does after some 30 seconds."""

Fact: TypeAlias = Told | Found | Started | Ended | ShutdownNoticed

# ---- requests ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Launch:
    """Set up an attempt and run it; answered by `Started` and `Ended`, or by `Ended` alone."""

    wanted: WantedAttempt


@dataclass(frozen=True, slots=True)
class Terminate:
    """Ask an attempt to end: SIGTERM, or give up setting it up."""

    task: TaskId
    attempt: int


@dataclass(frozen=True, slots=True)
class Kill:
    """End an attempt now: SIGKILL to all that it started."""

    task: TaskId
    attempt: int


@dataclass(frozen=True, slots=True)
class Discard:
    """Nobody will ask for this ended attempt again: remove what is left of it."""

    task: TaskId
    attempt: int


Request: TypeAlias = Launch | Terminate | Kill | Discard

# ---- the machine -------------------------------------------------------------------------------


class Phase(Enum):
    """Where an attempt stands on this host."""

    LAUNCHING = "launching"
    RUNNING = "running"
    STOPPING = "stopping"
    ENDED = "ended"


@dataclass(slots=True)
class Held:
    """An attempt that this host has, or had and not yet been allowed to forget."""

    phase: Phase
    started: bool = False
    kill_at: Instant | None = None  # None: no stop is under way, or it was killed already
    cause: EndCause | None = None  # None: it has not ended, or was stopped
    detail: str = ""


_STATE_BY_CAUSE: Final = {
    EndCause.EXIT_ZERO: AttemptState.SUCCEEDED,
    EndCause.EXIT_NONZERO: AttemptState.FAILED,
    EndCause.OUT_OF_MEMORY: AttemptState.FAILED,
    EndCause.LAUNCH: AttemptState.WORKER_FAILED,
    EndCause.BUILD: AttemptState.FAILED,
}


class Agent:
    """The deterministic machine of one worker."""

    def __init__(self, *, now: Instant, orphan_timeout: Millis) -> None:
        """An agent that holds nothing.

        Args:
            now: when it starts; silence of the controller counts from here.
            orphan_timeout: after this long without a word from the controller, it stops its tasks.
        """
        self.held: dict[Key, Held] = {}
        self.version = -1
        """Of the last desired set that was carried out; -1 before the first."""
        self.orphan_timeout = orphan_timeout
        self.heard_at = now
        self.orphaned = False
        self.closing = False

    def step(self, now: Instant, facts: Sequence[Fact] = ()) -> list[Request]:
        """Learn, and say what to ask of the runtime; each request may be carried out twice."""
        requests: list[Request] = []
        for fact in facts:
            requests += self._learn(now, fact)
        if not self.orphaned and since(self.heard_at, now) >= self.orphan_timeout:
            self.orphaned = True
            requests += self._stop_all(now, grace=Millis(0))
        requests += self._overdue(now)
        return requests

    def next_deadline(self) -> Instant | None:
        """When to be woken though nothing happens."""
        kills = [h.kill_at for h in self.held.values() if h.kill_at is not None]
        orphan = [] if self.orphaned else [after(self.heard_at, self.orphan_timeout)]
        return min(kills + orphan, default=None)

    def reports(self) -> tuple[AttemptReport, ...]:
        """All that there is to say of every attempt, in the order of their names."""
        return tuple(_report(key, self.held[key]) for key in sorted(self.held))

    def live(self) -> int:
        """How many attempts have not ended."""
        return sum(held.phase is not Phase.ENDED for held in self.held.values())

    def is_forsaken(self) -> bool:
        """Whether nobody has spoken for `orphan_timeout` and nothing runs any more: a machine of a cloud ends."""
        return self.orphaned and not self.live()

    # ---- facts ---------------------------------------------------------------------------------

    def _learn(self, now: Instant, fact: Fact) -> Iterable[Request]:
        match fact:
            case Told(desired):
                return self._told(now, desired)
            case Found(task, attempt):
                self.held[task, attempt] = Held(Phase.RUNNING, started=True)
            case Started(task, attempt):
                held = self.held.get((task, attempt))
                if held is not None and held.phase is Phase.LAUNCHING:
                    held.phase = Phase.RUNNING
                    held.started = True
            case Ended():
                self._ended(fact)
            case ShutdownNoticed(grace):
                self.closing = True
                return self._stop_all(now, grace=grace)
            case _:
                assert_never(fact)
        return ()

    def _told(self, now: Instant, desired: DesiredSet) -> Iterator[Request]:
        self.heard_at = now
        self.orphaned = False
        if desired.version < self.version:
            return
        wanted = {(want.task, want.attempt): want for want in desired.attempts}
        for key in sorted(self.held.keys() - wanted.keys()):
            if self.held[key].phase is Phase.ENDED:
                del self.held[key]
                yield Discard(*key)
            else:
                # Nobody waits for an attempt that is over for the controller.
                yield from self._stop(now, key, grace=Millis(0))
        for key, want in wanted.items():
            held = self.held.get(key)
            if held is None:
                if want.stop or want.seen:
                    self.held[key] = Held(Phase.ENDED, detail="this host does not have it")
                elif not self.closing:
                    self.held[key] = Held(Phase.LAUNCHING)
                    yield Launch(want)
            elif want.stop:
                yield from self._stop(now, key, grace=want.grace)
        self.version = desired.version

    def _ended(self, fact: Ended) -> None:
        held = self.held.get((fact.task, fact.attempt))
        if held is None or held.phase is Phase.ENDED:
            return
        stopped = held.phase is Phase.STOPPING
        held.phase = Phase.ENDED
        held.kill_at = None
        held.detail = fact.detail
        # What was stopped ends for the reason for which the stop was asked, whatever it says itself.
        held.cause = None if stopped else fact.cause

    # ---- stops ---------------------------------------------------------------------------------

    def _stop_all(self, now: Instant, *, grace: Millis) -> Iterator[Request]:
        for key in sorted(self.held):
            yield from self._stop(now, key, grace=grace)

    def _stop(self, now: Instant, key: Key, *, grace: Millis) -> Iterator[Request]:
        held = self.held[key]
        if held.phase in (Phase.STOPPING, Phase.ENDED):
            return
        held.phase = Phase.STOPPING
        held.kill_at = after(now, grace)
        yield Terminate(*key)

    def _overdue(self, now: Instant) -> Iterator[Request]:
        for key in sorted(self.held):
            held = self.held[key]
            if held.kill_at is not None and held.kill_at <= now:
                held.kill_at = None
                yield Kill(*key)


def _report(key: Key, held: Held) -> AttemptReport:
    if held.phase is not Phase.ENDED:
        state = AttemptState.RUNNING if held.started else AttemptState.BUILDING
        return AttemptReport(*key, state)
    cause = held.cause
    state = (
        AttemptState.KILLED if cause is None else _STATE_BY_CAUSE.get(cause, AttemptState.KILLED)
    )
    return AttemptReport(*key, state, cause, held.detail)
