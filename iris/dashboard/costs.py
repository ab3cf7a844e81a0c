"""What the slices of one controller cost, by the core's rule: kept beside the state, exact to the millisecond.

Slices on record are added up when somebody asks; what those cost that are forgotten is kept by group.
"""

from collections.abc import Iterator

from iris.core import decisions as de
from iris.core.ids import GroupName, SliceId
from iris.core.instant import Instant
from iris.core.paid import paid_from, paid_until
from iris.core.record import Turn
from iris.core.records import Slice
from iris.core.spec import ClusterSpec
from iris.core.state import ClusterState


class Costs:
    """All slices since this controller began, or since somebody first asked."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._since: Instant | None = None  # None: no turn yet, and nobody has asked
        self._spec: ClusterSpec | None = None  # None: likewise
        self._prices: dict[GroupName, int] = {}
        """Also of groups that have left the configuration."""
        self._lost: dict[SliceId, Instant] = {}
        self._gone: dict[SliceId, Slice] = {}
        """Until they are forgotten."""
        self._forgotten: dict[GroupName, int] = {}

    def turned(self, turn: Turn, state: ClusterState) -> None:
        """A turn was taken, which led to this state."""
        self._look(state, turn.now)
        for decision in turn.decisions:
            match decision:
                case de.SliceLoss(slice=name):
                    self._lost[name] = turn.now
                case de.SliceGone(slice=name) if name in state.slices:
                    self._gone[name] = state.slices[name]
                case de.Oblivion(slices=names):
                    for name in names:
                        self._forget(name, turn.now)
                case _:
                    pass

    def spent(self, state: ClusterState, now: Instant) -> dict[GroupName, int]:
        """What each group has cost by an instant, in millionths of a dollar times hours in milliseconds."""
        self._look(state, now)
        found = {group.name: 0 for group in state.spec.groups} | self._forgotten
        for slice_ in state.slices.values():
            found[slice_.group] = found.get(slice_.group, 0) + self._cost(slice_, now)
        return found

    def per_hour(self, state: ClusterState) -> dict[GroupName, int]:
        """What each configured group costs in an hour as it is, in millionths of a dollar."""
        found = {group.name: 0 for group in state.spec.groups}
        for slice_ in self._paying(state):
            if slice_.group in found:
                found[slice_.group] += state.groups[slice_.group].price_per_hour
        return found

    def _paying(self, state: ClusterState) -> Iterator[Slice]:
        for slice_ in state.slices.values():
            until = paid_until(slice_, self._lost.get(slice_.id))
            if paid_from(slice_) is not None and until is None:
                yield slice_

    def _look(self, state: ClusterState, now: Instant) -> None:
        if self._since is None:
            self._since = now
        if self._spec is not state.spec:
            self._spec = state.spec
            self._prices |= {group.name: group.price_per_hour for group in state.spec.groups}

    def _forget(self, name: SliceId, now: Instant) -> None:
        slice_ = self._gone.pop(name, None)
        if slice_ is not None:  # Otherwise it was gone before this controller began.
            cost = self._forgotten.get(slice_.group, 0) + self._cost(slice_, now)
            self._forgotten[slice_.group] = cost
        self._lost.pop(name, None)

    def _cost(self, slice_: Slice, now: Instant) -> int:
        begin = paid_from(slice_)
        if begin is None or self._since is None:
            return 0
        end = paid_until(slice_, self._lost.get(slice_.id))
        span = (now if end is None else end) - max(begin, self._since)
        return max(0, span) * self._prices.get(slice_.group, 0)
