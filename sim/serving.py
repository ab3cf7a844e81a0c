"""What simulated tasks serve: each attempt lists its endpoints when its code runs, and now and then again.

A process asks again as long as it runs, whatever the controller thinks of it. So one on a host that was cut
off, or that does not obey a stop, asks for an attempt that is over, and must be refused.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from iris.core.cadence import ENDPOINT_LEASE
from iris.core.events import EndpointRegistered, Event
from iris.core.ids import RequestId, attempt_name
from sim.clockwork import Clockwork

if TYPE_CHECKING:
    from sim.fleet import Host, Run

_FIRST_PORT: Final = 20_000


class Serving:
    """All servers inside of tasks."""

    def __init__(
        self, clock: Clockwork, deliver: Callable[[Event], None], reaches: "Callable[[Host], bool]"
    ) -> None:
        """Nobody serves yet; `reaches` says whether processes on a host reach the controller now."""
        self._clock = clock
        self._deliver = deliver
        self._reaches = reaches

    def begin(self, run: "Run") -> None:
        """The code of an attempt runs."""
        if run.work.arrival.template.serves:
            self._say(run)

    def _say(self, run: "Run") -> None:
        if run.over:
            return
        if self._reaches(run.host):
            for number in range(run.work.arrival.template.serves):
                self._deliver(self._registration(run, number))
        self._clock.later(ENDPOINT_LEASE, lambda: self._say(run))

    def _registration(self, run: "Run", number: int) -> EndpointRegistered:
        name = f"server-{number}"
        request = RequestId(f"{attempt_name(run.task, run.attempt)}/{name}")
        address = f"{run.host.address}:{_FIRST_PORT + number}"
        return EndpointRegistered(request, run.task, run.attempt, name, address)
