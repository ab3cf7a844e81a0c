"""VMs of the fake cloud that run Iris: the startup scripts in a real shell, with processes for containers."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from iris.cluster.processes import kill_marked
from iris.cluster.vm.gcp_endpoints import ELSEWHERE
from tests.cluster import processes_as_docker
from tests.gcp.fake_boots import ProcessVms
from tests.gcp.fake_time import World
from tests.gcp.fake_vms import Stop, Vm


class IrisVms(ProcessVms):
    """The hook."""

    def __init__(self, folder: Path, variables: Mapping[str, str] | None = None) -> None:
        """VMs with folders under `folder`, and these variables beside their own."""
        self.commands = processes_as_docker.install(folder / "bin", folder / "docker")
        self._common = {"IRIS_SECOND": "0.05", **(variables or {})}
        self.folder = folder
        super().__init__(folder)

    def joins(self, world: World, endpoints: Mapping[str, str]) -> None:
        """The cloud tells where it is."""
        self._common |= {
            "IRIS_TPU_API": endpoints["FAKE_TPU_ENDPOINT"],
            "IRIS_COMPUTE_API": endpoints["FAKE_COMPUTE_ENDPOINT"],
            ELSEWHERE: elsewhere(endpoints["FAKE_TPU_GRPC"], endpoints["FAKE_COMPUTE_ENDPOINT"]),
        }
        super().joins(world, endpoints)

    def __call__(self, vm: Vm) -> Stop:
        """Boot it; its tasks do not outlive it."""
        stop = super().__call__(vm)
        attempts = self.folder / vm.name / "iris" / "worker" / "attempts"

        def end() -> None:
            stop()
            for attempt in attempts.glob("*"):
                kill_marked(str(attempt))

        return end

    def _run(self, vm: Vm, home: Path, metadata: str, script: str) -> subprocess.Popen[bytes]:
        docker = home / "docker"
        own = {"IRIS_HOME": str(home / "iris"), "DOCKER_HOME": str(docker)}
        own["IRIS_ENGINE"] = str(docker / "engine.pid")
        self._environment = {**self._environment, **self._common, **own}
        self._environment["PATH"] = f"{self.commands}:{os.environ['PATH']}"
        return super()._run(vm, home, metadata, script)


def elsewhere(tpu: str, compute: str) -> str:
    """What the variable says by which processes of a test ask the fake."""
    return json.dumps({"tpu": tpu, "compute": compute})
