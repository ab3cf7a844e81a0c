"""One call of the fake cloud's API, whatever wire it came over, and the gate that it passes first."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.gcp.fake_auth import refuse_strangers
from tests.gcp.fake_errors import Json, permission, unavailable
from tests.gcp.fake_knobs import Knobs
from tests.gcp.fake_time import World


@dataclass(frozen=True, slots=True)
class Call:
    """One call: what it asks, and how it came."""

    service: str
    """`tpu` or `compute`."""
    method: str
    """`CreateNode`; of Compute `instances.insert`."""
    version: str
    """`v2`, `v2alpha1` or `v1`."""
    request: Json
    """The message, as JSON spells it, with the fields of the path and of the query in it."""
    transport: str
    """`grpc` or `rest`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """In lower case."""
    is_alive: Callable[[], bool] = lambda: True
    """Whether the caller still waits."""

    @property
    def user_agent(self) -> str:
        """Which client called."""
        return self.headers.get("x-goog-api-client", self.headers.get("user-agent", ""))


class Gate:
    """Logs each call, and lets the faults of the wire happen to it."""

    def __init__(self, world: World, knobs: Knobs) -> None:
        self.log: list[Call] = []
        """Every call that came, in order: tests assert on the wire, not on intentions."""
        self.knobs = knobs
        self._world = world

    def enter(self, call: Call) -> None:
        """Within no turn: what befalls a call before anybody looks at it.

        Raises:
            ApiError: it goes no further.
        """
        knobs = self.knobs
        self.log.append(call)
        if knobs.slow_calls_s:
            time.sleep(knobs.slow_calls_s)
        with self._world.turn():
            if call.method in knobs.hanging_methods:
                released = self._world.wait(
                    lambda: call.method not in knobs.hanging_methods, call.is_alive
                )
                if not released:
                    raise unavailable()
            refuse_strangers(call.headers, knobs)
            if call.method in knobs.denied:
                what = f"{call.service}.{call.method}"
                raise permission(what, str(call.request.get("parent", call.request.get("name"))))
            if knobs.unavailable_reads and _reads(call.method):
                knobs.unavailable_reads -= 1
                raise unavailable()
            if call.method == "GetOperation" and knobs.get_operation_errors:
                raise knobs.get_operation_errors.pop(0)

    def calls(self, method: str) -> list[Call]:
        """Those of one method."""
        return [call for call in self.log if call.method == method]


Handler = Callable[[Call], Json]


def _reads(method: str) -> bool:
    """Whether a method changes nothing: `GetNode`, `instances.aggregatedList`."""
    return method.rpartition(".")[2].lower().startswith(("get", "list", "aggregated"))
