"""Between protobuf and the records of the core: the one place that knows both.

What comes off the wire is checked here and refused in full sentences; nothing unchecked gets on.
"""

import re
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import TypeVar

from iris.core.events import AttemptReport, WorkerRegistered
from iris.core.ids import GroupName, JobId, SliceId, TaskId, UserName, Zone, split_task_id
from iris.core.instant import Millis
from iris.core.lifecycle import AttemptState
from iris.core.resources import Resources
from iris.core.retry import EndCause
from iris.core.spec import MAX_REPLICAS, Band, Constraint, ConstraintOp, JobSpec
from iris.core.views import (
    AttemptView,
    GroupView,
    JobLine,
    JobView,
    SliceView,
    TaskView,
    WorkerView,
)
from iris.rpc import iris_pb2 as pb

_E = TypeVar("_E", bound=Enum)
_INDEX = re.compile("[0-9]{1,9}")

MAX_RETRIES = 1_000_000
MAX_KEEP_MS = 366 * 86_400_000
MAX_WORD_BYTES = 131_071
"""Of one word of a command, or one variable with its name: what Linux lets a process be started with."""
MAX_WORDS_BYTES = 1_500_000
"""Of all words of a command, or of all variables."""


class Malformed(ValueError):
    """A message that says what cannot be; tells which field, the value, and what would be right."""


def word(kind: type[_E], text: str, field: str) -> _E:
    """The member of an enumeration that a field names.

    Raises:
        Malformed: it names none.
    """
    try:
        return kind(text)
    except ValueError:
        words = ", ".join(str(member.value) for member in kind)
        raise Malformed(f"{field}: {text!r} is none of {words}") from None


def count_from_wire(number: int, field: str, *, least: int = 0) -> int:
    """A number that counts something.

    Raises:
        Malformed: it is too small.
    """
    if number < least:
        raise Malformed(f"{field}: {number} is less than {least}")
    return number


def _span(message: pb.JobSpec, field: str) -> Millis | None:
    if not message.HasField(field):
        return None
    return Millis(count_from_wire(int(getattr(message, field)), field, least=1))


# ---- jobs --------------------------------------------------------------------------------------


def resources_to_wire(amount: Resources) -> pb.Resources:
    """An amount of resources."""
    return pb.Resources(
        chips=amount.chips,
        cpu_milli=amount.cpu,
        memory_bytes=amount.memory,
        disk_bytes=amount.disk,
        ports=amount.ports,
    )


def resources_from_wire(message: pb.Resources) -> Resources:
    """An amount of resources, none of them negative.

    Raises:
        Malformed: one is.
    """
    return Resources(
        chips=count_from_wire(message.chips, "resources.chips"),
        cpu=count_from_wire(message.cpu_milli, "resources.cpu"),
        memory=count_from_wire(message.memory_bytes, "resources.memory"),
        disk=count_from_wire(message.disk_bytes, "resources.disk"),
        ports=count_from_wire(message.ports, "resources.ports"),
    )


def spec_to_wire(spec: JobSpec) -> pb.JobSpec:
    """A job as it was submitted."""
    return pb.JobSpec(
        user=spec.user,
        name=spec.name,
        parent=spec.parent,
        replicas=spec.replicas,
        coscheduled=spec.coscheduled,
        resources=resources_to_wire(spec.resources),
        accelerator=spec.accelerator,
        band=spec.band.name.lower(),
        constraints=[
            pb.Constraint(
                key=c.key, op=c.op.value, values=c.values, soft=c.soft, inherited=c.inherited
            )
            for c in spec.constraints
        ],
        max_retries_failure=spec.max_retries_failure,
        max_retries_preemption=spec.max_retries_preemption,
        scheduling_timeout_ms=spec.scheduling_timeout,
        timeout_ms=spec.timeout,
        checkpoint_every_ms=spec.checkpoint_every,
        ports=spec.ports,
        environment=[pb.Variable(name=name, value=value) for name, value in spec.environment],
        payload=spec.payload,
    )


