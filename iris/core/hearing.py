"""Who has been heard of and when, and who has therefore fallen silent.

What is heard is no state of the cluster: silences become facts (`WorkerSilent`), and what follows
from them the controller concludes. After a restart nobody has been heard, and the state knows that.
The controller's process and the simulator ask the same ear.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from iris.core.events import WorkerSilent
from iris.core.ids import WorkerId
from iris.core.instant import Instant, Millis
from iris.core.lifecycle import WorkerState
from iris.core.records import Worker


@dataclass(slots=True)
class _Line:
    incarnation: str
    heard_at: Instant
    polls: int = 0
    """Polls that wait for an answer now."""
    told_silent: bool = False


class Hearing:
    """The line to each worker, as far as it has spoken."""

    def __init__(self, now: Instant, *, silent_after: Millis, deaf_after: Millis) -> None:
        """Nobody has spoken yet.

        Args:
            now: the present.
            silent_after: so long without a word is a silence.
            deaf_after: whoever was away for longer between two looks has heard nobody meanwhile.
        """
        self._lines: dict[WorkerId, _Line] = {}
        self._silent_after = silent_after
        self._deaf_after = deaf_after
        self._looked_at = now

    def heard(self, worker: WorkerId, incarnation: str, now: Instant) -> None:
        """A run of a worker's agent has spoken."""
        line = self._lines.get(worker)
        if line is None or line.incarnation != incarnation:
            self._lines[worker] = _Line(incarnation, now)
            return
        line.heard_at = now
        line.told_silent = False

    def heard_at(self, worker: WorkerId, now: Instant) -> Instant | None:
        """When a worker was last heard, which is now while its poll waits; nothing if it never was."""
        line = self._lines.get(worker)
        if line is None:
            return None
        return now if line.polls else line.heard_at

    def knows(self, worker: WorkerId, incarnation: str) -> bool:
        """Whether this run of its agent is the one that has spoken last."""
        line = self._lines.get(worker)
        return line is not None and line.incarnation == incarnation

    def waits(self, worker: WorkerId, incarnation: str, polls: int) -> None:
        """So many more (or, negative, fewer) polls of a worker wait for an answer."""
        line = self._lines.get(worker)
        if line is not None and line.incarnation == incarnation:
            line.polls += polls

    def look(self, now: Instant, workers: Mapping[WorkerId, Worker]) -> list[WorkerSilent]:
        """Every silence that has begun, once; the lines of workers that are gone are forgotten."""
        for name in [name for name in self._lines if name not in workers]:
            del self._lines[name]
        deaf, self._looked_at = now - self._looked_at > self._deaf_after, now
        if deaf:  # What they said meanwhile waits to be read.
            for line in self._lines.values():
                line.heard_at = now
        silences = []
        for name, line in self._lines.items():
            silent = not line.polls and now - line.heard_at > self._silent_after
            if not silent or line.told_silent:
                continue
            if workers[name].state is WorkerState.HEALTHY:
                line.told_silent = True
                silences.append(WorkerSilent(name, line.incarnation, line.heard_at))
        return silences
