"""How reasons are told: the one place that spells them, for whoever shows them.

`headline` is one line, as lists show it; `sentences` are all there is to say, the most important
first. Nothing is found out here.
"""

from collections.abc import Sequence
from typing import Final

from iris.core.instant import DAY, HOUR, MINUTE, SECOND, Instant
from iris.core.lifecycle import ENDED_JOB
from iris.core.reasons import (
    NEVER,
    Blocker,
    Eta,
    GroupReason,
    Kept,
    Limit,
    OverQuota,
    PoolReason,
    QueuePlace,
    Reason,
    UnderWay,
    Verdict,
)
from iris.core.resources import amount, amounts
from iris.core.rules import Rule, Scaling

_NAMED: Final = 3
"""Of groups or slices in a headline; of the others it is said how many they are."""


def headline(told: Reason | Scaling) -> str:
    """A reason in one line, without its subject: what it needs, and what is first in the way."""
    if isinstance(told, Scaling):
        return _RULES[told.rule].format(s=told, until=_until(told.until, told.at))
    if told.verdict is Verdict.NOT_WAITING:
        return f"{told.state.value}: {told.why}" if told.why else told.state.value
    detail = _detail(told)
    return f"needs {need_of(told)}; {VERDICTS[told.verdict]}{f' ({detail})' if detail else ''}"


def sentences(told: Reason | Scaling) -> tuple[str, ...]:
    """A reason in plain sentences, the most important first."""
    if isinstance(told, Scaling):
        return _of_scaling(told)
    if told.state in ENDED_JOB:
        return (headline(told),)
    if told.verdict is Verdict.NOT_WAITING:
        return (f"{told.job} is {told.state.value}: {VERDICTS[told.verdict]}.",)
    said = [f"{told.job} is {told.state.value}: {headline(told)}."]
    if told.queue is not None:
        said += _of_queue(told.queue)
    if told.quota is not None:
        said += _of_quota(told.quota)
    if told.kept is not None:
        said.append(_of_kept(told.kept, told.at))
    said += [_of_pool(pool, told.at) for pool in told.pools]
    said += [_of_coming(slice_, told.at) for slice_ in told.under_way]
    at = f" {when(told.next.at, told.at)}" if told.next.at is not None else ""
    said.append(f"Next: {told.next.what}{at}.")
    if told.verdict not in NEVER:
        said.append(_of_eta(told.eta, told.at))
    said += [f"Would help: {advice.text}." for advice in told.advice]
    if told.gives_up_at is not None:
        said.append(f"It is given up {when(told.gives_up_at, told.at)}.")
    return tuple(said)


# ---- jobs --------------------------------------------------------------------------------------

VERDICTS: Final = {
    Verdict.NOT_WAITING: "nothing of it waits to be placed",
    Verdict.FITS_NOW: "it is first and fits, so the next step places it",
    Verdict.MAKING_ROOM: "others were asked to stop for it",
    Verdict.PAUSED: "it is tried again after a pause",
    Verdict.NO_MATCHING_GROUP: "no configured group can ever hold it",
    Verdict.TOO_BIG: "it is too big for every configured group",
    Verdict.BUDGET: "the quota of its user is used up",
    Verdict.BEHIND_OTHERS: "others are served first",
    Verdict.WAITING_FOR_SLICES: "it waits for slices that are on their way",
    Verdict.QUOTA: "a quota is used up, so that no slice may be asked for",
    Verdict.BACKOFF: "it waits until slices may be asked for again",
    Verdict.HELD: "the room that there is, is kept for others",
    Verdict.GANG_INCOMPLETE: "only some hosts of a slice have the room for it",
    Verdict.GROUP_AT_MAX: "every slice that may exist is in use",
    Verdict.FULL: "it waits for running work to end",
    Verdict.BARRED: "hosts that could serve it are there, and none of them may have it now",
    Verdict.UNSUPPLIED: "nothing that could serve it is there, or may be asked for on its account",
}
"""What a job waits for, as a clause of a sentence about it."""


