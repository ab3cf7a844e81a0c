"""Makes environments in containers of the image that tasks run in, so that they fit its Python."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from iris.cluster.engine import CALL_TIMEOUT_S, engine_errors, in_thread, words
from iris.cluster.worker.containers import build_of, seen
from iris.cluster.worker.docker_runtime import DockerRuntime
from iris.cluster.worker.runtime import LaunchError


class ContainerBuilder:
    """Makes environments in containers of the image that tasks run in."""

    python = "python3"

    def __init__(self, runtime: DockerRuntime) -> None:
        """On the engine of this runtime."""
        self._runtime = runtime
        self.client = runtime.client

    async def identity(self, log: Path) -> str:
        """The content of the image.

        Raises:
            LaunchError: it cannot be had.
        """
        await self._runtime.have_image(log)
        name = self._runtime.ground.image
        try:
            return str((await in_thread(lambda: self.client.images.get(name))).id)
        except engine_errors() as error:
            raise LaunchError(f"the Docker engine does not answer: {words(error)}") from error

    def seen(self, path: Path) -> str:
        """By its path inside."""
        return seen(path, self._runtime.ground.root)

    async def uv(self) -> str | None:
        """By its name, if it is in the image."""
        container = await self._begin(["sh", "-c", "command -v uv"], {}, ())
        return "uv" if await self._end(container) == 0 else None

    async def run(
        self,
        command: Sequence[str],
        variables: Mapping[str, str],
        folders: Sequence[Path],
        log: Path,
    ) -> int:
        """Run a step in a container, as the user that tasks run as."""
        for folder in folders:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, *self._runtime.owner, follow_symlinks=False)
        container = await self._begin(command, {**_package_settings(), **variables}, folders)

        def print_all() -> None:
            with log.open("ab") as file:
                for piece in container.logs(stream=True, follow=True):
                    file.write(piece)
                    file.flush()

        try:
            await in_thread(print_all)
        except BaseException:
            await asyncio.shield(self._end(container))
            raise
        return await self._end(container)

    async def _begin(
        self, command: Sequence[str], variables: Mapping[str, str], folders: Sequence[Path]
    ) -> Any:
        arguments = build_of(command, variables, folders, self._runtime.ground)
        try:
            return await in_thread(lambda: self.client.containers.run(**arguments))
        except engine_errors() as error:
            raise LaunchError(f"an environment cannot be made: {words(error)}") from error

    async def _end(self, container: Any) -> int:
        """The exit status; what still runs is ended."""
        try:
            state = await in_thread(lambda: container.wait(timeout=CALL_TIMEOUT_S))
            return int(state["StatusCode"])
        except engine_errors() as error:
            raise LaunchError(f"an environment cannot be made: {words(error)}") from error
        finally:
            await in_thread(lambda: container.remove(force=True, v=True))


def _package_settings() -> dict[str, str]:
    """What this host knows of package registries."""
    return {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "UV_"))}
