"""VMs that are processes: each runs its startup script on a loopback address of its own.

    with serve(hook=ProcessVms(tmp_path)) as google: ...

A process stands for a machine: it has a folder for a home, the address of its metadata server in
GCE_METADATA_HOST (and GCE_METADATA_IP, where google-auth looks first), its own address in
FAKE_VM_ADDRESS, and where the APIs are in FAKE_TPU_ENDPOINT and FAKE_COMPUTE_ENDPOINT. What it starts
dies with it, however it was started. There is no network of its own: ports are shared, addresses not.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.gcp.fake_metadata import MetadataServer
from tests.gcp.fake_time import World
from tests.gcp.fake_vms import Stop, Vm

MARK: Final = "FAKE_VM"
"""The variable by which everything that runs in a VM is known."""


class ProcessVms:
    """The hook: starts a process for each VM that boots, and kills whatever is left of it at its end."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        """VMs with folders under `folder`, and these variables beside their own and PATH."""
        self._folder = folder
        self._environment = dict(environment or {})
        self._world: World | None = None
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        """The startup scripts of the VMs that live, by the VMs' names."""

    def joins(self, world: World, endpoints: Mapping[str, str]) -> None:
        """The cloud tells where it is, before the first VM boots."""
        self._world = world
        self._environment = {**endpoints, **self._environment}

    def __call__(self, vm: Vm) -> Stop:
        """Boot it: its metadata server, then the startup script that it finds there, if there is one."""
        assert self._world is not None, "the cloud has not said where it is"
        home = self._folder / vm.name
        home.mkdir(parents=True, exist_ok=True)
        server = MetadataServer(vm, self._world)
        log = home / "serial.log"
        vm.serial = lambda: log.read_text(errors="replace") if log.exists() else ""
        script = vm.metadata.get("startup-script")
        mark = f"{MARK}={home}"
        if script is not None:
            self.running[vm.name] = self._run(vm, home, server.address, script)

        def stop() -> None:
            process = self.running.pop(vm.name, None)
            _kill_all(mark)
            if process is not None:
                process.wait()
            server.close()

        return stop

    def _run(self, vm: Vm, home: Path, metadata: str, script: str) -> subprocess.Popen[bytes]:
        path = home / "startup-script"
        path.write_text(script)
        path.chmod(0o755)
        environment = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "HOME": str(home),
            "HOSTNAME": vm.name,
            "GCE_METADATA_HOST": metadata,
            "GCE_METADATA_IP": metadata,
            "FAKE_VM_ADDRESS": vm.address,
            MARK: str(home),
            **self._environment,
        }
        command = [str(path)] if script.startswith("#!") else ["/bin/sh", str(path)]
        with (home / "serial.log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=home,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def _kill_all(mark: str) -> None:
    """Kill every process that carries a mark, until there is none."""
    while True:
        found = [pid for pid in _pids() if mark in _variables(pid)]
        if not found:
            return
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def _variables(pid: int) -> list[str]:
    """What a process was started with; nothing of one that has ended, though nobody may have waited for it."""
    with suppress(OSError):
        return (
            (Path("/proc") / str(pid) / "environ").read_bytes().decode(errors="replace").split("\0")
        )
    return []
