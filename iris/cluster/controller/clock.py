"""Wall time in milliseconds that never goes back, not even over a restart."""

import time

from iris.core.instant import Instant


class WallClock:
    """Reads the system's clock, and stands still while that is behind what was read before."""

    def __init__(self, not_before: Instant = Instant(0)) -> None:
        """A clock that begins no earlier than the last recorded turn."""
        self._last = int(not_before)

    def now(self) -> Instant:
        """Milliseconds since 1970, UTC."""
        self._last = max(self._last, time.time_ns() // 1_000_000)
        return Instant(self._last)
