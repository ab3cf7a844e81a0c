"""The caller's side of a connection to one endpoint, and the calls that are under way on it."""

import asyncio
import itertools
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from iris.actor.calls import Refusal, call_head
from iris.actor.connection import Connection
from iris.actor.errors import (
    ActorBusy,
    ActorLost,
    CallTimeout,
    NoSuchMethod,
    NotReadable,
)
from iris.actor.frames import Arrival, Kind, Malformed, Message, message
from iris.actor.futures import Sink
from iris.actor.loop import in_wire_loop
from iris.actor.payload import Payload
from iris.actor.resolver import Endpoint

_FOREVER_MS: Final = 0
_MOST_MS: Final = (1 << 32) - 1


@dataclass(slots=True, eq=False)
class Request:
    """One call as its caller's process knows it, from the moment it was made until it has ended."""

    what: str
    """Actor and method, for messages."""
    method: str
    payload: Payload
    is_stream: bool
    until: float | None  # None: for ever
    """When the caller stops waiting, by the monotonic clock."""
    timeout: float | None
    """The seconds that it was given, for messages."""
    retries: int
    """How often it may still be made again after its server was lost."""
    sink: Sink | None  # None: it has ended
    keep: object = None
    """Whatever must not be closed while the call is under way."""
    give_up_at: float = 0.0
    """When to wait no longer for somebody who serves."""
    is_parked: bool = False
    """Whether it waits for somebody who serves; only its router changes that."""
    lost: str = ""
    """How it lost the server at which it was made before; empty if there was none, and so it has not run."""
    number: int = 0
    line: "Line | None" = None
    message: Message | None = field(default=None, repr=False)
    is_over: bool = False

    def end(self) -> Sink | None:
        """Take note that it has ended; who is to learn of it, if nobody has. What it held is let go."""
        if self.is_over:
            return None
        self.is_over = True
        sink, self.sink = self.sink, None
        self.payload, self.message, self.keep = (), None, None
        return sink

    def fail(self, error: BaseException) -> None:
        """End it by an error of the wire; none says that it did not run if it may have, before."""
        if (sink := self.end()) is not None:
            sink.failed(self._of_all_tries(error))

    def _of_all_tries(self, error: BaseException) -> BaseException:
        if not self.lost or isinstance(error, ActorLost | CallTimeout):
            return error
        return ActorLost(f"{self.what} may have run or not: {self.lost}; made again, {error}")


class Lines(Protocol):
    """Who has the lines, and finds another where one is lost. Called in the loop of the wire."""

    def line_lost(self, line: "Line", requests: Sequence[Request], why: str) -> None:
        """A connection is over, with the calls that were open."""

    def line_stopping(self, line: "Line") -> None:
        """A server takes no more calls."""

    def again(self, request: Request) -> None:
        """A call did not run, and may be made elsewhere."""


