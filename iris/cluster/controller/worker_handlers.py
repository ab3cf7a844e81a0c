"""What workers say and are told: registration, the exchange of whole truths, results and logs."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Final

import grpc

from iris.cluster.controller.auth import Caller, Doorkeeper
from iris.cluster.controller.execs import Execs
from iris.cluster.controller.followers import Followers
from iris.cluster.controller.handlers import Handlers, Refused, unknown
from iris.cluster.controller.hands import Hands
from iris.cluster.controller.links import Links
from iris.cluster.controller.mirror import Mirror
from iris.cluster.controller.store import Store, TooLarge, read_pieces, tail_of
from iris.cluster.controller.turns import TurnLoop
from iris.core.desired import DesiredSet, WantedAttempt, desired_set, is_known, is_news
from iris.core.events import PreemptionNoticed, WorkerReported
from iris.core.ids import JobId, TaskId, WorkerId, attempt_name, worker_id
from iris.core.instant import Instant, since
from iris.core.lifecycle import ENDED_TASK
from iris.core.records import Job, Worker
from iris.core.state import ClusterState
from iris.rpc import codec
from iris.rpc import iris_pb2 as pb
from iris.rpc.methods import LONG_POLL_MS, READ_LOG

_STILL_HERE_S: Final = READ_LOG.deadline_s / 3
"""Whoever follows a log is told so often that the line still stands."""
_JOBS_KEPT: Final = 256
_FIRST_COORDINATOR_PORT: Final = 20_000
_COORDINATOR_PORTS: Final = 10_000
_APART: Final = 3_571
"""Between the ports of attempts that follow each other; it shares no factor with their number, so all come in turn."""


class WorkerHandlers:
    """The calls of `WorkerService`."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        loop: TurnLoop,
        store: Store,
        links: Links,
        hands: Hands,
        door: Doorkeeper,
        execs: Execs,
    ) -> None:
        self._loop = loop
        self._store = store
        self._links = links
        self._hands = hands
        self._door = door
        self._execs = execs
        self._parts: dict[int, tuple[pb.JobSpec, bytes]] = {}
        self._noticed: dict[tuple[WorkerId, str], Instant] = {}

    @property
    def _state(self) -> ClusterState:
        return self._loop.controller.state

    async def register(self, request: pb.RegisterRequest, caller: Caller) -> pb.RegisterResponse:
        """Enter a run of an agent on the books, or refuse it."""
        event = codec.registration_from_wire(request)
        caller.check_worker(worker_id(event.slice, event.host))
        changed = self._loop.watch()
        try:
            self._loop.deliver(event)
            await changed.wait()
        finally:
            self._loop.unwatch(changed)
        refusal = self._hands.refusal(event.slice, event.host, event.incarnation)
        worker = worker_id(event.slice, event.host)
        if not refusal:
            self._links.heard(worker, event.incarnation)
        return pb.RegisterResponse(
            worker=worker,
            refusal=refusal,
            orphan_timeout_ms=self._state.spec.timeouts.orphan_timeout,
        )

    async def reconcile(self, request: pb.ReconcileRequest, caller: Caller) -> pb.ReconcileResponse:
        """Hear all that a worker has, and tell it all that it shall have, now or when that changes."""
        name, incarnation = WorkerId(request.worker), request.incarnation
        caller.check_worker(name)
        if not is_known(self._state, name, incarnation):
            return pb.ReconcileResponse(unknown=True)
        self._links.heard(name, incarnation)
        reports = tuple(codec.report_from_wire(report) for report in request.reports)
        row = self._state.workers[name]
        if request.notice:
            self._notice(row, incarnation)
        if is_news(self._state, row, reports, request.acted_on):
            event = WorkerReported(
                name, incarnation, reports, complete=True, acted_on=request.acted_on
            )
            await self._turned(event)
        answer = self._answer(name, incarnation)
        if answer.token == request.known and not answer.execs:
            # An agent that hears nothing for its orphan timeout stops its tasks.
            span = min(LONG_POLL_MS, self._state.spec.timeouts.orphan_timeout // 3)
            await self._links.wait(name, incarnation, span / 1_000)
            answer = self._answer(name, incarnation)
        return answer

    def _notice(self, row: Worker, incarnation: str) -> None:
        """Tell of what the cloud has announced to a machine, again while it stands, for work is kept off for a time."""
        noticed_at = self._noticed.get((row.id, incarnation))
        every = self._state.spec.timeouts.notice_timeout // 2
        now = self._loop.clock.now()
        if noticed_at is None or since(noticed_at, now) >= every:
            known = self._state.workers
            self._noticed = {key: at for key, at in self._noticed.items() if key[0] in known}
            self._noticed[row.id, incarnation] = now
            self._loop.deliver(PreemptionNoticed(row.slice))

    async def _turned(self, event: WorkerReported) -> None:
        changed = self._loop.watch()
        try:
            self._loop.deliver(event)
            await changed.wait()
        finally:
            self._loop.unwatch(changed)

    def _answer(self, name: WorkerId, incarnation: str) -> pb.ReconcileResponse:
        if not is_known(self._state, name, incarnation):
            return pb.ReconcileResponse(unknown=True)
        row = self._state.workers[name]
        desired = desired_set(self._state, row)
        answer = pb.ReconcileResponse(
            version=desired.version, attempts=[self._wanted(row, want) for want in desired.attempts]
        )
        answer.token = _mark(desired)
        answer.execs.extend(self._execs.offer(name))
        return answer

    def _wanted(self, row: Worker, want: WantedAttempt) -> pb.Wanted:
        message = pb.Wanted(
            task=want.task,
            attempt=want.attempt,
            rank=want.rank,
            stop=want.stop,
            grace_ms=want.grace,
            seen=want.seen,
        )
        if want.stop or want.seen:
            return message  # It is there already, or must not start: nothing of it is needed.
        state = self._state
        job = state.jobs[state.tasks[want.task].job]
        spec, message.launch = self._parts_of(job)
        root = JobId("/".join(job.id.split("/")[:3]))
        message.token = self._door.task_token(root, attempt_name(want.task, want.attempt))
        message.spec.CopyFrom(spec)
        addresses = self._addresses(row)
        message.hosts.extend(addresses)
        lead = state.tasks[job.tasks[0].id].attempts[-1] if job.spec.coscheduled else None
        host = addresses[0] if lead is None else state.workers[lead.worker].address
        port = _coordinator_port(job, want.attempt)
        message.coordinator = f"{host.rpartition(':')[0] or host}:{port}"
        message.grace_ms = state.spec.timeouts.stop_grace
        return message

    def _parts_of(self, job: Job) -> tuple[pb.JobSpec, bytes]:
        """What all tasks of a job are sent: its specification and its launch; kept for a burst of them."""
        parts = self._parts.get(job.number)
        if parts is None:
            if len(self._parts) >= _JOBS_KEPT:
                self._parts.clear()
            path = self._store.blob(job.spec.payload)
            launch = b"" if path is None else path.read_bytes()
            parts = codec.spec_to_wire(job.spec), launch
            if launch:  # What is gone may come back.
                self._parts[job.number] = parts
        return parts

    def _addresses(self, row: Worker) -> list[str]:
        slice_ = self._state.slices[row.slice]
        workers = [self._state.workers[name] for name in slice_.workers if name is not None]
        return [worker.address for worker in workers]

    async def put_result(
        self, requests: AsyncIterator[pb.PutResultRequest], caller: Caller
    ) -> pb.PutResultResponse:
        """Keep what an attempt has returned or raised; nobody here looks inside."""
        incoming = self._store.receive_result()
        place: tuple[TaskId, int] | None = None
        try:
            async for request in requests:
                if place is None:
                    place = codec.task_from_wire(request.task), request.attempt
                    check_runs(self._state, *place, caller)
                incoming.write(request.content)
            if place is None:
                raise codec.Malformed("task: a result of nothing")
            incoming.keep(self._store.result(*place))
        except TooLarge as error:
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, f"the result has {error}") from error
        finally:
            incoming.drop()
        return pb.PutResultResponse()


