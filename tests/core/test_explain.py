"""Why it waits: the very refusals of the planners, in numbers, with what must happen next."""

from dataclasses import replace

import pytest

from iris.core import events as ev
from iris.core.explain import why_waiting
from iris.core.fit import Lack
from iris.core.ids import JobId, SliceId, WorkerId
from iris.core.instant import HOUR, MINUTE, Instant, Millis
from iris.core.learn import learn
from iris.core.lifecycle import JobState
from iris.core.reasons import Blocker, Reason, Verdict
from iris.core.retry import EndCause
from iris.core.spec import (
    AutoscalerPolicy,
    Backfill,
    Band,
    Constraint,
    ConstraintOp,
    SchedulerPolicy,
    TimeoutPolicy,
)
from iris.core.telling import sentences
from tests.harness import GIB, Script, cluster, cpu_group, fleet, tpu_group

TPU = "v5litepod-16"
STOP = TimeoutPolicy().stop_timeout
STRICT = SchedulerPolicy(backfill=Backfill.NONE)


def why(script: Script, job: str) -> Reason:
    """The reason; asking for it, and spelling it, leaves the state as it was."""
    state = script.controller.state
    before = state.digest(), state.books.evaluations
    reason = why_waiting(state, JobId(job), script.now)
    assert sentences(reason)
    assert (state.digest(), state.books.evaluations) == before
    return reason


def blocker(reason: Reason, pool: int = 0) -> Blocker:
    found = reason.pools[pool].blocker
    assert found is not None
    return found


def ahead(reason: Reason) -> int | None:
    return reason.queue.ahead if reason.queue is not None else None


def full(*, cores: int = 4) -> Script:
    script = fleet(cpu_group(cores=cores, min_slices=1, max_slices=1))
    script.running(script.submit("fill", cpu=cores - 1, band=Band.PRODUCTION))
    return script


# ---- what keeps it out -------------------------------------------------------------------------


def test_i_135_what_the_nearest_host_lacks_is_told_in_numbers() -> None:
    script = full()
    reason = why(script, script.submit("wide", cpu=2))
    assert reason.verdict is Verdict.GROUP_AT_MAX
    assert reason.pools[0].looked_at == 1
    host = WorkerId("iris-cpu-1-w0")
    assert blocker(reason) == Blocker(
        "room", "2 cores", "1 core", host, (Lack("cpu", 2_000, 1_000),), "1 core"
    )


def test_of_several_hosts_the_one_that_lacks_least_is_named() -> None:
    script = fleet(cpu_group(min_slices=2, max_slices=2))
    script.submit("three", cpu=3)
    script.submit("two", cpu=2)
    assert blocker(why(script, script.submit("wide", cpu=4))).nearest == "iris-cpu-2-w0"


def test_a_pool_that_never_fits_says_so_and_the_others_are_asked_all_the_same() -> None:
    script = fleet(tpu_group(hosts=2), cpu_group(min_slices=1, max_slices=1))
    script.submit("fill", cpu=4)
    reason = why(script, script.submit("big", cpu=4, resources=small(cpu=3_000)))
    assert [pool.can_serve for pool in reason.pools] == [True, True]
    gang = script.submit("gang", gang=True, replicas=2, tpu=TPU)
    reason = why(script, gang)
    assert [pool.can_serve for pool in reason.pools] == [True, False]
    assert blocker(reason, 1) == Blocker("accelerator", TPU, "none")


def small(*, cpu: int) -> object:
    return cpu_group().host._replace(cpu=cpu, memory=GIB)


def test_cpu_work_is_told_who_waits_for_the_accelerator_hosts() -> None:
    script = fleet(tpu_group(hosts=1, min_slices=1, max_slices=1))
    for name in ("runs", "waits"):
        script.submit(name, tpu=TPU)
    reason = why(script, script.submit("cpu"))
    assert blocker(reason) == Blocker("spare", f"no work that waits for {TPU}", "1 waiting")
    # No accelerator is bought for it, so no limit matters to it.
    assert (reason.pools[0].is_bought, reason.pools[0].limits) == (False, ())


def test_a_pool_whose_workers_may_have_no_work_says_how_many_there_are() -> None:
    script = full()
    script.step(ev.WorkerDrainRequested(WorkerId("iris-cpu-1-w0")))
    assert blocker(why(script, script.submit())) == Blocker(
        "workers", "1 that may have work", "0 of 1", missing="1 worker"
    )


