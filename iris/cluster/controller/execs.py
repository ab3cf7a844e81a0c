"""Commands inside running tasks: brings who asks for one together with the worker that has the task.

The controller calls no worker, so a command waits until its worker, woken for it, comes and fetches it. From
then on the controller passes on what both sides send, and holds only a few messages of it. Nothing
of this is state of the cluster: when the controller or the worker goes, the command ends.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TypeVar

import grpc

from iris.cluster.controller.auth import Caller, NotPermitted
from iris.cluster.controller.handlers import Handlers, Refused, unknown
from iris.core.ids import WorkerId
from iris.core.lifecycle import TaskState
from iris.core.records import Attempt
from iris.rpc import codec
from iris.rpc import iris_pb2 as pb
from iris.rpc.methods import Kind

_HELD: Final = 16
"""Messages of each direction that wait for the other side."""
_OFFERS: Final = 8
_OFFER_S: Final = 2.0
"""A worker that has not come by then is told again."""

_T = TypeVar("_T")

_log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Exec:
    id: str
    worker: WorkerId
    start: pb.ExecInput
    to_worker: asyncio.Queue[pb.ExecInput] = field(default_factory=lambda: asyncio.Queue(_HELD))
    to_client: asyncio.Queue[pb.ExecOutput] = field(default_factory=lambda: asyncio.Queue(_HELD))
    offered: bool = False
    taken: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Nobody waits for its output any more."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """The worker sends no more."""


class Execs:
    """All commands under way, with those that wait for their worker."""

    def __init__(self, wake: Callable[[WorkerId], None]) -> None:
        """None yet; `wake` lets a worker's poll be answered."""
        self._wake = wake
        self._execs: dict[str, _Exec] = {}

    def offer(self, worker: WorkerId) -> list[str]:
        """What a worker is to fetch, each told once until it is offered again."""
        found = [
            each for each in self._execs.values() if each.worker == worker and not each.offered
        ]
        for each in found:
            each.offered = True
        return [each.id for each in found]

    async def run(
        self, worker: WorkerId, start: pb.ExecInput, inputs: AsyncIterator[pb.ExecInput]
    ) -> AsyncGenerator[pb.ExecOutput, None]:
        """Have a command run by a worker; its output to the end.

        Raises:
            Refused: the worker does not come for it.
        """
        this = _Exec(secrets.token_hex(16), worker, start)
        self._execs[this.id] = this
        feeding = asyncio.ensure_future(_feed(this, inputs))
        try:
            await self._until_taken(this)
            while (output := await _next(this.to_client, this.left)) is not None:
                yield output
                if output.HasField("exit") or output.trouble:
                    return
            yield pb.ExecOutput(trouble=f"worker {worker} broke off; the command may have ended")
        finally:
            feeding.cancel()
            this.over.set()
            del self._execs[this.id]

    async def _until_taken(self, this: _Exec) -> None:
        for _ in range(_OFFERS):
            this.offered = False
            self._wake(this.worker)
            with suppress(TimeoutError):
                async with asyncio.timeout(_OFFER_S):
                    await this.taken.wait()
                return
        seconds = _OFFERS * _OFFER_S
        message = f"worker {this.worker} has not come for the command within {seconds:g} s"
        raise Refused(grpc.StatusCode.ABORTED, message)

    async def serve(
        self, id: str, outputs: AsyncIterator[pb.ExecOutput], caller: Caller
    ) -> AsyncGenerator[pb.ExecInput, None]:
        """A command for the worker that has come for it, and then what goes to it, until nobody waits for it."""
        this = self._execs.get(id)
        if this is None or this.taken.is_set():
            unknown(f"command {id}")
        caller.check_worker(this.worker)
        this.taken.set()
        collecting = asyncio.ensure_future(_collect(this, outputs))
        try:
            yield this.start
            while (message := await _next(this.to_worker, this.over)) is not None:
                yield message
        finally:
            collecting.cancel()
            this.left.set()


async def _feed(this: _Exec, inputs: AsyncIterator[pb.ExecInput]) -> None:
    async for message in inputs:
        await this.to_worker.put(message)
    await this.to_worker.put(pb.ExecInput(end=True))


async def _collect(this: _Exec, outputs: AsyncIterator[pb.ExecOutput]) -> None:
    async for message in outputs:
        await this.to_client.put(message)
    this.left.set()


async def _next(queue: "asyncio.Queue[_T]", stop: asyncio.Event) -> _T | None:
    """What comes next; nothing when it is empty and no more will come."""
    while queue.empty() and not stop.is_set():
        getting = asyncio.ensure_future(queue.get())
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait((getting, stopping), return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                return getting.result()
        finally:
            getting.cancel()
            stopping.cancel()
            await asyncio.wait((getting,))
    return None if queue.empty() else queue.get_nowait()


class ExecHandlers:
    """The calls of `ExecService`."""

    def __init__(self, handlers: Handlers, execs: Execs) -> None:
        """Commands in tasks of jobs that `handlers` knows."""
        self._handlers = handlers
        self._execs = execs

    async def exec_task(
        self, inputs: AsyncIterator[pb.ExecInput], caller: Caller
    ) -> AsyncGenerator[pb.ExecOutput, None]:
        """Run a command where a task runs, as the task itself would."""
        first = await anext(aiter(inputs), None)
        if first is None or not first.HasField("start"):
            raise codec.Malformed("start: a command begins with what is to be run, and where")
        codec.check_words(first.start.command, "command")
        attempt = self._running(first.start, caller)
        first.start.attempt = attempt.number
        who = caller.user or caller.kind.value
        _log.info("%s runs a command in %s@%d", who, first.start.task, attempt.number)
        async for output in self._execs.run(attempt.worker, first, inputs):
            yield output

    def _running(self, start: pb.ExecStart, caller: Caller) -> Attempt:
        """The attempt of a task that runs now, if the caller may run commands in it."""
        state, name = self._handlers.state, codec.task_from_wire(start.task)
        task = state.tasks.get(name)
        if task is None:
            unknown(f"task {name}")
        owner = state.jobs[task.job].spec.user
        if caller.kind is Kind.USER and caller.user != owner:
            raise NotPermitted(f"{name} belongs to {owner}")
        if task.state is not TaskState.RUNNING:
            message = f"task {name} is {task.state.value}; commands run in tasks that are running"
            raise Refused(grpc.StatusCode.ABORTED, message)
        return task.attempts[-1]

    async def serve_exec(
        self, outputs: AsyncIterator[pb.ExecOutput], caller: Caller
    ) -> AsyncGenerator[pb.ExecInput, None]:
        """Give a command to the worker that it waits for."""
        first = await anext(aiter(outputs), None)
        async for message in self._execs.serve(first.id if first else "", outputs, caller):
            yield message
