"""The controller as its dashboard sees it, and the dashboard beside the controller, if it can be had.

What somebody asks for on a page goes the way of a call: the same handler, the same check of who may.
A controller whose dashboard cannot be served says so, and runs on.
"""

import asyncio
import errno
import logging
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final, TypeVar

import grpc
from google.protobuf.message import Message

from iris.cluster.controller.auth import Caller, Doorkeeper, NotPermitted, NotSignedIn
from iris.cluster.controller.counts import OK, Spread
from iris.cluster.controller.handlers import Handlers, Refused
from iris.cluster.controller.history import Latest, read_chapter, read_decided
from iris.cluster.controller.journal import JournalError
from iris.cluster.controller.pulse import Pulse
from iris.cluster.controller.store import Store
from iris.cluster.controller.turns import TurnLoop
from iris.cluster.controller.vm_handlers import SharedLogs, VmHandlers
from iris.cluster.controller.worker_handlers import LogHandlers
from iris.config import Tls
from iris.core.ids import GroupName, JobId, SliceId, TaskId, UserName, WorkerId, worker_id
from iris.core.instant import Instant
from iris.core.state import ClusterState
from iris.core.timeline import Chapter, Happening
from iris.core.timeline import Subject as Timed
from iris.dashboard import NEEDS
from iris.dashboard.listener import bind
from iris.dashboard.recent import MOST_DECISIONS, Recent
from iris.dashboard.subject import CallRow, Refusal, Simulation, Viewer
from iris.dashboard.subject import Kind as Shown
from iris.rpc import iris_pb2 as pb
from iris.rpc.codec import Malformed
from iris.rpc.methods import (
    DRAIN_WORKER,
    READ_VM_LOG,
    STOP_JOB,
    TERMINATE_SLICE,
    Kind,
    Method,
)
from iris.units import timestamp

if TYPE_CHECKING:
    from iris.dashboard.server import HttpServer

_PEOPLE: Final = frozenset({Kind.USER, Kind.ADMIN})
_STATUS: Final = {
    grpc.StatusCode.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    grpc.StatusCode.ABORTED: HTTPStatus.CONFLICT,
}

_T = TypeVar("_T")
_Q = TypeVar("_Q", bound=Message)

_log = logging.getLogger(__name__)


class PeopleOnly:
    """The controller's own doorkeeper, who lets only people in here."""

    def __init__(self, door: Doorkeeper, key: bytes) -> None:
        """As the calls have it; `key` signs the controller's tokens."""
        self._door = door
        self.key = key

    @property
    def is_open(self) -> bool:
        """Whether nobody needs a token."""
        return self._door.is_open

    def viewer(self, token: str) -> Viewer:
        """Whose token this is.

        Raises:
            Refusal: nobody's, or that of a worker or a task.
        """
        try:
            caller = self._door.caller(token)
        except NotSignedIn as error:
            raise Refusal(HTTPStatus.UNAUTHORIZED, str(error)) from error
        if caller.kind not in _PEOPLE:
            message = f"a token of a {caller.kind.value} is not good for the dashboard"
            raise Refusal(HTTPStatus.FORBIDDEN, message)
        return Viewer(caller.user, caller.kind is Kind.ADMIN)

    def known(self, user: UserName) -> Viewer | None:
        """The viewer of this name, if there still is one."""
        caller = self._door.caller_named(user)
        return None if caller is None else Viewer(caller.user, caller.kind is Kind.ADMIN)

    def proof(self, viewer: Viewer) -> str:
        """What changes when a viewer's token does."""
        return "" if viewer.user is None else self._door.proof_of(viewer.user)


