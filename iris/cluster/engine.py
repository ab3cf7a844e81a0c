"""The Docker engine, as the provider and the workers of a machine reach it. Its library is imported when it is used."""

import asyncio
import http.client
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    import docker

HOST_LABEL: Final = "iris.host"
"""The folder of the worker that a container belongs to."""
FOLDER_LABEL: Final = "iris.folder"
"""That of the attempt."""
CALL_TIMEOUT_S: Final = 60
_CALLS_AT_ONCE: Final = 32
_CONFLICT: Final = 409

_CALLS: Final = ThreadPoolExecutor(_CALLS_AT_ONCE, thread_name_prefix="engine")
"""A silent engine, a pull or a build keeps threads busy for long; others of the process shall not wait for them."""

_T = TypeVar("_T")


class EngineError(Exception):
    """There is no engine that could be used; says what is lacking."""


def connect(timeout_s: int = CALL_TIMEOUT_S) -> "docker.DockerClient":
    """A connection to the engine that the surroundings name, whose every call may take so long.

    Raises:
        EngineError: no engine answers, or its library is not installed.
    """
    try:
        import docker
    except ImportError as error:
        message = (
            "the Docker engine is reached by a library: pip install 'iris-orchestrator[docker]'"
        )
        raise EngineError(message) from error
    try:
        client = docker.from_env(timeout=timeout_s, max_pool_size=64)
        client.ping()
    except engine_errors() as error:
        raise EngineError(f"no Docker engine answers: {words(error)}") from error
    return client


def remove_containers(
    client: "docker.DockerClient", root: Path, kept: Collection[str] = ()
) -> None:
    """Remove all containers of the worker of a folder but those of some attempts' folders."""
    for entry in client.api.containers(all=True, filters={"label": [f"{HOST_LABEL}={root}"]}):
        if entry["Labels"].get(FOLDER_LABEL) not in kept:
            remove_container(client, entry["Id"])


def remove_container(client: "docker.DockerClient", name: str) -> None:
    """Remove a container, whatever it does; it may be gone, or be on its way."""
    import docker.errors

    try:
        client.api.remove_container(name, force=True, v=True)
    except docker.errors.NotFound:
        return
    except docker.errors.APIError as error:
        if error.status_code != _CONFLICT:  # Somebody else is removing it already.
            raise


def engine_errors() -> tuple[type[Exception], ...]:
    """What a call of the engine may raise; the library is imported by then."""
    import docker.errors
    import requests
    import urllib3

    # A stream that breaks off raises what lies below.
    below = (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError)
    return (docker.errors.DockerException, requests.RequestException, *below)


def words(error: Exception) -> str:
    """The engine's own explanation, without the address of the call."""
    explanation = getattr(error, "explanation", None)
    return str(explanation or error)


async def in_thread(work: Callable[[], _T]) -> _T:
    """What a call of the engine gives, with the event loop free meanwhile."""
    return await asyncio.get_running_loop().run_in_executor(_CALLS, work)
