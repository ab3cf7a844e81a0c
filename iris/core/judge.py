"""What becomes of jobs: which are admitted, which tasks are tried again, and which jobs must end.

A single task is judged when its attempt has ended. A gang is judged when all attempts of its round
have ended, by the set of their causes; as soon as one ends abnormally the others are stopped. A
job that ends takes its whole tree with it, in the same turn.
"""

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Final

from iris.core import decisions as de
from iris.core.deadlines import Due
from iris.core.due import is_due
from iris.core.effects import Accepted, Refusal, Rejected
from iris.core.events import JobSubmitted
from iris.core.fit import refusal
from iris.core.ids import JobId, RequestId, TaskId, is_name, job_id
from iris.core.instant import MINUTE, Instant, Millis, after, since
from iris.core.lifecycle import AttemptState, JobState, TaskState
from iris.core.records import Attempt, Job, Task
from iris.core.resources import amount
from iris.core.retry import BUILD_TRIES, MEANING, Budget, EndCause, charge_of, failed_builds
from iris.core.spec import MAX_LEVELS, MAX_REPLICAS, JobSpec
from iris.core.stakes import Shortfall, depth_of
from iris.core.state import ClusterState

QUICK: Final = MINUTE
"""An attempt that failed sooner than this was quick; quick failures in a row are spaced out."""

_GROUPS_TOLD: Final = 4

_SPACED: Final = frozenset(
    {
        EndCause.EXIT_NONZERO,
        EndCause.OUT_OF_MEMORY,
        EndCause.LAUNCH,
        EndCause.BUILD,
        EndCause.UNKNOWN,
    }
)


def plan_jobs(state: ClusterState) -> Iterator[de.Decision]:
    """Admissions, stops and timeouts first, then verdicts until none is outstanding."""
    news = state.news
    for submission in news.submissions:
        yield _answer_submission(state, submission)
        if _never_fits(state, submission):
            job = job_id(submission.spec.parent, submission.spec.user, submission.spec.name)
            why = _why_never(state, state.jobs[job])
            yield de.JobEnd(job, JobState.UNSCHEDULABLE, EndCause.JOB_ENDED, why)
    for stop in news.stops:
        yield from _stop_job(state, stop.job, stop.request)
    for due, key in news.due:
        yield from _expire(state, due, key)
    yield from _judge_all(state)


def _judge_all(state: ClusterState) -> Iterator[de.Decision]:
    news = state.news
    while news.unknown or news.ended or news.finished:
        for task in list(news.unknown):
            del news.unknown[task]
            why = "its worker does not know it"
            if state.live_attempt(state.tasks[task]) is not None:
                yield de.AttemptLoss(task, EndCause.UNKNOWN, why)
        for name in list(news.ended):
            del news.ended[name]
            job = state.jobs[state.tasks[name].job]
            if job.spec.coscheduled:
                yield from _judge_gang(state, job)
            else:
                yield from _judge_task(state, job, state.tasks[name])
        for finished in list(news.finished):
            del news.finished[finished]
            for child in state.jobs[finished].children:
                yield from end_tree(
                    state, child, JobState.KILLED, EndCause.REQUESTED, "its parent has ended"
                )


# ---- admission ---------------------------------------------------------------------------------


def _answer_submission(state: ClusterState, submission: JobSubmitted) -> de.Decision:
    spec = _with_inherited(state, submission.spec)
    known = state.requests.get(submission.request)
    if known is not None:
        why = _why_another(spec, state.jobs[known])
        answer = Rejected(why, Refusal.CONFLICT) if why else Accepted(known)
        return de.Answer(submission.request, answer)
    job = job_id(spec.parent, spec.user, spec.name)
    why = _why_invalid(spec) or _why_too_many(state, spec)
    if why:
        return de.Answer(submission.request, Rejected(why))
    why = _why_in_conflict(state, spec, job)
    if why:
        return de.Answer(submission.request, Rejected(why, Refusal.CONFLICT))
    return de.Admission(submission.request, job, spec)