TOLD_BY_LIMITS: Final = frozenset(
    {Verdict.QUOTA, Verdict.BACKOFF, Verdict.GROUP_AT_MAX, Verdict.UNSUPPLIED}
)
"""Verdicts of which a headline says what stops slices."""
TOLD_BY_POOLS: Final = NEVER | {Verdict.HELD, Verdict.GANG_INCOMPLETE, Verdict.BARRED}
"""Verdicts of which a headline names blockers."""
TOLD_BY_TIME: Final = frozenset({Verdict.PAUSED, Verdict.MAKING_ROOM})
"""Verdicts of which a headline says when they are over."""


def need_of(reason: Reason) -> str:
    """What it waits for: a slice of an accelerator, hosts of one slice, or amounts."""
    each = amounts(reason.need)
    if reason.hosts:
        kind = f" of {reason.accelerator}" if reason.accelerator is not None else ""
        return f"one slice{kind} ({_count(reason.hosts, 'host')} with {each} each)"
    kind = f" on {reason.accelerator}" if reason.accelerator is not None else ""
    return f"{reason.waiting} x ({each}){kind}" if reason.waiting > 1 else f"{each}{kind}"


def _detail(reason: Reason) -> str:
    """Of what is in the way, what the verdict alone does not say."""
    match reason.verdict:
        case verdict if verdict in NEVER:
            return _listed([_short(group) for group in reason.groups])
        case verdict if verdict in TOLD_BY_POOLS:
            able = [group for group in reason.groups if group.matches and group.blocker is not None]
            return _listed([_short(group) for group in able])
        case verdict if verdict in TOLD_BY_LIMITS:
            return _listed(_stops(reason))
        case Verdict.WAITING_FOR_SLICES:
            first = reason.under_way[0]
            told = f"{first.slice} {first.state.value} for {span(reason.at - first.since)}"
            return _listed([told, *(it.slice for it in reason.under_way[1:])])
        case verdict if verdict in TOLD_BY_TIME and reason.next.at is not None:
            return f"{when(reason.next.at, reason.at)} at the latest"
        case _:
            return ""


def _listed(told: Sequence[str]) -> str:
    """The first of several, and how many more there are."""
    more = len(told) - _NAMED
    return "; ".join([*told[:_NAMED], *([f"{more} more"] if more > 0 else [])])


def _stops(reason: Reason) -> list[str]:
    """What stops each group from which a slice would be asked; what stops all of them is told once."""
    told = {
        limit.detail: f"{pool.group}: {_of_limit(limit, reason.at)}"
        for pool in reversed(reason.pools)
        if pool.is_bought
        for limit in pool.limits
    }
    return list(reversed(told.values()))


def _short(group: GroupReason) -> str:
    blocker = group.blocker
    assert blocker is not None, group  # A job that fits somewhere is told something else.
    return f"{group.name}: {_of_blocker(blocker)}"


def _of_queue(queue: QueuePlace) -> list[str]:
    if not queue.ahead:
        return ["It is first in the queue."]
    own = f", {queue.ahead_by_same_user} of the same user" if queue.ahead_by_same_user else ""
    chips = f", {_count(queue.ahead_chips, 'chip')}" if queue.ahead_chips else ""
    told = f"{_count(queue.ahead, 'unit')} of work {_is(queue.ahead)} before it{chips}{own}."
    first = ", ".join(f"{it.job} ({_count(it.units, 'unit')})" for it in queue.first)
    return [told, f"First come {first}."] if first else [told]


def _of_quota(over: OverQuota) -> list[str]:
    most, held, kept, need = (
        amount(over.dimension, number) for number in (over.most, over.held, over.kept, over.need)
    )
    left = f", {kept} kept for what is deeper in trees of {over.levels} levels" if over.kept else ""
    told = [f"scheduler.quotas.{over.quota} allows {most}: {held} held{left}; it needs {need}."]
    if over.running and over.running == over.parents:
        told.append(f"All {over.running} running tasks belong to jobs whose own children wait.")
    return told


def _of_pool(pool: PoolReason, at: Instant) -> str:
    where = f"{pool.group} in {pool.zone} ({_count(pool.looked_at, 'worker')} looked at)"
    if pool.blocker is None:
        return f"{where}: it fits now."
    told = f"{where}: {pool.blocker.check}: {_of_blocker(pool.blocker)}"
    stops = "; ".join(_of_limit(limit, at) for limit in pool.limits)
    return f"{told}; no new slice: {stops}." if stops else f"{told}."


