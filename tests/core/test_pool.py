"""A pool of workers: who makes which call, how often it is made, how each one ends, and which seats come and go."""

from collections.abc import Sequence
from typing import Final

from iris.core.calls import (
    UNLIMITED,
    AbandonCalls,
    AddSeats,
    CallAnswered,
    CallCancelled,
    CallId,
    CallLimits,
    CallsGivenBack,
    CallSubmitted,
    DismissWorker,
    Fact,
    Outcome,
    PoolClosed,
    PoolEnded,
    Progress,
    RecallCalls,
    Request,
    Resized,
    SeatsAdded,
    SeatsGone,
    SeatsRefused,
    SendCalls,
    SettleCall,
    StopJob,
    Verdict,
    WorkerBack,
    WorkerLost,
    WorkerReady,
    WorkerSilent,
)
from iris.core.ids import TaskId, split_task_id
from iris.core.instant import Instant, Millis
from iris.core.pool import Pool
from iris.core.retry import Budget
from iris.core.seats import MAX_HELD, STOCK_BYTES, STUCK

A, B, C = (TaskId(f"/alice/pool:{index}") for index in range(3))
D: Final = TaskId("/alice/pool-2:0")
ONE, TWO = CallId(1), CallId(2)


class Story:
    """A pool, the time, and its workers."""

    def __init__(self, *tasks: TaskId) -> None:
        """A pool with a worker on each of these seats."""
        self.pool = Pool()
        self.now = Instant(0)
        assert self.step(Resized(len(tasks))) == [AddSeats(len(tasks))]
        self.step(SeatsAdded(tasks))
        self.step(*(WorkerReady(task, 0) for task in tasks))

    def step(self, *facts: Fact) -> Sequence[Request]:
        return self.pool.step(self.now, facts)

    def pass_time(self, millis: int) -> Sequence[Request]:
        self.now = Instant(self.now + millis)
        return self.step()

    def submit(
        self, count: int = 1, limits: CallLimits = UNLIMITED, size: int = 0
    ) -> Sequence[Request]:
        first = getattr(self, "number", 1)
        self.number = first + count
        return self.step(*(CallSubmitted(CallId(first + n), limits, size) for n in range(count)))

    def answer(
        self, call: CallId, task: TaskId = A, outcome: Outcome = Outcome.RETURNED, took_us: int = 1
    ) -> Sequence[Request]:
        return self.step(CallAnswered(call, task, 0, outcome, took_us))

    def warm(self) -> "Story":
        """Calls are known to be quick, so that workers are given many."""
        for number, seat in enumerate(list(self.pool._seats), start=1):
            self.submit()
            self.answer(CallId(number), seat.task)
        return self


def numbers(*calls: int) -> tuple[CallId, ...]:
    return tuple(CallId(call) for call in calls)


def test_a_call_waits_for_a_worker_and_ends_as_it_answers() -> None:
    story = Story(A)
    assert story.submit() == [SendCalls(A, 0, (ONE,))]
    assert story.submit() == []
    assert story.pool.progress() == Progress(1, 1, 0, 0, 1, 1)
    assert story.answer(ONE) == [SettleCall(ONE, Verdict.ANSWERED), SendCalls(A, 0, (TWO,))]
    assert story.answer(TWO) == [SettleCall(TWO, Verdict.ANSWERED)]
    assert story.pool.progress() == Progress(0, 0, 2, 0, 1, 1)
    assert story.pool.is_idle


def test_quick_calls_travel_together_in_even_shares_and_slow_ones_alone() -> None:
    story = Story(A, B).warm()
    assert story.submit(9) == [
        SendCalls(A, 0, numbers(3, 4, 5, 6, 7)),
        SendCalls(B, 0, numbers(8, 9, 10, 11)),
    ]
    slow = Story(A)
    slow.submit(9)
    assert slow.answer(ONE, took_us=60_000) == [
        SettleCall(ONE, Verdict.ANSWERED),
        SendCalls(A, 0, (TWO,)),
    ]


