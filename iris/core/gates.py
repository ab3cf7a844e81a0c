"""How fast slices may be asked for: the project's token bucket and what is thought of each (zone, type).

A gate has a window, the number of slices of one (zone, type) that may be coming at once, and it
may be blocked for a while. Bad news (a refused create, a boot that failed, a slice that died soon
after it was ready) closes it to a window of one and blocks it for a pause that doubles with every
disappointment in a row; a slice that becomes ready opens it by one, and one that lives through the
settle time doubles the window and clears the record. One episode is one disappointment: refusals
of requests made before the last block teach nothing new. So a zone that is dry is probed by single
requests, and a zone that recovers is trusted step by step.

Scarcity of stock or quota at one size says the same of larger sizes of its family, not of smaller
ones.
"""

from dataclasses import dataclass
from typing import Final

from iris.core import decisions as de
from iris.core.events import CreateFailure
from iris.core.fit import region_of
from iris.core.ids import Zone
from iris.core.instant import Instant, Millis, after
from iris.core.records import Gate, Slice
from iris.core.room import Pool
from iris.core.spec import GroupSpec
from iris.core.state import ClusterState

TOKEN: Final = 60_000
"""One create, in the units of the token bucket: a rate of 1 per minute earns 1 unit a millisecond."""

FOREVER: Final = Instant(2**62)
"""A block that only a new configuration lifts."""

_SCARCE: Final = frozenset(
    {CreateFailure.STOCKOUT, CreateFailure.QUOTA_ZONE, CreateFailure.QUOTA_REGION}
)


def tokens_at(state: ClusterState, now: Instant) -> int:
    """What the create bucket holds, in 60,000ths of a create."""
    policy = state.spec.autoscaler
    earned = (now - state.books.tokens_at) * policy.creates_per_minute
    return min(policy.create_burst * TOKEN, state.books.tokens + earned)


def next_token(state: ClusterState, now: Instant) -> Instant:
    """When the bucket, which holds less than a whole create now, will hold one."""
    short = TOKEN - tokens_at(state, now)
    return after(now, Millis(-(-short // state.spec.autoscaler.creates_per_minute)))


def window_of(state: ClusterState, pool: Pool) -> int:
    """How many slices of a pool's (zone, type) may be coming at once."""
    gate = state.gates.get((pool.zone, pool.group.accelerator_type))
    return gate.window if gate is not None else state.spec.autoscaler.initial_window


def blocked_until(state: ClusterState, pool: Pool) -> Instant | None:
    """Until when a pool's gate, or that of a smaller size of its family there, is blocked."""
    latest: Instant | None = None
    group = pool.group
    for gate in state.gates.values():
        until = gate.blocked_until
        if gate.zone != pool.zone or until is None or until <= state.now:
            continue
        same = gate.accelerator_type == group.accelerator_type
        smaller = gate.scarce and gate.family == group.family and gate.chips <= group.chips
        if (same or smaller) and (latest is None or until > latest):
            latest = until
    return latest


def after_refusal(
    state: ClusterState, slice_: Slice, group: GroupSpec, reason: CreateFailure, detail: str
) -> list[de.Decision]:
    """What a refused create teaches about its gate, about its region, or about the whole project."""
    if reason is CreateFailure.RATE:
        return [de.CreatePause(after(state.now, Millis(60_000)))]
    zones: list[Zone] = [slice_.zone]
    if reason is CreateFailure.QUOTA_REGION:
        region = region_of(slice_.zone)
        zones += [z for z in group.zones if z != slice_.zone and region_of(z) == region]
    news = _Disappointment(
        window=1 if reason in _SCARCE else None,
        first_pause=_base_pause(state, reason),
        scarce=reason in _SCARCE,
        why=f"{reason.value}: {detail}" if detail else reason.value,
    )
    return [t for zone in zones for t in _disappointed(state, slice_, group, zone, news)]


def after_early_death(state: ClusterState, slice_: Slice, group: GroupSpec) -> list[de.Decision]:
    """What a slice teaches that was lost while it booted, or soon after it was ready."""
    policy = state.spec.autoscaler
    if slice_.ready_at is not None and state.now - slice_.ready_at >= policy.settle_time:
        return []
    news = _Disappointment(
        window=_halved(state, slice_, group),
        first_pause=policy.stockout_backoff,
        scarce=False,
        why=f"{slice_.id} was lost early: {slice_.why}",
    )
    return _disappointed(state, slice_, group, slice_.zone, news)


def after_ready(state: ClusterState, slice_: Slice, group: GroupSpec) -> list[de.Decision]:
    """What a slice teaches that became ready: one more may come at a time."""
    gate = state.gates.get((slice_.zone, group.accelerator_type))
    if gate is None or gate.window >= state.spec.autoscaler.max_window:
        return []
    return [_opened(gate, gate.window + 1, gate.level, f"{slice_.id} is ready")]


def after_settling(state: ClusterState, slice_: Slice, group: GroupSpec) -> list[de.Decision]:
    """What a slice teaches that lived through the settle time: the zone is healthy."""
    gate = state.gates.get((slice_.zone, group.accelerator_type))
    widest = state.spec.autoscaler.max_window
    if gate is None or (gate.window >= widest and not gate.level):
        return []
    return [_opened(gate, min(widest, 2 * gate.window), 0, f"{slice_.id} lives")]


def _opened(gate: Gate, window: int, level: int, why: str) -> de.Decision:
    return de.Throttle(
        gate.zone, gate.accelerator_type, window, level, gate.blocked_until, gate.scarce, why
    )


def _base_pause(state: ClusterState, reason: CreateFailure) -> Millis:
    policy = state.spec.autoscaler
    match reason:
        case CreateFailure.STOCKOUT:
            return policy.stockout_backoff
        case CreateFailure.QUOTA_ZONE | CreateFailure.QUOTA_REGION:
            return policy.quota_backoff
        case CreateFailure.PERMISSION:
            return policy.max_backoff
        case CreateFailure.BAD_REQUEST:
            return Millis(FOREVER)
        case _:
            return policy.internal_backoff


@dataclass(frozen=True, slots=True)
class _Disappointment:
    """Bad news of a (zone, type)."""

    window: int | None  # None: as it was, for the news is not about how many there are
    first_pause: Millis
    scarce: bool
    why: str


def _halved(state: ClusterState, slice_: Slice, group: GroupSpec) -> int:
    """Half of what lives or comes there now, or of the window if that is smaller; at least one."""
    key = (slice_.zone, group.accelerator_type)
    present = sum(
        1
        for other in state.slices.values()
        if other.zone == slice_.zone
        and other.gone_at is None
        and other.group in state.groups
        and state.groups[other.group].accelerator_type == group.accelerator_type
    )
    gate = state.gates.get(key)
    return max(1, min(present, gate.window if gate is not None else present) // 2)


def _disappointed(
    state: ClusterState, slice_: Slice, group: GroupSpec, zone: Zone, news: _Disappointment
) -> list[de.Decision]:
    gate = state.gates.get((zone, group.accelerator_type))
    if gate is not None and gate.blocked_at is not None and slice_.requested_at <= gate.blocked_at:
        return []
    policy = state.spec.autoscaler
    level = gate.level if gate is not None else 0
    window = gate.window if gate is not None else policy.initial_window
    if news.first_pause >= FOREVER:
        until = FOREVER
    else:
        pause = min(news.first_pause << min(level, 20), policy.max_backoff)
        until = after(state.now, Millis(pause))
    return [
        de.Throttle(
            zone,
            group.accelerator_type,
            news.window if news.window is not None else window,
            level + 1,
            until,
            news.scarce,
            news.why,
        )
    ]