def _coordinator_port(job: Job, attempt: int) -> int:
    """Where rank 0 of an attempt shall listen: the same for all members, and never as in the attempt before."""
    salt = zlib.crc32(f"{job.id} of {job.submitted_at}".encode())
    return _FIRST_COORDINATOR_PORT + (salt + _APART * attempt) % _COORDINATOR_PORTS


def check_runs(state: ClusterState, name: TaskId, attempt: int, caller: Caller) -> None:
    """Refuse a worker that speaks of an attempt which is not its own.

    Raises:
        Refused: there is no such attempt.
        NotPermitted: another worker has it.
    """
    task = state.tasks.get(name)
    if task is None or not 0 <= attempt < len(task.attempts):
        unknown(f"attempt {attempt} of task {name}")
    caller.check_worker(task.attempts[attempt].worker)


def _mark(desired: DesiredSet) -> int:
    """A number that another desired set does not have: what a worker shows of what it was told."""
    return zlib.crc32(repr(desired).encode()) | 1 << 33


def attempt_is_over(state: ClusterState, name: TaskId, attempt: int) -> bool:
    """Whether no more output can come of an attempt; true of one that nobody knows."""
    task = state.tasks.get(name)
    if task is None or attempt >= len(task.attempts):
        return True
    return task.attempts[attempt].ended_at is not None


