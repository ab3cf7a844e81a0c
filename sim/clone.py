"""A world that goes on from the state of a cluster, real or simulated, instead of beginning empty.

The state says what there is: slices, hosts, running attempts, queues, creates that were asked for.
What it cannot say, how much longer each of them takes, is drawn from an `Outlook`, always given how
long it has taken already. From then on the very same core decides.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from simpy.events import Event

from iris.core.controller import Controller
from iris.core.effects import ObserveSlices
from iris.core.events import WorkerHeard
from iris.core.ids import Zone
from iris.core.instant import SECOND, Instant, Millis, after
from iris.core.lifecycle import ENDED_ATTEMPT, ENDED_TASK, SliceState, WorkerState
from iris.core.records import Attempt, Job, Slice, Task, Worker
from iris.core.resources import NOTHING
from iris.core.snapshot import copy_state
from iris.core.spec import GroupSpec
from iris.core.state import ClusterState
from sim.clockwork import Clockwork
from sim.dice import Distribution, Remaining
from sim.hosts import Work
from sim.machine import Machine
from sim.model import Arrival, Checkpoint, CloudModel, JobTemplate, Scenario
from sim.world import World

_SAMPLES: Final = 100
"""Of the series over time, in one continuation."""
_STANDING: Final = frozenset({SliceState.READY, SliceState.DRAINING})
ABROAD: Final = frozenset({SliceState.REQUESTED, SliceState.GONE})
"""States of slices that the cloud need not have: the one is asked for anew, the other is no more."""


@dataclass(frozen=True, slots=True)
class Drought:
    """Slices of a size that a zone does not have, and how much longer."""

    zone: Zone
    family: str
    chips: int
    """This size, and with it every larger one."""
    left: Distribution


class Outlook(Protocol):
    """What is thought of all that a state does not know."""

    @property
    def cloud(self) -> CloudModel:
        """How the cloud will behave."""
        ...

    @property
    def droughts(self) -> tuple[Drought, ...]:
        """What cannot be had just now."""
        ...

    def run_time(self, job: Job) -> Distribution:
        """How much work each task of a job is, in all."""
        ...

    def launch(self, job: Job) -> Distribution:
        """From the assignment of an attempt to the user's code running."""
        ...


@dataclass(frozen=True, slots=True)
class Continuation:
    """What is to be continued, and how."""

    state: ClusterState
    """As of an instant between two turns; it is copied, and never written."""
    at: Instant
    """The present, no earlier than the state's last turn: up to now nothing more has happened."""
    outlook: Outlook
    until: Instant
    """Where it ends, if not all jobs have ended before."""
    seed: int = 0
    arrivals: Iterable[Arrival] = field(default=())
    """Jobs that will still come, in order, none before the present."""


