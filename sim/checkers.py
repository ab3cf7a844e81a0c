"""What must be true of a run, judged by the world's own record and the controller's books at its end.

Nothing here was consulted while the run went on. `containers` and `machines` are what really was;
the books are what the controller believed. The marks are those of the invariants.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from iris.core.agent import LAST_GRACE
from iris.core.explain import why_waiting
from iris.core.ids import JobId, SliceId, TaskId, attempt_name
from iris.core.instant import HOUR, MINUTE, SECOND, Instant, Millis
from iris.core.lifecycle import JobState, SliceState
from iris.core.retry import EndCause
from iris.core.state import ClusterState
from iris.core.telling import sentences
from sim.containers import Container

SLACK = Millis(5 * MINUTE)
"""Beyond the configured bounds: what messages, turns and pauses may add."""
QUIET = Millis(20 * MINUTE)
"""A world that has settled decides nothing for so long."""
BOUND = Millis(12 * HOUR)
"""After it has calmed down, a world must have ended everything within this."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a run has left."""

    state: ClusterState
    containers: Sequence[Container]
    machines: Mapping[SliceId, object]
    """What is there in the cloud."""
    unfinished: Sequence[JobId]
    """Jobs that were submitted, and of whose end the books say nothing."""
    calm_since: Instant | None  # None: things go wrong to the end
    settled: bool
    """Everything had ended long before the end."""
    decided_at: Instant
    """When something was last decided."""
    worst_stop: Millis
    """The longest that a container may outlive its SIGKILL."""
    faultless: bool
    """Nothing was to go wrong in this world."""
    now: Instant


def what_is_wrong(evidence: Evidence) -> Iterator[str]:
    """A sentence for everything that must not be."""
    yield from _once_at_a_time(evidence)
    yield from _no_attempt_twice(evidence)
    yield from _never_back(evidence)
    yield from _success_was_seen(evidence)
    yield from _stops_are_carried_out(evidence)
    yield from _nothing_is_lost_by_itself(evidence)
    yield from _nobody_outlives_its_parent(evidence)
    if evidence.calm_since is not None:
        yield from _everything_ended(evidence)
        if evidence.settled:
            yield from _books_and_world_agree(evidence)
            yield from _quiet(evidence)


def _once_at_a_time(evidence: Evidence) -> Iterator[str]:
    """V-02: no two containers of a task run at once, but on a worker that was given up, and not for long."""
    timeouts = evidence.state.spec.timeouts
    bound = timeouts.orphan_timeout + timeouts.stop_grace + evidence.worst_stop + SLACK
    of_task: dict[TaskId, list[Container]] = {}
    for container in evidence.containers:
        of_task.setdefault(container.task, []).append(container)
    for task, containers in of_task.items():
        containers.sort(key=lambda c: (c.began, c.attempt))
        for index, before in enumerate(containers[:-1]):
            after = containers[index + 1]
            end = before.ended if before.ended is not None else evidence.now
            together = min(end, after.ended or evidence.now) - after.began
            if together <= 0:
                continue
            name = attempt_name(task, before.attempt)
            other = attempt_name(task, after.attempt)
            if before.worker == after.worker or before.attempt == after.attempt:
                yield f"V-02 {name} and {other} ran at once on {before.worker} and {after.worker}"
            elif together > bound:
                yield f"V-02 {name} ran for {together} ms beside {other}: {bound} ms are allowed"


def overlaps(containers: Sequence[Container]) -> int:
    """How often a container of a task began while an earlier one was still there."""
    last: dict[TaskId, Container] = {}
    count = 0
    for container in containers:
        before = last.get(container.task)
        if before is not None and (before.ended is None or before.ended > container.began):
            count += 1
        last[container.task] = container
    return count


def _no_attempt_twice(evidence: Evidence) -> Iterator[str]:
    """V-02: user code of one attempt is started once."""
    ran: set[tuple[TaskId, int]] = set()
    for container in evidence.containers:
        if container.ran is None:
            continue
        key = (container.task, container.attempt)
        if key in ran:
            yield f"V-02 {attempt_name(*key)} was run a second time, on {container.worker}"
        ran.add(key)


def _never_back(evidence: Evidence) -> Iterator[str]:
    """V-16: a task does not return to a host on which a launch of it has failed by itself, as was reported."""
    failed: set[tuple[TaskId, str]] = set()
    for container in evidence.containers:
        if (container.task, container.worker) in failed:
            name = attempt_name(container.task, container.attempt)
            yield f"V-16 {name} was started on {container.worker}, where a launch of it had failed"
        reported = container.asked is None and container.bereft is None
        if container.cause is EndCause.LAUNCH and reported:
            failed.add((container.task, container.worker))


def _success_was_seen(evidence: Evidence) -> Iterator[str]:
    """V-14, V-15: what is called succeeded has exited with 0, and nothing of it was started afterwards."""
    good = {(c.task, c.attempt) for c in evidence.containers if c.cause is EndCause.EXIT_ZERO}
    ended: dict[TaskId, Instant] = {}
    for job in evidence.state.jobs.values():
        if job.state is not JobState.SUCCEEDED or job.ended_at is None:
            continue
        for task in job.tasks:
            ended[task.id] = job.ended_at
            if (task.id, task.attempts[-1].number) not in good:
                name = attempt_name(task.id, task.attempts[-1].number)
                yield f"V-14 {name} is called succeeded, and its container never exited with 0"
    late = evidence.state.spec.timeouts.orphan_timeout + SLACK
    for container in evidence.containers:
        at = ended.get(container.task)
        if at is not None and container.began > at + late:
            name = attempt_name(container.task, container.attempt)
            yield f"V-15 {name} was started {container.began - at} ms after its job had succeeded"


