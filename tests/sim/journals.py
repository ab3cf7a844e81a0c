"""Journals that simulated runs would have left behind, as a real controller's does."""

from pathlib import Path

from iris.cluster.controller.journal import SqliteJournal
from iris.cluster.controller.recovery import JOURNAL_FILE
from iris.core.controller import Controller
from iris.core.record import Turn
from iris.core.snapshot import snapshot
from sim.measure import Measures
from sim.model import Scenario
from sim.run import finish
from sim.world import DigestJournal, World


class KeptJournal(DigestJournal):
    """One that keeps every turn."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Turn] = []

    def append(self, turn: Turn) -> None:
        super().append(turn)
        self.kept.append(turn)


class WrittenWorld(World):
    """A world whose journal can be read afterwards."""

    def _make_journal(self) -> DigestJournal:
        return KeptJournal()

    @property
    def turns(self) -> list[Turn]:
        assert isinstance(self.journal, KeptJournal)
        return self.journal.kept


def lived(scenario: Scenario) -> tuple[Measures, list[Turn]]:
    """What a run of a scenario came to, and all of its turns."""
    world = WrittenWorld(scenario, audit_every_turn=False)
    return finish(world), world.turns


def written(folder: Path, turns: list[Turn], *, image_after: int | None = None) -> Path:
    """A controller's folder with the journal of these turns, from a snapshot on if one is asked for."""
    journal = SqliteJournal(folder / JOURNAL_FILE)
    copy = Controller()
    for number, turn in enumerate(turns, 1):
        journal.append(turn)
        copy.replay(turn)
        if image_after is not None and number in (image_after, image_after + 1):
            journal.save(snapshot(copy.state))
    journal.close()
    return folder
