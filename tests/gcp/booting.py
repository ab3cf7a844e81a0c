"""One machine of the fake Google Cloud, whose startup script is looked at, for a controller of another provider."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

import requests
from google.cloud import tpu_v2

from iris.cluster.vm.bootstrap import Bootstrap, metadata_of
from iris.core.effects import CreateSlice
from iris.core.ids import GroupName, SliceId, Zone
from iris.core.resources import Resources
from iris.core.spec import GroupSpec
from tests.cluster.running import until
from tests.gcp.fake_google import PROJECT, FakeGoogle, serve
from tests.gcp.fake_vms import Vm
from tests.gcp.iris_vms import IrisVms

NAME: Final = "a-machine"
SLICE: Final = SliceId("iris-cpu-900")
ZONE: Final = Zone("us-central1-a")
CPU: Final = GroupSpec(
    name=GroupName("cpu"), accelerator_type="cpu", accelerator="cpu", family="cpu", hosts=1,
    host=Resources(cpu=2_000, memory=1 << 30, disk=1 << 30, ports=10), max_slices=1,
)  # fmt: skip


class Machine:
    """One machine; it is off until it is created."""

    def __init__(self, google: FakeGoogle, hook: IrisVms, attributes: Mapping[str, str]) -> None:
        self.google = google
        self._hook = hook
        self._attributes = attributes
        self.name = NAME

    def create(self) -> "subprocess.Popen[bytes]":
        """Have the cloud make it, as an instance; its startup script."""
        items = [{"key": key, "value": value} for key, value in self._attributes.items()]
        body = {
            "name": NAME,
            "machineType": f"zones/{ZONE}/machineTypes/n2-standard-4",
            "metadata": {"items": items},
        }
        place = f"compute/v1/projects/{PROJECT}/zones/{ZONE}/instances"
        requests.post(f"http://{self.google.compute_address}/{place}", json=body, timeout=10)
        return self._script()

    def create_tpu(self, *, queued: bool = False) -> "subprocess.Popen[bytes]":
        """Have the cloud make it, as a host of a node that comes at once, or by the queue."""
        node = tpu_v2.Node(
            accelerator_type="v5litepod-4",
            runtime_version="v2-alpha-tpuv5-lite",
            metadata=dict(self._attributes),
        )
        client, parent = self.google.tpu_client(), self.google.parent(ZONE)
        if queued:
            spec = tpu_v2.QueuedResource.Tpu.NodeSpec(parent=parent, node_id=NAME, node=node)
            wanted = tpu_v2.QueuedResource(tpu=tpu_v2.QueuedResource.Tpu(node_spec=[spec]))
            client.create_queued_resource(
                parent=parent, queued_resource_id=NAME, queued_resource=wanted
            )
        else:
            client.create_node(parent=parent, node_id=NAME, node=node)
        return self._script()

    def _script(self) -> "subprocess.Popen[bytes]":
        until(lambda: bool(self._hook.running))
        ((self.name, process),) = self._hook.running.items()
        return process

    def boot_again(self, process: "subprocess.Popen[bytes]") -> None:
        """Run the startup script once more, though it runs."""
        lines = Path(f"/proc/{process.pid}/environ").read_bytes().decode().split("\0")
        variables = dict(line.split("=", 1) for line in lines if line)
        with (self.home / "serial.log").open("ab") as log:
            script = str(self.home / "startup-script")
            again = subprocess.Popen([script], env=variables, stdout=log, stderr=log)
        again.returncode = 0  # It ends with the machine.

    @property
    def vm(self) -> Vm:
        """What the cloud has of it."""
        (holding,) = self.google.machines.holdings.values()
        return holding.vms[0]

    def say(self, *, preempted: bool) -> None:
        """What its metadata server tells from now on."""
        with self.google.world.turn():
            self.vm.preempted = preempted

    @property
    def home(self) -> Path:
        """Its disk."""
        return self._hook.folder / self.name

    @property
    def serial(self) -> str:
        """What its console has shown."""
        path = self.home / "serial.log"
        return path.read_text() if path.exists() else ""

    def refuse_pulls(self, times: int) -> None:
        """Let its registry be away for so many pulls."""
        (self._hook.folder / NAME / "docker").mkdir(parents=True)
        (self._hook.folder / NAME / "docker" / "refusals").write_text(str(times))

    def container_pids(self) -> str:
        """The processes that stand for the worker's container; empty without one."""
        path = self.home / "docker" / "iris-worker" / "pids"
        return path.read_text() if path.exists() else ""


@contextmanager
def machine(  # noqa: PLR0913
    folder: Path,
    controller_url: str,
    changes: Mapping[str, str] = MappingProxyType({}),
    *,
    commands: str | None = None,
    container: str = "iris-worker",
    host: int | None = 0,
) -> Iterator[Machine]:
    """A machine that is still to be created.

    Args:
        folder: of its disk.
        controller_url: what its worker calls.
        changes: of its metadata attributes; "" takes one out.
        commands: a folder of commands that come before all others; by default those without an engine.
        container: the name of its worker's container.
        host: which host of its slice it is told that it is.
    """
    bootstrap = Bootstrap(
        "test", PROJECT, controller_url, "iris-worker:test",
        groups=lambda: {CPU.name: CPU}, token=lambda name: f"token-of-{name}",
    )  # fmt: skip
    told = metadata_of(bootstrap, CreateSlice(SLICE, CPU.name, ZONE), host)
    attributes = {key: value for key, value in {**told, **changes}.items() if value}
    variables = {"IRIS_SECOND": "0.01", "IRIS_CONTAINER": container}
    hook = IrisVms(folder, variables)
    if commands is not None:
        hook.commands = f"{commands}{os.pathsep}{hook.commands}"
    with serve(hook=hook) as google:
        found = Machine(google, hook, attributes)
        yield found
        assert "not set" not in found.serial, (
            found.serial
        )  # So a shell names a variable that lacks.
