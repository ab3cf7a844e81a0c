"""One controller, wired: folder, machine, provider, workers, server; begun, served, and ended in order."""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from iris.cluster.controller.auth import Doorkeeper, signing_key
from iris.cluster.controller.dashboard import DashboardServer, LiveCluster, PeopleOnly
from iris.cluster.controller.endpoint_handlers import EndpointHandlers
from iris.cluster.controller.execs import ExecHandlers, Execs
from iris.cluster.controller.explain_handlers import ExplainHandlers
from iris.cluster.controller.followers import Followers
from iris.cluster.controller.handlers import Handlers
from iris.cluster.controller.hands import Hands
from iris.cluster.controller.janitor import sweep, sweep_daily
from iris.cluster.controller.last_words import LastWords
from iris.cluster.controller.links import Links
from iris.cluster.controller.mirror import Mirror
from iris.cluster.controller.objects import ObjectFolder, StoreUnavailable
from iris.cluster.controller.pulse import Pulse
from iris.cluster.controller.recovery import begin, open_folder
from iris.cluster.controller.server import Server
from iris.cluster.controller.store import Store
from iris.cluster.controller.turns import TurnLoop
from iris.cluster.controller.vm_handlers import VmHandlers
from iris.cluster.controller.worker_handlers import LogHandlers, WorkerHandlers, attempt_is_over
from iris.config import ClusterConfig, Gcp, Storage
from iris.core import events as ev
from iris.core.events import Event
from iris.core.ids import GroupName, RequestId, SliceId, WorkerId
from iris.core.lifecycle import SliceState
from iris.core.spec import GroupSpec
from iris.ports import Clock, VmManager, VmPlace

LOOPBACK: Final = "127.0.0.1"
_STOP_GRACE_S: Final = 1.0
_STORE_S: Final = 60.0
"""For the object store to answer at the start."""

_log = logging.getLogger(__name__)


class CannotServe(Exception):
    """A configuration that this controller cannot work with; says what would be right."""


