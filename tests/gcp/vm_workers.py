"""VMs of the fake cloud in which the real worker runs, all in one loop of one thread: hundreds are cheap.

What a VM's tasks start are real processes; they end with it, at once and without a word, as a machine's do.
"""

import asyncio
import json
import secrets
import shutil
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from iris.cluster.processes import end_group
from iris.cluster.worker.attempts import Attempts
from iris.cluster.worker.driver import Driver, Forsaken, NotWelcome
from iris.cluster.worker.environments import Environments, HostBuilder
from iris.cluster.worker.execs import Execs
from iris.cluster.worker.runtime import ProcessRuntime
from iris.core.resources import Resources
from iris.rpc import codec
from iris.rpc import iris_pb2 as pb
from iris.rpc.addresses import parse_address
from iris.rpc.aio import AioChannel
from tests.gcp.fake_vms import Stop, Vm

_LOOK_S: Final = 0.1


class VmWorkers:
    """The hook."""

    def __init__(self, root: Path) -> None:
        """VMs whose disks are folders below this one."""
        self._root = root
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vms", daemon=True)
        self._thread.start()
        self.alive: dict[str, str] = {}
        """The workers that run, and what became of the others: by worker, `running` or the reason."""

    def __call__(self, vm: Vm) -> Stop:
        """Boot it."""
        life = _Life(vm, dict(vm.metadata), self._root / f"{vm.name}-{secrets.token_hex(3)}", self)
        self._loop.call_soon_threadsafe(life.begin)
        return lambda: self._later(life.end)

    def close(self) -> None:
        """End the loop; whatever runs has been ended by the cloud."""
        asyncio.run_coroutine_threadsafe(self._drain(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _later(self, end: Stop) -> None:
        with suppress(RuntimeError):  # The loop is closed, and all have ended.
            self._loop.call_soon_threadsafe(end)

    async def _drain(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await asyncio.wait(others, timeout=10) if others else None


class _Life:
    """One VM, from its boot to its end."""

    def __init__(self, vm: Vm, items: dict[str, str], folder: Path, all_: VmWorkers) -> None:
        self._vm = vm
        self._items = items
        self._folder = folder
        self._all = all_
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._folder.mkdir(parents=True)
        self._task = asyncio.create_task(self._work())

    def end(self) -> None:
        assert self._task is not None, "a VM ends after it has begun"
        self._task.cancel()
        for attempt in (self._folder / "attempts").glob("*"):
            end_group(attempt)

    async def _work(self) -> None:
        items = self._items
        host = int(items.get("iris-host", self._vm.index))
        name = f"{items['iris-slice']}-w{host}"
        registration = pb.RegisterRequest(
            slice=items["iris-slice"],
            host=host,
            incarnation=self._folder.name,
            address=self._vm.address,
            offers=codec.resources_to_wire(Resources(**json.loads(items["iris-offers"]))),
            group=items["iris-group"],
            zone=items["iris-zone"],
        )
        channel = AioChannel(parse_address(items["iris-controller"]), token=items["iris-token"])
        driver = Driver(registration, channel, self._folder, outstays=True)
        runtime, environments = ProcessRuntime(), Environments(self._folder, HostBuilder())
        attempts = Attempts(self._folder, channel, runtime, environments, driver.deliver)
        execs = Execs(channel, runtime, attempts.folder)
        warning = asyncio.create_task(self._warn(driver))
        self._all.alive[name] = "running"
        try:
            await driver.attach(attempts, execs)
            await driver.run(asyncio.Event())
        except (NotWelcome, Forsaken) as error:
            self._all.alive[name] = str(error)
        except asyncio.CancelledError:
            self._all.alive.pop(name, None)
        finally:
            warning.cancel()
            await execs.close()
            await attempts.close()
            await channel.close()
            for attempt in (self._folder / "attempts").glob("*"):
                end_group(attempt)
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _warn(self, driver: Driver) -> None:
        while not self._vm.preempted:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)
        driver.warn("instance/preempted is TRUE")
