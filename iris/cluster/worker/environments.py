"""The Python of a task: the worker's own, or one made for what the task asks for, kept by content.

An environment is named by a digest of all that goes into it and renamed into place when it is
whole, so that two tasks that want the same share one and a broken build is never used again. What
the build prints is part of the task's log; when it fails, that is no failure of the user's code.
"""

import asyncio
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Final

from iris.cluster.worker.runtime import LaunchError
from iris.rpc import iris_pb2 as pb

BUILD_TIMEOUT_S: Final = 1_800.0
BUILDS_AT_ONCE: Final = 2
"""More at a time would take the machine from the tasks that run."""

_CALL_NEEDS: Final = "cloudpickle>=3"


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
        project = work / "pyproject.toml"
        sync = launch.sync and project.is_file()
        if not launch.pip and not sync:
            return sys.executable
        name = _digest(launch, work if sync else None)
        async with self._making.setdefault(name, asyncio.Lock()):
            place = self._root / name
            if not (place / "bin" / "python").exists():
                async with self._turnstile:
                    await self._make(place, launch, work if sync else None, log)
            return str(place / "bin" / "python")

    async def _make(self, place: Path, launch: pb.Launch, work: Path | None, log: Path) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(place, ignore_errors=True)
        python = str(place / "bin" / "python")
        uv = shutil.which("uv")
        wants = [_CALL_NEEDS, *launch.pip]
        if work is not None:
            extras = f"[{','.join(launch.extras)}]" if launch.extras else ""
            wants.append(f"{work}{extras}")
        if uv is not None:
            steps = [
                [uv, "venv", "--quiet", "--python", sys.executable, str(place)],
                [uv, "pip", "install", "--quiet", "--python", python, *wants],
            ]
        else:
            steps = [
                [sys.executable, "-m", "venv", str(place)],
                [python, "-m", "pip", "install", "--quiet", *wants],
            ]
        try:
            for step in steps:
                await _run(step, log)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise


def _digest(launch: pb.Launch, work: Path | None) -> str:
    """Of all that goes into an environment; a workspace by its project file and lock."""
    parts: list[object] = [sys.version, sorted(launch.pip), sorted(launch.extras)]
    if work is not None:
        parts.append(launch.bundle)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


async def _run(command: list[str], log: Path) -> None:
    variables = {k: v for k, v in os.environ.items() if k != "IRIS_WORKER_TOKEN"}
    with log.open("ab") as file:
        file.write(f"iris: {' '.join(command)}\n".encode())
        file.flush()
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=file, env=variables
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
                process.kill()
    if code:
        raise LaunchError(f"the environment could not be made: {command[0]} ended with {code}")
