"""Real clusters for tests: a controller process on a free port, which can be killed and started again."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from iris.client import IrisClient
from iris.cluster.processes import is_running
from iris.rpc import iris_pb2 as pb
from iris.rpc.methods import GET_STATUS, LIST_WORKERS

UP_S = 30.0


_PORTS: Final = range(11_000, 19_900)
_turns: Final = itertools.count(os.getpid() * 41)


def free_port() -> int:
    """A port that nobody has now, and that nobody is given who lets the system choose.

    So it can be had again after whoever listens there was killed.
    """
    for turn in itertools.islice(_turns, len(_PORTS)):
        port = _PORTS[turn % len(_PORTS)]
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("every port is taken")


def until(true: Callable[[], bool], seconds: float = UP_S) -> None:
    """Wait for something of the real world, looking often; it must come within a bound."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)


class RunningCluster:
    """A controller of `provider: local`, with its folder."""

    def __init__(
        self,
        root: Path,
        *,
        tls: tuple[Path, Path] | None = None,
        dashboard: int = 0,
        **config: object,
    ) -> None:
        self.root = root / "iris"
        self.port = free_port()
        self.dashboard = dashboard
        """Its dashboard's port; 0: it has none."""
        self.config = root / "cluster.yaml"
        group = {"accelerator_type": "cpu", "vm": {"cpu": 8, "memory": "8GB"}}
        whole = {
            "provider": {"type": "local"},
            "storage": {"root": str(self.root)},
            "controller": {
                "vm": {"port": self.port},
                "dashboard_port": dashboard or None,
                **_tls(tls),
            },
            "timeouts": {"worker_timeout": "5s", "retry_backoff": "100ms"},
            "autoscaler": {"stockout_backoff": "500ms"},
            "scale_groups": {"cpu": {**group, "min_slices": 1, "max_slices": 2}},
        }
        self.config.write_text(json.dumps({**whole, **config}))
        self.process: subprocess.Popen[bytes] | None = None
        self._restarted: subprocess.Popen[bytes] | None = None
        self.advertise = ""
        """What workers call, if not the controller itself."""
        self.variables: dict[str, str] = {}
        """Of the controller's environment, beside those of the tests."""
        self._log = root / "controller.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "iris.cluster.controller.main", "serve"]
        command += [f"--config={self.config}"]
        command += ["--advertise", self.advertise] if self.advertise else []
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.variables},
            )
        until(self.answers)

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self._log.read_text()
        try:
            with socket.create_connection(("127.0.0.1", self.port), 0.2):
                return True
        except OSError:
            return False

    def kill(self) -> None:
        """As a machine does that loses its power."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def client(self, token: str = "", user: str = "alice") -> IrisClient:
        return IrisClient.remote(self.url, token=token, user=user)

    def status(self) -> pb.GetStatusResponse:
        with self.client() as client:
            return client.channel.call(GET_STATUS, pb.GetStatusRequest(), patience_s=10)

    def workers(self) -> list[pb.Worker]:
        with self.client() as client:
            return list(client.channel.call(LIST_WORKERS, pb.ListWorkersRequest()).workers)

    def worker_pids(self) -> list[int]:
        """The processes of living workers."""
        found = []
        for path in (self.root / "vms").glob("*/*/worker.pid"):
            pid = int(path.read_text())
            if is_running(pid, mark=str(path.parent)):
                found.append(pid)
        return found

    def end_worker(self, pid: int) -> None:
        """As a machine does that is gone for good."""
        os.kill(pid, signal.SIGKILL)

    def restart_worker(self) -> None:
        """Kill the one worker and start it anew on its folder, before anybody can give its slice up."""
        (pid,) = self.worker_pids()
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
        lines = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
        environment = dict(line.split("=", 1) for line in lines if "=" in line)
        (folder,) = [
            p.parent for p in self.root.glob("vms/*/*/worker.pid") if p.read_text() == str(pid)
        ]
        self.kill()
        os.kill(pid, signal.SIGKILL)
        if self._restarted is not None:
            self._restarted.wait(20)
        self._restarted = subprocess.Popen(command, env=environment, start_new_session=True)
        (folder / "worker.pid").write_text(str(self._restarted.pid))
        self.start()

    def task_pids(self) -> list[int]:
        """Every living process that belongs to an attempt."""
        mark = f"IRIS_ATTEMPT_FOLDER={self.root}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    words = (entry / "environ").read_bytes()
                    state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                except OSError:
                    continue
                if mark in words and state not in "ZX":
                    found.append(int(entry.name))
        return found

    def end(self) -> None:
        """Leave nothing running."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        for pid in self.worker_pids():
            os.kill(pid, signal.SIGKILL)
        if self._restarted is not None:
            self._restarted.wait(20)
        for pid in self.task_pids():
            with suppress(ProcessLookupError):  # It has just ended by itself.
                os.kill(pid, signal.SIGKILL)
        until(lambda: not self.worker_pids() and not self.task_pids())


def _tls(pair: tuple[Path, Path] | None) -> dict[str, object]:
    return {} if pair is None else {"tls": {"cert": str(pair[0]), "key": str(pair[1])}}


def running(
    root: Path,
    *,
    tls: tuple[Path, Path] | None = None,
    variables: Mapping[str, str] | None = None,
    dashboard: int = 0,
    **config: object,
) -> Iterator[RunningCluster]:
    """A running cluster, and its end; with TLS if a certificate and its key are given."""
    found = RunningCluster(root, tls=tls, dashboard=dashboard, **config)
    found.variables.update(variables or {})
    try:
        found.start()
        yield found
    finally:
        found.end()
