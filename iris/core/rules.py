"""What is decided about a group, as frozen numbers: by which rule, and what is done."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from iris.core.ids import GroupName, JobId, Zone
from iris.core.instant import Instant
from iris.core.reasons import Limit


class Rule(Enum):
    """What decides that a group gets no more slices now, or gives some back."""

    NO_DEMAND = "no_demand"
    """Nothing waits that slices of it would be asked for."""
    SERVED = "served"
    """What waits is served by what is there or on its way."""
    AT_MAX = "at_max"
    RESERVATION = "reservation"
    QUOTA = "quota"
    BACKOFF = "backoff"
    """The cloud refused lately: it is asked again after a pause."""
    WINDOW = "window"
    """As many are coming at once as the record of the zone allows."""
    RATE = "rate"
    """Creates of the whole project are rationed."""
    NOT_LISTED = "not_listed"
    """The cloud has not said yet what there is."""
    IDLE = "idle"
    """Slices that nobody uses are given back when their time is over."""
    DEMAND = "demand"
    """Slices are about to be asked for."""


class Action(Enum):
    """What a pass of the autoscaler does about a group."""

    ASK = "ask"
    HOLD = "hold"
    """Something is wanted, and a limit keeps it from being asked for."""
    NOTHING = "nothing"


_IDLE_RULES: Final = frozenset({Rule.NO_DEMAND, Rule.SERVED, Rule.IDLE})


@dataclass(frozen=True, slots=True)
class Scaling:
    """Why a group has the slices that it has, and gets no more: the decision of the present pass."""

    group: GroupName
    at: Instant
    rule: Rule
    demand: int
    """Waiting units that would be served by buying slices of it."""
    unmet: int
    """Those of them that nothing on its way serves, and for which more would be asked of it."""
    jobs: tuple[JobId, ...]
    """Whose units they are: the first, at most five."""
    usable: int
    """Slices that are ready and may have new work."""
    idle: int
    coming: int
    standing: int
    existing: int
    min_slices: int
    max_slices: int
    buffer_slices: int
    tokens: int
    """Whole creates that the project's bucket holds."""
    wanted: int
    """Slices that it is about to ask for."""
    until: Instant | None  # None: it does not end by time alone
    """When the rule is over: a backoff or ration ends, or the first idle slice is given back."""
    limits: tuple[tuple[Zone, tuple[Limit, ...]], ...]
    """For each zone, what stops slices from being asked for there now."""

    @property
    def action(self) -> Action:
        """What is done: slices are asked for, or wanted in vain, or not wanted."""
        if self.rule is Rule.DEMAND:
            return Action.ASK
        return Action.NOTHING if self.rule in _IDLE_RULES else Action.HOLD
