"""Reading a journal: recover the state that it ends in, or verify that this version decides the same.

Recovery learns the recorded facts and applies the recorded decisions; nothing is decided, so a
version with another policy recovers the same state. Verification decides every turn anew and names
the first difference.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from iris.core.controller import Controller
from iris.core.decisions import Decision
from iris.core.instant import Instant
from iris.core.record import Turn
from iris.core.snapshot import Snapshot, restore


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where a journal and this version decide differently."""

    turn: int
    """Counts the turns of the journal from 0."""
    now: Instant
    position: int
    """Of the decision within the turn."""
    recorded: Decision | None  # None: the journal has no such decision
    decided: Decision | None  # None: this version makes no such decision


def recover(turns: Iterable[Turn], image: Snapshot | None = None) -> Controller:
    """The controller as it was after the last of these turns, which follow the snapshot."""
    controller = Controller(restore(image) if image is not None else None)
    for turn in turns:
        controller.replay(turn)
    return controller


def verify(turns: Iterable[Turn], image: Snapshot | None = None) -> Difference | None:
    """The first difference between what was decided and what is decided now; nothing if there is none."""
    controller = Controller(restore(image) if image is not None else None)
    for number, turn in enumerate(turns):
        decisions, _ = controller.step(turn.now, turn.events)
        for position in range(max(len(decisions), len(turn.decisions))):
            recorded = turn.decisions[position] if position < len(turn.decisions) else None
            decided = decisions[position] if position < len(decisions) else None
            if recorded != decided:
                return Difference(number, turn.now, position, recorded, decided)
    return None
