"""A registry of packages on this machine, for builds of environments: a folder of wheels behind HTTP."""

import functools
import hashlib
import http.server
import socket
import threading
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path

WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def installed_wheel(folder: Path, name: str) -> None:
    """The wheel that a pure package of this environment was installed from, near enough."""
    found = distribution(name)
    assert found.files is not None, name
    with _wheel(folder, name, found.version) as wheel:
        for file in found.files:
            path = Path(str(file.locate()))
            if ".." not in file.parts and "__pycache__" not in file.parts and path.is_file():
                wheel.writestr(str(file), path.read_bytes())


def plain_wheel(folder: Path, name: str, version: str, text: str) -> None:
    """A package of one module."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files = {f"{name}.py": text, f"{info}/METADATA": metadata, f"{info}/WHEEL": WHEEL}
    lines = [f"{path},sha256={_digest(content)},{len(content)}" for path, content in files.items()]
    record = "\n".join([*lines, f"{info}/RECORD,,", ""])
    with _wheel(folder, name, version) as wheel:
        for path, content in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(path, content)


def _wheel(folder: Path, name: str, version: str) -> zipfile.ZipFile:
    place = folder / "index" / name
    place.mkdir(parents=True, exist_ok=True)
    return zipfile.ZipFile(place / f"{name}-{version}-py3-none-any.whl", "w")


def _digest(content: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).rstrip(b"=").decode()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[dict[str, str]]:
    """The variables that make pip and uv use this index and no other, while it is served."""
    handler = functools.partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield only(f"http://127.0.0.1:{server.server_address[1]}/index/")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def silent() -> Iterator[dict[str, str]]:
    """The same of an index that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield only(f"http://127.0.0.1:{listener.getsockname()[1]}/index/")


def only(url: str) -> dict[str, str]:
    """The variables that make pip and uv use this index and no other."""
    return {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": url,
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "PIP_CONSTRAINT": "",
        "UV_DEFAULT_INDEX": url,
        "UV_NO_CONFIG": "1",
    }
