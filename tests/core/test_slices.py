"""What becomes of slices that exist: ready by their hosts alone, lost whole, kept free of work."""

import pytest

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core import events as ev
from iris.core.ids import RequestId, SliceId, WorkerId
from iris.core.instant import HOUR, MINUTE, Instant
from iris.core.lifecycle import AttemptState, SliceState, TaskState, WorkerState
from iris.core.retry import EndCause
from iris.core.spec import Band, TimeoutPolicy
from tests.harness import Script, cluster, cpu_group, fleet, tpu_group

TPU = "v5litepod-16"
FIRST = SliceId("iris-tpu-1")
CPU = SliceId("iris-cpu-1")
W0 = WorkerId("iris-cpu-1-w0")


def coming_pod(hosts: int = 4) -> Script:
    """A TPU slice that was asked for and has not been answered."""
    script = cluster(tpu_group(hosts=hosts))
    script.submit(tpu=TPU, replicas=hosts, gang=True)
    assert script.the(ef.CreateSlice).slice == FIRST
    return script


# ---- ready, and not ready ---------------------------------------------------------------------


def test_i_81_a_slice_is_ready_when_every_host_has_registered_and_not_before() -> None:
    script = coming_pod()
    script.step(ev.SliceAccepted(FIRST))
    for host in (2, 0, 3):
        script.step(script.registration(FIRST, host))
        assert script.slice(FIRST).state is SliceState.BOOTING
        assert not script.decided(de.Placement)
    script.step(script.registration(FIRST, 1))
    assert script.slice(FIRST).state is SliceState.READY
    workers = tuple(WorkerId(f"{FIRST}-w{host}") for host in range(4))
    assert script.the(de.Placement).workers == workers


def test_i_43_the_clouds_word_that_it_is_ready_makes_nothing_ready() -> None:
    script = coming_pod()
    script.cloud_says(FIRST, ev.CloudState.READY)
    script.listing()
    assert script.slice(FIRST).state is SliceState.REQUESTED


def test_a_host_that_registers_answers_a_create_whose_answer_was_lost() -> None:
    script = coming_pod()
    script.step(script.registration(FIRST, 0))
    assert script.slice(FIRST).state is SliceState.BOOTING
    assert script.slice(FIRST).accepted_at == script.now


def test_i_47_a_last_host_that_is_twenty_minutes_late_finds_its_slice_waiting() -> None:
    script = coming_pod()
    script.step(ev.SliceAccepted(FIRST), *(script.registration(FIRST, h) for h in range(3)))
    assert not script.advance(20 * MINUTE).decided(de.SliceLoss)
    script.step(script.registration(FIRST, 3))
    assert script.slice(FIRST).state is SliceState.READY


def test_i_81_a_slice_that_misses_a_host_for_ever_is_given_up_at_the_boot_timeout() -> None:
    script = coming_pod()
    script.step(ev.SliceAccepted(FIRST), *(script.registration(FIRST, h) for h in range(3)))
    script.advance(HOUR - 1)
    assert script.slice(FIRST).state is SliceState.BOOTING
    script.advance(1, answer=False)
    assert script.the(de.SliceLoss).why == "only 3 of 4 hosts registered in time"
    assert script.the(ef.DeleteSlice).slice == FIRST


def test_a_last_host_that_registers_in_the_turn_of_the_boot_timeout_is_in_time() -> None:
    script = coming_pod()
    script.step(ev.SliceAccepted(FIRST), *(script.registration(FIRST, h) for h in range(3)))
    script.advance(HOUR - 1)
    script.now = Instant(HOUR)
    script.step(script.registration(FIRST, 3))
    assert script.slice(FIRST).state is SliceState.READY


