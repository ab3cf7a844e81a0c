"""The HTTP server in the controller's own loop: bound early, stopped in order, deaf to signals.

uvicorn would take the process's signals, and would end it when the port is taken; here it does neither.
An open stream of events would keep it from stopping, so that every stream ends when `stopping` is set.
"""

import asyncio
import socket
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

_BELT_S: Final = 2
"""For answers under way at the end; streams are gone before that."""
_CONNECTIONS: Final = 512
"""More at once are turned away: this is the controller's loop, and its workers come first."""


class _Server(uvicorn.Server):
    """A server that leaves the signals to whoever runs the loop."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Nothing is captured."""
        return nullcontext()


class HttpServer:
    """Serves an application on a socket that is bound already."""

    def __init__(
        self,
        app: ASGIApp,
        listener: socket.socket,
        stopping: asyncio.Event,
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        """A server that does not serve yet.

        Args:
            app: what answers.
            listener: where; it is closed at the end.
            stopping: set here when the server is to end, for streams to see.
            tls: a certificate and its key.
        """
        cert, key = (None, None) if tls is None else tls
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=_BELT_S,
            ssl_certfile=cert,
            ssl_keyfile=key,
        )
        self._server = _Server(config)
        self._listener = listener
        self._stopping = stopping

    async def serve(self) -> None:
        """Serve until stopped."""
        await self._server.serve(sockets=[self._listener])

    def stop(self) -> None:
        """Take no more requests; `serve` returns when those under way are answered."""
        self._stopping.set()
        self._server.should_exit = True
