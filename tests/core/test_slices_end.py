"""How slices end: hosts put out, operators, groups that are retired, and deletes repeated."""

from dataclasses import replace

import pytest

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core import events as ev
from iris.core.ids import GroupName, RequestId, SliceId, WorkerId
from iris.core.instant import HOUR, MINUTE, SECOND, Instant
from iris.core.lifecycle import SliceState, TaskState
from iris.core.retry import EndCause
from iris.core.spec import AutoscalerPolicy, TimeoutPolicy
from tests.harness import cluster, cpu_group, fleet, tpu_group

TPU = "v5litepod-16"
CPU = SliceId("iris-cpu-1")
W0 = WorkerId("iris-cpu-1-w0")


# ---- launches that fail -----------------------------------------------------------------------


def test_i_28_a_task_never_returns_to_a_host_that_it_failed_to_launch_on() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    job = script.submit()
    script.ends(script.task(job).id, EndCause.LAUNCH).advance(5 * MINUTE)
    assert script.task(job).state is TaskState.PENDING
    assert len(script.task(job).attempts) == 1
    other = script.submit("other")
    assert script.task(other).state is TaskState.ASSIGNED


def test_i_77_so_many_failed_launches_put_a_host_out_and_its_slice_drains() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=3))
    for number in range(3):
        assert not script.worker(W0).cordoned
        job = script.submit(f"job-{number}")
        script.ends(script.task(job).id, EndCause.LAUNCH)
    assert script.the(de.WorkerCordon).why == "3 launches failed on it"
    assert script.the(de.SliceDrain).slice == CPU
    assert script.the(ef.DeleteSlice).slice == CPU


def test_a_host_that_is_out_is_not_put_out_again() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=3))
    jobs = [script.submit(f"job-{number}") for number in range(4)]
    for job in jobs:
        script.ends(script.task(job).id, EndCause.LAUNCH)
    assert not script.decided(de.WorkerCordon)
    assert script.worker(W0).launch_failures == 4


# ---- operators --------------------------------------------------------------------------------


def test_a_host_that_is_put_out_as_its_slice_is_lost_drains_nothing() -> None:
    script = fleet(cpu_group(min_slices=1), timeouts=TimeoutPolicy(launch_failures_per_host=1))
    job = script.submit()
    taken = ev.SliceSighting(CPU, ev.CloudState.PREEMPTED)
    seen = ev.SlicesObserved((taken,), script.now, complete=False)
    script.step(script.end(script.task(job).id, EndCause.LAUNCH), seen)
    assert script.the(de.SliceLoss).slice == CPU
    assert not script.decided(de.SliceDrain)


def test_an_operator_gives_up_a_slice_work_and_all_and_is_answered() -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit()
    script.running(job).terminate(CPU)
    assert script.the(de.SliceLoss).why == "an operator terminated it"
    assert script.the(ef.DeleteSlice).slice == CPU
    assert script.the(ef.Reply).answer == ef.Accepted()
    assert script.task(job).attempts[0].cause is EndCause.HOST_LOST


@pytest.mark.parametrize("name", [SliceId("iris-none-1"), CPU])
def test_a_slice_that_is_not_there_cannot_be_terminated(name: SliceId) -> None:
    script = fleet(cpu_group(min_slices=1))
    script.terminate(CPU).terminate(name)
    why = f"slice {name} is not known, or gone already"
    assert script.the(ef.Reply).answer == ef.Rejected(why, ef.Refusal.UNKNOWN)


def test_an_operator_takes_a_worker_out_and_back_in_and_forgives_its_failures() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    failed = script.submit("failed")
    script.ends(script.task(failed).id, EndCause.LAUNCH)
    script.step(ev.WorkerDrainRequested(W0))
    job = script.submit()
    assert script.task(job).state is TaskState.PENDING
    assert not script.step(ev.WorkerDrainRequested(W0)).decisions
    script.step(ev.WorkerDrainRequested(W0, resume=True))
    assert script.the(de.Placement).job == job
    assert script.worker(W0).launch_failures == 0
    assert not script.step(ev.WorkerDrainRequested(WorkerId("nobody"))).decisions


# ---- giving back ------------------------------------------------------------------------------


def test_i_49_a_slice_stays_on_the_books_and_its_delete_is_repeated_until_it_is_gone() -> None:
    script = fleet(cpu_group(min_slices=1))
    script.terminate(CPU)
    script.step(ev.SliceDeleteFailed(CPU, "backend error"))
    assert script.slice(CPU).why == "the cloud could not delete it: backend error"
    for _ in range(5):
        script.advance(MINUTE, answer=False)
        assert script.asked(ef.DeleteSlice, slice=CPU)
    assert script.slice(CPU).state is SliceState.DELETING
    script.deleted(CPU)
    assert script.the(de.SliceGone).slice == CPU
    assert not script.advance(10 * MINUTE).asked(ef.DeleteSlice, slice=CPU)


