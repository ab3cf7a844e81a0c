"""What always holds."""
from iris.core.record import Turn
from iris.core.state import ClusterState


class Auditor:
    """Stub to be replaced in this very session."""

    def __init__(self, state: ClusterState, *, every_turn: bool) -> None:
        self.checked = self.violated = 0
        self.sentences: list[str] = []

    def check(self, turn: Turn) -> None:
        pass

    def check_all(self) -> None:
        pass
