"""What drawn worlds found in the core, each as small as it could be made."""

import pytest

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core import events as ev
from iris.core.controller import Controller
from iris.core.desired import desired_set
from iris.core.ids import JobId, RequestId, SliceId
from iris.core.instant import MINUTE, Instant, Millis
from iris.core.invariants import Auditor
from iris.core.lifecycle import JobState, TaskState
from iris.core.record import Turn
from iris.core.resources import Resources
from iris.core.retry import EndCause
from iris.core.spec import Backfill, Band, JobSpec, SchedulerPolicy
from tests.harness import ALICE, GIB, Script, cluster, cpu_group, fleet, tpu_group

IDLE = Millis(10 * MINUTE)


def bad_floor(floor: int) -> tuple[Script, SliceId]:
    """One slice at the limit, and a task that waits because its launch has failed there."""
    script = cluster(cpu_group(min_slices=floor, max_slices=1))
    job = script.submit("train")
    if not floor:
        script.ready("cpu")
    else:
        (name,) = script.coming("cpu")
        script.ready(name)
    script.ends(script.task(job).id, EndCause.LAUNCH)
    script.advance(MINUTE)
    assert script.task(job).state is TaskState.PENDING
    return script, next(iter(script.controller.state.slices))


def test_i_28_a_floor_on_which_waiting_work_failed_is_replaced_once_it_is_idle() -> None:
    for floor in (0, 1):
        script, bad = bad_floor(floor)
        script.advance(IDLE - 2 * MINUTE)
        assert not script.asked(ef.DeleteSlice)
        script.advance(2 * MINUTE)
        why = "launches of work that waits for a host have failed on it"
        assert script.the(de.SliceDrain).why == why
        assert script.the(ef.DeleteSlice).slice == bad
        script.deleted(bad)
        (fresh,) = script.coming("cpu")
        script.ready(fresh)
        (job,) = script.controller.state.jobs.values()
        assert script.attempt(job.tasks[0].id).slice == fresh


def test_what_is_idle_and_failed_nobody_stays_while_others_wait() -> None:
    script, bad = bad_floor(1)
    other = script.submit("other")
    assert script.attempt(script.task(other).id).slice == bad
    script.advance(2 * IDLE)
    assert not script.decided(de.SliceDrain)


def test_v_25_who_is_kept_room_does_not_start_where_more_urgent_work_waits_for_it() -> None:
    script = fleet(cpu_group(cores=4, min_slices=1, max_slices=1))
    first = script.submit("first", cpu=2)
    second = script.submit("second", cpu=2)
    script.running(first).running(second)
    wide = script.submit("wide", cpu=4, band=Band.BATCH)
    passing = script.submit("passing", cpu=1, band=Band.BATCH)
    assert script.task(passing).state is TaskState.PENDING
    script.ends(script.task(first).id)
    urgent = script.submit("urgent", cpu=4)
    script.ends(script.task(second).id)
    assert [p.job for p in script.decided(de.Placement)] == [urgent]
    assert not script.decided(de.Eviction)
    assert script.task(wide).state is TaskState.PENDING


def test_v_25_room_that_is_being_left_is_kept_for_the_most_urgent_who_waits_for_it() -> None:
    script = fleet(
        cpu_group(cores=6, min_slices=1, max_slices=1),
        scheduler=SchedulerPolicy(backfill=Backfill.GREEDY),
    )
    ends = script.submit("ends", cpu=2)
    leaves = script.submit("leaves", band=Band.BATCH)
    for job in (ends, leaves, script.submit("stays", cpu=2)):
        script.running(job)
    first = script.submit("first", cpu=2)
    assert script.the(de.Eviction).victims == (script.task(leaves).id,)
    second = script.submit("second", cpu=2)
    small = script.submit("small", band=Band.BATCH)
    script.ends(script.task(ends).id)
    assert [p.job for p in script.decided(de.Placement)] == [first]
    assert script.the(de.Eviction).victims == ()
    script.stopped(leaves)
    assert [p.job for p in script.decided(de.Placement)] == [second]
    assert script.task(small).state is TaskState.PENDING


def test_where_nobody_is_evicted_nobody_is_when_later_work_is_about_to_be_placed() -> None:
    script = fleet(
        cpu_group(cores=4, min_slices=1, max_slices=1),
        scheduler=SchedulerPolicy(backfill=Backfill.GREEDY, eviction=False),
    )
    ends = script.submit("ends")
    for job in (ends, script.submit("stays", cpu=2), script.submit("low", band=Band.BATCH)):
        script.running(job)
    script.submit("urgent", cpu=2)
    small = script.submit("small", band=Band.BATCH)
    script.ends(script.task(ends).id)
    assert [p.job for p in script.decided(de.Placement)] == [small]
    assert not script.decided(de.Eviction)


