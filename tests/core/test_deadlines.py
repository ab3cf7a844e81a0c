"""When the core wakes: the heap of deadlines, and that nothing waits for ever in any state."""

import pytest

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core import events as ev
from iris.core.cadence import HEARD_BY
from iris.core.controller import Controller
from iris.core.deadlines import Deadlines, Due
from iris.core.ids import SliceId
from iris.core.instant import HOUR, MINUTE, SECOND, Instant, Millis
from iris.core.invariants import violations
from iris.core.lifecycle import AttemptState, JobState, TaskState
from iris.core.retry import EndCause
from iris.core.spec import TimeoutPolicy
from tests.harness import Script, cluster, cpu_group, fleet, tpu_group

TPU = "v5litepod-16"


# ---- the heap ---------------------------------------------------------------------------------


def test_entries_of_one_instant_fire_in_the_order_of_their_kinds_and_names_each_once() -> None:
    heap = Deadlines(lambda *_: True)
    for due, key in [(Due.IDLE, "a"), (Due.STOP, "b"), (Due.STOP, "a"), (Due.IDLE, "a")]:
        heap.add(Instant(5), due, key)
    heap.add(Instant(6), Due.RETRY, "later")
    assert list(heap.pop_due(Instant(5))) == [(Due.STOP, "a"), (Due.STOP, "b"), (Due.IDLE, "a")]
    assert heap.next() == Instant(6)
    assert list(heap.pop_due(Instant(9))) == [(Due.RETRY, "later")]
    assert heap.next() is None


def test_an_entry_whose_thing_has_moved_on_wakes_nobody() -> None:
    heap = Deadlines(lambda at, _due, key: key != "gone" and at != Instant(2))
    heap.add(Instant(1), Due.STOP, "gone")
    heap.add(Instant(2), Due.STOP, "moved")
    heap.add(Instant(3), Due.STOP, "true")
    assert heap.next() == Instant(3)
    heap.add(Instant(1), Due.STOP, "gone")
    assert list(heap.pop_due(Instant(3))) == [(Due.STOP, "true")]


def test_time_does_not_go_back() -> None:
    controller = Controller()
    controller.step(Instant(5))
    with pytest.raises(ValueError, match="now is 4 ms, before the last step at 5 ms"):
        controller.step(Instant(4))


def test_an_empty_cluster_waits_for_its_first_listing_only() -> None:
    assert Controller().next_deadline() == Instant(0)
    script = Script().config()
    assert script.the(ef.ObserveSlices).slices == ()


def test_everything_that_was_forgotten_or_has_ended_wakes_nobody() -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit(timeout=HOUR, scheduling_timeout=Millis(30 * MINUTE))
    script.running(job).finish(job)
    script.config(cpu_group(min_slices=1)).listing()
    interval = script.controller.state.spec.autoscaler.observe_interval
    assert script.controller.next_deadline() == Instant(5 * MINUTE)
    script.advance(10 * MINUTE)
    assert script.controller.next_deadline() == Instant(interval)


# ---- scheduling_timeout -----------------------------------------------------------------------


def test_i_121_work_that_never_starts_is_unschedulable_at_its_scheduling_timeout() -> None:
    script = cluster(cpu_group())
    job = script.submit(scheduling_timeout=MINUTE)
    script.advance(MINUTE - 1)
    assert script.job(job).state is JobState.PENDING
    script.advance(1)
    assert script.job(job).state is JobState.UNSCHEDULABLE
    assert script.job(job).why == "not every task ran within its scheduling timeout"


@pytest.mark.parametrize("state", [AttemptState.ASSIGNED, AttemptState.BUILDING])
def test_i_121_the_scheduling_deadline_holds_for_tasks_that_are_assigned_or_build(
    state: AttemptState,
) -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit(scheduling_timeout=MINUTE)
    if state is AttemptState.BUILDING:
        report = ev.AttemptReport(script.task(job).id, 0, state)
        script.step(script.report(script.attempt(script.task(job).id).worker, report))
    script.advance(MINUTE)
    assert script.the(ef.StopAttempt).task == f"{job}:0"
    script.stopped(job)
    assert script.job(job).ending is JobState.UNSCHEDULABLE
    assert script.task(job).state is TaskState.KILLED


def test_i_121_the_scheduling_deadline_holds_for_gangs_and_for_pauses_between_tries() -> None:
    script = fleet(tpu_group(min_slices=1), cpu_group(min_slices=1))
    gang = script.submit("gang", tpu=TPU, replicas=2, gang=True, scheduling_timeout=HOUR)
    single = script.submit("single", scheduling_timeout=MINUTE)
    script.advance(MINUTE - SECOND)
    script.ends(script.task(single).id, EndCause.LAUNCH).advance(SECOND)
    assert script.job(single).state is JobState.UNSCHEDULABLE
    script.advance(HOUR, answer=False)
    assert script.job(gang).ending is JobState.UNSCHEDULABLE


def test_one_task_that_has_not_run_is_enough_and_a_task_that_ran_once_has() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    ran = script.submit("ran", cpu=2, scheduling_timeout=MINUTE)
    script.running(ran)
    partly = script.submit("partly", cpu=2, replicas=2, scheduling_timeout=MINUTE)
    script.running(partly)
    script.silent(next(iter(script.controller.state.workers)))
    script.advance(MINUTE - 1)
    script.step(ev.WorkerHeard(next(iter(script.controller.state.workers)), "first"))
    script.advance(1)
    assert script.job(ran).ending is None
    assert script.job(partly).ending is JobState.UNSCHEDULABLE


