"""A busy cluster to do harm to: states and turns that no code of the core would bring about."""

from collections.abc import Callable
from typing import Final

from iris.core.ids import JobId, SliceId, TaskId, WorkerId
from iris.core.instant import HOUR
from iris.core.invariants import Auditor
from iris.core.records import Attempt
from iris.core.resources import Resources
from iris.core.state import ClusterState
from tests.harness import GIB, Script, cpu_group, fleet, tpu_group

Harm = Callable[[ClusterState], object]
"""Something that is done to a state."""

POD: Final = SliceId("iris-tpu-1")
MACHINE: Final = SliceId("iris-cpu-2")
HOST: Final = WorkerId("iris-cpu-2-w0")
NEED: Final = Resources(cpu=1_000, memory=GIB)


def busy() -> Script:
    """A gang on a pod, a job on a machine, a job and a gang that wait, and a job that has ended."""
    script = fleet(
        tpu_group(min_slices=1, max_slices=1), cpu_group(min_slices=1, max_slices=1, cores=4)
    )
    script.submit("past")
    script.finish(JobId("/alice/past"))
    script.running(script.submit("gang", gang=True, replicas=2, tpu="v5litepod-16"))
    script.running(script.submit("solo", cpu=2, timeout=HOUR, scheduling_timeout=HOUR))
    script.submit("other", gang=True, replicas=2, tpu="v5litepod-16")
    script.submit("wide", cpu=4, scheduling_timeout=HOUR)
    return script


def task(state: ClusterState, name: str) -> "Harmed":
    return Harmed(state, TaskId(name))


class Harmed:
    """A task, its last attempt and its worker, within reach."""

    def __init__(self, state: ClusterState, name: TaskId) -> None:
        self.task = state.tasks[name]
        self.job = state.jobs[self.task.job]
        self.attempt = self.task.attempts[-1] if self.task.attempts else None
        self.worker = state.workers[self.attempt.worker] if self.attempt is not None else None


def past(state: ClusterState) -> Attempt:
    """The attempt that has ended."""
    return state.tasks[TaskId("/alice/past:0")].attempts[0]


def put(thing: object, **fields: object) -> None:
    """Overwrite fields, as no code of the core would."""
    for name, value in fields.items():
        setattr(thing, name, value)


ONLY: Final = WorkerId("iris-cpu-1-w0")
"""The host of a cluster of one machine."""


def watched() -> tuple[ClusterState, Auditor]:
    """A machine with two attempts on it and a job that waits, and an auditor who has seen them begin."""
    script = fleet(cpu_group(min_slices=1, max_slices=1, cores=4))
    for name in ("solo", "twin"):
        script.running(script.submit(name, cpu=2))
    script.submit("wide", cpu=4)
    state = script.controller.state
    return state, Auditor(state, every_turn=True)
