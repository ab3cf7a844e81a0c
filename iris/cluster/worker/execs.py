"""Fetches commands that are to run beside running attempts, and serves each until it or its caller has ended."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

from iris.cluster.worker.runtime import LaunchError, TaskRuntime
from iris.cluster.worker.sessions import Command, Session
from iris.core.ids import TaskId
from iris.rpc import iris_pb2 as pb
from iris.rpc.aio import AioChannel, Conversation
from iris.rpc.errors import RemoteError
from iris.rpc.methods import EXEC_WINDOW_BYTES, SERVE_EXEC

_Call: TypeAlias = Conversation[pb.ExecOutput, pb.ExecInput]

_log = logging.getLogger(__name__)


class Execs:
    """All that are served now."""

    def __init__(
        self, channel: AioChannel, runtime: TaskRuntime, folder_of: Callable[[TaskId, int], Path]
    ) -> None:
        """None yet; an attempt is known to the runtime by the folder that `folder_of` gives."""
        self._channel = channel
        self._runtime = runtime
        self._folder_of = folder_of
        self._serving: dict[str, asyncio.Task[None]] = {}

    def offer(self, ids: Iterable[str]) -> None:
        """Serve these, unless they are served already."""
        for id in ids:
            if id not in self._serving:
                task = asyncio.ensure_future(self._serve(id))
                self._serving[id] = task
                task.add_done_callback(lambda _: self._forget_served())

    def _forget_served(self) -> None:
        for id in [id for id, task in self._serving.items() if task.done()]:
            del self._serving[id]

    async def close(self) -> None:
        """End all of them."""
        tasks = list(self._serving.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, id: str) -> None:
        call = self._channel.converse(SERVE_EXEC)
        # Nobody who reads or writes a call may be cancelled before it is over: gRPC cancels it then, too.
        beside: list[asyncio.Future[None]] = []
        try:
            await call.send(pb.ExecOutput(id=id))
            first = await call.receive()
            if first is not None:
                await self._run(id, first, call, beside)
            await call.finish()
            await call.ended.wait()
        except RemoteError as error:
            _log.info("command %s: %s", id, error)
        finally:
            call.cancel()
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _run(
        self, id: str, first: pb.ExecInput, call: _Call, beside: "list[asyncio.Future[None]]"
    ) -> None:
        start = first.start
        command = Command(id, tuple(start.command), start.tty, start.term)
        folder = self._folder_of(TaskId(start.task), start.attempt)
        try:
            session = await self._runtime.begin(folder, command)
        except (LaunchError, OSError) as error:
            await call.send(pb.ExecOutput(trouble=f"the command could not be started: {error}"))
            return
        inputs = _Inputs()
        inputs.put(first)
        for work in (
            _hear(inputs, call),
            _pass_on(session, inputs, call),
            _kill_when_over(session, call),
        ):
            beside.append(asyncio.ensure_future(work))
        try:
            while (piece := await session.read()) is not None:
                await call.send(pb.ExecOutput(out=piece[0], err=piece[1]))
            await call.send(pb.ExecOutput(exit=await session.wait()))
        except LaunchError as error:
            await call.send(pb.ExecOutput(trouble=str(error)))
        finally:
            session.kill()


class _Inputs:
    """What the command has not taken yet."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[pb.ExecInput] = asyncio.Queue()
        self.held_bytes = 0

    def put(self, message: pb.ExecInput) -> None:
        self.held_bytes += len(message.content)
        self._queue.put_nowait(message)

    async def get(self) -> pb.ExecInput:
        return await self._queue.get()


async def _hear(inputs: _Inputs, call: _Call) -> None:
    """Take all that comes, so that the end of the call is seen; the window keeps it little."""
    while (message := await call.receive()) is not None:
        inputs.put(message)
        if inputs.held_bytes > EXEC_WINDOW_BYTES:
            _log.warning("a command's caller sent more than it may; the command is killed")
            call.cancel()


async def _pass_on(session: Session, inputs: _Inputs, call: _Call) -> None:
    while True:
        message = await inputs.get()
        if message.HasField("terminal"):
            await session.resize(message.terminal.rows, message.terminal.columns)
        if message.content:
            await session.write(message.content)
            inputs.held_bytes -= len(message.content)
            await call.send(pb.ExecOutput(accepted=len(message.content)))
        if message.end:
            await session.end_input()


async def _kill_when_over(session: Session, call: _Call) -> None:
    """Whoever asked for it has gone: so must it, whatever it waits for."""
    await call.ended.wait()
    session.kill()