def test_a_worker_holds_only_so_many_calls_and_so_many_bytes() -> None:
    story = Story(A).warm()
    sent = story.submit(2 * MAX_HELD)
    assert [len(each.calls) for each in sent if isinstance(each, SendCalls)] == [MAX_HELD]
    large = Story(A, B).warm()
    sent = large.submit(5, size=STOCK_BYTES // 2 + 1)
    assert sent == [SendCalls(A, 0, numbers(3)), SendCalls(B, 0, numbers(4))]
    assert large.submit(size=0) == []


def test_what_is_made_again_goes_before_what_has_waited() -> None:
    story = Story(A)
    story.submit(2, limits=CallLimits(failures=1))
    assert story.answer(ONE, outcome=Outcome.RAISED, took_us=60_000) == [SendCalls(A, 0, (ONE,))]


def test_what_raises_is_made_again_as_often_as_it_may_and_ends_with_its_last_answer() -> None:
    story = Story(A)
    story.submit(limits=CallLimits(failures=1))
    assert story.answer(ONE, outcome=Outcome.RAISED) == [SendCalls(A, 0, (ONE,))]
    assert story.answer(ONE, outcome=Outcome.CRASHED) == [SettleCall(ONE, Verdict.ANSWERED)]
    assert story.pool.progress().failed == 1


def test_only_the_call_that_was_being_made_is_charged_for_a_lost_worker() -> None:
    story = Story(A, B).warm()
    story.submit(4, limits=CallLimits(failures=9, losses=0))
    story.answer(CallId(5), B)
    story.answer(CallId(6), B)
    assert story.step(WorkerLost(A, 0, Budget.PREEMPTION, "gone")) == [
        SettleCall(CallId(3), Verdict.LOST, "gone"),
        SendCalls(B, 0, numbers(4)),
    ]


def test_a_silent_worker_is_sent_nothing_until_it_is_back() -> None:
    story = Story(A)
    assert story.step(WorkerSilent(A, 0)) == []
    assert story.submit() == []
    assert story.pool.progress().workers == 0
    assert story.step(WorkerBack(A, 1)) == []
    assert story.step(WorkerBack(A, 0)) == [SendCalls(A, 0, (ONE,))]


def test_a_worker_that_ends_by_the_calls_own_fault_is_charged_to_its_failures() -> None:
    story = Story(A)
    story.submit(limits=CallLimits(failures=0, losses=9))
    assert story.step(WorkerLost(A, 0, Budget.FAILURE, "out_of_memory")) == [
        SettleCall(ONE, Verdict.LOST, "out_of_memory")
    ]


def test_a_worker_that_comes_back_is_used_again_also_when_nobody_said_that_it_was_away() -> None:
    story = Story(A)
    story.submit()
    assert story.step(WorkerReady(A, 1)) == [SendCalls(A, 1, (ONE,))]
    assert story.step(CallAnswered(ONE, A, 0, Outcome.RETURNED)) == []
    assert story.step(WorkerReady(A, 0), WorkerLost(A, 0, Budget.FAILURE, "late")) == []
    assert story.step(CallAnswered(ONE, A, 1, Outcome.RETURNED)) == [
        SettleCall(ONE, Verdict.ANSWERED)
    ]


def test_a_call_whose_time_is_over_ends_at_once_and_its_worker_is_told() -> None:
    story = Story(A)
    story.submit(2, limits=CallLimits(timeout=Millis(100)))
    story.submit(limits=CallLimits(timeout=Millis(400)))
    assert story.pool.next_deadline() == 100
    assert story.pass_time(100) == [
        SettleCall(ONE, Verdict.TIMED_OUT),
        SettleCall(TWO, Verdict.TIMED_OUT),
        AbandonCalls(A, 0, (ONE,)),
    ]
    assert story.pool.next_deadline() == 400
    # Until the worker says that it has ended the call, it can make no other.
    assert story.answer(ONE, outcome=Outcome.CRASHED) == [SendCalls(A, 0, numbers(3))]


def test_calls_whose_time_was_over_are_not_made_again() -> None:
    story = Story(A).warm()
    story.submit(limits=CallLimits(timeout=Millis(100)))
    story.answer(TWO)
    story.submit(2, limits=CallLimits(timeout=Millis(100)))
    story.pass_time(100)
    assert story.step(CallsGivenBack(numbers(4), A, 0)) == []
    assert story.step(WorkerLost(A, 0, Budget.PREEMPTION, "gone"), WorkerReady(A, 1)) == []
    assert story.pool.progress() == Progress(0, 0, 2, 2, 1, 1)


def test_deadlines_of_calls_that_have_ended_are_forgotten() -> None:
    story = Story(A)
    for number in range(1, 300):
        story.submit(limits=CallLimits(timeout=Millis(1_000)))
        story.answer(CallId(number))
    assert len(story.pool._deadlines) < 100
    assert story.pool.next_deadline() is None


def test_a_cancelled_call_is_not_made_and_its_place_at_a_worker_is_free() -> None:
    story = Story(A)
    story.submit(3)
    assert story.step(CallCancelled(TWO)) == [SettleCall(TWO, Verdict.CANCELLED)]
    assert story.step(CallCancelled(TWO)) == []
    assert story.step(CallCancelled(ONE)) == [
        SettleCall(ONE, Verdict.CANCELLED),
        SendCalls(A, 0, numbers(3)),
    ]


def test_what_waits_behind_a_long_call_is_recalled_for_an_idle_worker() -> None:
    story = Story(A, B).warm()
    story.submit(4)
    assert story.answer(CallId(5), B) == [SettleCall(CallId(5), Verdict.ANSWERED)]
    story.answer(CallId(6), B)
    assert story.pool.next_deadline() == Instant(STUCK)
    assert story.pass_time(STUCK) == [RecallCalls(A, 0, numbers(4))]
    assert story.pass_time(1) == []
    assert story.pool.next_deadline() is None
    assert story.step(CallsGivenBack(numbers(4), A, 0)) == [SendCalls(B, 0, numbers(4))]
    assert story.step(CallsGivenBack(numbers(4), A, 0)) == []
    assert story.step(CallsGivenBack(numbers(4), A, 1)) == []


def test_a_worker_that_is_stuck_is_given_nothing_more() -> None:
    story = Story(A, B).warm()
    story.submit(2)
    story.pass_time(STUCK)
    assert story.submit() == []


def test_a_pool_grows_by_a_further_job_and_shrinks_by_its_newest_seats() -> None:
    story = Story(A)
    assert story.step(Resized(2)) == [AddSeats(1)]
    assert story.step(Resized(2)) == []
    story.step(SeatsAdded((D,)))
    story.step(WorkerReady(D, 0))
    story.submit(2)
    assert story.step(Resized(1)) == []
    assert story.step(CallAnswered(TWO, D, 0, Outcome.RETURNED)) == [
        DismissWorker(D, 0),
        SettleCall(TWO, Verdict.ANSWERED),
    ]
    assert story.step(SeatsGone((D,), "it was dismissed")) == []
    assert story.pool.progress().workers == 1


def test_a_seat_that_leaves_gives_its_calls_back_or_comes_back_itself() -> None:
    story = Story(A, B).warm()
    story.submit(4)
    assert story.step(Resized(1)) == [RecallCalls(B, 0, numbers(6))]
    assert story.step(Resized(2)) == []
    assert story.step(Resized(1)) == []
    assert story.step(CallsGivenBack(numbers(6), B, 0)) == [SendCalls(A, 0, numbers(6))]
    assert story.step(WorkerLost(B, 0, Budget.PREEMPTION, "gone"))[0] == SendCalls(A, 0, numbers(5))
    assert story.step(WorkerReady(B, 1)) == [DismissWorker(B, 1)]
    assert story.step(WorkerLost(B, 1, Budget.PREEMPTION, "gone")) == []
    assert story.step(WorkerReady(B, 2)) == [DismissWorker(B, 2)]


def test_a_job_of_which_no_seat_is_wanted_is_stopped_before_it_has_workers() -> None:
    story = Story(A)
    story.step(Resized(3))
    story.step(SeatsAdded((D, TaskId("/alice/pool-2:1"))))
    assert story.step(Resized(2)) == []
    assert story.step(Resized(1)) == [StopJob(split_task_id(D)[0])]
    assert story.step(WorkerReady(D, 0)) == []


def test_seats_that_come_when_they_are_not_wanted_any_more_go_at_once() -> None:
    story = Story(A)
    story.step(Resized(2))
    story.step(Resized(1))
    assert story.step(SeatsAdded((D,))) == [StopJob(split_task_id(D)[0])]


def test_when_the_last_seat_is_gone_every_call_ends_and_says_why() -> None:
    story = Story(A, B)
    story.submit(4)
    assert story.step(SeatsGone((A,), "host_lost")) == []
    assert (
        story.step(SeatsGone((A, B), "job failed"))
        == [SettleCall(CallId(n), Verdict.ENDED, "job failed") for n in (1, 2, 3, 4)]
        or story.pool.ended == "job failed"
    )
    assert story.pool.is_idle
    assert story.submit() == [SettleCall(CallId(5), Verdict.ENDED, "job failed")]
    assert story.step(Resized(4), PoolEnded("later")) == []
    assert story.pool.ended == "job failed"


def test_a_pool_that_gets_no_first_seat_ends_and_one_that_cannot_grow_goes_on() -> None:
    pool = Pool()
    pool.step(Instant(0), [Resized(2), CallSubmitted(ONE)])
    assert pool.step(Instant(0), [SeatsRefused(2, "quota")]) == [
        SettleCall(ONE, Verdict.ENDED, "quota")
    ]
    story = Story(A)
    story.step(Resized(2))
    assert story.step(SeatsRefused(1, "quota")) == []
    assert story.submit() == [SendCalls(A, 0, (ONE,))]


def test_a_pool_whose_last_seat_goes_while_others_are_asked_for_waits_for_them() -> None:
    story = Story(A)
    story.step(Resized(2))
    story.submit()
    assert story.step(SeatsGone((A,), "gone")) == []
    story.step(SeatsAdded((D,)))
    assert story.step(WorkerReady(D, 0)) == [SendCalls(D, 0, (ONE,))]


def test_a_pool_that_ends_tells_its_workers_to_end_what_they_make() -> None:
    story = Story(A)
    story.submit()
    assert story.step(PoolEnded("the job was stopped")) == [
        SettleCall(ONE, Verdict.ENDED, "the job was stopped"),
        AbandonCalls(A, 0, (ONE,)),
    ]


def test_a_closed_pool_makes_what_it_has_or_cancels_what_waits() -> None:
    story = Story(A)
    story.submit(2)
    assert story.step(PoolClosed(cancels=False)) == []
    assert story.step(PoolClosed(cancels=True)) == [SettleCall(TWO, Verdict.CANCELLED)]
    assert story.answer(ONE) == [SettleCall(ONE, Verdict.ANSWERED)]
    assert story.submit() == [SettleCall(CallId(3), Verdict.ENDED, "it was shut down")]
    assert story.pool.is_idle
