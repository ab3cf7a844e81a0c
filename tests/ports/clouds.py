"""Every provider behind the `VmManager` port, for one suite: the simulator's fake, this machine, hosts by SSH, Google.

Each has room for one slice of two hosts at a time where it has a bound at all.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from iris.cluster.controller.clock import WallClock
from iris.cluster.vm.local import LocalSettings, LocalVmManager
from iris.cluster.vm.manual import ManualSettings, ManualVmManager
from iris.config import Manual, ManualHost, Runtime, Ssh
from iris.core.effects import CreateSlice, DeleteSlice, ObserveSlices
from iris.core.events import Event
from iris.core.ids import GroupName, SliceId
from iris.core.instant import Instant, Millis
from iris.ports import VmManager
from sim.clockwork import Clockwork
from sim.cloud import FakeCloud
from sim.dice import Constant, Dice
from sim.fleet import Fleet
from sim.machine import Surroundings
from sim.measure import Measures
from sim.model import CloudModel, Lists
from sim.recorder import Recorder
from tests.cluster.sshds import PORT, Hosts
from tests.gcp.fake_google import FakeGoogle
from tests.gcp.fake_time import ScaledClock
from tests.gcp.managing import Managed, config
from tests.groups import tpu_group

GROUP: Final = tpu_group(type="v4-16", hosts=2, zones=("us-central1-a",))
ZONE: Final = GROUP.zones[0]
FIRST, SECOND = SliceId("iris-tpu-1"), SliceId("iris-tpu-2")


class Cloud:
    """A provider under test, and what may befall it."""

    vms: VmManager
    can_fall_silent = True
    """Whether a part of it may be out of reach while the rest answers."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        """What it said unasked."""

    async def begin(self) -> None:
        """A controller's life begins."""

    async def end(self) -> None:
        """It ends as by a kill: what it asked for goes on."""

    async def close(self) -> None:
        """Nobody will begin again."""

    def too_much(self) -> CreateSlice:
        """What cannot be had beside `FIRST`."""
        return CreateSlice(SECOND, GROUP.name, ZONE)

    def lose(self, name: SliceId) -> None:
        """A slice's machines end by themselves."""
        raise NotImplementedError

    def silence(self) -> None:
        """A part answers no more."""
        raise NotImplementedError

    def hear(self) -> None:
        """It answers again."""

    def evidence(self, name: SliceId) -> Sequence[object]:
        """What really exists of a slice: equal if and only if it is the same machines."""
        raise NotImplementedError


