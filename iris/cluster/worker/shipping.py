"""Ships an attempt's log to the controller while it is written: by offset, once, to the last byte."""

import asyncio
import logging
from pathlib import Path
from typing import Final

from iris.rpc import iris_pb2 as pb
from iris.rpc.aio import AioChannel
from iris.rpc.errors import RemoteError
from iris.rpc.methods import APPEND_LOG

PIECE_BYTES: Final = 256 << 10
_EVERY_S: Final = 0.2
_RETRY_S: Final = 1.0

_log = logging.getLogger(__name__)


class Shipper:
    """The log of one attempt, on its way."""

    def __init__(self, channel: AioChannel, path: Path, task: str, attempt: int) -> None:
        """Nothing is shipped yet."""
        self._channel = channel
        self._path = path
        self._task = task
        self._attempt = attempt
        self._offset: int | None = None  # None: not asked yet where the controller stands
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
        if not self._path.exists():
            return
        size = self._path.stat().st_size
        if self._offset is None and size:
            self._offset = await self._append(0, b"")
        while self._offset is not None and self._offset < size:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                piece = file.read(PIECE_BYTES)
            self._offset = await self._append(self._offset, piece)

    async def _append(self, offset: int, content: bytes) -> int:
        request = pb.AppendLogRequest(
            task=self._task, attempt=self._attempt, offset=offset, content=content
        )
        answer = await self._channel.call(APPEND_LOG, request)
        return answer.next
