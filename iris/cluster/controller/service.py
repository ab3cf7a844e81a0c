"""One controller, wired: folder, machine, provider, workers, server; begun, served, and ended in order."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from iris.cluster.controller.auth import Doorkeeper, signing_key
from iris.cluster.controller.followers import Followers
from iris.cluster.controller.handlers import Handlers
from iris.cluster.controller.hands import Hands
from iris.cluster.controller.janitor import sweep, sweep_daily
from iris.cluster.controller.links import Links
from iris.cluster.controller.recovery import begin, open_folder
from iris.cluster.controller.server import Server
from iris.cluster.controller.store import Store
from iris.cluster.controller.turns import TurnLoop
from iris.cluster.controller.worker_handlers import LogHandlers, WorkerHandlers
from iris.config import ClusterConfig
from iris.core.events import Event
from iris.core.ids import GroupName, WorkerId
from iris.core.spec import GroupSpec
from iris.ports import Clock, VmManager

LOOPBACK: Final = "127.0.0.1"
_STOP_GRACE_S: Final = 1.0


class CannotServe(Exception):
    """A configuration that this controller cannot work with; says what would be right."""


class Provider(VmManager, Protocol):
    """Who gives machines, and tells by itself when one is lost."""

    async def watch(self) -> None:
        """Tell of losses, for ever."""

    async def end_all(self) -> None:
        """Give back everything."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a provider is told of its controller."""

    root: Path
    url: str
    groups: Callable[[], Mapping[GroupName, GroupSpec]]
    worker_token: Callable[[WorkerId], str]
    clock: Clock
    deliver: Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Options:
    """How a controller is run."""

    root: Path
    port: int
    """0: any that is free."""
    end_workers: bool
    """Whether machines are given back when the controller ends; a restarted one takes up those that are not."""
    advertise: str | None = None  # None: where it listens
    """The URL that workers call, if a proxy or a forwarded port lies between."""


class ControllerService:
    """A controller in one event loop."""

    def __init__(
        self,
        config: ClusterConfig,
        options: Options,
        provide: Callable[[Surroundings], Provider],
    ) -> None:
        """Take up the folder.

        Raises:
            JournalError: another controller works on it, or its journal cannot be read.
            OSError: it cannot be written.
            ValueError: a configured secret is missing.
        """
        self._config = config
        self._options = options
        self._provide = provide
        self._root = options.root.absolute()
        self._recovered = open_folder(self._root)
        self.door = Doorkeeper(config.auth, signing_key(self._root))
        storage = config.storage
        self._store = Store(
            self._root, bundles=_folder(storage.bundles), logs=_folder(storage.logs)
        )
        self._clock = self._recovered.clock
        self._loop = TurnLoop(self._recovered.controller, self._recovered.journal, self._clock)
        self.port = options.port
        self._closing = asyncio.Event()

    @property
    def url(self) -> str:
        """Where the controller can be called from its own machine, once it serves."""
        scheme = "https" if self._config.controller.tls is not None else "http"
        return f"{scheme}://{LOOPBACK}:{self.port}"

    @property
    def recovered_turns(self) -> int:
        """How many turns were replayed at the start."""
        return self._recovered.turns

    def close(self) -> None:
        """End in order."""
        self._closing.set()

    async def serve(self, ready: Callable[["ControllerService"], None]) -> None:
        """Serve until closed; `ready` is called once, when calls are answered.

        Raises:
            AddressInUse: the port is taken.
            OSError: a turn could not be made durable.
        """
        loop, state = self._loop, self._recovered.controller.state
        effects = begin(self._recovered, self._config.spec)
        sweep(self._store, state)
        links = Links(self._clock, loop.deliver)
        hands = Hands(links, self._store, loop.deliver)
        server = self._server(links, hands)
        host = LOOPBACK if self.door.is_open else "0.0.0.0"
        self.port = await server.listen(host, self._options.port, self._config.controller.tls)
        provider = self._provide(self._surroundings())
        hands.attach(provider)
        for effect in effects:
            hands.perform(effect)
        ready(self)
        turning = asyncio.create_task(loop.run(hands.perform))
        others = [
            asyncio.create_task(sweep_daily(self._store, state)),
            asyncio.create_task(links.watch(lambda: state.workers)),
            asyncio.create_task(provider.watch()),
            asyncio.create_task(self._until_closed()),
        ]
        try:
            done, _ = await asyncio.wait([turning, *others], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            links.release_all()
            await server.stop(_STOP_GRACE_S)
            await hands.close()
            if self._options.end_workers:
                await provider.end_all()
            await self._end(turning, others)

    async def _end(self, turning: "asyncio.Task[None]", others: "list[asyncio.Task[None]]") -> None:
        """Close the loop, which leaves a snapshot, and give the folder back."""
        self._loop.close()
        for task in others:
            task.cancel()
        await asyncio.gather(turning, *others, return_exceptions=True)
        self._recovered.journal.close()
        self._recovered.lock.release()

    def _surroundings(self) -> Surroundings:
        state = self._recovered.controller.state
        return Surroundings(
            self._root,
            self._options.advertise or self.url,
            lambda: state.groups,
            self.door.worker_token,
            self._clock,
            self._loop.deliver,
        )

    async def _until_closed(self) -> None:
        await self._closing.wait()

    def _server(self, links: Links, hands: Hands) -> Server:
        loop, store = self._loop, self._store
        recovery = (self._recovered.turns, self._recovered.millis)
        handlers = Handlers(loop, store, recovery)
        services = {
            "ControllerService": handlers,
            "WorkerService": WorkerHandlers(loop, store, links, hands, self.door),
            "LogService": LogHandlers(handlers, store, Followers(loop)),
        }
        return Server(services, self.door)


def _folder(text: str | None) -> Path | None:
    if text is None:
        return None
    if "://" in text:
        raise CannotServe(f"storage: {text!r} is a URL, and this version keeps things in folders")
    return Path(text)
