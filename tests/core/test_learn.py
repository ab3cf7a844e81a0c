"""What facts about workers and attempts change, and what strangers and the past do not."""

import pytest

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core import events as ev
from iris.core.ids import GroupName, SliceId, TaskId, WorkerId, Zone
from iris.core.instant import HOUR, MINUTE, SECOND, Instant
from iris.core.lifecycle import AttemptState, JobState, SliceState, TaskState, WorkerState
from iris.core.resources import Resources
from iris.core.retry import EndCause
from tests.harness import Script, cpu_group, fleet, tpu_group

W0 = WorkerId("iris-cpu-1-w0")
FIRST = SliceId("iris-cpu-1")
TPU = "v5litepod-16"


def one_host() -> Script:
    return fleet(cpu_group(min_slices=1))


def stale(script: Script) -> int:
    return script.controller.state.books.stale_facts


# ---- reports name their attempt and their worker ----------------------------------------------


def test_i_76_a_late_report_of_a_past_attempt_changes_only_the_stale_count() -> None:
    script = one_host()
    job = script.submit(max_retries_failure=1)
    late = script.running(job).end(script.task(job).id, EndCause.EXIT_ZERO)
    script.ends(script.task(job).id, EndCause.EXIT_NONZERO).advance(10 * SECOND)
    before = stale(script)
    script.step(late)
    assert script.the(ef.Acknowledge).attempt == 0
    assert not script.decisions
    assert script.attempt(script.task(job).id).state is AttemptState.ASSIGNED
    assert stale(script) == before + 1


def test_i_74_an_end_that_is_reported_twice_is_learned_once_and_acknowledged_twice() -> None:
    script = one_host()
    job = script.submit()
    end = script.running(job).end(script.task(job).id, EndCause.EXIT_ZERO)
    acknowledged = [script.step(end).the(ef.Acknowledge) for _ in range(2)]
    assert acknowledged[0] == acknowledged[1]
    assert script.job(job).state is JobState.SUCCEEDED
    assert len(script.task(job).attempts) == 1


def test_i_74_a_repeated_report_of_running_changes_nothing() -> None:
    script = one_host()
    job = script.submit()
    script.running(job)
    began = script.attempt(script.task(job).id).started_at
    script.advance(SECOND).running(job)
    assert not script.decisions
    assert script.attempt(script.task(job).id).started_at == began


def test_an_attempt_builds_and_then_runs_and_never_the_other_way_round() -> None:
    script = one_host()
    job = script.submit()
    building = ev.AttemptReport(script.task(job).id, 0, AttemptState.BUILDING)
    script.step(script.report(W0, building))
    assert script.task(job).state is TaskState.BUILDING
    script.running(job)
    assert script.task(job).state is TaskState.RUNNING
    script.step(script.report(W0, building))
    assert script.task(job).state is TaskState.RUNNING


def test_i_68_the_previous_incarnation_of_a_worker_is_not_listened_to() -> None:
    script = one_host()
    job = script.submit()
    end = script.running(job).end(script.task(job).id, EndCause.EXIT_NONZERO)
    script.step(script.registration(FIRST, 0, incarnation="second", address="iris-cpu-1:0"))
    before = stale(script)
    script.step(end)
    assert script.task(job).state is TaskState.RUNNING
    assert not script.effects
    assert stale(script) == before + 1


def test_i_68_a_lost_worker_does_not_come_back_to_life_by_speaking() -> None:
    script = one_host()
    script.lose(W0)
    assert script.worker(W0).state is WorkerState.LOST
    before = stale(script)
    late = ev.WorkerSilent(W0, "first", script.now)
    script.step(ev.WorkerHeard(W0, "first"), script.report(W0), late)
    assert script.worker(W0).state is WorkerState.LOST
    assert stale(script) == before + 3
    refusal = script.step(script.registration(FIRST, 0)).the(ef.RefuseWorker)
    assert refusal.why == "slice iris-cpu-1 is gone"


