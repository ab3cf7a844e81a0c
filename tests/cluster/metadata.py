"""A metadata server for one machine, and a cloud that it may ask to be deleted."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

ROOT = "/computeMetadata/v1/"


class Metadata:
    """What a machine is told about itself."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values = values
        self.told: list[str] = []
        """What it has written as guest attributes."""
        self.deleted: list[str] = []
        """What it has asked the cloud to delete, by path, and as whom."""
        self.refusals = 0
        """How many deletes the cloud refuses yet."""
        self.address = ""
        self._changed = threading.Condition()
        self._closed = False

    def set(self, path: str, value: str) -> None:
        """Change a value; whoever waits for that is answered."""
        with self._changed:
            self.values[path] = value
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def read(self, path: str, seen: str | None) -> str | None:
        """A value; if it is the one that was seen, the next one."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._tag(path) != seen)
            return self.values.get(path)

    def _tag(self, path: str) -> str:
        return f"{hash(self.values.get(path)) & 0xFFFFFFFF:x}"

    def tag(self, path: str) -> str:
        with self._changed:
            return self._tag(path)


@contextmanager
def metadata_server(values: dict[str, str]) -> Iterator[Metadata]:
    metadata = Metadata(values)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            path, query = parts.path.removeprefix(ROOT), parse_qs(parts.query)
            if self.headers.get("Metadata-Flavor") != "Google":
                self._answer(403, "Missing Metadata-Flavor:Google header.")
                return
            seen = query["last_etag"][0] if "wait_for_change" in query else None
            value = metadata.read(path, seen)
            self._answer(404 if value is None else 200, value or "", metadata.tag(path))

        def do_PUT(self) -> None:
            said = self.rfile.read(int(self.headers["Content-Length"])).decode()
            metadata.told.append(said)
            self._answer(200, "")

        def do_DELETE(self) -> None:
            metadata.refusals -= 1
            if metadata.refusals >= 0:
                self._answer(503, "")
                return
            metadata.deleted.append(f"{self.headers['Authorization']} {self.path}")
            self._answer(200, "{}")

        def _answer(self, status: int, body: str, tag: str = "0") -> None:
            content = body.encode()
            self.send_response(status)
            self.send_header("ETag", tag)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with suppress(BrokenPipeError):  # Whoever waited for a change is gone.
                self.wfile.write(content)

        def log_message(self, format: str, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    metadata.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield metadata
    finally:
        metadata.close()
        server.shutdown()
        server.server_close()
        thread.join()
