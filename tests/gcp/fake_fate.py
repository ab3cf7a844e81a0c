"""What a test lets happen to nodes by hand, and sees of the truth behind the API."""

from iris.core.events import CloudState
from iris.core.instant import Millis
from sim.machine import Machine
from tests.gcp.fake_compute import ComputeService
from tests.gcp.fake_nodes import Node
from tests.gcp.fake_provider import Holding, Provider
from tests.gcp.fake_tpu import TpuService
from tests.gcp.fake_vms import Vm


class Fate:
    """Things that befall nodes and instances, named by their ids."""

    def __init__(self, tpu: TpuService, compute: ComputeService) -> None:
        self._tpu = tpu
        self._compute = compute
        self._world = tpu.world

    def node(self, node_id: str) -> Node:
        """The node of an id, in whatever zone; the last one made, if there were several.

        Raises:
            KeyError: there was never one.
        """
        found = [node for node in self._tpu.nodes.values() if node.id == node_id]
        if not found:
            raise KeyError(f"no node {node_id!r}: {sorted(self._tpu.nodes)}")
        return found[-1]

    def _holding(self, name: str) -> tuple[Provider, Holding]:
        for instance in self._compute.instances.values():
            if instance.name == name and instance.is_there():
                return self._compute.provider, instance.holding
        return self._tpu.provider, self.node(name).holding

    def _machine(self, name: str) -> tuple[Provider, Machine]:
        provider, holding = self._holding(name)
        assert holding.machine is not None, f"{name} has no machines yet"
        return provider, holding.machine

    def preempt(
        self, name: str, *, state: str | int | None = "PREEMPTED", notice_s: float = 0
    ) -> None:
        """The cloud takes a slice, at once or with a notice; `state` is what is left: None for nothing at all.

        Any other state of a node that the API knows may stand there, and any number that it does not.
        """
        with self._world.turn():
            provider, machine = self._machine(name)
            notice = Millis(int(notice_s * 1000))
            provider.take([machine], notice)

            def leave() -> None:
                if state is None and machine.name in provider.machines:
                    provider.forget(machine)
                elif state != "PREEMPTED":
                    self.node(name).shown = state

            if notice:
                self._world.timeline.later(notice, leave)
            else:
                leave()

    def show_as(self, node_id: str, state: str | int | None) -> None:
        """The API calls a node this, whatever it is; None: what it is."""
        with self._world.turn():
            self.node(node_id).shown = state

    def lose_host(self, name: str, index: int = 0) -> None:
        """One machine of a slice dies; the node stays what it was."""
        with self._world.turn():
            provider, machine = self._machine(name)
            for host in machine.hosts:
                if host.index == index:
                    provider.kill_host(host)

    def repair(self, name: str) -> None:
        """Maintenance begins: REPAIRING, of a node UNHEALTHY_MAINTENANCE; its machines run on."""
        self._maintain(name, "TERMINATE_ON_HOST_MAINTENANCE", CloudState.REPAIRING)

    def repaired(self, name: str) -> None:
        """Maintenance is over."""
        self._maintain(name, "NONE", CloudState.READY)

    def _maintain(self, name: str, event: str, state: CloudState) -> None:
        with self._world.turn():
            provider, machine = self._machine(name)
            for vm in self._holding(name)[1].vms.values():
                vm.maintenance = event
            provider.enter(machine, state)

    def vms(self, name: str) -> list[Vm]:
        """The machines of a node, or of an instance, that have booted and live, by index."""
        with self._world.turn():
            holding = self._holding(name)[1]
            hosts = holding.machine.hosts if holding.machine is not None else []
            alive = sorted(host.index for host in hosts if host.alive)
            return [holding.vms[index] for index in alive]

    def books(self) -> dict[str, str]:
        """Every machine that exists, and so costs, whether or not anybody was told: its state by `ZONE.ID`."""
        with self._world.turn():
            machines = self._tpu.provider.machines | self._compute.provider.machines
            return {name: machine.state.value for name, machine in machines.items()}
