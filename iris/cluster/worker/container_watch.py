"""Hears from the engine which containers of a worker have ended, and asks it how.

An engine that does not answer says nothing of its containers: it is asked until it answers. When it
did not is remembered, for one that restarts kills what it ran. The stream of its events breaks with
it, however quickly it comes back.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from iris.cluster.engine import HOST_LABEL, EngineError, connect, engine_errors, in_thread

if TYPE_CHECKING:
    import docker

_SURE_S: Final = 5.0
"""Nobody's word is the only one: each container is asked for by itself so often."""
_AWAY_S: Final = 0.5
_RESTART_S: Final = 60.0

_log = logging.getLogger(__name__)


class ContainerWatch:
    """The containers of the worker of a folder, as the engine tells of them."""

    def __init__(self, client: "docker.DockerClient", root: Path) -> None:
        """Nothing is heard before `listen`."""
        self._client = client
        self._filters = {"label": [f"{HOST_LABEL}={root}"], "event": ["die", "destroy"]}
        self._awaited: dict[str, asyncio.Event] = {}
        self._away_at: float | None = None  # None: it has always answered

    def listen(self) -> None:
        """Hear of ends from now on, as long as the running loop lives."""
        # A thread that waits for the next word of an engine must not keep the process alive.
        hearing = (asyncio.get_running_loop(),)
        threading.Thread(target=self._hear, args=hearing, daemon=True, name="events").start()

    async def state(self, name: str) -> dict[str, Any] | None:
        """The state of a container, or that there is none; asked until the engine answers."""
        import docker.errors

        while True:
            try:
                found = await in_thread(lambda: self._client.api.inspect_container(name))
            except docker.errors.NotFound:
                return None
            except engine_errors() as error:
                _log.warning("the Docker engine does not answer: %s", error)
                self._missed()
                await asyncio.sleep(_AWAY_S)
            else:
                state: dict[str, Any] = found["State"]
                return state

    async def change(self, name: str) -> None:
        """Return when an expected container has ended, or when it should be asked for again."""
        ended = self._awaited[name]
        try:
            async with asyncio.timeout(_SURE_S):
                await ended.wait()
        except TimeoutError:
            return
        finally:
            ended.clear()

    @contextmanager
    def expected(self, name: str) -> Iterator[None]:
        """Meanwhile what is heard of a container is kept until it is waited for."""
        self._awaited[name] = asyncio.Event()
        try:
            yield
        finally:
            del self._awaited[name]

    async def was_away(self) -> bool:
        """Whether the engine has just been away, or is about to go.

        One that comes back shows what it ran as running for a while, and then kills it; one that
        shuts down still answers on old connections, and takes no new ones.
        """
        if self._away_at is not None and time.monotonic() - self._away_at < _RESTART_S:
            return True
        try:
            fresh = await in_thread(connect)
        except EngineError:
            return True
        fresh.close()
        return False

    # ---- events ------------------------------------------------------------------------------------

    def _hear(self, loop: asyncio.AbstractEventLoop) -> None:
        def tell(what: Callable[..., None], *arguments: str) -> None:
            loop.call_soon_threadsafe(what, *arguments)

        try:
            while True:
                try:
                    events = self._client.api.events(decode=True, filters=self._filters)
                    tell(self._ask_for_all)  # Somebody may have ended before.
                    for event in events:
                        tell(self._heard, event["Actor"]["Attributes"]["name"])
                except engine_errors() as error:
                    _log.warning("the Docker engine is not heard: %s", error)
                tell(self._missed)
                time.sleep(_AWAY_S)
        except RuntimeError:
            return  # The loop is closed: nobody listens.

    def _heard(self, name: str) -> None:
        if name in self._awaited:
            self._awaited[name].set()

    def _ask_for_all(self) -> None:
        for ended in self._awaited.values():
            ended.set()

    def _missed(self) -> None:
        self._away_at = time.monotonic()
