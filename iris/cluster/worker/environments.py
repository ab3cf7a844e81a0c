"""The Python of a task: the host's own, or one made for what the task asks for, kept by content.

An environment is named by a digest of all that goes into it. It is marked when it is whole, so that
two tasks that want the same share one and what a broken build left is made anew. What the build
prints is part of the task's log; when it fails, that is no failure of the user's code.
"""

import asyncio
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from iris.cluster.worker.plan import Prepared
from iris.cluster.worker.runtime import LaunchError
from iris.rpc import iris_pb2 as pb

BUILD_TIMEOUT_S: Final = 1_800.0
BUILDS_AT_ONCE: Final = 2
"""More at a time would take the machine from the tasks that run."""

_CALL_NEEDS: Final = "cloudpickle>=3"
_WHOLE: Final = "whole"


class Builder(Protocol):
    """Where environments are made, which is where tasks run."""

    python: str
    """What runs a task that asks for nothing."""

    async def identity(self, log: Path) -> str:
        """Of the Python below every environment: another one needs other environments.

        Raises:
            LaunchError: it cannot be had.
        """
        ...

    def seen(self, path: Path) -> str:
        """By which path a build and a task see a folder of this host."""
        ...

    async def has_uv(self) -> bool:
        """Whether uv is there."""
        ...

    async def run(
        self,
        command: Sequence[str],
        variables: Mapping[str, str],
        folders: Sequence[Path],
        log: Path,
    ) -> int:
        """Run a step that may write these folders; its exit status. What it prints goes to the log."""
        ...


class Environments:
    """All environments of a host."""

    def __init__(self, root: Path, builder: Builder) -> None:
        """Environments below a folder."""
        self._root = root / "environments"
        self._builder = builder
        self._making: dict[str, asyncio.Lock] = {}
        self._turnstile = asyncio.Semaphore(BUILDS_AT_ONCE)

    async def prepare(self, launch: pb.Launch, work: Path, log: Path) -> Prepared:
        """The environment of a launch, made if it is not there.

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
            return Prepared(self._builder.python, "")
        name = _digest(await self._builder.identity(log), launch, sync=sync)
        async with self._making.setdefault(name, asyncio.Lock()):
            place = self._root / name
            if not (place / _WHOLE).exists():
                async with self._turnstile:
                    await self._make(place, launch, work if sync else None, log)
            there = self._builder.seen(place)
            return Prepared(f"{there}/bin/python", there)

    async def _make(self, place: Path, launch: pb.Launch, work: Path | None, log: Path) -> None:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        uv = await self._builder.has_uv()
        if work is not None and (work / "uv.lock").exists() and not uv:
            raise LaunchError("the workspace has a uv.lock, and there is no uv where tasks run")
        folders = [place] if work is None else [place, work]
        steps = self._with_uv(place, launch, work) if uv else self._with_pip(place, launch, work)
        variables = {"UV_PROJECT_ENVIRONMENT": self._builder.seen(place)}
        for step in steps:
            say(log, " ".join(step))
            try:
                async with asyncio.timeout(BUILD_TIMEOUT_S):
                    code = await self._builder.run(step, variables, folders, log)
            except TimeoutError as error:
                message = f"the environment was not ready after {BUILD_TIMEOUT_S:.0f} s"
                raise LaunchError(message) from error
            if code:
                message = f"the environment could not be made: {step[0]} ended with {code}"
                raise LaunchError(message)
        (place / _WHOLE).touch()

    def _with_uv(self, place: Path, launch: pb.Launch, work: Path | None) -> list[list[str]]:
        there = self._builder.seen(place)
        python = f"{there}/bin/python"
        steps = [
            ["uv", "venv", "--quiet", "--allow-existing", "--python", self._builder.python, there]
        ]
        if work is not None:
            # The workspace goes with its attempt; the environment stays.
            sync = ["uv", "sync", "--quiet", "--no-editable", "--project", self._builder.seen(work)]
            sync += ["--frozen"] if (work / "uv.lock").exists() else []
            steps.append([*sync, *(word for extra in launch.extras for word in ("--extra", extra))])
        steps.append(
            ["uv", "pip", "install", "--quiet", "--python", python, _CALL_NEEDS, *launch.pip]
        )
        return steps

    def _with_pip(self, place: Path, launch: pb.Launch, work: Path | None) -> list[list[str]]:
        there = self._builder.seen(place)
        wants = [_CALL_NEEDS, *launch.pip]
        if work is not None:
            extras = f"[{','.join(launch.extras)}]" if launch.extras else ""
            wants.append(f"{self._builder.seen(work)}{extras}")
        return [
            [self._builder.python, "-m", "venv", there],
            [f"{there}/bin/python", "-m", "pip", "install", "--quiet", *wants],
        ]


def _digest(identity: str, launch: pb.Launch, *, sync: bool) -> str:
    """Of all that goes into an environment."""
    parts: list[object] = [identity, sorted(launch.pip)]
    if sync:
        parts += [launch.bundle, sorted(launch.extras)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


class HostBuilder:
    """Builds as processes of the worker's own user, on its own Python."""

    python = sys.executable

    async def identity(self, log: Path) -> str:  # noqa: ARG002
        """The version of Python that runs the worker, and where it is."""
        return f"{sys.version} {sys.executable}"

    def seen(self, path: Path) -> str:
        """As it is."""
        return str(path)

    async def has_uv(self) -> bool:
        """Whether it is on the worker's path."""
        return shutil.which("uv") is not None

    async def run(
        self,
        command: Sequence[str],
        variables: Mapping[str, str],
        folders: Sequence[Path],  # noqa: ARG002
        log: Path,
    ) -> int:
        """Run a step in a process."""
        environment = {k: v for k, v in os.environ.items() if k != "IRIS_WORKER_TOKEN"}
        with log.open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={**environment, **variables},
            )
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                process.kill()


def say(log: Path, line: str) -> None:
    """A line of Iris's own in a task's log."""
    with log.open("ab") as file:
        file.write(f"iris: {line}\n".encode())
