"""What happens in the simulated world, entered into the rows of `sim.measure` as it happens.

The recorder knows the world's truth, which the controller learns late or never. Use of a slice is
summed as it changes, so that idle time is measured and not a remainder.
"""

from dataclasses import dataclass

from iris.core.instant import Instant
from iris.core.lifecycle import AttemptState
from iris.core.records import Job
from iris.core.spec import GroupSpec
from sim.measure import AttemptRow, JobRow, Measures, Sample, SliceRow
from sim.model import Arrival

MOST_SAMPLES = 1_000
"""When a series has twice as many, every other one is dropped and the step doubled."""


@dataclass(slots=True)
class _Use:
    """How much of a slice is used, and since when that has been so."""

    row: SliceRow
    kind: str | None  # None: its chips are cores
    """The accelerator that it has."""
    used: int = 0
    since: Instant = Instant(0)
    waited: int = 0
    """What its kind's clock of waiting work showed then."""
    leaving: bool = False


@dataclass(slots=True)
class _Kind:
    """Work of one accelerator: for how long any of it has waited, and what lies idle meanwhile."""

    waits: bool = False
    since: Instant = Instant(0)
    waited: int = 0
    idle: int = 0
    """Milli-chips of its slices that are ready and unused, and may have work."""


class Recorder:
    """Keeps the rows of one run."""

    def __init__(self, measures: Measures) -> None:
        """A recorder that fills these measures."""
        self.measures = measures
        self._use: dict[str, _Use] = {}
        self._open: dict[tuple[str, int], AttemptRow] = {}
        self._unjudged: dict[str, list[AttemptRow]] = {}
        self._kind_of: dict[str, str | None] = {}
        """By group, the accelerator of its slices."""
        self._kinds: dict[str | None, _Kind] = {}
        self._waiting: frozenset[str | None] = frozenset()
        self.draining = 0
        self.busy = 0
        self.ready = 0
        self.booting = 0
        self.ready_slices: dict[str, int] = {}

    # ---- slices ----------------------------------------------------------------------------

    def slice_requested(self, name: str, group: GroupSpec, zone: str, now: Instant) -> None:
        """The controller asked for a slice."""
        self._kind_of[group.name] = group.accelerator
        if name not in self.measures.slices:
            row = SliceRow(name, group.name, zone, group.chips * 1000, now)
            self.measures.slices[name] = row

    def slice_refused(self, name: str, reason: str) -> None:
        """The cloud refused it."""
        self.measures.slices[name].outcome = reason

    def slice_created(self, name: str, now: Instant) -> None:
        """Its machines exist, and are paid for, from now on."""
        row = self.measures.slices[name]
        row.created = now
        self.booting += row.chips_milli

    def slice_ready(self, name: str, now: Instant) -> None:
        """All of its hosts have come up."""
        row = self.measures.slices[name]
        row.ready = now
        self.booting -= row.chips_milli
        self.ready += row.chips_milli
        self.ready_slices[row.group] = self.ready_slices.get(row.group, 0) + 1
        kind = self._kind_of[row.group]
        self._use[name] = _Use(row, kind, since=now, waited=self._waited(kind, now))
        self._kinds[kind].idle += row.chips_milli

    def slice_ended(self, name: str, now: Instant, outcome: str) -> None:
        """Its machines are no more."""
        row = self.measures.slices[name]
        if row.ready is not None and name not in self._use:
            return  # It died host by host, and was deleted meanwhile.
        row.end = now
        row.outcome = outcome
        if row.ready is None:
            self.booting -= row.chips_milli
            return
        use = self._use.pop(name)
        self._settle(use, now)
        self._change_idle(use, use.used - row.chips_milli)
        self.ready -= row.chips_milli
        self.ready_slices[row.group] -= 1

    def slice_leaving(self, name: str, now: Instant) -> None:
        """It gets no new work from now on."""
        use = self._use.get(name)
        if use is None:
            return
        self._settle(use, now)
        idle = use.row.chips_milli - use.used
        self._change_idle(use, -idle)
        use.leaving = True
        self._change_idle(use, idle)

    def _settle(self, use: _Use, now: Instant) -> None:
        span = now - use.since
        idle = use.row.chips_milli - use.used
        use.row.busy += use.used * span
        use.row.idle += idle * span
        waited = self._waited(use.kind, now)
        if use.leaving:
            use.row.drain += idle * max(0, now - max(use.since, self.measures.warm_up))
        else:
            use.row.stranded += idle * (waited - use.waited)
        use.since, use.waited = now, waited

    def _change_idle(self, use: _Use, by: int) -> None:
        if use.leaving:
            self.draining += by
        else:
            self._kinds[use.kind].idle += by

    # ---- who waits -------------------------------------------------------------------------

    def work_waits(self, now: Instant, accelerators: frozenset[str | None]) -> None:
        """From now on work waits that needs these accelerators; None among them: work for cores."""
        if accelerators == self._waiting:
            return
        for kind in accelerators ^ self._waiting:
            clock = self._kinds.setdefault(kind, _Kind())
            clock.waited = self._waited(kind, now)
            clock.since, clock.waits = now, kind in accelerators
        self._waiting = accelerators

    def _waited(self, kind: str | None, now: Instant) -> int:
        """For how long, after the warm-up, work of a kind has waited in all."""
        clock = self._kinds.setdefault(kind, _Kind())
        if not clock.waits:
            return clock.waited
        return clock.waited + max(0, now - max(clock.since, self.measures.warm_up))

    def _stranded(self) -> int:
        return sum(clock.idle for clock in self._kinds.values() if clock.waits)

    # ---- jobs and attempts -----------------------------------------------------------------

    def job_submitted(self, job: str, arrival: Arrival, now: Instant) -> None:
        """A job came."""
        template = arrival.template
        each = template.chips * 1000 if template.accelerator is not None else template.cpu_milli
        self.measures.jobs[job] = JobRow(
            job=job,
            user=arrival.user,
            band=template.band.name.lower(),
            entry=template.entry,
            replicas=template.replicas,
            chips_milli=each * template.replicas,
            submit=now,
        )

    def attempt_started(self, row: AttemptRow) -> None:
        """An attempt holds its share of a slice from its start on."""
        self.measures.attempts.append(row)
        self._unjudged.setdefault(row.job, []).append(row)
        self.measures.jobs[row.job].attempts += 1
        use = self._use[row.slice]
        self._settle(use, row.start)
        use.used += row.chips_milli
        self._change_idle(use, -row.chips_milli)
        self.busy += row.chips_milli

    def attempt_running(self, row: AttemptRow, now: Instant) -> None:
        """The user's code runs."""
        row.running = now
        job = self.measures.jobs[row.job]
        if job.first_running is None:
            job.first_running = now

    def has_run(self, job: str) -> bool:
        """Whether user code of a job has run."""
        return self.measures.jobs[job].first_running is not None

    def attempt_ended(self, row: AttemptRow, now: Instant, kept: int, restart: int) -> None:
        """It is over: so many milliseconds of its work were kept, and so many went before any new work."""
        row.end = now
        held = now - row.start
        kept = min(kept, held)
        row.restart = min(restart, held - kept) * row.chips_milli
        row.useful = kept * row.chips_milli
        row.lost = (held - kept) * row.chips_milli
        job = self.measures.jobs[row.job]
        job.useful += row.useful
        job.lost += row.lost
        use = self._use[row.slice]
        self._settle(use, now)
        use.used -= row.chips_milli
        self._change_idle(use, row.chips_milli)
        self.busy -= row.chips_milli

    def job_ended(self, job: Job) -> None:
        """The controller holds a job for ended: its verdict on each attempt is final."""
        row = self.measures.jobs[job.id]
        row.end = job.ended_at
        row.state = job.state
        self.judge(job)

    def judge(self, job: Job) -> None:
        """Enter the controller's verdict on the attempts of a job that have ended."""
        row = self.measures.jobs[job.id]
        for attempt in self._unjudged.pop(job.id, ()):
            record = job.tasks[attempt.index].attempts[attempt.attempt]
            if record.ended_at is None:
                continue
            attempt.outcome = record.state
            if attempt.saved is not None and record.state is not AttemptState.SUCCEEDED:
                self._forget_end(attempt, attempt.saved, row)
            if record.state is AttemptState.PREEMPTED:
                row.preempted += 1
            elif record.state is AttemptState.EVICTED:
                row.evicted += 1
            elif record.state is AttemptState.FAILED:
                row.failed += 1
            elif record.state is AttemptState.WORKER_FAILED:
                row.worker_failed += 1

    def _forget_end(self, attempt: AttemptRow, saved: int, job: JobRow) -> None:
        """It was done, but held for lost by then: what it had not saved was for nothing."""
        vain = attempt.useful - min(saved * attempt.chips_milli, attempt.useful)
        attempt.useful -= vain
        attempt.lost += vain
        job.useful -= vain
        job.lost += vain

    def unjudged_jobs(self) -> list[str]:
        """Jobs with attempts on which no verdict was entered."""
        return list(self._unjudged)

    # ---- series and the end ----------------------------------------------------------------

    def sample(self, now: Instant, pending: int, wanted: int, running: int) -> bool:
        """Take a sample; true when the series grew so long that it was thinned."""
        groups = self.measures.group_price_per_hour
        samples = self.measures.samples
        samples.append(
            Sample(
                at=now,
                pending_tasks=pending,
                running_tasks=running,
                busy=self.busy,
                idle=self.ready - self.busy,
                booting=self.booting,
                wanted=wanted,
                slices=tuple((g, self.ready_slices.get(g, 0)) for g in groups),
                stranded=self._stranded(),
                drain=self.draining,
            )
        )
        if len(samples) < 2 * MOST_SAMPLES:
            return False
        del samples[1::2]
        return True

    def close(self, now: Instant) -> None:
        """The simulation stops here; what is there stays there."""
        for use in self._use.values():
            self._settle(use, now)
        self.measures.now = now