def spec_from_wire(message: pb.JobSpec) -> JobSpec:
    """A submitted job.

    Raises:
        Malformed: it says what cannot be.
    """
    bands = {band.name.lower(): band for band in Band}
    if message.band not in bands:
        raise Malformed(f"band: {message.band!r} is none of {', '.join(bands)}")
    return JobSpec(
        user=UserName(message.user),
        name=message.name,
        parent=JobId(message.parent) if message.HasField("parent") else None,
        replicas=_replicas(message.replicas),
        coscheduled=message.coscheduled,
        resources=resources_from_wire(message.resources),
        accelerator=message.accelerator if message.HasField("accelerator") else None,
        band=bands[message.band],
        constraints=tuple(_constraint(c) for c in message.constraints),
        max_retries_failure=_retries(message.max_retries_failure, "max_retries_failure"),
        max_retries_preemption=_retries(message.max_retries_preemption, "max_retries_preemption"),
        scheduling_timeout=_span(message, "scheduling_timeout_ms"),
        timeout=_span(message, "timeout_ms"),
        checkpoint_every=_span(message, "checkpoint_every_ms"),
        ports=tuple(message.ports),
        environment=_environment(message),
        payload=message.payload,
    )


def _replicas(number: int) -> int:
    if number > MAX_REPLICAS:
        raise Malformed(f"replicas: {number} is more than {MAX_REPLICAS}")
    return count_from_wire(number, "replicas", least=1)


def _environment(message: pb.JobSpec) -> tuple[tuple[str, str], ...]:
    for variable in message.environment:
        if not variable.name or "=" in variable.name:
            raise Malformed(f"environment: {variable.name!r} is no name of a variable")
    check_words([f"{v.name}={v.value}" for v in message.environment], "environment")
    return tuple((v.name, v.value) for v in message.environment)


def check_words(words: Sequence[str], field: str) -> None:
    """Refuse words that no process can be started with.

    Raises:
        Malformed: one holds a NUL, or is too long, or all of them are.
    """
    total = 0
    for number, text in enumerate(words):
        size = len(text.encode())
        total += size
        if "\0" in text:
            raise Malformed(f"{field}: word {number} holds a NUL, which no process can be given")
        if size > MAX_WORD_BYTES:
            limit = f"more than {MAX_WORD_BYTES}; put it into a file of the workspace"
            raise Malformed(f"{field}: word {number} has {size} bytes, {limit}")
    if total > MAX_WORDS_BYTES:
        limit = f"more than {MAX_WORDS_BYTES}; put them into a file of the workspace"
        raise Malformed(f"{field}: {total} bytes in all, {limit}")


def _retries(number: int, field: str) -> int:
    if number > MAX_RETRIES:
        raise Malformed(f"{field}: {number} is more than {MAX_RETRIES}")
    return count_from_wire(number, field)


def _constraint(message: pb.Constraint) -> Constraint:
    if not message.key:
        raise Malformed("constraints: one has no key")
    op = word(ConstraintOp, message.op, f"constraints: op of {message.key!r}")
    return Constraint(message.key, op, tuple(message.values), message.soft, message.inherited)


# ---- views -------------------------------------------------------------------------------------


def _counts(pairs: Iterable[tuple[Enum, int]]) -> list[pb.Count]:
    return [pb.Count(state=state.value, number=number) for state, number in pairs]


def job_line_to_wire(line: JobLine) -> pb.Job:
    """A job as one line of a list."""
    return pb.Job(
        id=line.id,
        state=line.state.value,
        user=line.user,
        band=line.band.name.lower(),
        submitted_at_ms=line.submitted_at,
        ended_at_ms=line.ended_at,
        tasks=_counts(line.tasks),
    )


def job_to_wire(view: JobView) -> pb.Job:
    """A job with everything that is on record of it; the values of its environment stay behind."""
    message = job_line_to_wire(view.line)
    message.why = view.why
    message.spec.CopyFrom(spec_to_wire(view.spec))
    for variable in message.spec.environment:
        variable.value = "***"
    message.details.extend(task_to_wire(task) for task in view.tasks)
    message.children.extend(view.children)
    return message


def task_to_wire(view: TaskView) -> pb.Task:
    """A task with its attempts."""
    attempts = [attempt_to_wire(attempt) for attempt in view.attempts]
    return pb.Task(id=view.id, state=view.state.value, attempts=attempts, why=view.why)