class Line:
    """An open connection to an endpoint; several threads may call over it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, endpoint: Endpoint, owner: Lines
    ) -> None:
        """Must be made in the loop of the wire, of a socket over which the greetings have passed."""
        self.endpoint = endpoint
        self._owner = owner
        self._numbers = itertools.count(1)
        self.open: dict[int, Request] = {}
        self._lock = threading.Lock()
        self.is_stopping = False
        self.connection = Connection(loop, sock, self)
        self.connection.trust()

    def send(self, request: Request, *, now: bool) -> bool:
        """Make a call; whether it was taken, which it is not when the connection is over.

        Waits, if this thread may, while too much waits to be sent.
        """
        if request.is_over:
            return True
        wait_ms = _FOREVER_MS
        if request.until is not None:
            left = request.until - time.monotonic()
            wait_ms = min(max(1, round(left * 1_000)), _MOST_MS)
        request.number = number = next(self._numbers)
        head = call_head(request.method, wait_ms, stream=request.is_stream)
        said = message(Kind.CALL, number, head, request.payload)
        with self._lock:
            if self.is_stopping:
                return False
            request.line, request.message = self, said
            self.open[number] = request
        if self.connection.send(said, now=now):
            if self.connection.is_full and not in_wire_loop():
                self._wait_for_room(request.until)
            return True
        return self.open.pop(number, None) is None  # None: the loss of the line has dealt with it.

    def _wait_for_room(self, until: float | None) -> None:
        with self.connection.room:
            self.connection.room.wait_for(
                lambda: not self.connection.is_full or self.connection.closed,
                None if until is None else max(0.0, until - time.monotonic()),
            )

    def cancel(self, request: Request) -> None:
        """Nobody waits for a call any longer; from any thread."""
        said = request.message
        if self.open.pop(request.number, None) is None or said is None:
            return
        if not self.connection.drop(said):
            self.connection.send(message(Kind.CANCEL, request.number), urgent=True)
        self._close_if_done()

    def give_credit(self, number: int, count: int) -> None:
        """So many bytes of a stream were taken."""
        if number in self.open:
            self.connection.send(message(Kind.CREDIT, number, count.to_bytes(8)), urgent=True)

    def retire(self) -> None:
        """Make no more calls over this line; it closes when those that are open have ended."""
        with self._lock:
            self.is_stopping = True
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self.is_stopping and not self.open:
            self.connection.close()

    # ---- what comes ----------------------------------------------------------------------------

    def announced(self, coming: Arrival) -> None:
        """A large answer is on its way."""

    def arrived(self, whole: Arrival) -> None:
        """An answer, or a word about a call."""
        match whole.kind:
            case Kind.RESULT | Kind.RAISED | Kind.END:
                request = self.open.pop(whole.call, None)
                if request is not None and (sink := request.end()) is not None:
                    sink.came(whole.kind, whole.payload)
                self._close_if_done()
            case Kind.ITEM:
                request = self.open.get(whole.call)
                if request is not None and request.sink is not None:
                    request.retries = 0  # Its values have been seen: it is not made again.
                    request.sink.came(whole.kind, whole.payload)
            case Kind.GRANT:
                self.connection.grant(whole.call)
            case Kind.REFUSED:
                self._refused(whole)
            case Kind.STOPPING:
                self._owner.line_stopping(self)
                self.retire()
            case _:
                raise Malformed(f"a frame of kind {whole.kind}, which nobody expects")

    def _refused(self, whole: Arrival) -> None:
        if not whole.head or not whole.payload:
            raise Malformed("a refusal without a reason")
        request = self.open.pop(whole.call, None)
        if request is None or request.is_over:
            return
        if request.message is not None:
            self.connection.drop(request.message)
        words = bytes(whole.payload[0]).decode(errors="replace")
        match whole.head[0]:
            case Refusal.STOPPING:
                self._owner.again(request)
            case Refusal.BUSY:
                request.fail(ActorBusy(f"{request.what} did not run: {words}"))
            case Refusal.NO_METHOD:
                request.fail(NoSuchMethod(words))
            case Refusal.LATE:
                request.fail(late(request, "its turn had not come"))
            case Refusal.UNREADABLE:
                request.fail(NotReadable(words))
            case _:
                request.fail(ActorLost(words))
        self._close_if_done()

    def has_room(self) -> None:
        """Whoever waits for room in a thread is told otherwise."""

    def lost(self, why: str) -> None:
        """The connection is over, and what is open on it is not answered any more."""
        with self._lock:
            self.is_stopping = True
        requests = [request for request in self.open.values() if not request.is_over]
        self.open.clear()
        self._owner.line_lost(self, requests, why)


def late(request: Request, why_not: str = "") -> CallTimeout:
    """What the caller of a call is told whose time is over; `why_not` it has not run, where that is sure."""
    span = f"after {request.timeout:.3g} s"
    if request.lost or not why_not:
        return CallTimeout(f"{request.what} had not ended {span}")
    return CallTimeout(f"{request.what} did not run: {why_not} {span}")


def was_sent(request: Request) -> bool:
    """Whether any of a call may have reached its server, so that it may have run."""
    return request.message is not None and request.message.begun
