"""Why something waits, as frozen numbers. Nothing is found out here, and nothing is spelled.

`iris.core.explain` and `iris.core.scaling` fill these in from the functions that decide, and
`iris.core.telling` spells them: for the command line, the interface, the pages and the reports alike.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from iris.core.decisions import HoldKind
from iris.core.fit import Lack
from iris.core.ids import GroupName, JobId, SliceId, TaskId, UserName, WorkerId, Zone
from iris.core.instant import Instant, Millis
from iris.core.lifecycle import JobState, SliceState
from iris.core.resources import Resources


class Verdict(Enum):
    """What a job waits for, in one word."""

    NOT_WAITING = "not_waiting"
    """None of its tasks can be placed: they run, stop or have ended."""
    FITS_NOW = "fits_now"
    """It is first, and there is room: the next step places it."""
    MAKING_ROOM = "making_room"
    """Others were asked to stop for it, and their room is kept."""
    PAUSED = "paused"
    """It failed quickly, and is tried again after a pause."""
    NO_MATCHING_GROUP = "no_matching_group"
    """No group has what it asks for, however many slices of it there were."""
    TOO_BIG = "too_big"
    """A group would do, but one of its hosts, and be it empty, is too small."""
    BUDGET = "budget"
    """Its user's quota lets it start no more, whatever room there is."""
    BEHIND_OTHERS = "behind_others"
    """There is room, but the order or a hold gives it to others first."""
    WAITING_FOR_SLICES = "waiting_for_slices"
    """Slices that can serve it are on their way."""
    QUOTA = "quota"
    """No slice may be asked for, since a quota or a reservation is used up."""
    BACKOFF = "backoff"
    """A slice may be asked for, but not before a time: the cloud refused, or creates are rationed."""
    HELD = "held"
    """There is room that is kept for others, until those who are there have ended."""
    GANG_INCOMPLETE = "gang_incomplete"
    """Some hosts of a slice have room for their member of the gang, and not all."""
    GROUP_AT_MAX = "group_at_max"
    """Every slice that may exist does: somebody who runs must end."""
    FULL = "full"
    """Hosts that could serve it are in use, and no slice is asked for on its account."""
    BARRED = "barred"
    """Hosts that could serve it are there and run nothing, but may not have it."""
    UNSUPPLIED = "unsupplied"
    """Nothing that could serve it is there, and nothing may be asked for on its account."""


WAITS: Final = frozenset(Verdict) - {Verdict.NOT_WAITING}
"""All that something may wait for."""
NEVER: Final = frozenset({Verdict.NO_MATCHING_GROUP, Verdict.TOO_BIG})
"""Nobody should wait for what is told so: only another configuration, or another job, helps."""


@dataclass(frozen=True, slots=True)
class Blocker:
    """The first thing that keeps a job out of a pool: what it needs, and what is there."""

    check: str
    """As in `fit.Refusal`, or `spare`, `workers`, `slices`, `whole`, `avoid`, `held`, `room`."""
    need: str
    have: str
    nearest: WorkerId | SliceId | None = None  # None: no host or slice is nearer than another
    """The host, or for a gang the slice, that lacks least."""
    lacks: tuple[Lack, ...] = ()
    """What that one lacks, in numbers; for a gang, the first of its hosts that lacks something."""
    missing: str = ""
    """How much is missing between the two; empty where it cannot be counted."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What stops slices from being asked of a pool."""

    check: str
    """`listing`, `max_slices`, `reservation`, `quota`, `gate`, `window`, `pause` or `tokens`."""
    left: int
    """How many it would let through: none, or less."""
    until: Instant | None  # None: it does not end by time alone
    detail: str


@dataclass(frozen=True, slots=True)
class PoolReason:
    """What one group in one zone says to a job."""

    group: GroupName
    zone: Zone
    looked_at: int
    """Its workers on the books."""
    blocker: Blocker | None  # None: it fits here now
    can_serve: bool
    """An empty slice of it would do."""
    is_bought: bool
    """Slices of it are asked for when the job waits."""
    limits: tuple[Limit, ...]
    """What stops that now."""


@dataclass(frozen=True, slots=True)
class GroupReason:
    """What a group says to a job: the word of that of its zones which is nearest to serving it."""

    name: GroupName
    matches: bool
    """An empty slice of it would do, somewhere."""
    zone: Zone
    """The nearest one."""
    blocker: Blocker | None  # None: it fits there now
    workers_checked: int
    """In all of its zones."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Room that is kept for the job."""

    kind: HoldKind
    workers: tuple[WorkerId, ...]
    expected: Instant | None  # None: nobody who is there has said when it ends
    leaving: int
    """Attempts there that were asked to stop."""
    staying: int
    """Attempts there that were not."""


