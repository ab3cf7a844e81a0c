"""A whole cluster on this machine for the life of one program: a real controller in a process of its own."""

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from iris.exit_status import ExitStatus
from iris.problems import Failure

_UP_S: Final = 30.0
_DOWN_S: Final = 20.0


class DidNotStart(Failure):
    """A local cluster that ended before it served; says what it said."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitStatus.FAILED)


class LocalCluster:
    """A running one."""

    def __init__(self, process: "subprocess.Popen[str]", url: str, root: Path) -> None:
        self._process = process
        self.url = url
        self._root = root
        atexit.register(self.stop)

    @staticmethod
    def start(cpu: int | None = None) -> "LocalCluster":
        """Start one; it serves when this returns.

        Raises:
            DidNotStart: it ended instead.
        """
        root = Path(tempfile.mkdtemp(prefix="iris-local-"))
        cores = cpu if cpu is not None else os.cpu_count() or 1
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        cluster = {
            "provider": {"type": "local"},
            "storage": {"root": str(root)},
            "scale_groups": {
                "local": {
                    "accelerator_type": "cpu",
                    "vm": {"cpu": cores, "memory": memory},
                    "min_slices": 1,
                    "max_slices": 1,
                }
            },
        }
        config = root / "cluster.yaml"
        config.write_text(json.dumps(cluster), encoding="utf-8")
        log = root / "controller.log"
        command = [sys.executable, "-m", "iris.cluster.controller.local", str(config)]
        with log.open("wb") as errors:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                process_group=0,  # Ctrl-C is its program's, which may need it to end what it has begun.
            )
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            process.wait(_UP_S)
            said = log.read_text(encoding="utf-8")
            shutil.rmtree(root, ignore_errors=True)
            raise DidNotStart(f"the local cluster did not start: {said[-2_000:]}")
        return LocalCluster(process, url, root)

    def stop(self) -> None:
        """End it, with everything that runs on it."""
        atexit.unregister(self.stop)
        if self._process.poll() is None:
            assert self._process.stdin is not None
            self._process.stdin.close()  # It ends when its standard input does, so never later than we.
            try:
                self._process.wait(_DOWN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()
        shutil.rmtree(self._root, ignore_errors=True)
