"""The controller's end of the wire, for simulated workers: registration, and the exchange of truths.

It does what the process's own handlers do, with the core's own questions: who is known
(`is_known`), what is news (`is_news`), what a worker shall have (`desired_set`), and who has fallen
silent (`Hearing`). Nothing here decides anything else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from iris.core.cadence import DEAF_AFTER, LONG_POLL, LOOK_EVERY, SILENT_AFTER
from iris.core.desired import DesiredSet, desired_set, is_known, is_news
from iris.core.effects import RefuseWorker
from iris.core.events import AttemptReport, Event, WorkerRegistered, WorkerReported
from iris.core.hearing import Hearing
from iris.core.ids import SliceId, WorkerId, worker_id
from iris.core.instant import Instant, Millis
from iris.core.state import ClusterState
from sim.clockwork import Clockwork


@dataclass(frozen=True, slots=True)
class Welcome:
    """The answer to a registration."""

    refusal: str
    """Empty when the worker is welcome."""
    orphan_timeout: Millis


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a worker says in a poll: all that it has."""

    worker: WorkerId
    incarnation: str
    reports: tuple[AttemptReport, ...]
    acted_on: int
    known: DesiredSet | None  # None: it was told nothing yet


@dataclass(frozen=True, slots=True)
class Told:
    """The answer to a poll: all that the worker shall have, or that it must register anew."""

    desired: DesiredSet | None  # None: this worker is not known


class Office(Protocol):
    """The process behind the switchboard."""

    clock: Clockwork

    @property
    def state(self) -> ClusterState:
        """What the controller has on its books."""
        ...

    def awake_at(self) -> Instant | None:
        """When the process hears what it is told: now, later, or (None) it is not there."""
        ...

    def take(self, event: Event) -> None:
        """Put a fact into the next turn."""
        ...


class Switchboard:
    """Calls of one life of the controller's process; the next life has another switchboard."""

    def __init__(self, office: Office) -> None:
        """Nobody is on the line."""
        self._office = office
        self._clock = office.clock
        self._over = False
        self._hearing = Hearing(self._clock.now, silent_after=SILENT_AFTER, deaf_after=DEAF_AFTER)
        self._after_turn: list[Callable[[], None]] = []
        self._waiting: dict[WorkerId, list[Callable[[], None]]] = {}
        self._refusals: dict[tuple[SliceId, int, str], str] = {}
        self._clock.later(LOOK_EVERY, self._look)

    def hang_up(self) -> None:
        """The process ends: whoever waits for an answer gets none."""
        self._over = True

    def hand(self, work: Callable[[], None]) -> bool:
        """Let the process look at something once it is awake; false when it is not there."""
        at = self._office.awake_at()
        if self._over or at is None:
            return False
        if at <= self._clock.now:
            work()
        else:
            self._clock.later(Millis(at - self._clock.now), lambda: self._unless_over(work))
        return True

    def _unless_over(self, work: Callable[[], None]) -> None:
        if not self._over:
            self.hand(work)

    def turned(self) -> None:
        """A turn is over."""
        waiting, self._after_turn = self._after_turn, []
        for then in waiting:
            then()

    def refuse(self, effect: RefuseWorker) -> None:
        """Keep the core's refusal for the one who asked."""
        self._refusals[effect.slice, effect.host, effect.incarnation] = effect.why

    def wake(self, worker: WorkerId) -> None:
        """What this worker shall have has changed: answer its polls."""
        for then in self._waiting.pop(worker, ()):
            then()

    # ---- calls -----------------------------------------------------------------------------

    def register(self, event: WorkerRegistered, answer: Callable[[Welcome], None]) -> None:
        """Enter a run of an agent on the books, or refuse it."""

        def reply() -> None:
            key = (event.slice, event.host, event.incarnation)
            refusal = self._refusals.pop(key, "")
            if not refusal:
                worker = worker_id(event.slice, event.host)
                self._hearing.heard(worker, event.incarnation, self._clock.now)
            answer(Welcome(refusal, self._office.state.spec.timeouts.orphan_timeout))

        self._after_turn.append(reply)
        self._office.take(event)

    def reconcile(self, said: Exchange, answer: Callable[[Told], None]) -> None:
        """Hear all that a worker has, and tell it all that it shall have, now or when that changes."""
        if not is_known(self._office.state, said.worker, said.incarnation):
            answer(Told(None))
            return
        self._hearing.heard(said.worker, said.incarnation, self._clock.now)
        row = self._office.state.workers[said.worker]
        if is_news(self._office.state, row, said.reports, said.acted_on):
            self._after_turn.append(lambda: self._answer_or_wait(said, answer))
            self._office.take(
                WorkerReported(
                    said.worker,
                    said.incarnation,
                    said.reports,
                    complete=True,
                    acted_on=said.acted_on,
                )
            )
        else:
            self._answer_or_wait(said, answer)

    def _answer_or_wait(self, said: Exchange, answer: Callable[[Told], None]) -> None:
        told = self._told(said)
        if told.desired is None or told.desired != said.known:
            answer(told)
            return
        self._hearing.waits(said.worker, said.incarnation, 1)
        over = False

        def end() -> None:
            nonlocal over
            if over or self._over:
                return
            over = True
            self._hearing.waits(said.worker, said.incarnation, -1)
            self.hand(lambda: answer(self._told(said)))

        self._waiting.setdefault(said.worker, []).append(end)
        third = self._office.state.spec.timeouts.orphan_timeout // 3
        self._clock.later(Millis(min(LONG_POLL, third)), end)

    def _told(self, said: Exchange) -> Told:
        state = self._office.state
        if not is_known(state, said.worker, said.incarnation):
            return Told(None)
        return Told(desired_set(state, state.workers[said.worker]))

    # ---- silence ---------------------------------------------------------------------------

    def _look(self) -> None:
        if self._over:
            return
        at = self._office.awake_at()
        if at is not None and at <= self._clock.now:
            self._look_now()
        self._clock.later(LOOK_EVERY, self._look)

    def _look_now(self) -> None:
        silences: Sequence[Event] = self._hearing.look(self._clock.now, self._office.state.workers)
        for silence in silences:
            self._office.take(silence)
