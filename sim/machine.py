"""A slice as it really is, and what those who boot it or meddle with it may ask of its cloud."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from iris.core.events import CloudState, Event, SliceSighting
from iris.core.ids import GroupName, SliceId, Zone
from iris.core.instant import Instant, Millis
from iris.core.spec import GroupSpec
from sim.clockwork import Clockwork
from sim.dice import Dice
from sim.fleet import Fleet
from sim.hosts import Host
from sim.model import CloudModel
from sim.recorder import Recorder


@dataclass(slots=True)
class Machine:
    """One slice, whether or not anybody knows of it."""

    name: SliceId
    number: int
    """Counts the machines of its (group, zone): its draws are its own whatever else is created."""
    group: GroupSpec
    zone: Zone
    created: Instant
    state: CloudState = CloudState.CREATING
    hosts: list[Host] = field(default_factory=list)
    ready: bool = False
    noticed: bool = False
    sighting: SliceSighting | None = None  # None: nobody has asked since its state changed
    history: list[tuple[Instant, CloudState | None]] = field(default_factory=list)
    """Its states from each instant on; nothing once it is no longer listed."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a cloud works in: time, chance, the hosts, the books, and whom it tells."""

    clock: Clockwork
    dice: Dice
    fleet: Fleet
    recorder: Recorder
    deliver: Callable[[Event], None]


class Provider(Protocol):
    """The cloud, as its own parts see it: its books, its means, a machine's begin and end."""

    model: CloudModel
    clock: Clockwork
    dice: Dice
    fleet: Fleet
    recorder: Recorder
    deliver: Callable[[Event], None]
    groups: dict[GroupName, GroupSpec]
    machines: dict[SliceId, Machine]
    calm: bool
    """Nothing bad happens any more but what is on its way."""

    def add_machine(self, name: SliceId, group: GroupSpec, zone: Zone) -> Machine:
        """A slice begins to exist, and to cost."""
        ...

    def boot(self, machine: Machine, span: Millis) -> None:
        """Let its hosts come up after a while."""
        ...

    def came_up(self, machine: Machine) -> None:
        """Every host has come up."""
        ...

    def choose(self, machines: list[Machine], count: int, stream: str) -> list[Machine]:
        """Some of these machines, drawn without bias."""
        ...

    def kill_host(self, host: Host) -> None:
        """One host dies."""
        ...

    def remove(self, machine: Machine, then: Callable[[], None]) -> None:
        """Take a machine down."""
        ...

    def forget(self, machine: Machine) -> None:
        """The machine is listed no more."""
        ...
