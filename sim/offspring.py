"""Jobs that running tasks submit: they come as long after their parent's first task ran as they are said to."""

from collections.abc import Callable

from iris.core.ids import JobId
from iris.core.instant import Millis
from sim.clockwork import Clockwork
from sim.model import Arrival


class Offspring:
    """What will still be submitted by tasks, and which jobs wait for what they have submitted."""

    def __init__(self, clock: Clockwork, submit: Callable[[JobId, Arrival], None]) -> None:
        """Nothing; what falls due is handed to `submit`, with its parent."""
        self._clock = clock
        self._submit = submit
        self._parents: dict[JobId, Arrival] = {}
        self._on_the_way = 0
        self._open: dict[JobId, int] = {}
        """Children of each job that have not ended, or will come."""
        self._ends: dict[JobId, list[Callable[[], None]]] = {}
        """What happens when the last of them has."""

    def expect(self, job: JobId, arrival: Arrival) -> None:
        """A job has come, whose tasks may submit others."""
        if arrival.children:
            self._parents[job] = arrival
            self._open[job] = self._open.get(job, 0) + len(arrival.children)

    def came(self, parent: JobId) -> None:
        """A child of a job has come that the job was not expected to submit."""
        self._open[parent] = self._open.get(parent, 0) + 1

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

    # ---- waiting for children --------------------------------------------------------------

    def defers(self, job: JobId, end: Callable[[], None]) -> bool:
        """Whether a job's children have not all ended; `end` is called when they have."""
        if not self._open.get(job):
            return False
        self._ends.setdefault(job, []).append(end)
        return True

    def ended(self, parent: JobId) -> None:
        """A child of a job has ended, or was refused."""
        left = self._open.get(parent, 0) - 1
        if left > 0:
            self._open[parent] = left
            return
        self._open.pop(parent, None)
        for end in self._ends.pop(parent, ()):
            self._clock.later(Millis(0), end)
