"""Each turn that was not justified is told, and by what it was not."""

from dataclasses import replace

import pytest

from iris.core import decisions as de
from iris.core import events as ev
from iris.core.conduct import Witness
from iris.core.ids import JobId, RequestId, SliceId, TaskId, WorkerId, Zone
from iris.core.instant import HOUR, MINUTE, Instant
from iris.core.invariants import Auditor
from iris.core.lifecycle import SliceState, TaskState
from iris.core.record import Turn
from iris.core.resources import Resources
from iris.core.retry import BUILD_TRIES, Budget, EndCause
from iris.core.spec import Band, ClusterSpec, SchedulerPolicy
from iris.core.state import ClusterState
from tests.core.forged import HOST, MACHINE, NEED, POD, Harm, busy, put, task
from tests.harness import Script, cpu_group, fleet, tpu_group


def judged(state: ClusterState, *decisions: de.Decision, events: tuple[ev.Event, ...] = ()) -> str:
    """What is said of a turn that was forged: the state is as it was, the turn tells a story."""
    return "\n".join(Witness(state).saw(Turn(state.now, events, decisions)))


def test_a_placement_is_for_somebody_who_has_not_ended() -> None:
    script = busy()
    place = de.Placement(JobId("/alice/past"), (TaskId("/alice/past:0"),), (HOST,), "")
    assert "V-15 /alice/past was placed" in judged(script.controller.state, place)


def test_a_gang_is_placed_whole_and_in_order() -> None:
    script = busy()
    tasks = tuple(t.id for t in script.job(JobId("/alice/gang")).tasks)
    hosts = (WorkerId("iris-tpu-1-w1"), WorkerId("iris-tpu-1-w0"))
    place = de.Placement(JobId("/alice/gang"), tasks, hosts, "")
    assert "V-04 gang /alice/gang was placed as" in judged(script.controller.state, place)


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (
            lambda s: put(s.slices[MACHINE], state=SliceState.DRAINING),
            "V-08 /alice/solo:0 was placed on iris-cpu-2, which may have no new work",
        ),
        (
            lambda s: put(s.slices[MACHINE], cordon_until=Instant(10**9)),
            "V-08 /alice/solo:0 was placed on iris-cpu-2, which may have no new work",
        ),
        (
            lambda s: put(s.workers[HOST], cordoned=True),
            "V-08 /alice/solo:0 was placed on iris-cpu-2-w0, which may have no new work",
        ),
        (
            lambda s: put(s.workers[HOST], launch_failures=3),
            "V-08 /alice/solo:0 was placed on iris-cpu-2-w0, on which 3 launches failed",
        ),
        (
            lambda s: put(task(s, "/alice/solo:0").task, avoid=(HOST,)),
            "V-16 /alice/solo:0 was placed on iris-cpu-2-w0, where a launch of it had failed",
        ),
        (
            lambda s: put(s.workers[HOST], committed=Resources(cpu=10**9)),
            "V-16 /alice/solo:0 was placed on iris-cpu-2-w0, which has no room for it",
        ),
        (
            lambda s: put(s.slices[MACHINE], zone=Zone("moon")),
            "V-16 /alice/solo:0 was placed in cpu, moon, which cannot serve it",
        ),
    ],
)
def test_a_placement_satisfies_the_one_fit(harm: Harm, sentence: str) -> None:
    state = busy().controller.state
    harm(state)
    place = de.Placement(JobId("/alice/solo"), (TaskId("/alice/solo:0"),), (HOST,), "")
    assert sentence in judged(state, place)


def test_no_user_has_more_tasks_than_a_user_may_have() -> None:
    script = fleet(
        cpu_group(min_slices=1, cores=4), scheduler=SchedulerPolicy(max_tasks_per_user=2)
    )
    script.submit("two", replicas=2)
    state = script.controller.state
    two = de.Admission(RequestId("r"), JobId("/alice/two"), state.jobs[JobId("/alice/two")].spec)
    assert judged(state, two) == ""
    state.unended[two.spec.user] = 3
    assert "V-07 /alice/two makes 3 tasks of alice, who may have 2" in judged(state, two)


