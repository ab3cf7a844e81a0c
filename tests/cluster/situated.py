"""A server of the controller's own calls over any state: what a script has brought about, asked on the wire."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iris.cluster.controller.auth import Doorkeeper
from iris.cluster.controller.explain_handlers import ExplainHandlers
from iris.cluster.controller.handlers import Handlers
from iris.cluster.controller.journal import SqliteJournal
from iris.cluster.controller.mirror import Mirror
from iris.cluster.controller.server import Server
from iris.cluster.controller.store import Store
from iris.cluster.controller.turns import TurnLoop
from iris.config import Auth
from iris.core.controller import Controller
from iris.core.instant import Instant
from iris.rpc.methods import METHODS
from tests.harness import Script


class _Still:
    """A clock that shows what it was set to."""

    def __init__(self) -> None:
        self.at = Instant(0)

    def now(self) -> Instant:
        return self.at


class Situated:
    """A server whose state is exchanged between two calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self._clock = _Still()
        self.journal = SqliteJournal(folder / "journal.sqlite")
        self.loop = TurnLoop(Controller(), self.journal, self._clock)
        self._store = Store(folder)
        self.handlers = Handlers(
            self.loop, self._store, Mirror(self._store), (0, 0), lambda _give_back: None
        )
        self.url = ""

    def put(self, script: Script) -> None:
        """From here on it is asked of this script."""
        self.loop.controller = script.controller
        self._clock.at = script.now

    async def listen(self) -> Server:
        """Serve the calls of people; no worker is there to call."""
        door = Doorkeeper(Auth((), (), None), b"key")
        handlers = self.handlers
        nobody = dict.fromkeys((m.service for m in METHODS), _Nobody())
        own = {
            "ControllerService": handlers,
            "ExplainService": ExplainHandlers(self.loop, handlers),
        }
        server = Server({**nobody, **own}, door, self.loop.counts)
        self.url = f"http://127.0.0.1:{await server.listen('127.0.0.1', 0, None)}"
        return server


class _Nobody:
    """Every call of a service that is not asked."""

    def __getattr__(self, name: str) -> object:
        return None


@contextmanager
def situated(folder: Path) -> Iterator[Situated]:
    """One that listens, in a thread of its own."""
    found = Situated(folder)
    running = asyncio.new_event_loop()
    ready, over = threading.Event(), asyncio.Event()

    async def serve() -> None:
        server = await found.listen()
        ready.set()
        await over.wait()
        await server.stop(0)

    thread = threading.Thread(target=lambda: running.run_until_complete(serve()))
    thread.start()
    assert ready.wait(10)
    try:
        yield found
    finally:
        running.call_soon_threadsafe(over.set)
        thread.join()
        running.close()
        found.journal.close()
