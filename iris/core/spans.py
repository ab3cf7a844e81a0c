"""What was decided about each group, pass after pass, folded: a decision that repeats is one entry.

Nothing is kept in the state or in the journal. Requests and drains are decisions, which the journal
has; that nothing was done is found out by looking, and whoever looks more often misses less.
"""

from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from iris.core.ids import GroupName
from iris.core.instant import Instant
from iris.core.rules import Rule, Scaling
from iris.core.scaling import scalings
from iris.core.state import ClusterState
from iris.core.telling import headline

SPANS_KEPT: Final = 50
"""Of each group; older ones are let go."""


@dataclass(frozen=True, slots=True)
class ScalingSpan:
    """The same rule, from when it was first seen until it was last seen."""

    rule: Rule
    headline: str
    """As it was when last seen."""
    since: Instant
    until: Instant
    turns: int
    """That it held for."""


class ScalingSpans:
    """The spans of all groups that are configured."""

    def __init__(self) -> None:
        self._spans: dict[GroupName, deque[ScalingSpan]] = {}
        self._turns: int | None = None  # None: nobody has looked yet

    def look(self, state: ClusterState, turns: int) -> None:
        """Enter what is decided now, after so many turns in all; the same turn is looked at once."""
        if turns == self._turns:
            return
        passed = turns - self._turns if self._turns is not None else 1
        self._turns = turns
        for name in [name for name in self._spans if name not in state.groups]:
            del self._spans[name]
        for scaling in scalings(state):
            self._enter(scaling, passed)

    def _enter(self, scaling: Scaling, passed: int) -> None:
        spans = self._spans.setdefault(scaling.group, deque(maxlen=SPANS_KEPT))
        told, at = headline(scaling), scaling.at
        if spans and spans[-1].rule is scaling.rule:
            last = spans.pop()
            spans.append(replace(last, headline=told, until=at, turns=last.turns + passed))
        else:
            spans.append(ScalingSpan(scaling.rule, told, at, at, 1))

    def spans(self, group: GroupName) -> tuple[ScalingSpan, ...]:
        """What was seen of a group, oldest first."""
        return tuple(self._spans.get(group, ()))
