"""Why something waits, as frozen numbers and in plain sentences. Nothing is found out here.

`iris.core.explain` fills these in from the functions that decide; `sentences` only spells them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from iris.core.decisions import HoldKind
from iris.core.fit import Lack
from iris.core.ids import GroupName, JobId, SliceId, UserName, WorkerId, Zone
from iris.core.instant import DAY, HOUR, MINUTE, SECOND, Instant
from iris.core.lifecycle import JobState, SliceState
from iris.core.resources import Resources, amount


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
    NEVER_FITS = "never_fits"
    """No group can serve it, however empty."""
    BUDGET = "budget"
    """Its user's quota lets it start no more, whatever room there is."""
    BEHIND = "behind"
    """There is room, but the order or a hold gives it to others first."""
    COMING = "coming"
    """Slices that can serve it are on their way."""
    GATED = "gated"
    """A slice may be asked for, but not before a time."""
    FULL = "full"
    """Every slice that may exist does: somebody who runs must end."""
    BARRED = "barred"
    """Hosts that could serve it are there and run nothing, but may not have it."""
    UNSUPPLIED = "unsupplied"
    """Nothing that could serve it is there, and nothing may be asked for on its account."""


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


@dataclass(frozen=True, slots=True)
class Limit:
    """What stops slices from being asked of a pool."""

    check: str
    """`listing`, `max_slices`, `reservation`, `gate`, `window`, `pause` or `tokens`."""
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
class UnderWay:
    """A slice that is coming and could serve the job."""

    slice: SliceId
    state: SliceState
    deadline: Instant
    """When its create is repeated, or it is given up."""


@dataclass(frozen=True, slots=True)
class NextEvent:
    """What must happen next, and by when."""

    what: str
    at: Instant | None  # None: nobody can say when


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a job waits."""

    job: JobId
    state: JobState
    at: Instant
    verdict: Verdict
    waiting: int
    """Its units (tasks, or the gang) that could be placed now if there were room."""
    paused: int
    """Its units that are kept waiting between two attempts."""
    need: Resources
    """Of one task."""
    hosts: int
    """Of a gang; 0 for tasks that are placed alone."""
    position: int | None  # None: it stands in no queue now
    """How many units are served before its first one."""
    pools: tuple[PoolReason, ...]
    kept: Kept | None  # None: nothing is kept for it
    under_way: tuple[UnderWay, ...]
    next: NextEvent
    quota: OverQuota | None  # None: its user's quota lets it start, or has no limit
    gives_up_at: Instant | None  # None: it may wait for ever


@dataclass(frozen=True, slots=True)
class Scaling:
    """Why a group has the slices that it has, and gets no more."""

    group: GroupName
    at: Instant
    demand: int
    """Waiting units that would be served by buying slices of it."""
    standing: int
    existing: int
    min_slices: int
    max_slices: int
    coming: int
    tokens: int
    """Whole creates that the project's bucket holds."""
    limits: tuple[tuple[Zone, tuple[Limit, ...]], ...]
    """For each zone, what stops slices from being asked for there now."""


def sentences(reason: Reason | Scaling) -> tuple[str, ...]:
    """A reason in plain sentences, the most important first."""
    if isinstance(reason, Scaling):
        return _of_scaling(reason)
    told = [f"{reason.job} is {reason.state.value}: {_VERDICTS[reason.verdict]}."]
    if reason.verdict is Verdict.NOT_WAITING:
        return tuple(told)
    if reason.position is not None:
        told.append(f"{_count(reason.position, 'unit')} of work {_is(reason.position)} before it.")
    if reason.quota is not None:
        told += _of_quota(reason.quota)
    if reason.kept is not None:
        told.append(_of_kept(reason.kept, reason.at))
    told += [_of_pool(pool, reason.at) for pool in reason.pools]
    for slice_ in reason.under_way:
        by = _when(slice_.deadline, reason.at)
        told.append(f"Slice {slice_.slice} is {slice_.state.value}, looked after {by}.")
    at = f" {_when(reason.next.at, reason.at)}" if reason.next.at is not None else ""
    told.append(f"Next: {reason.next.what}{at}.")
    if reason.gives_up_at is not None:
        told.append(f"It is given up {_when(reason.gives_up_at, reason.at)}.")
    return tuple(told)