def _with_inherited(state: ClusterState, spec: JobSpec) -> JobSpec:
    """With what a child has of its parent: variables that it does not set, and every constraint."""
    parent = state.jobs.get(spec.parent) if spec.parent is not None else None
    if parent is None:
        return spec
    own = {(c.key, c.op, c.values) for c in spec.constraints}
    constraints = [
        replace(c, inherited=True)
        for c in parent.spec.constraints
        if (c.key, c.op, c.values) not in own
    ]
    variables = {**dict(parent.spec.environment), **dict(spec.environment)}
    return replace(
        spec,
        constraints=(*spec.constraints, *constraints),
        environment=tuple(sorted(variables.items())),
    )


def _why_another(spec: JobSpec, known: Job) -> str:
    """What a submission asks for otherwise than the job that its request has made already.

    Payloads are not compared: the same function need not give the same bytes in another process.
    """
    for field in fields(JobSpec):
        asked, has = getattr(spec, field.name), getattr(known.spec, field.name)
        if field.name != "payload" and asked != has:
            return (
                f"this request id has made {known.id} already, and there {field.name} is another;"
                " use a request id for one job only"
            )
    return ""


def _why_invalid(spec: JobSpec) -> str:
    for what, text in (("user", spec.user), ("name", spec.name)):
        if not is_name(text):
            return f"{what} {text!r}: use 1 to 63 letters, digits, '_', '.' or '-', no '.' or '-' first"
    if spec.parent is not None and not spec.parent.startswith(f"/{spec.user}/"):
        return f"user {spec.user}: a child of {spec.parent} belongs to the user whose job that is"
    if spec.parent is not None and depth_of(spec.parent) + 1 >= MAX_LEVELS:
        return f"job {spec.name} below {spec.parent}: a tree has at most {MAX_LEVELS} levels"
    if not 1 <= spec.replicas <= MAX_REPLICAS:
        return f"replicas {spec.replicas}: a job has 1 to {MAX_REPLICAS}"
    if min(spec.resources) < 0 or not any(spec.resources):
        return f"resources {tuple(spec.resources)}: amounts are not negative, and one is above zero"
    if min(spec.max_retries_failure, spec.max_retries_preemption) < 0:
        return "max_retries_failure and max_retries_preemption: a budget is not negative"
    return ""


def _why_too_many(state: ClusterState, spec: JobSpec) -> str:
    most, has = state.spec.scheduler.max_tasks_per_user, state.unended.get(spec.user, 0)
    if has + spec.replicas <= most:
        return ""
    tasks = f"{has} tasks that have not ended, and {spec.replicas} more would be above {most}"
    return (
        f"user {spec.user} has {tasks} (scheduler.max_tasks_per_user); wait for some, or stop them"
    )


def _why_in_conflict(state: ClusterState, spec: JobSpec, job: JobId) -> str:
    if job in state.jobs:
        return f"job {job} exists already ({state.jobs[job].state.value}); choose another name"
    if spec.parent is not None:
        parent = state.jobs.get(spec.parent)
        if parent is None or parent.ended_at is not None or parent.ending is not None:
            return f"parent {spec.parent} is not a running job"
    return ""


def _never_fits(state: ClusterState, submission: JobSubmitted) -> bool:
    """Whether the job that was just admitted can be placed on no group, however empty."""
    job = state.jobs.get(state.requests.get(submission.request, JobId("")))
    if job is None or job.submitted_at != state.now:
        return False
    if job.ending is not None or job.ended_at is not None:
        return False
    return _over_any_quota(state, job) is not None or not state.room.ranking(state.shapes[job.id])


def _over_any_quota(state: ClusterState, job: Job) -> Shortfall | None:
    """What its user's quota lacks for what must start at once, even if the user holds nothing else."""
    at_once = len(job.tasks) if job.spec.coscheduled else 1
    return state.stakes.never(job.spec.user, job.spec.resources, at_once)


def _why_never(state: ClusterState, job: Job) -> str:
    """What its user's quota lacks, or each group, of the first few."""
    short = _over_any_quota(state, job)
    if short is not None:
        what = "its gang" if job.spec.coscheduled else "one of its tasks"
        need, most = (amount(short.dimension, number) for number in (short.need, short.most))
        return f"{what} needs {need}, and scheduler.quotas.{short.user} allows {most} in all"
    shape = state.shapes[job.id]
    told = []
    for group in state.spec.groups[:_GROUPS_TOLD]:
        why = refusal(shape, group, group.zones[0])
        assert why is not None, group.name
        told.append(f"{group.name} has {why.have} ({why.check}), it needs {why.need}")
    left = len(state.spec.groups) - len(told)
    more = [f"and {left} more groups"] if left else []
    return "; ".join(["no group can ever hold one of its tasks", *told, *more])


