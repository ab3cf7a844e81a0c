"""Stories that the rule machines of `tests/properties` found, or that its authors did on the way there."""

from dataclasses import replace
from typing import Final

import pytest

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core import events as ev
from iris.core.gates import FOREVER
from iris.core.ids import JobId, SliceId, TaskId, WorkerId
from iris.core.instant import HOUR, MINUTE, Instant, Millis
from iris.core.lifecycle import JobState
from iris.core.retry import EndCause
from iris.core.spec import AutoscalerPolicy, Band
from tests.harness import Script, cpu_group, fleet, gpu_group, tpu_group

MACHINE: Final = SliceId("iris-cpu-1")
HOST: Final = WorkerId("iris-cpu-1-w0")
JOB: Final = JobId("/alice/train")


def machine(**more: int) -> Script:
    return fleet(cpu_group(min_slices=1, max_slices=1, **more))  # type: ignore[arg-type]  # numbers


def stopping() -> Script:
    """One machine with two jobs, one of which was asked to stop."""
    script = machine()
    script.running(script.submit("other"))
    script.running(script.submit())
    return script.stop(JOB)


@pytest.mark.parametrize(
    "event", [ev.ControllerRestarted(), ev.ControllerStalled(Instant(0))], ids=["restart", "stall"]
)
def test_a_stop_that_fell_due_while_the_controller_slept_is_given_its_time_again(
    event: ev.Event,
) -> None:
    script = stopping()
    script.now = Instant(HOUR)
    script.step(event)
    assert not script.decided(de.SliceLoss)
    script.step(ev.WorkerHeard(HOST, "first"))
    script.advance(script.controller.state.spec.timeouts.stop_timeout)
    assert script.the(de.SliceLoss).slice == MACHINE


def test_a_launch_that_is_seen_at_its_last_instant_was_in_time() -> None:
    script = machine()
    script.submit()
    script.now = Instant(script.controller.state.spec.timeouts.launch_timeout)
    script.running(JOB)
    assert not script.decided(de.AttemptStop)
    assert script.job(JOB).state is JobState.RUNNING


def test_a_job_that_runs_at_the_last_instant_was_scheduled_in_time() -> None:
    script = machine()
    script.submit(scheduling_timeout=Millis(MINUTE))
    script.now = Instant(MINUTE)
    script.running(JOB)
    assert not script.decided(de.JobEnd)
    assert script.job(JOB).state is JobState.RUNNING


def test_a_second_notice_at_the_end_of_the_first_keeps_work_off() -> None:
    script = machine()
    script.step(ev.PreemptionNoticed(MACHINE))
    span = script.controller.state.spec.timeouts.notice_timeout
    script.now = Instant(span)
    script.step(ev.PreemptionNoticed(MACHINE))
    assert script.slice(MACHINE).cordon_until == 2 * span


def test_a_new_configuration_lifts_the_block_of_a_bad_request() -> None:
    group = cpu_group(min_slices=1)
    script = Script()
    script.config(group).listing()
    script.refused(script.coming("cpu")[0], ev.CreateFailure.BAD_REQUEST)
    gate = next(iter(script.controller.state.gates.values()))
    assert gate.blocked_until == FOREVER
    script.config(group)
    assert script.the(ef.CreateSlice).group == "cpu"


def test_a_slice_that_is_ready_after_its_group_left_drains() -> None:
    script = Script()
    script.config(cpu_group(), tpu_group(hosts=1)).listing()
    stray = SliceId("iris-cpu-7")
    sighting = ev.SliceSighting(stray, ev.CloudState.READY, cpu_group().name, cpu_group().zones[0])
    script.step(ev.SlicesObserved((sighting,), script.now, complete=False))
    script.config(tpu_group(hosts=1))
    script.step(script.registration(stray, 0))
    assert script.the(de.SliceDrain).slice == stray


def test_f_25_slices_of_a_group_that_was_retyped_drain_and_take_no_work() -> None:
    script = fleet(tpu_group(min_slices=1))
    script.config(tpu_group(type="v5litepod-4", hosts=1))
    assert script.the(de.SliceDrain).slice == "iris-tpu-1"
    script.submit("small", gang=True, tpu="v5litepod-4")
    assert not script.decided(de.Placement)
    script.ready(script.coming("tpu")[0])
    assert len(script.the(de.Placement).workers) == 1


def test_cpu_work_drives_nobody_off_an_accelerator() -> None:
    script = fleet(replace(gpu_group(max_slices=1), min_slices=1))
    script.running(script.submit("low", gpus=1, cpu=16, band=Band.BATCH))
    script.submit("high", cpu=2, band=Band.PRODUCTION)
    assert not script.decided(de.Eviction)
    script.submit("chips", gpus=1, cpu=2, band=Band.PRODUCTION)
    assert script.the(de.Eviction).job == "/alice/chips"


def test_who_may_use_spare_cores_again_is_served_in_order() -> None:
    script = fleet(tpu_group(min_slices=1, max_slices=1, hosts=1, type="v5litepod-4"))
    script.running(script.submit("holder", gang=True, tpu="v5litepod-4", cpu=8))
    script.submit("next", gang=True, tpu="v5litepod-4", cpu=4)
    script.submit("late", cpu=4, band=Band.BATCH)
    script.submit("first", cpu=4, band=Band.PRODUCTION)
    reload = ev.ConfigLoaded(script.controller.state.spec)  # Then all are looked at anew.
    script.step(script.end(TaskId("/alice/holder:0"), EndCause.EXIT_ZERO), reload)
    placed = [placement.job for placement in script.decided(de.Placement)]
    assert placed == ["/alice/next", "/alice/first"]


def test_i_39_an_idle_slice_does_not_drain_in_the_turn_in_which_work_comes() -> None:
    idle = Millis(5 * MINUTE)
    script = fleet(tpu_group(min_slices=1, max_slices=1))
    script.config(tpu_group(max_slices=1), autoscaler=AutoscalerPolicy(idle_timeout=idle))
    script.now = Instant(idle)
    script.submit("guest")
    assert script.decided(de.Placement)
    assert not script.decided(de.SliceDrain)


def test_a_plan_for_capacity_stands_when_it_is_looked_at_again() -> None:
    script = Script()
    script.config(tpu_group(min_slices=1)).listing()
    script.submit("guest", cpu=4)  # It may use the spare cores of the pod that is coming.
    script.config(tpu_group(min_slices=1), cpu_group(buffer_slices=1))
    assert [r.group for r in script.decided(de.SliceRequest)] == ["cpu", "cpu"]
    decisions, _ = script.controller.clone().step(script.now, ())
    assert decisions == []


def test_who_is_leaving_anyway_makes_an_eviction_possible_that_was_not() -> None:
    script = machine(cores=4)
    equal = script.submit("equal", cpu=2)
    script.running(equal)
    script.running(script.submit("low", cpu=2, band=Band.BATCH))
    script.submit("high", cpu=4)
    assert not script.decided(de.Eviction)
    script.stop(equal)
    assert script.the(de.Eviction).victims == ("/alice/low:0",)


def test_a_submission_may_be_repeated_in_the_instant_in_which_its_job_ended() -> None:
    script = machine()
    script.submit()
    spec, request = script.job(JOB).spec, script.job(JOB).request
    script.finish(JOB)
    script.submit_spec(spec, request)
    assert script.the(ef.Reply).answer == ef.Accepted(JOB)
