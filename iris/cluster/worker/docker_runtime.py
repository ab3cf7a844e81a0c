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
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from iris.cluster.engine import (
    connect,
    engine_errors,
    in_thread,
    remove_container,
    remove_containers,
    words,
)
from iris.cluster.worker.container_session import ContainerSession
from iris.cluster.worker.container_watch import ContainerWatch
from iris.cluster.worker.containers import (
    GPUS_LABEL,
    OUT_FOLDER,
    RESULT_NAME,
    Ground,
    container_layout,
    container_name,
    container_of,
    free_gpus,
    gpus_wanted,
)
from iris.cluster.worker.plan import RESULT_FILE, Layout, Plan, process_layout
from iris.cluster.worker.runtime import EXIT_FILE, LOG_FILE, LaunchError, exit_sentence
from iris.cluster.worker.sessions import Command
from iris.core.agent import Ended
from iris.core.ids import TaskId
from iris.core.retry import EndCause

PULL_TIMEOUT_S: Final = 1_200.0
_ENGINE_AWAY_S: Final = 1.0
_REMOVALS: Final = 60
_NOT_RUNNING: Final = (404, 409)
_ENGINE_AWAY: Final = "EngineAway"
_STARTED_FILE: Final = "started"
_LIVE: Final = frozenset({"created", "running", "paused", "restarting", "removing"})
_USER: Final = 10_000
"""Of tasks, where the worker is root; elsewhere they are their worker's own user."""

_log = logging.getLogger(__name__)


