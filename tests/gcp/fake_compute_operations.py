"""Zone operations of Compute Engine: asked by get, or waited for at the server for two minutes at most."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from iris.core.instant import Instant
from tests.gcp import fake_compute_errors as no
from tests.gcp.fake_compute_errors import ComputeError
from tests.gcp.fake_errors import Json
from tests.gcp.fake_knobs import Knobs
from tests.gcp.fake_time import World
from tests.gcp.fake_vms import digits_of

WAIT_MS: Final = 120_000
"""The longest that a wait lasts, of the fake's clock."""

Outcome = tuple[Instant, ComputeError | None]


@dataclass(slots=True, eq=False)
class _Operation:
    name: str
    zone: str
    verb: str
    target: str
    target_id: int
    created: Instant
    outcome: Callable[[], Outcome | None]
    settled: Outcome | None = None


class ZoneOperations:
    """All of a project."""

    def __init__(self, project: str, world: World, knobs: Knobs) -> None:
        self._project = project
        self._world = world
        self._knobs = knobs
        self._all: dict[tuple[str, str], _Operation] = {}
        self.base = "https://www.googleapis.com/compute/v1"
        """How links begin."""

    def url(self, zone: str, *path: str) -> str:
        """A link to something in a zone."""
        return "/".join([self.base, "projects", self._project, "zones", zone, *path])

    def begin(self, verb: str, instance: Any, outcome: Callable[[], Outcome | None]) -> Json:
        """A new one, on an instance."""
        when = self._world.epoch + timedelta(milliseconds=self._world.now)
        tail = f"{digits_of(instance.name, verb, str(len(self._all))):x}"
        name = f"operation-{int(when.timestamp() * 1000)}-{tail[:13]}-{tail[-8:]}-{tail[:8]}"
        target = self.url(instance.zone, "instances", instance.name)
        operation = _Operation(
            name, instance.zone, verb, target, instance.number, self._world.now, outcome
        )
        self._all[instance.zone, name] = operation
        return self._show(operation)

    def get(self, zone: str, name: str) -> Json:
        """zoneOperations.get."""
        with self._world.turn():
            return self._show(self._find(zone, name))

    def wait(self, zone: str, name: str, is_alive: Callable[[], bool]) -> Json:
        """zoneOperations.wait."""
        with self._world.turn():
            operation = self._find(zone, name)
            until = Instant(self._world.now + WAIT_MS)
            self._world.wait(lambda: self._told(operation) is not None, is_alive, until)
            return self._show(operation)

    def _find(self, zone: str, name: str) -> _Operation:
        found = self._all.get((zone, name))
        if found is None:
            raise no.not_found(f"projects/{self._project}/zones/{zone}/operations/{name}")
        return found

    def _told(self, operation: _Operation) -> Outcome | None:
        if operation.settled is None:
            operation.settled = operation.outcome()
        if operation.settled is None or self._knobs.lro_never_done:
            return None
        is_late = self._world.now < operation.settled[0] + self._knobs.lro_lag_s * 1000
        return None if is_late else operation.settled

    def _show(self, operation: _Operation) -> Json:
        told = self._told(operation)
        shown: Json = {
            "kind": "compute#operation",
            "id": str(digits_of(operation.name)),
            "name": operation.name,
            "zone": self.url(operation.zone),
            "selfLink": self.url(operation.zone, "operations", operation.name),
            "operationType": operation.verb,
            "targetLink": operation.target,
            "targetId": str(operation.target_id),
            "status": "RUNNING" if told is None else "DONE",
            "progress": 0 if told is None else 100,
            "insertTime": self._world.stamp(operation.created),
            "startTime": self._world.stamp(operation.created),
        }
        if told is None:
            return shown
        at, error = told
        shown["endTime"] = self._world.stamp(at)
        if error is not None:
            shown["error"] = {"errors": [{"code": error.reason, "message": error.message}]}
            shown["httpErrorStatusCode"] = error.http
            shown["httpErrorMessage"] = {403: "FORBIDDEN", 503: "SERVICE UNAVAILABLE"}.get(
                error.http, "ERROR"
            )
        return shown
