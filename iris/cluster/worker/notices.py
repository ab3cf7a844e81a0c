"""What a cloud announces to its machine: the metadata server is asked, and answers when something changes.

A preemption comes some 30 seconds after its announcement, the end for a host's maintenance some 60. A
migration to another host ends nothing, so it is no news.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Final

from iris.rpc.channel import spread

_PATHS: Final = {
    "instance/preempted": {"TRUE": "the machine is preempted"},
    "instance/maintenance-event": {
        "TERMINATE_ON_HOST_MAINTENANCE": "the machine ends for its host's maintenance"
    },
}
"""What is watched, and which values announce what."""
_WAIT_S: Final = 60
_SLACK_S: Final = 10.0
_PAUSE_S: Final = 5.0
_LONGEST_ANSWER: Final = 1 << 20

_log = logging.getLogger(__name__)


class MetadataServer:
    """The server that a machine of Google Cloud asks about itself."""

    def __init__(self, host: str | None = None) -> None:
        """The one at this host and port; by default that of `GCE_METADATA_HOST`, else Google's."""
        named = host or os.environ.get("GCE_METADATA_HOST") or "metadata.google.internal"
        self._host, _, port = named.partition(":")
        self._port = int(port or 80)
        self._standing: dict[str, str] = {}

    async def watch(self, told: Callable[[str], None]) -> None:
        """Tell what stands announced whenever that changes, and "" when nothing does any more; for ever."""
        async with asyncio.TaskGroup() as group:
            for path in _PATHS:
                group.create_task(self._watch(path, told))

    async def _watch(self, path: str, told: Callable[[str], None]) -> None:
        tag = ""
        while True:
            wait = f"?wait_for_change=true&timeout_sec={_WAIT_S}&last_etag={tag}" if tag else ""
            value = ""
            try:
                async with asyncio.timeout(_WAIT_S + _SLACK_S):
                    value, tag = await self._ask(path + wait)
            except (OSError, TimeoutError, ValueError, EOFError) as error:
                _log.warning("the metadata server does not tell %s: %r", path, error)
                tag = ""
            before = self._announced()
            if tag:
                self._standing[path] = _PATHS[path].get(value, "")
            if self._announced() != before:
                told(self._announced())
            if not tag:
                await asyncio.sleep(spread(_PAUSE_S))

    def _announced(self) -> str:
        return next((text for text in self._standing.values() if text), "")

    async def _ask(self, path: str) -> tuple[str, str]:
        """The value at a path, and its tag, by which it is asked for the next one.

        Raises:
            OSError: nobody answers, or not with the value.
            EOFError: the answer broke off.
            ValueError: the answer is none.
        """
        reader, writer = await asyncio.open_connection(
            self._host, self._port, limit=_LONGEST_ANSWER
        )
        try:
            lines = (
                f"GET /computeMetadata/v1/{path} HTTP/1.1",
                f"Host: {self._host}",
                "Metadata-Flavor: Google",
                "Connection: close",
            )
            writer.write("\r\n".join((*lines, "", "")).encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            fields = {
                key.lower(): rest.strip() for key, _, rest in (h.partition(":") for h in head)
            }
            if head[0].split()[1:2] != ["200"]:
                raise OSError(head[0])
            body = await reader.readexactly(int(fields["content-length"]))
            return body.decode().strip(), fields["etag"]
        except (KeyError, asyncio.LimitOverrunError) as error:
            raise ValueError(f"no answer of a metadata server: {error!r}") from error
        finally:
            writer.close()