class Provider(VmManager, Protocol):
    """Who gives machines, and tells by itself when one is lost."""

    async def watch(self) -> None:
        """Tell of losses, for ever."""

    async def end_all(self) -> None:
        """Give back everything."""

    async def log(self, vm: VmPlace, most_bytes: int) -> bytes:
        """The end of what a machine's worker, and what starts it, have said.

        Raises:
            NoLog: it is not there, or cannot be read now.
        """
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a provider is told of its controller."""

    root: Path
    url: str
    advertised: bool
    """Whether the operator has said that this is what workers call."""
    groups: Callable[[], Mapping[GroupName, GroupSpec]]
    worker_token: Callable[[WorkerId], str]
    slice_token: Callable[[SliceId], str]
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
    dashboard_port: int | None = None  # None: there is no dashboard
    """0: any that is free."""


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
            NoSuchStore: the library for an object store is missing.
        """
        self._config = config
        self._options = options
        self._provide = provide
        self._root = options.root.absolute()
        self._recovered = open_folder(self._root)
        self.door = Doorkeeper(config.auth, signing_key(self._root))
        self._store, self._mirror = _storage(config.storage, self._root)
        self._clock = self._recovered.clock
        self._loop = TurnLoop(self._recovered.controller, self._recovered.journal, self._clock)
        self.port = options.port
        self.dashboard_port: int | None = None  # None: there is none
        self._gives_back = options.end_workers
        self._closing = asyncio.Event()
        self._pulse = Pulse(self._loop, self._trouble)

    @property
    def url(self) -> str:
        """Where the controller can be called from its own machine, once it serves."""
        scheme = "https" if self._config.controller.tls is not None else "http"
        return f"{scheme}://{LOOPBACK}:{self.port}"

    @property
    def dashboard_url(self) -> str | None:
        """Where the dashboard is from its own machine, once it serves; nothing when there is none."""
        if self.dashboard_port is None:
            return None
        return f"{self.url.rpartition(':')[0]}:{self.dashboard_port}"

    @property
    def recovered_turns(self) -> int:
        """How many turns were replayed at the start."""
        return self._recovered.turns

    def close(self, *, give_back: bool = False) -> None:
        """End in order; with machines given back also where the options keep them."""
        self._gives_back = self._gives_back or give_back
        self._closing.set()

    async def serve(self, ready: Callable[["ControllerService"], None]) -> None:
        """Serve until closed; `ready` is called once, when calls are answered.

        Raises:
            AddressInUse: the port is taken.
            OSError: a turn could not be made durable.
            CannotServe: a new cluster's object store does not let us write.
        """
        loop, state = self._loop, self._recovered.controller.state
        await self._reach_store()
        effects = begin(self._recovered, self._config.spec)
        sweep(self._store, state)
        links = Links(self._clock, loop.deliver)
        hands = Hands(links, self._mirror.forget, loop.deliver)
        server = self._server(links, hands)
        host = LOOPBACK if self.door.is_open else "0.0.0.0"
        self.port = await server.listen(host, self._options.port, self._config.controller.tls)
        provider = await self._provider(server)
        last_words = LastWords(provider, state)
        hands.attach(last_words)
        self._vms.attach(provider.log, last_words.of)
        dashboard = self._dashboard(host)
        for effect in effects:
            hands.perform(effect)
        ready(self)
        showing = asyncio.create_task(self._show(dashboard))
        turning = asyncio.create_task(loop.run(hands.perform))
        others = [asyncio.create_task(work) for work in self._beside(links, provider, server)]
        try:
            await _first_end([turning, *others])
        finally:
            hands.leave()
            dashboard.stop()
            if self._gives_back:
                await self._give_back(provider)
            links.release_all()
            await server.stop(_STOP_GRACE_S)
            await hands.close()
            await self._end(turning, [showing, *others])

    def _beside(
        self, links: Links, provider: Provider, server: Server
    ) -> "list[Coroutine[None, None, None]]":
        """What goes on beside the turns, for ever or until it is closed."""
        state = self._recovered.controller.state
        return [
            sweep_daily(self._store, state),
            links.watch(lambda: state.workers),
            provider.watch(),
            self._explain.watch(),
            self._endpoints.watch(),
            self._endpoints.watch_leases(),
            self._loop.counts.watch_lag(),
            server.watch_health(self._pulse),
            self._mirror.run(state, partial(attempt_is_over, state)),
            self._until_closed(),
        ]

    def _dashboard(self, host: str) -> DashboardServer:
        found = DashboardServer(host, self._options.dashboard_port, self._config.controller.tls)
        self.dashboard_port = found.port
        self._handlers.tell_dashboard(found.port, found.trouble)
        return found

    async def _show(self, dashboard: DashboardServer) -> None:
        """Serve the dashboard. Whatever becomes of it, jobs go on."""
        provider = self._config.provider
        name = provider.cluster if isinstance(provider, Gcp) else socket.gethostname()
        cluster = LiveCluster(
            name, self._loop, self.door, self._handlers, self._logs, self._vms, self._store
        )
        try:
            people = PeopleOnly(self.door, signing_key(self._root))
            await dashboard.serve(cluster, people, self._pulse)
        except Exception:  # noqa: BLE001
            _log.exception("the dashboard has ended; the controller goes on")

    def _trouble(self) -> str:
        """What keeps it from being ready, but for its loop; empty when nothing does."""
        return "it is about to end" if self._closing.is_set() else ""

    async def _give_back(self, provider: Provider) -> None:
        """All slices, while they can still report: then nobody need wait for anybody."""
        await self._give_up_slices()
        await provider.end_all()

    async def _provider(self, server: Server) -> Provider:
        """Who gives the slices of this cluster; without one the server ends, too."""
        try:
            return self._provide(self._surroundings())
        except BaseException:
            await server.stop(0.0)
            raise

    async def _give_up_slices(self) -> None:
        """Let the core know that all slices end because we end, and not by a fault of their zone."""
        loop = self._loop
        requests = [
            ev.SliceTerminateRequested(RequestId(f"shutdown/{loop.journal.turns}/{name}"), name)
            for name, slice_ in self._recovered.controller.state.slices.items()
            if slice_.state is not SliceState.GONE
        ]
        asked = (loop.ask(request.request, request) for request in requests)
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_GRACE_S):
                await asyncio.gather(*asked)

    async def _reach_store(self) -> None:
        """Reach the object store if there is one. Only a new cluster does not begin without it."""
        try:
            async with asyncio.timeout(_STORE_S):
                await self._mirror.learn(self._recovered.controller.state)
        except (StoreUnavailable, TimeoutError) as error:
            said = str(error) or f"storage: the object store gave no answer in {_STORE_S:g} s"
            if self._recovered.journal.turns == 0:
                raise CannotServe(said) from error
            _log.error("%s; jobs that run go on", said)

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
            self._options.advertise is not None,
            lambda: state.groups,
            self.door.worker_token,
            self.door.slice_token,
            self._clock,
            self._loop.deliver,
        )

    async def _until_closed(self) -> None:
        await self._closing.wait()

    def _server(self, links: Links, hands: Hands) -> Server:
        loop, store = self._loop, self._store
        recovery = (self._recovered.turns, self._recovered.millis)
        self._handlers = handlers = Handlers(
            loop, store, self._mirror, recovery, lambda back: self.close(give_back=back)
        )
        self._vms = VmHandlers(self._recovered.controller.state, links, self._clock)
        self._explain = ExplainHandlers(loop, handlers)
        self._endpoints = EndpointHandlers(loop, self.door)
        execs = Execs(links.wake)
        self._logs = LogHandlers(handlers, store, self._mirror, Followers(loop))
        services = {
            "ControllerService": handlers,
            "ExplainService": self._explain,
            "VmService": self._vms,
            "WorkerService": WorkerHandlers(loop, store, links, hands, self.door, execs),
            "EndpointService": self._endpoints,
            "ExecService": ExecHandlers(handlers, execs),
            "LogService": self._logs,
        }
        return Server(services, self.door, loop.counts)


async def _first_end(tasks: "list[asyncio.Task[None]]") -> None:
    """Until one of them ends, with what ended it."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


def _storage(storage: Storage, root: Path) -> tuple[Store, Mirror]:
    """The working folder, and what stands behind it: a folder is used itself, a URL is mirrored."""
    named = {"bundles": storage.bundles, "logs": storage.logs}
    folders: dict[str, Path] = {}
    objects: dict[str, ObjectFolder] = {}
    for key, text in named.items():
        if text is None:
            continue
        scheme, separator, rest = text.partition("://")
        if not separator or scheme == "file":
            folders[key] = Path(rest if separator else text)
        else:
            objects[key] = ObjectFolder(text, f"storage.{key}")
    store = Store(root, bundles=folders.get("bundles"), logs=folders.get("logs"))
    return store, Mirror(store, objects.get("bundles"), objects.get("logs"))
