"""Slices on this machine: a worker process for each host, started and killed as machines would be.

A process belongs to no parent that matters: it is found again by its folder, so that a controller
that was killed takes up where it was. A slice whose process is gone is seen as stopped.
"""

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from iris.cluster.engine import EngineError, connect, engine_errors, remove_containers, words
from iris.cluster.processes import end_group, is_running
from iris.core.effects import CreateSlice, DeleteSlice, ObserveSlices
from iris.core.events import (
    CloudState,
    CreateFailure,
    Event,
    SliceAccepted,
    SliceCreateFailed,
    SliceDeleted,
    SliceSighting,
    SlicesObserved,
)
from iris.core.ids import GroupName, SliceId, WorkerId, Zone, worker_id
from iris.core.instant import Instant
from iris.core.spec import GroupSpec
from iris.ports import Clock

_STOP_GRACE_S: Final = 10.0
_LOOK_EVERY_S: Final = 0.2
_DESCRIPTION: Final = "slice.json"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """Where local workers live, and whom they call."""

    root: Path
    controller_url: str
    authority: Path | None  # None: no TLS, or a certificate of a public authority
    image: str | None = None  # None: tasks are plain processes, not containers
    stop_grace_s: float = _STOP_GRACE_S


class LocalVmManager:
    """A cloud of one machine."""

    def __init__(
        self,
        settings: LocalSettings,
        groups: Callable[[], Mapping[GroupName, GroupSpec]],
        token: Callable[[WorkerId], str],
        clock: Clock,
        deliver: Callable[[Event], None],
    ) -> None:
        """A provider of worker processes.

        Args:
            settings: where and how.
            groups: the configuration in force.
            token: what a worker shows to the controller.
            clock: dates listings.
            deliver: where to tell that a process has ended though nobody asked.
        """
        self._settings = settings
        self._groups = groups
        self._token = token
        self._clock = clock
        self._deliver = deliver
        self._told_dead: set[SliceId] = set()
        settings.root.mkdir(mode=0o700, parents=True, exist_ok=True)

    # ---- the port ------------------------------------------------------------------------------

    async def create_slice(self, request: CreateSlice) -> Sequence[Event]:
        """Start a process for each host; those that run already are left alone."""
        group = self._groups().get(request.group)
        if group is None:
            detail = f"group {request.group} is not configured"
            return (SliceCreateFailed(request.slice, CreateFailure.BAD_REQUEST, detail),)
        folder = self._settings.root / request.slice
        folder.mkdir(exist_ok=True)
        description = {"group": request.group, "zone": request.zone, "hosts": group.hosts}
        _write(folder / _DESCRIPTION, json.dumps(description))
        try:
            for host in range(group.hosts):
                if not self._is_alive(request.slice, host):
                    self._start(request, group, host)
        except OSError as error:
            return (SliceCreateFailed(request.slice, CreateFailure.INTERNAL, str(error)),)
        return (SliceAccepted(request.slice),)

    async def delete_slice(self, request: DeleteSlice) -> Sequence[Event]:
        """End the slice's processes, and all that they started."""
        try:
            await self.end(request.slice)
        except EngineError as error:
            _log.warning("%s is not ended: %s", request.slice, error)
            return ()  # It is asked for again, and is a slice until then.
        return (SliceDeleted(request.slice),)

    async def observe(self, request: ObserveSlices) -> Sequence[Event]:
        """List the named slices, or all."""
        asked_at = self._clock.now()
        names = self._names()
        listed = [name for name in names if not request.slices or name in request.slices]
        missing = tuple(name for name in request.slices if name not in names)
        sightings = tuple(self._sighting(name) for name in listed)
        return (SlicesObserved(sightings, asked_at, complete=not request.slices, missing=missing),)

    # ---- processes -----------------------------------------------------------------------------

    def _start(self, request: CreateSlice, group: GroupSpec, host: int) -> None:
        name = worker_id(request.slice, host)
        folder = self._settings.root / request.slice / str(host)
        folder.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "iris.cluster.worker.main"]
        command += ["--controller", self._settings.controller_url, "--root", str(folder)]
        command += ["--slice", request.slice, "--host", str(host)]
        command += ["--group", request.group, "--zone", request.zone]
        command += ["--offers", json.dumps(group.host._asdict())]
        if self._settings.image is not None:
            command += ["--runtime", "docker", "--image", self._settings.image]
        if self._settings.authority is not None:
            command += ["--authority", str(self._settings.authority)]
        environment = {**os.environ, "IRIS_WORKER_TOKEN": self._token(name)}
        with (folder / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment,
            )
        _write(folder / "worker.pid", str(process.pid))

    def _pid(self, name: SliceId, host: int) -> int | None:
        try:
            return int((self._settings.root / name / str(host) / "worker.pid").read_text())
        except (OSError, ValueError):
            return None

    def _is_alive(self, name: SliceId, host: int) -> bool:
        pid = self._pid(name, host)
        _reap(pid)
        folder = self._settings.root / name / str(host)
        return pid is not None and is_running(pid, mark=str(folder))

    def _names(self) -> list[SliceId]:
        found = [p.parent.name for p in self._settings.root.glob(f"*/{_DESCRIPTION}")]
        return [SliceId(name) for name in sorted(found)]

    def _sighting(self, name: SliceId) -> SliceSighting:
        description = json.loads((self._settings.root / name / _DESCRIPTION).read_text())
        whole = all(self._is_alive(name, host) for host in range(description["hosts"]))
        return SliceSighting(
            name,
            CloudState.READY if whole else CloudState.STOPPED,
            GroupName(description["group"]),
            Zone(description["zone"]),
        )

    async def end(self, name: SliceId) -> None:
        """End the processes of a slice: SIGTERM, a grace, SIGKILL, and what their tasks left.

        Raises:
            EngineError: containers of it may be left, for the engine does not answer.
        """
        folder = self._settings.root / name
        if not folder.is_dir():
            return
        hosts = [int(path.name) for path in folder.iterdir() if path.name.isdecimal()]
        for host in hosts:
            self._signal(name, host, signal.SIGTERM)
            self._signal(name, host, signal.SIGCONT)  # One that was stopped hears nothing before.
        end = asyncio.get_running_loop().time() + self._settings.stop_grace_s
        while any(self._is_alive(name, host) for host in hosts):
            if asyncio.get_running_loop().time() >= end:
                for host in hosts:
                    self._signal(name, host, signal.SIGKILL)
            await asyncio.sleep(0.02)
        for host in hosts:
            for attempt in (folder / str(host) / "attempts").glob("*"):
                end_group(attempt)
            if self._settings.image is not None:
                await asyncio.to_thread(_remove_containers, folder / str(host))
        # The description goes first: a folder without one is no slice.
        (folder / _DESCRIPTION).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)

    def _signal(self, name: SliceId, host: int, number: int) -> None:
        pid = self._pid(name, host)
        if pid is not None and self._is_alive(name, host):
            os.kill(pid, number)

    async def end_all(self) -> None:
        """End every slice."""
        ends = (self.end(name) for name in self._names())
        for found in await asyncio.gather(*ends, return_exceptions=True):
            if isinstance(found, EngineError):
                _log.warning("containers may be left: %s", found)
            elif found is not None:
                raise found

    async def watch(self) -> None:
        """Tell of slices whose processes have ended by themselves, for ever."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            asked_at: Instant = self._clock.now()
            for name in self._names():
                sighting = self._sighting(name)
                if sighting.state is CloudState.STOPPED and name not in self._told_dead:
                    self._told_dead.add(name)
                    self._deliver(SlicesObserved((sighting,), asked_at, complete=False))


def _remove_containers(folder: Path) -> None:
    with contextlib.closing(connect()) as client:
        try:
            remove_containers(client, folder)
        except engine_errors() as error:
            raise EngineError(f"the Docker engine does not remove it: {words(error)}") from error


def _write(path: Path, text: str) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def _reap(pid: int | None) -> None:
    """Let a child of ours that has ended go; another's is none of our business."""
    if pid is not None:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return
