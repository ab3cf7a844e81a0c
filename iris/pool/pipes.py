"""Messages between a pool's worker and the process that makes its calls: buffers, one message after the other."""

import os
import struct
from collections.abc import Sequence
from typing import BinaryIO, Final

from iris.actor.payload import Buffer

_COUNT: Final = struct.Struct("<I")
_MOST_VIEWS: Final = 512
"""Of one write; the system takes 1,024."""


def write_message(fd: int, buffers: Sequence[Buffer]) -> None:
    """Write a message whole, which may have to wait for the other side.

    Raises:
        OSError: the other side is gone.
    """
    sizes = [memoryview(buffer).nbytes for buffer in buffers]
    head = struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes)
    if sum(sizes) < 1 << 14:
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
    head = file.read(_COUNT.size)
    if len(head) < _COUNT.size:
        return None
    (count,) = _COUNT.unpack(head)
    table = file.read(8 * count)
    if len(table) < 8 * count:
        return None
    buffers: list[Buffer] = []
    for size in struct.unpack(f"<{count}Q", table):
        buffer = bytearray(size)
        if file.readinto(buffer) < size:  # type: ignore[attr-defined]  # buffered, so it reads whole
            return None
        buffers.append(buffer)
    return buffers
