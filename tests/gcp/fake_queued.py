"""Queued resources: a wish that waits for capacity, becomes nodes, and may lose them.

For want of stock, or of quota, it waits and asks again; it fails only when it is too late for it, or
when it can never be had. What was suspended or has failed is listed until it is deleted.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from google.protobuf import json_format

from iris.core.events import CloudState
from iris.core.instant import Instant, Millis
from tests.gcp import fake_errors as no
from tests.gcp.fake_calls import Call, Handler
from tests.gcp.fake_catalog import both_ways, chips_of
from tests.gcp.fake_errors import ApiError, Json
from tests.gcp.fake_lists import page
from tests.gcp.fake_messages import VERSIONS
from tests.gcp.fake_nodes import Node, checked, slice_name
from tests.gcp.fake_operations import EMPTY, Settled
from tests.gcp.fake_tpu import TpuService

QUEUED_ID: Final = re.compile(r"[A-Za-z0-9_.~+%-]+")
PERIOD: Final = Millis(10_000)
"""How often what waits asks again."""
SUSPENDING: Final = 30_000
"""Milliseconds from the loss of a node to SUSPENDED."""
_DELETABLE: Final = frozenset({"ACCEPTED", "WAITING_FOR_RESOURCES", "FAILED", "SUSPENDED"})
_NOT_IN_THE_CLASSES: Final = ("provisioningModel", "runDuration")
"""Of v2alpha1, known to gcloud and to the discovery document only; they are taken, and change nothing."""
_MULTI: Final = {"v2": "multisliceParams", "v2alpha1": "multiNodeParams"}


@dataclass(slots=True, eq=False)
class Queued:
    """One wish."""

    name: str
    body: Json
    version: str
    created: Instant
    wanted: dict[str, Json]
    """The nodes that it asks for, by their names."""
    call: Call
    until: Instant | None = None  # None: it waits for ever
    nodes: list[Node] = field(default_factory=list)
    error: ApiError | None = None  # None: it has not failed
    lost_at: Instant | None = None  # None: it has lost nothing
    is_deleted: bool = False
    initiator: str = "USER"


class Queue:
    """All of a project."""

    def __init__(self, tpu: TpuService) -> None:
        self._tpu = tpu
        tpu.also_held = self.held
        self.all: dict[str, Queued] = {}

    def methods(self) -> dict[str, Handler]:
        """What answers each method."""
        return {
            "CreateQueuedResource": self.create,
            "GetQueuedResource": self.get,
            "ListQueuedResources": self.list,
            "DeleteQueuedResource": self.delete,
            "ResetQueuedResource": self.reset,
        }

    def held(self) -> list[tuple[str, int]]:
        """Zones, and chips of their quota, that are held for what has failed or was suspended."""
        over = [q for q in self.all.values() if self.state(q) in ("FAILED", "SUSPENDED")]
        return [
            (name.split("/")[3], chips_of(body)) for q in over for name, body in q.wanted.items()
        ]

    # ---- what becomes of one ---------------------------------------------------------------

    def state(self, queued: Queued) -> str:
        """What it is in now."""
        if queued.error is not None:
            return "FAILED"
        if queued.lost_at is not None:
            over = self._tpu.world.now >= queued.lost_at + SUSPENDING
            return "SUSPENDED" if over else "SUSPENDING"
        if not queued.nodes or any(n.holding.machine is None for n in queued.nodes):
            return "WAITING_FOR_RESOURCES"
        ready = all(n.state(self._tpu.world.now, self._tpu.knobs) == "READY" for n in queued.nodes)
        return "ACTIVE" if ready else "PROVISIONING"

    def _live(self, queued: Queued) -> None:
        """One look at it, and another one later, until its end."""
        zombie = queued.is_deleted and self._tpu.knobs.fulfil_after_delete
        if queued.error is not None or (queued.is_deleted and not zombie):
            return
        if self.state(queued) == "SUSPENDED":
            for node in queued.nodes:
                if node.holding.state not in (None, CloudState.DELETING):
                    self._tpu.provider.give_back(node.holding)
            return
        if not queued.nodes:
            self._try(queued)
        elif any(node.holding.refused and node.holding.machine is None for node in queued.nodes):
            self._drop(queued)
        elif queued.lost_at is None and any(_is_lost(node) for node in queued.nodes):
            queued.lost_at, queued.initiator = self._tpu.world.now, "SERVICE"
        self._tpu.world.timeline.later(PERIOD, lambda: self._live(queued))

    def _try(self, queued: Queued) -> None:
        now = self._tpu.world.now
        if queued.until is not None and now >= queued.until:
            text = "The queued resource was not provisioned before its valid_until time."
            queued.error = no.precondition(text)
            return
        ids = [slice_name(name.split("/")[3], name.rpartition("/")[2]) for name in queued.wanted]
        if any(one in self._tpu.provider.machines for one in ids):
            return  # what it had before a reset is not gone yet
        try:
            for name, body in queued.wanted.items():
                queued.nodes.append(self._tpu.begin(queued.call, name, body, queued.name))
        except ApiError:  # over quota: what waits, waits on
            self._drop(queued)

    def _drop(self, queued: Queued) -> None:
        for node in queued.nodes:
            holding = node.holding
            over = holding.ended is not None or (holding.refused and holding.machine is None)
            if not over and holding.state is not CloudState.DELETING:
                self._tpu.provider.give_back(holding)  # also what is still on its way
            self._tpu.nodes.pop(node.name, None)
        queued.nodes = []

    # ---- calls -----------------------------------------------------------------------------

    def create(self, call: Call) -> Json:
        """CreateQueuedResource: done as soon as it waits."""
        parent, own = call.request.get("parent", ""), call.request.get("queuedResourceId", "")
        with self._tpu.world.turn():
            self._tpu.location(parent)
            if not QUEUED_ID.fullmatch(own):
                raise no.invalid(f'queued_resource_id "{own}" does not match {QUEUED_ID.pattern}')
            name = f"{parent}/queuedResources/{own}"
            if name in self.all:
                raise no.exists(name)
            body = _checked(call)
            wanted = self._wanted(body, parent)
            now = self._tpu.world.now
            queued = Queued(name, body, call.version, now, wanted, call, self._until(body))
            self.all[name] = queued
            self._tpu.world.timeline.later(Millis(0), lambda: self._live(queued))
            answer = self._tpu.typed(
                self.show(queued, call.version), "QueuedResource", call.version
            )
            operation = self._tpu.operations.begin(call, "create", name, lambda: (now, answer))
            return self._tpu.operations.show(operation)

    def _wanted(self, body: Json, parent: str) -> dict[str, Json]:
        wanted: dict[str, Json] = {}
        reserved = body.get("guaranteed", {}).get("reserved", False) or "reservationName" in body
        for spec in body.get("tpu", {}).get("nodeSpec", []):
            where = spec.get("parent", parent)
            scheduling = {"spot": "spot" in body, "reserved": reserved}
            node = checked(spec.get("node", {}))
            node["schedulingConfig"] = node.get("schedulingConfig", {}) | scheduling
            several = spec.get("multisliceParams")
            ids = [spec.get("nodeId", "")]
            if several:
                ids = [f"{several['nodeIdPrefix']}-{i}" for i in range(several["nodeCount"])]
            for node_id in ids:
                self._tpu.limits.refuse_names(node_id, node.get("labels", {}))
                self._tpu.refuse_unknown(where, node)
                path = f"{where}/nodes/{node_id}"
                if path in self._tpu.nodes and self._tpu.nodes[path].is_there(self._tpu.knobs):
                    raise no.exists(path)
                wanted[path] = node
        if not wanted:
            raise no.invalid("tpu.node_spec must not be empty")
        return wanted

    def _until(self, body: Json) -> Instant | None:
        policy = body.get("queueingPolicy", {})
        now = self._tpu.world.now
        if "validUntilDuration" in policy:
            return Instant(int(now + float(policy["validUntilDuration"].rstrip("s")) * 1000))
        if "validUntilTime" in policy:
            when = datetime.fromisoformat(policy["validUntilTime"])
            return Instant((when - self._tpu.world.epoch) // timedelta(milliseconds=1))
        return None

    def show(self, queued: Queued, version: str) -> Json:
        """As it is told, in a version."""
        state: Json = {"state": self.state(queued), "stateInitiator": queued.initiator}
        if queued.error is not None:
            state["failedData"] = {"error": queued.error.status()}
        specs = []
        for spec in queued.body["tpu"]["nodeSpec"]:
            kind, config = both_ways(spec["node"])
            both = {"acceleratorType": kind, "acceleratorConfig": config}
            told = spec | {"node": spec["node"] | both}
            if "multisliceParams" in told:
                told[_MULTI[version]] = told.pop("multisliceParams")
            specs.append(told)
        return queued.body | {
            "name": queued.name,
            "createTime": self._tpu.world.stamp(queued.created),
            "state": state,
            "tpu": {"nodeSpec": specs},
        }

    def find(self, call: Call) -> Queued:
        """The one that a call names.

        Raises:
            ApiError: NOT_FOUND.
        """
        name = call.request.get("name", "")
        self._tpu.location(name)
        if name not in self.all:
            raise no.not_found(name)
        return self.all[name]

    def get(self, call: Call) -> Json:
        """GetQueuedResource."""
        with self._tpu.world.turn():
            return self.show(self.find(call), call.version)

    def list(self, call: Call) -> Json:
        """ListQueuedResources, in every state."""
        with self._tpu.world.turn():
            zone = self._tpu.location(call.request.get("parent", ""))
            there = [q for q in self.all.values() if zone in ("-", q.name.split("/")[3])]
            found = [self.show(queued, call.version) for queued in there]
            return page(call.request, found, self._tpu.knobs, "queuedResources")

    def delete(self, call: Call) -> Json:
        """DeleteQueuedResource; with `force`, its nodes too."""
        with self._tpu.world.turn():
            queued = self.find(call)
            left = [node for node in queued.nodes if node.is_there(self._tpu.knobs)]
            state = self.state(queued)
            if left and state not in _DELETABLE and not call.request.get("force"):
                text = f"The queued resource is in state {state} and has nodes: delete them first, or use force."
                raise no.precondition(text)
            for node in left:
                self._tpu.end(node, call)
            for node in queued.nodes:
                if node.holding.machine is None and not node.holding.refused:
                    self._tpu.provider.give_back(node.holding)  # it is on its way
            queued.is_deleted = True
            del self.all[queued.name]
            holdings = [node.holding for node in left]
            now = self._tpu.world.now

            def gone() -> Settled | None:
                ends = [h.ended if h.delete_told is None else h.delete_told for h in holdings]
                if any(end is None for end in ends):
                    return None
                answer: Json = {"@type": EMPTY}
                if call.version == "v2alpha1" and not self._tpu.knobs.alpha_delete_mismatch:
                    told = self.show(queued, call.version)
                    answer = self._tpu.typed(told, "QueuedResource", call.version)
                return max([now, *(end for end in ends if end is not None)]), answer

            operation = self._tpu.operations.begin(call, "delete", queued.name, gone)
            return self._tpu.operations.show(operation)

    def reset(self, call: Call) -> Json:
        """ResetQueuedResource: it gives up what it has, and waits anew."""
        with self._tpu.world.turn():
            queued = self.find(call)
            if self.state(queued) not in ("ACTIVE", "SUSPENDED", "FAILED"):
                raise no.precondition("Only what is ACTIVE, SUSPENDED or FAILED can be reset.")
            is_over = self.state(queued) != "ACTIVE"
            self._drop(queued)
            queued.error = queued.lost_at = None
            if is_over:
                self._tpu.world.timeline.later(Millis(0), lambda: self._live(queued))
            now = self._tpu.world.now
            answer = self._tpu.typed(
                self.show(queued, call.version), "QueuedResource", call.version
            )
            operation = self._tpu.operations.begin(
                call, "reset", queued.name, lambda: (now, answer)
            )
            return self._tpu.operations.show(operation)


def _is_lost(node: Node) -> bool:
    holding = node.holding
    dead = (CloudState.PREEMPTED, CloudState.OTHER)
    return holding.ended is not None or holding.state in dead


def _checked(call: Call) -> Json:
    """A queued resource as it was sent, in the spelling of v2."""
    module: Any = VERSIONS[call.version]
    sent = dict(call.request.get("queuedResource", {}))
    for key in _NOT_IN_THE_CLASSES:
        sent.pop(key, None)
    try:
        message = json_format.ParseDict(sent, module.QueuedResource.pb()())
    except json_format.ParseError as error:
        raise no.invalid(f"Invalid JSON payload received. {error}") from error
    found: Json = json_format.MessageToDict(message)
    for spec in found.get("tpu", {}).get("nodeSpec", []):
        if "multiNodeParams" in spec:
            spec["multisliceParams"] = spec.pop("multiNodeParams")
    return found