def test_a_host_of_a_slice_that_is_being_deleted_is_refused_and_nothing_more() -> None:
    script = one_host()
    script.terminate(FIRST).step(script.registration(FIRST, 0, incarnation="second"))
    assert script.the(ef.RefuseWorker).why == "slice iris-cpu-1 is deleting"
    assert not script.decisions


def test_a_stranger_that_reports_is_counted_and_ignored() -> None:
    script = one_host()
    before = stale(script)
    script.step(ev.WorkerReported(WorkerId("nobody"), "first", ()))
    assert stale(script) == before + 1
    assert not script.effects


def test_a_container_that_has_no_business_on_a_host_is_stopped() -> None:
    script = one_host()
    stray = ev.AttemptReport(TaskId("/bob/ghost:0"), 3, AttemptState.RUNNING)
    stop = script.step(script.report(W0, stray)).the(ef.StopAttempt)
    assert (stop.task, stop.attempt, stop.worker) == ("/bob/ghost:0", 3, W0)
    ended = ev.AttemptReport(TaskId("/bob/ghost:0"), 3, AttemptState.FAILED, EndCause.EXIT_NONZERO)
    assert script.step(script.report(W0, ended)).the(ef.Acknowledge).task == "/bob/ghost:0"


# ---- whole truths -----------------------------------------------------------------------------


def test_i_73_an_attempt_that_the_worker_has_not_heard_of_yet_is_not_missed() -> None:
    script = one_host()
    job = script.submit()
    version = script.attempt(script.task(job).id).version
    script.step(script.report(W0, complete=True, acted_on=version - 1))
    assert not script.decisions
    assert script.task(job).state is TaskState.ASSIGNED


def test_an_attempt_that_a_worker_should_have_and_has_not_is_over() -> None:
    script = one_host()
    job = script.submit()
    version = script.attempt(script.task(job).id).version
    script.step(script.report(W0, complete=True, acted_on=version))
    assert script.the(de.AttemptLoss).cause is EndCause.UNKNOWN
    assert script.task(job).attempts[0].state is AttemptState.WORKER_FAILED
    assert script.the(de.Retry).tasks == (f"{job}:0",)


def test_a_complete_report_that_names_the_attempt_loses_nothing() -> None:
    script = one_host()
    job = script.submit()
    report = ev.AttemptReport(script.task(job).id, 0, AttemptState.RUNNING)
    script.step(script.report(W0, report, complete=True, acted_on=99))
    assert not script.decisions


def test_an_attempt_that_ends_in_the_report_that_lacks_it_is_judged_by_its_end() -> None:
    script = one_host()
    job = script.submit()
    lacks = script.report(W0, complete=True, acted_on=99)
    script.step(lacks, script.end(script.task(job).id, EndCause.EXIT_ZERO))
    assert not script.decided(de.AttemptLoss)
    assert script.job(job).state is JobState.SUCCEEDED


def test_a_cause_that_a_worker_cannot_know_counts_as_unknown() -> None:
    script = one_host()
    job = script.submit()
    claim = ev.AttemptReport(script.task(job).id, 0, AttemptState.FAILED, EndCause.TIMEOUT)
    script.step(script.report(W0, claim))
    assert script.task(job).attempts[0].cause is EndCause.UNKNOWN


# ---- liveness ---------------------------------------------------------------------------------


def test_i_69_a_worker_is_given_up_at_its_timeout_and_not_a_moment_earlier() -> None:
    script = one_host()
    script.silent(W0).advance(MINUTE - 1)
    assert script.worker(W0).state is WorkerState.SILENT
    assert not script.decided(de.SliceLoss)
    assert script.advance(1).the(de.SliceLoss).slice == FIRST


def test_i_69_a_silence_that_is_told_late_is_believed_in_the_turn_in_which_it_is_told() -> None:
    script = one_host()
    script.advance(HOUR).step(ev.WorkerSilent(W0, "first", Instant(HOUR - MINUTE)))
    assert script.the(de.SliceLoss).slice == FIRST


