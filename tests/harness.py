"""Script: one story of a cluster, told to the real controller, checked at every step.

A script sends facts and looks at what was decided and asked for. Time stands still until `advance`,
which wakes the controller at each of its deadlines on the way, as its driver does. After every step
the machine itself is put to the test (`Checks`), so that each story also proves that a turn is
settled, that copies are equal and that the journal tells it all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core import events as ev
from iris.core.controller import Controller
from iris.core.ids import (
    JobId,
    RequestId,
    SliceId,
    TaskId,
    UserName,
    WorkerId,
    task_id,
)
from iris.core.instant import Instant, Millis, after
from iris.core.lifecycle import COMING, AttemptState, SliceState
from iris.core.record import Turn
from iris.core.records import Attempt, Job, Slice, Task, Worker
from iris.core.resources import Resources
from iris.core.retry import MEANING, EndCause
from iris.core.spec import (
    AutoscalerPolicy,
    Band,
    ClusterSpec,
    GroupSpec,
    JobSpec,
    RetentionPolicy,
    SchedulerPolicy,
    TimeoutPolicy,
)
from tests.checks import Checks
from tests.groups import GIB, cpu_group, gpu_group, tpu_group

_Record = TypeVar("_Record")

__all__ = ["ALICE", "GIB", "Script", "cluster", "cpu_group", "fleet", "gpu_group", "tpu_group"]

ALICE: Final = UserName("alice")


def _matches(record: object, fields: dict[str, object]) -> bool:
    return all(getattr(record, name) == value for name, value in fields.items())


class Script:
    """A controller, the time, and what the last command brought about."""

    def __init__(self) -> None:
        self.controller = Controller()
        self.now = Instant(0)
        self.journal: list[Turn] = []
        self.decisions: list[de.Decision] = []
        """All that was decided since the last command began."""
        self.effects: list[ef.Effect] = []
        self.machines: dict[SliceId, ev.SliceSighting] = {}
        """What the cloud has; `advance` answers listings with it."""
        self._checks: Checks | None = Checks(self.controller)
        self._requests = 0

    # ---- telling ---------------------------------------------------------------------------

    def step(self, *events: ev.Event) -> "Script":
        """One turn now, with these facts."""
        self.decisions, self.effects = [], []
        self._turn(events)
        return self

    def unwatched(self) -> "Script":
        """From here on no step is put to the test: for many drawn stories that are about something else."""
        self._checks = None
        return self

    def _turn(self, events: Sequence[ev.Event]) -> None:
        checks = self._checks
        before = checks.begin() if checks is not None else None
        decisions, effects = self.controller.step(self.now, events)
        turn = Turn(self.now, tuple(events), tuple(decisions))
        self.journal.append(turn)
        if checks is not None and before is not None:
            checks.end(before, turn)
        self.decisions += decisions
        self.effects += effects
        for effect in effects:
            self._perform(effect)

    def _perform(self, effect: ef.Effect) -> None:
        match effect:
            case ef.CreateSlice(name, group, zone):
                state = ev.CloudState.CREATING
                self.machines.setdefault(name, ev.SliceSighting(name, state, group, zone))
            case ef.DeleteSlice(name):
                if name in self.machines:
                    self.cloud_says(name, ev.CloudState.DELETING)
            case _:
                pass

    def advance(self, span: int, *, answer: bool = True) -> "Script":
        """Let time pass, waking the controller as it asked; `answer`: the cloud obliges."""
        self.decisions, self.effects = [], []
        end = after(self.now, Millis(span))
        while True:
            at = self.controller.next_deadline()
            if at is None or at > end:
                break
            self.now = max(self.now, at)
            seen = len(self.effects)
            self._turn(())
            answers = self._answers(self.effects[seen:]) if answer else []
            if answers:
                self._turn(answers)
        if self.now < end:
            self.now = end
            self._turn(())
        return self

    def _answers(self, effects: Sequence[ef.Effect]) -> list[ev.Event]:
        """What an obliging cloud says at once: its machines, and that what was deleted is gone."""
        answers: list[ev.Event] = []
        for effect in effects:
            match effect:
                case ef.DeleteSlice(name):
                    self.machines.pop(name, None)
                    answers.append(ev.SliceDeleted(name))
                case ef.ObserveSlices(()):
                    answers.append(self._listing(self.machines.values()))
                case _:
                    pass
        return answers

    def _request(self) -> RequestId:
        self._requests += 1
        return RequestId(f"request-{self._requests}")

    def config(
        self,
        *groups: GroupSpec,
        scheduler: SchedulerPolicy | None = None,
        autoscaler: AutoscalerPolicy | None = None,
        timeouts: TimeoutPolicy | None = None,
        retention: RetentionPolicy | None = None,
        reservations: Sequence[tuple[str, int]] = (),
    ) -> "Script":
        """The operator's configuration is read; a policy that is not named has its defaults."""
        spec = ClusterSpec(
            groups,
            scheduler or SchedulerPolicy(),
            autoscaler or AutoscalerPolicy(),
            timeouts or TimeoutPolicy(),
            retention or RetentionPolicy(),
            tuple(reservations),
        )
        return self.step(ev.ConfigLoaded(spec))

    def submit(  # noqa: PLR0913
        self,
        name: str = "train",
        *,
        user: str = ALICE,
        replicas: int = 1,
        gang: bool = False,
        tpu: str | None = None,
        gpus: int = 0,
        cpu: float = 1,
        band: Band = Band.INTERACTIVE,
        **more: object,
    ) -> JobId:
        """A user submits a job: `cpu` cores and 1 GiB a task, on TPUs all 4 chips of a host."""
        chips = 4 if tpu is not None else gpus
        spec = JobSpec(
            user=UserName(user),
            name=name,
            replicas=replicas,
            coscheduled=gang,
            resources=Resources(chips=chips, cpu=round(cpu * 1_000), memory=GIB),
            accelerator="H100" if gpus else tpu,
            band=band,
        )
        return self.submit_spec(replace(spec, **more))  # type: ignore[arg-type]  # names of fields

    def submit_spec(self, spec: JobSpec, request: RequestId | None = None) -> JobId:
        """The same, for a specification as it is."""
        self.step(ev.JobSubmitted(request or self._request(), spec))
        return JobId(f"{spec.parent or '/' + spec.user}/{spec.name}")

    def stop(self, job: JobId, user: str = ALICE) -> "Script":
        """A user stops a job."""
        return self.step(ev.JobStopRequested(self._request(), job, UserName(user)))

    # ---- the cloud -------------------------------------------------------------------------

    def cloud_says(self, name: SliceId, state: ev.CloudState) -> None:
        """From now on listings show a machine in this state."""
        self.machines[name] = replace(self.machines[name], state=state)

    def listing(
        self, *, complete: bool = True, error: str = "", asked_at: Instant | None = None
    ) -> "Script":
        """The cloud lists the machines that it has."""
        event = self._listing(self.machines.values(), complete=complete, asked_at=asked_at)
        return self.step(replace(event, listing=(), error=error) if error else event)

    def _listing(
        self,
        machines: Iterable[ev.SliceSighting],
        *,
        complete: bool = True,
        asked_at: Instant | None = None,
    ) -> ev.SlicesObserved:
        at = self.now if asked_at is None else asked_at
        return ev.SlicesObserved(tuple(machines), at, complete)

    def coming(self, group: str) -> list[SliceId]:
        """The slices of a group that are on their way, oldest first."""
        slices = self.controller.state.slices.values()
        return [s.id for s in slices if s.group == group and s.state in COMING]

    def ready(self, name: str) -> list[SliceId]:
        """Every host of a slice, or of all coming slices of a group, registers."""
        slices = self.coming(name) if SliceId(name) not in self.machines else [SliceId(name)]
        assert slices, f"nothing of {name} is coming"
        events: list[ev.Event] = []
        for each in slices:
            self.cloud_says(each, ev.CloudState.READY)
            events += [ev.SliceAccepted(each)] if self.slice(each).accepted_at is None else []
            hosts = range(len(self.slice(each).workers))
            events += [self.registration(each, host) for host in hosts]
        self.step(*events)
        return slices

    def registration(
        self, name: SliceId, host: int, *, incarnation: str = "first", address: str = ""
    ) -> ev.WorkerRegistered:
        """The fact that an agent introduces itself."""
        slice_ = self.controller.state.slices.get(name)
        sighting = self.machines.get(name)
        group = slice_.group if slice_ else (sighting.group if sighting else None)
        zone = slice_.zone if slice_ else (sighting.zone if sighting else None)
        spec = self.controller.state.groups.get(group) if group is not None else None
        offers = spec.host if spec is not None else Resources(cpu=1_000, memory=GIB)
        where = address or f"{name}:{host}"
        return ev.WorkerRegistered(name, host, incarnation, where, offers, group, zone)

    def refused(self, name: SliceId, reason: ev.CreateFailure, detail: str = "") -> "Script":
        """The cloud refuses a create."""
        self.machines.pop(name, None)
        return self.step(ev.SliceCreateFailed(name, reason, detail))

    def preempted(self, name: SliceId) -> "Script":
        """A listing of one slice shows it preempted."""
        self.cloud_says(name, ev.CloudState.PREEMPTED)
        return self.step(self._listing([self.machines[name]], complete=False))

    def deleted(self, name: SliceId) -> "Script":
        """The cloud says that a slice is no more."""
        self.machines.pop(name, None)
        return self.step(ev.SliceDeleted(name))

    def terminate(self, name: SliceId) -> "Script":
        """An operator gives a slice up."""
        return self.step(ev.SliceTerminateRequested(self._request(), name))

    # ---- workers ---------------------------------------------------------------------------

    def silent(self, worker: WorkerId) -> "Script":
        """Nothing is heard of a worker from now on."""
        return self.step(ev.WorkerSilent(worker, self.worker(worker).incarnation, self.now))

    def lose(self, worker: WorkerId) -> "Script":
        """A worker falls silent, and stays so until it is given up."""
        self.silent(worker)
        return self.advance(self.controller.state.spec.timeouts.worker_timeout)

    def running(self, job: JobId) -> "Script":
        """Every assigned or building attempt of a job is seen to run."""
        return self.step(*self.progress(job, AttemptState.RUNNING))

    def progress(self, job: JobId, state: AttemptState) -> list[ev.Event]:
        """The facts that every assigned or building attempt of a job is seen in a state."""
        events: list[ev.Event] = []
        for task in self.job(job).tasks:
            attempt = self.controller.state.live_attempt(task)
            if attempt is not None:
                report = ev.AttemptReport(task.id, attempt.number, state)
                events.append(self.report(attempt.worker, report))
        return events

    def report(
        self,
        worker: WorkerId,
        *reports: ev.AttemptReport,
        complete: bool = False,
        acted_on: int = 0,
    ) -> ev.WorkerReported:
        """The fact that a worker speaks about attempts."""
        name = self.worker(worker).incarnation
        return ev.WorkerReported(worker, name, reports, complete, acted_on)

    def end(self, task: TaskId, cause: EndCause | None, detail: str = "") -> ev.WorkerReported:
        """The fact that the container of a task's live attempt is gone."""
        attempt = self.attempt(task)
        state = MEANING[cause].state if cause is not None else AttemptState.KILLED
        report = ev.AttemptReport(task, attempt.number, state, cause, detail)
        return self.report(attempt.worker, report)

    def ends(self, task: TaskId, cause: EndCause = EndCause.EXIT_ZERO) -> "Script":
        """A task's container ends by itself."""
        return self.step(self.end(task, cause))

    def finish(self, job: JobId, cause: EndCause = EndCause.EXIT_ZERO) -> "Script":
        """Every live attempt of a job ends by itself, all in one turn."""
        tasks = [t for t in self.job(job).tasks if self.controller.state.live_attempt(t)]
        return self.step(*(self.end(task.id, cause) for task in tasks))

    def stopped(self, job: JobId) -> "Script":
        """The containers of all stopping attempts of a job are gone."""
        tasks = [t for t in self.job(job).tasks if self._stopping(t)]
        assert tasks, f"no attempt of {job} is stopping"
        return self.step(*(self.end(task.id, None) for task in tasks))

    def _stopping(self, task: Task) -> bool:
        attempt = self.controller.state.live_attempt(task)
        return attempt is not None and attempt.state is AttemptState.STOPPING

    # ---- looking ---------------------------------------------------------------------------

    def decided(self, kind: type[_Record], **fields: object) -> list[_Record]:
        """The decisions of a kind since the last command began whose fields have these values."""
        return [d for d in self.decisions if isinstance(d, kind) and _matches(d, fields)]

    def asked(self, kind: type[_Record], **fields: object) -> list[_Record]:
        """The effects of a kind, likewise."""
        return [e for e in self.effects if isinstance(e, kind) and _matches(e, fields)]

    def the(self, kind: type[_Record], **fields: object) -> _Record:
        """The only decision or effect of a kind whose fields have these values."""
        found = [*self.decided(kind, **fields), *self.asked(kind, **fields)]
        assert len(found) == 1, (found, self.decisions, self.effects)
        return found[0]

    def job(self, name: JobId) -> Job:
        """A job on record."""
        return self.controller.state.jobs[name]

    def task(self, job: JobId, index: int = 0) -> Task:
        """A task on record."""
        return self.controller.state.tasks[task_id(job, index)]

    def attempt(self, task: TaskId) -> Attempt:
        """A task's last attempt."""
        return self.controller.state.tasks[task].attempts[-1]

    def slice(self, name: SliceId) -> Slice:
        """A slice on the books."""
        return self.controller.state.slices[name]

    def worker(self, name: WorkerId) -> Worker:
        """A worker on the books."""
        return self.controller.state.workers[name]

    def slices_in(self, *states: SliceState) -> list[SliceId]:
        """The slices in any of these states, by number."""
        return [s.id for s in self.controller.state.slices.values() if s.state in states]


def cluster(*groups: GroupSpec, **policies: object) -> Script:
    """A script whose cluster is configured and has been listed: it may ask for slices."""
    script = Script()
    script.config(*groups, **policies)  # type: ignore[arg-type]  # the policies that config takes
    return script.listing()


def fleet(*groups: GroupSpec, **policies: object) -> Script:
    """A cluster whose floor (`min_slices` of each group) is up and ready."""
    script = cluster(*groups, **policies)
    for group in groups:
        if group.min_slices:
            script.ready(group.name)
    return script
