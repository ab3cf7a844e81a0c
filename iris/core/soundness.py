"""What holds of the state between any two turns: one predicate per sentence, each from the tables alone.

A predicate yields a sentence for each thing that breaks it, with the identifiers that a reader needs to
find it. Nothing here is trusted that a planner keeps: sums are added up from the attempts, and states
are told anew from what is on record. The cached sums and indexes have their own module,
`iris.core.recount`; what is allowed to happen within a turn is judged by `iris.core.conduct`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from iris.core.deadlines import Due
from iris.core.due import due_at
from iris.core.gates import TOKEN
from iris.core.ids import JobId, TaskId, WorkerId, attempt_name, worker_id
from iris.core.instant import Instant
from iris.core.lifecycle import (
    COMING,
    ENDED_ATTEMPT,
    ENDED_JOB,
    AttemptState,
    SliceState,
    TaskState,
    WorkerState,
    job_state_of,
)
from iris.core.records import Attempt, Job, Slice, Task
from iris.core.resources import NOTHING, fits, plus
from iris.core.state import ClusterState, task_state_of
from iris.core.waiting import GANG

Predicate: TypeAlias = "Callable[[Sight], Iterator[str]]"

GIVEN_UP: Final = frozenset(
    {SliceState.FAILED, SliceState.PREEMPTED, SliceState.DELETING, SliceState.GONE}
)
"""Slices that are on their way out, or out."""

STANDING: Final = frozenset({SliceState.READY, SliceState.DRAINING})
"""Slices whose every host has registered and that may hold attempts."""


@dataclass(frozen=True, slots=True)
class Sight:
    """The state, and what every predicate would otherwise look up again."""

    state: ClusterState
    open_jobs: tuple[Job, ...]
    """Jobs that have not ended."""
    live: tuple[tuple[Job, Task, Attempt], ...]
    """Every unfinished attempt, found in the tables of tasks."""
    armed: frozenset[tuple[Instant, Due, str]]
    """What is in the heap of deadlines."""


def sight_of(state: ClusterState) -> Sight:
    """What the predicates look at."""
    return Sight(
        state,
        tuple(job for job in state.jobs.values() if job.ended_at is None),
        tuple(
            (job, task, attempt)
            for job in state.jobs.values()
            for task in job.tasks
            for attempt in task.attempts
            if attempt.ended_at is None
        ),
        state.deadlines.entries(),
    )


# ---- attempts and their ledger -----------------------------------------------------------------


def ledger_is_the_sum(sight: Sight) -> Iterator[str]:
    """V-01: what a worker has committed is what its unfinished attempts hold, and it has that much."""
    held = dict.fromkeys(sight.state.workers, NOTHING)
    numbers: dict[WorkerId, dict[TaskId, int]] = {name: {} for name in held}
    for job, task, attempt in sight.live:
        name = attempt.worker
        if name not in held:
            yield f"V-01 {attempt_name(task.id, attempt.number)} runs on {name}, which is not known"
            continue
        held[name] = plus(held[name], job.spec.resources)
        numbers[name][task.id] = attempt.number
    for worker in sight.state.workers.values():
        total = held[worker.id]
        if worker.committed != total:
            yield f"V-01 worker {worker.id} has committed {tuple(worker.committed)}, its attempts hold {tuple(total)}"
        if worker.attempts != numbers[worker.id]:
            yield f"V-01 worker {worker.id} lists {worker.attempts}, its attempts are {numbers[worker.id]}"
        if not fits(total, worker.offers) or min(total) < 0:
            yield f"V-01 worker {worker.id} offers {tuple(worker.offers)}, its attempts hold {tuple(total)}"


def attempts_are_numbered(sight: Sight) -> Iterator[str]:
    """V-02: attempts are numbered without gaps, and only the last one may be unfinished."""
    for task in sight.state.tasks.values():
        last = len(task.attempts) - 1
        for index, attempt in enumerate(task.attempts):
            name = attempt_name(task.id, attempt.number)
            if attempt.number != index:
                yield f"V-02 {name} stands in place {index} of its task"
            over = attempt.ended_at is not None
            if not over and index != last:
                yield f"V-02 {name} is unfinished, and attempt {index + 1} was made"
            if over is not (attempt.state in ENDED_ATTEMPT) or over is not (
                attempt.cause is not None
            ):
                yield f"V-02 {name} is {attempt.state.value}, ended at {attempt.ended_at} by {attempt.cause}"


def states_roll_up(sight: Sight) -> Iterator[str]:
    """V-03: the state of a task follows from its attempts, and that of a job from its tasks."""
    for job in sight.state.jobs.values():
        tally: dict[TaskState, int] = {}
        for task in job.tasks:
            tally[task.state] = tally.get(task.state, 0) + 1
            told = task_state_of(task)
            if task.state is not told:
                yield f"V-03 task {task.id} is {task.state.value}, its attempts say {told.value}"
        if job.tally != tally:
            yield f"V-03 job {job.id} counts {_counts(job.tally)}, its tasks are {_counts(tally)}"
        rolled = job_state_of(tally)
        if job.state is not rolled:
            yield f"V-03 job {job.id} is {job.state.value}, its tasks say {rolled.value}"
        if (job.ended_at is not None) is not (rolled in ENDED_JOB):
            yield f"V-03 job {job.id} is {rolled.value} and ended at {job.ended_at}"


def _counts(tally: Mapping[TaskState, int]) -> str:
    return ", ".join(f"{count} {state.value}" for state, count in tally.items())


def gangs_stand_together(sight: Sight) -> Iterator[str]:
    """V-04: a round of a gang is made at once, on one slice, rank i on host i, after the last is over."""
    for job in sight.open_jobs:
        if not job.spec.coscheduled:
            continue
        if len({len(task.attempts) for task in job.tasks}) > 1:
            yield f"V-04 gang {job.id} has members with {[len(t.attempts) for t in job.tasks]} attempts"
            continue
        latest = len(job.tasks[0].attempts) - 1
        for number in range(max(0, latest), latest + 1):
            yield from _round_of_gang(job, number)


def _round_of_gang(job: Job, number: int) -> Iterator[str]:
    lead = job.tasks[0].attempts[number]
    for task in job.tasks:
        attempt = task.attempts[number]
        name = attempt_name(task.id, number)
        if attempt.slice != lead.slice or attempt.assigned_at != lead.assigned_at:
            where = f"{attempt.slice} at {attempt.assigned_at}"
            yield f"V-04 {name} is on {where}, rank 0 on {lead.slice} at {lead.assigned_at}"
        if attempt.worker != worker_id(attempt.slice, task.index):
            yield f"V-04 {name} is on {attempt.worker}, not on host {task.index} of {attempt.slice}"
        before = task.attempts[number - 1].ended_at if number else lead.assigned_at
        if before is None or before > lead.assigned_at:
            yield f"V-04 {name} was made at {lead.assigned_at}, the one before ended at {before}"


# ---- slices, limits, time ----------------------------------------------------------------------


def limits_hold(sight: Sight) -> Iterator[str]:
    """V-07: the bucket of creates is never overdrawn nor overfull, and every gate lets a probe through."""
    books, policy = sight.state.books, sight.state.spec.autoscaler
    if not 0 <= books.tokens <= policy.create_burst * TOKEN:
        yield f"V-07 the create bucket holds {books.tokens} of {policy.create_burst * TOKEN}"
    for gate in sight.state.gates.values():
        if not gate.window >= 1:
            yield f"V-07 the gate of {gate.accelerator_type} in {gate.zone} is {gate.window} wide"


def slices_are_whole(sight: Sight) -> Iterator[str]:
    """V-10: a ready slice has all of its hosts; a lost host leaves no part of its slice in use."""
    workers = sight.state.workers
    for slice_ in sight.state.slices.values():
        hosts = [workers.get(w) if w is not None else None for w in slice_.workers]
        for index, worker in enumerate(hosts):
            if worker is None and slice_.workers[index] is not None:
                yield f"V-10 slice {slice_.id} lists {slice_.workers[index]}, which is not known"
            if worker is not None and (worker.slice, worker.host) != (slice_.id, index):
                yield f"V-10 {worker.id} is host {worker.host} of {worker.slice}, listed as {index} of {slice_.id}"
        if slice_.state in STANDING and (not hosts or None in hosts):
            yield f"V-10 slice {slice_.id} is {slice_.state.value} with hosts {slice_.workers}"
        lost = [w.id for w in hosts if w is not None and w.state is WorkerState.LOST]
        if lost and slice_.state not in GIVEN_UP:
            yield f"V-10 slice {slice_.id} is {slice_.state.value}, and lost {', '.join(lost)}"


def nothing_waits_for_ever(sight: Sight) -> Iterator[str]:
    """V-13: whatever has not ended has a deadline in the queue, or a named event that must come."""
    for job in sight.open_jobs:
        if job.spec.scheduling_timeout is not None:
            yield from _unarmed(sight, Due.SCHEDULING, job.id)
        waiting = frozenset(unit.member for unit in sight.state.units_of(job))
        for task in job.tasks:
            yield from _task_is_awaited(sight, job, task, waiting)
    for slice_ in sight.state.slices.values():
        yield from _slice_is_awaited(sight, slice_)
    for worker in sight.state.workers.values():
        slice_ = sight.state.slices[worker.slice]
        if worker.state is WorkerState.SILENT and slice_.state not in GIVEN_UP:
            yield from _unarmed(sight, Due.SILENCE, worker.id)
            if worker.silent_since is None:
                yield f"V-13 worker {worker.id} is silent since nobody knows when"
    for due in (Due.OBSERVE, Due.SCALE):
        if due is Due.SCALE or sight.state.groups:
            yield from _unarmed(sight, due, "")


def silence_is_bounded(sight: Sight) -> Iterator[str]:
    """V-12: nobody who stays silent on a slice in use is on the books for longer than the timeout."""
    for worker in sight.state.workers.values():
        if worker.state is not WorkerState.SILENT:
            continue
        at = due_at(sight.state, Due.SILENCE, worker.id)
        standing = sight.state.slices[worker.slice].state not in GIVEN_UP
        if standing and at is not None and at <= sight.state.now:
            yield f"V-12 worker {worker.id} is silent since {worker.silent_since}, and is not given up"


def _unarmed(sight: Sight, due: Due, key: str) -> Iterator[str]:
    at = due_at(sight.state, due, key)
    if due is Due.IDLE and at is not None and at <= sight.state.now:
        return  # Its time has come, and somebody wants it, or it is a floor.
    if at is not None and (at, due, key) not in sight.armed:
        yield f"V-13 {due.name.lower()} of {key or 'the cloud'} at {at} is not in the queue"


def _task_is_awaited(sight: Sight, job: Job, task: Task, waiting: frozenset[int]) -> Iterator[str]:
    attempt = sight.state.live_attempt(task)
    if attempt is not None:
        for due in (Due.LAUNCH, Due.TIMEOUT, Due.STOP):
            yield from _unarmed(sight, due, task.id)
        if attempt.state is AttemptState.STOPPING and attempt.stop_deadline is None:
            yield f"V-13 {attempt_name(task.id, attempt.number)} stops without a deadline"
        return
    if task.state is not TaskState.PENDING:
        return
    if task.not_before is not None and task.not_before > sight.state.now:
        yield from _unarmed(sight, Due.RETRY, task.id)
        return
    member = GANG if job.spec.coscheduled else task.index
    if member in waiting or (job.id, member) in sight.state.holds:
        return
    if job.spec.coscheduled and any(_delays(sight.state, t) for t in job.tasks):
        return
    yield f"V-13 task {task.id} is pending, and neither waits for room nor for a deadline"


def _delays(state: ClusterState, member: Task) -> bool:
    """Whether a gang waits for this member: for its end, or for the end of its pause."""
    paused = member.not_before is not None and member.not_before > state.now
    return paused or state.live_attempt(member) is not None


def _slice_is_awaited(sight: Sight, slice_: Slice) -> Iterator[str]:
    for due in (Due.SLICE, Due.CORDON, Due.IDLE):
        yield from _unarmed(sight, due, slice_.id)
    if slice_.state in COMING or slice_.state is SliceState.DELETING:
        if slice_.deadline is None:
            yield f"V-13 slice {slice_.id} is {slice_.state.value} without a deadline"
    elif slice_.state is SliceState.DRAINING:
        if not any(sight.state.workers[w].attempts for w in slice_.workers if w is not None):
            yield f"V-13 slice {slice_.id} drains, and nothing is left on it"
    elif slice_.state in (SliceState.FAILED, SliceState.PREEMPTED):
        yield f"V-13 slice {slice_.id} is {slice_.state.value}, and its delete was not asked for"


def ended_is_ended(sight: Sight) -> Iterator[str]:
    """V-15: below an ended job nothing is unfinished but stops, and nothing waits."""
    jobs = sight.state.jobs
    for job in sight.open_jobs:
        above = _ended_above(jobs, job)
        if above is not None and job.ending is None:
            yield f"V-15 job {job.id} is {job.state.value} below {above}, which has ended"
    for job, task, attempt in sight.live:
        over = job.ended_at is not None or job.ending is not None
        if over and attempt.state is not AttemptState.STOPPING:
            name = attempt_name(task.id, attempt.number)
            yield f"V-15 {name} is {attempt.state.value}, and job {job.id} has ended or is ending"


def _ended_above(jobs: Mapping[JobId, Job], job: Job) -> JobId | None:
    parent = job.spec.parent
    while parent is not None:
        record = jobs.get(parent)
        if record is None or record.ended_at is not None:
            return parent
        parent = record.spec.parent
    return None


def endpoints_are_of_the_living(sight: Sight) -> Iterator[str]:
    """V-28: no listed endpoint belongs to an ended or to an earlier attempt."""
    last = {task.id: attempt.number for _, task, attempt in sight.live}
    for name, listed in sight.state.endpoints.items():
        for endpoint in listed:
            if last.get(name) != endpoint.attempt:
                told = last.get(name, "none")
                yield f"V-28 {endpoint.id} is listed, and the unfinished attempt of {name} is {told}"


STATE_PREDICATES: Final[tuple[Predicate, ...]] = (
    ledger_is_the_sum,
    attempts_are_numbered,
    states_roll_up,
    gangs_stand_together,
    limits_hold,
    slices_are_whole,
    nothing_waits_for_ever,
    silence_is_bounded,
    ended_is_ended,
    endpoints_are_of_the_living,
)