def test_i_28_a_task_is_told_that_only_hosts_are_free_where_it_failed() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    job = script.submit()
    script.ends(script.task(job).id, EndCause.LAUNCH).advance(MINUTE)
    reason = why(script, job)
    assert blocker(reason).check == "avoid"
    assert reason.verdict is Verdict.BARRED
    assert reason.next.what == "a host comes on which no launch of it failed"
    script.submit("other", cpu=4)
    assert why(script, job).verdict is Verdict.GROUP_AT_MAX


def test_hosts_that_run_nothing_and_may_have_nothing_are_no_running_work() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    host = WorkerId("iris-cpu-1-w0")
    script.step(ev.WorkerDrainRequested(host))
    job = script.submit()
    reason = why(script, job)
    assert (reason.verdict, reason.next.at) == (Verdict.BARRED, None)
    assert f"iris worker drain --resume {host}" in reason.next.what
    script.silent(host)
    reason = why(script, job)
    assert reason.verdict is Verdict.BARRED
    assert reason.next.what == f"{host} speaks again, or is given up"
    assert reason.next.at is not None
    assert reason.next.at > script.now


def test_a_slice_that_is_about_to_go_is_waited_for() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    script.step(ev.PreemptionNoticed(SliceId("iris-cpu-1")))
    reason = why(script, script.submit())
    assert reason.verdict is Verdict.BARRED
    assert reason.next.what == "a slice that is leaving is gone, or another host comes"


def test_room_that_is_kept_for_others_is_told_apart_from_no_room() -> None:
    script = fleet(
        cpu_group(hosts=2, min_slices=1, max_slices=1), scheduler=SchedulerPolicy(eviction=False)
    )
    script.submit("there", cpu=3)
    script.submit("gang", gang=True, replicas=2, cpu=4)
    later = why(script, script.submit("later"))
    assert blocker(later).check == "held"
    gang = why(script, "/alice/gang")
    assert gang.kept is not None
    assert (gang.kept.leaving, gang.kept.staying) == (0, 1)
    assert gang.next.what == "what is kept for it is free"
    other = why(script, script.submit("other", gang=True, replicas=2))
    assert (blocker(other).check, blocker(other).nearest) == ("held", "iris-cpu-1")


def test_a_gang_is_told_how_many_hosts_of_the_nearest_slice_have_the_room() -> None:
    script = fleet(cpu_group(hosts=3, min_slices=2, max_slices=2))
    script.submit("a", cpu=1, gang=True, replicas=3)
    script.submit("b", cpu=4)
    script.submit("c", cpu=4)
    reason = why(script, script.submit("gang", gang=True, replicas=3, cpu=4))
    found = blocker(reason)
    assert (found.check, found.have, found.nearest) == ("room", "1", "iris-cpu-2")
    assert found.lacks == (Lack("cpu", 4_000, 0),)
    assert (reason.hosts, reason.waiting) == (3, 1)


def test_a_gang_is_told_of_a_host_that_may_have_no_work() -> None:
    script = fleet(cpu_group(hosts=2, min_slices=1, max_slices=1))
    script.step(ev.WorkerDrainRequested(WorkerId("iris-cpu-1-w1")))
    found = blocker(why(script, script.submit("gang", gang=True, replicas=2)))
    assert (found.check, found.have, found.lacks) == ("room", "1", ())


def test_a_gang_is_told_that_no_slice_is_ready_or_none_is_whole() -> None:
    script = cluster(tpu_group(max_slices=1))
    gang = script.submit("gang", gang=True, replicas=2, tpu=TPU)
    assert blocker(why(script, gang)) == Blocker(
        "slices", "1 that is ready", "0 of 1", missing="1 slice"
    )
    script.ready("tpu")
    second = script.submit("second", gang=True, replicas=2, tpu=TPU)
    assert blocker(why(script, second)).have == "1 ready: 1 in use, 0 kept free of new work"


# ---- what it waits for -------------------------------------------------------------------------


def test_a_job_that_runs_or_has_ended_waits_for_nothing() -> None:
    script = full()
    reason = why(script, "/alice/fill")
    assert (reason.verdict, reason.pools, ahead(reason)) == (Verdict.NOT_WAITING, (), None)
    script.finish(JobId("/alice/fill"))
    assert why(script, "/alice/fill").next.what == "nothing: it is succeeded"
    script.stop(script.submit("wide", cpu=2))
    assert why(script, "/alice/wide").verdict is Verdict.NOT_WAITING


