"""The controller as a process of this machine, found again by its folder whoever started it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from iris.cluster.processes import is_running
from iris.cluster.vm.host import Found, HostTrouble, Say, Standing

_PID: Final = "controller.pid"
_LOG: Final = "controller.log"
SERVES: Final = "controller.serving"
"""The file of its folder in which a controller that has all it needs says who it is, by its process."""
_LAST_LINES: Final = 20
_SERVES_S: Final = 60.0
_STOP_S: Final = 30.0
"""From SIGTERM to SIGKILL."""
_LOOK_EVERY_S: Final = 0.1
_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """Which controller, and where."""

    root: Path
    """Its folder."""
    config: Path
    port: int
    tls: bool = False
    words: tuple[str, ...] = ()
    """More arguments of it."""


class ProcessHost:
    """This machine."""

    def __init__(self, settings: ProcessSettings) -> None:
        self._settings = settings
        self._root = settings.root.absolute()

    # ---- the port ------------------------------------------------------------------------------

    async def look(self) -> Found:
        """See whether its process runs, serves, and takes connections."""
        pid = self._pid()
        if pid is None:
            return Found(Standing.STOPPED if self._root.exists() else Standing.ABSENT, "controller")
        if self._read(SERVES) != pid or not self._answers():
            return Found(Standing.BOOTING, f"process {pid}")
        scheme = "https" if self._settings.tls else "http"
        return Found(
            Standing.SERVING, f"process {pid}", f"{scheme}://{_LOOPBACK}:{self._settings.port}"
        )

    async def begin(self, say: Say) -> tuple[Found, bool]:
        """Start its process, unless it runs."""
        found = await self.look()
        if found.standing is Standing.SERVING:
            return found, False
        if found.standing is not Standing.BOOTING:
            if self._answers():
                message = f"port {self._settings.port} of this machine is somebody else's"
                raise HostTrouble(message, "end that, or choose another by controller.vm.port")
            say(f"starting a controller, with its log in {self._root / _LOG}")
            self._spawn()
        return await self._until_it_serves(), True

    async def begin_anew(self, say: Say) -> Found:
        """End its process, and start another on its folder."""
        await self.end(say)
        found, _ = await self.begin(say)
        return found

    async def end(self, say: Say) -> bool:
        """SIGTERM, a grace, SIGKILL."""
        pid = self._pid()
        if pid is None:
            return False
        say(f"stopping process {pid}")
        number = signal.SIGTERM
        try:
            while True:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
                if await self._ends(_STOP_S):
                    return True
                number = signal.SIGKILL
        except PermissionError as error:
            raise HostTrouble(f"process {pid} is another user's", "stop it as that user") from error

    async def remove(self, say: Say) -> bool:
        """As `end`: its folder costs nothing, and has the history of its jobs."""
        return await self.end(say)

    async def log(self) -> str:
        """The end of its log."""
        try:
            text = (self._root / _LOG).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-_LAST_LINES:])

    # ---- the process ---------------------------------------------------------------------------

    def _command(self) -> Sequence[str]:
        return (
            sys.executable, "-m", "iris.cluster.controller.main", "serve",
            "--config", str(self._settings.config), "--root", str(self._root),
            "--port", str(self._settings.port), *self._settings.words,
        )  # fmt: skip

    def _spawn(self) -> None:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._root / _LOG).open("ab") as log:
            process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (self._root / _PID).write_text(str(process.pid))
        process.returncode = 0  # Nobody waits for it: from now on it is found by its folder.

    def _pid(self) -> int | None:
        pid = self._read(_PID)
        if pid is None:
            return None
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # It may be our own.
        return pid if is_running(pid, mark=str(self._root)) else None

    def _read(self, name: str) -> int | None:
        try:
            return int((self._root / name).read_text())
        except (OSError, ValueError):
            return None

    def _answers(self) -> bool:
        try:
            with socket.create_connection((_LOOPBACK, self._settings.port), 1.0):
                return True
        except OSError:
            return False

    async def _until_it_serves(self) -> Found:
        try:
            async with asyncio.timeout(_SERVES_S):
                while True:
                    found = await self.look()
                    if found.standing is Standing.SERVING:
                        return found
                    if found.standing is not Standing.BOOTING:
                        break
                    await asyncio.sleep(_LOOK_EVERY_S)
        except TimeoutError:
            pass
        raise HostTrouble(
            "the controller does not come up", f"see {self._root / _LOG}", await self.log()
        )

    async def _ends(self, seconds: float) -> bool:
        end = asyncio.get_running_loop().time() + seconds
        while self._pid() is not None:
            if asyncio.get_running_loop().time() >= end:
                return False
            await asyncio.sleep(_LOOK_EVERY_S)
        return True
