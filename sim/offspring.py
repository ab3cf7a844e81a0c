"""Jobs that running tasks submit: they come as long after their parent's first task ran as they are said to."""

from collections.abc import Callable

from iris.core.ids import JobId
from sim.clockwork import Clockwork
from sim.model import Arrival


class Offspring:
    """What will still be submitted by tasks."""

    def __init__(self, clock: Clockwork, submit: Callable[[JobId, Arrival], None]) -> None:
        """Nothing; what falls due is handed to `submit`, with its parent."""
        self._clock = clock
        self._submit = submit
        self._parents: dict[JobId, Arrival] = {}
        self._on_the_way = 0

    def expect(self, job: JobId, arrival: Arrival) -> None:
        """A job has come, whose tasks may submit others."""
        if arrival.children:
            self._parents[job] = arrival

    def waits_for(self, job: JobId) -> bool:
        """Whether it matters when the first task of a job runs."""
        return job in self._parents

    def runs(self, job: JobId) -> None:
        """The first task of a job that is waited for runs now."""
        for delay, child in self._parents.pop(job).children:
            self._on_the_way += 1
            self._clock.later(delay, lambda child=child: self._due(job, child))  # type: ignore[misc]

    def _due(self, parent: JobId, child: Arrival) -> None:
        self._on_the_way -= 1
        self._submit(parent, child)

    def is_awaited(self) -> bool:
        """Whether any submission is on its way."""
        return self._on_the_way > 0
