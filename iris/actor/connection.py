"""One connection between a caller's process and an actor's server: frames in, frames out, memory bounded.

Reading happens in the loop of the wire. Whoever sends writes to the socket itself if nobody else does at
the moment, which saves a change of threads, or leaves it to the loop, which sends many frames at once.
"""

import asyncio
import logging
import socket
import threading
from collections import deque
from typing import Final, Protocol

from iris.actor.frames import (
    CHUNK_BYTES,
    HEADER,
    LARGEST_FRAME,
    LARGEST_GREETING,
    Arrival,
    Kind,
    Malformed,
    Message,
    arrival,
)
from iris.actor.loop import disown, in_wire_loop, own

_log = logging.getLogger(__name__)

_RING_BYTES: Final = 256 << 10
_MOST_VIEWS: Final = 256
"""Of one write; the system takes 1,024."""
_WRITES: Final = 8
_READS: Final = 8
"""Of one connection, before others have their turn."""
FULL_BYTES: Final = 64 << 20
"""Of what waits to be sent; above it, whoever can wait does."""
_KEEPALIVE: Final = (
    ("SO_KEEPALIVE", socket.SOL_SOCKET, 1),
    ("TCP_NODELAY", socket.IPPROTO_TCP, 1),
    ("TCP_KEEPIDLE", socket.IPPROTO_TCP, 10),
    ("TCP_KEEPINTVL", socket.IPPROTO_TCP, 5),
    ("TCP_KEEPCNT", socket.IPPROTO_TCP, 3),
    ("TCP_USER_TIMEOUT", socket.IPPROTO_TCP, 25_000),
)
"""A host that is gone without a word is missed after 25 s."""


class Owner(Protocol):
    """Whoever has a connection; all of it is called in the loop of the wire."""

    def announced(self, coming: Arrival) -> None:
        """The frame of a large payload has come; of a call, chunks wait for a grant."""

    def arrived(self, whole: Arrival) -> None:
        """A frame has come with all of its payload."""

    def has_room(self) -> None:
        """Much was waiting to be sent, and is sent."""

    def lost(self, why: str) -> None:
        """The connection is over; said once."""