class Clone(World):
    """A world that continues from a state, at `fidelity: capacity`."""

    def __init__(self, plan: Continuation, *, audit_every_turn: bool = False) -> None:
        """A world at the present."""
        self._plan = plan
        state = plan.state
        scenario = Scenario(
            name="continuation",
            seed=plan.seed,
            duration=Millis(plan.until),
            warm_up=Millis(0),
            cluster=state.spec,
            cloud=plan.outlook.cloud,
            workload=(),
            faults=(),
            expect=(),
            path=Path(),
        )
        super().__init__(scenario, audit_every_turn=audit_every_turn)

    def _make_clock(self) -> Clockwork:
        return Clockwork(self._plan.at)

    def _make_controller(self) -> Controller:
        return Controller(copy_state(self._plan.state))

    def _make_arrivals(self) -> Iterator[Arrival]:
        return iter(self._plan.arrivals)

    def _first_sample_span(self) -> Millis:
        return Millis(max(SECOND, (self._plan.until - self.clock.now) // _SAMPLES))

    def _begin(self) -> None:
        state = self.controller.state
        self.cloud.start()
        for slice_ in sorted(state.slices.values(), key=lambda s: s.number):
            self._place(slice_)
        for number, drought in enumerate(self._plan.outlook.droughts):
            until = after(self.clock.now, self.dice.draw(drought.left, "drought", number))
            self.cloud.stock.dry_up(drought.zone, drought.family, drought.chips, until)
        for job in sorted(state.jobs.values(), key=lambda j: j.number):
            if job.ended_at is None:
                self._take_up(job)
        for effect in self.controller.unfinished():
            self._perform(effect)
        if state.books.observing_since is not None:
            self._perform(ObserveSlices())
        self.clock.turn_at(self._plan.until, self._time_is_up)
        self._deadline = self.clock.now  # The first turn looks at everything.
        self._request_turn(self.clock.now)
        self._sample(Event(self.clock.env))
        self._next_arrival()

    # ---- slices ----------------------------------------------------------------------------

    def _place(self, slice_: Slice) -> None:
        """Let the cloud have what it has, as far as the state knows."""
        group = self._group_of(slice_)
        self.cloud.groups.setdefault(group.name, group)
        if slice_.state in ABROAD:
            return
        self.recorder.slice_requested(slice_.id, group, slice_.zone, slice_.requested_at)
        machine = self.cloud.add_machine(slice_.id, group, slice_.zone)
        workers = [self.controller.state.workers[w] for w in slice_.workers if w is not None]
        now = self.clock.now
        if slice_.state is SliceState.BOOTING:
            self._raise(machine, workers)
            self.cloud.boot(machine, self._rest_of_boot(slice_, group))
        elif slice_.state in _STANDING:
            self._raise(machine, workers)
            ready = slice_.ready_at if slice_.ready_at is not None else now
            self.cloud.came_up(machine, Millis(now - ready))
            if slice_.cordon_until is not None:
                self.cloud.take([machine])

    def _rest_of_boot(self, slice_: Slice, group: GroupSpec) -> Millis:
        """How much longer a slice boots."""
        now = self.clock.now
        began = slice_.accepted_at if slice_.accepted_at is not None else now
        span = Remaining(self.cloud.model.boot_of(group.name), Millis(now - began))
        return self.dice.draw(span, "boot goes on", slice_.id)

    def _group_of(self, slice_: Slice) -> GroupSpec:
        """The slice's group, or one like it was if the configuration has none such now."""
        state = self.controller.state
        group = state.groups.get(slice_.group)
        same = group is not None and group.hosts == len(slice_.workers)
        if group is not None and same and group.accelerator_type == slice_.accelerator_type:
            return group
        offers = [state.workers[w].offers for w in slice_.workers if w is not None]
        return GroupSpec(
            name=slice_.group,
            accelerator_type=slice_.accelerator_type,
            accelerator=slice_.accelerator_type or None,
            family="",
            hosts=len(slice_.workers),
            host=offers[0] if offers else NOTHING,
            max_slices=0,
        )

    def _raise(self, machine: Machine, workers: list[Worker]) -> None:
        """Let those hosts of a slice be up that are taken to be alive."""
        cores_count = machine.group.accelerator is None
        for worker in workers:
            if not self._lives(worker):
                continue
            host = self.fleet.boot(
                worker.slice, worker.host, worker.address, cores_count=cores_count
            )
            host.incarnation = worker.incarnation
            machine.hosts.append(host)
            if worker.state is WorkerState.SILENT:
                self._deliver(WorkerHeard(worker.id, worker.incarnation))

    def _lives(self, worker: Worker) -> bool:
        """Who is silent is taken to speak again in the first half of its time, and not in the second."""
        if worker.silent_since is None:
            return worker.state is not WorkerState.LOST
        silent = self.clock.now - worker.silent_since
        return 2 * silent < self.config.timeouts.worker_timeout

    # ---- jobs ------------------------------------------------------------------------------

    def _take_up(self, job: Job) -> None:
        """Let a job go on: what its tasks have still to do, and which of them run now."""
        arrival, saved = self._work_of(job)
        template = arrival.template
        self.fleet.work[job.id] = Work(arrival, shared=template.coscheduled, saved=saved)
        self.recorder.job_submitted(job.id, arrival, job.submitted_at)
        self._unfinished[job.id] = None
        for task in job.tasks:
            attempt = self.controller.state.live_attempt(task)
            host = self.fleet.hosts.get(attempt.worker) if attempt is not None else None
            if attempt is not None and host is not None:
                runs, is_told = self._runs_at(job, attempt, task), attempt.started_at is not None
                self.fleet.resume(host, task.id, attempt.number, runs, is_told=is_told)

    def _runs_at(self, job: Job, attempt: Attempt, task: Task) -> Instant:
        """Since when the code of an attempt runs, or when it will."""
        if attempt.started_at is not None:
            return attempt.started_at
        left = Remaining(
            self._plan.outlook.launch(job), Millis(self.clock.now - attempt.assigned_at)
        )
        return after(self.clock.now, self.dice.draw(left, "launch goes on", task.id))

    def _work_of(self, job: Job) -> tuple[Arrival, dict[int, int]]:
        """A job as one that arrives, and what each account of its progress holds.

        A job's tasks have one length there. The longest gives it, and a task that is shorter begins
        with the difference on its account.
        """
        gang = _is_whole(job)
        run_time = self._plan.outlook.run_time(job)
        total: dict[int, int] = {}
        done: dict[int, int] = {}
        for task in job.tasks[:1] if gang else job.tasks:
            if task.state not in ENDED_TASK:
                done[task.index] = saved_by(job, task.attempts)
                spent = done[task.index] + self._worked(job.tasks if gang else [task])
                left = Remaining(run_time, Millis(spent))
                total[task.index] = spent + self.dice.draw(left, "work goes on", task.id)
        longest = Millis(max(total.values(), default=0))
        saved = {index: longest - total[index] + done[index] for index in total}
        template = template_of(job, self._plan.outlook.launch(job), gang=gang)
        return Arrival(job.submitted_at, job.number, longest, job.spec.user, template), saved

    def _worked(self, tasks: list[Task]) -> int:
        """For how long the live attempts of a task, or of all of a gang, have worked."""
        began: Instant | None = None
        for task in tasks:
            attempt = self.controller.state.live_attempt(task)
            if attempt is None or attempt.started_at is None:
                return 0
            began = max(began, attempt.started_at) if began is not None else attempt.started_at
        return self.clock.now - began if began is not None else 0


def _is_whole(job: Job) -> bool:
    """Whether a job is a gang of which no member has ended: then they go on in step."""
    rounds = [task.attempts[-1] for task in job.tasks if task.retried < len(task.attempts)]
    return job.spec.coscheduled and all(a.state not in ENDED_ATTEMPT for a in rounds)


def saved_by(job: Job, attempts: Iterable[Attempt]) -> int:
    """Milliseconds of work that ended attempts of a task have saved, as far as the job's word goes."""
    every = job.spec.checkpoint_every
    if every is None:
        return 0
    spans = [
        a.ended_at - a.started_at
        for a in attempts
        if a.ended_at is not None and a.started_at is not None
    ]
    return sum(span // every * every for span in spans)


def template_of(job: Job, launch: Distribution, *, gang: bool) -> JobTemplate:
    """What a job's tasks are; their length stands in an arrival."""
    spec = job.spec
    every = spec.checkpoint_every
    return JobTemplate(
        entry="taken up",
        user=spec.user,
        band=spec.band,
        replicas=spec.replicas,
        coscheduled=gang,
        cpu_milli=spec.resources.cpu,
        memory=spec.resources.memory,
        disk=spec.resources.disk,
        accelerator=spec.accelerator,
        chips=spec.resources.chips,
        constraints=spec.constraints,
        max_retries_failure=spec.max_retries_failure,
        max_retries_preemption=spec.max_retries_preemption,
        scheduling_timeout=spec.scheduling_timeout,
        timeout=spec.timeout,
        launch=launch,
        checkpoint=Checkpoint(every) if every is not None else None,
    )
