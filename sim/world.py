"""One simulated world: the real controller, driven by simulated time against a fake cloud.

This is a second driver for `iris.drive.turn`. All facts of an instant reach the controller in one
turn; its requests are carried out by the fleet and the cloud, and nothing else is decided here.
"""

from collections.abc import Callable, Iterator
from hashlib import sha256

from simpy.events import Event

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core import events as ev
from iris.core.controller import Controller
from iris.core.ids import JobId, RequestId, UserName, job_id
from iris.core.instant import DAY, MINUTE, SECOND, Instant, Millis
from iris.core.invariants import SENTENCES_KEPT, Auditor
from iris.core.record import Turn
from iris.core.resources import Resources
from iris.core.spec import ClusterSpec, JobSpec
from iris.drive import turn
from sim import explanations, faults, happenings
from sim.backlog import Verdicts, kinds_waiting, waiting
from sim.choices import Choices
from sim.clockwork import Clockwork
from sim.cloud import FakeCloud
from sim.dice import Dice
from sim.fleet import Fleet
from sim.hosts import Work
from sim.machine import Surroundings
from sim.measure import Measures
from sim.model import Arrival, Scenario
from sim.offspring import Offspring
from sim.recorder import Recorder
from sim.workload import arrivals

PATIENCE = Millis(30 * DAY)
"""A run without a `duration` ends when nothing has run for so long and no job is still to come."""


class DigestJournal:
    """A journal that keeps only a running hash of every decision, and the last turn."""

    def __init__(self) -> None:
        """Nothing is written yet."""
        self._hash = sha256()
        self._lines: list[str] = []
        self.last = Turn(Instant(0), (), ())
        self.turns = 0
        self.events = 0

    def append(self, turn: Turn) -> None:
        """Enter a turn."""
        self.last = turn
        self.turns += 1
        self.events += len(turn.events)
        self._lines.append(f"{turn.now} {len(turn.events)} {turn.decisions!r}\n")
        if len(self._lines) >= 1_000:
            self._flush()

    def _flush(self) -> None:
        self._hash.update("".join(self._lines).encode())
        self._lines.clear()

    def digest(self, end: str) -> str:
        """The hash of all turns, and of the state in which they ended."""
        self._flush()
        whole = self._hash.copy()
        whole.update(end.encode())
        return whole.hexdigest()


