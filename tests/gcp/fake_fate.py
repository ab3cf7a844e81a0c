"""What a test lets happen to nodes by hand, and sees of the truth behind the API."""

from iris.core.events import CloudState
from iris.core.instant import Millis
from sim.machine import Machine
from tests.gcp.fake_errors import Json
from tests.gcp.fake_nodes import Node
from tests.gcp.fake_tpu import TpuService
from tests.gcp.fake_vms import Vm


class Fate:
    """Things that befall the nodes of one TPU service."""

    def __init__(self, tpu: TpuService) -> None:
        self._tpu = tpu

    def node(self, node_id: str) -> Node:
        """The node of an id, in whatever zone; the last one made, if there were several.

        Raises:
            KeyError: there was never one.
        """
        found = [node for node in self._tpu.nodes.values() if node.id == node_id]
        if not found:
            raise KeyError(f"no node {node_id!r}: {sorted(self._tpu.nodes)}")
        return found[-1]

    def _machine(self, node_id: str) -> Machine:
        machine = self.node(node_id).holding.machine
        assert machine is not None, f"{node_id} has no machines yet"
        return machine

    def preempt(
        self, node_id: str, *, state: str | int | None = "PREEMPTED", notice_s: float = 0
    ) -> None:
        """The cloud takes a slice, at once or with a notice; `state` is what is left: None for nothing at all.

        Any other state that the API knows may stand there, and any number that it does not.
        """
        with self._tpu.world.turn():
            node, machine = self.node(node_id), self._machine(node_id)
            provider, notice = self._tpu.provider, Millis(int(notice_s * 1000))
            provider.take([machine], notice)

            def leave() -> None:
                if state is None and machine.name in provider.machines:
                    provider.forget(machine)
                elif state != "PREEMPTED":
                    node.shown = state

            if notice:
                self._tpu.world.timeline.later(notice, leave)
            else:
                leave()

    def show_as(self, node_id: str, state: str | int | None) -> None:
        """The API calls a node this, whatever it is; None: what it is."""
        with self._tpu.world.turn():
            self.node(node_id).shown = state

    def lose_host(self, node_id: str, index: int) -> None:
        """One machine of a slice dies; the node stays what it was."""
        with self._tpu.world.turn():
            for host in self._machine(node_id).hosts:
                if host.index == index:
                    self._tpu.provider.kill_host(host)

    def repair(self, node_id: str) -> None:
        """Maintenance begins: REPAIRING, UNHEALTHY_MAINTENANCE; its machines run on."""
        with self._tpu.world.turn():
            for vm in self.node(node_id).holding.vms.values():
                vm.maintenance = "TERMINATE_ON_HOST_MAINTENANCE"
            self._tpu.provider.enter(self._machine(node_id), CloudState.REPAIRING)

    def repaired(self, node_id: str) -> None:
        """Maintenance is over."""
        with self._tpu.world.turn():
            for vm in self.node(node_id).holding.vms.values():
                vm.maintenance = "NONE"
            self._tpu.provider.enter(self._machine(node_id), CloudState.READY)

    def vms(self, node_id: str) -> list[Vm]:
        """The machines of a node that have booted and live, by index."""
        with self._tpu.world.turn():
            holding = self.node(node_id).holding
            hosts = holding.machine.hosts if holding.machine is not None else []
            alive = sorted(host.index for host in hosts if host.alive)
            return [holding.vms[index] for index in alive]

    def books(self) -> Json:
        """Every slice that exists, and so costs, whether or not anybody was told: zone, state, by id."""
        with self._tpu.world.turn():
            machines = self._tpu.provider.machines
            return {name: machine.state.value for name, machine in machines.items()}
