"""An HTTP server of few words: a request in, an answer out, or the connection breaks."""

import json
import os
import select
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.gcp.fake_errors import HangUp, Json

_BREAK_AT_ONCE: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Request:
    """One request."""

    verb: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """In lower case."""
    body: bytes
    here: str
    """The address that it was sent to."""
    is_alive: Callable[[], bool]

    def json(self) -> Json:
        """The body.

        Raises:
            ValueError: it is no JSON object.
        """
        found = json.loads(self.body or b"{}")
        if not isinstance(found, dict):
            raise TypeError(f"{found!r} is no object")
        return found


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(
        default_factory=lambda: {"Content-Type": "application/json; charset=UTF-8"}
    )


def of_json(body: Json, status: int = 200) -> Answer:
    """An answer that is a JSON object."""
    return Answer(status, json.dumps(body).encode())


class HttpFront:
    """A server of its own port, which answers each request in a thread."""

    def __init__(self, answer: Callable[[Request], Answer], host: str = "127.0.0.1") -> None:
        self.log: list[tuple[Request, Answer]] = []
        """Every request that was answered."""

        def logged(request: Request) -> Answer:
            told = answer(request)
            self.log.append((request, told))
            return told

        self._server = _Server((host, 0), _handler_of(logged))
        self.address = f"{host}:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name=f"http-{self.address}"
        )
        self._thread.start()

    def close(self) -> None:
        """Listen no more; whoever still waits is let go."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


def _handler_of(answer: Callable[[Request], Answer]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            split = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            request = Request(
                self.command,
                unquote(split.path),
                dict(parse_qsl(split.query, keep_blank_values=True)),
                {key.lower(): value for key, value in self.headers.items()},
                self.rfile.read(length),
                self.connection.getsockname()[0],
                lambda: _is_open(self.connection),
            )
            try:
                told = answer(request)
            except HangUp:
                self.close_connection = True
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _BREAK_AT_ONCE)
                os.close(self.connection.detach())  # a shutdown first would be a polite end
                return
            self.send_response(told.status)
            for key, value in told.headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            with suppress(BrokenPipeError):  # The client waits no more.
                self.wfile.write(told.body)

        do_GET = do_POST = do_DELETE = do_PATCH = do_PUT = handle_any  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    return Handler


def _is_open(connection: socket.socket) -> bool:
    """Whether the caller still waits: one that has left can be read to its end."""
    readable, _, _ = select.select([connection], [], [], 0)
    try:
        return not readable or bool(connection.recv(1, socket.MSG_PEEK))
    except OSError:
        return False
