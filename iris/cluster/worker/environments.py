"""The Python of a task: the host's own, or one made for what the task asks for, kept by content.

An environment is named by a digest of all that goes into it. It is marked when it is whole, so that
two tasks that want the same share one and what a broken build left is made anew. What the build
prints is part of the task's log; when it fails, that is no failure of the user's code.

Packages come by pip, with the configuration of the machine; a workspace's own project by `uv sync`,
which holds to its lock.
"""

import asyncio
import hashlib
import json
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from iris.cluster.worker.plan import Prepared
from iris.cluster.worker.runtime import BuildError, LaunchError
from iris.rpc import iris_pb2 as pb

BUILD_TIMEOUT_S: Final = 1_800.0
BUILDS_AT_ONCE: Final = 2
"""More at a time would take the machine from the tasks that run."""

_TAIL_BYTES: Final = 4_096
_SHOWN: Final = 200
"""Letters of a build's last line that a sentence repeats."""
_CALL_NEEDS: Final = "cloudpickle>=3"
_WHOLE: Final = "iris-whole"
_GOING: Final = ".going-"
NOTE_FILE: Final = "environment"
"""In an attempt's folder: the environment that it uses, which therefore stays."""

_log = logging.getLogger(__name__)


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

    async def uv(self) -> str | None:
        """How uv is called there; none if it is not."""
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
        self._notes = root / "attempts"
        self._builder = builder
        self._making: dict[str, asyncio.Lock] = {}
        self._turnstile = asyncio.Semaphore(BUILDS_AT_ONCE)
        for stray in self._root.glob(f"{_GOING}*"):
            shutil.rmtree(stray, ignore_errors=True)

    async def prepare(
        self, launch: pb.Launch, work: Path, log: Path, *, note: Path | None = None
    ) -> Prepared:
        """The environment of a launch, made if it is not there.

        Args:
            launch: what is asked for.
            work: the unpacked workspace.
            log: where to say what is done.
            note: a file of the attempt that says which one it uses, as long as it does.

        Raises:
            BuildError: the environment could not be made of what the job asks for.
            LaunchError: it could not be made here.
        """
        if not launch.pip and not launch.sync:
            return Prepared(self._builder.python, "")
        if launch.sync and not (work / "pyproject.toml").is_file():
            raise BuildError("sync: the workspace has no pyproject.toml")
        name = _digest(await self._builder.identity(log), launch)
        if note is not None:
            note.write_text(name, encoding="utf-8")
        async with self._making.setdefault(name, asyncio.Lock()):
            place = self._root / name
            if not (place / _WHOLE).exists():
                async with self._turnstile:
                    await self._make(place, launch, work, log)
            (place / _WHOLE).touch()  # When it was last wanted.
            there = self._builder.seen(place)
            return Prepared(f"{there}/bin/python", there)

    async def make_room(self, is_enough: Callable[[], bool]) -> None:
        """Remove environments that no attempt uses, the longest unused first, until it is enough."""
        for place in sorted(self._root.glob(f"*/{_WHOLE}"), key=lambda path: path.stat().st_mtime):
            if is_enough():
                return
            name = place.parent.name
            async with self._making.setdefault(name, asyncio.Lock()):
                if name in self._used():
                    continue
                going = self._root / f"{_GOING}{name}"
                place.parent.rename(going)
            await asyncio.to_thread(shutil.rmtree, going, ignore_errors=True)
            _log.info("removed environment %s, which nothing used, for its room", name)

    def _used(self) -> set[str]:
        notes = self._notes.glob(f"*/{NOTE_FILE}")
        return {note.read_text(encoding="utf-8") for note in notes}

    async def _make(self, place: Path, launch: pb.Launch, work: Path, log: Path) -> None:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        there = self._builder.seen(place)
        wants = [*([_CALL_NEEDS] if launch.call else []), *launch.pip]
        steps = [[self._builder.python, "-m", "venv", there]]
        steps += [await self._sync(launch, work)] if launch.sync else []
        install = [f"{there}/bin/python", "-m", "pip", "install", "--quiet", "--no-input"]
        steps += [[*install, *wants]] if wants else []
        try:
            for step in steps:
                await self._run(step, {"UV_PROJECT_ENVIRONMENT": there}, [place, work], log)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        (place / _WHOLE).touch()

    async def _run(
        self, step: list[str], variables: Mapping[str, str], folders: Sequence[Path], log: Path
    ) -> None:
        say(log, " ".join(step))
        try:
            async with asyncio.timeout(BUILD_TIMEOUT_S):
                code = await self._builder.run(step, variables, folders, log)
        except TimeoutError as error:
            message = f"the environment was not ready after {BUILD_TIMEOUT_S:.0f} s"
            raise LaunchError(message) from error
        if code:
            what = " ".join([Path(step[0]).name, *step[1:4]])
            # Without a virtual environment to begin with, it is the host's own Python.
            kind = LaunchError if "venv" in step else BuildError
            raise kind(
                f"the environment could not be made: `{what} ...` ended with {code}: {_last_line(log)}"
            )

    async def _sync(self, launch: pb.Launch, work: Path) -> list[str]:
        """The command that installs the workspace's own project; not editable, for the folder goes away."""
        uv = await self._builder.uv()
        if uv is None:
            raise LaunchError(
                "sync: this worker has no `uv`; install it beside Iris: pip install uv"
            )
        extras = [word for extra in launch.extras for word in ("--extra", extra)]
        lock = ["--locked"] if (work / "uv.lock").is_file() else []
        command = [uv, "sync", "--quiet", "--no-progress", "--inexact", "--no-editable"]
        where = ["--python", self._builder.python, "--project", self._builder.seen(work)]
        return [*command, *where, *lock, *extras]


def _last_line(log: Path) -> str:
    """What a step said last, which is why it failed, as far as it fits into a sentence."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")[:_SHOWN]


def _digest(identity: str, launch: pb.Launch) -> str:
    """Of all that goes into an environment; the order of packages is no part of it."""
    parts: list[object] = [identity, bool(launch.call), sorted(launch.pip)]
    if launch.sync:
        parts += [sorted(launch.extras), launch.bundle]
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

    async def uv(self) -> str | None:
        """On the worker's path, or beside its Python."""
        return shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))

    async def run(
        self,
        command: Sequence[str],
        variables: Mapping[str, str],
        folders: Sequence[Path],  # noqa: ARG002
        log: Path,
    ) -> int:
        """Run a step in a process."""
        hidden = ("IRIS_WORKER_TOKEN", "PYTHONPATH")
        environment = {k: v for k, v in os.environ.items() if k not in hidden}
        with log.open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={**environment, **variables},
                start_new_session=True,
            )
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def say(log: Path, line: str) -> None:
    """A line of Iris's own in a task's log."""
    with log.open("ab") as file:
        file.write(f"iris: {line}\n".encode())
