"""Who waits on the hosts for workers to end: each host of a slice is asked to answer when that has happened."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from iris.cluster.vm.ssh import SshHosts, Unreachable
from iris.core.ids import SliceId
from iris.rpc.channel import spread

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0

_log = logging.getLogger(__name__)


class Attendants:
    """Those who wait, by slice."""

    def __init__(
        self, hosts: SshHosts, common: Mapping[str, object], ended: Callable[[SliceId], None]
    ) -> None:
        """Nobody yet.

        Args:
            hosts: where to wait.
            common: what every request of a host holds.
            ended: told once of each slice whose worker has ended.
        """
        self._hosts = hosts
        self._common = common
        self._ended = ended
        self._tasks: dict[SliceId, list[asyncio.Task[None]]] = {}

    def attend(self, name: SliceId, addresses: Sequence[str]) -> None:
        """Wait on these hosts for the workers of a slice, unless somebody does."""
        if name not in self._tasks:
            self._tasks[name] = [
                asyncio.create_task(self._wait(name, address)) for address in addresses
            ]

    def leave(self, name: SliceId) -> None:
        """Wait for a slice no more."""
        for task in self._tasks.pop(name, ()):
            task.cancel()

    async def close(self) -> None:
        """Wait for nobody."""
        tasks = [task for of_one in self._tasks.values() for task in of_one]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait(self, name: SliceId, address: str) -> None:
        pause_s = _FIRST_PAUSE_S
        asked = {**self._common, "verb": "attend", "slice": name}
        while True:
            try:
                said = await self._hosts.attend(address, asked)
            except Unreachable as error:
                _log.warning("host %s of %s: %s", address, name, error)
                await asyncio.sleep(spread(pause_s))
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            pause_s = _FIRST_PAUSE_S
            if said.get("runs") is False:
                self._ended(name)
                return
            await asyncio.sleep(spread(pause_s))
