"""One turn, the same in both worlds: step, journal, perform.

Nothing is performed before its turn is durable. Nothing here waits, reads a clock or knows a
network; who calls it decides when a turn is due.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from iris.core.decisions import Decision
from iris.core.effects import Effect
from iris.core.events import Event
from iris.core.instant import Instant
from iris.core.record import Turn
from iris.ports import Journal


class Machine(Protocol):
    """What `iris.core.controller.Controller` is to its driver."""

    def step(
        self, now: Instant, events: Sequence[Event] = ()
    ) -> tuple[Sequence[Decision], Sequence[Effect]]:
        """Learn, decide, and say what to ask of the world."""
        ...

    def next_deadline(self) -> Instant | None:
        """When to be woken though nothing happens."""
        ...


def turn(
    machine: Machine,
    now: Instant,
    events: Sequence[Event],
    *,
    journal: Journal,
    perform: Callable[[Effect], None],
) -> Instant | None:
    """When to come back even if nothing happens; by then the turn is durable and its effects under way.

    A wake-up at which nothing was learned and nothing decided is not written.
    """
    decisions, effects = machine.step(now, events)
    if events or decisions:
        journal.append(Turn(now, tuple(events), tuple(decisions)))
    for effect in effects:
        perform(effect)
    return machine.next_deadline()
