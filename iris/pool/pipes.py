"""Messages between a pool's worker and the process that makes its calls: buffers, one message after the other."""

import fcntl
import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO, Final

from iris.actor.payload import Buffer

_HEAD: Final = struct.Struct("<IQ")
"""How many buffers a message has, and how many bytes they have together; the sizes of all follow."""
_SMALL_BYTES: Final = 16 << 10
"""A message that is no larger is written and read in one piece."""
_PIPE_BYTES: Final = 1 << 20
_MOST_VIEWS: Final = 512
"""Of one write; the system takes 1,024."""


def write_message(fd: int, buffers: Sequence[Buffer]) -> None:
    """Write a message whole, which may have to wait for the other side.

    Raises:
        OSError: the other side is gone.
    """
    sizes = [memoryview(buffer).nbytes for buffer in buffers]
    total = sum(sizes)
    head = struct.pack(f"<IQ{len(sizes)}Q", len(sizes), total, *sizes)
    if total <= _SMALL_BYTES:
        views = [memoryview(b"".join((head, *buffers)))]
    else:
        views = [memoryview(head), *(memoryview(b).cast("B") for b in buffers if len(b))]
    while views:
        sent = os.writev(fd, views[:_MOST_VIEWS])
        while views and sent >= len(views[0]):
            sent -= len(views.pop(0))
        if sent:
            views[0] = views[0][sent:]


def read_message(file: BinaryIO) -> list[Buffer] | None:
    """The next message; None when the other side is gone, also in the middle of one."""
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    count, total = _HEAD.unpack(head)
    if total <= _SMALL_BYTES:
        return _small(file.read(8 * count + total), count, total)
    table = file.read(8 * count)
    if len(table) < 8 * count:
        return None
    buffers: list[Buffer] = []
    for size in struct.unpack(f"<{count}Q", table):
        buffers.append(file.read(size))
        if len(buffers[-1]) < size:
            return None
    return buffers


def _small(rest: bytes, count: int, total: int) -> list[Buffer] | None:
    if len(rest) < 8 * count + total:
        return None
    buffers: list[Buffer] = []
    at = 8 * count
    for size in struct.unpack_from(f"<{count}Q", rest):
        buffers.append(rest[at : at + size])
        at += size
    return buffers


def widen(fd: int) -> None:
    """Let a pipe hold more than the system gives it, if it may: large messages then pass in fewer pieces."""
    with suppress(OSError, AttributeError):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
