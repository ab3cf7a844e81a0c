"""A pool among workers that are lost, come back, answer late and twice: each call ends once, and none hangs."""

from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from iris.core import calls as c
from iris.core.calls import CallId, CallLimits, Fact, Outcome, Verdict
from iris.core.ids import JobId, TaskId, split_task_id, task_id
from iris.core.instant import Instant, Millis
from iris.core.pool import Pool
from iris.core.retry import Budget
from iris.core.seats import STOCK_BYTES, STUCK

NUMBERS = st.integers(0, 7)
"""Which of several: by number, counted round."""
LIMITS = st.builds(
    CallLimits,
    failures=st.integers(0, 2),
    losses=st.integers(0, 2),
    timeout=st.sampled_from([None, None, Millis(100), Millis(1_000)]),
)
SIZES = st.sampled_from([0, 0, 0, 1, STOCK_BYTES - 1, 10 * STOCK_BYTES])
PACES_US = st.sampled_from([1, 1, 10_000, 90_000])


@dataclass
class Worker:
    """An attempt, and the calls that it was sent, in order."""

    task: TaskId
    attempt: int
    is_silent: bool = False
    calls: list[CallId] = field(default_factory=list)


@dataclass
class Wanted:
    """A call that somebody submitted and that has not ended."""

    limits: CallLimits
    deadline: int | None
    failures: int = 0
    losses: int = 0