class DockerRuntime:
    """Attempts as containers."""

    def __init__(
        self, image: str, root: Path, gpus: int = 0, authority: Path | None = None
    ) -> None:
        """Containers of an image, for the worker of a folder, on a host with so many GPUs.

        Args:
            image: what runs where a job names nothing else.
            root: the worker's folder.
            gpus: how many the host has.
            authority: signed the controller's certificate, if nobody public did; tasks get a copy.

        Raises:
            EngineError: no engine answers, or its library is not installed.
        """
        self.client = connect()
        owner = (os.geteuid(), os.getegid()) if os.geteuid() else (_USER, _USER)
        self.owner = owner
        (root / "environments").mkdir(parents=True, exist_ok=True)
        copy: Path | None = None
        if authority is not None:
            copy = _copied(authority, root / "authority.pem")
        self.ground = Ground(
            image=image,
            root=root,
            user=f"{owner[0]}:{owner[1]}",
            script=_copied(Path(process_layout(root).script), root / "call.py"),
            devices=(*sorted(glob.glob("/dev/accel*")), *sorted(glob.glob("/dev/vfio/*"))),
            gpus=gpus,
            authority=copy,
        )
        self._allotting = threading.Lock()
        self._watch = ContainerWatch(self.client, root)
        self._sending: set[asyncio.Task[None]] = set()
        self._pulling = asyncio.Lock()

    def layout(self, folder: Path) -> Layout:  # noqa: ARG002
        """The same paths in every container."""
        return container_layout(private=self.ground.authority is not None)

    # ---- the worker's start ----------------------------------------------------------------------

    async def adopt(self, folders: Collection[Path]) -> None:
        """Remove the containers of this worker that belong to none of these attempts."""
        self._watch.listen()
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
        if gpus_wanted(plan):
            with self._allotting:  # Once it is created, a container holds what its label says.
                container = self._create(plan, self._gpus(gpus_wanted(plan)))
        else:
            container = self._create(plan, ())
        container.start()
        (plan.folder / _STARTED_FILE).touch()

    def _create(self, plan: Plan, gpus: Sequence[int]) -> Any:
        arguments = container_of(plan, self.ground, gpus)
        return self.client.containers.create(**arguments, log_config=_silent())

    def _gpus(self, wanted: int) -> tuple[int, ...]:
        listed = self.client.api.containers(all=True, filters={"label": [GPUS_LABEL]})
        labels = [entry["Labels"][GPUS_LABEL] for entry in listed]
        found = free_gpus(self.ground.gpus, labels, wanted)
        if found is None:
            held = ", ".join(labels) or "none"
            message = f"{wanted} GPUs are wanted of {self.ground.gpus}; held by containers: {held}"
            raise LaunchError(message)
        return found

    async def wait(self, folder: Path, task: TaskId, attempt: int) -> Ended:
        """How an attempt ended, once the engine has said so, with its container gone."""
        if not (folder / EXIT_FILE).exists():
            trouble = await self._end(folder)
            if trouble is not None:
                cause, detail = trouble
                return Ended(task, attempt, cause, detail)
        await self._remove(folder)
        _take_result(folder)
        return _verdict(json.loads((folder / EXIT_FILE).read_text()), task, attempt)

    async def _end(self, folder: Path) -> tuple[EndCause, str] | None:
        """Wait for the end of a container and note it, or say why there is nothing to wait for."""
        name = container_name(folder)
        with self._watch.expected(name):
            while True:
                state = await self._watch.state(name)
                started = (folder / _STARTED_FILE).exists()
                if state is None and started:
                    return EndCause.UNKNOWN, "somebody removed its container"
                if not started and (state is None or state["Status"] == "created"):
                    await self._remove(folder)
                    return EndCause.LAUNCH, "its container was never started"
                assert state is not None, folder
                if state["Status"] not in _LIVE:
                    away = bool(state["ExitCode"]) and await self._watch.was_away()
                    _write(folder / EXIT_FILE, json.dumps({**state, _ENGINE_AWAY: away}))
                    return None
                await self._watch.change(name)

    def terminate(self, folder: Path) -> None:
        """SIGTERM to the attempt's command."""
        self._signal(folder, "SIGTERM")

    def kill(self, folder: Path) -> None:
        """SIGKILL to all of it."""
        self._signal(folder, "SIGKILL")

    def _signal(self, folder: Path, signal: str) -> None:
        sending = asyncio.ensure_future(self._send(container_name(folder), signal))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)

    async def _send(self, name: str, signal: str) -> None:
        """Until the engine has sent it, or nothing runs that could get it: nobody asks a second time."""
        import docker.errors

        while True:
            try:
                await in_thread(lambda: self.client.api.kill(name, signal))
            except docker.errors.APIError as error:
                if error.status_code in _NOT_RUNNING:
                    return
                _log.warning("%s to %s: %s", signal, name, words(error))
            except engine_errors() as error:
                _log.warning("%s to %s: %s", signal, name, words(error))
            else:
                return
            await asyncio.sleep(_ENGINE_AWAY_S)

    async def begin(self, folder: Path, command: Command) -> ContainerSession:
        """A command inside the attempt's container."""
        return await ContainerSession.begin(self.client, container_name(folder), command)

    async def _remove(self, folder: Path) -> None:
        """Until it is gone: before that, what it held is not free."""
        name = container_name(folder)
        for left in reversed(range(_REMOVALS)):
            try:
                await in_thread(lambda: remove_container(self.client, name))
            except engine_errors() as error:
                # In the end it is left to the next start, which finds it by its label.
                _log.warning("%s could not be removed: %s", name, words(error))
                if left:
                    await asyncio.sleep(_ENGINE_AWAY_S)
            else:
                return

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
    if state.get(_ENGINE_AWAY):
        detail = f"the Docker engine was away or restarted meanwhile: {exit_sentence(code)}"
        return Ended(task, attempt, EndCause.UNKNOWN, detail)
    return Ended(task, attempt, EndCause.EXIT_NONZERO, exit_sentence(code))


def _write(path: Path, text: str) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def _say(log: Path, line: str) -> None:
    with log.open("ab") as file:
        file.write(f"iris: {line}\n".encode())


def _copied(path: Path, to: Path) -> Path:
    """A file for all tasks below the worker's folder, which the engine sees also where the worker is a container."""
    to.write_bytes(path.read_bytes())
    to.chmod(0o644)  # It is no secret, and tasks have another user.
    return to