def test_i_62_a_slice_that_is_being_deleted_counts_until_it_is_gone_and_then_makes_room() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1, cores=4))
    script.advance(HOUR)
    script.terminate(CPU)
    assert not script.asked(ef.CreateSlice)
    script.deleted(CPU)
    assert script.the(ef.CreateSlice).slice == "iris-cpu-2"


def test_i_45_a_group_that_left_the_configuration_drains_and_finishes_what_runs() -> None:
    script = fleet(cpu_group(min_slices=2), tpu_group())
    job = script.submit()
    script.running(job)
    waiting = script.submit("pod", tpu=TPU, replicas=2, gang=True)
    assert script.task(waiting).state is TaskState.PENDING
    script.config(cpu_group("other"))
    assert {d.slice for d in script.decided(de.SliceDrain)} == {"iris-cpu-1", "iris-cpu-2"}
    deleted = {effect.slice for effect in script.asked(ef.DeleteSlice)}
    assert deleted == {"iris-cpu-2", "iris-tpu-3"}
    assert script.task(job).state is TaskState.RUNNING
    script.ends(script.task(job).id)
    assert script.the(ef.DeleteSlice).slice == "iris-cpu-1"


def test_a_zone_that_left_a_group_drains_there_only() -> None:
    policy = AutoscalerPolicy(initial_window=1)
    script = fleet(cpu_group(min_slices=2, zones=("us-a", "us-b")), autoscaler=policy)
    zones = {script.slice(s).zone for s in script.slices_in(SliceState.READY)}
    assert zones == {"us-a", "us-b"}
    script.config(cpu_group(min_slices=2, zones=("us-a",)))
    assert [script.slice(d.slice).zone for d in script.decided(de.SliceDrain)] == ["us-b"]


def test_a_slice_whose_group_is_gone_can_still_be_lost() -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit()
    script.running(job).config(cpu_group("other"))
    script.preempted(CPU)
    assert script.the(de.SliceLoss).slice == CPU
    assert not script.decided(de.Throttle)


def test_a_refusal_for_a_group_that_is_gone_teaches_nothing_and_is_closed() -> None:
    script = cluster(cpu_group())
    script.submit()
    retired = ev.ConfigLoaded(replace(script.controller.state.spec, groups=(cpu_group("other"),)))
    script.step(retired, ev.SliceCreateFailed(CPU, ev.CreateFailure.STOCKOUT))
    assert not script.decided(de.Throttle)
    assert script.the(ef.DeleteSlice).slice == CPU


def test_a_new_configuration_leaves_what_is_on_its_way_out_or_being_adopted_alone() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    script.terminate(CPU)
    stranger = ev.SliceSighting(SliceId("iris-cpu-8"), ev.CloudState.READY, GroupName("cpu"))
    script.step(ev.SlicesObserved((stranger,), script.now, complete=False))
    script.config(cpu_group("other"))
    assert not script.decided(de.SliceDelete)
    assert not script.decided(de.SliceDrain)


def test_work_on_a_draining_slice_that_is_lost_is_judged_and_blames_no_zone() -> None:
    policy = AutoscalerPolicy(idle_timeout=SECOND)
    script = fleet(cpu_group(min_slices=1), cpu_group("other"), autoscaler=policy)
    job = script.submit()
    script.running(job).config(cpu_group("other"), autoscaler=policy)
    assert script.slice(CPU).state is SliceState.DRAINING
    script.lose(W0)
    assert script.the(de.SliceLoss).state is SliceState.FAILED
    assert not script.decided(de.Throttle)
    assert script.the(de.Retry).tasks == (f"{job}:0",)


def test_i_39_a_draining_slice_gets_no_new_work_from_the_turn_in_which_it_drains() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=3))
    jobs = [script.submit(f"job-{number}") for number in range(3)]
    newcomer = ev.JobSubmitted(RequestId("new"), script.job(jobs[0]).spec)
    ends = [script.end(script.task(job).id, EndCause.LAUNCH) for job in jobs]
    script.step(*ends, newcomer)
    assert script.the(de.SliceDrain).slice == CPU
    assert not script.decided(de.Placement)


def test_a_slice_is_settled_once_and_only_while_it_stands() -> None:
    script = fleet(cpu_group(min_slices=1))
    assert not script.advance(5 * MINUTE).decided(de.Throttle)
    assert script.slice(CPU).ready_at == Instant(0)