class World:
    """Everything of one run, wired."""

    def __init__(self, scenario: Scenario, *, audit_every_turn: bool) -> None:
        """A world at time 0, with the scenario's first facts delivered."""
        self.scenario = scenario
        self.config = scenario.cluster
        """What the controller's configuration is now."""
        self.clock = self._make_clock()
        self.dice = Dice(scenario.seed)
        prices: dict[str, int] = {g.name: g.price_per_hour for g in scenario.cluster.groups}
        self.measures = Measures(
            scenario.name,
            scenario.seed,
            group_price_per_hour=prices,
            warm_up=Instant(scenario.warm_up),
        )
        self.recorder = Recorder(self.measures)
        self._choices, self._verdicts = Choices(self.measures), Verdicts(self.measures)
        self.controller = self._make_controller()
        self.auditor = Auditor(self.controller.state, every_turn=audit_every_turn)
        self.journal = self._make_journal()
        self.deliver: Callable[[ev.Event], None] = self._deliver
        self.fleet = self._make_fleet()
        self.cloud = FakeCloud(
            scenario.cloud,
            {g.name: g for g in scenario.cluster.groups},
            Surroundings(self.clock, self.dice, self.fleet, self.recorder, self._deliver),
        )
        self._inbox: list[ev.Event] = []
        self._alarms: list[Instant] = []  # When the controller will be looked at, latest first.
        self._deadline: Instant | None = None
        self._awake_at: Instant | None = None
        self._stalled_since: Instant | None = None
        self._unfinished: dict[JobId, None] = {}
        self._touched: dict[JobId, None] = {}
        self._arrivals = self._make_arrivals()
        self._more = True
        self._offspring = Offspring(self.clock, self._submit)
        self._moved_at = Instant(0)
        self.ended_jobs = 0
        self.over = False
        self._sample_every = self._first_sample_span()
        self._begin()

    def _make_clock(self) -> Clockwork:
        return Clockwork()

    def _make_controller(self) -> Controller:
        return Controller()

    def _make_arrivals(self) -> Iterator[Arrival]:
        return arrivals(self.scenario, self.dice)

    def _make_journal(self) -> DigestJournal:
        return DigestJournal()

    def _make_fleet(self) -> Fleet:
        silence = self.scenario.cloud.silence
        return Fleet(self.clock, self.dice, self.recorder, self._deliver, silence)

    def _first_sample_span(self) -> Millis:
        if self.scenario.duration is None:
            return MINUTE
        return Millis(max(SECOND, self.scenario.duration // 1_000))

    def _begin(self) -> None:
        self.fleet.defers = self._offspring.defers
        self._deliver(ev.ConfigLoaded(self.config))
        self.cloud.start()
        faults.script(self, self.scenario.faults)
        happenings.script(self, self.scenario.happenings)
        if self.scenario.duration is not None:
            self.clock.turn_at(Instant(self.scenario.duration), self._time_is_up)
        self._sample(Event(self.clock.env))
        self._next_arrival()

    # ---- time ------------------------------------------------------------------------------

    def _deliver(self, event: ev.Event) -> None:
        self._inbox.append(event)
        self._request_turn(self.clock.now)

    def _request_turn(self, at: Instant) -> None:
        # An alarm that rings too early sets the next one: a later deadline needs none of its own.
        if not self._alarms or at < self._alarms[-1]:
            self._alarms.append(at)
            self.clock.turn_at(at, self._ring)

    def _ring(self, _: Event) -> None:
        self._alarms.pop()
        now = self.clock.now
        if self.over:
            return
        if self._awake_at is not None and now < self._awake_at:
            self._request_turn(self._awake_at)
            return
        if self._inbox or (self._deadline is not None and self._deadline <= now):
            self._take_turn(now)
        if self._deadline is not None:
            self._request_turn(max(self._deadline, now))

    def _take_turn(self, now: Instant) -> None:
        if self._stalled_since is not None:
            self._inbox.insert(0, ev.ControllerStalled(self._stalled_since))
            self._awake_at = self._stalled_since = None
        events, self._inbox = self._inbox, []
        for event in events:
            if isinstance(event, ev.WorkerReported):
                for report in event.reports:
                    self._touched[JobId(report.task.rpartition(":")[0])] = None
        before = self.journal.turns
        self._deadline = turn(
            self.controller, now, events, journal=self.journal, perform=self._perform
        )
        if self.journal.turns > before:
            self.auditor.check(self.journal.last)
            self._collect(self.journal.last)
        else:
            self.auditor.rested(now)

    def stall(self, until: Instant) -> None:
        """Let the controller stand still until an instant."""
        self._stalled_since = self.clock.now
        self._awake_at = until
        self._request_turn(until)

    def reconfigure(self, spec: ClusterSpec) -> None:
        """Let the controller load another configuration, now and at each of its starts."""
        self.config = spec
        self.cloud.groups.update({g.name: g for g in spec.groups})
        self._deliver(ev.ConfigLoaded(spec))

    def _time_is_up(self, _: Event) -> None:
        self.over = True

    # ---- requests --------------------------------------------------------------------------

    def _perform(self, effect: ef.Effect) -> None:
        match effect:
            case ef.StartAttempt() | ef.StopAttempt():
                self.fleet.perform(effect)
            case ef.CreateSlice() | ef.DeleteSlice() | ef.ObserveSlices():
                self.cloud.perform(effect)
            case ef.Reply(request, ef.Rejected()):
                self._refused(JobId(request))
            case _:
                # Replies and acknowledgements end here: the users and agents ask nothing twice.
                return

    # ---- jobs ------------------------------------------------------------------------------

    def _next_arrival(self) -> None:
        arrival = next(self._arrivals, None)
        if arrival is None:
            self._more = False
            self._stop_if_done()
            return
        delay = Millis(arrival.at - self.clock.now)
        self.clock.later(delay, lambda: self._arrive_and_go_on(arrival))

    def _arrive_and_go_on(self, arrival: Arrival) -> None:
        parent = spec_of(arrival).parent
        if parent is not None:
            self._offspring.came(parent)
        self._arrive(arrival)
        self._next_arrival()

    def _arrive(self, arrival: Arrival) -> None:
        template = arrival.template
        spec = spec_of(arrival)
        job = job_id(spec.parent, spec.user, spec.name)
        self.fleet.work[job] = Work(arrival, shared=template.coscheduled)
        self.recorder.job_submitted(job, arrival, self.clock.now)
        self._unfinished[job] = None
        self._touched[job] = None
        self._offspring.expect(job, arrival)
        self.ask(RequestId(job), ev.JobSubmitted(RequestId(job), spec))

    def _refused(self, job: JobId) -> None:
        if job in self._unfinished:
            del self._unfinished[job]
            self._offspring.ended(JobId(job.rpartition("/")[0]))

    def _submit(self, parent: JobId, child: Arrival) -> None:
        """A task submits a job, if it is still there."""
        if parent in self._unfinished:
            self._arrive(child)
        else:
            self._stop_if_done()

    def ask(self, request: RequestId, event: ev.Event) -> None:
        """A user asks for something, under an id."""
        del request
        self._deliver(event)

    def _collect(self, last: Turn) -> None:
        """Enter what the controller concluded in this turn of the jobs that it touched."""
        state = self.controller.state
        jobs = state.jobs
        self._choices.note(last.now, last.decisions)
        self.recorder.work_waits(last.now, kinds_waiting(state))
        for decision in last.decisions:
            if isinstance(decision, de.SliceDrain | de.SliceDelete):
                self.recorder.slice_leaving(decision.slice, last.now)
            job = getattr(decision, "job", None)
            task = getattr(decision, "task", None)
            if job is not None:
                self._touched[job] = None
            elif task is not None:
                self._touched[JobId(task.rpartition(":")[0])] = None
        for name in self._touched:
            record = jobs.get(name)
            if self._offspring.waits_for(name) and self.recorder.has_run(name):
                self._offspring.runs(name)
            if record is not None and record.ended_at is not None and name in self._unfinished:
                self.recorder.job_ended(record)
                explanations.note_end(self.measures, record)
                del self._unfinished[name]
                if record.spec.parent is not None:
                    self._offspring.ended(record.spec.parent)
                self.fleet.forget(name)
                self.ended_jobs += 1
        self._touched.clear()
        self._stop_if_done()

    def _stop_if_done(self) -> None:
        if self.scenario.whole:
            return
        if not self._more and not self._unfinished and not self._offspring.is_awaited():
            self.over = True

    def goes_on(self) -> bool:
        """Whether there is anything left to simulate."""
        return not self.over

    def oldest_running_job(self) -> JobId | None:
        """The job that came first of those that have not ended."""
        return next(iter(self._unfinished), None)

    # ---- series ----------------------------------------------------------------------------

    def _sample(self, _: Event) -> None:
        state = self.controller.state
        pending, wanted = waiting(state)
        self._verdicts.look(state, self.clock.now, self.journal.turns)
        thinned = self.recorder.sample(self.clock.now, pending, wanted, self.fleet.running)
        if thinned:
            self._sample_every = Millis(self._sample_every * 2)
        if self.fleet.running or self._more:
            self._moved_at = self.clock.now
        elif self.scenario.duration is None and self.clock.now - self._moved_at >= PATIENCE:
            self.over = True  # Nothing will come of it: what waits is told as unfinished.
        self.clock.turn_at(Instant(self.clock.now + self._sample_every), self._sample)

    def _wrong(self) -> Iterator[str]:
        """What the world's own record says against the controller."""
        yield from ()

    def finish(self, *, partial: bool) -> Measures:
        """Close the books and hand them over."""
        now = self.clock.now
        for name in self.recorder.unjudged_jobs():
            record = self.controller.state.jobs.get(JobId(name))
            if record is not None:
                self.recorder.judge(record)
        self._touched.update(self._unfinished)
        self._collect(Turn(now, (), ()))
        state = self.controller.state
        self.measures.explanations += explanations.still_waiting(state, self._unfinished)
        wrong = list(self._wrong())
        self.fleet.close()
        self.recorder.close(now)
        self._choices.close(now)
        self._verdicts.note(state, now)
        pending, wanted = waiting(state)
        self.recorder.sample(now, pending, wanted, self.fleet.running)
        measures = self.measures
        measures.partial = partial
        measures.turns, measures.events = self.journal.turns, self.journal.events
        measures.digest = self.journal.digest(self.auditor.check_all())
        measures.invariants_checked = self.auditor.checked
        measures.invariants_violated = self.auditor.violated + len(wrong)
        measures.violations = [*self.auditor.sentences, *wrong][:SENTENCES_KEPT]
        return measures


def spec_of(arrival: Arrival) -> JobSpec:
    """The job that an arrival submits."""
    if arrival.spec is not None:
        return arrival.spec
    template = arrival.template
    accelerated = template.accelerator is not None
    parent: JobId | None = None
    for entry, each in template.above:
        parent = job_id(parent, UserName(arrival.user), f"{entry}-{arrival.number // each}")
    return JobSpec(
        user=UserName(arrival.user),
        name=f"{template.entry}-{arrival.number}",
        replicas=template.replicas,
        coscheduled=template.coscheduled,
        resources=Resources(
            chips=template.chips if accelerated else 0,
            cpu=template.cpu_milli,
            memory=template.memory,
            disk=template.disk,
        ),
        accelerator=template.accelerator,
        band=template.band,
        constraints=template.constraints,
        max_retries_failure=template.max_retries_failure,
        max_retries_preemption=template.max_retries_preemption,
        scheduling_timeout=template.scheduling_timeout,
        timeout=template.timeout,
        checkpoint_every=template.checkpoint.every if template.checkpoint is not None else None,
        parent=parent,
    )
