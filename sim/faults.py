"""Scripted faults: what a scenario does to the world, on top of its random behaviour."""

from collections.abc import Callable
from typing import Protocol

from iris.core.events import CloudState, Event, JobStopRequested
from iris.core.ids import JobId, RequestId, UserName
from iris.core.instant import Instant, Millis
from iris.core.spec import ClusterSpec
from sim.clockwork import Clockwork
from sim.cloud import FakeCloud
from sim.fleet import Fleet
from sim.machine import Machine
from sim.model import Fault, FaultKind

FOR_GOOD = Millis(1 << 50)


class World(Protocol):
    """What a fault may touch."""

    clock: Clockwork
    cloud: FakeCloud
    fleet: Fleet
    deliver: Callable[[Event], None]
    """Let the controller learn a fact, in the turn of this instant."""

    def ask(self, request: RequestId, event: Event) -> None:
        """A user asks for something, under an id."""
        ...

    def stall(self, until: Instant) -> None:
        """Let the controller stand still."""
        ...

    def reconfigure(self, spec: ClusterSpec) -> None:
        """Let the controller load another configuration, now and at each of its starts."""
        ...

    def oldest_running_job(self) -> JobId | None:
        """The job that came first of those that have not ended."""
        ...


def script(world: World, faults: tuple[Fault, ...]) -> None:
    """Set every fault on the clock."""
    for number, fault in enumerate(faults):
        world.clock.later(
            Millis(fault.at - world.clock.now),
            lambda number=number, fault=fault: _strike(world, number, fault),  # type: ignore[misc]
        )


def _strike(world: World, number: int, fault: Fault) -> None:
    cloud, now = world.cloud, world.clock.now
    span = fault.duration if fault.duration is not None else FOR_GOOD
    match fault.kind:
        case FaultKind.ZONE_OUTAGE | FaultKind.STOCKOUT:
            _close_zones(cloud, fault, Instant(now + span))
        case FaultKind.PREEMPT:
            cloud.take(_targets(cloud, fault, number))
        case FaultKind.KILL_WORKER | FaultKind.SILENCE_WORKER:
            _hit_host(world, fault, number)
        case FaultKind.STALL_CONTROLLER:
            world.stall(Instant(now + span))
        case FaultKind.HANG_CLOUD:
            cloud.hung_until = Instant(now + span)
        case FaultKind.EXTERNAL_DELETE:
            for machine in _targets(cloud, fault, number):
                cloud.remove(machine, lambda: None)
        case FaultKind.EDIT_CONFIG:
            assert fault.config is not None
            world.reconfigure(fault.config)
        case FaultKind.SUBMIT_STOP:
            job = JobId(fault.job) if fault.job is not None else world.oldest_running_job()
            if job is not None:
                request = RequestId(f"fault-{number}")
                world.ask(request, JobStopRequested(request, job, UserName("scenario")))


def _close_zones(cloud: FakeCloud, fault: Fault, until: Instant) -> None:
    zones = dict.fromkeys(
        zone
        for group in cloud.groups.values()
        for zone in group.zones
        if fault.zone is None or zone == fault.zone
    )
    for zone in zones:
        cloud.stock.close(zone, until, 0)
        if fault.kind is FaultKind.ZONE_OUTAGE:
            there = [m for m in cloud.machines.values() if m.zone == zone]
            cloud.lose(there)


def _targets(cloud: FakeCloud, fault: Fault, number: int) -> list[Machine]:
    ready = [
        m
        for m in cloud.machines.values()
        if m.state is CloudState.READY
        and not m.noticed
        and (fault.zone is None or m.zone == fault.zone)
        and (fault.group is None or m.group.name == fault.group)
    ]
    if fault.slice is None or fault.slice == "any":
        return cloud.choose(ready, fault.count, f"fault/{number}")
    return [m for m in ready if fault.slice in (m.name, str(m.number))][: fault.count]


def _hit_host(world: World, fault: Fault, number: int) -> None:
    for machine in _targets(world.cloud, fault, number):
        alive = [h for h in machine.hosts if h.alive and not h.cut]
        if not alive:
            continue
        if fault.host is not None:
            chosen = [h for h in alive if h.index == fault.host]
        else:
            chosen = [alive[world.cloud.dice.pick(len(alive), "which host", number, machine.name)]]
        for host in chosen:
            if fault.kind is FaultKind.KILL_WORKER:
                world.cloud.kill_host(host)
            else:
                world.fleet.cut(host, fault.duration)