def test_a_job_that_is_being_stopped_waits_for_nothing_though_it_was_to_be_tried_again() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    job = script.submit(replicas=2, max_retries_failure=3)
    script.running(job).ends(script.task(job).id, EndCause.EXIT_NONZERO)
    assert why(script, job).paused == 1
    script.stop(job)
    assert why(script, job).verdict is Verdict.NOT_WAITING


def test_a_pause_between_two_attempts_is_told_with_its_end() -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit(max_retries_failure=3)
    script.ends(script.task(job).id, EndCause.EXIT_NONZERO)
    reason = why(script, job)
    assert reason.verdict is Verdict.PAUSED
    assert reason.next.at == script.controller.next_deadline() == Instant(10_000)
    assert ahead(reason) is None


def test_a_gang_between_two_attempts_is_asked_about_whole() -> None:
    script = fleet(cpu_group(hosts=2, min_slices=1))
    gang = script.submit("gang", gang=True, replicas=2, max_retries_failure=3)
    script.ends(script.task(gang).id, EndCause.EXIT_NONZERO).stopped(gang)
    reason = why(script, gang)
    assert (reason.verdict, reason.paused, reason.hosts) == (Verdict.PAUSED, 2, 2)


def test_who_evicted_is_told_who_leaves_and_by_when() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    script.running(script.submit("old", cpu=4, band=Band.BATCH))
    reason = why(script, script.submit("urgent", cpu=3))
    assert reason.verdict is Verdict.MAKING_ROOM
    assert reason.kept is not None
    assert (reason.kept.leaving, reason.kept.staying) == (1, 0)
    assert reason.next.at == Instant(STOP)


def test_work_that_no_group_can_hold_any_more_waits_for_another_configuration() -> None:
    script = full()
    job = script.submit("wide", cpu=4, scheduling_timeout=Millis(HOUR))
    script.config(cpu_group(cores=2, max_slices=1))
    reason = why(script, job)
    assert reason.verdict is Verdict.TOO_BIG
    lack = (Lack("cpu", 4_000, 2_000),)
    assert blocker(reason) == Blocker("host", "4 cores", "2 cores", lacks=lack, missing="2 cores")
    assert reason.gives_up_at == Instant(HOUR)


def test_what_the_reason_says_fits_now_is_placed_by_the_next_step() -> None:
    script = full()
    job = script.submit("wide", cpu=4)
    twin = script.controller.clone()
    learn(twin.state, ev.WorkerDrainRequested(WorkerId("iris-cpu-1-w0")))
    worker = twin.state.workers[WorkerId("iris-cpu-1-w0")]
    task = twin.state.tasks[script.task(JobId("/alice/fill")).id]
    twin.state.end_attempt(task, task.attempts[-1], EndCause.EXIT_ZERO, "")
    assert worker.committed.cpu == 0
    twin.state.news.drains.clear()
    reason = why_waiting(twin.state, job, script.now)
    assert (reason.verdict, ahead(reason)) == (Verdict.FITS_NOW, 0)
    assert "it fits now." in " ".join(sentences(reason))
    twin.step(script.now, ())
    assert twin.state.jobs[job].state.value == "running"


def test_what_fits_but_is_not_first_is_told_so() -> None:
    script = full()
    for name in ("first", "second"):
        script.submit(name, gang=True, cpu=4)
    twin = script.controller.clone()
    task = twin.state.tasks[script.task(JobId("/alice/fill")).id]
    twin.state.end_attempt(task, task.attempts[-1], EndCause.EXIT_ZERO, "")
    assert why_waiting(twin.state, JobId("/alice/first"), script.now).verdict is Verdict.FITS_NOW
    reason = why_waiting(twin.state, JobId("/alice/second"), script.now)
    assert (reason.verdict, ahead(reason)) == (Verdict.BEHIND_OTHERS, 1)


def test_in_strict_order_the_head_of_the_line_is_named() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1), scheduler=STRICT)
    script.submit("there", cpu=3)
    wide = script.submit("wide", cpu=4)
    small_one = why(script, script.submit("small"))
    assert small_one.verdict is Verdict.BEHIND_OTHERS
    assert small_one.next.what.startswith(f"{wide} is placed")
    assert why(script, wide).verdict is Verdict.GROUP_AT_MAX
    blocked = why(script, script.submit("four", cpu=4))
    assert blocked.next.what == f"{wide}, which is first in line, is placed"


