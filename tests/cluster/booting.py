"""A machine of a cloud, for tests: the startup script in a real shell, with a metadata server of its own."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

from iris.cluster.processes import kill_marked
from iris.cluster.vm.bootstrap import STARTUP_SCRIPT, Bootstrap, metadata_of
from iris.core.effects import CreateSlice
from iris.core.ids import GroupName, SliceId, Zone
from iris.core.resources import Resources
from iris.core.spec import GroupSpec
from tests.cluster import processes_as_docker
from tests.cluster.metadata import Metadata, metadata_server

SLICE = SliceId("iris-cpu-900")
ACCOUNT = '{"access_token":"ya29.account","expires_in":3599,"token_type":"Bearer"}'
HOST = Resources(cpu=2_000, memory=1 << 30, disk=1 << 30, ports=10)
CPU = GroupSpec(
    name=GroupName("cpu"), accelerator_type="cpu", accelerator="cpu", family="cpu",
    hosts=1, host=HOST, max_slices=1,
)  # fmt: skip


class Machine:
    """One machine, on and off."""

    def __init__(self, folder: Path, metadata: Metadata) -> None:
        self.folder = folder
        self.metadata = metadata
        self.docker = folder / "docker"
        self.docker.mkdir(parents=True)
        self._script = folder / "startup.sh"
        self._script.write_text(metadata.values[f"instance/attributes/{STARTUP_SCRIPT}"])
        self._booted: list[subprocess.Popen[bytes]] = []

    def boot(self, commands: str | None = None) -> subprocess.Popen[bytes]:
        """Run the startup script, as a cloud does on every boot; with these commands before all others."""
        commands = commands or processes_as_docker.install(self.folder / "bin", self.docker)
        variables = {
            "GCE_METADATA_HOST": self.metadata.address,
            "IRIS_HOME": str(self.folder / "iris"),
            "IRIS_SECOND": "0.01",
            "IRIS_TPU_API": f"http://{self.metadata.address}",
            "IRIS_COMPUTE_API": f"http://{self.metadata.address}",
            "PATH": f"{commands}:{os.environ['PATH']}",
        }
        with (self.folder / "serial").open("ab") as serial:
            process = subprocess.Popen(
                ["sh", str(self._script)],
                stdout=serial,
                stderr=serial,
                env={**os.environ, **variables},
                start_new_session=True,
            )
        self._booted.append(process)
        return process

    @property
    def serial(self) -> str:
        """What its console has shown."""
        return (self.folder / "serial").read_text()

    def container_pids(self) -> str:
        """The processes that stand for the worker's container; empty without one."""
        path = self.docker / "iris-worker" / "pids"
        return path.read_text() if path.exists() else ""

    def off(self) -> None:
        """Power off: nothing of it runs any more."""
        for process in self._booted:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for attempt in (self.folder / "iris" / "worker" / "attempts").glob("*"):
            kill_marked(str(attempt))


@contextmanager
def machine(
    folder: Path,
    controller_url: str,
    values: Mapping[str, str] = MappingProxyType({}),
    *,
    patience_s: int = 600,
) -> Iterator[Machine]:
    """A machine that is off, and what else its metadata shall say, by path; "" takes something out."""
    bootstrap = Bootstrap(
        "test", "a-project", controller_url, "iris-worker:test",
        groups=lambda: {CPU.name: CPU}, token=lambda name: f"token-of-{name}",
    )  # fmt: skip
    request = CreateSlice(SLICE, CPU.name, Zone("default"))
    attributes = metadata_of(bootstrap, request, host=0)
    told = {f"instance/attributes/{key}": value for key, value in attributes.items()}
    told["instance/attributes/iris-patience"] = str(patience_s)
    told["instance/name"] = "a-machine"
    told["instance/network-interfaces/0/ip"] = "127.0.0.1"
    told["instance/service-accounts/default/token"] = ACCOUNT
    told["instance/preempted"] = "FALSE"
    told["instance/maintenance-event"] = "NONE"
    told.update(values)
    with metadata_server({key: value for key, value in told.items() if value}) as metadata:
        found = Machine(folder, metadata)
        try:
            yield found
        finally:
            found.off()
