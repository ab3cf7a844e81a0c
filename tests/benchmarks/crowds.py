"""Controllers with many workers and many jobs, made by the facts that really make them."""

from collections.abc import Sequence

from iris.core import decisions as de
from iris.core import events as ev
from iris.core.controller import Controller
from iris.core.effects import CreateSlice, Effect
from iris.core.ids import RequestId, UserName
from iris.core.instant import DAY, Instant
from iris.core.lifecycle import AttemptState
from iris.core.record import Turn
from iris.core.resources import Resources
from iris.core.retry import EndCause
from iris.core.spec import AutoscalerPolicy, ClusterSpec, GroupSpec, JobSpec
from tests.harness import GIB, cpu_group

CORES = 10


class Crowd:
    """A controller, the instant, and every turn that it went through."""

    def __init__(self, workers: int) -> None:
        """A cluster of CPU machines that are all ready and idle, and may not become more."""
        self.group: GroupSpec = cpu_group(cores=CORES, min_slices=workers, max_slices=workers)
        self.controller = Controller()
        self.now = Instant(0)
        self.turns: list[Turn] = []
        self.effects: Sequence[Effect] = ()
        policy = AutoscalerPolicy(
            creates_per_minute=workers,
            create_burst=workers,
            initial_window=workers,
            max_window=workers,
            observe_interval=DAY,
        )
        self.step(ev.ConfigLoaded(ClusterSpec((self.group,), autoscaler=policy)))
        self.step(ev.SlicesObserved((), self.now, complete=True))
        asked = self._requested()
        assert len(asked) == workers, f"{len(asked)} slices were asked for, not {workers}"
        self.step(*(ev.SliceAccepted(create.slice) for create in asked))
        self.step(*(self._registration(create) for create in asked))

    def _requested(self) -> list[CreateSlice]:
        return [effect for effect in self.effects if isinstance(effect, CreateSlice)]

    def _registration(self, create: CreateSlice) -> ev.WorkerRegistered:
        offers = self.group.host
        return ev.WorkerRegistered(create.slice, 0, "first", "", offers, create.group, create.zone)

    def step(self, *events: ev.Event) -> None:
        """A turn, some milliseconds later."""
        self.now = Instant(self.now + 10)
        decisions, self.effects = self.controller.step(self.now, events)
        self.turns.append(Turn(self.now, events, tuple(decisions)))

    def admit(self, specs: Sequence[JobSpec]) -> None:
        """Let jobs come, and let nobody look for places: that is left to the next step."""
        self.now = Instant(self.now + 10)
        facts = submissions(specs)
        decisions, _ = self.controller.clone().step(self.now, facts)
        admissions = tuple(d for d in decisions if isinstance(d, de.Admission))
        assert len(admissions) == len(specs), "not every job was admitted"
        self.controller.replay(Turn(self.now, facts, admissions))

    def run_all(self) -> None:
        """Every assigned attempt is reported to run, all in one turn."""
        self.step(*self.reports(AttemptState.ASSIGNED, AttemptState.RUNNING))

    def reports(
        self, now: AttemptState, then: AttemptState, cause: EndCause | None = None, *, of: str = ""
    ) -> list[ev.Event]:
        """What each worker says of its attempts in a state: that they are in another now.

        `of` leaves out the tasks of all jobs whose path does not begin so.
        """
        state = self.controller.state
        found: list[ev.Event] = []
        for worker in state.workers.values():
            reports = tuple(
                ev.AttemptReport(task, number, then, cause)
                for task, number in worker.attempts.items()
                if task.startswith(of) and state.tasks[task].attempts[number].state is now
            )
            if reports:
                found.append(ev.WorkerReported(worker.id, worker.incarnation, reports))
        return found

    def forget_turns(self) -> None:
        """Keep only what the controller itself keeps."""
        self.turns.clear()
        self.effects = ()

    def placements(self) -> int:
        """How many tasks the last step placed."""
        return sum(len(d.tasks) for d in self.turns[-1].decisions if isinstance(d, de.Placement))


def submissions(specs: Sequence[JobSpec]) -> tuple[ev.JobSubmitted, ...]:
    """The facts that these jobs were submitted."""
    return tuple(ev.JobSubmitted(RequestId(f"{s.user}/{s.name}"), s) for s in specs)


def jobs(  # noqa: PLR0913
    count: int,
    *,
    tasks: int = 1,
    cores: int = 1,
    shapes: int = 1,
    user: str = "user",
    users: int = 10,
) -> list[JobSpec]:
    """Jobs of several users; a different need of memory makes them of several shapes."""
    return [
        JobSpec(
            user=UserName(f"{user}{number % users}"),
            name=f"job-{number}",
            replicas=tasks,
            resources=Resources(cpu=cores * 1_000, memory=GIB + number % shapes),
        )
        for number in range(count)
    ]
