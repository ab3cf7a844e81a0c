"""Why a job waits: the verdict with all that a person would ask next.

The numbers are those of the functions that decide: the verdict is `iris.core.answers`', what pools
say `iris.core.survey`'s, and `iris.core.telling` spells it for everybody.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from iris.core.advice import advice_of
from iris.core.answers import Question, pauses_of
from iris.core.deadlines import Due
from iris.core.decisions import HoldKind
from iris.core.due import due_at
from iris.core.ids import JobId
from iris.core.instant import Instant
from iris.core.lifecycle import JobState
from iris.core.queued import queue_place
from iris.core.reasons import (
    NEVER,
    Advised,
    Eta,
    NextEvent,
    PoolReason,
    QueuePlace,
    Reason,
    Subject,
    Verdict,
)
from iris.core.records import Job
from iris.core.spec import Backfill
from iris.core.state import ClusterState
from iris.core.survey import Survey
from iris.core.telling import TOLD_BY_LIMITS, TOLD_BY_POOLS, TOLD_BY_TIME
from iris.core.usual import eta_after_pause, eta_of_coming, usual_coming
from iris.core.waiting import GANG

_AT_A_TIME: Final = 200
"""Jobs that are asked about their pauses before anything is told."""


def why_waiting(state: ClusterState, job: JobId, now: Instant) -> Reason:
    """Why a job that is on record waits, seen at `now`, between two turns."""
    asked = Question(Survey(state), state.jobs[job])
    verdict, event = asked.answer()
    key, following = asked.key, event()
    brief = replace(_brief(asked, now), next=following)
    if asked.unit is None:
        return brief
    queue = None
    if key is not None and asked.over is None:
        queue = queue_place(state, asked.job, key, asked.waiting[0])
    return replace(
        brief,
        queue=queue,
        pools=asked.pools(),
        eta=_eta(asked, verdict, following, queue),
        advice=tuple(advice_of(asked, verdict)),
    )


def briefly(state: ClusterState, jobs: Iterable[JobId], now: Instant) -> Mapping[JobId, Reason]:
    """Why each of some jobs waits, as far as its headline says it; its cost is by shapes, not by jobs."""
    survey = Survey(state)
    return {name: _brief(Question(survey, state.jobs[name]), now) for name in jobs}


def _brief(asked: Question, now: Instant) -> Reason:
    """A reason without what takes long to find out, or what no headline says."""
    job, unit = asked.job, asked.unit
    verdict, event = asked.answer()
    alone = unit is not None and unit.member != GANG
    return Reason(
        job=job.id,
        subject=_subject(asked),
        task=job.tasks[unit.member].id if unit is not None and alone else None,
        state=job.state,
        why=_said(job),
        at=now,
        verdict=verdict,
        waiting=len(asked.waiting),
        paused=len(asked.pauses),
        accelerator=job.spec.accelerator,
        need=job.spec.resources,
        hosts=asked.shape.hosts,
        queue=None,
        quota=asked.over,
        pools=_told_by(asked, verdict),
        kept=asked.kept(),
        under_way=asked.under_way(),
        next=event() if verdict in TOLD_BY_TIME else NextEvent("", None),
        eta=None,
        advice=(),
        gives_up_at=due_at(asked.state, Due.SCHEDULING, job.id),
    )


def _said(job: Job) -> str:
    """What is on record of why it is as it is; nothing of losses that were made good."""
    tasks = () if job.state is JobState.SUCCEEDED else job.tasks
    return job.why or next((task.why for task in tasks if task.why), "")


def _told_by(asked: Question, verdict: Verdict) -> tuple[PoolReason, ...]:
    """What a headline says of pools."""
    if verdict in TOLD_BY_LIMITS:
        return asked.whole.stops(asked.shape)
    return asked.pools() if verdict in TOLD_BY_POOLS else ()


_ABOUT_OTHERS: Final = frozenset({Advised.ASK_WHO_HOLDS, Advised.ASK_WHO_IS_FIRST})


def without_others(reason: Reason) -> Reason:
    """The same reason, without the names of other jobs: for whoever may not see them."""
    queue = replace(reason.queue, first=()) if reason.queue is not None else None
    advice = tuple(it for it in reason.advice if it.kind not in _ABOUT_OTHERS)
    event = reason.next
    if reason.verdict is Verdict.BEHIND_OTHERS:
        event = replace(event, what="whoever is served before it is placed")
    return replace(reason, queue=queue, advice=advice, next=event)


def waiting_by_verdict(
    state: ClusterState, survey: Survey | None = None
) -> Iterator[tuple[Verdict, int]]:
    """What units wait for, and how many they are: queue by queue, then those in no queue.

    Without a survey, it may be taken up again after a turn: what waits then is told as it is then.
    """
    for key in list(state.waiting.queues):
        queue = state.waiting.queues.get(key)
        if queue is None:
            continue
        head = queue.head()
        asked = Question(survey or Survey(state), state.job_by_number[head.job], head)
        verdict, _ = asked.answer()
        alike = len(queue)
        if verdict is Verdict.FITS_NOW:
            alike = 1
        elif asked.first_in_line() is None and verdict not in NEVER and _is_strict(state):
            alike = sum(1 for unit in queue.units() if unit.job == head.job)
        yield verdict, alike
        yield Verdict.BEHIND_OTHERS, len(queue) - alike
    yield Verdict.BUDGET, sum(len(queue) for queue in state.waiting.held.values())
    evicting = sum(1 for hold in state.holds.values() if hold.kind is HoldKind.EVICTION)
    yield Verdict.MAKING_ROOM, evicting
    names = (*state.by_state[JobState.PENDING], *state.by_state[JobState.RUNNING])
    begun = [state.jobs[name] for name in names]
    for start in range(0, max(1, len(begun)), _AT_A_TIME):
        some = begun[start : start + _AT_A_TIME]
        yield Verdict.PAUSED, sum(len(pauses_of(state, job)) for job in some)


def _is_strict(state: ClusterState) -> bool:
    return state.spec.scheduler.backfill is Backfill.NONE


def _subject(asked: Question) -> Subject:
    if asked.unit is None:
        return Subject.JOB
    return Subject.GANG if asked.unit.member == GANG else Subject.TASK


def _eta(
    asked: Question, verdict: Verdict, event: NextEvent, queue: QueuePlace | None
) -> Eta | None:
    """When it is placed, where that can be told from what was seen or promised."""
    now = asked.state.now
    if verdict is Verdict.MAKING_ROOM:
        return Eta(now, event.at, "by then they are gone, or given up")
    if asked.hold is not None and asked.hold.expected is not None:
        return Eta(now, max(now, asked.hold.expected), "those who are there say when they end")
    if verdict is Verdict.WAITING_FOR_SLICES:
        assert queue is not None, asked.job
        return eta_of_coming(tuple(asked.under_way()), queue.ahead, now)
    if verdict in (Verdict.QUOTA, Verdict.BACKOFF) and event.at is not None:
        bought = next(pool for pool in asked.pools() if pool.is_bought)
        return eta_after_pause(event.at, usual_coming(asked.state, bought.group, bought.zone))
    return None
