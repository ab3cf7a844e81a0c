"""The Python of a task: the worker's own, or one made for what the task asks for, kept by content.

An environment is named by a digest of all that goes into it. A file in it says that it is whole, so
that a build which broke off is never used; two tasks that want the same share one. What the build
prints is part of the task's log; when it fails, that is no failure of the user's code.

Packages come by pip, with the configuration of the machine; a workspace's own project by `uv sync`,
which holds to its lock.
"""

import asyncio
import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from iris.cluster.worker.runtime import LaunchError
from iris.rpc import iris_pb2 as pb

BUILD_TIMEOUT_S: Final = 1_800.0
BUILDS_AT_ONCE: Final = 2
"""More at a time would take the machine from the tasks that run."""

_CALL_NEEDS: Final = "cloudpickle>=3"
_WHOLE: Final = "iris-whole"


class Environments:
    """All environments of a host."""

    def __init__(self, root: Path) -> None:
        """Environments below a folder."""
        self._root = root / "environments"
        self._making: dict[str, asyncio.Lock] = {}
        self._turnstile = asyncio.Semaphore(BUILDS_AT_ONCE)

    async def python(self, launch: pb.Launch, work: Path, log: Path) -> str:
        """The interpreter for a launch.

        Args:
            launch: what is asked for.
            work: the unpacked workspace.
            log: where to say what is done.

        Raises:
            LaunchError: the environment could not be made.
        """
        if not launch.pip and not launch.sync:
            return sys.executable
        place = self._root / _digest(launch)
        async with self._making.setdefault(place.name, asyncio.Lock()):
            if not (place / _WHOLE).exists():
                async with self._turnstile:
                    await self._make(place, launch, work, log)
        return str(place / "bin" / "python")

    async def _make(self, place: Path, launch: pb.Launch, work: Path, log: Path) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(place, ignore_errors=True)
        sync = _sync(launch, work) if launch.sync else []
        wants = [*([_CALL_NEEDS] if launch.call else []), *launch.pip]
        own_pip = [] if find_spec("pip") is None else ["--without-pip"]
        python = str(place / "bin" / "python")
        pip = (
            [sys.executable, "-m", "pip", "--python", python] if own_pip else [python, "-m", "pip"]
        )
        steps = [[sys.executable, "-m", "venv", *own_pip, str(place)]]
        steps += [sync] if sync else []
        steps += [[*pip, "install", "--quiet", "--no-input", *wants]] if wants else []
        try:
            for step in steps:
                await _run(step, log, {"UV_PROJECT_ENVIRONMENT": str(place)})
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        (place / _WHOLE).touch()


def _sync(launch: pb.Launch, work: Path) -> list[str]:
    """The command that installs the workspace's own project; not editable, for the folder goes away."""
    if not (work / "pyproject.toml").is_file():
        raise LaunchError("sync: the workspace has no pyproject.toml")
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        raise LaunchError("sync: this worker has no `uv`; install it beside Iris: pip install uv")
    extras = [word for extra in launch.extras for word in ("--extra", extra)]
    lock = ["--locked"] if (work / "uv.lock").is_file() else []
    command = [uv, "sync", "--quiet", "--no-progress", "--inexact", "--no-editable"]
    return [*command, "--python", sys.executable, "--project", str(work), *lock, *extras]


def _digest(launch: pb.Launch) -> str:
    """Of all that goes into an environment; the order of packages is no part of it."""
    parts: list[object] = [sys.version, sys.executable, bool(launch.call), sorted(launch.pip)]
    if launch.sync:
        parts += [sorted(launch.extras), launch.bundle]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


async def _run(command: list[str], log: Path, variables: Mapping[str, str]) -> None:
    inherited = {
        k: v for k, v in os.environ.items() if k not in ("IRIS_WORKER_TOKEN", "PYTHONPATH")
    }
    with log.open("ab") as file:
        file.write(f"iris: {' '.join(command)}\n".encode())
        file.flush()
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env={**inherited, **variables},
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(BUILD_TIMEOUT_S):
                code = await process.wait()
        except TimeoutError as error:
            raise LaunchError(
                f"the environment was not ready after {BUILD_TIMEOUT_S:.0f} s"
            ) from error
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    if code:
        what = " ".join(command[:4])
        raise LaunchError(f"the environment could not be made: `{what} ...` ended with {code}")
