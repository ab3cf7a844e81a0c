"""Ships an attempt's log to the controller while it is written: by offset, once, to the last byte."""

import asyncio
import ctypes
import logging
from pathlib import Path
from typing import Final

from iris.rpc import iris_pb2 as pb
from iris.rpc.aio import AioChannel
from iris.rpc.errors import RemoteError
from iris.rpc.methods import APPEND_LOG, MAX_LOG_BYTES

PIECE_BYTES: Final = 1 << 20
LINGER_S: Final = 30.0
"""After the end of what wrote it, what is left of a log is shipped for so long; then only its tail is, so
that nobody takes an attempt that has ended for one that will not stop."""
TAIL_BYTES: Final = 16 << 20
_EVERY_S: Final = 0.2
_RETRY_S: Final = 1.0

_PUNCH_HOLE: Final = 0x01 | 0x02
"""FALLOC_FL_KEEP_SIZE and FALLOC_FL_PUNCH_HOLE of fallocate(2)."""
_LIBC: Final = ctypes.CDLL(None)

_log = logging.getLogger(__name__)


def _trim(path: Path, start: int, end: int) -> None:
    """Give the room of a part of a file back to the disk, while somebody goes on writing behind it.

    Where the file system cannot, the file stays as it is.
    """
    if not hasattr(_LIBC, "fallocate64"):
        return
    with path.open("r+b") as file:
        _LIBC.fallocate64(
            file.fileno(), _PUNCH_HOLE, ctypes.c_int64(start), ctypes.c_int64(end - start)
        )


class Shipper:
    """The log of one attempt, on its way."""

    def __init__(self, channel: AioChannel, path: Path, task: str, attempt: int) -> None:
        """Nothing is shipped yet."""
        self._channel = channel
        self._path = path
        self._task = task
        self._attempt = attempt
        self._offset: int | None = None  # None: not asked yet where the controller stands
        self._trimmed = MAX_LOG_BYTES
        self._lingered = 0.0
        self._ended = asyncio.Event()

    def finish(self) -> None:
        """Nothing more will be written."""
        self._ended.set()

    async def run(self) -> None:
        """Until all is shipped, or the controller does not want it."""
        while True:
            last = self._ended.is_set()
            try:
                await self._ship()
            except RemoteError as error:
                if not error.is_passing:
                    _log.warning("the log of %s is not wanted: %s", self._task, error)
                    return
                await asyncio.sleep(_RETRY_S)
                continue
            if last:
                return
            try:
                async with asyncio.timeout(_EVERY_S):
                    await self._ended.wait()
            except TimeoutError:
                continue

    async def _ship(self) -> None:
        size = self._within_cap()
        if self._offset is None and size:
            self._offset = await self._append(0, b"")
        while self._offset is not None and self._offset < size:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                piece = file.read(min(PIECE_BYTES, size - self._offset))
            began = asyncio.get_running_loop().time()
            self._offset = await self._append(self._offset, piece)
            if self._ended.is_set():
                self._lingered += asyncio.get_running_loop().time() - began
                if self._lingered > LINGER_S and size - self._offset > TAIL_BYTES:
                    size = self._cut(self._offset, size)
            else:
                self._within_cap()

    def _within_cap(self) -> int:
        """How much of the log is to be shipped; the disk gets back what is written beyond."""
        if not self._path.exists():
            return 0
        size = self._path.stat().st_size
        if size > self._trimmed:
            _trim(self._path, MAX_LOG_BYTES, size)
            self._trimmed = size
        return min(size, MAX_LOG_BYTES)

    def _cut(self, start: int, end: int) -> int:
        """Leave out what is before the tail; where the log ends now. Nobody writes any more."""
        with self._path.open("r+b") as file:
            file.seek(end - TAIL_BYTES)
            tail = file.read(TAIL_BYTES)
            left_out = end - TAIL_BYTES - start
            file.seek(start)
            file.write(f"\n[iris: {left_out} bytes are left out here]\n".encode() + tail)
            file.truncate()
            return file.tell()

    async def _append(self, offset: int, content: bytes) -> int:
        request = pb.AppendLogRequest(
            task=self._task, attempt=self._attempt, offset=offset, content=content
        )
        answer = await self._channel.call(APPEND_LOG, request)
        return answer.next