def test_a_loss_is_of_an_attempt_that_is_over() -> None:
    state = busy().controller.state
    loss = de.AttemptLoss(TaskId("/alice/solo:0"), EndCause.UNKNOWN, "")
    assert "V-05 /alice/solo:0 was lost, and none of its attempts has ended" in judged(state, loss)
    past = task(state, "/alice/past:0")
    assert past.attempt is not None
    put(past.attempt, ended_at=Instant(state.now - 1))
    assert "none of its attempts has ended" in judged(state, replace(loss, task=past.task.id))


def test_what_was_forgotten_in_the_turn_of_its_end_is_no_offence() -> None:
    state = busy().controller.state
    forgotten = TaskId("/alice/forgotten:0")
    assert judged(state, de.AttemptLoss(forgotten, EndCause.UNKNOWN, "")) == ""
    assert judged(state, de.TaskVerdict(forgotten, TaskState.FAILED, "")) == ""


def evicted() -> tuple[Script, de.Eviction]:
    script = fleet(cpu_group(min_slices=1, max_slices=1, cores=4))
    script.running(script.submit("low", cpu=2, band=Band.BATCH))
    script.running(script.submit("lower", cpu=2, band=Band.BATCH))
    script.submit("high", cpu=2, band=Band.PRODUCTION)
    return script, script.the(de.Eviction)


def test_an_eviction_as_it_was_decided_is_right() -> None:
    script, eviction = evicted()
    assert judged(script.controller.state, eviction) == ""


def test_an_eviction_binds_its_beneficiary() -> None:
    script, eviction = evicted()
    told = judged(script.controller.state, replace(eviction, workers=()))
    assert "V-06 /alice/high evicts, and is not bound to" in told


def test_an_eviction_needs_every_victim() -> None:
    script, eviction = evicted()
    state = script.controller.state
    (other,) = {"/alice/low:0", "/alice/lower:0"} - set(eviction.victims)
    spared = task(state, other)
    assert spared.attempt is not None
    put(spared.attempt, stop_cause=EndCause.EVICTION)
    forged = replace(eviction, victims=(*eviction.victims, TaskId(other)))
    assert "could have been spared by /alice/high" in judged(state, forged)


def test_an_eviction_makes_enough_room() -> None:
    script, eviction = evicted()
    state = script.controller.state
    put(task(state, eviction.victims[0]).attempt, stop_cause=None)
    told = judged(state, eviction)
    assert "V-06 /alice/high does not fit on iris-cpu-1-w0 once its victims are gone" in told
    assert "was to be evicted for /alice/high, and was not asked to stop" in told


def test_only_a_lower_band_makes_way() -> None:
    script, eviction = evicted()
    state = script.controller.state
    job = state.jobs[state.tasks[eviction.victims[0]].job]
    put(job, spec=replace(job.spec, band=Band.PRODUCTION))
    assert "which is of no higher band" in judged(state, eviction)


def test_who_was_placed_in_a_turn_is_not_evicted_in_it() -> None:
    script, eviction = evicted()
    (victim,) = eviction.victims
    placed = de.Placement(JobId(victim.rpartition(":")[0]), (victim,), eviction.workers, "")
    told = judged(script.controller.state, placed, eviction)
    assert f"V-25 {victim} was evicted for /alice/high in the turn in which it was placed" in told


def test_an_eviction_reaches_no_host_that_it_is_not_bound_to() -> None:
    script = fleet(cpu_group(min_slices=2, max_slices=2, cores=2))
    for name in ("one", "two"):
        script.running(script.submit(name, cpu=2, band=Band.BATCH))
    script.submit("high", cpu=2, band=Band.PRODUCTION)
    eviction = script.the(de.Eviction)
    both = (TaskId("/alice/one:0"), TaskId("/alice/two:0"))
    told = judged(script.controller.state, replace(eviction, victims=both))
    (bound,) = eviction.workers
    (other,) = {"iris-cpu-1-w0", "iris-cpu-2-w0"} - {bound}
    assert f"V-06 an eviction for /alice/high reaches {other}, which it is not bound to" in told


def test_what_is_kept_later_in_the_turn_was_there_when_the_eviction_was_decided() -> None:
    script, eviction = evicted()
    state = script.controller.state
    worker = state.workers[eviction.workers[0]]
    put(worker, offers=Resources(cpu=4_000, memory=worker.offers.memory))
    holding = de.Holding(JobId("/alice/low"), (), eviction.workers, NEED, None, "")
    put(worker, committed=Resources(cpu=5_000, memory=worker.committed.memory))
    assert "does not fit on iris-cpu-1-w0" in judged(state, eviction)
    assert "does not fit on iris-cpu-1-w0" not in judged(state, eviction, holding)