class Simulated(Cloud):
    """The simulator's fake: simulated time runs until it has answered."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clockwork()
        dice = Dice(1)
        recorder = Recorder(Measures("ports", 1, group_price_per_hour={}, warm_up=Instant(0)))
        fleet = Fleet(self.clock, dice, recorder, self.told.append, Millis(1_000))
        self._model = CloudModel(capacity={ZONE: ((Instant(0), 1),)}, call=Constant(Millis(10)))
        around = Surroundings(self.clock, dice, fleet, recorder, self.told.append)
        self.cloud = FakeCloud(self._model, {GROUP.name: GROUP}, around)
        self.vms = self

    async def create_slice(self, request: CreateSlice) -> Sequence[Event]:
        return self._ask(request, lambda fact: getattr(fact, "slice", None) == request.slice)

    async def delete_slice(self, request: DeleteSlice) -> Sequence[Event]:
        return self._ask(request, lambda fact: getattr(fact, "slice", None) == request.slice)

    async def observe(self, request: ObserveSlices) -> Sequence[Event]:
        return self._ask(request, lambda fact: hasattr(fact, "listing"))

    def _ask(self, request: Any, answers: Callable[[Event], bool]) -> Sequence[Event]:
        self.told.clear()
        self.cloud.perform(request)
        until = self.clock.now + 1_000
        while self.clock.env.peek() <= until:
            self.clock.step()
        return [fact for fact in self.told if answers(fact) and not hasattr(fact, "incarnation")]

    def lose(self, name: SliceId) -> None:
        self.told.clear()
        self.cloud.lose([self.cloud.machines[name]])
        self.cloud.tell_of(self.cloud.machines[name])

    def silence(self) -> None:
        self.cloud.model = CloudModel(lists=Lists(zone_missing=1.0), call=self._model.call)

    def hear(self) -> None:
        self.cloud.model = self._model

    def evidence(self, name: SliceId) -> Sequence[object]:
        machine = self.cloud.machines.get(name)
        return [] if machine is None else [host.address for host in machine.hosts]


class Watched(Cloud):
    """A provider of processes, which watches by itself."""

    _watch: "asyncio.Task[None]"

    async def begin(self) -> None:
        manager = self.manager()
        self.vms = manager
        self._watch = asyncio.create_task(manager.watch())

    def manager(self) -> LocalVmManager | ManualVmManager:
        """A new one, on the same folder."""
        raise NotImplementedError

    async def end(self) -> None:
        self._watch.cancel()
        await asyncio.gather(self._watch, return_exceptions=True)

    def lose(self, name: SliceId) -> None:
        for pid in self.pids(name):
            os.kill(pid, signal.SIGKILL)

    def pids(self, name: SliceId) -> list[int]:
        """The workers of a slice."""
        raise NotImplementedError

    def evidence(self, name: SliceId) -> Sequence[object]:
        return self.pids(name)


class OnThisMachine(Watched):
    """`provider: {type: local}`."""

    can_fall_silent = False

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root

    def manager(self) -> LocalVmManager:
        settings = LocalSettings(self._root, "http://127.0.0.1:1", None)
        groups = {GROUP.name: GROUP}
        return LocalVmManager(settings, lambda: groups, lambda _: "", WallClock(), self.told.append)

    def too_much(self) -> CreateSlice:
        return CreateSlice(SECOND, GroupName("nowhere"), ZONE)

    def pids(self, name: SliceId) -> list[int]:
        written = [int(path.read_text()) for path in self._root.glob(f"{name}/*/worker.pid")]
        return [pid for pid in sorted(written) if _lives(pid)]


class BySsh(Watched):
    """`provider: {type: manual}`, on hosts that are running."""

    def __init__(self, root: Path, hosts: Hosts) -> None:
        super().__init__()
        self._root = root
        self._hosts = hosts
        self._blocked = False
        self._controller: asyncio.Server | None = None

    async def begin(self) -> None:
        if self._controller is None:  # Hosts must reach one: this one hangs up.
            self._controller = await asyncio.start_server(lambda _, out: out.close(), "0.0.0.0", 0)
        await super().begin()

    async def close(self) -> None:
        if self._controller is not None:
            self._controller.close()
            await self._controller.wait_closed()

    def manager(self) -> ManualVmManager:
        pool = Manual(
            tuple(ManualHost(host.address, GROUP.name) for host in self._hosts.all),
            Ssh("root", self._hosts.key, PORT, self._hosts.known),
            str(self._hosts.shared),
            sys.executable,
            Runtime.PROCESS,
        )
        assert self._controller is not None
        port = self._controller.sockets[0].getsockname()[1]
        settings = ManualSettings(self._root, pool, f"http://127.0.0.1:{port}", None)
        groups = {GROUP.name: GROUP}
        return ManualVmManager(
            settings, lambda: groups, lambda _: "word", WallClock(), self.told.append
        )

    def silence(self) -> None:
        self._hosts.all[1].block(on=True)
        self._blocked = True

    def hear(self) -> None:
        if self._blocked:
            self._hosts.all[1].block(on=False)
        self._blocked = False

    def pids(self, name: SliceId) -> list[int]:
        found = []
        for host in self._hosts.all:
            for pid in host.pids():
                words = _words(pid)
                if "iris.cluster.worker.main" in words and name in words:
                    found.append(pid)
        return sorted(found)


class ByGoogle(Cloud):
    """`provider: {type: gcp}`: the genuine client over the wire, of a fake that keeps its own books."""

    def __init__(self, kind: str) -> None:
        """One whose slices are `nodes`, `queued` resources that become nodes, or `instances`."""
        super().__init__()
        self._kind = kind
        model = CloudModel(boot=Constant(Millis(10_000)), delete=Constant(Millis(5_000)))
        self._google = FakeGoogle(
            model=model, compute_model=model, clock=ScaledClock(100.0), zones={ZONE: ("v4",)}
        )
        self._life: Managed | None = None

    async def begin(self) -> None:
        group = f"accelerator_type: {GROUP.accelerator_type}"
        if self._kind == "queued":
            group += ", reservation: pool"
        elif self._kind == "instances":
            group = f"accelerator_type: cpu, vm: {{count: {GROUP.hosts}}}"
        self._life = Managed(
            self._google,
            config(
                f"provider: {{type: gcp, project_id: {self._google.project}, zone: {ZONE}}}\n"
                "reservations: {pool: {chips: 64}}\n"
                f"scale_groups: {{{GROUP.name}: {{{group}, max_slices: 4}}}}"
            ),
        )
        self._life.told = self.told
        self.vms = self._life.vms

    async def end(self) -> None:
        assert self._life is not None
        await self._life.end()

    async def close(self) -> None:
        self._google.close()

    def too_much(self) -> CreateSlice:
        return CreateSlice(SECOND, GroupName("nowhere"), ZONE)

    def lose(self, name: SliceId) -> None:
        with self._google.world.turn():
            self._cloud().take([it for it in self._cloud().machines.values() if name in it.name])
        self._asked = asyncio.ensure_future(self._ask(name))

    async def _ask(self, name: SliceId) -> None:
        """The core asks by itself: about all at intervals, and about a slice whose worker is silent."""
        self.told += await self.vms.observe(ObserveSlices((name,)))

    def silence(self) -> None:
        self._google.knobs.unreachable = frozenset({ZONE})

    def hear(self) -> None:
        self._google.knobs.unreachable = frozenset()

    def evidence(self, name: SliceId) -> Sequence[object]:
        with self._google.world.turn():
            found = [it for it in self._cloud().machines.values() if name in it.name]
        if self._kind == "instances":
            return [id(it) for it in found]
        return [(id(it), host) for it in found for host in range(it.group.hosts)]

    def _cloud(self) -> FakeCloud:
        return self._google.machines if self._kind == "instances" else self._google.slices


def _words(pid: int) -> list[str]:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    return []


def _lives(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False
