"""A call as its server knows it: where it came from, what it wants, and how much of a stream it may send."""

import asyncio
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Protocol

from iris.actor.frames import Kind, Malformed
from iris.actor.payload import Payload

CALL_HEAD: Final = struct.Struct("!BI")
"""Flags, and the milliseconds that the caller still waits; 0 for ever. The method's name follows."""
STREAM: Final = 1
"""The flag of a caller who wants values one by one."""
WINDOW_BYTES: Final = 1 << 20
"""Of a stream, that may be under way before the caller has taken it."""
LEAST_ITEM_BYTES: Final = 16 << 10
"""What a value of a stream counts as at least, so that a stream runs no more than 64 values ahead."""


class Refusal(IntEnum):
    """Why a call did not run."""

    BUSY = 1
    STOPPING = 2
    NO_METHOD = 3
    LATE = 4
    """Its time was over before its turn came."""
    UNREADABLE = 5
    """Its arguments cannot be unpickled there."""
    LOST = 6
    """It ran, and was given up by its server, which ended."""


class Caller(Protocol):
    """Where answers go. Safe to use from any thread."""

    @property
    def is_full(self) -> bool:
        """Whether so many answers wait to be sent that no further call should begin."""

    def answer(
        self, call: "Call", kind: Kind, payload: Payload, head: bytes = b"", *, now: bool
    ) -> None:
        """Send an answer to a call, unless nobody waits for it."""


class Credit:
    """What a stream may still send; waited for by a thread or by a task, and given by the wire."""

    def __init__(self) -> None:
        self._left = WINDOW_BYTES
        self._lock = threading.Condition()
        self._wake: Callable[[], object] | None = None
        self.is_over = False
        """Whether nobody takes the stream any longer."""

    def give(self, count: int) -> None:
        """So many bytes were taken."""
        with self._lock:
            self._left += count
            self._notify()

    def end(self) -> None:
        """Nobody takes any more."""
        with self._lock:
            self.is_over = True
            self._notify()

    def spend(self, size: int) -> None:
        """A value of so many bytes was sent."""
        with self._lock:
            self._left -= max(size, LEAST_ITEM_BYTES)

    def wait(self) -> bool:
        """Wait, in a thread, until something may be sent; whether somebody still takes it."""
        with self._lock:
            self._lock.wait_for(lambda: self._left > 0 or self.is_over)
            return not self.is_over

    async def waited(self) -> bool:
        """The same in a task."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        while True:
            with self._lock:
                if self._left > 0 or self.is_over:
                    return not self.is_over
                woken.clear()
                self._wake = lambda: loop.call_soon_threadsafe(woken.set)
            await woken.wait()

    def _notify(self) -> None:
        self._lock.notify_all()
        if self._wake is not None:
            self._wake()
            self._wake = None


@dataclass(slots=True, eq=False)
class Call:
    """One call, from its arrival to its answer."""

    caller: Caller
    number: int
    method: str
    until: float | None  # None: for ever
    """When the caller stops waiting, by the monotonic clock."""
    payload: Payload
    size: int
    """Bytes of the payload, also while they are still to come."""
    credit: Credit | None  # None: one value is wanted, no stream
    held: int = 0
    """Bytes that its server counts as held for it."""
    is_waiting: bool = False
    """Whether its turn has not come."""
    is_over: bool = False
    """Whether it was answered, or nobody waits for the answer."""
    cancel: Callable[[], object] | None = field(default=None, repr=False)
    """Ends it while it runs; nothing for what runs in a thread, which nobody can end."""

    @property
    def is_late(self) -> bool:
        """Whether the caller has stopped waiting."""
        return self.until is not None and time.monotonic() >= self.until

    def give_up(self) -> None:
        """Nobody waits for the answer."""
        self.is_over = True
        if self.credit is not None:
            self.credit.end()
        if self.cancel is not None:
            self.cancel()


def call_head(method: str, wait_ms: int, *, stream: bool) -> bytes:
    """The head of a call's frame."""
    return CALL_HEAD.pack(STREAM if stream else 0, wait_ms) + method.encode()


def call_of(caller: Caller, number: int, head: bytes, size: int) -> Call:
    """The call that a frame's head names, its payload still to come.

    Raises:
        Malformed: it names none.
    """
    try:
        flags, wait_ms = CALL_HEAD.unpack_from(head)
        method = head[CALL_HEAD.size :].decode()
    except (struct.error, UnicodeDecodeError) as error:
        raise Malformed(f"a call that names no method: {error}") from error
    until = time.monotonic() + wait_ms / 1_000 if wait_ms else None
    credit = Credit() if flags & STREAM else None
    return Call(caller, number, method, until, (), size, credit)