class LiveCluster:
    """A controller at work, as a dashboard's subject."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        name: str,
        loop: TurnLoop,
        door: Doorkeeper,
        handlers: Handlers,
        logs: LogHandlers,
        vms: VmHandlers,
        store: Store,
    ) -> None:
        """As calls see it."""
        self.kind = Shown.LIVE
        self.name = name
        self.started_at = loop.clock.now()
        self.simulation: Simulation | None = None
        self.runs: Path | None = store.root / "simulations"
        self.loop = loop
        self._door = door
        self._handlers = handlers
        self._logs = logs
        self._machines = SharedLogs(vms)
        self._latest = Latest(loop.journal.path)
        self._turns_before = loop.journal.turns

    @property
    def recent(self) -> Recent:
        """What was decided lately; the present included."""
        self.loop.recent.look(self.state, self.now())
        return self.loop.recent

    @property
    def state(self) -> ClusterState:
        """All that is known, between two turns."""
        return self.loop.controller.state

    @property
    def turns(self) -> int:
        """How many turns were taken."""
        return self.loop.journal.turns

    @property
    def changes(self) -> int:
        """What is shown changes by turns only."""
        return self.turns

    def now(self) -> Instant:
        """The present."""
        return self.loop.clock.now()

    def spent(self) -> Mapping[GroupName, int]:
        """What the slices of each group have cost since the controller began."""
        return self.loop.recent.costs.spent(self.state, self.now())

    def watch(self) -> asyncio.Event:
        """An event that is set after the next turn."""
        return self.loop.watch()

    def unwatch(self, changed: asyncio.Event) -> None:
        """Nobody waits for this any more."""
        self.loop.unwatch(changed)

    async def history(self, subject: Timed, before: int, limit: int) -> Chapter:
        """What happened to somebody, out of the journal."""
        return await read_chapter(self.loop.journal.path, self.state, subject, (before, limit))

    async def latest(self, subject: Timed, limit: int) -> Sequence[Happening]:
        """The newest of what happened to somebody, out of the journal."""
        try:
            return await self._latest.of(self.state, subject, limit)
        except JournalError as error:
            raise Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, str(error)) from error

    async def recall(self) -> None:
        """Remember what was decided before this process began, as far as pages show it."""
        journal = self.loop.journal
        try:
            turns = await read_decided(journal.path, self._turns_before + 1, MOST_DECISIONS)
        except JournalError as error:
            _log.warning("pages tell nothing from before this start: %s", error)
        else:
            self.loop.recent.recall(turns, self.state)

    async def command(self, job: JobId) -> str:
        """What a job runs."""
        return self._handlers.command_of(job)

    def calls(self) -> Sequence[CallRow]:
        """What was asked of it by calls, most often first."""
        counts = self.loop.counts
        made: Counter[str] = Counter()
        failed: Counter[str] = Counter()
        for (method, status), count in counts.calls.items():
            made[method] += count
            failed[method] += count * (status != OK)
        return [_call_row(m, n, failed[m], counts.call_spans.get(m)) for m, n in made.most_common()]

    async def facts(self) -> Mapping[str, str]:
        """Where the controller is, and what it was recovered from."""
        journal = self.loop.journal.path
        log = journal.with_name(f"{journal.name}-wal")
        sizes = [f"{path.stat().st_size:,} bytes" for path in (journal, log) if path.exists()]
        turns, span = self._handlers.recovery
        return {
            "started": timestamp(self._handlers.started_at),
            "turns": f"{self.turns:,}",
            "taken up": f"{turns:,} turns in {span:,} ms" if turns else "nothing: it began anew",
            "journal, its write-ahead log": ", ".join(sizes),
        }

    async def log(self, task: TaskId, attempt: int, viewer: Viewer) -> Path | None:
        """Where the log of an attempt is, once it is here."""
        return await _answered(self._logs.bring(task, attempt, _caller(viewer)))

    async def machine_log(self, slice_: SliceId, host: int, viewer: Viewer) -> bytes:
        """The end of what a machine has said of itself, its boot included."""
        why_not = self._why_not(READ_VM_LOG, viewer)
        if why_not:
            raise Refusal(HTTPStatus.FORBIDDEN, why_not)
        return await _answered(self._machines.end_of(worker_id(slice_, host)))

    def why_not_stop(self, job: JobId, viewer: Viewer) -> str:
        """What keeps a viewer from stopping a job on record; empty when nothing does."""
        found = self.state.jobs.get(job)
        if found is None:
            return f"job {job} is not known"
        try:
            _caller(viewer).check_owner(job, found.spec.user)
        except NotPermitted as error:
            return str(error)
        return ""

    def why_not_operate(self, viewer: Viewer) -> str:
        """What keeps a viewer from draining workers and giving up slices; empty when nothing does."""
        return self._why_not(DRAIN_WORKER, viewer) or self._why_not(TERMINATE_SLICE, viewer)

    def _why_not(self, method: Method[Any, Any], viewer: Viewer) -> str:
        try:
            self._door.check_kind(method, _caller(viewer))
        except NotPermitted as error:
            return str(error)
        return ""

    async def stop_job(self, job: JobId, viewer: Viewer) -> None:
        """Stop a job and its whole tree."""
        request = pb.StopJobRequest(request_id=token_hex(16), job=job)
        await self._ask(STOP_JOB, self._handlers.stop_job, request, viewer)

    async def drain_worker(self, worker: WorkerId, viewer: Viewer, *, resume: bool) -> None:
        """Give a worker no new work, or let it have some again."""
        request = pb.DrainWorkerRequest(worker=worker, resume=resume)
        await self._ask(DRAIN_WORKER, self._handlers.drain_worker, request, viewer)

    async def terminate_slice(self, slice_: SliceId, viewer: Viewer) -> None:
        """Give up a slice at once, work and all."""
        request = pb.TerminateSliceRequest(request_id=token_hex(16), slice=slice_)
        await self._ask(TERMINATE_SLICE, self._handlers.terminate_slice, request, viewer)

    async def _ask(
        self,
        method: Method[_Q, Any],
        handle: Callable[[_Q, Caller], Awaitable[object]],
        request: _Q,
        viewer: Viewer,
    ) -> None:
        why_not = self._why_not(method, viewer)
        if why_not:
            raise Refusal(HTTPStatus.FORBIDDEN, why_not)
        await _answered(handle(request, _caller(viewer)))


def _call_row(method: str, count: int, failed: int, spread: Spread | None) -> CallRow:
    half, most = (None, None) if spread is None else (spread.at_most(0.5), spread.at_most(0.99))
    return CallRow(method, count, failed, half, most)


def _caller(viewer: Viewer) -> Caller:
    return Caller(Kind.ADMIN if viewer.is_admin else Kind.USER, viewer.user)


async def _answered(call: Awaitable[_T]) -> _T:
    """What a call answers, its refusals told in the dashboard's way."""
    try:
        return await call
    except Refused as error:
        raise Refusal(_STATUS.get(error.code, HTTPStatus.CONFLICT), str(error)) from error
    except NotPermitted as error:
        raise Refusal(HTTPStatus.FORBIDDEN, str(error)) from error
    except Malformed as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, str(error)) from error


