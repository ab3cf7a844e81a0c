"""Slices from a pool of hosts that are there already, reached by SSH: each takes so many free hosts, or none.

What is on the hosts is the truth, and each is held by one slice at most, which it sees to itself. Which
host a slice gets is as a cloud's choice of a machine: the first of the file that are free and fit. A host
that does not answer says nothing: what the book has on it may exist, and is told as such.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from iris import __version__
from iris.cluster.vm.attending import Attendants
from iris.cluster.vm.book import Book, Placed
from iris.cluster.vm.ssh import SshHosts, Unreachable
from iris.cluster.vm.workers import STOP_GRACE_S
from iris.config import Manual
from iris.core.effects import CreateSlice, DeleteSlice, ObserveSlices
from iris.core.events import (
    CloudState,
    CreateFailure,
    Event,
    SliceAccepted,
    SliceCreateFailed,
    SliceDeleted,
    SliceDeleteFailed,
    SliceSighting,
    SlicesObserved,
)
from iris.core.ids import GroupName, SliceId, WorkerId, Zone, worker_id
from iris.core.spec import GroupSpec
from iris.ports import Clock, NoLog, VmPlace
from iris.rpc.addresses import Address, parse_address

_LOOPBACK: Final = "127.0.0.1"
_PATIENCE_S: Final = 30.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ManualSettings:
    """The hosts, and what their workers are told."""

    root: Path
    """Of the book."""
    pool: Manual
    controller_url: str
    """Where it is on loopback, a host is told the address of ours that it sees instead."""
    authority: Path | None  # None: no TLS, or a certificate of a public authority
    image: str | None = None  # None: tasks are plain processes, not containers
    patience_s: float = _PATIENCE_S
    """Deadline of one call of one host, beside the grace that a worker is given to end."""


class _NoRoom(Exception):
    """There are not enough hosts that are free and fit; says which are not, and why."""


class ManualVmManager:
    """A cloud of these hosts."""

    def __init__(
        self,
        settings: ManualSettings,
        groups: Callable[[], Mapping[GroupName, GroupSpec]],
        token: Callable[[WorkerId], str],
        clock: Clock,
        deliver: Callable[[Event], None],
    ) -> None:
        """A provider of hosts.

        Args:
            settings: which, and how.
            groups: the configuration in force.
            token: what a worker shows to the controller.
            clock: dates listings.
            deliver: where to tell that a worker has ended though nobody asked.

        Raises:
            NoLibrary: nothing here speaks SSH.
            OSError: the book, the key or the authority cannot be read.
        """
        self._settings = settings
        self._groups = groups
        self._token = token
        self._clock = clock
        self._hosts = SshHosts(settings.pool.ssh, settings.pool.python)
        self._book = Book(settings.root)
        self._authority = settings.authority.read_text() if settings.authority else None
        self._taken: dict[str, SliceId] = {}
        """Hosts that are being looked at for a slice; nobody else is to have them meanwhile."""
        self._blamed: dict[str, int] = {}
        """How many slices came to nothing on a host: the others are asked first."""
        self._turns: dict[SliceId, asyncio.Lock] = {}
        """One call at a time changes a slice."""
        self._ending: dict[SliceId, asyncio.Task[Sequence[str]]] = {}
        """Deletes under way: one that is asked for again meanwhile has the same answer."""
        self._attendants = Attendants(self._hosts, self._common(), self._tell_ended)
        self._deliver = deliver

    # ---- the port ------------------------------------------------------------------------------

    async def create_slice(self, request: CreateSlice) -> Sequence[Event]:
        """Start a worker on each of so many free hosts; those that run already are left alone."""
        name = request.slice
        group = self._groups().get(request.group)
        if group is None:
            detail = f"group {request.group} is not configured"
            return (SliceCreateFailed(name, CreateFailure.BAD_REQUEST, detail),)
        async with self._turn_of(name):
            if name not in self._book.slices:
                self._book.enter(name, Placed(request.group, request.zone))
            try:
                addresses = self._book.slices[name].addresses or await self._place(request, group)
            except _NoRoom as error:
                return (SliceCreateFailed(name, CreateFailure.STOCKOUT, str(error)),)
            starts = [
                self._start(request, group, addresses, host) for host in range(len(addresses))
            ]
            troubles = [trouble for trouble in await asyncio.gather(*starts) if trouble]
            if troubles:
                return (SliceCreateFailed(name, CreateFailure.INTERNAL, "; ".join(troubles)),)
            self._book.began(name)
            self._attendants.attend(name, addresses)
        return (SliceAccepted(name),)

    async def delete_slice(self, request: DeleteSlice) -> Sequence[Event]:
        """End a slice's workers and all that they started; it is gone when each of its hosts has said so."""
        name = request.slice
        ending = self._ending.get(name)
        if ending is None:
            ending = asyncio.create_task(self._end_in_turn(name))
            self._ending[name] = ending
            ending.add_done_callback(lambda _: self._ending.pop(name))
        troubles = await asyncio.shield(ending)
        if troubles:
            return (SliceDeleteFailed(name, "; ".join(troubles)),)
        return (SliceDeleted(name),)

    async def observe(self, request: ObserveSlices) -> Sequence[Event]:
        """List the named slices, or all: then every host is asked."""
        asked_at = self._clock.now()
        slices = self._book.slices
        if request.slices:
            names = [name for name in request.slices if name in slices and slices[name].addresses]
            missing = tuple(name for name in request.slices if name not in names)
            at = dict.fromkeys(at for name in names for at in slices[name].addresses)
            answers = await self._look_at(list(at))
            listing = tuple(self._sighting(name, answers) for name in names if name in slices)
            return (SlicesObserved(listing, asked_at, complete=False, missing=missing),)
        answers = await self._look_at([host.address for host in self._settings.pool.hosts])
        self._learn(answers)
        unknown = [
            f"{at}: {said}"
            for at, said in answers.items()
            if isinstance(said, Unreachable) and not self._book.has_heard(at)
        ]
        if unknown:
            _log.warning("no slice is asked for until these are heard: %s", "; ".join(unknown))
        listing = tuple(
            self._sighting(name, answers) for name, placed in slices.items() if placed.addresses
        )
        return (SlicesObserved(listing, asked_at, complete=not unknown),)

    async def log(self, vm: VmPlace, most_bytes: int) -> bytes:
        """The end of a worker's log, as its host has it.

        Raises:
            NoLog: it has none, or does not answer.
        """
        placed = self._book.slices.get(vm.slice)
        if placed is None or vm.host >= len(placed.addresses):
            raise NoLog(f"{vm.slice} is on no hosts yet")
        at = placed.addresses[vm.host]
        asked = {"verb": "log", "slice": vm.slice, "host": vm.host, "most_bytes": most_bytes}
        said = await self._call(at, asked)
        if "error" in said:
            raise NoLog(f"host {at}: {said['error']}")
        return str(said["log"]).encode()

    async def watch(self) -> None:
        """Tell of workers that have ended by themselves, for ever."""
        try:
            for name, placed in self._book.slices.items():
                if placed.begun:
                    self._attendants.attend(name, placed.addresses)
            await asyncio.Event().wait()
        finally:
            for ending in list(self._ending.values()):
                ending.cancel()
            await self._attendants.close()
            self._hosts.close()

    async def end_all(self) -> None:
        """End every slice."""
        names = list(self._book.slices)
        for name, troubles in zip(names, await asyncio.gather(*map(self._end, names)), strict=True):
            if troubles:
                _log.warning("%s may be left: %s", name, "; ".join(troubles))

    # ---- creating ------------------------------------------------------------------------------

    async def _place(self, request: CreateSlice, group: GroupSpec) -> tuple[str, ...]:
        """The hosts of a slice: the first that are free and fit, on the book before anything is asked of them.

        Raises:
            _NoRoom: there are not so many.
        """
        pool = [h.address for h in self._settings.pool.hosts if h.group == group.name]
        pool.sort(key=lambda at: self._blamed.get(at, 0))
        found: list[str] = []
        unfit: dict[str, str] = {}
        try:
            while len(found) < group.hosts:
                held = {**self._book.holders(), **self._taken}
                free = [at for at in pool if at not in held and at not in unfit]
                tried = free[: group.hosts - len(found)]
                if len(tried) < group.hosts - len(found):
                    raise _NoRoom(_shortage(group, pool, held, unfit))
                self._taken.update(dict.fromkeys(tried, request.slice))
                answers = await self._look_at(tried, probe=True)
                self._learn(answers)
                kept = self._book.slices[request.slice].addresses
                if kept:  # An earlier life of this controller has put it there.
                    return kept
                lacks = {at: self._lacks(said) for at, said in answers.items()}
                unfit.update({at: why for at, why in lacks.items() if why})
                found += [at for at in tried if at not in unfit]
            addresses = tuple(found)
            self._book.enter(request.slice, Placed(request.group, request.zone, addresses))
            return addresses
        finally:
            for at, name in list(self._taken.items()):
                if name == request.slice:
                    del self._taken[at]

    def _lacks(self, said: "dict[str, Any] | Unreachable") -> str:
        """Why a host cannot be taken; empty when it can."""
        if isinstance(said, Unreachable):
            return str(said)
        if said["iris"] != __version__:
            return f"it has Iris {said['iris']}, and this controller is {__version__}"
        if said["slices"]:
            return f"{said['slices'][0]['slice']} holds it"
        return "; ".join(said["lacks"])

    async def _start(
        self, request: CreateSlice, group: GroupSpec, addresses: Sequence[str], host: int
    ) -> str:
        """Start the worker of one host; what went wrong, or nothing."""
        at = addresses[host]
        try:
            asked = {
                "verb": "start",
                "slice": request.slice,
                "group": request.group,
                "zone": request.zone,
                "host": host,
                "addresses": list(addresses),
                "address": at,
                "offers": group.host._asdict(),
                "controller": await self._controller_for(at),
                "token": self._token(worker_id(request.slice, host)),
                "authority": self._authority,
                "image": self._settings.image,
            }
            said = await self._call(at, asked)
        except Unreachable as error:
            said = {"error": str(error)}
        if "error" in said:
            self._blamed[at] = self._blamed.get(at, 0) + 1
            return f"host {at}: {said['error']}"
        return ""

    async def _controller_for(self, at: str) -> str:
        """What a host calls."""
        address = parse_address(self._settings.controller_url)
        if address.host != _LOOPBACK:
            return address.url
        return Address(await self._hosts.own_address(at), address.port, address.tls).url

    # ---- ending --------------------------------------------------------------------------------

    async def _end_in_turn(self, name: SliceId) -> Sequence[str]:
        async with self._turn_of(name):
            troubles = await self._end(name)
        if not troubles:
            self._turns.pop(name, None)
        return troubles

    async def _end(self, name: SliceId) -> Sequence[str]:
        """End a slice wherever it is; what kept it from ending, or nothing."""
        self._attendants.leave(name)
        configured = [host.address for host in self._settings.pool.hosts]
        placed = self._book.slices.get(name)
        addresses = configured if placed is None else placed.addresses
        asked = {"verb": "end", "slice": name}
        ends = await asyncio.gather(*(self._call(at, asked, STOP_GRACE_S) for at in addresses))
        # A host that was taken out of the file is gone for good, says who took it out.
        troubles = [
            f"host {at}: {said['error']}"
            for at, said in zip(addresses, ends, strict=True)
            if said.get("error") and at in configured
        ]
        if not troubles:
            self._book.remove(name)
        return troubles

    # ---- looking -------------------------------------------------------------------------------

    async def _look_at(
        self, addresses: Sequence[str], *, probe: bool = False
    ) -> "dict[str, dict[str, Any] | Unreachable]":
        """What each host says that it holds and, on demand, lacks."""
        looks = await asyncio.gather(*(self._look(at, probe=probe) for at in addresses))
        return dict(zip(addresses, looks, strict=True))

    async def _look(self, at: str, *, probe: bool) -> "dict[str, Any] | Unreachable":
        try:
            asked = {**self._common(), "verb": "look"}
            if probe:
                asked["controller"] = await self._controller_for(at)
            said = await self._hosts.call(at, asked, self._settings.patience_s)
        except Unreachable as error:
            return error
        return Unreachable(said["error"]) if "error" in said else said

    def _learn(self, answers: "Mapping[str, dict[str, Any] | Unreachable]") -> None:
        """Enter slices that are on hosts and not on the book."""
        heard = {at: said for at, said in answers.items() if not isinstance(said, Unreachable)}
        self._book.hear(heard)
        for said in heard.values():
            for seen in said["slices"]:
                name = SliceId(seen["slice"])
                placed = self._book.slices.get(name)
                if (placed is None or not placed.addresses) and name not in self._ending:
                    group, zone = GroupName(seen["group"]), Zone(seen["zone"])
                    self._book.enter(name, Placed(group, zone, tuple(seen["addresses"])))

    def _sighting(
        self, name: SliceId, answers: "Mapping[str, dict[str, Any] | Unreachable]"
    ) -> SliceSighting:
        """What is seen of a slice that is on the book."""
        placed = self._book.slices[name]
        said = [answers.get(at) for at in placed.addresses]
        heard = [found for found in said if isinstance(found, dict)]
        runs = [
            any(seen["slice"] == name and seen["runs"] for seen in found["slices"])
            for found in heard
        ]
        if name in self._ending:
            state = CloudState.DELETING
        elif self._turn_of(name).locked():
            state = CloudState.CREATING
        elif not all(runs):
            state = CloudState.STOPPED
        elif len(heard) < len(said):
            state = CloudState.REPAIRING
        else:
            state = CloudState.READY
        return SliceSighting(name, state, placed.group, placed.zone)

    def _tell_ended(self, name: SliceId) -> None:
        placed = self._book.slices.get(name)
        if placed is not None and name not in self._ending:
            for at in placed.addresses:
                self._blamed[at] = self._blamed.get(at, 0) + 1
            seen = SliceSighting(name, CloudState.STOPPED, placed.group, placed.zone)
            self._deliver(SlicesObserved((seen,), self._clock.now(), complete=False))

    def _turn_of(self, name: SliceId) -> asyncio.Lock:
        return self._turns.setdefault(name, asyncio.Lock())

    async def _call(self, at: str, ask: Mapping[str, object], grace_s: float = 0) -> dict[str, Any]:
        """What a host answers; that there is no answer is its `error`, too."""
        seconds = grace_s + self._settings.patience_s
        try:
            return await self._hosts.call(at, {**self._common(), **ask}, seconds)
        except Unreachable as error:
            return {"error": str(error)}

    def _common(self) -> dict[str, object]:
        containers = self._settings.image is not None
        return {"folder": self._settings.pool.folder, "containers": containers}


def _shortage(
    group: GroupSpec, pool: Sequence[str], held: Mapping[str, SliceId], unfit: Mapping[str, str]
) -> str:
    """Why there is no room, host by host."""
    words = [f"{at}: {held[at]} holds it" for at in pool if at in held and at not in unfit]
    words += [f"{at}: {why}" for at, why in unfit.items()]
    free = len(pool) - len(words)
    wanted = f"{free} of the {len(pool)} hosts of group {group.name} are free, {group.hosts} wanted"
    return f"{wanted} ({'; '.join(words)})" if words else wanted
