"""The simulator's cloud, driven by a clock: what exists, what boots, what is taken away.

Every decision (stock, verdicts, boot times, lifetimes, lies) is that of `sim.cloud.FakeCloud` under
the scenario's own model and its own random streams. Here its facts are kept for those who ask.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from iris.core import effects as ef
from iris.core import events as ev
from iris.core.events import CloudState, CreateFailure
from iris.core.ids import SliceId, Zone
from iris.core.instant import Instant
from iris.core.spec import GroupSpec
from sim.cloud import FakeCloud
from sim.dice import Dice
from sim.fleet import Fleet
from sim.hosts import Host
from sim.machine import Machine, Surroundings
from sim.measure import Measures
from sim.model import CloudModel
from sim.recorder import Recorder
from tests.gcp.fake_time import World
from tests.gcp.fake_vms import Hook, Stop, Vm


@dataclass(slots=True, eq=False)
class Holding:
    """One slice that was asked for, and what is known of it."""

    slice: SliceId
    group: GroupSpec
    zone: Zone
    asked: Instant
    answered: bool = False
    refused: tuple[Instant, CreateFailure] | None = None  # None: not yet, or never
    machine: Machine | None = None  # None: nothing exists yet
    vms: dict[int, Vm] = field(default_factory=dict)
    """The machines that have ever booted, by their index."""
    delete_arrived: bool = False
    delete_refused: bool = False
    delete_told: Instant | None = None  # None: not said to be deleted
    noticed: bool = False

    @property
    def state(self) -> CloudState | None:
        """What its machine is in now; nothing if there is none."""
        if self.machine is None or self.ended is not None:
            return None
        return self.machine.state

    def since(self, *states: CloudState) -> Instant | None:
        """When it first was in one of these states."""
        history = self.machine.history if self.machine is not None else []
        return next((at for at, state in history if state in states), None)

    def last(self, state: CloudState) -> Instant | None:
        """When it was last in a state, or came into it."""
        history = self.machine.history if self.machine is not None else []
        return next((at for at, then in reversed(history) if then is state), None)

    @property
    def ended(self) -> Instant | None:
        """When it ceased to exist."""
        if self.machine is None:
            return None
        at, state = self.machine.history[-1]
        return at if state is None else None


class _VmFleet(Fleet):
    """Hosts that are VMs: something starts in each as it boots, and ends with it."""

    provider: "Provider"

    def boot(self, slice_: SliceId, index: int, address: str, *, cores_count: bool) -> Host:
        """A host comes up."""
        host = super().boot(slice_, index, address, cores_count=cores_count)
        self.provider.booted(host)
        return host

    def kill(self, host: Host) -> None:
        """A host dies."""
        if host.alive:
            self.provider.died(host)
        super().kill(host)

    def registers(self, host: Host | None, registered: ev.WorkerRegistered) -> bool:
        """Nobody registers with a cloud: whether a worker speaks is its own affair."""
        del host, registered
        return True


MakeVm = Callable[[Holding, Host], Vm]


class Provider(FakeCloud):
    """One service that sells machines."""

    def __init__(self, model: CloudModel, world: World, seed: int, make_vm: MakeVm) -> None:
        dice = Dice(seed)
        recorder = Recorder(Measures("gcp", seed, group_price_per_hour={}, warm_up=Instant(0)))
        fleet = _VmFleet(world.timeline, dice, recorder, self._told, model.silence)
        fleet.provider = self
        super().__init__(model, {}, Surroundings(world.timeline, dice, fleet, recorder, self._told))
        self.holdings: dict[SliceId, Holding] = {}
        self.hook: Hook | None = None  # None: nothing runs in the VMs
        self._make_vm = make_vm
        self._stops: dict[tuple[SliceId, int], Stop] = {}
        self._listings_told: list[tuple[ef.ObserveSlices, ev.SlicesObserved]] = []
        self._observing: ef.ObserveSlices | None = None
        self._deleting: SliceId | None = None

    # ---- asking ----------------------------------------------------------------------------

    def ask(self, name: SliceId, group: GroupSpec, zone: Zone) -> Holding:
        """Ask for a slice; its holding tells what comes of it."""
        group = self.groups.setdefault(group.name, group)
        holding = Holding(name, group, zone, self.clock.now)
        self.holdings[name] = holding
        self.perform(ef.CreateSlice(name, group.name, zone))
        return holding

    def give_back(self, holding: Holding) -> None:
        """Ask for the end of a slice."""
        holding.delete_arrived = holding.delete_refused = False
        holding.delete_told = None
        self.perform(ef.DeleteSlice(holding.slice, holding.group.name, holding.zone))

    def look(self) -> ef.ObserveSlices:
        """Ask what exists; `listing` has the answer once there is one."""
        question = ef.ObserveSlices()
        self.perform(question)
        return question

    def listing(self, question: ef.ObserveSlices) -> ev.SlicesObserved | None:
        """The answer to a question, if it was answered."""
        return next((told for asked, told in self._listings_told if asked is question), None)

    def holding(self, name: SliceId) -> Holding | None:
        """A slice by its name, if one is or was there; also one that somebody else made."""
        machine = self.machines.get(name)
        if machine is not None and name not in self.holdings:
            stranger = Holding(name, machine.group, machine.zone, machine.created, answered=True)
            stranger.machine = machine
            self.holdings[name] = stranger
        return self.holdings.get(name)

    # ---- being told ------------------------------------------------------------------------

    def _told(self, fact: ev.Event) -> None:
        match fact:
            case ev.SliceAccepted(slice=name):
                self.holdings[name].answered = True
            case ev.SliceCreateFailed(slice=name, reason=reason):
                self.holdings[name].refused = (self.clock.now, reason)
            case ev.SliceDeleted(slice=name) if name in self.holdings:
                self.holdings[name].delete_told = self.clock.now
            case ev.SliceDeleteFailed(slice=name):
                self.holdings[name].delete_refused = True
            case ev.PreemptionNoticed(slice=name):
                self._notice(name)
            case ev.SlicesObserved() if self._observing is not None:
                self._listings_told.append((self._observing, fact))
                del self._listings_told[:-100]
            case _:
                pass

    def _notice(self, name: SliceId) -> None:
        holding = self.holding(name)
        if holding is not None:
            holding.noticed = True
            for vm in holding.vms.values():
                vm.preempted = True

    def _delete(self, request: ef.DeleteSlice, call: int) -> None:
        self.holdings[request.slice].delete_arrived = True
        super()._delete(request, call)

    def _observe(self, request: ef.ObserveSlices, call: int, asked_at: Instant) -> None:
        self._observing = request
        super()._observe(request, call, asked_at)
        self._observing = None

    # ---- machines --------------------------------------------------------------------------

    def add_machine(self, name: SliceId, group: GroupSpec, zone: Zone) -> Machine:
        """A slice begins to exist."""
        machine = super().add_machine(name, group, zone)
        holding = self.holding(name)
        assert holding is not None, name
        holding.machine = machine
        return machine

    def booted(self, host: Host) -> None:
        """One machine of a slice runs from now on."""
        holding = self.holdings[host.slice]
        vm = self._make_vm(holding, host)
        holding.vms[host.index] = vm
        self._start(vm, host.slice)

    def _start(self, vm: Vm, name: SliceId) -> None:
        if self.hook is not None:
            self._stops[name, vm.index] = self.hook(vm)

    def _stop(self, name: SliceId, index: int) -> None:
        stop = self._stops.pop((name, index), None)
        if stop is not None:
            stop()

    def died(self, host: Host) -> None:
        """One machine of a slice runs no more."""
        self._stop(host.slice, host.index)

    def reboot(self, holding: Holding, index: int) -> None:
        """One machine starts anew, as from a power cut."""
        self._stop(holding.slice, index)
        self._start(holding.vms[index], holding.slice)

    def halt(self, holding: Holding, index: int) -> None:
        """One machine is switched off, and stays what it was."""
        assert holding.machine is not None, holding
        self._stop(holding.slice, index)
        self._set(holding.machine, CloudState.STOPPED)

    def resume(self, holding: Holding, index: int) -> None:
        """One machine that was switched off boots again."""
        assert holding.machine is not None, holding
        self._set(holding.machine, CloudState.READY)
        self._start(holding.vms[index], holding.slice)

    def enter(self, machine: Machine, state: CloudState) -> None:
        """Somebody moves a slice into a state by hand."""
        self._set(machine, state)

    def close(self) -> None:
        """End whatever runs in the machines that are left."""
        while self._stops:
            self._stops.popitem()[1]()

    def lost_hosts(self, holding: Holding) -> list[int]:
        """The machines of a slice that have died, though it goes on."""
        hosts = holding.machine.hosts if holding.machine is not None else []
        return [host.index for host in hosts if not host.alive]
