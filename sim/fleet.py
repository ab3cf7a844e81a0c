"""The simulated hosts and the work on them.

A host carries out starts and stops and reports ends, as the real agent would, or dies, or falls
silent for a while and tells everything when it is heard again. A task's progress is the world's own
record: what was saved survives an attempt, what was not is lost.
"""

from collections.abc import Callable
from typing import Final

from iris.core.effects import StartAttempt, StopAttempt
from iris.core.events import (
    AttemptReport,
    Event,
    WorkerHeard,
    WorkerRegistered,
    WorkerReported,
    WorkerSilent,
)
from iris.core.ids import JobId, SliceId, TaskId, WorkerId, split_task_id, worker_id
from iris.core.instant import Instant, Millis
from iris.core.lifecycle import AttemptState
from iris.core.retry import EndCause
from sim.clockwork import Clockwork
from sim.dice import Dice
from sim.hosts import Host, Run, Work
from sim.measure import AttemptRow
from sim.recorder import Recorder
from sim.serving import Serving
from sim.user_code import failure_drawn

_BEFORE_RUNNING: Final = frozenset({EndCause.LAUNCH, EndCause.BUILD})
"""Ends of an attempt whose user's code never runs."""


class Fleet:
    """All hosts, and all work."""

    def __init__(
        self,
        clock: Clockwork,
        dice: Dice,
        recorder: Recorder,
        deliver: Callable[[Event], None],
        silence: Millis,
    ) -> None:
        """Hosts that report through `deliver`; a dead one is known to be silent after `silence`."""
        self._clock = clock
        self._dice = dice
        self._recorder = recorder
        self._deliver = deliver
        self._silence = silence
        self.hosts: dict[WorkerId, Host] = {}
        self.work: dict[str, Work] = {}
        self._serving = Serving(clock, deliver)
        self.defers: Callable[[JobId, Callable[[], None]], bool] = lambda *_: False
        """Whether children of a job have not ended; what is to happen when they have is kept."""
        self.running = 0

    # ---- hosts -----------------------------------------------------------------------------

    def boot(self, slice_: SliceId, index: int, address: str, *, cores_count: bool) -> Host:
        """A host comes up."""
        name = worker_id(slice_, index)
        host = Host(slice_, index, name, f"{slice_}/{index}", address, cores_count)
        self.hosts[name] = host
        return host

    def kill(self, host: Host) -> None:
        """The host dies with everything on it; its link falls silent a little later."""
        if not host.alive:
            return
        host.alive = False
        now = self._clock.now
        for run in list(host.runs.values()):
            self._end(run, self._kept(run, now))
        self.hosts.pop(host.worker, None)
        self._fall_silent(host)

    def _fall_silent(self, host: Host) -> None:
        silent = WorkerSilent(host.worker, host.incarnation, self._clock.now)
        self._clock.later(self._silence, lambda: self._deliver(silent))

    def registers(self, host: Host | None, registered: WorkerRegistered) -> bool:
        """Whether a host that has come up says itself who it is; else its cloud tells it at once.

        A host is nothing when its index is another's.
        """
        del host, registered
        return False

    def cut(self, host: Host, span: Millis | None) -> None:
        """Cut the host's link, for a while or for good; its tasks run on."""
        host.cut = True
        host.cuts += 1
        cut, silent = host.cuts, WorkerSilent(host.worker, host.incarnation, self._clock.now)

        def fall_silent() -> None:
            if host.cut and host.cuts == cut:
                self._deliver(silent)

        self._clock.later(self._silence, fall_silent)
        if span is not None:
            self._clock.later(span, lambda: self._heal(host, cut))

    def _stands(self, run: Run) -> bool | None:
        return None if run.over else not run.host.cut

    def _heal(self, host: Host, cut: int) -> None:
        if not host.alive or host.cuts != cut:
            return
        host.cut = False
        self._deliver(WorkerHeard(host.worker, host.incarnation))
        reports, host.outbox = tuple(host.outbox), []
        if reports:
            self._deliver(WorkerReported(host.worker, host.incarnation, reports))
        backlog, host.backlog = host.backlog, []
        for request in backlog:
            self.perform(request)

    # ---- attempts --------------------------------------------------------------------------

    def perform(self, request: StartAttempt | StopAttempt) -> None:
        """Carry out a request, if the host that it names is there to hear it."""
        host = self.hosts.get(request.worker)
        if host is None or host.incarnation != request.incarnation:
            return
        if host.cut:
            host.backlog.append(request)
            return
        key = (request.task, request.attempt)
        if isinstance(request, StartAttempt):
            if key not in host.runs:
                self._start(host, request)
            return
        if (run := host.runs.get(key)) is None:  # Whoever asks to stop what is not there is told.
            self._tell(host, AttemptReport(request.task, request.attempt, AttemptState.KILLED))
            return
        self._end(run, self._kept(run, self._clock.now))
        self._report(host, run, AttemptState.KILLED, EndCause.REQUESTED)

    def forget(self, job: JobId) -> None:
        """A job has ended: what still starts of it on a host that was cut off does not run."""
        # A run and its work know each other: parted, they go without a search for cycles.
        self.work.pop(job).last.clear()

    def _start(self, host: Host, start: StartAttempt) -> None:
        work = self.work.get(split_task_id(start.task)[0])
        if work is None:
            return  # Its job ended while this host was cut off: nobody wants it any more.
        run = self._enter(host, work, start.task, start.attempt)
        launch = self._launch_span(run)
        if launch:
            self._clock.later(launch, lambda: self._run(run))
        else:
            self._run(run)

    def resume(
        self, host: Host, task: TaskId, attempt: int, runs: Instant, *, is_told: bool
    ) -> None:
        """An attempt is under way in the world that this one continues.

        Its code runs since an instant, if the controller was told so, or will run from then on.
        """
        run = self._enter(host, self.work[split_task_id(task)[0]], task, attempt)
        if is_told:
            self._recorder.attempt_running(run.row, runs)
            self._launched(run, runs)
        else:
            self._clock.later(Millis(max(0, runs - self._clock.now)), lambda: self._run(run))

    def _enter(self, host: Host, work: Work, task: TaskId, attempt: int) -> Run:
        """A new attempt is on a host."""
        job, index = split_task_id(task)
        template = work.arrival.template
        chips_milli = template.cpu_milli if host.cores_count else template.chips * 1000
        now, place = self._clock.now, (host.slice, host.index)
        row = AttemptRow(job, index, attempt, *place, chips_milli, now, None, now, None, 0, 0)
        self._recorder.attempt_started(row)
        checkpoint = template.checkpoint
        restore = checkpoint.restore if checkpoint is not None and attempt else 0
        last = work.last.get(index)
        if last is not None and not last.over:
            self._kept(last, now)
        before = work.saved.get(work.account(index), 0)
        run = Run(task, index, attempt, work, host, row, restore, before)
        work.last[index] = run
        host.runs[task, attempt] = run
        self.running += 1
        return run

    def _launch_span(self, run: Run) -> Millis:
        """From the start of an attempt to its user's code running."""
        arrival = run.work.arrival
        if arrival.courses:
            return arrival.courses[run.index].launch(run.attempt)
        stream = f"launch/{arrival.template.entry}"
        key = (arrival.number, run.index, run.attempt)
        return self._dice.draw(arrival.template.launch, stream, *key)

    def _run(self, run: Run) -> None:
        if run.over:
            return
        end = run.work.own_end(run.index, run.attempt)
        if end is not None and end.cause in _BEFORE_RUNNING:
            self._finish(run, end.cause)
            return
        self._recorder.attempt_running(run.row, self._clock.now)
        self._report(run.host, run, AttemptState.RUNNING, None)
        at, serves = run.host.address, run.work.arrival.template.serves
        self._serving.begin((run.task, run.attempt), at, serves, lambda: self._stands(run))
        self._launched(run, self._clock.now)

    def _launched(self, run: Run, at: Instant) -> None:
        """A run's code runs since an instant; a gang works from its last member's on."""
        members = [run]
        if run.work.shared:
            members = run.work.launched.setdefault(run.attempt, [])
            members.append(run)
            if len(members) < run.work.arrival.template.replicas:
                return
            at = max(m.row.running for m in members if m.row.running is not None)
        if not any(member.over for member in members):
            for member in members:
                self._begin(member, at)

    def _begin(self, run: Run, at: Instant) -> None:
        run.working = at
        span = self._span(run)
        after, cause = self._failure_of(run, span) or (span, EndCause.EXIT_ZERO)
        left = Millis(max(0, at + after - self._clock.now))
        self._clock.later(left, lambda: self._finish(run, cause))

    def _span(self, run: Run) -> Millis:
        """From its begin to its end: restoring, what work is left, what its checkpoints cost."""
        arrival = run.work.arrival
        left = max(0, run.work.length(run.index) - run.before)
        checkpoint = arrival.template.checkpoint
        if checkpoint is None:
            return Millis(left)
        saves = -(-left // checkpoint.every)
        return Millis(run.restore + left + saves * checkpoint.cost)

    def _failure_of(self, run: Run, span: Millis) -> tuple[Millis, EndCause] | None:
        if not run.work.arrival.courses:
            return failure_drawn(self._dice, run.work.arrival, (run.index, run.attempt), span)
        end = run.work.own_end(run.index, run.attempt)
        if end is None:
            return None
        return Millis(run.restore + max(0, end.at - run.before)), end.cause

    def _finish(self, run: Run, cause: EndCause) -> None:
        if run.over or (cause is EndCause.EXIT_ZERO and self._is_deferred(run)):
            return
        if cause is EndCause.EXIT_ZERO:
            kept = run.work.cut_off.get(self._key(run))
            if kept is None:
                run.row.saved = self._saved(run, self._clock.now)
                kept = max(0, run.work.length(run.index) - run.before)
                kept += self._clock.now - (run.waits_from or self._clock.now)
            else:
                run.row.saved = kept  # Its round was over already: no later save counts.
            self._end(run, kept)
            self._report(run.host, run, AttemptState.SUCCEEDED, cause)
        else:
            run.work.failed.setdefault(run.work.account(run.index), {})[run.attempt] = None
            self._end(run, self._kept(run, self._clock.now))
            self._report(run.host, run, AttemptState.FAILED, cause)

    def _is_deferred(self, run: Run) -> bool:
        """Whether a task that is done waits for the jobs that it has submitted: it is of use so long."""
        job, waits = split_task_id(run.task)[0], run.work.arrival.template.waits
        if not waits or not self.defers(job, lambda: self._finish(run, EndCause.EXIT_ZERO)):
            return False
        run.waits_from = self._clock.now
        return True

    def _kept(self, run: Run, now: Instant) -> int:
        """How much of an interrupted attempt's work is saved; enters it into the job's account."""
        key = self._key(run)
        if key not in run.work.cut_off:
            run.work.cut_off[key] = self._saved(run, now)
        return run.work.cut_off[key]

    def _key(self, run: Run) -> tuple[int, int]:
        return run.work.account(run.index), run.attempt

    def _saved(self, run: Run, now: Instant) -> int:
        work = run.work
        checkpoint = work.arrival.template.checkpoint
        if checkpoint is None or run.working is None:
            return 0
        worked = now - run.working - run.restore
        if worked <= 0:
            return 0
        kept = worked // (checkpoint.every + checkpoint.cost) * checkpoint.every
        needed, notice = checkpoint.on_notice, run.host.doomed_for
        if needed is not None and notice is not None and notice >= needed:
            kept = max(kept, worked - needed)
        kept = min(kept, work.length(run.index) - run.before)
        account = work.account(run.index)
        work.saved[account] = max(work.saved.get(account, 0), run.before + kept)
        return kept

    def _end(self, run: Run, kept: int) -> None:
        run.over = True
        del run.host.runs[run.task, run.attempt]
        self.running -= 1
        now = self._clock.now
        working = run.working if run.working is not None else now
        restart = working - run.row.start + min(run.restore, max(0, now - working))
        self._recorder.attempt_ended(run.row, now, kept, restart)

    def _report(self, host: Host, run: Run, state: AttemptState, cause: EndCause | None) -> None:
        self._tell(host, AttemptReport(run.task, run.attempt, state, cause))

    def _tell(self, host: Host, report: AttemptReport) -> None:
        if host.cut:
            host.outbox.append(report)
        else:
            self._deliver(WorkerReported(host.worker, host.incarnation, (report,)))

    def close(self) -> None:
        """The simulation stops; the work so far of what still runs counts as kept."""
        now = self._clock.now
        for run in [run for host in self.hosts.values() for run in host.runs.values()]:
            began = run.working if run.working is not None else now
            self._end(run, max(0, now - began - run.restore))
