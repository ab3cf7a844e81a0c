"""When the time of each call is over: one timer for all of them, in the loop of the wire."""

import asyncio
import heapq
import itertools
import threading
from collections.abc import Callable
from typing import Final

from iris.actor.line import Request

_FEW: Final = 1_000


class Deadlines:
    """The calls of one client that have a deadline. Calls are added from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, expire: Callable[[Request], None]) -> None:
        """No calls yet.

        Args:
            loop: of the wire.
            expire: told, in the loop, of each call that is not over when its time is.
        """
        self._loop = loop
        self._expire = expire
        self._lock = threading.Lock()
        self._heap: list[tuple[float, int, Request]] = []
        self._order = itertools.count()
        self._sweep_at = _FEW
        self._timer: asyncio.TimerHandle | None = None
        self._next = float("inf")

    def add(self, request: Request, until: float) -> None:
        """End a call then, unless it has ended before."""
        with self._lock:
            if len(self._heap) >= self._sweep_at:
                self._sweep()
            heapq.heappush(self._heap, (until, next(self._order), request))
            sooner = until < self._next
            if sooner:
                self._next = until
        if sooner:
            self._loop.call_soon_threadsafe(self._arm)

    def _sweep(self) -> None:
        """Drop what has ended, when that is half of it or so."""
        self._heap = [entry for entry in self._heap if not entry[2].is_over]
        heapq.heapify(self._heap)
        self._sweep_at = max(_FEW, 2 * len(self._heap))

    def _arm(self) -> None:
        with self._lock:
            while self._heap and self._heap[0][2].is_over:
                heapq.heappop(self._heap)
            self._next = self._heap[0][0] if self._heap else float("inf")
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._heap:
                delay = self._next - self._loop.time()
                self._timer = self._loop.call_later(max(0.0, delay), self._ring)

    def _ring(self) -> None:
        over: list[Request] = []
        with self._lock:
            while self._heap and self._heap[0][0] <= self._loop.time():
                over.append(heapq.heappop(self._heap)[2])
        for request in over:
            self._expire(request)
        self._arm()