class LogHandlers:
    """The calls of `LogService`."""

    def __init__(
        self, handlers: Handlers, store: Store, mirror: Mirror, followers: Followers
    ) -> None:
        """Logs of jobs that `handlers` knows."""
        self._handlers = handlers
        self._store = store
        self._mirror = mirror
        self._followers = followers

    async def append_log(
        self, request: pb.AppendLogRequest, caller: Caller
    ) -> pb.AppendLogResponse:
        """Take a piece of an attempt's log."""
        task = codec.task_from_wire(request.task)
        check_runs(self._handlers.state, task, request.attempt, caller)
        offset = codec.offset_from_wire(request.offset)
        if request.lost:
            gap = f"\n[iris: {request.lost} bytes of output were lost here]\n".encode()
            offset = self._store.append_log(
                task, request.attempt, self._store.log_size(task, request.attempt), gap
            )
            return pb.AppendLogResponse(next=offset)
        size = self._store.append_log(task, request.attempt, offset, request.content)
        self._followers.told(task)
        return pb.AppendLogResponse(next=size)

    async def read_log(
        self, request: pb.ReadLogRequest, caller: Caller
    ) -> AsyncIterator[pb.LogChunk]:
        """A log from an offset on, to its end, or as long as the attempt goes on.

        Whoever names no attempt is told those that follow, too, each from its first byte.
        """
        name = codec.task_from_wire(request.task)
        attempt = request.attempt if request.HasField("attempt") else None
        number, _ = self._standing(name, attempt, caller)
        if attempt is None and request.HasField("from_attempt"):
            number, _ = self._standing(name, request.from_attempt, caller)
        await self._bring(name, number)
        offset = codec.offset_from_wire(request.offset)
        if request.tail_bytes:
            tail = codec.offset_from_wire(request.tail_bytes)
            offset = max(offset, self._store.log_size(name, number) - tail)
        if request.tail_lines:
            lines = codec.offset_from_wire(request.tail_lines)
            offset = max(offset, tail_of(self._store.log(name, number), lines))
        while True:
            last, over = self._standing(name, attempt, caller)
            path = self._store.log(name, number)
            if path.is_file():
                for at, piece in read_pieces(path, offset):
                    offset = at + len(piece)
                    yield pb.LogChunk(attempt=number, offset=at, content=piece)
                    await asyncio.sleep(0)
            if number < last and attempt is None:
                number, offset = number + 1, 0  # Its task was tried again: go on with that.
                await self._bring(name, number)
                continue
            if over or not request.follow:
                break
            standing = partial(self._standing, name, attempt, caller)
            try:
                async with asyncio.timeout(_STILL_HERE_S):
                    await self._followers.wait(name, standing, (last, over))
            except TimeoutError:
                yield pb.LogChunk(attempt=number, offset=offset)
        yield pb.LogChunk(attempt=number, offset=offset, end=True)

    async def bring(self, name: TaskId, attempt: int, caller: Caller) -> Path | None:
        """Where an attempt's log is, once it is here; nothing when it has none.

        Raises:
            Refused: there is no such attempt.
            NotPermitted: the caller is limited to other jobs.
        """
        self._standing(name, attempt, caller)
        await self._bring(name, attempt)
        path = self._store.log(name, attempt)
        return path if path.is_file() else None

    async def _bring(self, name: TaskId, attempt: int) -> None:
        """Have an attempt's log here. While the attempt goes on, it is nowhere else."""
        if attempt_is_over(self._handlers.state, name, attempt):
            await self._mirror.bring_log(name, attempt)

    def _standing(self, name: TaskId, attempt: int | None, caller: Caller) -> tuple[int, bool]:
        """The attempt that is meant, and whether nothing more will come of it."""
        task = self._handlers.state.tasks.get(name)
        if task is None:
            unknown(f"task {name}")
        self._handlers.check_tree(task.job, caller)
        if attempt is None:
            return max(0, len(task.attempts) - 1), task.state in ENDED_TASK
        if not 0 <= attempt < max(1, len(task.attempts)):
            unknown(f"attempt {attempt} of task {name}")
        row = task.attempts[attempt] if task.attempts else None
        ended = row is not None and row.ended_at is not None
        return attempt, ended or (row is None and task.state in ENDED_TASK)
