"""From a folder to a running machine: take the right to write it, recover what is there, begin.

Only one controller works on a folder. What is recovered is what was recorded: nothing is decided
anew, so that a later version of Iris takes up the journal of an earlier one.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from iris.cluster.controller.clock import WallClock
from iris.cluster.controller.journal import Lock, SqliteJournal
from iris.core import effects as ef
from iris.core import events as ev
from iris.core.controller import Controller
from iris.core.record import Turn
from iris.core.replay import recover
from iris.core.spec import ClusterSpec

JOURNAL_FILE: Final = "journal.sqlite"


@dataclass(frozen=True, slots=True)
class Recovered:
    """A machine that is ready for its first turn of this process's life."""

    controller: Controller
    journal: SqliteJournal
    lock: Lock
    clock: WallClock
    turns: int
    """That were replayed."""
    millis: int
    """That it took."""


def open_folder(root: Path) -> Recovered:
    """The machine as the folder's journal left it.

    Raises:
        JournalError: another controller works on it, or it cannot be read.
        OSError: the folder cannot be written.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = Lock(root)
    began = time.perf_counter()
    journal = SqliteJournal(root / JOURNAL_FILE)
    image, turns = journal.latest()
    counted = _Counted()
    controller = recover(counted.over(turns), image)
    millis = round(1_000 * (time.perf_counter() - began))
    clock = WallClock(controller.state.now)
    return Recovered(controller, journal, lock, clock, counted.number, millis)


class _Counted:
    """Counts what passes."""

    def __init__(self) -> None:
        self.number = 0

    def over(self, turns: Iterator[Turn]) -> Iterator[Turn]:
        for turn in turns:
            self.number += 1
            yield turn


def begin(recovered: Recovered, spec: ClusterSpec) -> Sequence[ef.Effect]:
    """The first turn: what the configuration is now, and that we were away.

    Durable when this returns; to be performed then, with all that an earlier life has left undone.
    """
    controller, now = recovered.controller, recovered.clock.now()
    restarted = recovered.journal.turns > 0
    events: list[ev.Event] = [ev.ControllerRestarted()] if restarted else []
    events.append(ev.ConfigLoaded(spec))
    decisions, effects = controller.step(now, events)
    recovered.journal.append(Turn(now, tuple(events), tuple(decisions)))
    asked = list(effects)
    return [*asked, *(effect for effect in controller.unfinished() if effect not in asked)]
