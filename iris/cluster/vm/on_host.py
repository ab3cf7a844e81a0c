"""`python -m iris.cluster.vm.on_host`: what a manual host does for its controller, one request at a time.

The controller starts it by SSH: a JSON request is read from standard input, and its answer is the last
line of standard output. Nothing is kept but folders: a host is held by the one slice that has a folder
here, so that no two controllers, and no two lives of one, can use it twice.
"""

import asyncio
import fcntl
import json
import os
import select
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from iris import __version__
from iris.cluster.engine import EngineError, connect
from iris.cluster.vm.workers import Described, Launch, WorkerProcesses, write
from iris.core.ids import GroupName, SliceId, Zone
from iris.ports import NoLog
from iris.rpc.addresses import parse_address

_REACH_S: Final = 5.0
"""For the controller to take a connection from here."""

_AUTHORITY: Final = "authority.pem"
CONTROLLER: Final = "controller"
"""The folder of a controller that runs here; what its file names is looked for there."""


class Unfit(Exception):
    """What was asked for cannot be done here; says why."""


def look(root: Path, request: Mapping[str, Any]) -> dict[str, object]:
    """The slices that are here, what this host has, and what it lacks to run the worker that the request describes."""
    workers = _workers(root, request)
    found = []
    for name in workers.names():
        said = workers.described(name)
        found.append(
            {
                "slice": name,
                "group": said.group,
                "zone": said.zone,
                "addresses": said.addresses,
                "runs": workers.is_whole(name),
            }
        )
    has = {"python": sys.version.split()[0], "free_bytes": shutil.disk_usage(root).free}
    return {"slices": found, "lacks": list(_lacks(request)), **has, "now_s": time.time()}


def _lacks(request: Mapping[str, Any]) -> Iterator[str]:
    url = request.get("controller")
    if url is not None:
        address = parse_address(url)
        try:
            with socket.create_connection((address.host, address.port), _REACH_S):
                pass
        except OSError as error:
            yield f"it does not reach the controller at {url}: {error.strerror or error}"
    if request["containers"]:
        try:
            with closing(connect()):
                pass
        except EngineError as error:
            yield str(error)
    if "port" in request:
        yield from _lacks_of_controller(int(request["port"]))


def _lacks_of_controller(port: int) -> Iterator[str]:
    """What keeps a controller from coming up here."""
    if find_spec("asyncssh") is None:
        yield "asyncssh is not installed there, by which a controller reaches its hosts"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError as error:
            yield f"port {port} cannot be listened on: {error.strerror}"


def start(root: Path, request: Mapping[str, Any]) -> dict[str, object]:
    """Start the one worker of this host, unless it runs.

    Raises:
        Unfit: another slice holds this host.
    """
    workers = _workers(root, request)
    name, host = SliceId(request["slice"]), int(request["host"])
    others = [other for other in workers.names() if other != name]
    if others:
        raise Unfit(f"{others[0]} holds it")
    group, zone = GroupName(request["group"]), Zone(request["zone"])
    workers.describe(name, Described(group, zone, (host,), tuple(request["addresses"])))
    authority: Path | None = None
    if request["authority"] is not None:
        authority = root / name / _AUTHORITY
        write(authority, request["authority"])
    launch = Launch(
        name,
        group,
        zone,
        host,
        request["offers"],
        request["controller"],
        request["token"],
        address=request["address"],
        authority=authority,
        image=request["image"],
    )
    workers.start(launch)
    return {}


def end(root: Path, request: Mapping[str, Any]) -> dict[str, object]:
    """End the worker of a slice, and all that its tasks have left; without a trace of it, nothing.

    Raises:
        EngineError: containers may be left.
    """
    asyncio.run(_workers(root, request).end(SliceId(request["slice"])))
    return {}


def attend(root: Path, request: Mapping[str, Any]) -> dict[str, object]:
    """Wait until the worker of a slice has ended, or until nobody listens any more."""
    workers = _workers(root, request)
    name = SliceId(request["slice"])
    if name not in workers.names():
        return {"runs": False}
    for host in workers.described(name).hosts:
        pid = workers.pid(name, host)
        if pid is None:
            return {"runs": False}
        try:
            worker = os.pidfd_open(pid)
        except ProcessLookupError:
            return {"runs": False}
        asked = select.poll()
        asked.register(worker, select.POLLIN)
        asked.register(sys.stdin.fileno(), select.POLLHUP | select.POLLIN)
        if worker not in [descriptor for descriptor, _ in asked.poll()]:
            return {"runs": True}
    return {"runs": False}


def log(root: Path, request: Mapping[str, Any]) -> dict[str, object]:
    """The end of what a worker has said.

    Raises:
        Unfit: there is nothing here of it.
    """
    workers, name = _workers(root, request), SliceId(request["slice"])
    try:
        found = workers.log(name, int(request["host"]), int(request["most_bytes"]))
    except NoLog as error:
        raise Unfit(str(error)) from error
    return {"log": found.decode(errors="replace")}


def certificate(root: Path, request: Mapping[str, Any]) -> dict[str, object]:
    """What becomes of those who call the controller of this host by a name, with the files that are here."""
    from iris.cluster.tls_files import judged
    from iris.config import Tls

    folder = root / CONTROLLER
    tls = Tls(folder / request["cert"], folder / request["key"])
    found, help = judged(tls, [request["name"]])
    return {"found": found, "help": help}


VERBS: Final = {
    "look": look,
    "start": start,
    "end": end,
    "attend": attend,
    "log": log,
    "certificate": certificate,
}
_ALTERING: Final = ("start", "end")


def answer(request: Mapping[str, Any]) -> dict[str, object]:
    """What a request comes to; an error is told in the answer."""
    verb = request["verb"]
    try:
        root = own_folder(Path(request["folder"]))
        os.chdir(root)  # Where no folder is called `iris`.
        with _alone(root, altering=verb in _ALTERING):
            said = VERBS[verb](root, request)
    except (Unfit, EngineError) as error:
        said = {"error": str(error)}
    except OSError as error:
        said = {"error": f"{error.filename or request['folder']}: {error.strerror or error}"}
    return {"iris": __version__, **said}


def _workers(root: Path, request: Mapping[str, Any]) -> WorkerProcesses:
    return WorkerProcesses(root, containers=request["containers"])


def own_folder(path: Path) -> Path:
    """The folder of all slices, which nobody else may write to.

    Raises:
        Unfit: it is somebody else's, or no folder.
        OSError: it cannot be made.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if path.is_symlink() or found.st_uid != os.geteuid():
        raise Unfit(f"{path} is not a folder of this user: name another one by provider.folder")
    path.chmod(0o700)
    return path.resolve()


@contextmanager
def _alone(root: Path, *, altering: bool) -> Iterator[None]:
    """One at a time changes what is here."""
    if not altering:
        yield
        return
    with (root / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Answer one request."""
    request = json.loads(sys.stdin.readline())
    sys.stdout.write(f"\n{json.dumps(answer(request))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
