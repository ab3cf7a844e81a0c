"""Frames: what passes over a connection between a caller and an actor's server.

A frame is a header, a short head whose form depends on the kind, and either a whole payload or, when
that is large, the sizes of its buffers; then chunks follow, each within one buffer.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from iris.actor.payload import MOST_BUFFERS, Buffer, Payload

VERSION: Final = 1
HEADER: Final = struct.Struct("!IBQH")
"""Bytes that follow, kind, call, and how many of them are the head."""
INLINE_BYTES: Final = 64 << 10
"""The largest payload that travels whole, in the frame itself."""
CHUNK_BYTES: Final = 1 << 20
LARGEST_FRAME: Final = (1 << 16) + 2 * INLINE_BYTES
"""Of frames that are no chunks."""
LARGEST_GREETING: Final = 4 << 10
"""Of frames of somebody who has proven nothing yet."""
_LARGE: Final = 0x80
_COUNT: Final = struct.Struct("!I")
_ONE: Final = struct.Struct("!IQ")


class Kind(IntEnum):
    """What a frame says. A call's number is chosen by the caller and good for its connection."""

    HELLO = 1
    """Caller: which actor, by which registration, and a nonce."""
    WELCOME = 2
    """Server: a nonce, and its proof."""
    PROOF = 3
    """Caller: its proof."""
    READY = 4
    """Server: calls may come."""
    DENIED = 5
    """Server: the caller is not served; says why, and closes."""
    CALL = 6
    GRANT = 7
    """Server: there is room for the large payload of this call; chunks may come."""
    CHUNK = 8
    CANCEL = 9
    """Caller: nobody waits for this call any longer."""
    CREDIT = 10
    """Caller: so many bytes of a stream were taken, and may follow."""
    RESULT = 11
    ITEM = 12
    """Server: the next value of a stream."""
    END = 13
    """Server: a stream has no more values."""
    RAISED = 14
    """Server: the method raised this."""
    REFUSED = 15
    """Server: the call did not run, and why."""
    STOPPING = 16
    """Server: it takes no more calls on this connection, and ends those that run."""


_KINDS: Final = {int(kind): kind for kind in Kind}


@dataclass(slots=True, eq=False)
class Message:
    """A frame to be sent, with the chunks that follow it if it is large."""

    kind: Kind
    call: int
    frame: bytes
    size: int
    """Bytes of frame and payload."""
    rest: list[memoryview] = field(default_factory=list)
    """What is still to be sent in chunks, last first."""
    needs_grant: bool = False
    begun: bool = False
    """Whether any of it may have left this process."""
    dropped: bool = False

    def chunk(self) -> tuple[bytes, memoryview] | None:
        """The next chunk and its header; nothing when all have been taken."""
        if not self.rest:
            return None
        buffer = self.rest.pop()
        piece, left = buffer[:CHUNK_BYTES], buffer[CHUNK_BYTES:]
        if left:
            self.rest.append(left)
        return HEADER.pack(len(piece), Kind.CHUNK, self.call, 0), piece


def message(kind: Kind, call: int, head: bytes = b"", payload: Payload = ()) -> Message:
    """What is to be sent to say something."""
    if not payload:
        frame = HEADER.pack(len(head), kind, call, len(head)) + head
        return Message(kind, call, frame, len(frame))
    sizes = [len(buffer) for buffer in payload]
    total = sum(sizes)
    table = _ONE.pack(1, total) if len(sizes) == 1 else _table(sizes)
    if total <= INLINE_BYTES:
        length = len(head) + len(table) + total
        frame = b"".join((HEADER.pack(length, kind, call, len(head)), head, table, *payload))
        return Message(kind, call, frame, len(frame))
    frame = HEADER.pack(len(head) + len(table), kind | _LARGE, call, len(head)) + head + table
    rest = [memoryview(buffer) for buffer in reversed(payload) if buffer]
    return Message(kind, call, frame, len(frame) + total, rest, needs_grant=kind is Kind.CALL)


def _table(sizes: Sequence[int]) -> bytes:
    return struct.pack(f"!I{len(sizes)}Q", len(sizes), *sizes)


class Malformed(Exception):
    """Bytes that are no frame."""


@dataclass(slots=True, eq=False)
class Arrival:
    """A frame that has come; its payload is whole when `missing` is nothing."""

    kind: Kind
    call: int
    head: bytes
    sizes: Sequence[int] = ()
    payload: list[Buffer] = field(default_factory=list)
    missing: int = 0
    _position: int = 0

    def room(self, length: int) -> memoryview:
        """Where the bytes of a chunk belong.

        Raises:
            Malformed: the chunk does not lie within one buffer.
        """
        if not self.payload:
            self.payload.append(bytearray(self.sizes[0]))
        while self._position == len(self.payload[-1]):
            if len(self.payload) == len(self.sizes):
                raise Malformed("more chunks than were announced")
            self.payload.append(bytearray(self.sizes[len(self.payload)]))
            self._position = 0
        start, self._position = self._position, self._position + length
        if self._position > len(self.payload[-1]):
            raise Malformed("a chunk that does not lie within one buffer")
        self.missing -= length
        return memoryview(self.payload[-1])[start : self._position]

    def finish(self) -> None:
        """All chunks have come: what is left are empty buffers."""
        self.payload += [b""] * (len(self.sizes) - len(self.payload))


def arrival(kind: int, call: int, head: bytes, rest: memoryview) -> Arrival:
    """A frame from its parts.

    Raises:
        Malformed: they are none.
    """
    try:
        known = _KINDS[kind & ~_LARGE]
        if not rest:
            return Arrival(known, call, head)
        count, size = _ONE.unpack_from(rest)
        if count == 1 and len(rest) == _ONE.size + size:
            return Arrival(known, call, head, (size,), [bytes(rest[_ONE.size :])])
        (count,) = _COUNT.unpack_from(rest)
        if count > MOST_BUFFERS:
            raise Malformed(f"{count} buffers")
        sizes = struct.unpack_from(f"!{count}Q", rest, _COUNT.size)
    except (KeyError, struct.error) as error:
        raise Malformed(str(error)) from error
    at = _COUNT.size + 8 * count
    if kind & _LARGE:
        return Arrival(known, call, head, sizes, missing=sum(sizes))
    found = Arrival(known, call, head, sizes)
    for size in sizes:
        found.payload.append(bytes(rest[at : at + size]))
        at += size
    if at != len(rest):
        raise Malformed(f"{len(rest)} bytes, of which {at} were announced")
    return found