def test_a_slice_that_is_preempted_in_the_turn_in_which_it_is_ready_is_lost() -> None:
    script = coming_pod()
    taken = ev.SliceSighting(FIRST, ev.CloudState.PREEMPTED)
    hosts = [script.registration(FIRST, h) for h in range(4)]
    script.step(*hosts, ev.SlicesObserved((taken,), script.now, complete=False))
    assert script.the(de.SliceLoss).slice == FIRST
    assert not script.decided(de.Placement)


def test_a_notice_for_a_slice_that_boots_keeps_it_from_work_once_it_is_ready() -> None:
    script = coming_pod()
    script.step(ev.SliceAccepted(FIRST), script.registration(FIRST, 0))
    script.step(ev.PreemptionNoticed(FIRST)).ready(FIRST)
    assert script.slice(FIRST).state is SliceState.READY
    assert not script.decided(de.Placement)


# ---- creates without an answer ----------------------------------------------------------------


def test_i_51_a_create_that_is_never_answered_is_repeated_under_its_name_and_then_given_up() -> (
    None
):
    script = coming_pod()
    script.advance(2 * MINUTE)
    assert script.the(ef.CreateSlice).slice == FIRST
    script.advance(HOUR - 2 * MINUTE)
    assert {effect.slice for effect in script.asked(ef.CreateSlice)} == {FIRST}
    assert script.the(de.SliceLoss).why == "the cloud never answered its create"


def test_i_37_an_operation_that_fails_after_every_host_spoke_deletes_nothing() -> None:
    script = coming_pod()
    job = script.job(next(iter(script.controller.state.jobs))).id
    script.ready("tpu")
    script.running(job).refused(FIRST, ev.CreateFailure.INTERNAL, "timed out after 600 s")
    assert not script.decisions
    assert (script.slice(FIRST).state, script.slice(FIRST).failure) == (SliceState.READY, "")
    assert script.task(job).state is TaskState.RUNNING


def test_i_37_the_last_host_and_the_failure_of_the_operation_in_one_turn_keep_the_slice() -> None:
    script = coming_pod(hosts=1)
    failed = ev.SliceCreateFailed(FIRST, ev.CreateFailure.INTERNAL)
    script.step(failed, script.registration(FIRST, 0))
    assert not script.decided(de.SliceLoss)
    assert script.slice(FIRST).state is SliceState.READY


def test_a_refusal_and_an_acceptance_of_a_stranger_are_stale() -> None:
    script = coming_pod()
    before = script.controller.state.books.stale_facts
    script.step(
        ev.SliceCreateFailed(SliceId("iris-none-7"), ev.CreateFailure.STOCKOUT),
        ev.SliceAccepted(SliceId("iris-none-7")),
        ev.PreemptionNoticed(SliceId("iris-none-7")),
        ev.SliceDeleted(SliceId("iris-none-7")),
        ev.SliceDeleteFailed(SliceId("iris-none-7")),
    )
    assert script.controller.state.books.stale_facts == before + 5
    assert not script.decisions


# ---- losses -----------------------------------------------------------------------------------


@pytest.mark.parametrize("host", range(4))
def test_i_23_one_lost_host_fails_the_slice_and_all_its_workers_in_one_turn(host: int) -> None:
    script = coming_pod()
    script.ready("tpu")
    job = script.job(next(iter(script.controller.state.jobs))).id
    script.running(job).lose(WorkerId(f"{FIRST}-w{host}"))
    assert script.the(de.SliceLoss).state is SliceState.FAILED
    workers = [script.worker(WorkerId(f"{FIRST}-w{h}")) for h in range(4)]
    assert {worker.state for worker in workers} == {WorkerState.LOST}
    assert not any(worker.attempts for worker in workers)
    assert not any(w.number in script.controller.state.room.where for w in workers)
    assert {t.attempts[0].state for t in script.job(job).tasks} == {AttemptState.WORKER_FAILED}
    assert script.the(de.Retry).tasks == tuple(f"{job}:{i}" for i in range(4))


