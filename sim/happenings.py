"""What the outside world did on record, done to a simulated world at the same instants.

The world may be another than the recorded one. When one of n slices of a group was lost, each slice
that the group has now runs a risk of 1 in n: as many are hit as there were, more of a larger fleet,
fewer or none of a smaller one. The slice of the same name is hit first, then those that have been
there longest, of the same zone before others; who boots stands for who booted.
"""

from iris.core import events as ev
from iris.core.events import CloudState
from iris.core.instant import Millis
from sim.cloud import FakeCloud
from sim.faults import World
from sim.machine import Machine
from sim.recorded_model import Happening, Loss, LossKind, Stall, Told


def script(world: World, happenings: tuple[Happening, ...]) -> None:
    """Set all of it on the clock."""
    for one in happenings:
        delay = Millis(one.at - world.clock.now)
        world.clock.later(delay, lambda one=one: _happen(world, one))  # type: ignore[misc]


def _happen(world: World, one: Happening) -> None:
    match one:
        case Loss():
            for machine in victims(world.cloud, one):
                _lose(world, machine, one)
                if one.told:
                    world.clock.later(one.span, lambda m=machine: world.cloud.tell_of(m))  # type: ignore[misc]
        case Told(event=ev.ConfigLoaded(spec=spec)):
            world.reconfigure(spec)
        case Told(event=event):
            world.deliver(event)
        case Stall(until=until):
            world.stall(until)


def victims(cloud: FakeCloud, loss: Loss) -> list[Machine]:
    """Whom a recorded loss hits here."""
    state = CloudState.CREATING if loss.booting else CloudState.READY
    there = [
        machine
        for machine in cloud.machines.values()
        if machine.group.name == loss.group
        and machine.state is state
        and not machine.noticed
        and all(host.alive for host in machine.hosts)
    ]
    whole, rest = divmod(len(there), loss.among)
    count = whole + cloud.dice.chance(rest / loss.among, "hit", loss.slice, loss.at)
    first = sorted(
        there, key=lambda m: (m.name != loss.slice, m.zone != loss.zone, m.created, m.name)
    )
    return first[:count]


def _lose(world: World, machine: Machine, loss: Loss) -> None:
    match loss.kind:
        case LossKind.PREEMPTED:
            world.cloud.take([machine], loss.span)
        case LossKind.VANISHED:
            world.cloud.lose([machine])
        case LossKind.HOST_DEAD | LossKind.HOST_SILENT:
            alive = [host for host in machine.hosts if host.alive and not host.cut]
            same = [host for host in alive if host.index == loss.host] or alive[:1]
            for host in same:
                if loss.kind is LossKind.HOST_DEAD:
                    world.cloud.kill_host(host)
                else:
                    world.fleet.cut(host, loss.span)
