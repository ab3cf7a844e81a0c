"""What simulated tasks serve: each attempt lists its endpoints when its code runs, and now and then again.

A process asks again as long as it runs, whatever the controller thinks of it. So one on a host that was cut
off, or that does not obey a stop, asks for an attempt that is over, and must be refused.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from iris.core.cadence import ENDPOINT_LEASE
from iris.core.events import EndpointRegistered, Event
from iris.core.ids import RequestId, TaskId, attempt_name
from sim.clockwork import Clockwork

Standing: TypeAlias = Callable[[], bool | None]
"""Whether a process reaches the controller now; nothing when it is over."""

_FIRST_PORT: Final = 20_000


class Serving:
    """All servers inside of tasks."""

    def __init__(self, clock: Clockwork, deliver: Callable[[Event], None]) -> None:
        """Nobody serves yet."""
        self._clock = clock
        self._deliver = deliver

    def begin(self, key: tuple[TaskId, int], host: str, count: int, standing: Standing) -> None:
        """The code of an attempt, which lists so many endpoints, runs on a host of that address."""
        if count:
            told = [_registration(key, host, number) for number in range(count)]
            self._say(told, standing)

    def _say(self, told: list[EndpointRegistered], standing: Standing) -> None:
        reaches = standing()
        if reaches is None:
            return
        if reaches:
            for event in told:
                self._deliver(event)
        self._clock.later(ENDPOINT_LEASE, lambda: self._say(told, standing))


def _registration(key: tuple[TaskId, int], host: str, number: int) -> EndpointRegistered:
    name = f"server-{number}"
    request = RequestId(f"{attempt_name(*key)}/{name}")
    return EndpointRegistered(request, *key, name, f"{host}:{_FIRST_PORT + number}")
