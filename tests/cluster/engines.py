"""A Docker engine of a test's own, which can be killed and started again without harm to the machine's.

It has a network of its own: an engine takes the bridge of its machine for its own, and removes it.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iris.cluster.processes import is_running
from tests.cluster.running import until

UP_S = 60.0


class OwnEngine:
    """An engine below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.socket = root / "sock"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def variables(self) -> dict[str, str]:
        """By which clients find it."""
        return {"DOCKER_HOST": f"unix://{self.socket}"}

    def start(self) -> None:
        command = ["unshare", "--net", "dockerd", "--bridge", "none", "--iptables=false"]
        command += ["--data-root", str(self.root / "data"), "--exec-root", str(self.root / "run")]
        command += ["--pidfile", str(self.root / "pid"), "-H", f"unix://{self.socket}"]
        (self.root / "pid").unlink(missing_ok=True)
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        until(self._answers, UP_S)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.root / "log").read_text()
        return self._run("version").returncode == 0

    def load(self, image: str) -> None:
        """Take an image of the machine's engine over."""
        saved = self.root / "image.tar"
        subprocess.run(["docker", "save", "-o", str(saved), image], check=True)
        self.docker("load", "-i", str(saved))
        saved.unlink()

    def docker(self, *words: str) -> str:
        done = self._run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", *words],
            env={**os.environ, **self.variables},
            capture_output=True,
            text=True,
            check=False,
        )

    def end(self, number: int) -> None:
        """End it by a signal."""
        assert self.process is not None
        noted = self.root / "run" / "containerd" / "containerd.pid"
        pid = noted.read_text().strip() if noted.exists() else ""
        self.process.send_signal(number)
        self.process.wait(60)
        # What it ran on dies with it, a moment later; the next one would take it for alive.
        until(lambda: not pid or not is_running(int(pid), mark="containerd"), UP_S)
        noted.unlink(missing_ok=True)

    def remove(self) -> None:
        """End it with all that it runs, and leave no file."""
        if self.process is None or self.process.poll() is not None:
            self.start()  # What a killed one has left is ended by the next.
        names = self.docker("ps", "-aq").split()
        if names:
            self.docker("rm", "-f", *names)
        self.end(signal.SIGTERM)
        for mount in Path("/proc/self/mounts").read_text().splitlines():
            place = mount.split()[1]
            if Path(place).is_relative_to(self.root):
                subprocess.run(["umount", place], check=True)
        shutil.rmtree(self.root)


@contextmanager
def own_engine(image: str) -> Iterator[OwnEngine]:
    """An engine with an image of the machine's."""
    # The path of a socket is short.
    engine = OwnEngine(Path(tempfile.mkdtemp(prefix="iris-engine-")))
    engine.start()
    try:
        engine.load(image)
        yield engine
    finally:
        engine.remove()