def test_a_slice_is_lost_only_on_evidence() -> None:
    script = busy()
    state = script.controller.state
    loss = de.SliceLoss(POD, SliceState.FAILED, EndCause.HOST_LOST, "a feeling")
    assert "V-12 slice iris-tpu-1 was given up as failed without evidence" in judged(state, loss)
    asked = ev.SliceTerminateRequested(RequestId("r"), POD)
    assert judged(state, loss, events=(asked,)) == ""


def test_one_listing_without_a_slice_is_no_evidence_while_its_workers_speak() -> None:
    script = busy()
    state = script.controller.state
    loss = de.SliceLoss(POD, SliceState.FAILED, EndCause.HOST_LOST, "it vanished")
    failed = ev.SlicesObserved((), state.now, complete=True, error="unavailable")
    assert "V-12" in judged(state, loss, events=(failed,))
    listing = ev.SlicesObserved((), state.now, complete=True)
    assert "V-12" in judged(state, loss, events=(listing,))
    witness = Witness(state)
    assert list(witness.saw(Turn(state.now, (listing,), ()))) == []
    assert list(witness.saw(Turn(state.now, (listing,), (loss,)))) == []


def test_silence_counts_only_from_its_timeout_and_while_the_controller_was_awake() -> None:
    script = busy()
    state = script.controller.state
    loss = de.SliceLoss(POD, SliceState.FAILED, EndCause.HOST_LOST, "silent")
    worker = WorkerId("iris-tpu-1-w0")
    silent = ev.WorkerSilent(worker, "first", Instant(state.now - MINUTE))
    assert judged(state, loss, events=(silent,)) == ""
    late = replace(silent, since=Instant(state.now - MINUTE + 1))
    assert "V-12" in judged(state, loss, events=(late,))
    stalled = ev.ControllerStalled(Instant(state.now - 1))
    assert "V-12" in judged(state, loss, events=(silent, stalled))
    heard = ev.WorkerHeard(worker, "first")
    assert "V-12" in judged(state, loss, events=(silent, heard))
    assert "V-12" in judged(state, loss, events=(replace(silent, incarnation="other"),))


def test_a_slice_is_gone_only_by_the_clouds_word() -> None:
    state = busy().controller.state
    gone = de.SliceGone(POD, "")
    assert "V-09 slice iris-tpu-1 was taken off the books" in judged(state, gone)
    failed = ev.SlicesObserved((), state.now, complete=True, error="unavailable")
    partial = ev.SlicesObserved((), state.now, complete=False)
    assert "V-09" in judged(state, gone, events=(failed, partial))
    assert judged(state, gone, events=(ev.SliceDeleted(POD),)) == ""
    whole = ev.SlicesObserved((), state.now, complete=True)
    assert judged(state, gone, events=(whole,)) == ""
    slice_ = state.slices[POD]
    there = ev.SliceSighting(POD, ev.CloudState.DELETING, slice_.group, slice_.zone)
    assert "V-09" in judged(state, gone, events=(replace(whole, listing=(there,)),))


def test_a_slice_with_work_is_not_deleted_nor_drained() -> None:
    state = busy().controller.state
    delete = de.SliceDelete(POD, state.now, "")
    assert "V-08 the delete of iris-tpu-1 was asked for" in judged(state, delete)
    drain = de.SliceDrain(POD, "")
    assert "V-08 slice iris-tpu-1 drains while it is in use" in judged(state, drain)


def test_a_slice_request_is_within_the_limits_and_for_somebody() -> None:
    script = busy()
    state = script.controller.state
    request = de.SliceRequest(
        SliceId("iris-cpu-9"), state.slices[MACHINE].group, Zone("us-a"), None, ""
    )
    put(state, spec=ClusterSpec((cpu_group(max_slices=1),)), groups={})
    state.rebuild()
    state.fleet[request.group][SliceState.BOOTING] = 1
    assert "V-07 iris-cpu-9 makes 2 of cpu, which may have 1" in judged(state, request)
    for name in ("/alice/wide", "/alice/other"):
        state.unwait(state.jobs[JobId(name)], 0 if name == "/alice/wide" else -1)
    assert "V-16 iris-cpu-9 of cpu in us-a would serve nobody" in judged(state, request)