def test_a_worker_that_speaks_in_the_turn_of_its_deadline_lives() -> None:
    script = one_host()
    script.silent(W0).advance(MINUTE - 1)
    script.now = Instant(MINUTE)
    script.step(ev.WorkerHeard(W0, "first"))
    assert not script.decided(de.SliceLoss)
    assert script.worker(W0).state is WorkerState.HEALTHY


def test_i_70_silence_ends_with_a_word_and_begins_anew() -> None:
    script = one_host()
    script.silent(W0).advance(MINUTE - 1)
    script.step(ev.WorkerHeard(W0, "first"))
    assert script.worker(W0).silent_since is None
    script.silent(W0).advance(MINUTE - 1)
    assert script.worker(W0).state is WorkerState.SILENT


def test_a_report_is_a_word_too_and_a_second_silence_is_no_news() -> None:
    script = one_host()
    script.silent(W0)
    since = script.worker(W0).silent_since
    script.advance(SECOND).silent(W0)
    assert script.worker(W0).silent_since == since
    script.step(script.report(W0))
    assert script.worker(W0).state is WorkerState.HEALTHY


def test_a_silent_worker_gets_no_work_and_the_cloud_is_asked_about_it() -> None:
    script = one_host()
    script.silent(W0)
    assert script.the(ef.ObserveSlices).slices == (FIRST,)
    job = script.submit()
    assert script.task(job).state is TaskState.PENDING
    script.step(ev.WorkerHeard(W0, "first"))
    assert script.the(de.Placement).workers == (W0,)


def test_i_69_time_in_which_the_controller_slept_reaps_nobody() -> None:
    script = one_host()
    script.silent(W0).advance(20 * SECOND)
    slept_from = script.now
    script.now = Instant(script.now + HOUR)
    script.step(ev.ControllerStalled(slept_from))
    assert script.worker(W0).state is WorkerState.SILENT
    assert not script.decided(de.SliceLoss)
    assert not script.advance(40 * SECOND - 1).decided(de.SliceLoss)
    assert script.advance(1).decided(de.SliceLoss)


def test_a_silence_that_is_too_long_even_without_the_stall_is_believed_in_the_same_turn() -> None:
    script = one_host()
    script.silent(W0)
    script.now = Instant(2 * MINUTE)
    script.step(ev.ControllerStalled(Instant(2 * MINUTE - SECOND)))
    assert script.the(de.SliceLoss).slice == FIRST


def test_a_stall_before_the_silence_began_gives_no_credit() -> None:
    script = one_host()
    script.advance(MINUTE)
    script.step(ev.WorkerSilent(W0, "first", Instant(script.now)))
    script.step(ev.ControllerStalled(Instant(0)))
    assert script.worker(W0).silent_since == script.now
    assert script.advance(MINUTE).decided(de.SliceLoss)


def test_a_stall_leaves_workers_that_spoke_alone() -> None:
    script = one_host()
    script.advance(MINUTE).step(ev.ControllerStalled(Instant(0)))
    assert script.worker(W0).silent_since is None


def test_i_71_a_worker_that_flaps_loses_nothing() -> None:
    script = one_host()
    job = script.submit()
    script.running(job)
    for _ in range(50):
        script.silent(W0).advance(50 * SECOND)
        assert not script.decided(de.SliceLoss)
        script.step(ev.WorkerHeard(W0, "first"))
    assert script.task(job).state is TaskState.RUNNING


def test_i_70_after_a_restart_nobody_is_healthy_until_heard_and_lost_stays_lost() -> None:
    script = fleet(cpu_group(min_slices=3))
    heard, silent, lost = (WorkerId(f"iris-cpu-{n}-w0") for n in (1, 2, 3))
    script.lose(lost)
    script.silent(silent).step(ev.ControllerRestarted())
    states = [script.worker(w).state for w in (heard, silent, lost)]
    assert states == [WorkerState.SILENT, WorkerState.SILENT, WorkerState.LOST]
    script.step(script.report(heard))
    script.advance(MINUTE)
    assert [d.slice for d in script.decided(de.SliceLoss)] == ["iris-cpu-2"]