# ---- ends that were asked for ------------------------------------------------------------------


def _stop_job(state: ClusterState, job: JobId, asked: RequestId) -> Iterator[de.Decision]:
    if job not in state.jobs:
        yield de.Answer(asked, Rejected(f"job {job} is not known", Refusal.UNKNOWN))
        return
    yield from end_tree(state, job, JobState.KILLED, EndCause.REQUESTED, "its user stopped it")
    yield de.Answer(asked, Accepted(job))


def end_tree(
    state: ClusterState, job: JobId, to: JobState, cause: EndCause, why: str
) -> Iterator[de.Decision]:
    """End a job, and kill everything below it; what has ended or is ending is left alone."""
    record = state.jobs[job]
    if record.ended_at is None and record.ending is None:
        yield de.JobEnd(job, to, cause, why)
    for child in record.children:
        yield from end_tree(
            state, child, JobState.KILLED, EndCause.REQUESTED, "its parent has ended"
        )


def _expire(state: ClusterState, due: Due, key: str) -> Iterator[de.Decision]:
    if not is_due(state, due, key, state.now):
        return  # What was awaited has come in this very instant.
    if due is Due.SCHEDULING:
        job = state.jobs[JobId(key)]
        why = "not every task ran within its scheduling timeout"
        yield from end_tree(state, job.id, JobState.UNSCHEDULABLE, EndCause.JOB_ENDED, why)
    elif due is Due.TIMEOUT:
        yield de.AttemptStop(TaskId(key), EndCause.TIMEOUT, "it ran for longer than its timeout")
    elif due is Due.LAUNCH:
        yield de.AttemptStop(TaskId(key), EndCause.LAUNCH, "it was not running in time")


# ---- verdicts ----------------------------------------------------------------------------------


def _judge_task(state: ClusterState, job: Job, task: Task) -> Iterator[de.Decision]:
    if task.verdict is not None or task.state is not TaskState.PENDING:
        return
    attempt = task.attempts[-1]
    assert attempt.cause is not None, task
    charge = MEANING[attempt.cause].charges
    if job.ending is not None:
        yield de.TaskVerdict(task.id, _verdict_when_ending(attempt), job.why)
    elif charge is None:
        yield from _fail(state, job, [task], _unrepeatable(attempt))
    else:
        spent = sum(1 for a in task.attempts if a.cause and MEANING[a.cause].charges is charge)
        builds = failed_builds([[a.cause] for a in task.attempts])
        if spent > _budget(job, charge):
            yield from _fail(state, job, [task], _spent(job, charge, attempt))
        elif builds >= BUILD_TRIES:
            yield from _fail(state, job, [task], _unbuildable(builds, attempt))
        else:
            pause = _pause(state, [task])
            yield de.Retry(job.id, (task.id,), charge, pause, attempt.cause.value)


def _judge_gang(state: ClusterState, job: Job) -> Iterator[de.Decision]:
    tasks = job.tasks
    if job.ended_at is not None or all(t.retried == len(t.attempts) for t in tasks):
        return
    last = [t.attempts[-1] for t in tasks]
    bad = [t for t, a in zip(tasks, last, strict=True) if _ended_badly(a)]
    if not bad:
        return
    if any(a.ended_at is None for a in last):
        why = f"member {bad[0].index} of its gang ended"
        for task, attempt in zip(tasks, last, strict=True):
            if attempt.ended_at is None and attempt.state is not AttemptState.STOPPING:
                yield de.AttemptStop(task.id, EndCause.SIBLING, why)
        return
    if job.ending is not None:
        for task, attempt in zip(tasks, last, strict=True):
            if task.verdict is None and task.state is TaskState.PENDING:
                yield de.TaskVerdict(task.id, _verdict_when_ending(attempt), job.why)
        return
    yield from _judge_round(state, job, last, bad)


