"""Which slices are kept up and which are given back: floors, buffers, idleness, demand."""

import pytest

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core import events as ev
from iris.core.ids import GroupName, RequestId, SliceId, WorkerId
from iris.core.instant import HOUR, MINUTE, SECOND, Instant, Millis
from iris.core.lifecycle import AttemptState, JobState, SliceState
from iris.core.retry import EndCause
from iris.core.spec import AutoscalerPolicy, Band, Constraint, ConstraintOp, TimeoutPolicy
from tests.harness import Script, cluster, cpu_group, fleet, tpu_group

IDLE = Millis(10 * MINUTE)
TPU = "v5litepod-16"


def drained(script: Script) -> list[SliceId]:
    return [drain.slice for drain in script.decided(de.SliceDrain)]


def grown(count: int, **group: object) -> Script:
    """A cluster in which `count` slices came up for a job that has just ended."""
    script = cluster(cpu_group(max_slices=count, **group))  # type: ignore[arg-type]
    job = script.submit(cpu=4, replicas=count)
    script.ready("cpu")
    script.running(job).finish(job)
    return script


# ---- idleness ---------------------------------------------------------------------------------


def test_an_idle_slice_is_drained_and_deleted_at_its_timeout_and_not_before() -> None:
    script = grown(1)
    assert not script.advance(IDLE - 1).decisions
    script.advance(1)
    assert script.the(de.SliceDrain).slice == "iris-cpu-1"
    assert script.the(de.SliceDrain).why == "idle for idle_timeout and wanted by nobody"
    assert script.the(ef.DeleteSlice).slice == "iris-cpu-1"


def test_i_61_as_many_as_qualify_are_given_back_in_one_turn() -> None:
    assert len(drained(grown(20).advance(IDLE))) == 20


def test_i_65_idle_counts_from_the_last_transition_and_a_new_task_ends_it() -> None:
    script = grown(1)
    script.advance(IDLE - 1)
    job = script.submit("late")
    assert drained(script.advance(IDLE)) == []
    script.running(job).ends(script.task(job).id)
    assert drained(script.advance(IDLE - 1)) == []
    assert drained(script.advance(1)) == ["iris-cpu-1"]


@pytest.mark.parametrize("moment", ["assigned", "building", "running"])
def test_i_65_a_slice_with_a_task_in_any_state_is_not_idle(moment: str) -> None:
    script = grown(1)
    job = script.submit("late")
    if moment == "building":
        report = ev.AttemptReport(script.task(job).id, 0, AttemptState.BUILDING)
        script.step(script.report(WorkerId("iris-cpu-1-w0"), report))
    elif moment == "running":
        script.running(job)
    assert drained(script.advance(30 * MINUTE)) == []


def test_i_65_the_idle_clock_survives_a_restart() -> None:
    script = grown(1)
    script.advance(IDLE - SECOND).step(ev.ControllerRestarted())
    script.step(script.report(WorkerId("iris-cpu-1-w0"))).listing()
    assert drained(script.advance(SECOND)) == ["iris-cpu-1"]


def test_i_65_flickering_demand_keeps_a_slice() -> None:
    script = grown(1)
    for number in range(12):
        job = script.submit(f"tick-{number}")
        script.running(job).ends(script.task(job).id)
        assert drained(script.advance(IDLE - 1)) == []
    assert drained(script.advance(1)) == ["iris-cpu-1"]


def test_i_63_idle_slices_of_an_accelerator_group_are_those_without_accelerator_work() -> None:
    script = fleet(tpu_group(min_slices=2, max_slices=2))
    script.config(tpu_group(min_slices=0, max_slices=2))
    guest = script.submit("guest", cpu=1)
    script.running(guest)
    drained_now = drained(script.advance(IDLE))
    assert drained_now == ["iris-tpu-1", "iris-tpu-2"]
    assert script.slice(SliceId("iris-tpu-1")).state is SliceState.DRAINING
    script.ends(script.task(guest).id, EndCause.EXIT_ZERO)
    assert script.the(ef.DeleteSlice).slice == "iris-tpu-1"