def test_the_create_bucket_is_never_overfull() -> None:
    state = busy().controller.state
    request = de.SliceRequest(
        SliceId("iris-cpu-9"), state.slices[MACHINE].group, Zone("us-a"), None, ""
    )
    put(state.books, tokens=10**9)
    assert "V-07 iris-cpu-9 left 1000000000 in the create bucket" in judged(state, request)


def test_a_reservation_is_shared_by_all_sizes() -> None:
    group = tpu_group(min_slices=1, max_slices=3)
    state = fleet(group).controller.state
    rack = (replace(group, reservation="rack"),)
    put(state, spec=replace(state.spec, groups=rack, reservations=(("rack", 4),)))
    state.rebuild()
    request = de.SliceRequest(
        SliceId("iris-tpu-9"), state.slices[POD].group, Zone("us-a"), None, ""
    )
    assert "V-07 iris-tpu-9 makes 8 chips of reservation rack, which has 4" in judged(
        state, request
    )


def failing() -> tuple[Script, TaskId]:
    script = fleet(cpu_group(min_slices=1, max_slices=1, cores=4))
    job = script.submit("flaky", max_retries_failure=1)
    script.running(job)
    name = script.job(job).tasks[0].id
    script.ends(name, EndCause.EXIT_NONZERO)
    return script, name


def test_a_retry_is_charged_to_whom_the_ends_say_and_within_the_budget() -> None:
    script, name = failing()
    state = script.controller.state
    right = script.the(de.Retry)
    assert judged(state, right) == ""
    wrong = replace(right, charge=Budget.PREEMPTION)
    assert f"V-14 {name} goes back at the cost of" in judged(state, wrong)
    job = state.jobs[right.job]
    put(job, spec=replace(job.spec, max_retries_failure=0))
    assert f"V-14 {name} has gone back 1 times" in judged(state, right)


def test_who_never_ran_cannot_go_back() -> None:
    state = busy().controller.state
    wide = TaskId("/alice/wide:0")
    retry = de.Retry(JobId("/alice/wide"), (wide,), Budget.FAILURE, None, "")
    assert f"V-14 {wide} went back to wait without an attempt" in judged(state, retry)


def test_a_task_fails_for_good_only_over_its_budget() -> None:
    script, name = failing()
    state = script.controller.state
    failed = de.TaskVerdict(name, TaskState.FAILED, "")
    assert f"V-14 {name} has failed with 1 of 1 retries spent" in judged(state, failed)
    killed = de.TaskVerdict(name, TaskState.KILLED, "")
    assert f"V-14 {name} was killed, and its job is not ending" in judged(state, killed)
    never = de.TaskVerdict(TaskId("/alice/wide:0"), TaskState.FAILED, "")
    assert "V-14 /alice/wide:0 has failed, and no attempt" in judged(busy().controller.state, never)


def test_the_fit_may_be_asked_for_what_changed_only() -> None:
    state = busy().controller.state
    auditor = Auditor(state, every_turn=False)
    state.books.evaluations += 10_000
    auditor.check(Turn(state.now, (), ()))
    assert "V-20 at 0 the fit was asked 10000 times for 1 changes" in auditor.sentences
    for_each_host = Auditor(state, every_turn=False)
    state.books.evaluations += 9
    for_each_host.check(Turn(state.now, (), ()))
    assert for_each_host.check_all() == state.digest()
    assert not for_each_host.violated


def test_no_build_is_tried_for_ever() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    job = script.submit("mistyped")
    name = script.job(job).tasks[0].id
    for _ in range(BUILD_TRIES - 2):
        script.ends(name, EndCause.BUILD).advance(HOUR)
    script.ends(name, EndCause.BUILD)
    right = script.the(de.Retry)
    assert judged(script.controller.state, right) == ""
    script.advance(HOUR)
    state = script.controller.state
    attempt = state.tasks[name].attempts[-1]
    put(attempt, cause=EndCause.BUILD)
    put(state.tasks[name], retried=BUILD_TRIES)
    assert f"V-14 {name} goes back after 3 failed builds" in judged(state, right)