def _of_blocker(blocker: Blocker) -> str:
    near = f" on {blocker.nearest}" if blocker.nearest is not None else ""
    lack = f", {blocker.missing} missing" if blocker.missing else ""
    return f"needs {blocker.need}, has {blocker.have}{near}{lack}"


def _of_limit(limit: Limit, at: Instant) -> str:
    return f"{limit.detail}{_until(limit.until, at)}"


def _of_kept(kept: Kept, at: Instant) -> str:
    there = f"{kept.leaving} leaving, {kept.staying} staying"
    free = f", free {when(kept.expected, at)}" if kept.expected is not None else ""
    return f"Kept for it ({kept.kind.value}): {', '.join(kept.workers)} ({there}{free})."


def _of_coming(slice_: UnderWay, at: Instant) -> str:
    told = f"Slice {slice_.slice} is {slice_.state.value}, asked for {span(at - slice_.since)} ago"
    usual = slice_.usual
    usually = (
        f", usually ready after {span(usual.p50)}, nine in ten after {span(usual.p90)}"
        f" ({usual.seen} seen)"
        if usual is not None
        else ""
    )
    return f"{told}{usually}, looked after {when(slice_.deadline, at)}."


def _of_eta(eta: Eta | None, at: Instant) -> str:
    if eta is None:
        return "When it is placed is unknown."
    latest = f", {when(eta.high, at)} at the latest" if eta.high is not None else ""
    return f"It is placed {when(eta.low, at)} at the earliest{latest} ({eta.basis})."


# ---- groups ------------------------------------------------------------------------------------

_RULES: Final = {
    Rule.NO_DEMAND: "does nothing: no waiting work would be served by more",
    Rule.SERVED: "does nothing: what waits is served by what is there or coming",
    Rule.AT_MAX: "held: at max_slices, {s.existing} of {s.max_slices}",
    Rule.RESERVATION: "held: its reservation is used up",
    Rule.QUOTA: "held: a quota is used up{until}",
    Rule.BACKOFF: "held: the cloud refused lately{until}",
    Rule.WINDOW: "held: as many are coming as may at once, {s.coming}",
    Rule.RATE: "held: creates are rationed{until}",
    Rule.NOT_LISTED: "held: the cloud was not listed yet",
    Rule.IDLE: "does nothing: {s.idle} idle, kept a while before they are given back{until}",
    Rule.DEMAND: "asks for {s.wanted} more",
}


def _of_scaling(scaling: Scaling) -> tuple[str, ...]:
    told = [
        f"{scaling.group} {headline(scaling)}.",
        f"It has {_count(scaling.existing, 'slice')}, {scaling.usable} usable, {scaling.idle} idle,"
        f" {scaling.coming} coming (min {scaling.min_slices}, max {scaling.max_slices},"
        f" buffer {scaling.buffer_slices}).",
        f"{_count(scaling.demand, 'unit')} of waiting work would be served by more,"
        f" {scaling.unmet} of which nothing on its way serves.",
        f"The project may make {_count(scaling.tokens, 'create')} at once.",
    ]
    for zone, limits in scaling.limits:
        stops = "; ".join(_of_limit(limit, scaling.at) for limit in limits)
        told.append(f"{zone}: {stops}." if stops else f"{zone}: nothing stops it.")
    return tuple(told)


# ---- words -------------------------------------------------------------------------------------


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _until(at: Instant | None, now: Instant) -> str:
    return f", over {when(at, now)}" if at is not None else ""


def when(at: Instant, now: Instant) -> str:
    """A time as a span from now, rounded down to the two largest units that it has."""
    left = at - now
    return f"in {span(left)}" if left > 0 else "now"


def span(millis: int) -> str:
    """A span, rounded down to the two largest units that it has."""
    for size, name, smaller, small_name in _SPANS:
        if millis >= size:
            rest = millis % size // smaller
            return f"{millis // size} {name}" + (f" {rest} {small_name}" if rest else "")
    return f"{max(0, millis)} ms"


_SPANS: Final = (
    (DAY, "d", HOUR, "h"),
    (HOUR, "h", MINUTE, "min"),
    (MINUTE, "min", SECOND, "s"),
    (SECOND, "s", 1, "ms"),
)
