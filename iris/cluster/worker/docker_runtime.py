"""Runs attempts in containers of a Docker engine, which go on when the worker is restarted.

An error of the engine means that nothing is known; only its own word that a container has ended, or
that there is none of that name, is believed. What a container's end meant is written into the
attempt's folder before the container is removed.
"""

import asyncio
import glob
import json
import logging
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from iris.cluster.engine import connect, engine_errors, in_thread, remove_containers, words
from iris.cluster.worker.containers import (
    OUT_FOLDER,
    RESULT_NAME,
    Ground,
    container_layout,
    container_name,
    container_of,
)
from iris.cluster.worker.plan import RESULT_FILE, Layout, Plan, process_layout
from iris.cluster.worker.runtime import EXIT_FILE, LOG_FILE, LaunchError, exit_sentence
from iris.core.agent import Ended
from iris.core.ids import TaskId
from iris.core.retry import EndCause

PULL_TIMEOUT_S: Final = 1_200.0
_LOOK_EVERY_S: Final = 0.2
_ENGINE_AWAY_S: Final = 2.0
_STARTED_FILE: Final = "started"
_LIVE: Final = frozenset({"created", "running", "paused", "restarting", "removing"})
_USER: Final = 10_000
"""Of tasks, where the worker is root; elsewhere they are their worker's own user."""

_log = logging.getLogger(__name__)