def test_a_host_that_falls_silent_while_its_slice_boots_fails_it() -> None:
    script = coming_pod()
    script.step(script.registration(FIRST, 0)).lose(WorkerId(f"{FIRST}-w0"))
    assert script.the(de.SliceLoss).why == f"{FIRST}-w0 was silent for 60000 ms"


def test_a_host_that_falls_silent_after_a_notice_was_preempted() -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit()
    script.running(job).step(ev.PreemptionNoticed(CPU)).lose(W0)
    assert script.the(de.SliceLoss).cause is EndCause.PREEMPTION
    assert script.task(job).attempts[0].state is AttemptState.PREEMPTED


def test_i_40_a_preempted_slice_is_deleted_and_its_work_gets_a_fresh_name_at_once() -> None:
    script = fleet(cpu_group(preemptible=True, min_slices=1))
    job = script.submit()
    policy = script.controller.state.spec.autoscaler
    script.running(job).advance(policy.settle_time)
    script.preempted(CPU)
    assert script.the(ef.DeleteSlice).slice == CPU
    assert script.the(ef.CreateSlice).slice == "iris-cpu-2"


@pytest.mark.parametrize("state", ev.CloudState)
def test_i_49_every_state_that_a_listing_can_show_has_its_meaning(state: ev.CloudState) -> None:
    script = fleet(cpu_group(min_slices=1))
    script.cloud_says(CPU, state)
    script.listing()
    expected = {
        ev.CloudState.CREATING: SliceState.READY,
        ev.CloudState.READY: SliceState.READY,
        ev.CloudState.REPAIRING: SliceState.READY,
        ev.CloudState.DELETING: SliceState.READY,
        ev.CloudState.PREEMPTED: SliceState.DELETING,
        ev.CloudState.STOPPED: SliceState.DELETING,
        ev.CloudState.OTHER: SliceState.DELETING,
    }
    assert script.slice(CPU).state is expected[state]
    assert bool(script.decided(de.SliceCordon)) == (state is ev.CloudState.DELETING)
    losses = [loss.state for loss in script.decided(de.SliceLoss)]
    preempted = state is ev.CloudState.PREEMPTED
    kind = SliceState.PREEMPTED if preempted else SliceState.FAILED
    assert losses == ([] if expected[state] is SliceState.READY else [kind])


def test_a_slice_that_is_preempted_while_it_is_coming_says_so() -> None:
    script = coming_pod()
    script.preempted(FIRST)
    assert script.the(de.SliceLoss).why.startswith("while it was coming: ")
    assert script.the(ef.DeleteSlice).slice == FIRST


def test_a_second_report_of_a_death_changes_nothing() -> None:
    script = fleet(cpu_group(min_slices=1))
    script.preempted(CPU)
    script.cloud_says(CPU, ev.CloudState.PREEMPTED)
    script.listing()
    assert not script.decisions
    script.step(ev.PreemptionNoticed(CPU))
    assert not script.decisions


def test_a_notice_and_the_preemption_in_one_turn_are_a_preemption() -> None:
    script = fleet(cpu_group(min_slices=1))
    sighting = ev.SliceSighting(CPU, ev.CloudState.PREEMPTED)
    seen = ev.SlicesObserved((sighting,), script.now, complete=False)
    script.step(ev.PreemptionNoticed(CPU), ev.SliceTerminateRequested(RequestId("r"), CPU), seen)
    assert len(script.decided(de.SliceLoss)) == 1
    assert len(script.asked(ef.DeleteSlice)) == 1


def test_a_refusal_beside_a_death_in_one_turn_loses_the_slice_once() -> None:
    script = coming_pod()
    refused = ev.SliceCreateFailed(FIRST, ev.CreateFailure.STOCKOUT)
    script.step(refused, refused)
    assert len(script.decided(de.SliceLoss)) == 1
    assert script.slice(FIRST).failure == "stockout"


# ---- notices ----------------------------------------------------------------------------------


