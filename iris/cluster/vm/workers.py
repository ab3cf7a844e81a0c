"""Worker processes of one machine: started, seen and ended by their folders.

A process belongs to no parent that matters: it is found again by its folder, whoever started it and
whatever became of that. `ROOT/SLICE/slice.json` says what a slice is, `ROOT/SLICE/HOST` is the folder of
the worker that is this host of it.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from iris.cluster.engine import EngineError, connect, engine_errors, remove_containers, words
from iris.cluster.processes import end_group, is_running, kill_marked
from iris.core.ids import GroupName, SliceId, Zone
from iris.ports import NoLog

STOP_GRACE_S: Final = 10.0
"""From SIGTERM to SIGKILL of a worker."""
_DESCRIPTION: Final = "slice.json"
_LOG: Final = "worker.log"


@dataclass(frozen=True, slots=True)
class Described:
    """What a machine knows of a slice that is on it."""

    group: GroupName
    zone: Zone
    hosts: tuple[int, ...]
    """Which hosts of the slice are on this machine."""
    addresses: tuple[str, ...] = ()
    """Of all its hosts, in their order; empty when all of them are here."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One worker: which host of which slice it is, and what it is told."""

    slice: SliceId
    group: GroupName
    zone: Zone
    host: int
    offers: Mapping[str, int]
    controller: str
    token: str
    address: str = "127.0.0.1"
    """How other hosts reach this one."""
    authority: Path | None = None  # None: no TLS, or a certificate of a public authority
    image: str | None = None  # None: tasks are plain processes, not containers


class WorkerProcesses:
    """The worker processes below a folder."""

    def __init__(self, root: Path, *, containers: bool, stop_grace_s: float = STOP_GRACE_S) -> None:
        """Those of this folder, whose tasks may be containers."""
        self._root = root
        self._containers = containers
        self._stop_grace_s = stop_grace_s

    def names(self) -> list[SliceId]:
        """The slices of which hosts are here."""
        found = [path.parent.name for path in self._root.glob(f"*/{_DESCRIPTION}")]
        return [SliceId(name) for name in sorted(found)]

    def describe(self, name: SliceId, said: Described) -> None:
        """Note what a slice is: from now on it is here.

        Raises:
            OSError: it cannot be written.
        """
        (self._root / name).mkdir(exist_ok=True)
        note = {"group": said.group, "zone": said.zone, "hosts": said.hosts}
        write(self._root / name / _DESCRIPTION, json.dumps({**note, "addresses": said.addresses}))

    def described(self, name: SliceId) -> Described:
        """What was noted of a slice that is here."""
        note = json.loads((self._root / name / _DESCRIPTION).read_text())
        hosts = note["hosts"]
        # Earlier versions noted how many hosts there are.
        here = range(hosts) if isinstance(hosts, int) else hosts
        addresses = tuple(note.get("addresses", ()))
        return Described(GroupName(note["group"]), Zone(note["zone"]), tuple(here), addresses)

    def start(self, launch: Launch) -> None:
        """Start a worker, unless it runs.

        Raises:
            OSError: it could not be started.
        """
        if self.pid(launch.slice, launch.host) is not None:
            return
        folder = self._root / launch.slice / str(launch.host)
        folder.mkdir(exist_ok=True)
        token = folder / "token"
        write(token, launch.token)
        command = [sys.executable, "-m", "iris.cluster.worker.main"]
        command += ["--controller", launch.controller, "--root", str(folder)]
        command += ["--slice", launch.slice, "--host", str(launch.host)]
        command += ["--group", launch.group, "--zone", launch.zone]
        command += ["--offers", json.dumps(launch.offers), "--address", launch.address]
        command += ["--token-file", str(token)]
        if launch.image is not None:
            command += ["--runtime", "docker", "--image", launch.image]
        if launch.authority is not None:
            command += ["--authority", str(launch.authority)]
        with (folder / _LOG).open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        write(folder / "worker.pid", str(process.pid))

    def pid(self, name: SliceId, host: int) -> int | None:
        """The process of a host's worker, if it runs."""
        folder = self._root / name / str(host)
        try:
            pid = int((folder / "worker.pid").read_text())
        except (OSError, ValueError):
            return None
        _reap(pid)
        return pid if is_running(pid, mark=str(folder)) else None

    def is_whole(self, name: SliceId) -> bool:
        """Whether each host of a slice that is here has its worker."""
        return all(self.pid(name, host) is not None for host in self.described(name).hosts)

    def log(self, name: SliceId, host: int, most_bytes: int) -> bytes:
        """The end of what the worker of a host has said, in whole lines where it was cut.

        Raises:
            NoLog: there is none here.
        """
        path = self._root / name / str(host) / _LOG
        try:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - most_bytes))
                found = file.read(most_bytes)
        except OSError as error:
            raise NoLog(f"{path}: {(error.strerror or str(error)).lower()}") from error
        return found if size <= most_bytes else found.partition(b"\n")[2]

    async def end(self, name: SliceId) -> None:
        """End the processes of a slice: SIGTERM, a grace, SIGKILL, and what their tasks left.

        Raises:
            EngineError: containers of it may be left, for the engine does not answer.
        """
        folder = self._root / name
        if not folder.is_dir():
            return
        hosts = [int(path.name) for path in folder.iterdir() if path.name.isdecimal()]
        for host in hosts:
            self._signal(name, host, signal.SIGTERM)
            self._signal(name, host, signal.SIGCONT)  # One that was stopped hears nothing before.
        end = asyncio.get_running_loop().time() + self._stop_grace_s
        while any(self.pid(name, host) is not None for host in hosts):
            if asyncio.get_running_loop().time() >= end:
                for host in hosts:
                    self._signal(name, host, signal.SIGKILL)
            await asyncio.sleep(0.02)
        for host in hosts:
            await asyncio.to_thread(self._clear, folder / str(host))
        # The description goes first: a folder without one is no slice.
        (folder / _DESCRIPTION).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)

    def _clear(self, folder: Path) -> None:
        """End what the tasks of a host have left."""
        for attempt in (folder / "attempts").glob("*"):
            end_group(attempt)
            kill_marked(str(attempt))  # What has left the group still carries the mark.
        if self._containers:
            _remove_containers(folder)

    def _signal(self, name: SliceId, host: int, number: int) -> None:
        pid = self.pid(name, host)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def _remove_containers(folder: Path) -> None:
    with contextlib.closing(connect()) as client:
        try:
            remove_containers(client, folder)
        except engine_errors() as error:
            raise EngineError(f"the Docker engine does not remove it: {words(error)}") from error


def write(path: Path, text: str) -> None:
    """Write a file that only its owner reads, whole or not at all, also when the power fails.

    Raises:
        OSError: it cannot be written.
    """
    beside = path.with_suffix(".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _reap(pid: int) -> None:
    """Let a child of ours that has ended go; another's is none of our business."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