def attempt_to_wire(view: AttemptView) -> pb.Attempt:
    """One try at a task."""
    return pb.Attempt(
        number=view.number,
        state=view.state.value,
        worker=view.worker,
        slice=view.slice,
        assigned_at_ms=view.assigned_at,
        started_at_ms=view.started_at,
        ended_at_ms=view.ended_at,
        cause=view.cause.value if view.cause is not None else "",
        detail=view.detail,
    )


def worker_to_wire(view: WorkerView) -> pb.Worker:
    """A worker."""
    return pb.Worker(
        id=view.id,
        slice=view.slice,
        host=view.host,
        address=view.address,
        state=view.state.value,
        cordoned=view.cordoned,
        offers=resources_to_wire(view.offers),
        committed=resources_to_wire(view.committed),
        tasks=view.tasks,
    )


def slice_to_wire(view: SliceView) -> pb.Slice:
    """A slice."""
    return pb.Slice(
        id=view.id,
        group=view.group,
        zone=view.zone,
        state=view.state.value,
        workers=[name or "" for name in view.workers],
        requested_at_ms=view.requested_at,
        ready_at_ms=view.ready_at,
        live=view.live,
        why=view.why,
    )


def group_to_wire(view: GroupView, scaling: Iterable[str]) -> pb.Group:
    """A scale group, and what its autoscaler says."""
    return pb.Group(
        name=view.spec.name,
        accelerator_type=view.spec.accelerator_type,
        min_slices=view.spec.min_slices,
        max_slices=view.spec.max_slices,
        slices=_counts(view.slices),
        scaling=list(scaling),
    )


# ---- workers -----------------------------------------------------------------------------------


def registration_from_wire(message: pb.RegisterRequest) -> WorkerRegistered:
    """An agent's introduction.

    Raises:
        Malformed: it lacks what identifies a worker.
    """
    for field in ("slice", "incarnation", "address"):
        if not getattr(message, field):
            raise Malformed(f"{field}: a worker without one is nobody")
    return WorkerRegistered(
        slice=SliceId(message.slice),
        host=count_from_wire(message.host, "host"),
        incarnation=message.incarnation,
        address=message.address,
        offers=resources_from_wire(message.offers),
        group=GroupName(message.group) if message.group else None,
        zone=Zone(message.zone) if message.zone else None,
    )


def report_to_wire(report: AttemptReport) -> pb.Report:
    """What a worker says of one attempt."""
    return pb.Report(
        task=report.task,
        attempt=report.attempt,
        state=report.state.value,
        cause=report.cause.value if report.cause is not None else "",
        detail=report.detail,
    )


def report_from_wire(message: pb.Report) -> AttemptReport:
    """What a worker says of one attempt.

    Raises:
        Malformed: it names no attempt, or a state or cause that there is not.
    """
    cause = word(EndCause, message.cause, "cause") if message.cause else None
    state = word(AttemptState, message.state, "state")
    attempt = attempt_from_wire(message.attempt)
    return AttemptReport(task_from_wire(message.task), attempt, state, cause, message.detail)


def attempt_from_wire(number: int) -> int:
    """The number of an attempt.

    Raises:
        Malformed: it is negative.
    """
    return count_from_wire(number, "attempt")


def limit_from_wire(number: int, most: int) -> int:
    """How many rows of a list are asked for: `most` if that is not said, and never more.

    Raises:
        Malformed: it is negative.
    """
    return min(count_from_wire(number, "limit") or most, most)


def keep_from_wire(number: int) -> Millis:
    """For how long a slice is kept though nobody uses it.

    Raises:
        Malformed: it is negative, or longer than a year.
    """
    if number > MAX_KEEP_MS:
        raise Malformed(f"keep_ms: {number} is more than {MAX_KEEP_MS}, a year")
    return Millis(count_from_wire(number, "keep_ms"))


def offset_from_wire(number: int) -> int:
    """A place in a log.

    Raises:
        Malformed: it is negative.
    """
    return count_from_wire(number, "offset")


def task_from_wire(text: str) -> TaskId:
    """The name of a task.

    Raises:
        Malformed: it is none.
    """
    _, colon, index = text.rpartition(":")
    if not colon or not _INDEX.fullmatch(index) or not text.startswith("/"):
        raise Malformed(f"{text!r} is no task; write one as /user/job:0")
    split_task_id(TaskId(text))
    return TaskId(text)