class DashboardServer:
    """The dashboard's socket, and in time who serves it."""

    def __init__(self, host: str, port: int | None, tls: Tls | None) -> None:
        """Bound, so that connections wait, if there is to be one; `trouble` says why there is none."""
        self._tls = None if tls is None else (tls.cert, tls.key)
        self._server: HttpServer | None = None  # None: nobody serves it yet
        self._listener: socket.socket | None = None  # None: there is no dashboard
        self.port: int | None = None  # None: likewise
        self.trouble = ""
        if port is None:
            self.trouble = "controller.dashboard_port says that there is none"
            return
        lacking = [name for name in NEEDS if find_spec(name) is None]
        if lacking:
            self._lacks(f"{lacking[0]} is not installed: pip install 'iris-orchestrator[server]'")
            return
        try:
            self._listener = bind(host, port)
        except OSError as error:
            taken = error.errno in (errno.EADDRINUSE, errno.EACCES)
            why = "it is in use, or not ours" if taken else str(error.strerror)
            self._lacks(f"cannot listen on {host}:{port}: {why}; see controller.dashboard_port")
            return
        self.port = self._listener.getsockname()[1]

    def _lacks(self, trouble: str) -> None:
        self.trouble = trouble
        _log.warning("no dashboard: %s", trouble)

    async def serve(self, cluster: LiveCluster, door: PeopleOnly, pulse: Pulse) -> None:
        """Serve until stopped; `pulse` is told to those who probe it."""
        if self._listener is None:
            await asyncio.Event().wait()
            return
        await cluster.recall()
        # Reading all of it takes a moment, in which the loop would not turn.
        pages, http, probes = await asyncio.to_thread(_modules)
        probed = probes.Probes(cluster.loop, door, pulse)
        dashboard = await asyncio.to_thread(pages.Dashboard, cluster, door, probed.routes)
        self._server = http.HttpServer(dashboard.app, self._listener, dashboard.stopping, self._tls)
        await self._server.serve()

    def stop(self) -> None:
        """End streams, and take no more requests."""
        if self._server is not None:
            self._server.stop()
        elif self._listener is not None:
            self._listener.close()


def _modules() -> tuple[Any, Any, Any]:
    names = ("iris.dashboard.app", "iris.dashboard.server", "iris.cluster.controller.probes")
    app, server, probes = (import_module(name) for name in names)
    return app, server, probes
