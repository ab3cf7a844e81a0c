"""Messages between a pool's worker and the process that makes its calls: buffers, one message after the other.

A message of some size lies in memory that both have, and only its sizes pass the pipe: so it is copied once in and
once out, in one go each. There is room for one at a time, which is enough: a call is answered before the next.
"""

import fcntl
import mmap
import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO, Final

from iris.actor.payload import Buffer

_HEAD: Final = struct.Struct("<IQ")
"""How many buffers a message has, and how many bytes they have together; the sizes of all follow, each with `_WRITABLE`
if its owner may write to it."""
_WRITABLE: Final = 1 << 63
_SMALL_BYTES: Final = 16 << 10
"""A message that is no larger is written and read in one piece."""
SHELF_BYTES: Final = 16 << 20
"""A message that is larger passes the pipe."""
_PIPE_BYTES: Final = 1 << 20
_MOST_VIEWS: Final = 512
"""Of one write; the system takes 1,024."""


class Shelf:
    """Memory that two processes have, for messages that go one way; what was used is kept, for it is costly to get."""

    def __init__(self, fd: int | None = None) -> None:
        """That of a file which was handed on; if none was, a new one.

        Raises:
            OSError: there is no memory.
        """
        self.fd = os.memfd_create("iris-pool") if fd is None else fd
        """To be handed on; not needed here after that."""
        if fd is None:
            os.ftruncate(self.fd, SHELF_BYTES)
        self._map = mmap.mmap(self.fd, SHELF_BYTES)
        if fd is not None:
            self._map.madvise(mmap.MADV_DONTFORK)

    def put(self, buffers: Sequence[Buffer]) -> None:
        """Lay buffers down, one behind the other."""
        at = 0
        for buffer in buffers:
            view = memoryview(buffer).cast("B")
            self._map[at : at + len(view)] = view
            at += len(view)

    def take(self, sizes: Sequence[int], *, writable: bool) -> list[Buffer]:
        """Copies of the buffers that lie there, by their sizes; writable ones are `bytearray`, if that is asked for."""
        found: list[Buffer] = []
        at = 0
        with memoryview(self._map) as there:
            for size in sizes:
                end = at + (size & ~_WRITABLE)
                found.append(_owned(there[at:end], size, writable=writable))
                at = end
        return found


def _owned(content: memoryview, size: int, *, writable: bool) -> Buffer:
    return bytearray(content) if writable and size & _WRITABLE else bytes(content)


def write_message(fd: int, buffers: Sequence[Buffer], shelf: Shelf) -> None:
    """Write a message whole, which may have to wait for the other side.

    Raises:
        OSError: the other side is gone.
    """
    views = [memoryview(buffer) for buffer in buffers]
    sizes = [view.nbytes | (0 if view.readonly else _WRITABLE) for view in views]
    total = sum(view.nbytes for view in views)
    head = struct.pack(f"<IQ{len(sizes)}Q", len(sizes), total, *sizes)
    if total <= _SMALL_BYTES:
        views = [memoryview(b"".join((head, *buffers)))]
    elif total <= SHELF_BYTES:
        shelf.put(buffers)
        views = [memoryview(head)]
    else:
        views = [memoryview(head), *(view.cast("B") for view in views if view.nbytes)]
    while views:
        sent = os.writev(fd, views[:_MOST_VIEWS])
        while views and sent >= len(views[0]):
            sent -= len(views.pop(0))
        if sent:
            views[0] = views[0][sent:]


def read_message(file: BinaryIO, shelf: Shelf, *, writable: bool) -> list[Buffer] | None:
    """The next message; None when the other side is gone, also in the middle of one.

    Args:
        file: the pipe.
        shelf: that of this way.
        writable: whether buffers that their owner may write to can be written to here, too. The others are `bytes`.
    """
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    count, total = _HEAD.unpack(head)
    is_small = total <= _SMALL_BYTES
    rest = file.read(8 * count + (total if is_small else 0))
    if len(rest) < 8 * count:
        return None
    sizes = struct.unpack_from(f"<{count}Q", rest)
    if is_small:
        return _small(rest, sizes, total, writable=writable)
    if total <= SHELF_BYTES:
        return shelf.take(sizes, writable=writable)
    return _streamed(file, sizes, writable=writable)


def _small(rest: bytes, sizes: Sequence[int], total: int, *, writable: bool) -> list[Buffer] | None:
    at = 8 * len(sizes)
    if len(rest) < at + total:
        return None
    buffers: list[Buffer] = []
    view = memoryview(rest)
    for size in sizes:
        end = at + (size & ~_WRITABLE)
        buffers.append(_owned(view[at:end], size, writable=writable))
        at = end
    return buffers


def _streamed(file: BinaryIO, sizes: Sequence[int], *, writable: bool) -> list[Buffer] | None:
    buffers: list[Buffer] = []
    for size in sizes:
        length = size & ~_WRITABLE
        content: Buffer = file.read(length)
        if len(content) < length:
            return None
        buffers.append(bytearray(content) if writable and size & _WRITABLE else content)
    return buffers


def widen(fd: int) -> None:
    """Let a pipe hold more than the system gives it, if it may: large messages then pass in fewer pieces."""
    with suppress(OSError, AttributeError):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
