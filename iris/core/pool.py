"""Which worker of a pool makes which call, and how each call ends.

Like the controller, the pool is told the time and what happened, and returns requests. Its driver, a client,
submits the jobs, talks to the workers and keeps what the calls are about.

A call waits, or is held by one worker, or has ended; it ends once. It is made again when it raised and
may, and when its worker was lost under it. Only the call that the worker was making is charged for that, the
first that it holds; those behind it had not begun. A call that times out ends at once; the worker that holds
it is told, and its place there is free when the worker answers. What an attempt says of a call that it does
not hold changes nothing.

No wanted worker that answers is idle while a call waits. When one is idle and none waits, calls are
recalled that wait at a worker behind one that takes long.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Final, assert_never

from iris.core import calls as c
from iris.core.calls import CallId, CallLimits, Fact, Outcome, Progress, Request, Verdict
from iris.core.ids import TaskId
from iris.core.instant import Instant, after
from iris.core.retry import Budget
from iris.core.seats import STOCK_BYTES, Seat, Seats, SeatState

_SHUT: Final = "it was shut down"
_SPARE_DEADLINES: Final = 64
"""So many more deadlines than calls are kept before those of ended calls are dropped."""


@dataclass(slots=True)
class _Call:
    limits: CallLimits
    size_bytes: int
    deadline: Instant | None  # None: waits for ever
    failures: int = 0
    losses: int = 0
    seat: Seat | None = None  # None: it waits


class Pool:
    """The calls, the seats, and what becomes of them."""

    def __init__(self) -> None:
        """Without a seat: the first fact is `Resized`."""
        self._calls: dict[CallId, _Call] = {}
        self._waiting: OrderedDict[CallId, None] = OrderedDict()
        self._deadlines: list[tuple[Instant, CallId]] = []
        self._seats = Seats()
        self._asked = 0
        """Seats that were asked for and are neither there nor refused."""
        self._wanted = 0
        self._returned = 0
        self._ended_calls = 0
        self._is_closed = False
        self._ended: str | None = None  # None: it has not
        self._requests: list[Request] = []

    # ---- what may be asked -----------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether every call has ended."""
        return not self._calls

    @property
    def ended(self) -> str | None:
        """Why nothing can be done any more; None while something can."""
        return self._ended

    def progress(self) -> Progress:
        """How far it is."""
        waiting = len(self._waiting)
        running = len(self._calls) - waiting
        failed = self._ended_calls - self._returned
        workers = self._seats.workers
        return Progress(waiting, running, self._returned, failed, workers, self._wanted)

    def next_deadline(self) -> Instant | None:
        """When to come back even if nothing happens."""
        while self._deadlines and self._deadlines[0][1] not in self._calls:
            heappop(self._deadlines)
        first = self._deadlines[0][0] if self._deadlines else None
        look = self._seats.next_stuck() if self._is_short_of_work else None
        return min((at for at in (first, look) if at is not None), default=None)

    @property
    def _is_short_of_work(self) -> bool:
        return self._seats.has_free and not self._waiting

    # ---- the step --------------------------------------------------------------------------------

    def step(self, now: Instant, facts: Iterable[Fact]) -> Sequence[Request]:
        """What to do, now that this has happened."""
        self._requests = []
        for fact in facts:
            self._learn(now, fact)
        self._time_out(now)
        self._assign(now)
        self._level(now)
        return self._requests

    def _learn(self, now: Instant, fact: Fact) -> None:
        match fact:
            case c.CallAnswered():
                self._answered(now, fact)
            case c.CallSubmitted():
                self._submitted(now, fact)
            case c.CallsGivenBack(calls, task, attempt):
                self._given_back(calls, task, attempt)
            case c.CallCancelled(call):
                self._cancelled(call)
            case c.WorkerReady(task, attempt):
                self._ready(now, task, attempt)
            case c.WorkerLost(task, attempt, charges, why):
                seat = self._seats.with_worker(task, attempt)
                if seat is not None:
                    self._vacate(now, seat, charges, why)
                    self._stop_jobs()
            case c.WorkerSilent(task, attempt) | c.WorkerBack(task, attempt):
                seat = self._seats.with_worker(task, attempt)
                if seat is not None:
                    seat.is_silent = isinstance(fact, c.WorkerSilent)
                    self._seats.sort_in(seat)
            case c.SeatsAdded(tasks):
                self._asked -= len(tasks)
                self._seats.add(tasks)
                self._resize(self._wanted)
            case c.SeatsRefused(count, why):
                self._asked -= count
                self._end_if_empty(why)
            case c.SeatsGone(tasks, why):
                self._gone(now, tasks, why)
            case c.Resized(wanted):
                self._resize(wanted)
            case c.PoolClosed(cancels):
                self._close(cancels=cancels)
            case c.PoolEnded(why):
                self._end(why)
            case _:
                assert_never(fact)

    # ---- calls -----------------------------------------------------------------------------------

    def _submitted(self, now: Instant, fact: c.CallSubmitted) -> None:
        timeout = fact.limits.timeout
        deadline = after(now, timeout) if timeout is not None else None
        self._calls[fact.call] = _Call(fact.limits, fact.size_bytes, deadline)
        over = self._ended or (_SHUT if self._is_closed else None)
        if over is not None:
            self._settle(fact.call, Verdict.ENDED, over)
            return
        self._waiting[fact.call] = None
        if deadline is not None:
            heappush(self._deadlines, (deadline, fact.call))
            if len(self._deadlines) > 2 * len(self._calls) + _SPARE_DEADLINES:
                self._deadlines = [each for each in self._deadlines if each[1] in self._calls]
                heapify(self._deadlines)

    def _answered(self, now: Instant, fact: c.CallAnswered) -> None:
        seat = self._seats.with_worker(fact.task, fact.attempt)
        if seat is None or fact.call not in seat.held:
            return
        self._seats.let_go(seat, fact.call)
        self._seats.heard(seat, fact.took_us, now)
        self._after_answer(seat)
        call = self._calls.get(fact.call)
        if call is None:  # It was abandoned.
            return
        if fact.outcome is Outcome.RETURNED:
            self._returned += 1
            self._settle(fact.call, Verdict.ANSWERED)
        else:
            self._charge(fact.call, call, Budget.FAILURE, "")

    def _charge(self, number: CallId, call: _Call, budget: Budget, why: str) -> None:
        """It is made again, or ends if it has been so often enough; without a reason, as it was answered."""
        if budget is Budget.FAILURE:
            call.failures += 1
            is_over = call.failures > call.limits.failures
        else:
            call.losses += 1
            is_over = call.losses > call.limits.losses
        if is_over:
            self._settle(number, Verdict.LOST if why else Verdict.ANSWERED, why)
        else:
            self._wait_again((number,))

    def _wait_again(self, calls: Sequence[CallId]) -> None:
        """Before all that wait, in their order, those that somebody still waits for."""
        for number in reversed(calls):
            call = self._calls.get(number)
            if call is not None:
                call.seat = None
                self._waiting[number] = None
                self._waiting.move_to_end(number, last=False)

    def _given_back(self, calls: Sequence[CallId], task: TaskId, attempt: int) -> None:
        seat = self._seats.with_worker(task, attempt)
        if seat is None:
            return
        held = [call for call in calls if call in seat.held]
        for call in held:
            self._seats.let_go(seat, call)
        self._after_answer(seat)
        self._wait_again(held)

    def _cancelled(self, number: CallId) -> None:
        call = self._calls.get(number)
        if call is None:
            return
        if call.seat is not None:
            self._seats.let_go(call.seat, number)
            self._after_answer(call.seat)
        self._settle(number, Verdict.CANCELLED)

    def _settle(self, number: CallId, verdict: Verdict, why: str = "") -> None:
        del self._calls[number]
        self._waiting.pop(number, None)
        self._ended_calls += 1
        self._requests.append(c.SettleCall(number, verdict, why))

    def _time_out(self, now: Instant) -> None:
        late: dict[TaskId, list[CallId]] = {}
        while self._deadlines and self._deadlines[0][0] <= now:
            _, number = heappop(self._deadlines)
            call = self._calls.get(number)
            if call is not None:
                if call.seat is not None:
                    late.setdefault(call.seat.task, []).append(number)
                self._settle(number, Verdict.TIMED_OUT)
        self._abandon(late)

    def _abandon(self, calls: dict[TaskId, list[CallId]]) -> None:
        for task, numbers in calls.items():
            attempt = self._seats.by_task[task].attempt
            assert attempt is not None, task
            self._requests.append(c.AbandonCalls(task, attempt, tuple(numbers)))

    # ---- workers ---------------------------------------------------------------------------------

    def _ready(self, now: Instant, task: TaskId, attempt: int) -> None:
        seat = self._seats.by_task.get(task)
        if seat is None or (seat.attempt is not None and seat.attempt > attempt):
            return
        if seat.attempt is not None:
            self._vacate(now, seat, Budget.PREEMPTION, f"{task} started anew")
        self._seats.sit(seat, attempt, now)
        self._leave(seat)

    def _vacate(self, now: Instant, seat: Seat, charges: Budget, why: str) -> None:
        """Its worker is gone; the call that it made is charged, and those behind are not."""
        held = list(seat.held)
        if seat.state is SeatState.DISMISSED:
            seat.state = SeatState.LEAVING
        self._seats.sit(seat, None, now)
        self._wait_again(held[1:])
        for number in held[:1]:
            call = self._calls.get(number)
            if call is not None:
                self._charge(number, call, charges, why)

    def _after_answer(self, seat: Seat) -> None:
        self._seats.sort_in(seat)
        self._leave(seat)

    def _leave(self, seat: Seat) -> None:
        """Dismiss a worker that is not wanted, once it holds nothing."""
        if seat.state is SeatState.LEAVING and seat.attempt is not None and not seat.held:
            seat.state = SeatState.DISMISSED
            self._requests.append(c.DismissWorker(seat.task, seat.attempt))

    # ---- size ------------------------------------------------------------------------------------

    def _resize(self, wanted: int) -> None:
        """The newest seats go first; those that are leaving come back first."""
        self._wanted = wanted
        if self._ended is None:
            missing = wanted - self._arrange() - self._asked
            if missing > 0:
                self._asked += missing
                self._requests.append(c.AddSeats(missing))

    def _arrange(self) -> int:
        """Say which seats stay and which go; how many there are that could stay."""
        keep = [seat for seat in self._seats if seat.state is not SeatState.DISMISSED]
        for place, seat in enumerate(keep):
            state = SeatState.WANTED if place < self._wanted else SeatState.LEAVING
            if state is not seat.state:
                seat.state = state
                self._after_answer(seat)
                if state is SeatState.LEAVING:
                    self._recall(seat)
        self._stop_jobs()
        return len(keep)

    def _gone(self, now: Instant, tasks: Sequence[TaskId], why: str) -> None:
        for task in tasks:
            seat = self._seats.by_task.get(task)
            if seat is not None:
                self._vacate(now, seat, Budget.PREEMPTION, why)
                self._seats.remove(seat)
        self._end_if_empty(why)

    def _stop_jobs(self) -> None:
        for job in self._seats.jobs_without_use():
            for seat in [seat for seat in self._seats if seat.task.rpartition(":")[0] == job]:
                self._seats.remove(seat)
            self._requests.append(c.StopJob(job))

    def _end_if_empty(self, why: str) -> None:
        if not self._arrange() and not self._asked:
            self._end(why)

    def _end(self, why: str) -> None:
        """Every call ends now; the first reason stands."""
        if self._ended is None:
            self._ended = why
            self._drop(list(self._calls), Verdict.ENDED, why)

    def _close(self, *, cancels: bool) -> None:
        self._is_closed = True
        if cancels:
            self._drop(list(self._waiting), Verdict.CANCELLED)

    def _drop(self, calls: Iterable[CallId], verdict: Verdict, why: str = "") -> None:
        held: dict[TaskId, list[CallId]] = {}
        for number in calls:
            seat = self._calls[number].seat
            if seat is not None:
                held.setdefault(seat.task, []).append(number)
            self._settle(number, verdict, why)
        self._abandon(held)

    # ---- who makes what --------------------------------------------------------------------------

    def _assign(self, now: Instant) -> None:
        """Give waiting calls out, first come first served, in even shares."""
        if not self._waiting:
            return
        share = -(-len(self._waiting) // max(1, len(self._seats.by_task)))
        while self._waiting:
            found = self._seats.next_taker(now)
            if found is None:
                return
            seat, room = found
            assert seat.attempt is not None, seat
            sent = self._take(now, seat, min(room, share))
            if sent:
                self._seats.sort_in(seat)
                self._requests.append(c.SendCalls(seat.task, seat.attempt, tuple(sent)))
            else:
                self._seats.has_no_room(seat)

    def _take(self, now: Instant, seat: Seat, most: int) -> list[CallId]:
        sent: list[CallId] = []
        while self._waiting and len(sent) < most:
            number = next(iter(self._waiting))
            call = self._calls[number]
            if seat.held and seat.held_bytes + call.size_bytes > STOCK_BYTES:
                break
            del self._waiting[number]
            call.seat = seat
            self._seats.hold(seat, number, call.size_bytes, now)
            sent.append(number)
        return sent

    def _level(self, now: Instant) -> None:
        """Take back what waits behind a call that takes long, when somebody could make it."""
        if self._is_short_of_work:
            for seat in self._seats.stuck(now):
                self._recall(seat)

    def _recall(self, seat: Seat) -> None:
        """All that a worker holds behind the call that it makes."""
        behind = [call for call in list(seat.held)[1:] if call not in seat.recalled]
        if not behind or seat.attempt is None:
            return
        seat.recalled.update(dict.fromkeys(behind))
        self._seats.sort_in(seat)
        self._requests.append(c.RecallCalls(seat.task, seat.attempt, tuple(behind)))
