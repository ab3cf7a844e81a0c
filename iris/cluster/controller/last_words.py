"""What machines said that never served: asked for before they are taken down, since their logs go with them.

It is kept in memory, a little of a few, for whoever looks why a slice did not come up.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Protocol

from iris.core.effects import CreateSlice, DeleteSlice, ObserveSlices
from iris.core.events import Event
from iris.core.ids import SliceId, WorkerId, worker_id
from iris.core.paid import paid_from
from iris.core.state import ClusterState
from iris.ports import NoLog, VmManager, VmPlace

PATIENCE_S: Final = 5.0
"""For which a delete waits for them at most, once."""
MOST_HOSTS: Final = 4
"""Of one slice."""
TAIL_BYTES: Final = 16 << 10
_KEPT: Final = 256
"""Machines."""

_log = logging.getLogger(__name__)


class Speaking(VmManager, Protocol):
    """A provider whose machines have logs."""

    async def log(self, vm: VmPlace, most_bytes: int) -> bytes:
        """The end of what a machine has said.

        Raises:
            NoLog: it is not there, or cannot be read now.
        """
        ...


class LastWords:
    """A provider that hears machines which never served before it takes them down."""

    def __init__(self, provider: Speaking, state: ClusterState) -> None:
        """Around another one, which does all that is asked for."""
        self._provider = provider
        self._state = state
        self._heard: dict[SliceId, None] = {}
        self._words: dict[WorkerId, bytes] = {}

    def of(self, vm: WorkerId) -> bytes | None:
        """What a machine said last; nothing of one that served, said nothing, or was not heard."""
        return self._words.get(vm)

    async def create_slice(self, request: CreateSlice) -> Sequence[Event]:
        """As the provider does."""
        return await self._provider.create_slice(request)

    async def observe(self, request: ObserveSlices) -> Sequence[Event]:
        """As the provider does."""
        return await self._provider.observe(request)

    async def delete_slice(self, request: DeleteSlice) -> Sequence[Event]:
        """As the provider does, once the machines were heard."""
        places = self._places(request.slice)
        if places:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await asyncio.gather(*(self._hear(place) for place in places))
            except TimeoutError:
                _log.warning("%s: its machines' logs could not be read in time", request.slice)
        return await self._provider.delete_slice(request)

    def _places(self, name: SliceId) -> Sequence[VmPlace]:
        """The first machines of a slice that were awaited in vain, unless they were heard before."""
        slice_ = self._state.slices.get(name)
        if slice_ is None or name in self._heard or paid_from(slice_) is None:
            return ()
        self._heard[name] = None
        if len(self._heard) > _KEPT:
            del self._heard[next(iter(self._heard))]
        hosts = [host for host, worker in enumerate(slice_.workers) if worker is None]
        return [VmPlace(name, host, slice_.group, slice_.zone) for host in hosts[:MOST_HOSTS]]

    async def _hear(self, vm: VmPlace) -> None:
        try:
            said = await self._provider.log(vm, TAIL_BYTES)
        except NoLog:
            return
        self._words[worker_id(vm.slice, vm.host)] = said
        if len(self._words) > _KEPT:
            del self._words[next(iter(self._words))]
