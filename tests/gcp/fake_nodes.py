"""TPU nodes: what the API says of them, over slices of the simulator's cloud.

A node is kept as JSON in the form of v2alpha1, which has every field; each front end turns it into
the version that was asked for.
"""

from dataclasses import dataclass, field
from typing import Final

from google.cloud import tpu_v2alpha1
from google.protobuf import json_format

from iris.core.events import CloudState
from iris.core.ids import SliceId
from iris.core.instant import Instant
from tests.gcp.fake_catalog import both_ways
from tests.gcp.fake_errors import Json, invalid
from tests.gcp.fake_knobs import Knobs
from tests.gcp.fake_provider import Holding
from tests.gcp.fake_vms import digits_of

PORT: Final = 8470
OUTPUT_ONLY: Final = (
    "name",
    "id",
    "state",
    "health",
    "healthDescription",
    "createTime",
    "networkEndpoints",
    "apiVersion",
    "symptoms",
    "multisliceNode",
    "queuedResource",
    "upcomingMaintenance",
)
_STATES: Final = {
    CloudState.CREATING: "CREATING",
    CloudState.READY: "READY",
    CloudState.REPAIRING: "REPAIRING",
    CloudState.PREEMPTED: "PREEMPTED",
    CloudState.DELETING: "DELETING",
    CloudState.STOPPED: "STOPPED",
}


@dataclass(slots=True, eq=False)
class Node:
    """One node, from its create to its end."""

    name: str
    """`projects/P/locations/Z/nodes/N`."""
    body: Json
    """As it was sent, and updated since, without what only the service fills in."""
    accelerator_type: str
    accelerator_config: Json
    version: str
    holding: Holding
    created: Instant
    queued: str = ""
    """The queued resource that it belongs to."""
    shown: str | int | None = None  # None: as its machines are
    """A state that it is said to be in, whatever its machines are."""
    symptoms: list[Json] = field(default_factory=list)

    @property
    def zone(self) -> str:
        """Where it is."""
        return self.name.split("/")[3]

    @property
    def id(self) -> str:
        """The last part of its name."""
        return self.name.rpartition("/")[2]

    @property
    def chips(self) -> int:
        """How many chips it holds of a quota."""
        return self.holding.group.chips

    def ready_at(self, knobs: Knobs) -> Instant | None:
        """When it began, or begins, to be called READY; nothing before its machines are up."""
        at = self.holding.since(CloudState.READY)
        return None if at is None else Instant(int(at + knobs.ready_lag_s * 1000))

    def is_there(self, knobs: Knobs) -> bool:
        """Whether it is found: also while its create may yet fail."""
        holding = self.holding
        if holding.machine is not None:
            return holding.ended is None
        if self.queued:
            return False
        return knobs.failed_creates_stay if holding.refused else holding.answered

    def state(self, now: Instant, knobs: Knobs) -> str | int:
        """What it is said to be in."""
        if self.shown is not None:
            return self.shown
        holding = self.holding
        if holding.machine is None:
            return "TERMINATED" if holding.refused else "CREATING"
        state = holding.machine.state
        ready_at = self.ready_at(knobs)
        if state is CloudState.READY and ready_at is not None and now < ready_at:
            return "CREATING"
        return _STATES.get(state, "STOPPED" if digits_of(self.name) % 2 else "TERMINATED")

    def show(self, now: Instant, knobs: Knobs, created: str) -> Json:
        """The node as it is told."""
        state = self.state(now, knobs)
        health = {"READY": "HEALTHY", "REPAIRING": "UNHEALTHY_MAINTENANCE"}.get(str(state))
        shown = self.body | {
            "name": self.name,
            "id": str(digits_of(self.name, str(self.created))),
            "state": state,
            "createTime": created,
            "apiVersion": {"v2": "V2"}.get(self.version, "V2_ALPHA1"),
            "acceleratorType": self.accelerator_type,
            "acceleratorConfig": self.accelerator_config,
            "networkEndpoints": self.endpoints(knobs),
            "symptoms": self.symptoms,
        }
        if health is not None:
            shown["health"] = health
        return shown | ({"queuedResource": self.queued} if self.queued else {})

    def endpoints(self, knobs: Knobs) -> list[Json]:
        """One for each machine; without an address until it has booted."""
        external = self.body.get("networkConfig", {}).get("enableExternalIps", False)
        found: list[Json] = []
        for index in range(self.holding.group.hosts):
            vm = self.holding.vms.get(index)
            endpoint: Json = {"port": PORT}
            if vm is not None and index not in knobs.empty_endpoints:
                endpoint["ipAddress"] = vm.address
                if external:
                    endpoint["accessConfig"] = {"externalIp": f"203.0.113.{vm.number % 254 + 1}"}
            found.append(endpoint)
        return found


def checked(body: Json) -> Json:
    """A node as it was sent, without what only the service fills in.

    Raises:
        ApiError: it is no node, or lacks what it needs.
    """
    try:
        message = json_format.ParseDict(body, tpu_v2alpha1.Node.pb()())
    except json_format.ParseError as error:
        raise invalid(f"Invalid JSON payload received. {error}") from error
    found: Json = json_format.MessageToDict(message)
    for key in OUTPUT_ONLY:
        found.pop(key, None)
    if not found.get("runtimeVersion"):
        raise invalid("node.runtime_version must be set")
    both_ways(found)
    return found


def slice_name(zone: str, node_id: str) -> SliceId:
    """Under what name the simulator's cloud has it."""
    return SliceId(f"{zone}.{node_id}")
