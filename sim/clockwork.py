"""Simulated time: a thin face of SimPy that calls functions later.

Ordinary actions of an instant run before the controller's turn of that instant (they have SimPy's
normal priority, the turn a lower one), so that all facts of an instant are one batch.
"""

from collections.abc import Callable
from typing import Final

import simpy
from simpy.events import Event, EventPriority

from iris.core.instant import Instant, Millis

LAST: Final = Instant(1 << 62)
"""Beyond everything that is simulated."""

_TURN_PRIORITY = EventPriority(2)
"""Behind SimPy's 0 (urgent) and 1 (normal)."""


class Clockwork:
    """The present, and what is to be done later."""

    __slots__ = ("env", "now")

    def __init__(self, begin: Instant = Instant(0)) -> None:
        """Time starts at an instant."""
        self.env = simpy.Environment(begin)
        self.now = begin
        """The present instant."""

    def later(self, delay: Millis, action: Callable[[], None]) -> None:
        """Do something after a delay; things of one instant in the order of being asked for."""
        event = Event(self.env)
        event.callbacks = [lambda _: action()]
        event._ok = True
        event._value = None
        self.env.schedule(event, delay=delay)

    def turn_at(self, at: Instant, action: Callable[[Event], None]) -> None:
        """Do something at an instant, after everything ordinary of that instant."""
        event = Event(self.env)
        event.callbacks = [action]
        event._ok = True
        event._value = None
        self.env.schedule(event, priority=_TURN_PRIORITY, delay=at - self.now)

    def next_at(self) -> Instant:
        """When the next action is; beyond all time when nothing is left to do."""
        at = self.env.peek()
        return Instant(int(at)) if at < LAST else LAST

    def step(self) -> None:
        """Run the next action.

        Raises:
            OverflowError: nothing is left to do.
        """
        self.now = Instant(int(self.env.peek()))
        self.env.step()