def _judge_round(
    state: ClusterState, job: Job, last: list[Attempt], bad: list[Task]
) -> Iterator[de.Decision]:
    charge = charge_of(a.cause for a in last if a.cause is not None)
    guilty = [t for t in bad if _charges(t.attempts[-1], charge)]
    worst = guilty[0].attempts[-1]
    if charge is None:
        yield from _fail(state, job, guilty, _unrepeatable(worst))
        return
    rounds = [
        [a.cause for a in attempts]
        for attempts in zip(*(t.attempts for t in job.tasks), strict=True)
    ]
    charges = [charge_of(c for c in causes if c is not None) for causes in rounds]
    spent, builds = charges.count(charge), failed_builds(rounds)
    if spent > _budget(job, charge):
        yield from _fail(state, job, guilty, _spent(job, charge, worst))
        return
    if builds >= BUILD_TRIES:
        unbuilt = [t for t in guilty if t.attempts[-1].cause is EndCause.BUILD]
        yield from _fail(state, job, unbuilt, _unbuildable(builds, unbuilt[0].attempts[-1]))
        return
    assert worst.cause is not None, worst
    tasks = tuple(t.id for t in job.tasks)
    yield de.Retry(job.id, tasks, charge, _pause(state, guilty), worst.cause.value)


def _ended_badly(attempt: Attempt) -> bool:
    return attempt.ended_at is not None and attempt.state is not AttemptState.SUCCEEDED


def _charges(attempt: Attempt, charge: Budget | None) -> bool:
    """Whether an attempt's own end brought the charge; a stopped sibling brings none."""
    if attempt.cause is None or attempt.cause is EndCause.SIBLING:
        return False
    return MEANING[attempt.cause].charges is charge


def _verdict_when_ending(attempt: Attempt) -> TaskState:
    return TaskState.FAILED if attempt.cause is EndCause.TIMEOUT else TaskState.KILLED


def _budget(job: Job, charge: Budget) -> int:
    if charge is Budget.FAILURE:
        return job.spec.max_retries_failure
    return job.spec.max_retries_preemption


def _spent(job: Job, charge: Budget, attempt: Attempt) -> str:
    """Why there is no further attempt."""
    budget = f"max_retries_{charge.value} is {_budget(job, charge)}"
    return f"attempt {attempt.number} ended: {_end_of(attempt)}; {budget}"


def _unbuildable(builds: int, attempt: Attempt) -> str:
    return f"attempt {attempt.number} ended: {_end_of(attempt)}; {builds} builds failed in a row"


def _unrepeatable(attempt: Attempt) -> str:
    return f"attempt {attempt.number} ended: {_end_of(attempt)}"


def _end_of(attempt: Attempt) -> str:
    """Its cause, with what its worker said of it unless that only says how it was stopped."""
    cause = attempt.cause.value if attempt.cause is not None else EndCause.UNKNOWN.value
    if attempt.cause is EndCause.TIMEOUT or not attempt.detail:
        return cause
    return f"{cause}, {attempt.detail}"


def _fail(state: ClusterState, job: Job, tasks: list[Task], why: str) -> Iterator[de.Decision]:
    for task in tasks:
        yield de.TaskVerdict(task.id, TaskState.FAILED, why)
    told = why if len(job.tasks) == 1 else f"task {tasks[0].index}: {why}"
    yield from end_tree(state, job.id, JobState.FAILED, EndCause.JOB_ENDED, told)


def _pause(state: ClusterState, tasks: list[Task]) -> Instant | None:
    """When a task may be tried again: at once, unless quick failures follow one another."""
    timeouts = state.spec.timeouts
    longest = max(_quick_failures(task) for task in tasks)
    if not longest:
        return None
    pause = min(timeouts.retry_backoff << min(longest - 1, 20), timeouts.max_retry_backoff)
    return after(state.now, Millis(pause)) if pause else None


def _quick_failures(task: Task) -> int:
    count = 0
    for attempt in reversed(task.attempts):
        if attempt.ended_at is None or attempt.cause not in _SPACED:
            break
        if since(attempt.assigned_at, attempt.ended_at) >= QUICK:
            break
        count += 1
    return count
