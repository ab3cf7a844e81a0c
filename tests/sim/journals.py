"""Journals that simulated runs would have left behind, as a real controller's does."""

from iris.core.record import Turn
from iris.core.snapshot import Snapshot
from sim.chronicle import Chronicle, read_chronicle
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


def chronicle_of(turns: list[Turn], image: Snapshot | None = None) -> Chronicle:
    chronicle = read_chronicle(turns, image)
    assert chronicle is not None
    return chronicle