def test_v_17_an_auditor_of_a_recovered_state_says_when_it_is_another() -> None:
    script = fleet(cpu_group(min_slices=1))
    auditor = Auditor(script.controller.state, every_turn=False)
    auditor.check(Turn(Instant(0), (), ()))
    twin = script.controller.clone()
    after = auditor.after_restart(twin.state, script.controller.digest())
    assert not after.violated
    other = Controller()
    assert auditor.after_restart(other.state, script.controller.digest()).sentences == [
        "V-17 recovery at 0 leads to another state"
    ]


def test_v_20_each_wake_up_that_brings_nothing_is_judged_by_itself() -> None:
    script = fleet(cpu_group(min_slices=1))
    books = script.controller.state.books
    auditor = Auditor(script.controller.state, every_turn=False)
    for _ in range(20):
        books.evaluations += 8
        auditor.rested(script.now)
    assert not auditor.violated
    books.evaluations += 160
    auditor.rested(script.now)
    (said,) = auditor.sentences
    assert said.endswith("the fit was asked 160 times for 1 changes")


def test_room_that_was_evicted_for_is_not_given_up_where_there_is_enough_for_both() -> None:
    script = fleet(cpu_group(cores=4, min_slices=1, max_slices=1))
    script.running(script.submit("fill", cpu=4, band=Band.BATCH))
    first = script.submit("first", cpu=2)
    assert script.decided(de.Eviction)
    urgent = script.submit("urgent", cpu=2, band=Band.PRODUCTION)
    assert not script.decided(de.Eviction)
    script.stopped(JobId("/alice/fill"))
    assert [p.job for p in script.decided(de.Placement)] == [first, urgent]
    assert not script.decided(de.Release)


def test_i_16_a_guest_that_must_make_way_holds_up_nobody_where_the_order_is_strict() -> None:
    strict = SchedulerPolicy(backfill=Backfill.NONE)
    script = cluster(tpu_group(min_slices=1, max_slices=1), scheduler=strict)
    guest = script.submit("guest", cpu=1)
    gang = script.submit("gang", gang=True, replicas=2, tpu="v5litepod-16")
    (name,) = script.coming("tpu")
    script.ready(name)
    assert [p.job for p in script.decided(de.Placement)] == [gang, guest]


@pytest.mark.parametrize("late", [False, True])
def test_v_05_an_end_counts_when_it_is_told_before_the_next_run_of_its_agent(*, late: bool) -> None:
    """As after a stall of the controller, when all that was said meanwhile comes in one turn."""
    script = fleet(cpu_group(min_slices=1))
    job = script.submit()
    script.running(job)
    task = script.task(job).id
    worker = script.worker(script.attempt(task).worker)
    auditor = Auditor(script.controller.state, every_turn=True)
    ends = script.end(task, EndCause.EXIT_ZERO)
    again = script.registration(worker.slice, worker.host, incarnation="second")
    facts: list[ev.Event] = [again, ends] if late else [ends, again]
    decisions, _ = script.controller.step(script.now, facts)
    auditor.check(Turn(script.now, tuple(facts), tuple(decisions)))
    assert auditor.sentences == []
    assert script.task(job).state is (TaskState.RUNNING if late else TaskState.SUCCEEDED)


@pytest.mark.parametrize("again", [False, True])
def test_v_02_what_an_earlier_run_of_an_agent_may_have_started_is_started_by_no_other(
    *, again: bool
) -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit()
    worker = script.worker(script.attempt(script.task(job).id).worker)
    (before,) = desired_set(script.controller.state, worker).attempts
    assert not before.seen
    incarnation = "second" if again else "first"
    script.step(script.registration(worker.slice, worker.host, incarnation=incarnation))
    (wanted,) = desired_set(script.controller.state, worker).attempts
    assert (wanted.attempt, wanted.seen) == (before.attempt, again)


def test_v_25_later_work_takes_no_room_beside_one_who_is_leaving_if_it_would_have_to_go_again() -> (
    None
):
    group = cpu_group(cores=4, min_slices=1, max_slices=1)
    script = fleet(group, scheduler=SchedulerPolicy(backfill=Backfill.GREEDY))
    leaving = script.submit("leaving", cpu=3, band=Band.PRODUCTION)
    script.running(leaving).stop(leaving)
    specs = [
        JobSpec(ALICE, name, band=band, resources=Resources(cpu=cpu * 1_000, memory=GIB))
        for name, band, cpu in (("urgent", Band.INTERACTIVE, 4), ("later", Band.BATCH, 1))
    ]
    script.step(*(ev.JobSubmitted(RequestId(spec.name), spec) for spec in specs))
    assert not script.decided(de.Placement)
    script.stopped(leaving)
    assert script.job(JobId("/alice/urgent")).state is JobState.RUNNING
    assert script.job(JobId("/alice/later")).state is JobState.PENDING