def test_a_task_that_ended_before_it_was_seen_to_run_has_run() -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit(scheduling_timeout=MINUTE, max_retries_failure=9)
    script.ends(script.task(job).id, EndCause.EXIT_NONZERO)
    assert script.job(job).never_ran == 0
    script.advance(10 * SECOND)
    script.running(job)
    assert script.job(job).never_ran == 0
    assert script.advance(MINUTE).job(job).ending is None


# ---- timeout and launch -----------------------------------------------------------------------


def test_i_121_an_attempt_that_builds_for_ever_is_a_failed_launch_at_its_deadline() -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit()
    report = ev.AttemptReport(script.task(job).id, 0, AttemptState.BUILDING)
    script.step(script.report(script.attempt(script.task(job).id).worker, report))
    script.advance(HOUR - 1)
    assert script.task(job).state is TaskState.BUILDING
    assert script.advance(1).the(de.AttemptStop).cause is EndCause.LAUNCH
    script.stopped(job)
    assert script.attempt(script.task(job).id).cause is EndCause.LAUNCH
    assert script.the(de.Retry).why == "launch"


@pytest.mark.parametrize("seen", [AttemptState.ASSIGNED, AttemptState.RUNNING])
def test_the_timeout_runs_from_the_assignment_in_every_state(seen: AttemptState) -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit(timeout=MINUTE)
    if seen is AttemptState.RUNNING:
        script.advance(30 * SECOND).running(job)
        script.advance(30 * SECOND - 1)
    else:
        script.advance(MINUTE - 1)
    assert not script.decisions
    assert script.advance(1).the(de.AttemptStop).cause is EndCause.TIMEOUT


def test_a_timeout_that_comes_while_an_attempt_is_stopping_changes_nothing() -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit(timeout=MINUTE)
    script.running(job).advance(MINUTE - SECOND)
    script.stop(job).advance(SECOND)
    assert not script.decisions
    assert script.attempt(script.task(job).id).stop_cause is EndCause.REQUESTED


def test_a_launch_and_a_timeout_of_one_instant_stop_an_attempt_once() -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit(timeout=HOUR)
    script.advance(HOUR)
    assert script.the(de.AttemptStop).cause is EndCause.LAUNCH
    assert script.task(job).state is TaskState.RUNNING


def test_an_attempt_that_ends_in_the_turn_of_its_timeout_has_ended_by_itself() -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit(timeout=MINUTE)
    script.running(job).advance(MINUTE - 1)
    script.now = Instant(script.now + 1)
    script.ends(script.task(job).id)
    assert script.job(job).state is JobState.SUCCEEDED


@pytest.mark.parametrize("away", ["restarted", "stalled", "cut off"])
@pytest.mark.parametrize("in_time", [True, False])
def test_who_ended_in_time_unheard_is_not_called_late(away: str, *, in_time: bool) -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit(timeout=MINUTE)
    task = script.running(job).task(job).id
    worker = script.attempt(task).worker
    began, script.now = script.now, Instant(script.now + 2 * MINUTE)
    if away == "restarted":
        script.step(ev.ControllerRestarted())
    elif away == "stalled":
        script.step(ev.ControllerStalled(Instant(began + SECOND)))
    else:
        script.now = Instant(began + 30 * SECOND)
        script.silent(worker).advance(45 * SECOND)
    assert not script.decided(de.AttemptStop)
    assert not violations(script.controller.state)
    if in_time:
        script.advance(SECOND).ends(task)
        assert script.job(job).state is JobState.SUCCEEDED
        return
    script.step(script.report(worker))
    if away == "stalled":
        script.advance(HEARD_BY)
    assert script.the(de.AttemptStop).cause is EndCause.TIMEOUT


def test_a_stop_that_is_seen_in_the_turn_of_its_deadline_was_obeyed() -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit()
    script.running(job).stop(job).advance(2 * MINUTE - 1)
    script.now = Instant(script.now + 1)
    script.stopped(job)
    assert not script.decided(de.SliceLoss)
    assert script.job(job).state is JobState.KILLED


def test_a_shorter_timeout_of_a_new_configuration_holds_in_its_own_turn() -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit()
    script.advance(MINUTE)
    assert script.controller.next_deadline() == Instant(5 * MINUTE)
    script.config(cpu_group(min_slices=1), timeouts=TimeoutPolicy(launch_timeout=MINUTE))
    assert script.the(de.AttemptStop).task == f"{job}:0"


# ---- the world stops --------------------------------------------------------------------------


def test_i_51_with_a_cloud_and_workers_that_never_answer_again_everything_still_ends() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=2))
    running = script.submit("running", timeout=HOUR)
    script.running(running)
    assigned = script.submit("assigned", timeout=HOUR, scheduling_timeout=Millis(2 * HOUR))
    waiting = script.submit("waiting", cpu=4, scheduling_timeout=HOUR)
    for _ in range(15):
        script.advance(10 * MINUTE, answer=False)
    states = [script.job(job).state for job in (running, assigned, waiting)]
    assert states == [JobState.FAILED, JobState.UNSCHEDULABLE, JobState.UNSCHEDULABLE]


def test_a_word_about_a_slice_that_was_forgotten_is_a_strangers() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    script.terminate(SliceId("iris-cpu-1")).deleted(SliceId("iris-cpu-1"))
    script.advance(3 * HOUR)
    assert SliceId("iris-cpu-1") not in script.controller.state.slices
    before = script.controller.state.books.stale_facts
    script.step(ev.SliceDeleted(SliceId("iris-cpu-1")))
    assert script.controller.state.books.stale_facts == before + 1