def _stops_are_carried_out(evidence: Evidence) -> Iterator[str]:
    """V-24: SIGKILL follows SIGTERM within the grace, and nothing runs on under an agent that hears nobody."""
    timeouts = evidence.state.spec.timeouts
    grace = max(timeouts.stop_grace, LAST_GRACE) + SECOND
    alone = timeouts.orphan_timeout + evidence.worst_stop + grace
    for container in evidence.containers:
        name = attempt_name(container.task, container.attempt)
        ends = (container.killed, container.ended, container.bereft, evidence.now)
        if container.asked is not None:
            span = min(end for end in ends if end is not None) - container.asked
            if span > grace:
                yield f"V-24 {name} lived for {span} ms after its SIGTERM, and {grace} ms are its grace"
        if container.unheard > alone:
            yield f"V-24 {name} ran for {container.unheard} ms under an agent that heard nobody"


_LOST: Final = frozenset(
    {EndCause.LAUNCH, EndCause.BUILD, EndCause.UNKNOWN, EndCause.HOST_LOST, EndCause.PREEMPTION}
)


def _nothing_is_lost_by_itself(evidence: Evidence) -> Iterator[str]:
    """V-14: an end is not unknown that was seen, and none is the machinery's where nothing goes wrong."""
    seen = {(c.task, c.attempt): c for c in evidence.containers}
    for job in evidence.state.jobs.values():
        for task in job.tasks:
            for attempt in task.attempts:
                name = attempt_name(task.id, attempt.number)
                if evidence.faultless and attempt.cause in _LOST:
                    yield f"V-14 {name} ended by {attempt.cause.value}, and nothing goes wrong here"
                real = seen.get((task.id, attempt.number))
                if attempt.cause is EndCause.UNKNOWN and real is not None:
                    if (
                        real.cause is EndCause.EXIT_ZERO
                        and real.asked is None
                        and real.bereft is None
                    ):
                        yield f"V-14 {name} is called unknown, and its container exited with 0"


def _nobody_outlives_its_parent(evidence: Evidence) -> Iterator[str]:
    """V-15: below a job that has ended nothing is placed, and what ran was asked to stop."""
    jobs = evidence.state.jobs
    for job in jobs.values():
        above = jobs.get(job.spec.parent) if job.spec.parent is not None else None
        if above is None or above.ended_at is None:
            continue
        for task in job.tasks:
            for attempt in task.attempts:
                late = attempt.ended_at is None or attempt.ended_at > above.ended_at
                name = attempt_name(task.id, attempt.number)
                if attempt.assigned_at > above.ended_at:
                    yield f"V-15 {name} was placed after {above.id} had ended"
                elif late and attempt.stop_cause is None:
                    yield f"V-15 {name} was not asked to stop when {above.id} ended"


def _makes_headway(evidence: Evidence) -> bool:
    """Whether work was still being done at the end: a world may be given more than fits into its time."""
    runs = [
        (c.ran, c.ended)
        for c in evidence.containers
        if c.asked is None and c.cause is not None and c.ran is not None and c.ended is not None
    ]
    longest = max((ended - ran for ran, ended in runs), default=0)
    return any(evidence.now - ended < max(HOUR, longest) for _, ended in runs)


def _everything_ended(evidence: Evidence) -> Iterator[str]:
    """V-13, V-21: whatever was submitted has ended."""
    assert evidence.calm_since is not None
    if evidence.now < evidence.calm_since + BOUND or _makes_headway(evidence):
        return
    for name in evidence.unfinished:
        if name not in evidence.state.jobs:
            yield f"V-17 {name} was submitted, and the controller does not know it"
            continue
        why = " ".join(sentences(why_waiting(evidence.state, name, evidence.now)))
        yield f"V-21 {name} has not ended though nothing goes wrong any more: {why}"


def _books_and_world_agree(evidence: Evidence) -> Iterator[str]:
    """V-24, V-26, V-27: nothing is left running, no machine is unknown, none is kept that nobody wants."""
    for container in evidence.containers:
        if container.ended is None:
            name = attempt_name(container.task, container.attempt)
            yield f"V-24 {name} still runs on {container.worker}, and its job has ended"
    state = evidence.state
    known = {s.id for s in state.slices.values() if s.state is not SliceState.GONE}
    for name in evidence.machines:
        if name not in known:
            yield f"V-26 machine {name} is there, and is neither tracked nor being deleted"
    for name in sorted(known - evidence.machines.keys()):
        yield f"V-26 slice {name} is on the books as {state.slices[name].state.value}, and is not there"
    for group in state.groups.values():
        have = sum(s.group == group.name and s.id in known for s in state.slices.values())
        if have > max(group.min_slices, group.buffer_slices):
            yield f"V-27 group {group.name} has {have} slices and nobody who wants them"


def _quiet(evidence: Evidence) -> Iterator[str]:
    """V-25: with nothing to do, nothing is decided."""
    if evidence.now - evidence.decided_at < QUIET:
        yield f"V-25 something was decided {evidence.now - evidence.decided_at} ms before the end, with nothing to do"
