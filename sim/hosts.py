"""The records of simulated hosts, of the work that jobs bring, and of the attempts at it."""

from dataclasses import dataclass, field

from iris.core.effects import StartAttempt, StopAttempt
from iris.core.events import AttemptReport
from iris.core.ids import SliceId, TaskId, WorkerId
from iris.core.instant import Instant, Millis
from sim.measure import AttemptRow
from sim.model import Arrival
from sim.recorded_model import OwnEnd


@dataclass(slots=True)
class Work:
    """What a job's tasks have to do, and what is saved of it; a gang shares one account."""

    arrival: Arrival
    shared: bool
    saved: dict[int, int] = field(default_factory=dict)
    """Milliseconds of work saved, by task; of a gang, under 0."""
    cut_off: dict[tuple[int, int], int] = field(default_factory=dict)
    """By account and attempt: what it had kept when it was over for the job.

    A gang's round is over when its first member is lost; any attempt is when another takes its
    place, though on a host that is cut off it may run on.
    """
    last: dict[int, "Run"] = field(default_factory=dict)
    """The attempt of each task that started last."""
    failed: dict[int, dict[int, None]] = field(default_factory=dict)
    """By account, the attempts that ended before their time by themselves."""
    launched: dict[int, list["Run"]] = field(default_factory=dict)
    """By round, the members of a gang that run: they work in step from the last launch on."""

    def account(self, index: int) -> int:
        """Under which index a task's progress is kept."""
        return 0 if self.shared else index

    def length(self, index: int) -> Millis:
        """All the work of a task."""
        courses = self.arrival.courses
        return courses[index].length if courses else self.arrival.run_time

    def own_end(self, index: int, attempt: int) -> OwnEnd | None:
        """On record, how an attempt ends before its time when nothing interrupts it."""
        if not self.arrival.courses:
            return None
        failed = self.failed.get(self.account(index), {})
        return self.arrival.courses[index].failure(sum(1 for one in failed if one < attempt))


@dataclass(slots=True)
class Run:
    """One attempt, as it really goes."""

    task: TaskId
    index: int
    attempt: int
    work: Work
    host: "Host"
    row: AttemptRow
    restore: int
    before: int
    """Work that was saved when it started."""
    working: Instant | None = None  # None: still launching, or waiting for the rest of its gang
    over: bool = False
    waits_from: Instant | None = None  # None: it has work to do, or no children to wait for


@dataclass(slots=True)
class Host:
    """One machine of a slice, with its agent."""

    slice: SliceId
    index: int
    worker: WorkerId
    incarnation: str
    address: str
    cores_count: bool
    """Whether the ledger counts its cores as chips: it has no accelerator."""
    alive: bool = True
    cut: bool = False
    """Its link is cut; it works on."""
    cuts: int = 0
    doomed_for: Millis | None = None  # None: no notice; else the notice it was given
    runs: dict[tuple[TaskId, int], Run] = field(default_factory=dict)
    backlog: list[StartAttempt | StopAttempt] = field(default_factory=list)
    outbox: list[AttemptReport] = field(default_factory=list)