def test_i_86_a_notice_keeps_work_off_from_its_own_turn_on_until_the_preemption_fails_to_come() -> (
    None
):
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    running = script.submit("before")
    script.running(running).step(ev.PreemptionNoticed(CPU))
    assert script.the(de.SliceCordon).slice == CPU
    waiting = script.submit("after")
    assert script.task(waiting).state is TaskState.PENDING
    assert script.task(running).state is TaskState.RUNNING
    script.advance(5 * MINUTE - 1)
    assert script.task(waiting).state is TaskState.PENDING
    script.advance(1)
    assert script.the(de.SliceCordon).until is None
    assert script.the(de.Placement).job == waiting


# ---- stops that hang --------------------------------------------------------------------------


def test_i_19_room_is_free_when_the_container_is_seen_to_be_gone_and_not_when_asked() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    old = script.submit("old", cpu=4)
    new = script.submit("new", cpu=4)
    script.running(old).stop(old)
    assert not script.advance(2 * MINUTE - 1).decided(de.Placement)
    assert script.task(new).state is TaskState.PENDING
    script.stopped(old)
    assert script.the(de.Placement).job == new


def test_i_19_an_evicted_gang_keeps_its_hosts_until_the_last_of_it_is_gone() -> None:
    script = fleet(tpu_group(min_slices=1, max_slices=1))
    old = script.submit("old", tpu=TPU, replicas=2, gang=True, band=Band.BATCH)
    script.running(old)
    new = script.submit("new", tpu=TPU, replicas=2, gang=True, band=Band.PRODUCTION)
    assert script.decided(de.Eviction, job=new)
    script.step(script.end(script.task(old, 0).id, None))
    assert not script.decided(de.Placement)
    script.step(script.end(script.task(old, 1).id, None))
    assert script.the(de.Placement).job == new


def test_i_02_a_worker_whose_stop_hangs_is_treated_as_lost_and_its_room_goes_with_it() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    job = script.submit()
    bystander = script.submit("bystander")
    script.running(job).running(bystander).stop(job)
    script.advance(2 * MINUTE - 1)
    assert not script.decisions
    script.advance(1, answer=False)
    assert script.the(de.AttemptLoss).task == f"{job}:0"
    assert script.attempt(script.task(job).id).state is AttemptState.KILLED
    assert script.the(de.SliceLoss).slice == CPU
    assert script.attempt(script.task(bystander).id).state is AttemptState.WORKER_FAILED
    assert script.worker(W0).state is WorkerState.LOST


def test_a_stop_that_hangs_on_a_silent_host_ends_as_the_stop_was_meant() -> None:
    policy = TimeoutPolicy(worker_timeout=HOUR)
    script = fleet(cpu_group(min_slices=1), timeouts=policy)
    job = script.submit()
    script.running(job).stop(job).silent(W0)
    script.advance(2 * MINUTE, answer=False)
    assert not script.decided(de.AttemptLoss)
    assert script.attempt(script.task(job).id).cause is EndCause.REQUESTED


def test_a_drain_that_ends_in_the_turn_of_a_preemption_deletes_the_slice_once() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    job = script.submit()
    script.running(job).config(cpu_group("other"))
    taken = ev.SliceSighting(CPU, ev.CloudState.PREEMPTED)
    seen = ev.SlicesObserved((taken,), script.now, complete=False)
    script.step(script.end(script.task(job).id, EndCause.EXIT_ZERO), seen)
    assert script.the(de.SliceDelete).why == "the cloud says that it was preempted"


def test_two_stops_that_hang_on_one_host_lose_it_once() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    job = script.submit(replicas=2)
    script.running(job).stop(job).advance(2 * MINUTE, answer=False)
    assert len(script.decided(de.SliceLoss)) == 1
    assert {script.attempt(t.id).cause for t in script.job(job).tasks} == {EndCause.REQUESTED}
