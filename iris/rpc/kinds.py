"""Objects for programs, as JSON knows them: the kinds that commands and pages print alike.

Instants are RFC 3339, spans are seconds, what is unknown is null, and a list that is empty is there.
"""

from typing import TYPE_CHECKING

from iris.units import timestamp

if TYPE_CHECKING:
    from iris.rpc import iris_pb2 as pb

Fields = dict[str, object]


def explanation(told: "pb.Explanation") -> Fields:
    """Kind `Explanation`: why a job waits."""
    return {
        "job": told.job,
        "subject": told.subject,
        "task": told.task or None,
        "state": told.state,
        "as_of": timestamp(told.as_of_ms),
        "turn": told.turn,
        "verdict": told.verdict,
        "headline": told.headline,
        "why": list(told.sentences),
        "waiting": told.waiting,
        "paused": told.paused,
        "groups": [
            {
                "name": group.name,
                "matches": group.matches,
                "zone": group.zone,
                "workers_checked": group.workers_checked,
                **_blocker(group),
            }
            for group in told.groups
        ],
        "pools": [_pool(pool) for pool in told.pools],
        "queue": _queue(told.queue) if told.HasField("queue") else None,
        "quota": _quota(told.quota) if told.HasField("quota") else None,
        "in_flight": [_under_way(slice_) for slice_ in told.in_flight],
        "kept": _kept(told.kept) if told.HasField("kept") else None,
        "next": {"what": told.next, "at": _instant(told, "next_at_ms")},
        "eta": _eta(told.eta) if told.HasField("eta") else None,
        "advice": list(told.advice),
        "gives_up_at": _instant(told, "gives_up_at_ms"),
    }


def _instant(
    message: "pb.Explanation | pb.Limit | pb.Eta | pb.Kept | pb.Scaling", field: str
) -> str | None:
    return timestamp(getattr(message, field)) if message.HasField(field) else None


def _blocker(told: "pb.GroupReason | pb.PoolReason") -> Fields:
    """The first blocker, as fields of whoever says it."""
    if not told.HasField("blocker"):
        return {"first_blocker": None, "need": None, "have": None, "missing": None}
    it = told.blocker
    return {
        "first_blocker": it.check,
        "need": it.need,
        "have": it.have,
        "missing": it.missing or None,
        "nearest": it.nearest or None,
        "lacks": [
            {"dimension": lack.dimension, "need": lack.need, "have": lack.have} for lack in it.lacks
        ],
    }


def _limit(it: "pb.Limit") -> Fields:
    return {"check": it.check, "detail": it.detail, "until": _instant(it, "until_ms")}


def _pool(pool: "pb.PoolReason") -> Fields:
    return {
        "group": pool.group,
        "zone": pool.zone,
        "matches": pool.matches,
        "workers_checked": pool.workers_checked,
        "slices_are_asked_for": pool.is_bought,
        **_blocker(pool),
        "limits": [_limit(limit) for limit in pool.limits],
    }


def _queue(queue: "pb.QueuePlace") -> Fields:
    return {
        "position": queue.ahead + 1,
        "ahead": queue.ahead,
        "ahead_by_same_user": queue.ahead_by_same_user,
        "ahead_chips": queue.ahead_chips,
        "first": [{"job": it.job, "user": it.user, "units": it.units} for it in queue.first],
    }


def _quota(over: "pb.OverQuota") -> Fields:
    return {
        "quota": over.quota,
        "dimension": over.dimension,
        "most": over.most,
        "held": over.held,
        "kept": over.kept,
        "need": over.need,
    }


def _under_way(it: "pb.UnderWay") -> Fields:
    usual = None
    if it.HasField("usual"):
        usual = {
            "p50_s": it.usual.p50_ms / 1_000,
            "p90_s": it.usual.p90_ms / 1_000,
            "seen": it.usual.seen,
        }
    return {
        "slice": it.slice,
        "group": it.group,
        "state": it.state,
        "since": timestamp(it.since_ms),
        "usual_duration": usual,
        "deadline": timestamp(it.deadline_ms),
    }


def _eta(eta: "pb.Eta") -> Fields:
    return {"low": timestamp(eta.low_ms), "high": _instant(eta, "high_ms"), "basis": eta.basis}


def _kept(kept: "pb.Kept") -> Fields:
    return {
        "kind": kept.kind,
        "workers": list(kept.workers),
        "leaving": kept.leaving,
        "staying": kept.staying,
        "expected": _instant(kept, "expected_ms"),
    }


def scaling(answer: "pb.ExplainGroupResponse") -> Fields:
    """Kind `ScalingDecision`: what is decided about a group, by which rule, and since when."""
    told = answer.scaling
    return {
        "group": told.group,
        "as_of": timestamp(told.as_of_ms),
        "turn": told.turn,
        "rule": told.rule,
        "action": told.action,
        "headline": told.headline,
        "why": list(told.sentences),
        "demand": told.demand,
        "unmet": told.unmet,
        "usable": told.usable,
        "idle": told.idle,
        "in_flight": told.in_flight,
        "existing": told.existing,
        "min": told.min_slices,
        "max": told.max_slices,
        "buffer": told.buffer_slices,
        "tokens": told.tokens,
        "wanted": told.wanted,
        "backoff_until": _instant(told, "until_ms"),
        "jobs": list(told.jobs),
        "zones": [
            {"zone": zone.zone, "limits": [_limit(limit) for limit in zone.limits]}
            for zone in told.limits
        ],
        "history": [
            {
                "rule": span.rule,
                "headline": span.headline,
                "since": timestamp(span.since_ms),
                "until": timestamp(span.until_ms),
                "turns": span.turns,
            }
            for span in answer.history
        ],
    }


def happening(told: "pb.Happening") -> Fields:
    """Kind `Event`: one thing that happened, out of the journal."""
    return {
        "at": timestamp(told.at_ms),
        "turn": told.turn,
        "kind": told.kind,
        "source": "fact" if told.is_fact else "decision",
        "subject": told.subject,
        "text": told.text,
        "cause": told.cause or None,
    }
