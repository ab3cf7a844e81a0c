"""Calls that wait for somebody who serves, in the order in which they were made.

Nothing here locks: whoever has them holds a lock of its own whenever it asks.
"""

import time
from collections import deque

from iris.actor.line import Request


class Parked:
    """Those of one client or pool."""

    def __init__(self, patience_s: float) -> None:
        """None yet; each waits for so many seconds at most."""
        self._patience_s = patience_s
        self._calls: deque[Request] = deque()

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, request: Request) -> None:
        """One that waits from now on, after the others."""
        request.line = request.message = None
        request.give_up_at = time.monotonic() + self._patience_s
        request.is_parked = True
        self._calls.append(request)

    def put_back(self, request: Request) -> None:
        """The one that was the next still is."""
        request.is_parked = True
        self._calls.appendleft(request)

    def next(self) -> Request | None:
        """The first that still waits, which then does no longer."""
        while self._calls:
            request = self._calls.popleft()
            if self.take(request):
                return request
        return None

    def take(self, request: Request) -> bool:
        """Let a call wait no longer; whether it did."""
        was_parked, request.is_parked = request.is_parked, False
        return was_parked

    def clear(self) -> list[Request]:
        """Let none wait any longer; those that did."""
        found = [request for request in self._calls if self.take(request)]
        self._calls.clear()
        return found

    def left(self, most: float) -> float:
        """The seconds that the first of them still waits, or as many if none does; what is over is forgotten."""
        self._calls = deque(each for each in self._calls if each.is_parked and not each.is_over)
        return self._calls[0].give_up_at - time.monotonic() if self._calls else most