class PoolWorld(RuleBasedStateMachine):
    """The pool, the truth about its workers, and who waits for what."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = Pool()
        self.now = Instant(1_000)
        self.jobs = 0
        self.tasks: dict[TaskId, int] = {}
        """Of each task that may have a worker, the number of its next attempt."""
        self.workers: dict[TaskId, Worker] = {}
        self.open: dict[CallId, Wanted] = {}
        self.submitted = 0
        self.answered: CallId | None = None
        self.adding: list[int] = []
        self.wanted = 0
        self.dismissed: set[TaskId] = set()
        self.closed = False
        self.said: list[Fact] = []

    # ---- the driver ------------------------------------------------------------------------------

    def step(self, *facts: Fact) -> None:
        self.said += facts
        for request in self.pool.step(self.now, facts):
            self.perform(request)
        self.check()

    def perform(self, request: c.Request) -> None:
        match request:
            case c.SendCalls(task, attempt, calls):
                worker = self.workers[task]
                assert worker.attempt == attempt, request
                assert calls, request
                assert not worker.is_silent, request
                for call in calls:
                    assert call in self.open, request
                    assert not any(call in w.calls for w in self.workers.values()), request
                    worker.calls.append(call)
            case c.SettleCall(call, verdict):
                self.settle(call, verdict)
            case c.AddSeats(count):
                self.adding.append(count)
            case c.DismissWorker(task, attempt):
                worker = self.workers[task]
                assert worker.attempt == attempt, request
                assert not worker.calls, request
                assert task not in self.dismissed, request
                self.dismissed.add(task)
            case c.StopJob(job):
                assert not any(split_task_id(task)[0] == job for task in self.workers), request
                self.tasks = {t: n for t, n in self.tasks.items() if split_task_id(t)[0] != job}
            case c.RecallCalls(task, attempt, calls) | c.AbandonCalls(task, attempt, calls):
                worker = self.workers[task]
                assert worker.attempt == attempt, request
                assert set(calls) <= set(worker.calls), request

    def settle(self, call: CallId, verdict: Verdict) -> None:
        wanted = self.open.pop(call)
        match verdict:
            case Verdict.ANSWERED:
                assert call == self.answered, call
            case Verdict.TIMED_OUT:
                assert wanted.deadline is not None, call
                assert wanted.deadline <= self.now, call
            case Verdict.LOST:
                assert max(wanted.losses - wanted.limits.losses, wanted.failures) > 0, call
            case Verdict.CANCELLED:
                assert self.closed or call not in self.held(), call
            case Verdict.ENDED:
                assert self.pool.ended is not None, call

    def held(self) -> set[CallId]:
        return {call for worker in self.workers.values() for call in worker.calls}

    def check(self) -> None:
        progress = self.pool.progress()
        held = self.held()
        waiting = [call for call in self.open if call not in held]
        assert progress.waiting == len(waiting)
        assert progress.running == len(self.open) - len(waiting)
        assert progress.returned + progress.failed + len(self.open) == self.submitted
        assert progress.workers == sum(not each.is_silent for each in self.workers.values())
        assert progress.wanted == self.wanted
        assert self.pool.is_idle == (not self.open)
        late = [w.deadline for w in self.open.values() if w.deadline and w.deadline <= self.now]
        assert not late
        at = self.pool.next_deadline()
        assert at is None or at > self.now, at
        soonest = min((w.deadline for w in self.open.values() if w.deadline), default=None)
        assert soonest is None or (at is not None and at <= soonest)
        if waiting:
            assert all(worker.calls for worker in self.staying()), (waiting, self.workers)

    def staying(self) -> list[Worker]:
        """Workers that may be given calls: those on the oldest seats, as many as are wanted."""
        kept = [task for task in self.tasks if task not in self.dismissed][: self.wanted]
        stay = [worker for task, worker in self.workers.items() if task in kept]
        return [worker for worker in stay if not worker.is_silent]

    def pick(self, number: int, *, busy: bool) -> Worker | None:
        found = [w for w in self.workers.values() if w.calls or not busy]
        return found[number % len(found)] if found else None

    # ---- what may happen -------------------------------------------------------------------------

    @initialize(wanted=st.integers(1, 4))
    def begin(self, wanted: int) -> None:
        self.wanted = wanted
        self.step(c.Resized(wanted))

    @precondition(lambda self: not self.closed)
    @rule(limits=LIMITS, sizes=st.lists(SIZES, min_size=1, max_size=12))
    def submit(self, limits: CallLimits, sizes: list[int]) -> None:
        facts = []
        for size in sizes:
            call = CallId(self.submitted)
            self.submitted += 1
            deadline = None if limits.timeout is None else self.now + limits.timeout
            self.open[call] = Wanted(limits, deadline)
            facts.append(c.CallSubmitted(call, limits, size))
        self.step(*facts)

    @precondition(lambda self: self.adding and self.pool.ended is None)
    @rule()
    def seats_come(self) -> None:
        count = self.adding.pop(0)
        job = JobId(f"/alice/pool-{self.jobs}")
        self.jobs += 1
        tasks = tuple(task_id(job, index) for index in range(count))
        self.tasks.update(dict.fromkeys(tasks, 0))
        self.step(c.SeatsAdded(tasks))

    @precondition(lambda self: self.adding and self.tasks)
    @rule()
    def seats_are_refused(self) -> None:
        self.step(c.SeatsRefused(self.adding.pop(0), "quota"))

    @property
    def away(self) -> list[TaskId]:
        return [task for task in self.tasks if task not in self.workers]

    @precondition(lambda self: self.away and self.pool.ended is None)
    @rule(number=NUMBERS)
    def worker_comes(self, number: int) -> None:
        self.sit_down(self.away[number % len(self.away)])

    def sit_down(self, task: TaskId) -> None:
        worker = Worker(task, self.tasks[task])
        self.tasks[task] += 1
        self.workers[task] = worker
        self.step(c.WorkerReady(task, worker.attempt))

    @precondition(lambda self: self.workers)
    @rule(number=NUMBERS, charges=st.sampled_from(Budget), silent=st.booleans())
    def worker_is_lost(self, number: int, charges: Budget, *, silent: bool) -> None:
        worker = self.pick(number, busy=False)
        assert worker is not None
        head = self.open.get(worker.calls[0]) if worker.calls else None
        budget = Budget.PREEMPTION if silent else charges
        if head is not None and budget is Budget.FAILURE:
            head.failures += 1
        elif head is not None:
            head.losses += 1
        del self.workers[worker.task]
        self.dismissed.discard(worker.task)
        if silent:
            self.sit_down(worker.task)  # Nobody said that it was away.
        else:
            self.step(c.WorkerLost(worker.task, worker.attempt, charges, "gone"))

    @precondition(lambda self: self.workers)
    @rule(number=NUMBERS)
    def worker_falls_silent_or_is_back(self, number: int) -> None:
        worker = self.pick(number, busy=False)
        assert worker is not None
        worker.is_silent = not worker.is_silent
        fact = c.WorkerSilent if worker.is_silent else c.WorkerBack
        self.step(fact(worker.task, worker.attempt))

    @precondition(lambda self: self.held())
    @rule(
        number=NUMBERS, outcome=st.sampled_from(Outcome), took=PACES_US, answers=st.integers(1, 9)
    )
    def worker_answers(self, number: int, outcome: Outcome, took: int, answers: int) -> None:
        for _ in range(answers):
            worker = self.pick(number, busy=True)
            if worker is not None:
                self.answer(worker, outcome, took)

    def answer(self, worker: Worker, outcome: Outcome, took: int) -> None:
        call = self.answered = worker.calls.pop(0)
        wanted = self.open.get(call)
        if wanted is not None and outcome is not Outcome.RETURNED:
            wanted.failures += 1
        self.step(c.CallAnswered(call, worker.task, worker.attempt, outcome, took))
        assert outcome is not Outcome.RETURNED or call not in self.open
        self.answered = None

    @precondition(lambda self: any(len(worker.calls) > 1 for worker in self.workers.values()))
    @rule(number=NUMBERS, count=st.integers(1, 9))
    def worker_gives_back(self, number: int, count: int) -> None:
        stacked = [worker for worker in self.workers.values() if len(worker.calls) > 1]
        worker = stacked[number % len(stacked)]
        calls = tuple(worker.calls[1 : 1 + count])
        worker.calls = [call for call in worker.calls if call not in calls]
        self.step(c.CallsGivenBack(calls, worker.task, worker.attempt))

    @precondition(lambda self: self.said)
    @rule(number=st.integers(0, 10_000), twice=st.booleans())
    def something_comes_late_or_twice(self, number: int, *, twice: bool) -> None:
        """What a past attempt says, or what was said before of a call that has ended, changes nothing."""
        old = [f for f in self.said if self.is_stale(f, twice=twice)]
        if old:
            before = self.pool.progress()
            said, self.said = self.said, []
            self.step(old[number % len(old)])
            self.said = said
            assert self.pool.progress() == before

    def is_stale(self, fact: Fact, *, twice: bool) -> bool:
        match fact:
            case c.WorkerReady(task, attempt) | c.WorkerLost(task, attempt):
                worker = self.workers.get(task)
                return worker is not None and attempt < worker.attempt
            case c.CallAnswered(call, task, attempt):
                worker = self.workers.get(task)
                return worker is None or call not in worker.calls or attempt < worker.attempt
            case c.CallsGivenBack(calls, task, attempt):
                worker = self.workers.get(task)
                return worker is None or attempt < worker.attempt or not set(calls) & self.held()
            case c.CallCancelled(call):
                return twice and call not in self.open
            case _:
                return False

    @precondition(lambda self: self.open)
    @rule(number=NUMBERS)
    def cancel(self, number: int) -> None:
        waiting = [call for call in self.open if call not in self.held()]
        if waiting:
            self.step(c.CallCancelled(waiting[number % len(waiting)]))

    @precondition(lambda self: self.held())
    @rule(number=NUMBERS)
    def cancel_as_it_was_to_be_sent(self, number: int) -> None:
        worker = self.pick(number, busy=True)
        if worker is not None and worker.calls[-1] in self.open:
            self.step(c.CallCancelled(worker.calls.pop()))

    @rule(millis=st.sampled_from([1, 20, 60, 500]))
    def time_passes(self, millis: int) -> None:
        self.now = Instant(self.now + millis)
        self.step()

    @precondition(lambda self: self.pool.ended is None)
    @rule(wanted=st.integers(1, 5))
    def resize(self, wanted: int) -> None:
        self.wanted = wanted
        self.step(c.Resized(wanted))

    @precondition(lambda self: len(self.tasks) > 1)
    @rule(number=NUMBERS)
    def a_seat_is_gone(self, number: int) -> None:
        task = list(self.tasks)[number % len(self.tasks)]
        self.lose(task)
        self.step(c.SeatsGone((task,), "ended"))

    def lose(self, task: TaskId) -> None:
        worker = self.workers.pop(task, None)
        del self.tasks[task]
        head = self.open.get(worker.calls[0]) if worker is not None and worker.calls else None
        if head is not None:
            head.losses += 1

    # ---- the end ---------------------------------------------------------------------------------

    def teardown(self) -> None:
        """The world behaves: workers come and answer what they hold, and everything ends."""
        if self.pool.ended is not None:
            assert not self.open
            return
        if self.adding:
            self.seats_come()
        for task in self.away:
            if task in self.tasks:
                self.sit_down(task)
        for worker in list(self.workers.values()):
            worker.is_silent = False
            self.step(c.WorkerBack(worker.task, worker.attempt))
        self.even_out()
        for _ in range(10 * self.submitted + 10):
            busy = self.pick(0, busy=True)
            if busy is not None:
                self.answer(busy, Outcome.RETURNED, 1)
        assert not self.open or not self.tasks, self.open
        self.step(c.PoolClosed(cancels=True))
        self.step(c.PoolEnded("over"))
        assert self.pool.is_idle

    def even_out(self) -> None:
        """When a worker is idle, nobody holds more than the call that it makes, or it was called back."""
        self.now = Instant(self.now + STUCK)
        recalled: dict[TaskId, set[CallId]] = {}
        for request in self.pool.step(self.now, ()):
            self.perform(request)
            if isinstance(request, c.RecallCalls):
                recalled[request.task] = set(request.calls)
        self.check()
        if any(not worker.calls for worker in self.staying()):
            at = self.pool.next_deadline()
            stacked = [w.deadline for w in self.open.values() if w.deadline]
            assert at is None or at in stacked
        for task, calls in recalled.items():
            worker = self.workers[task]
            back = tuple(call for call in worker.calls if call in calls)
            worker.calls = [call for call in worker.calls if call not in calls]
            self.step(c.CallsGivenBack(back, task, worker.attempt))


TestPool = PoolWorld.TestCase
