"""The Cloud TPU service: nodes, and what else is asked about them, from JSON to JSON.

Creating: the name is taken as soon as the service has accepted the call; capacity is decided later,
and told in the operation. Everything in the books is computed when somebody asks.
"""

from collections.abc import Callable, Mapping, Sequence

import grpc

from iris.core import topology
from iris.core.events import CloudState
from iris.core.ids import Zone
from sim.hosts import Host
from tests.gcp import fake_errors as no
from tests.gcp.fake_calls import Call, Handler
from tests.gcp.fake_catalog import both_ways, tpu_shape
from tests.gcp.fake_errors import ApiError, HangUp, Json
from tests.gcp.fake_knobs import Knobs
from tests.gcp.fake_limits import TOLD_IN_THE_CALL, Limits
from tests.gcp.fake_lists import as_listed, page, stranger, without_newest, zones_left_out
from tests.gcp.fake_nodes import Node, checked, slice_name
from tests.gcp.fake_operations import EMPTY, Operations, Settled
from tests.gcp.fake_provider import Holding, Provider
from tests.gcp.fake_time import World
from tests.gcp.fake_vms import Vm, digits_of


class TpuService:
    """`tpu.googleapis.com` of one project."""

    def __init__(
        self,
        project: str,
        zones: Mapping[str, Sequence[str]],
        world: World,
        knobs: Knobs,
    ) -> None:
        self.project = project
        self.zones = zones
        self.world = world
        self.knobs = knobs
        self.operations = Operations(world, knobs)
        self.nodes: dict[str, Node] = {}
        self.net = "127.130"
        """How the addresses of its VMs begin."""
        self.provider: Provider
        self.also_held: Callable[[], list[tuple[str, int]]] = list
        """Zones, and chips of their quota, that are held without a node."""
        self.limits = Limits(project, world, knobs)

    def methods(self) -> dict[str, Handler]:
        """What answers each method."""
        operations = self.operations
        return {
            "CreateNode": self.create,
            "GetNode": self.get,
            "ListNodes": self.list,
            "DeleteNode": self.delete,
            "GetOperation": operations.get,
            "ListOperations": operations.list,
            "CancelOperation": operations.cancel,
            "DeleteOperation": operations.delete,
            "WaitOperation": operations.wait,
        }

    # ---- places ----------------------------------------------------------------------------

    def location(self, name: str) -> str:
        """The zone of a name `projects/P/locations/Z/...`; `-` for all.

        Raises:
            ApiError: another project, or no such zone.
        """
        words = name.split("/")
        if len(words) < 4 or words[0] != "projects" or words[2] != "locations":
            raise no.invalid(f'"{name}" is no name of a location')
        if words[1] != self.project:
            raise no.permission("tpu.nodes.list", name)
        if words[3] != "-" and words[3] not in self.zones:
            raise no.location_denied(self.project, words[3])
        return words[3]

    # ---- nodes -----------------------------------------------------------------------------

    def find(self, name: str) -> Node:
        """The node of a name.

        Raises:
            ApiError: NOT_FOUND.
        """
        self.location(name)
        node = self.nodes.get(name)
        if node is None or not node.is_there(self.knobs):
            raise no.not_found(name)
        return node

    def show(self, node: Node) -> Json:
        """A node as it is told."""
        now = self.world.now
        return node.show(now, self.knobs, self.world.stamp(node.created))

    def create(self, call: Call) -> Json:
        """CreateNode."""
        parent, node_id = call.request.get("parent", ""), call.request.get("nodeId", "")
        with self.world.turn():
            self.location(parent)
            name = f"{parent}/nodes/{node_id}"
            body = checked(call.request.get("node", {}))
            self.limits.refuse_names(node_id, body.get("labels", {}))
            self.limits.refuse_rate()
            if name in self.nodes and self.nodes[name].is_there(self.knobs):
                raise no.exists(name)
            node = self.begin(call, name, body)
            self._await_answer(node, call)
            operation = self.operations.begin(call, "create", name, lambda: self._created(node))
            if self.knobs.reset_after_create:
                self.knobs.reset_after_create -= 1
                raise HangUp
            return self.operations.show(operation)

    def begin(self, call: Call, name: str, body: Json, queued: str = "") -> Node:
        """Ask the cloud for a node's slice, within all quotas.

        Raises:
            ApiError: not offered here, or over quota.
        """
        zone, node_id = name.split("/")[3], name.rpartition("/")[2]
        kind, config = both_ways(body)
        scheduling = body.get("schedulingConfig", {})
        shape = tpu_shape(
            kind,
            zone,
            preemptible=bool(scheduling.get("preemptible") or scheduling.get("spot")),
            reservation="default" if scheduling.get("reserved") else None,
        )
        self.refuse_unknown(name, body)
        assert shape is not None, kind
        there = [(n.zone, n.chips) for n in self.nodes.values() if n.is_there(self.knobs)]
        held = [*there, *self.also_held()]
        self.limits.refuse_quota(held, zone, shape.chips, preemptible=shape.preemptible)
        if self.knobs.create_errors:
            raise self.knobs.create_errors.pop(0)
        holding = Holding(slice_name(zone, node_id), shape, Zone(zone), self.world.now)
        node = Node(name, body, kind, config, call.version, holding, self.world.now, queued)
        self.nodes[name] = node
        fate = self.limits.fate(zone)
        if fate is not None:
            holding.answered, holding.refused = True, (self.world.now, fate)
        else:
            node.holding = self.provider.ask(holding.slice, shape, holding.zone)
        return node

    def refuse_unknown(self, name: str, body: Json) -> None:
        """Not every zone has every type.

        Raises:
            ApiError: INVALID_ARGUMENT.
        """
        zone, (kind, _) = name.split("/")[3], both_ways(body)
        if not self.zones[zone]:
            raise no.zone_unsupported(zone, self.limits.eid())
        found = topology.tpu_type(kind)
        if found is None or found.family not in self.zones[zone]:
            raise no.not_offered(kind, zone, self.limits.eid())

    def _await_answer(self, node: Node, call: Call) -> None:
        holding = node.holding
        heard = self.world.wait(lambda: holding.answered or bool(holding.refused), call.is_alive)
        if not heard:
            raise HangUp
        if holding.refused and holding.refused[1] in TOLD_IN_THE_CALL:
            if holding.machine is None:
                del self.nodes[node.name]
            raise self.limits.error(node, holding.refused[1])
        holding.answered = True

    def _created(self, node: Node) -> Settled | None:
        """How a create ended, as its operation tells it."""
        holding = node.holding
        if holding.refused is not None:
            at, reason = holding.refused
            return at, self.limits.error(node, reason)
        ready = node.ready_at(self.knobs)
        if ready is not None:
            if ready > self.world.now:
                return None
            error = self.knobs.lro_error_after_ready
            return ready, error or self.typed(self.show(node), "Node", node.version)
        if holding.ended is not None:
            if holding.delete_told is not None:
                return holding.ended, ApiError(grpc.StatusCode.CANCELLED, "The node was deleted.")
            return holding.ended, no.internal()
        lost = holding.since(CloudState.PREEMPTED, CloudState.OTHER)
        return None if lost is None else (lost, no.preempted_meanwhile(self.limits.eid()))

    def get(self, call: Call) -> Json:
        """GetNode."""
        with self.world.turn():
            return self.show(self.find(call.request.get("name", "")))

    def delete(self, call: Call) -> Json:
        """DeleteNode."""
        with self.world.turn():
            node = self.find(call.request.get("name", ""))
            state = node.state(self.world.now, self.knobs)
            if state == "CREATING" and not self.knobs.delete_while_creating:
                raise no.busy()
            if self.knobs.delete_failures:
                self.knobs.delete_failures -= 1
                failed = (self.world.now, no.internal())
                return self._begin_delete(call, node, lambda: failed)
            self.end(node, call)
            return self._begin_delete(call, node, lambda: self._deleted(node.holding))

    def _begin_delete(self, call: Call, node: Node, outcome: Callable[[], Settled | None]) -> Json:
        operation = self.operations.begin(call, "delete", node.name, outcome)
        return self.operations.show(operation)

    def end(self, node: Node, call: Call) -> None:
        """Give a node's slice back.

        Raises:
            ApiError: the cloud would not take the call.
            HangUp: it never answered.
        """
        holding = node.holding
        if holding.machine is None:
            del self.nodes[node.name]
            holding.delete_told = self.world.now
            return
        self.provider.give_back(holding)
        heard = self.world.wait(lambda: holding.delete_arrived, call.is_alive)
        if not heard:
            raise HangUp
        if holding.delete_refused:
            raise no.unavailable()
        node.shown = None

    def _deleted(self, holding: Holding) -> Settled | None:
        at = holding.ended if holding.delete_told is None else holding.delete_told
        return None if at is None else (at, {"@type": EMPTY})

    def list(self, call: Call) -> Json:
        """ListNodes: what the simulator's listing says, lies and all, and what may yet be refused."""
        with self.world.turn():
            zone = self.location(call.request.get("parent", ""))
            question = self.provider.look()
            if not self.world.wait(
                lambda: self.provider.listing(question) is not None, call.is_alive
            ):
                raise HangUp
            told = self.provider.listing(question)
            assert told is not None
            if told.error:
                raise no.unavailable()
            self._adopt()
            listed = {sighting.slice: sighting.state for sighting in told.listing}
            found = []
            for node in self.nodes.values():
                name = node.holding.slice
                waits = node.holding.machine is None and node.is_there(self.knobs)
                if zone in ("-", node.zone) and (name in listed or waits):
                    if node.zone not in self.knobs.unreachable:
                        found.append(as_listed(node, self.show(node), listed.get(name)))
            if self.knobs.stale_lists:
                self.knobs.stale_lists -= 1
                found = without_newest(found)
            shown = page(call.request, found, self.knobs, "nodes")
            left_out = [] if told.complete else zones_left_out([*self.nodes.values()], listed)
            places = sorted({*left_out, *self.knobs.unreachable})
            return shown | ({"unreachable": places} if places else {})

    def _adopt(self) -> None:
        """Slices that somebody else made get nodes, which carry the labels of ours."""
        labels = next((dict(n.body.get("labels", {})) for n in self.nodes.values()), {})
        known = {node.holding.slice for node in self.nodes.values()}
        for name in [name for name in self.provider.machines if name not in known]:
            holding = self.provider.holding(name)
            assert holding is not None
            node = stranger(self.project, holding, labels)
            self.nodes[node.name] = node

    # ---- what is the same for all ----------------------------------------------------------

    def typed(self, body: Json, kind: str, version: str) -> Json:
        """A message within an Any."""
        return {"@type": f"type.googleapis.com/google.cloud.tpu.{version}.{kind}"} | body

    def make_vm(self, holding: Holding, host: Host) -> Vm:
        """The machine behind a host of a slice."""
        zone, _, node_id = holding.slice.partition(".")
        path = f"projects/{self.project}/locations/{zone}/nodes/{node_id}"
        stem = f"{digits_of(holding.slice, str(holding.asked)):x}"[:8]
        return Vm(
            name=f"t1v-n-{stem}-w-{host.index}",
            project=self.project,
            zone=zone,
            owner=node_id,
            index=host.index,
            address=f"{self.net}.{host.address.split('.', 2)[2]}",
            number=digits_of(holding.slice, str(host.index), str(holding.asked)),
            is_tpu=True,
            accelerator_type=holding.group.accelerator_type,
            about=lambda: self.show(self.nodes[path]) if path in self.nodes else {},
            began=self.world.now,
        )