class DockerRuntime:
    """Attempts as containers."""

    def __init__(self, image: str, root: Path) -> None:
        """Containers of an image, for the worker of a folder.

        Raises:
            EngineError: no engine answers, or its library is not installed.
        """
        self.client = connect()
        owner = (os.geteuid(), os.getegid()) if os.geteuid() else (_USER, _USER)
        self.owner = owner
        (root / "environments").mkdir(parents=True, exist_ok=True)
        self.ground = Ground(
            image=image,
            root=root,
            user=f"{owner[0]}:{owner[1]}",
            script=Path(process_layout(root).script),
            devices=(*sorted(glob.glob("/dev/accel*")), *sorted(glob.glob("/dev/vfio/*"))),
        )
        self._pulling = asyncio.Lock()

    def layout(self, folder: Path) -> Layout:  # noqa: ARG002
        """The same paths in every container."""
        return container_layout()

    # ---- the worker's start ----------------------------------------------------------------------

    async def adopt(self, folders: Collection[Path]) -> None:
        """Remove the containers of this worker that belong to none of these attempts."""
        kept = {str(folder) for folder in folders}
        try:
            await in_thread(lambda: remove_containers(self.client, self.ground.root, kept))
        except engine_errors() as error:
            raise LaunchError(f"the Docker engine does not list its containers: {error}") from error

    # ---- one attempt -----------------------------------------------------------------------------

    async def run(self, plan: Plan) -> None:
        """Start an attempt.

        Raises:
            LaunchError: there is no such image, or the engine will not have it.
        """
        await self.have_image(plan.folder / LOG_FILE)
        self._prepare(plan)
        starting = asyncio.ensure_future(in_thread(lambda: self._start(plan)))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            # Whether the engine has started it meanwhile is not known before it has answered.
            await asyncio.wait({starting})
            await self._remove(plan.folder)
            raise
        except engine_errors() as error:
            await self._remove(plan.folder)
            raise LaunchError(f"the container could not be started: {words(error)}") from error

    def _prepare(self, plan: Plan) -> None:
        """What the task may write, as its user's own."""
        out, log = plan.folder / OUT_FOLDER, plan.folder / LOG_FILE
        out.mkdir(exist_ok=True)
        log.touch()
        for path in (out, log):
            os.chown(path, *self.owner)
        # The engine goes through the folders above as root; what is inside must be readable.
        for folder, _, names in os.walk(plan.work):
            os.chmod(folder, os.stat(folder).st_mode | 0o555)
            for name in names:
                file = os.path.join(folder, name)
                os.chmod(file, os.stat(file).st_mode | 0o444)

    def _start(self, plan: Plan) -> None:
        container = self.client.containers.create(
            **container_of(plan, self.ground), log_config=_silent()
        )
        container.start()
        (plan.folder / _STARTED_FILE).touch()

    async def wait(self, folder: Path, task: TaskId, attempt: int) -> Ended:
        """How an attempt ended, once the engine has said so, with its container gone."""
        while not (folder / EXIT_FILE).exists():
            state = await self._ask(folder)
            if state is None and not (folder / _STARTED_FILE).exists():
                return Ended(task, attempt, EndCause.LAUNCH, "its container was never started")
            if state is None:
                return Ended(task, attempt, EndCause.UNKNOWN, "somebody removed its container")
            if state["Status"] == "created" and not (folder / _STARTED_FILE).exists():
                await self._remove(folder)
                return Ended(task, attempt, EndCause.LAUNCH, "its container was never started")
            if state["Status"] not in _LIVE:
                _write(folder / EXIT_FILE, json.dumps(state))
                break
            await asyncio.sleep(_LOOK_EVERY_S)
        await self._remove(folder)
        _take_result(folder)
        return _verdict(json.loads((folder / EXIT_FILE).read_text()), task, attempt)

    async def _ask(self, folder: Path) -> dict[str, Any] | None:
        """The state of an attempt's container, or that there is none; asked until the engine answers."""
        import docker.errors

        away = False
        while True:
            try:
                found = await in_thread(
                    lambda: self.client.api.inspect_container(container_name(folder))
                )
            except docker.errors.NotFound:
                return None
            except engine_errors() as error:
                if not away:
                    _log.warning("the Docker engine does not answer: %s", error)
                away = True
                await asyncio.sleep(_ENGINE_AWAY_S)
            else:
                state: dict[str, Any] = found["State"]
                return state

    def terminate(self, folder: Path) -> None:
        """SIGTERM to the attempt's command."""
        self._signal(folder, "SIGTERM")

    def kill(self, folder: Path) -> None:
        """SIGKILL to all of it."""
        self._signal(folder, "SIGKILL")

    def _signal(self, folder: Path, name: str) -> None:
        def send() -> None:
            try:
                self.client.api.kill(container_name(folder), name)
            except engine_errors() as error:
                # It has ended, or the engine is away: then it is asked for again.
                _log.info("%s to %s: %s", name, folder, words(error))

        asyncio.get_running_loop().run_in_executor(None, send)

    async def _remove(self, folder: Path) -> None:
        import docker.errors

        try:
            await in_thread(
                lambda: self.client.api.remove_container(container_name(folder), force=True, v=True)
            )
        except docker.errors.NotFound:
            return
        except engine_errors() as error:
            # It is found by its label at the next start.
            _log.warning("a container could not be removed: %s", words(error))

    # ---- images ----------------------------------------------------------------------------------

    async def have_image(self, log: Path) -> None:
        """Pull the image unless it is here, with its progress in a log.

        Raises:
            LaunchError: it cannot be had, or not in time.
        """
        import docker.errors

        image = self.ground.image
        async with self._pulling:
            try:
                await in_thread(lambda: self.client.images.get(image))
            except docker.errors.ImageNotFound:
                await self._pull(image, log)
            except engine_errors() as error:
                raise LaunchError(f"the Docker engine does not answer: {words(error)}") from error

    async def _pull(self, image: str, log: Path) -> None:
        given_up = False

        def pull() -> None:
            for line in self.client.api.pull(*_repository(image), stream=True, decode=True):
                if "error" in line:
                    raise LaunchError(f"image {image} cannot be pulled: {line['error']}")
                if given_up:
                    return
                if "progress" not in line:
                    _say(log, f"{line.get('id', image)}: {line.get('status', '')}")

        try:
            async with asyncio.timeout(PULL_TIMEOUT_S):
                await in_thread(pull)
        except TimeoutError as error:
            raise LaunchError(f"image {image} was not here after {PULL_TIMEOUT_S:.0f} s") from error
        except engine_errors() as error:
            raise LaunchError(f"image {image} cannot be pulled: {words(error)}") from error
        finally:
            given_up = True


def _silent() -> Any:
    """The output is in a file of the attempt already."""
    from docker.types import LogConfig

    return LogConfig(type="none")


def _repository(image: str) -> tuple[str, str]:
    """An image's repository and its tag, as the engine wants them."""
    if "@" in image:
        name, _, digest = image.partition("@")
        return name, digest
    name, colon, tag = image.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (image, "latest")


def _take_result(folder: Path) -> None:
    """Put the result where it is looked for; a link that a task left there is not followed."""
    result = folder / OUT_FOLDER / RESULT_NAME
    if result.is_file() and not result.is_symlink():
        result.replace(folder / RESULT_FILE)


def _verdict(state: Mapping[str, Any], task: TaskId, attempt: int) -> Ended:
    code = int(state["ExitCode"])
    if code == 0:
        return Ended(task, attempt, EndCause.EXIT_ZERO)
    if state.get("OOMKilled"):
        return Ended(
            task, attempt, EndCause.OUT_OF_MEMORY, "it used more memory than it had asked for"
        )
    return Ended(task, attempt, EndCause.EXIT_NONZERO, exit_sentence(code))


def _write(path: Path, text: str) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def _say(log: Path, line: str) -> None:
    with log.open("ab") as file:
        file.write(f"iris: {line}\n".encode())
