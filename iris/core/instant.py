"""Time as the core knows it: integer milliseconds on the run's one time line, and never a clock."""

from typing import Final, NewType

Instant = NewType("Instant", int)
"""A point in time, in milliseconds since the start of the run's time line."""

Millis = NewType("Millis", int)
"""A span of time, in milliseconds."""

SECOND: Final = Millis(1_000)
MINUTE: Final = Millis(60_000)
HOUR: Final = Millis(3_600_000)
DAY: Final = Millis(86_400_000)


def after(at: Instant, span: Millis) -> Instant:
    """The instant that lies `span` milliseconds behind `at`."""
    return Instant(at + span)


def since(start: Instant, now: Instant) -> Millis:
    """How many milliseconds have passed from `start` to `now`."""
    return Millis(now - start)
