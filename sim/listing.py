"""F-07: what the fake cloud says that it has, which is the truth only if the model is kind."""

from iris.core.events import CloudState, SliceSighting, SlicesObserved
from iris.core.ids import SliceId
from iris.core.instant import Instant
from sim.machine import Machine, Provider


class Listings:
    """Answers to the question what exists."""

    def __init__(self, cloud: Provider) -> None:
        """Listings of this cloud's machines."""
        self._cloud = cloud
        self._past: list[Machine] = []

    def remember(self, machine: Machine) -> None:
        """A machine that is no more may turn up in a listing that is old or wrong."""
        lists = self._cloud.model.lists
        if lists.stale is not None or lists.with_deleted:
            self._past.append(machine)

    def all(self, call: int, asked_at: Instant) -> SlicesObserved:
        """The answer to a question about everything."""
        cloud, lists = self._cloud, self._cloud.model.lists
        if cloud.dice.chance(lists.empty, "list empty", call):
            return SlicesObserved((), asked_at, complete=True)
        listing = self._as_of(call)
        if cloud.dice.chance(lists.without_newest, "list without newest", call) and listing:
            newest = max(cloud.machines.values(), key=lambda m: m.created, default=None)
            listing = [s for s in listing if newest is None or s.slice != newest.name]
        if cloud.dice.chance(lists.with_deleted, "list with deleted", call) and self._past:
            listing.append(_sighting(self._past[-1], CloudState.READY))
        if cloud.dice.chance(lists.zone_missing, "list without zone", call) and listing:
            zones = list(dict.fromkeys(s.zone for s in listing))
            missing = zones[cloud.dice.pick(len(zones), "which zone", call)]
            rest = tuple(s for s in listing if s.zone != missing)
            return SlicesObserved(rest, asked_at, complete=False)
        return SlicesObserved(tuple(listing), asked_at, complete=True)

    def _as_of(self, call: int) -> list[SliceSighting]:
        cloud, stale = self._cloud, self._cloud.model.lists.stale
        if stale is None or not cloud.dice.chance(stale.probability, "list stale", call):
            return [_as_it_is(m) for m in cloud.machines.values()]
        then = cloud.clock.now - cloud.dice.draw(stale.delay, "how stale", call)
        listing = []
        for machine in [*self._past, *cloud.machines.values()]:
            states = [state for at, state in machine.history if at <= then]
            if states and states[-1] is not None:
                listing.append(_sighting(machine, states[-1]))
        return listing

    def some(self, names: tuple[SliceId, ...], asked_at: Instant) -> SlicesObserved:
        """The answer to a question about these."""
        machines = self._cloud.machines
        found = tuple(_as_it_is(machines[n]) for n in names if n in machines)
        missing = tuple(n for n in names if n not in machines)
        return SlicesObserved(found, asked_at, complete=False, missing=missing)


def _as_it_is(machine: Machine) -> SliceSighting:
    """What is seen of a machine now; one value until its state changes, for listings are long."""
    if machine.sighting is None:
        machine.sighting = _sighting(machine, machine.state)
    return machine.sighting


def _sighting(machine: Machine, state: CloudState) -> SliceSighting:
    return SliceSighting(machine.name, state, machine.group.name, machine.zone)
