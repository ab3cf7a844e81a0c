"""Jobs of drawn entries, with those that their tasks will submit: trees of any depth and width."""

from collections.abc import Sequence

from iris.core.instant import Instant, Millis
from sim.dice import Dice
from sim.model import Arrival, Entry


class Broods:
    """Which entries stand below which."""

    def __init__(self, workload: Sequence[Entry], dice: Dice) -> None:
        """Of a workload; spans are drawn by entry and by the number of the job in it."""
        self._dice = dice
        self._below: dict[str, list[Entry]] = {}
        for entry in workload:
            if entry.per_parent is not None:
                self._below.setdefault(entry.template.above[-1][0], []).append(entry)

    def job(self, entry: Entry, number: int, at: Instant) -> Arrival:
        """A job of an entry that comes at an instant, with its whole tree below it."""
        template, run_time = entry.template, entry.run_time
        assert run_time is not None, template.entry
        span = self._dice.draw(run_time, "run_time", template.entry, number)
        children = tuple(
            self._child(below, number * below.per_parent + index, at)
            for below in self._below.get(template.entry, ())
            if below.per_parent is not None
            for index in range(below.per_parent)
        )
        return Arrival(at, number, span, template.user, template, children=children)

    def _child(self, entry: Entry, number: int, at: Instant) -> tuple[Millis, Arrival]:
        delay = self._dice.draw(entry.after, "after", entry.template.entry, number)
        return delay, self.job(entry, number, at)
