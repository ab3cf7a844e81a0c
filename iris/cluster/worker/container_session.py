"""A command inside a running container, by the engine's own means."""

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from iris.cluster.engine import engine_errors, in_thread, words
from iris.cluster.worker.runtime import LaunchError
from iris.cluster.worker.sessions import EXEC_MARK, PIECE_BYTES, Command

if TYPE_CHECKING:
    import docker

_HEAD: Final = 8
"""Bytes before each piece of output without a terminal: which stream, three zeros, and the size."""
_KILL: Final = f"""
for process in /proc/[0-9]*; do
    tr '\\0' '\\n' 2>/dev/null < $process/environ | grep -qx "{EXEC_MARK}=$1" && kill -9 ${{process#/proc/}}
done 2>/dev/null
"""
_KILLS: Final = 3
_LOOKS: Final = 50
_LOOK_S: Final = 0.1

_log = logging.getLogger(__name__)


class ContainerSession:
    """A command in a container. The engine does not end one whose caller has gone: it is killed by its mark."""

    def __init__(
        self,
        client: "docker.DockerClient",
        *,
        container: str,
        exec_id: str,
        raw: Any,
        command: Command,
    ) -> None:
        """Use `begin`."""
        self._client = client
        self._container = container
        self._exec_id = exec_id
        self._raw = raw  # Its file object closes the socket when nobody holds it.
        self._socket: socket.socket = getattr(raw, "_sock", raw)
        self._socket.settimeout(0)
        self._command = command
        self._held = b""
        self._killing: asyncio.Task[None] | None = None

    @classmethod
    async def begin(
        cls, client: "docker.DockerClient", container: str, command: Command
    ) -> "ContainerSession":
        """Start a command.

        Raises:
            LaunchError: the container does not run, or the engine will not have it.
        """

        def start() -> tuple[str, Any]:
            made = client.api.exec_create(
                container,
                command.wrapped(),
                stdin=True,
                tty=command.tty,
                environment=command.variables(),
            )
            return made["Id"], client.api.exec_start(made["Id"], tty=command.tty, socket=True)

        try:
            exec_id, raw = await in_thread(start)
        except engine_errors() as error:
            raise LaunchError(words(error)) from error
        return cls(client, container=container, exec_id=exec_id, raw=raw, command=command)

    async def read(self) -> tuple[bytes, bytes] | None:
        """What comes next."""
        if self._command.tty:
            piece = await self._receive()
            return (piece, b"") if piece else None
        head = await self._exactly(_HEAD)
        if head is None:
            return None
        content = await self._exactly(int.from_bytes(head[4:], "big"))
        if content is None:
            return None
        return (b"", content) if head[0] == 2 else (content, b"")

    async def _exactly(self, size: int) -> bytes | None:
        while len(self._held) < size:
            piece = await self._receive()
            if not piece:
                return None
            self._held += piece
        found, self._held = self._held[:size], self._held[size:]
        return found

    async def _receive(self) -> bytes:
        try:
            return await asyncio.get_running_loop().sock_recv(self._socket, PIECE_BYTES)
        except OSError:
            return b""

    async def write(self, content: bytes) -> None:
        """Give it input."""
        with suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(self._socket, content)

    async def end_input(self) -> None:
        """Close its side of the connection; a terminal gets its end-of-file character."""
        if self._command.tty:
            await self.write(b"\x04")
        else:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)

    async def resize(self, rows: int, columns: int) -> None:
        """Set the size of its terminal."""
        if self._command.tty:
            await self._ask(lambda: self._client.api.exec_resize(self._exec_id, rows, columns))

    async def wait(self) -> int:
        """Its exit status, which the engine knows a little after the end of the output."""
        for _ in range(_LOOKS):
            state = await self._ask(lambda: self._client.api.exec_inspect(self._exec_id))
            if state is not None and not state["Running"]:
                self._raw.close()
                return int(state["ExitCode"] or 0)
            await asyncio.sleep(_LOOK_S)
        raise LaunchError("the Docker engine does not say how the command ended")

    def kill(self) -> None:
        """End it."""
        if self._killing is None:
            self._killing = asyncio.ensure_future(self._kill())

    async def _kill(self) -> None:
        script = ["/bin/sh", "-c", _KILL, "iris-kill", self._command.id]

        def run() -> None:
            self._client.api.exec_start(self._client.api.exec_create(self._container, script)["Id"])

        for _ in range(_KILLS):
            await self._ask(run)
            state = await self._ask(lambda: self._client.api.exec_inspect(self._exec_id))
            if state is not None and not state["Running"]:
                break
        with suppress(OSError):  # Whoever reads sees the end, though the engine may not tell it.
            self._socket.shutdown(socket.SHUT_RDWR)

    async def _ask(self, question: Callable[[], Any]) -> Any:
        try:
            return await in_thread(question)
        except engine_errors() as error:
            _log.info("command %s in %s: %s", self._command.id, self._container, words(error))
            return None