def test_an_accelerator_slice_that_gets_a_guest_as_its_timeout_ends_drains_a_moment_later() -> None:
    script = fleet(tpu_group(min_slices=1, max_slices=1))
    script.config(tpu_group(max_slices=1)).advance(IDLE - 1)
    script.now = Instant(IDLE)
    guest = script.submit("guest", cpu=1)
    assert script.the(de.Placement).job == guest
    assert drained(script) == []
    assert drained(script.running(guest).advance(1)) == ["iris-tpu-1"]


def test_a_timeout_of_nothing_gives_a_slice_back_when_its_work_has_ended() -> None:
    script = cluster(cpu_group(), autoscaler=AutoscalerPolicy(idle_timeout=Millis(0)))
    job = script.submit()
    script.ready("cpu")
    script.running(job).ends(script.task(job).id)
    assert drained(script) == ["iris-cpu-1"]


# ---- floors and buffers -----------------------------------------------------------------------


def test_i_62_the_floor_is_never_given_back() -> None:
    script = grown(5, min_slices=2)
    assert len(drained(script.advance(IDLE))) == 3
    assert drained(script.advance(10 * HOUR)) == []
    assert len(script.slices_in(SliceState.READY)) == 2


def test_the_floor_is_refilled_through_the_same_gates() -> None:
    script = fleet(cpu_group(min_slices=2))
    script.advance(HOUR).preempted(SliceId("iris-cpu-1"))
    assert script.the(de.SliceRequest).why == "below min_slices"
    script.refused(script.coming("cpu")[0], ev.CreateFailure.STOCKOUT)
    assert not script.asked(ef.CreateSlice)
    assert script.advance(MINUTE).asked(ef.CreateSlice)


def test_a_buffer_is_kept_beyond_what_is_used_and_follows_the_use() -> None:
    script = cluster(cpu_group(buffer_slices=1))
    assert script.the(de.SliceRequest).why == "below buffer_slices"
    script.ready("cpu")
    job = script.submit(cpu=4)
    assert script.the(de.SliceRequest).why == "below buffer_slices"
    script.ready("cpu")
    script.running(job).advance(SECOND)
    script.finish(job)
    assert drained(script.advance(IDLE)) == ["iris-cpu-2"]
    assert drained(script.advance(10 * HOUR)) == []


def test_a_buffer_is_never_given_back() -> None:
    assert len(drained(grown(3, buffer_slices=1).advance(IDLE))) == 2


def test_each_group_gives_back_what_it_can_whatever_the_others_must_keep() -> None:
    counts = {"floor": 1, "half": 2, "fresh": 1, "old": 1}
    script = fleet(*(cpu_group(name, min_slices=count) for name, count in counts.items()))
    script.config(*(cpu_group(name, min_slices=name in ("floor", "half")) for name in counts))
    only = Constraint("group", ConstraintOp.IN, ("fresh",))
    job = script.submit(constraints=(only,))
    script.running(job).advance(SECOND)
    script.finish(job)
    script.advance(IDLE - SECOND, answer=False)
    assert drained(script) == ["iris-half-2", "iris-old-5"]


# ---- who may want it --------------------------------------------------------------------------


def test_i_64_an_idle_slice_that_waiting_work_maps_to_is_kept() -> None:
    script = fleet(tpu_group(min_slices=1, max_slices=1))
    script.config(tpu_group(max_slices=1))
    silent = WorkerId("iris-tpu-1-w1")
    script.advance(IDLE - MINUTE + SECOND).silent(silent)
    script.submit(tpu=TPU, replicas=2, gang=True)
    assert not script.decided(de.Placement)
    assert drained(script.advance(MINUTE - 1)) == []
    script.step(ev.WorkerHeard(silent, "first"))
    assert script.decided(de.Placement)


def test_a_slice_is_given_back_though_an_older_one_is_kept_for_an_operator() -> None:
    script = cluster(cpu_group())
    script.step(ev.SliceCreateRequested(RequestId("keep"), GroupName("cpu"), HOUR))
    job = script.submit(cpu=4, replicas=2)
    script.ready("cpu")
    script.running(job).finish(job)
    assert drained(script.advance(IDLE)) == ["iris-cpu-2"]


