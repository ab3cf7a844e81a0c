"""What operators ask about machines: which there are, who has been heard, and what a machine says of itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import grpc

from iris.cluster.controller.auth import Caller
from iris.cluster.controller.handlers import Refused, unknown
from iris.cluster.controller.links import Links
from iris.core.ids import SliceId, WorkerId, split_task_id
from iris.core.state import ClusterState
from iris.core.views import VmView, vm_views
from iris.ports import Clock, NoLog, VmPlace
from iris.rpc import codec
from iris.rpc import iris_pb2 as pb
from iris.rpc.methods import CHUNK_BYTES

Logs: TypeAlias = Callable[[VmPlace, int], Awaitable[bytes]]
"""Reads the last so many bytes of a machine's log; raises `NoLog`."""

MOST_BYTES: Final = 4 << 20
"""Of one machine's log, in one answer."""
TAIL_BYTES: Final = 64 << 10
"""Of one that is looked at again and again."""
FRESH_S: Final = 2.0
"""What was read so long ago is shown to whoever looks again."""
PATIENCE_S: Final = 2.0
"""For which somebody who looks waits for a provider."""
_KEPT: Final = 64


class VmHandlers:
    """The calls of `VmService`."""

    _logs: Logs
    _last_words: Callable[[WorkerId], bytes | None]

    def __init__(self, state: ClusterState, links: Links, clock: Clock) -> None:
        """Handlers without a provider, which `attach` gives them before anything is served."""
        self._state = state
        self._links = links
        self._clock = clock

    def attach(self, logs: Logs, last_words: Callable[[WorkerId], bytes | None]) -> None:
        """Read logs by this; of a machine that is gone, what it said last."""
        self._logs = logs
        self._last_words = last_words

    async def list_vms(self, request: pb.ListVmsRequest, caller: Caller) -> pb.ListVmsResponse:
        """The machines of a slice, or all that may exist."""
        slice_ = SliceId(request.slice) if request.slice else None
        found = [self._told(view, caller) for view in vm_views(self._state, slice_)]
        return pb.ListVmsResponse(vms=found, now_ms=self._clock.now())

    def _told(self, view: VmView, caller: Caller) -> pb.Vm:
        worker = None if view.worker is None else caller.tasks_of(view.worker)
        tasks = () if view.worker is None else view.worker.tasks
        attempts = [
            attempt
            for task, attempt in zip(tasks, view.attempts, strict=True)
            if caller.may_see(split_task_id(task)[0])
        ]
        return pb.Vm(
            id=view.id,
            slice=view.slice,
            host=view.host,
            group=view.group,
            zone=view.zone,
            slice_state=view.slice_state.value,
            worker=None if worker is None else codec.worker_to_wire(worker),
            attempts=[codec.attempt_to_wire(attempt) for attempt in attempts],
            heard_at_ms=self._links.heard_at(view.id),
            why=view.why,
        )

    async def read_vm_log(self, request: pb.ReadVmLogRequest, _: Caller) -> AsyncIterator[pb.Chunk]:
        """The end of what a machine has said."""
        most = min(codec.offset_from_wire(request.most_bytes) or MOST_BYTES, MOST_BYTES)
        content = await self.log_of(WorkerId(request.vm), most)
        for start in range(0, len(content), CHUNK_BYTES):
            yield pb.Chunk(content=content[start : start + CHUNK_BYTES])

    async def log_of(self, vm: WorkerId, most: int) -> bytes:
        """The last so many bytes of what a machine has said, or did before it was given up unused.

        Raises:
            Refused: there is no such machine, or none that has a log that can be read.
        """
        view = next((view for view in vm_views(self._state) if view.id == vm), None)
        last_words = self._last_words(vm)
        if last_words is not None:
            return last_words[-most:]
        if view is None:
            unknown(f"vm {vm or 'without a name'}")
        try:
            return await self._logs(VmPlace(view.slice, view.host, view.group, view.zone), most)
        except NoLog as error:
            code = grpc.StatusCode.NOT_FOUND
            raise Refused(code, f"vm {vm} has no log that can be read: {error}") from error


@dataclass(frozen=True, slots=True)
class _Read:
    """One look at a machine's log."""

    at: float
    task: "asyncio.Task[bytes | Refused]"


class SharedLogs:
    """Ends of machines' logs for many who look again and again: each is asked for once at a time.

    A provider that is slow is asked on while nobody waits for it, and whoever looks next has its answer.
    """

    def __init__(self, vms: VmHandlers) -> None:
        """As the calls read them."""
        self._vms = vms
        self._reads: dict[WorkerId, _Read] = {}

    async def end_of(self, vm: WorkerId) -> bytes:
        """The last bytes of what a machine has said, a moment ago at the latest.

        Raises:
            Refused: there is none that can be read, or the provider has not answered yet.
        """
        read = self._reads.pop(vm, None)
        if read is None or (read.task.done() and time.monotonic() - read.at > FRESH_S):
            read = _Read(time.monotonic(), asyncio.create_task(self._end_of(vm)))
        self._reads[vm] = read
        if len(self._reads) > _KEPT:
            del self._reads[next(iter(self._reads))]
        done, _ = await asyncio.wait([read.task], timeout=PATIENCE_S)
        if not done:
            said = f"the provider has not answered for {time.monotonic() - read.at:.0f} s"
            raise Refused(
                grpc.StatusCode.UNAVAILABLE, f"the log of {vm} is being asked for: {said}"
            )
        found = read.task.result()
        if isinstance(found, Refused):
            raise found
        return found

    async def _end_of(self, vm: WorkerId) -> "bytes | Refused":
        try:
            return await self._vms.log_of(vm, TAIL_BYTES)
        except Refused as refused:
            return refused
