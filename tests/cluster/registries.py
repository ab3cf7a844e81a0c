"""Registries of images on this machine: Debian's, one for each loopback address that stands for a region."""

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.running import until

USER, PASSWORD = "alice", "a-password-of-tests"
_HTPASSWD = f"{USER}:$2b$04$XWziOwQpOiwLifPfowM/jeVmMLgAfgW6BsDho9XA38X1849WmNGK6\n"
_ACCEPTED = "application/vnd.docker.distribution.manifest.v2+json"


@contextmanager
def registry(folder: Path, address: str, *, closed: bool = False) -> Iterator[None]:
    """A registry that keeps images in a folder; one that is closed wants a password."""
    folder.mkdir()
    config: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "images")}},
        "http": {"addr": address},
    }
    if closed:
        (folder / "htpasswd").write_text(_HTPASSWD)
        config["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    (folder / "config.yml").write_text(json.dumps(config))
    command = ["docker-registry", "serve", str(folder / "config.yml")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until(lambda: _answers(address))
        yield
    finally:
        process.terminate()
        process.wait()


def digest_of(address: str, path: str, tag: str) -> str:
    """What a registry itself says of an image."""
    request = urllib.request.Request(
        f"http://{address}/v2/{path}/manifests/{tag}", headers={"Accept": _ACCEPTED}
    )
    with urllib.request.urlopen(request) as answer:
        return str(answer.headers["Docker-Content-Digest"])


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(f"http://{address}/v2/").close()
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False
    return True
