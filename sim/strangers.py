"""F-13: another hand on our machines, and machines with our label that nobody here asked for."""

from iris.core.events import CloudState
from iris.core.ids import SliceId
from iris.core.instant import Millis
from sim.machine import Provider


class Strangers:
    """Whoever else has the project's keys."""

    def __init__(self, cloud: Provider) -> None:
        """For the machines of this cloud."""
        self._cloud = cloud

    def start(self) -> None:
        """Begin to meddle, if the model says so."""
        if self._cloud.model.another_hand is not None:
            self._delete_one(0)
        if self._cloud.model.stray is not None:
            self._add_one(0)

    def _delete_one(self, number: int) -> None:
        cloud = self._cloud
        if cloud.calm:
            return
        assert cloud.model.another_hand is not None
        span = cloud.dice.draw(cloud.model.another_hand, "another hand", number)

        def meddle() -> None:
            if cloud.calm:
                return
            ready = [m for m in cloud.machines.values() if m.state is CloudState.READY]
            for machine in cloud.choose(ready, 1, f"another hand/{number}"):
                cloud.remove(machine, lambda: None)
            self._delete_one(number + 1)

        cloud.clock.later(max(Millis(1), span), meddle)

    def _add_one(self, number: int) -> None:
        cloud = self._cloud
        if cloud.calm:
            return
        assert cloud.model.stray is not None
        span = cloud.dice.draw(cloud.model.stray, "stray", number)

        def appear() -> None:
            if cloud.calm:
                return
            group = next(iter(cloud.groups.values()))
            name = SliceId(f"iris-{group.name.lower().replace('_', '-')}-stray{number}")
            machine = cloud.add_machine(name, group, group.zones[0])
            # Every other one is empty: its machines never speak.
            if number % 2 == 0:
                cloud.boot(machine, Millis(0))
            self._add_one(number + 1)

        cloud.clock.later(max(Millis(1), span), appear)
