"""Whether the controller does what it is asked: one answer for HTTP's probes and for gRPC's health service."""

from collections.abc import Callable
from typing import Final

from iris.cluster.controller.turns import TurnLoop

READY_WITHIN_S: Final = 5.0
"""A loop that wakes by itself every second and has not for so long is not ready."""
ALIVE_WITHIN_S: Final = 60.0
"""And dead after so long: nothing but a restart helps."""


class Pulse:
    """Says what is wrong with one controller, in words; nothing when nothing is."""

    def __init__(self, loop: TurnLoop, trouble: Callable[[], str]) -> None:
        """That of a loop; `trouble` says what else keeps the controller from being ready, if anything does."""
        self._loop = loop
        self._trouble = trouble

    def not_alive(self) -> str:
        """Why nothing but a restart helps it."""
        return self._stands_still(ALIVE_WITHIN_S)

    def not_ready(self) -> str:
        """Why what it is asked for is not done now."""
        return self._stands_still(READY_WITHIN_S) or self._trouble()

    def _stands_still(self, within_s: float) -> str:
        age = self._loop.age_s()
        return f"no look for work since {age:.1f} s" if age > within_s else ""
