"""Explanations on the wire: the core's reasons in numbers, and in the core's own sentences.

Only this way: whoever shows one shows what `iris.core.telling` has spelled.
"""

from collections.abc import Iterable

from iris.core.reasons import (
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
    Usual,
)
from iris.core.rules import Scaling
from iris.core.spans import ScalingSpan
from iris.core.telling import headline, sentences
from iris.rpc import iris_pb2 as pb


def explanation_to_wire(reason: Reason, turn: int) -> pb.Explanation:
    """Why a job waits, as it was after a turn."""
    return pb.Explanation(
        job=reason.job,
        subject=reason.subject.value,
        task=reason.task,
        state=reason.state.value,
        as_of_ms=reason.at,
        turn=turn,
        verdict=reason.verdict.value,
        headline=headline(reason),
        sentences=sentences(reason),
        waiting=reason.waiting,
        paused=reason.paused,
        groups=[_group(group) for group in reason.groups],
        pools=[_pool(pool) for pool in reason.pools],
        queue=_queue(reason.queue) if reason.queue is not None else None,
        in_flight=[_under_way(slice_) for slice_ in reason.under_way],
        kept=_kept(reason.kept) if reason.kept is not None else None,
        next=reason.next.what,
        next_at_ms=reason.next.at,
        eta=_eta(reason.eta) if reason.eta is not None else None,
        advice=[advice.text for advice in reason.advice],
        gives_up_at_ms=reason.gives_up_at,
        quota=_quota(reason.quota) if reason.quota is not None else None,
    )


def scaling_to_wire(scaling: Scaling, turn: int) -> pb.Scaling:
    """What is decided about a group, as it was after a turn."""
    return pb.Scaling(
        group=scaling.group,
        as_of_ms=scaling.at,
        turn=turn,
        rule=scaling.rule.value,
        action=scaling.action.value,
        headline=headline(scaling),
        sentences=sentences(scaling),
        demand=scaling.demand,
        unmet=scaling.unmet,
        usable=scaling.usable,
        idle=scaling.idle,
        in_flight=scaling.coming,
        existing=scaling.existing,
        min_slices=scaling.min_slices,
        max_slices=scaling.max_slices,
        buffer_slices=scaling.buffer_slices,
        tokens=scaling.tokens,
        wanted=scaling.wanted,
        until_ms=scaling.until,
        limits=[
            pb.ZoneLimits(zone=zone, limits=_limits(limits)) for zone, limits in scaling.limits
        ],
        jobs=scaling.jobs,
    )


def span_to_wire(span: ScalingSpan) -> pb.ScalingSpan:
    """The same decision, turn after turn."""
    return pb.ScalingSpan(
        rule=span.rule.value,
        headline=span.headline,
        since_ms=span.since,
        until_ms=span.until,
        turns=span.turns,
    )


def _blocker(blocker: Blocker | None) -> pb.Blocker | None:
    if blocker is None:
        return None
    return pb.Blocker(
        check=blocker.check,
        need=blocker.need,
        have=blocker.have,
        missing=blocker.missing,
        nearest=blocker.nearest,
        lacks=[pb.Lack(dimension=it.dimension, need=it.need, have=it.have) for it in blocker.lacks],
    )


def _limits(limits: Iterable[Limit]) -> list[pb.Limit]:
    return [pb.Limit(check=it.check, detail=it.detail, until_ms=it.until) for it in limits]


def _pool(pool: PoolReason) -> pb.PoolReason:
    return pb.PoolReason(
        group=pool.group,
        zone=pool.zone,
        workers_checked=pool.looked_at,
        matches=pool.can_serve,
        is_bought=pool.is_bought,
        blocker=_blocker(pool.blocker),
        limits=_limits(pool.limits),
    )


def _group(group: GroupReason) -> pb.GroupReason:
    return pb.GroupReason(
        name=group.name,
        matches=group.matches,
        zone=group.zone,
        workers_checked=group.workers_checked,
        blocker=_blocker(group.blocker),
    )


def _queue(queue: QueuePlace) -> pb.QueuePlace:
    return pb.QueuePlace(
        ahead=queue.ahead,
        ahead_by_same_user=queue.ahead_by_same_user,
        ahead_chips=queue.ahead_chips,
        first=[pb.Ahead(job=it.job, user=it.user, units=it.units) for it in queue.first],
    )


def _usual(usual: Usual | None) -> pb.Usual | None:
    if usual is None:
        return None
    return pb.Usual(p50_ms=usual.p50, p90_ms=usual.p90, seen=usual.seen)


def _under_way(slice_: UnderWay) -> pb.UnderWay:
    return pb.UnderWay(
        slice=slice_.slice,
        group=slice_.group,
        state=slice_.state.value,
        since_ms=slice_.since,
        usual=_usual(slice_.usual),
        deadline_ms=slice_.deadline,
    )


def _eta(eta: Eta) -> pb.Eta:
    return pb.Eta(low_ms=eta.low, high_ms=eta.high, basis=eta.basis)


def _kept(kept: Kept) -> pb.Kept:
    return pb.Kept(
        kind=kept.kind.value,
        workers=kept.workers,
        leaving=kept.leaving,
        staying=kept.staying,
        expected_ms=kept.expected,
    )


def _quota(over: OverQuota) -> pb.OverQuota:
    return pb.OverQuota(
        quota=over.quota,
        dimension=over.dimension,
        most=over.most,
        held=over.held,
        kept=over.kept,
        need=over.need,
    )
