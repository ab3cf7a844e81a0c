"""Makes environments in containers of the image that tasks run in, so that they fit its Python."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from iris.cluster.engine import engine_errors, in_thread, remove_container, words
from iris.cluster.worker.containers import build_of, seen
from iris.cluster.worker.docker_runtime import DockerRuntime
from iris.cluster.worker.runtime import LaunchError

_log: Final = logging.getLogger(__name__)


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
        """By its name, if it is in the image.

        Raises:
            LaunchError: it is not.
        """
        async with self._container(["sh", "-c", "command -v uv"], {}, ()) as container:
            if await _exit_status(container) == 0:
                return "uv"
        image = self._runtime.ground.image
        raise LaunchError(f"sync: the image {image} has no `uv`; put it there: pip install uv")

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
        variables = {**_package_settings(), **variables}
        async with self._container(command, variables, folders) as container:

            def print_all() -> None:
                with log.open("ab") as file:
                    for piece in container.logs(stream=True, follow=True):
                        file.write(piece)
                        file.flush()

            await in_thread(print_all)
            return await _exit_status(container)

    @asynccontextmanager
    async def _container(
        self, command: Sequence[str], variables: Mapping[str, str], folders: Sequence[Path]
    ) -> AsyncIterator[Any]:
        """A container that runs a step, and is gone afterwards, at once when the step is given up."""
        arguments = build_of(command, variables, folders, self._runtime.ground)
        starting = asyncio.ensure_future(in_thread(lambda: self.client.containers.run(**arguments)))
        try:
            yield await asyncio.shield(starting)
        except engine_errors() as error:
            raise LaunchError(f"an environment cannot be made: {words(error)}") from error
        finally:
            await asyncio.shield(self._remove(starting))

    async def _remove(self, starting: "asyncio.Future[Any]") -> None:
        await asyncio.wait({starting})
        if starting.exception() is not None:
            return
        container = starting.result()
        try:
            await in_thread(lambda: remove_container(self.client, container.id))
        except engine_errors() as error:
            # It is found by its label at the next start.
            _log.warning("a build's container could not be removed: %s", words(error))


async def _exit_status(container: Any) -> int:
    return int((await in_thread(container.wait))["StatusCode"])


def _package_settings() -> dict[str, str]:
    """What this host knows of package registries."""
    return {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "UV_"))}
