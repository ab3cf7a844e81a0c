"""Slices on this machine: a worker process for each host, started and killed as machines would be.

A slice whose process is gone is seen as stopped. A controller that was killed takes up where it was.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from iris.cluster.engine import EngineError
from iris.cluster.vm.workers import STOP_GRACE_S, Described, Launch, WorkerProcesses
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
from iris.core.ids import GroupName, SliceId, WorkerId, worker_id
from iris.core.instant import Instant
from iris.core.spec import GroupSpec
from iris.ports import Clock, VmPlace

_LOOK_EVERY_S: Final = 0.2

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """Where local workers live, and whom they call."""

    root: Path
    controller_url: str
    authority: Path | None  # None: no TLS, or a certificate of a public authority
    image: str | None = None  # None: tasks are plain processes, not containers
    stop_grace_s: float = STOP_GRACE_S


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
        self._workers = WorkerProcesses(
            settings.root,
            containers=settings.image is not None,
            stop_grace_s=settings.stop_grace_s,
        )

    # ---- the port ------------------------------------------------------------------------------

    async def create_slice(self, request: CreateSlice) -> Sequence[Event]:
        """Start a process for each host; those that run already are left alone."""
        group = self._groups().get(request.group)
        if group is None:
            detail = f"group {request.group} is not configured"
            return (SliceCreateFailed(request.slice, CreateFailure.BAD_REQUEST, detail),)
        hosts = tuple(range(group.hosts))
        try:
            self._workers.describe(request.slice, Described(request.group, request.zone, hosts))
            for host in hosts:
                self._workers.start(self._launch(request, group, host))
        except OSError as error:
            return (SliceCreateFailed(request.slice, CreateFailure.INTERNAL, str(error)),)
        return (SliceAccepted(request.slice),)

    async def delete_slice(self, request: DeleteSlice) -> Sequence[Event]:
        """End the slice's processes, and all that they started."""
        try:
            await self._workers.end(request.slice)
        except EngineError as error:
            _log.warning("%s is not ended: %s", request.slice, error)
            return ()  # It is asked for again, and is a slice until then.
        return (SliceDeleted(request.slice),)

    async def observe(self, request: ObserveSlices) -> Sequence[Event]:
        """List the named slices, or all."""
        asked_at = self._clock.now()
        names = self._workers.names()
        listed = [name for name in names if not request.slices or name in request.slices]
        missing = tuple(name for name in request.slices if name not in names)
        sightings = tuple(self._sighting(name) for name in listed)
        return (SlicesObserved(sightings, asked_at, complete=not request.slices, missing=missing),)

    # ---- processes -----------------------------------------------------------------------------

    def _launch(self, request: CreateSlice, group: GroupSpec, host: int) -> Launch:
        return Launch(
            request.slice,
            request.group,
            request.zone,
            host,
            group.host._asdict(),
            self._settings.controller_url,
            self._token(worker_id(request.slice, host)),
            authority=self._settings.authority,
            image=self._settings.image,
        )

    def _sighting(self, name: SliceId) -> SliceSighting:
        said = self._workers.described(name)
        state = CloudState.READY if self._workers.is_whole(name) else CloudState.STOPPED
        return SliceSighting(name, state, said.group, said.zone)

    async def end_all(self) -> None:
        """End every slice."""
        ends = (self._workers.end(name) for name in self._workers.names())
        for found in await asyncio.gather(*ends, return_exceptions=True):
            if isinstance(found, EngineError):
                _log.warning("containers may be left: %s", found)
            elif found is not None:
                raise found

    async def log(self, vm: VmPlace, most_bytes: int) -> bytes:
        """The end of a worker's log.

        Raises:
            NoLog: there is none.
        """
        return self._workers.log(vm.slice, vm.host, most_bytes)

    async def watch(self) -> None:
        """Tell of slices whose processes have ended by themselves, for ever."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            asked_at: Instant = self._clock.now()
            for name in self._workers.names():
                sighting = self._sighting(name)
                if sighting.state is CloudState.STOPPED and name not in self._told_dead:
                    self._told_dead.add(name)
                    self._deliver(SlicesObserved((sighting,), asked_at, complete=False))
