"""What is done to a node that is there: updates, stops and starts, and questions to its machines."""

from typing import Final

from iris.core.events import CloudState
from iris.core.instant import Millis
from tests.gcp import fake_errors as no
from tests.gcp.fake_calls import Call, Handler
from tests.gcp.fake_errors import Json
from tests.gcp.fake_nodes import Node, checked
from tests.gcp.fake_operations import Settled
from tests.gcp.fake_tpu import TpuService

_UPDATABLE: Final = {
    "description": "description",
    "tags": "tags",
    "labels": "labels",
    "metadata": "metadata",
    "data_disks": "dataDisks",
    "network_config.enable_external_ips": "networkConfig",
    "network_config": "networkConfig",
}
"""Paths of an update mask, and the field that each moves."""


class Care:
    """The calls about one node, beside its create and its delete."""

    def __init__(self, tpu: TpuService) -> None:
        self._tpu = tpu

    def methods(self) -> dict[str, Handler]:
        """What answers each method."""
        return {
            "UpdateNode": self.update,
            "StopNode": self.stop,
            "StartNode": self.start,
            "GetGuestAttributes": self.attributes,
        }

    def update(self, call: Call) -> Json:
        """UpdateNode: one at a time, and not while the node is being made."""
        sent = call.request.get("node", {})
        with self._tpu.world.turn():
            node = self._tpu.find(sent.get("name", ""))
            if node.state(self._tpu.world.now, self._tpu.knobs) != "READY":
                raise no.busy()
            paths = [_snake(path) for path in call.request.get("updateMask", "").split(",")]
            unknown = [path for path in paths if path not in _UPDATABLE]
            if unknown:
                raise no.invalid(f"update_mask: {unknown} cannot be updated")
            body = checked(node.body | {_UPDATABLE[p]: sent.get(_UPDATABLE[p]) for p in paths})
            self._tpu.limits.refuse_names(node.id, body.get("labels", {}))
            node.body = body
            return self._done(call, "update", node)

    def stop(self, call: Call) -> Json:
        """StopNode: of a slice of one machine that is not preemptible."""
        with self._tpu.world.turn():
            node, provider = self._found(call), self._tpu.provider
            machine = node.holding.machine
            if machine is None or machine.state is not CloudState.READY:
                raise no.precondition("Only a node in state READY can be stopped.")
            for host in machine.hosts:
                provider.kill_host(host)
            machine.hosts.clear()
            node.holding.vms.clear()
            provider.enter(machine, CloudState.STOPPED)
            return self._done(call, "stop", node)

    def start(self, call: Call) -> Json:
        """StartNode."""
        with self._tpu.world.turn():
            node, provider = self._found(call), self._tpu.provider
            machine = node.holding.machine
            if machine is None or machine.state is not CloudState.STOPPED:
                raise no.precondition("Only a node in state STOPPED can be started.")
            provider.enter(machine, CloudState.CREATING)
            node.shown = "STARTING"
            provider.boot(machine, self._boot_of(node))

            def started() -> Settled | None:
                at = node.holding.last(CloudState.READY)
                if machine.state is CloudState.CREATING or at is None:
                    return None
                node.shown = None
                return at, self._tpu.typed(self._tpu.show(node), "Node", call.version)

            operation = self._tpu.operations.begin(call, "start", node.name, started)
            return self._tpu.operations.show(operation)

    def _boot_of(self, node: Node) -> Millis:
        holding, provider = node.holding, self._tpu.provider
        boot = provider.model.boot_of(holding.group.name)
        return provider.dice.draw(boot, "starts", holding.slice, provider.clock.now)

    def _found(self, call: Call) -> Node:
        node = self._tpu.find(call.request.get("name", ""))
        if node.holding.group.hosts > 1 or node.holding.group.preemptible:
            raise no.precondition("Slices of several machines, and preemptible nodes, cannot stop.")
        return node

    def _done(self, call: Call, verb: str, node: Node) -> Json:
        now = self._tpu.world.now
        answer = self._tpu.typed(self._tpu.show(node), "Node", call.version)
        operation = self._tpu.operations.begin(call, verb, node.name, lambda: (now, answer))
        return self._tpu.operations.show(operation)

    def attributes(self, call: Call) -> Json:
        """GetGuestAttributes: what each machine wrote about itself in its metadata server."""
        with self._tpu.world.turn():
            node = self._tpu.find(call.request.get("name", ""))
            wanted = call.request.get("workerIds") or [str(i) for i in node.holding.vms]
            path = call.request.get("queryPath", "")
            shown = []
            for index in wanted:
                vm = node.holding.vms.get(int(index)) if index.isdecimal() else None
                if vm is None:
                    raise no.invalid(f'worker id "{index}" is not one of the node')
                items = [
                    {"namespace": key.partition("/")[0], "key": key.partition("/")[2], "value": v}
                    for key, v in sorted(vm.guest_attributes.items())
                    if key.startswith(path)
                ]
                shown.append({"queryPath": path, "queryValue": {"items": items}})
            return {"guestAttributes": shown}


def _snake(path: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in path)
