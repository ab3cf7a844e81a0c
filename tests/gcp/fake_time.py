"""Time for the fake cloud: a clock that may be scaled or moved by hand, and one lock over the world.

Nothing happens in the background but what was planned: whoever enters a turn first lets everything
happen that is due, so that a run under a clock moved by hand is the same run every time.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from iris.core.instant import Instant, Millis
from sim.clockwork import Clockwork

_TICK_S: Final = 0.02
"""Real seconds between two looks at the clock."""


class Clock(Protocol):
    """Milliseconds since the fake began."""

    def now(self) -> Instant:
        """The present instant."""
        ...


class ScaledClock:
    """Wall time, `speed` times as fast."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._began = time.monotonic()

    def now(self) -> Instant:
        """The present instant."""
        return Instant(int((time.monotonic() - self._began) * 1000 * self._speed))


class HandClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self._now = Instant(0)

    def now(self) -> Instant:
        """The present instant."""
        return self._now

    def advance(self, span: Millis) -> None:
        """Let time pass."""
        self._now = Instant(self._now + span)


class Timeline(Clockwork):
    """What is planned, done up to an instant that a clock says."""

    def run_until(self, at: Instant) -> None:
        """Do everything that is due by then; afterwards it is then."""
        while self.env.peek() <= at:
            self.step()
        if at > self.now:
            self.later(Millis(at - self.now), lambda: None)
            self.step()


class World:
    """The lock, the clock and the plans of everything that the fake is made of."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.timeline = Timeline()
        self.epoch = datetime.now(UTC)
        self.closed = False
        self._changed = threading.Condition(threading.RLock())
        self._ticker = threading.Thread(target=self._tick, name="fake-cloud-clock", daemon=True)
        self._ticker.start()

    @property
    def now(self) -> Instant:
        """The instant up to which everything has happened."""
        return self.timeline.now

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Alone with the world, as it is now."""
        with self._changed:
            self._catch_up()
            yield
            self._changed.notify_all()

    def wait(
        self,
        is_ready: Callable[[], bool],
        is_alive: Callable[[], bool] = lambda: True,
        until: Instant | None = None,
    ) -> bool:
        """Within a turn: let others go on until something is so; whether it is, or nobody waits any more."""
        while not is_ready():
            if self.closed or not is_alive() or (until is not None and self.now >= until):
                return False
            self._changed.wait(_TICK_S)
            self._catch_up()
        return True

    def stamp(self, at: Instant) -> str:
        """An instant as the clouds write it."""
        when = self.epoch + timedelta(milliseconds=at)
        return when.strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"

    def close(self) -> None:
        """Nothing happens any more, and nobody waits."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()
        self._ticker.join()

    def _catch_up(self) -> None:
        now = self.clock.now()
        if now > self.timeline.now or self.timeline.env.peek() <= now:
            self.timeline.run_until(now)

    def _tick(self) -> None:
        while not self.closed:
            with self.turn():
                pass
            time.sleep(_TICK_S)