class Connection:
    """A connection whose two ends are known to each other, or about to be."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, owner: Owner) -> None:
        """Must be made in the loop of the wire; the socket is connected and its own from now on."""
        self._loop = loop
        self._sock = sock
        self._owner = owner
        sock.settimeout(0)
        for name, level, value in _KEEPALIVE:
            if (option := getattr(socket, name, None)) is not None:
                sock.setsockopt(level, option, value)
        self._lock = threading.Lock()
        self.room = threading.Condition(self._lock)
        """Notified when what waits to be sent becomes little."""
        self._urgent: deque[Message] = deque()
        self._queue: deque[Message] = deque()
        self._views: list[memoryview | bytes] = []  # Taken from the queues, not yet sent.
        self._flushing = False
        self._sending = False
        self._is_awaiting = False
        self.unsent = 0
        """Bytes that wait to be sent."""
        self._was_full = False
        self.closed = False
        self._ring = bytearray(_RING_BYTES)
        self._view = memoryview(self._ring)
        self._end = 0
        self._target: memoryview | None = None  # None: the ring; else the rest of a chunk.
        self._coming: dict[int, Arrival] = {}
        self._of_target: Arrival | None = None
        self.largest = LARGEST_GREETING
        """Of a frame that is no chunk; until the other side is known, there are no chunks either."""
        own(sock.fileno())
        loop.add_reader(sock.fileno(), self._readable)

    def trust(self) -> None:
        """The other side has proven itself: it may send large frames."""
        self.largest = LARGEST_FRAME

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be sent that more should wait."""
        return self.unsent > FULL_BYTES

    # ---- sending -------------------------------------------------------------------------------

    def send(self, what: Message, *, now: bool = False, urgent: bool = False) -> bool:
        """Send a message after those before it; whether it was taken, which it is not when all is over.

        Args:
            what: the message.
            now: by this thread, if nobody else sends; else by the loop, together with what comes meanwhile.
            urgent: before the messages that wait; only for small ones.
        """
        with self._lock:
            if self.closed:
                return False
            (self._urgent if urgent else self._queue).append(what)
            self.unsent += what.size
            if self._flushing:
                return True
            self._flushing = True
        if now:
            self._flush()
        else:
            self._loop.call_soon_threadsafe(self._flush)
        return True

    def grant(self, call: int) -> None:
        """The other side has room for the payload of a call."""
        with self._lock:
            for what in self._queue:
                if what.call == call:
                    what.needs_grant = False
                    break
        self._kick()

    def drop(self, what: Message) -> bool:
        """Send no more of a message; whether none of it was sent."""
        with self._lock:
            what.dropped = True
            untouched = not what.begun
        self._kick()
        return untouched

    def _kick(self) -> None:
        with self._lock:
            if self._flushing or self.closed:
                return
            self._flushing = True
        self._loop.call_soon_threadsafe(self._flush)

    def _flush(self) -> None:
        """Write what waits, as its only writer; the loop goes on where this thread should not."""
        in_loop = in_wire_loop()
        for _ in range(_WRITES if in_loop else 1):
            if (more := self._write()) is None:
                return
            if not more:
                break
        else:
            self._loop.call_soon_threadsafe(self._flush)
            return
        if not in_loop:
            self._loop.call_soon_threadsafe(self._await_writable)
        else:
            self._await_writable()

    def _write(self) -> bool | None:
        """Write once; whether the socket takes more, or nothing if there is nothing more to write."""
        with self._lock:
            if self.closed:
                return None
            views = self._views = self._views or self._gather()
            if not views:
                self._flushing = False
                return None
            self._sending = True
        try:
            sent = self._sock.sendmsg(views)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._loop.call_soon_threadsafe(self._end_it, f"{error.strerror or error}")
            sent = 0
        with self._lock:
            self._sending = False
            self._views = _without(views, sent)
            if self._is_over():
                self._close()
                return None
            if not (self._views or self._queue or self._urgent):
                self._flushing = False
                self._note_room()
                return None
            return not self._views

    def _is_over(self) -> bool:
        return self.closed  # Asked anew: another thread may have ended it.

    def _await_writable(self) -> None:
        if not (self.closed or self._is_awaiting):
            self._is_awaiting = True
            self._loop.add_writer(self._sock.fileno(), self._writable)

    def _writable(self) -> None:
        for _ in range(_WRITES):
            more = self._write()
            if more is None:
                self._is_awaiting = False
                if not self.closed:
                    self._loop.remove_writer(self._sock.fileno())
            if not more:
                return

    def _gather(self) -> list[memoryview | bytes]:
        """The next views to write; the lock is held."""
        views: list[memoryview | bytes] = []
        size = 0
        while self._urgent and len(views) < _MOST_VIEWS:
            what = self._urgent.popleft()
            self.unsent -= what.size
            views.append(what.frame)
        while self._queue and len(views) < _MOST_VIEWS and size < CHUNK_BYTES:
            what = self._queue[0]
            if not what.begun and not what.dropped:
                what.begun = True
                views.append(what.frame)
                size += len(what.frame)
                what.frame = b""  # Not needed again, and as large as the payload.
            if what.needs_grant and not what.dropped:
                break
            piece = None if what.dropped else what.chunk()
            if piece is None:
                self._queue.popleft()
                self.unsent -= what.size
                continue
            views += piece
            size += len(piece[1])
        self._note_room()
        return views

    def _note_room(self) -> None:
        if self.is_full:
            self._was_full = True
        elif self._was_full:
            self._was_full = False
            self.room.notify_all()
            self._loop.call_soon_threadsafe(self._owner.has_room)

    # ---- receiving -----------------------------------------------------------------------------

    def forget(self, call: int) -> None:
        """Drop what comes of the large payload of a call."""
        if (coming := self._coming.get(call)) is not None:
            coming.sizes, coming.payload = (), []

    def _readable(self) -> None:
        try:
            for _ in range(_READS):
                if self.closed or not self._read():
                    return
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end_it(error.strerror or str(error))
        except Malformed as error:
            self._end_it(f"the other side does not speak as an actor does: {error}")
        except Exception:  # noqa: BLE001
            _log.exception("a bug in Iris: a frame of an actor's connection could not be handled")
            self._end_it("a bug in Iris; the log of this process has more")

    def _read(self) -> bool:
        """Take what has come; whether there may be more."""
        if self._target is not None:
            wanted = len(self._target)
            count = self._sock.recv_into(self._target)
            self._target = self._target[count:] if count < wanted else None
            if self._target is None:
                self._chunk_done()
        else:
            wanted = _RING_BYTES - self._end
            count = self._sock.recv_into(self._view[self._end :])
            self._end += count
            self._parse()
        if count == 0:
            self._end_it("the other side has closed it")
        return count == wanted

    def _parse(self) -> None:
        """Hand over every whole frame of the ring."""
        at = 0
        while self._end - at >= HEADER.size and not self.closed:
            length, kind, call, head = HEADER.unpack_from(self._ring, at)
            start = at + HEADER.size
            if kind == Kind.CHUNK:
                at = self._begin_chunk(call, length, start)
                continue
            if length > self.largest or head > length:
                raise Malformed(f"a frame of {length} bytes")
            end = start + length
            if end > self._end:
                break
            body = self._view[start:end]
            self._frame(arrival(kind, call, bytes(body[:head]), body[head:]))
            at = end
        if at:
            self._ring[: self._end - at] = self._ring[at : self._end]
            self._end -= at

    def _frame(self, found: Arrival) -> None:
        if not found.missing:
            self._owner.arrived(found)
            return
        if self.largest == LARGEST_GREETING:
            raise Malformed("a large payload from somebody unknown")
        self._coming[found.call] = found
        self._owner.announced(found)

    def _begin_chunk(self, call: int, length: int, start: int) -> int:
        """Take what the ring has of a chunk; where the ring goes on."""
        coming = self._coming.get(call)
        if coming is None or not 0 < length <= min(CHUNK_BYTES, coming.missing):
            raise Malformed(f"a chunk of {length} bytes that was not announced")
        if coming.sizes:
            target = coming.room(length)
        else:  # Forgotten meanwhile.
            target = memoryview(bytearray(length))
            coming.missing -= length
        have = min(length, self._end - start)
        target[:have] = self._view[start : start + have]
        self._of_target = coming
        if have < length:
            self._target = target[have:]
        else:
            self._chunk_done()
        return start + have

    def _chunk_done(self) -> None:
        coming, self._of_target = self._of_target, None
        if coming is not None and not coming.missing:
            del self._coming[coming.call]
            if coming.sizes:
                coming.finish()
                self._owner.arrived(coming)

    # ---- the end -------------------------------------------------------------------------------

    def close(self, why: str = "it was closed") -> None:
        """End the connection, from any thread; what has not been sent is not sent."""
        self._loop.call_soon_threadsafe(self._end_it, why)

    def _end_it(self, why: str) -> None:
        with self._lock:
            if self.closed:
                return
            self.closed = True
            self._loop.remove_reader(self._sock.fileno())
            self._loop.remove_writer(self._sock.fileno())
            self._queue.clear()
            self._urgent.clear()
            self.unsent = 0
            self.room.notify_all()
            if not self._sending:
                self._close()
        self._owner.lost(why)

    def _close(self) -> None:
        disown(self._sock.fileno())
        self._sock.close()


def _without(views: list[memoryview | bytes], sent: int) -> list[memoryview | bytes]:
    """What is left of some views after so many bytes of them."""
    for number, view in enumerate(views):
        if sent < len(view):
            left = views[number:]
            left[0] = memoryview(view)[sent:]
            return left
        sent -= len(view)
    return []
