"""How long slices usually take to come, and from that when waiting work is placed.

Learned from the slices that the state knows: those that live, and what it remembers of those that
are over. Percentiles are by nearest rank. Where too few were seen, nothing is said.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from iris.core.ids import GroupName, Zone
from iris.core.instant import Instant, Millis, after, since
from iris.core.lifecycle import ALIVE
from iris.core.reasons import Eta, UnderWay, Usual
from iris.core.records import Life, Slice
from iris.core.state import ClusterState

LEAST_SEEN: Final = 5
"""Slices that must have come before anything is called usual."""


def usual_coming(state: ClusterState, group: GroupName, zone: Zone | None = None) -> Usual | None:
    """From the request for a slice to its readiness: of the zone, or of the group if few are known of it."""
    if zone is not None:
        spans = _spans(_known(state, group, zone))
        if len(spans) >= LEAST_SEEN:
            return _usual(spans)
    return _usual(_spans(_known(state, group, None)))


def usual_steps(state: ClusterState, group: GroupName) -> tuple[Usual | None, Usual | None]:
    """Of a group's slices: from the request to the cloud's word, and from there to readiness."""
    known = list(_known(state, group, None))
    accepted = [
        since(it.requested_at, it.accepted_at) for it in known if it.accepted_at is not None
    ]
    booted = [
        since(it.accepted_at, it.ready_at)
        for it in known
        if it.accepted_at is not None and it.ready_at is not None
    ]
    return _usual(accepted), _usual(booted)


def _known(state: ClusterState, group: GroupName, zone: Zone | None) -> Iterator[Life | Slice]:
    """Every slice of a group that is remembered, and was not merely found."""
    everything: Iterable[Life | Slice] = (
        *state.lives.get(group, ()),
        *(s for s in state.slices.values() if s.group == group and s.state in ALIVE),
    )
    for it in everything:
        found = isinstance(it, Slice) and it.adopted
        if zone in (None, it.zone) and it.accepted_at is not None and not found:
            yield it


def _spans(known: Iterable[Life | Slice]) -> list[Millis]:
    return [since(it.requested_at, it.ready_at) for it in known if it.ready_at is not None]


def _usual(spans: Sequence[Millis]) -> Usual | None:
    if len(spans) < LEAST_SEEN:
        return None
    ordered = sorted(spans)
    return Usual(_rank(ordered, 50), _rank(ordered, 90), len(ordered))


def _rank(ordered: Sequence[Millis], percent: int) -> Millis:
    return ordered[-(-len(ordered) * percent // 100) - 1]


def eta_of_coming(under_way: Sequence[UnderWay], ahead: int, at: Instant) -> Eta | None:
    """When the unit is placed that so many others are before, by slices that are on their way.

    Each of them takes at most one slice. Nothing when nobody knows how long slices take.
    """
    usual = [(it.since, it.usual) for it in under_way if it.usual is not None]
    if len(usual) < len(under_way):
        return None
    low = max(at, min(after(began, it.p50) for began, it in usual))
    latest = sorted(after(began, it.p90) for began, it in usual)
    high = latest[ahead] if ahead < len(latest) else None
    seen = max(it.seen for _, it in usual)
    late = high is not None and high < low  # It takes longer than nine in ten have.
    return Eta(low, None if late else high, f"{seen} slices like it have come")


def eta_after_pause(pause: Instant, usual: Usual | None) -> Eta:
    """When something is placed for which slices may be asked for again at an instant."""
    if usual is None:
        return Eta(pause, None, "no slice may be asked for before")
    low = after(pause, usual.p50)
    return Eta(low, None, f"no slice may be asked for before; {usual.seen} like it have come")