def test_the_position_counts_who_is_served_before() -> None:
    script = full(cores=8)
    script.running(script.submit("mine"))
    script.submit("wide", cpu=4, replicas=3)
    script.submit("urgent", cpu=8, band=Band.PRODUCTION, replicas=2)
    reason = why(script, script.submit("last", cpu=4, user="bob"))
    # bob has used nothing, so only the more urgent band is before him.
    assert ahead(reason) == 2
    assert ahead(why(script, "/alice/wide")) == 3
    assert ahead(why(script, script.submit("more", cpu=4))) == 6


def test_slices_that_are_coming_are_named_with_their_deadlines() -> None:
    script = cluster(cpu_group(max_slices=2))
    reason = why(script, script.submit())
    assert reason.verdict is Verdict.WAITING_FOR_SLICES
    (slice_,) = reason.under_way
    assert reason.next.at == slice_.deadline == script.controller.next_deadline()


def test_a_slice_that_only_waits_for_its_hosts_has_its_deadline_too() -> None:
    script = cluster(cpu_group(max_slices=1))
    job = script.submit()
    script.step(ev.SliceAccepted(script.coming("cpu")[0]))
    assert why(script, job).next.at == Instant(AutoscalerPolicy().boot_timeout)


# ---- sentences ---------------------------------------------------------------------------------


def test_i_135_the_sentences_say_it_all_in_plain_words() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    script.running(script.submit("fill", cpu=3, timeout=Millis(90 * MINUTE)))
    script.submit("before", cpu=2)
    job = script.submit("wide", cpu=2, scheduling_timeout=Millis(2 * HOUR))
    assert sentences(why(script, job)) == (
        "/alice/wide is pending: needs 2 cores, 1 GiB of memory; every slice that may exist is in"
        " use (cpu: 1 of max_slices 1 exist).",
        "1 unit of work is before it, 1 of the same user.",
        "First come /alice/before (1 unit).",
        "cpu in us-a (1 worker looked at): room: needs 2 cores, has 1 core on iris-cpu-1-w0,"
        " 1 core missing; no new slice: 1 of max_slices 1 exist.",
        "Next: somebody who runs there ends in 1 h 30 min.",
        "When it is placed is unknown.",
        "Would help: raise max_slices of cpu, which is 1.",
        "Would help: /alice/fill is on 1 slice of cpu.",
        "It is given up in 2 h.",
    )


def test_coming_slices_and_kept_room_have_sentences_of_their_own() -> None:
    script = cluster(cpu_group(max_slices=1))
    told = sentences(why(script, script.submit()))
    assert "Slice iris-cpu-1 is requested, asked for 0 ms ago, looked after in 2 min." in told
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    script.running(script.submit("old", cpu=4, band=Band.BATCH))
    told = sentences(why(script, script.submit("urgent", cpu=3)))
    assert "Kept for it (eviction): iris-cpu-1-w0 (1 leaving, 0 staying)." in told


@pytest.mark.parametrize(
    ("span", "told"),
    [
        (-1, "now"),
        (0, "now"),
        (7, "in 7 ms"),
        (1_500, "in 1 s 500 ms"),
        (120_000, "in 2 min"),
        (3_600_000 + 59_999, "in 1 h"),
        (90_000_000, "in 1 d 1 h"),
    ],
)
def test_a_time_is_told_as_a_span_from_now(span: int, told: str) -> None:
    script = full()
    reason = why(script, script.submit("wide", cpu=4))
    later = replace(reason, next=replace(reason.next, at=Instant(reason.at + span)))
    assert f"Next: somebody who runs there ends {told}." in sentences(later)


def test_a_constraint_that_was_inherited_keeps_its_pool_out_by_name() -> None:
    script = fleet(cpu_group("a", min_slices=1), cpu_group("b", max_slices=0))
    only_b = Constraint("group", ConstraintOp.IN, ("b",), inherited=True)
    reason = why(script, script.submit(constraints=(only_b,)))
    assert blocker(reason) == Blocker("constraint", "group in b", "a")


def test_i_110_a_child_that_waits_for_what_its_parent_holds_says_who_holds_it_and_until_when() -> (
    None
):
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    parent = script.submit("parent", cpu=4)
    child = script.submit("child", cpu=4, parent=parent, scheduling_timeout=10 * MINUTE)
    script.running(parent)
    reason = why(script, child)
    assert "Next: somebody who runs there ends." in sentences(reason)
    script.advance(10 * MINUTE)
    assert script.job(child).state is JobState.UNSCHEDULABLE
    assert script.job(parent).state is JobState.RUNNING