def test_a_host_on_which_a_launch_failed_is_kept_when_another_is_coming_for_the_task() -> None:
    script = fleet(tpu_group(hosts=1, min_slices=1))
    job = script.submit()
    script.ends(script.task(job).id, EndCause.LAUNCH).advance(IDLE - MINUTE)
    script.step(ev.SliceCreateRequested(RequestId("more"), GroupName("tpu"), HOUR))
    assert drained(script.advance(MINUTE)) == []


def test_i_64_an_idle_slice_is_given_back_as_soon_as_nobody_waits_for_it_any_more() -> None:
    script = fleet(tpu_group(min_slices=1, max_slices=1))
    script.config(tpu_group(max_slices=1))
    script.advance(IDLE - MINUTE + SECOND).silent(WorkerId("iris-tpu-1-w1"))
    job = script.submit(tpu=TPU, replicas=2, gang=True)
    assert drained(script.advance(MINUTE - 1)) == []
    assert drained(script.stop(job)) == ["iris-tpu-1"]


def test_i_64_a_slice_that_waiting_work_cannot_use_is_given_back_beside_it() -> None:
    script = fleet(cpu_group(min_slices=1), tpu_group())
    script.config(cpu_group(), tpu_group())
    script.step(ev.ControllerRestarted())
    script.step(script.report(WorkerId("iris-cpu-1-w0")))
    script.submit(tpu=TPU, replicas=2, gang=True)
    assert drained(script.advance(IDLE)) == ["iris-cpu-1"]


def test_a_slice_that_cannot_have_work_is_wanted_by_nobody() -> None:
    script = grown(1)
    script.advance(IDLE - SECOND).step(ev.PreemptionNoticed(SliceId("iris-cpu-1")))
    script.submit("waits", cpu=4)
    assert drained(script.advance(SECOND)) == ["iris-cpu-1"]


def test_an_idle_slice_is_kept_while_it_is_held_for_somebody_and_no_longer() -> None:
    patient = TimeoutPolicy(worker_timeout=HOUR)
    script = fleet(tpu_group(min_slices=1, max_slices=1), timeouts=patient)
    script.config(tpu_group(max_slices=1), timeouts=patient)
    low = script.submit("low", tpu=TPU, replicas=2, gang=True, band=Band.BATCH)
    script.running(low)
    urgent = script.submit("urgent", tpu=TPU, replicas=2, gang=True, band=Band.PRODUCTION)
    script.stop(low).step(script.end(script.task(low, 1).id, None))
    script.silent(WorkerId("iris-tpu-1-w1"))
    script.step(script.end(script.task(low, 0).id, None))
    assert script.slice(SliceId("iris-tpu-1")).idle_since == script.now
    assert drained(script.advance(IDLE)) == []
    assert drained(script.stop(urgent)) == ["iris-tpu-1"]


def test_the_oldest_idle_goes_first_and_only_the_surplus_goes() -> None:
    script = grown(3, min_slices=1)
    job = script.submit("again", cpu=4)
    script.running(job).advance(SECOND)
    script.finish(job)
    used = script.worker(script.attempt(script.task(job).id).worker).slice
    gone = drained(script.advance(IDLE))
    assert len(gone) == 2
    assert used not in gone


def test_i_122_what_a_running_job_does_not_use_is_given_back_while_its_last_task_goes_on() -> None:
    script = fleet(cpu_group(max_slices=4))
    job = script.submit("shards", cpu=4, replicas=4, timeout=2 * HOUR)
    for name in list(script.coming("cpu")):
        script.ready(name)
    script.running(job)
    for index in range(1, 4):
        script.ends(script.task(job, index).id)
    script.advance(IDLE)
    assert len(script.asked(ef.DeleteSlice)) == 3
    assert script.job(job).state is JobState.RUNNING
    script.advance(2 * HOUR)
    assert script.the(de.AttemptStop).task == script.task(job, 0).id