@dataclass(frozen=True, slots=True)
class OverQuota:
    """The first dimension in which the quota of a job's user does not let it start."""

    quota: UserName
    """The key of it in `scheduler.quotas`: the user, or `*`."""
    dimension: str
    """As in `iris.core.stakes.DIMENSIONS`."""
    most: int
    held: int
    kept: int
    """What of the rest is left to work deeper in trees."""
    need: int
    levels: int
    """Of trees, for which it is left."""
    running: int
    """Tasks of the user that run."""
    parents: int
    """How many of them belong to jobs with children that have not ended."""


@dataclass(frozen=True, slots=True)
class Usual:
    """How long something took for those of its kind that are through."""

    p50: Millis
    p90: Millis
    seen: int
    """How many they are."""


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A slice that is coming and could serve the job."""

    slice: SliceId
    group: GroupName
    state: SliceState
    since: Instant
    """When it was asked for."""
    usual: Usual | None  # None: too few of its kind have come to say
    """From the request to readiness."""
    deadline: Instant
    """When its create is repeated, or it is given up."""


@dataclass(frozen=True, slots=True)
class NextEvent:
    """What must happen next, and by when."""

    what: str
    at: Instant | None  # None: nobody can say when


@dataclass(frozen=True, slots=True)
class Ahead:
    """A job of which something is served before."""

    job: JobId
    user: UserName
    units: int
    """Of it that wait."""


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """Where the first of a job's units stands among all that wait."""

    ahead: int
    """How many units are served before it."""
    ahead_by_same_user: int
    ahead_chips: int
    """Of all of them together."""
    first: tuple[Ahead, ...]
    """The jobs that are served first, at most five."""

    @property
    def position(self) -> int:
        """1 for who is first."""
        return self.ahead + 1


@dataclass(frozen=True, slots=True)
class Eta:
    """When it is placed, as far as what was seen so far says it."""

    low: Instant
    """Not before."""
    high: Instant | None  # None: nobody can say
    basis: str
    """What it was learned from."""


class Advised(Enum):
    """What kind of thing would help."""

    RAISE_MAX_SLICES = "raise_max_slices"
    DROP_CONSTRAINT = "drop_constraint"
    ASK_FOR_LESS = "ask_for_less"
    FIT_THE_GANG = "fit_the_gang"
    ADD_GROUP = "add_group"
    ENLARGE_RESERVATION = "enlarge_reservation"
    CORRECT_GROUP = "correct_group"
    LET_WORK_IN = "let_work_in"
    ASK_WHO_HOLDS = "ask_who_holds"
    ASK_WHO_IS_FIRST = "ask_who_is_first"


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing that would help, of which the deciding functions say that it does."""

    kind: Advised
    about: str
    """The group, constraint, worker or job that is meant."""
    text: str


class Subject(Enum):
    """Of what it is told."""

    JOB = "job"
    TASK = "task"
    GANG = "gang"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a job waits."""

    job: JobId
    subject: Subject
    task: TaskId | None  # None: it is not told of one task
    """Which one of several that wait; all others like it wait for the same."""
    state: JobState
    why: str
    """How it ended, of a job that has; else empty."""
    at: Instant
    verdict: Verdict
    waiting: int
    """Its units (tasks, or the gang) that could be placed now if there were room."""
    paused: int
    """Its units that are kept waiting between two attempts."""
    accelerator: str | None  # None: CPU work
    need: Resources
    """Of one task."""
    hosts: int
    """Of a gang; 0 for tasks that are placed alone."""
    queue: QueuePlace | None  # None: it stands in no queue now
    quota: OverQuota | None  # None: its user's quota lets it start, or has no limit
    pools: tuple[PoolReason, ...]
    kept: Kept | None  # None: nothing is kept for it
    under_way: tuple[UnderWay, ...]
    next: NextEvent
    eta: Eta | None  # None: unknown
    advice: tuple[Advice, ...]
    gives_up_at: Instant | None  # None: it may wait for ever

    @property
    def groups(self) -> tuple[GroupReason, ...]:
        """What each group says, in the order of the configuration."""
        names = dict.fromkeys(pool.group for pool in self.pools)
        return tuple(_of_group([p for p in self.pools if p.group == name]) for name in names)


CHECKS: Final = (
    "accelerator",
    "gang",
    "constraint",
    "host",
    "spare",
    "slices",
    "workers",
    "whole",
    "avoid",
    "held",
    "room",
)
"""Blockers from the one that is farthest from a placement to the one that is nearest."""


def _of_group(pools: list[PoolReason]) -> GroupReason:
    nearest = max(pools, key=lambda pool: _nearness(pool.blocker))
    return GroupReason(
        name=nearest.group,
        matches=any(pool.can_serve for pool in pools),
        zone=nearest.zone,
        blocker=nearest.blocker,
        workers_checked=sum(pool.looked_at for pool in pools),
    )


def _nearness(blocker: Blocker | None) -> int:
    return len(CHECKS) if blocker is None else CHECKS.index(blocker.check)