_VERDICTS: Final = {
    Verdict.NOT_WAITING: "nothing of it waits to be placed",
    Verdict.FITS_NOW: "it is first and fits, so the next step places it",
    Verdict.MAKING_ROOM: "others were asked to stop for it",
    Verdict.PAUSED: "it is tried again after a pause",
    Verdict.NEVER_FITS: "no configured group can ever hold it",
    Verdict.BUDGET: "the quota of its user is used up",
    Verdict.BEHIND: "others are served first",
    Verdict.COMING: "it waits for slices that are on their way",
    Verdict.GATED: "it waits until slices may be asked for again",
    Verdict.FULL: "it waits for running work to end",
    Verdict.BARRED: "hosts that could serve it are there, and none of them may have it now",
    Verdict.UNSUPPLIED: "nothing that could serve it is there, or may be asked for on its account",
}


def _of_quota(over: OverQuota) -> Iterator[str]:
    most, held, kept, need = (
        amount(over.dimension, number) for number in (over.most, over.held, over.kept, over.need)
    )
    left = f", {kept} kept for what is deeper in trees of {over.levels} levels" if over.kept else ""
    yield f"scheduler.quotas.{over.quota} allows {most}: {held} held{left}; it needs {need}."
    if over.running and over.running == over.parents:
        yield f"All {over.running} running tasks belong to jobs whose own children wait."


def _of_pool(pool: PoolReason, at: Instant) -> str:
    where = f"{pool.group} in {pool.zone} ({_count(pool.looked_at, 'worker')} looked at)"
    if pool.blocker is None:
        return f"{where}: it fits now."
    blocker = pool.blocker
    near = f" on {blocker.nearest}" if blocker.nearest is not None else ""
    told = f"{where}: {blocker.check}: needs {blocker.need}, has {blocker.have}{near}"
    stops = "; ".join(_of_limit(limit, at) for limit in pool.limits)
    return f"{told}; no new slice: {stops}." if stops else f"{told}."


def _of_limit(limit: Limit, at: Instant) -> str:
    until = f" until {_when(limit.until, at)}" if limit.until is not None else ""
    return f"{limit.detail}{until}"


def _of_kept(kept: Kept, at: Instant) -> str:
    there = f"{kept.leaving} leaving, {kept.staying} staying"
    when = f", free {_when(kept.expected, at)}" if kept.expected is not None else ""
    return f"Kept for it ({kept.kind.value}): {', '.join(kept.workers)} ({there}{when})."


def _of_scaling(scaling: Scaling) -> tuple[str, ...]:
    told = [
        f"{scaling.group} has {_count(scaling.existing, 'slice')}, {scaling.coming} of them coming"
        f" (min {scaling.min_slices}, max {scaling.max_slices}).",
        f"{_count(scaling.demand, 'unit')} of waiting work would be served by more.",
        f"The project may make {_count(scaling.tokens, 'create')} at once.",
    ]
    for zone, limits in scaling.limits:
        stops = "; ".join(_of_limit(limit, scaling.at) for limit in limits)
        told.append(f"{zone}: {stops}." if stops else f"{zone}: nothing stops it.")
    return tuple(told)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _when(at: Instant, now: Instant) -> str:
    """A time as a span from now, rounded down to the two largest units that it has."""
    left = at - now
    if left <= 0:
        return "now"
    for size, name, smaller, small_name in _SPANS:
        if left >= size:
            rest = left % size // smaller
            return f"in {left // size} {name}" + (f" {rest} {small_name}" if rest else "")
    return f"in {left} ms"


_SPANS: Final = (
    (DAY, "d", HOUR, "h"),
    (HOUR, "h", MINUTE, "min"),
    (MINUTE, "min", SECOND, "s"),
    (SECOND, "s", 1, "ms"),
)
