"""How an accepted create becomes hosts that register: whole and in order, or unkindly."""

from collections.abc import Callable

from iris.core import events as ev
from iris.core.events import CloudState
from iris.core.instant import SECOND, Millis
from sim.hosts import Host
from sim.machine import Machine, Provider


class Booting:
    """The way of a slice from the accepted call to its last host."""

    def __init__(self, cloud: Provider) -> None:
        """For the machines of this cloud."""
        self._cloud = cloud
        self._free_addresses: list[str] = []
        self._addresses = 0

    def accept(self, machine: Machine, call: int) -> None:
        """Answer the create, rightly or not, and start the boot."""
        cloud = self._cloud
        dice, model = cloud.dice, cloud.model
        answers = model.create_answers
        boot = self.span_of(machine)
        answer_after = Millis(0)
        if answers.late is not None and dice.chance(answers.late.probability, "late", call):
            answer_after = dice.draw(answers.late.delay, "how late", call)
        if dice.chance(model.early_registration, "early", machine.name):
            answer_after = Millis(max(answer_after, boot + 10 * SECOND))
        if not dice.chance(answers.lost, "answer lost", call):
            self._tell_accepted(machine, answer_after)
            if dice.chance(answers.twice, "answer twice", call):
                self._tell_accepted(machine, Millis(answer_after + SECOND))
        if dice.chance(answers.accepted_but_dead, "accepted dead", call):
            cloud.recorder.slice_ended(machine.name, cloud.clock.now, "failed")
            cloud.forget(machine)
        elif not dice.chance(model.stuck_creating, "stuck", machine.name):
            self.boot(machine, boot)

    def span_of(self, machine: Machine) -> Millis:
        """How long its boot takes."""
        place = (machine.group.name, machine.zone)
        recorded = self._cloud.model.boots.get(place, ())
        if machine.number < len(recorded):
            span = recorded[machine.number]
            if span is not None:
                return span
        boot = self._cloud.model.boot_of(machine.group.name)
        return self._cloud.dice.draw(boot, "boot", *place, machine.number)

    def _tell_accepted(self, machine: Machine, delay: Millis) -> None:
        cloud = self._cloud
        cloud.clock.later(delay, lambda: cloud.deliver(ev.SliceAccepted(machine.name)))

    def boot(self, machine: Machine, boot: Millis) -> None:
        """Bring the hosts of a slice up after a while."""
        cloud = self._cloud
        dice, model = cloud.dice, cloud.model
        count = machine.group.hosts
        absent: int | None = None
        if dice.chance(model.partial, "partial", machine.name):
            absent = dice.pick(count, "which host", machine.name)
        late_host, late_by = None, Millis(0)
        if model.straggler is not None and dice.chance(
            model.straggler.probability, "straggler", machine.name
        ):
            late_host = dice.pick(count, "which straggler", machine.name)
            late_by = dice.draw(model.straggler.delay, "straggles", machine.name)
        twin = count > 1 and dice.chance(model.duplicate_index, "twins", machine.name)
        there = {host.index for host in machine.hosts}
        for index in range(count):
            if index != absent and index not in there:
                delay = Millis(boot + (late_by if index == late_host else 0))
                claimed = 0 if twin and index == count - 1 else index
                cloud.clock.later(delay, self._registration(machine, index, claimed))

    def _registration(self, machine: Machine, index: int, claimed: int) -> Callable[[], None]:
        def register() -> None:
            cloud = self._cloud
            if machine.state is not CloudState.CREATING or machine.name not in cloud.machines:
                return
            address = self._address()
            cores = machine.group.accelerator is None
            host = None
            if claimed == index:
                host = cloud.fleet.boot(machine.name, index, address, cores_count=cores)
                machine.hosts.append(host)
                self._may_fail(host)
            registered = ev.WorkerRegistered(
                machine.name,
                claimed,
                f"{machine.name}/{index}",
                address,
                machine.group.host,
                machine.group.name,
                machine.zone,
            )
            if len(machine.hosts) == machine.group.hosts:
                cloud.came_up(machine)
            if not cloud.fleet.registers(host, registered):
                cloud.deliver(registered)

        return register

    def _may_fail(self, host: Host) -> None:
        cloud = self._cloud
        if cloud.model.host_failure is not None:
            span = cloud.dice.draw(cloud.model.host_failure, "host fails", host.worker)
            cloud.clock.later(span, lambda: None if cloud.calm else cloud.kill_host(host))

    def _address(self) -> str:
        if self._cloud.model.recycle_addresses and self._free_addresses:
            return self._free_addresses.pop()
        self._addresses += 1
        number = self._addresses
        return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"

    def released(self, address: str) -> None:
        """A host is no more: its address may be given to another."""
        self._free_addresses.append(address)