# ---- registration -----------------------------------------------------------------------------


def tpu_pair() -> tuple[Script, SliceId]:
    script = fleet(tpu_group(), cpu_group())
    script.submit(tpu=TPU, replicas=2, gang=True)
    return script, script.coming("tpu")[0]


def test_i_81_a_host_index_that_the_slice_does_not_have_is_refused() -> None:
    script, name = tpu_pair()
    script.step(script.registration(name, -1), script.registration(name, 2))
    whys = [refusal.why for refusal in script.asked(ef.RefuseWorker)]
    assert whys == [f"slice {name} has no host {host}, only 0 to 1" for host in (-1, 2)]
    assert script.slice(name).workers == [None, None]


def test_i_81_a_second_machine_under_a_host_that_speaks_is_refused() -> None:
    script, name = tpu_pair()
    script.step(script.registration(name, 0, incarnation="a", address="10.0.0.1"))
    intruder = script.registration(name, 0, incarnation="b", address="10.0.0.2")
    refusal = script.step(intruder).the(ef.RefuseWorker)
    assert "is 10.0.0.1, which still speaks" in refusal.why
    assert script.worker(WorkerId(f"{name}-w0")).incarnation == "a"
    assert script.slice(name).state is SliceState.BOOTING


def test_a_restarted_agent_takes_its_own_place_and_keeps_its_attempts() -> None:
    script = one_host()
    job = script.submit()
    script.running(job)
    script.step(script.registration(FIRST, 0, incarnation="second"))
    worker = script.worker(W0)
    assert (worker.incarnation, dict(worker.attempts)) == ("second", {f"{job}:0": 0})


def test_a_silent_host_may_come_back_at_another_address() -> None:
    script = one_host()
    script.silent(W0)
    script.step(script.registration(FIRST, 0, incarnation="second", address="elsewhere"))
    worker = script.worker(W0)
    assert (worker.address, worker.state) == ("elsewhere", WorkerState.HEALTHY)


def test_the_same_registration_twice_is_one_worker() -> None:
    script, name = tpu_pair()
    script.step(script.registration(name, 1), script.registration(name, 1))
    assert script.slice(name).workers == [None, f"{name}-w1"]
    assert not script.effects


def test_an_agent_of_no_known_slice_and_no_group_is_refused() -> None:
    script = one_host()
    offers = Resources(cpu=1_000)
    unknown = SliceId("iris-other-9")
    nameless = ev.WorkerRegistered(unknown, 0, "first", "x", offers)
    no_zone = ev.WorkerRegistered(unknown, 0, "first", "x", offers, GroupName("cpu"))
    foreign = ev.WorkerRegistered(unknown, 0, "first", "x", offers, GroupName("odd"), Zone("us-a"))
    for event in (nameless, no_zone, foreign):
        assert "names no slice that is known" in script.step(event).the(ef.RefuseWorker).why
    assert unknown not in script.controller.state.slices


@pytest.mark.parametrize("name", ["iris-cpu-41", "iris-cpu-custom"])
def test_i_67_a_machine_with_our_label_that_speaks_is_adopted(name: str) -> None:
    script = one_host()
    offers = Resources(cpu=4_000, memory=1 << 36)
    event = ev.WorkerRegistered(
        SliceId(name), 0, "first", "x", offers, GroupName("cpu"), Zone("us-a")
    )
    script.step(event)
    slice_ = script.slice(SliceId(name))
    assert (slice_.state, slice_.adopted) == (SliceState.READY, True)
    script.submit("wide", cpu=4, replicas=3)
    assert script.the(de.SliceRequest).slice not in (name, FIRST)
    number = int(script.the(de.SliceRequest).slice.rpartition("-")[2])
    assert number == script.controller.state.books.slices_minted
