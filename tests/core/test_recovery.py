"""After a restart: the state of the last turn, nobody's health assumed, wants repeated."""

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core import events as ev
from iris.core.controller import Controller
from iris.core.ids import GroupName, JobId, RequestId, SliceId, WorkerId, Zone
from iris.core.instant import HOUR, MINUTE, SECOND, Instant
from iris.core.lifecycle import AttemptState, TaskState, WorkerState
from iris.core.replay import recover
from iris.core.retry import EndCause
from iris.core.spec import JobSpec
from tests.harness import ALICE, cluster, cpu_group, fleet


def test_i_48_a_create_that_was_journalled_and_never_sent_is_asked_for_again_by_its_name() -> None:
    script = cluster(cpu_group())
    script.submit()
    recovered = recover(script.journal)
    create = ef.CreateSlice(SliceId("iris-cpu-1"), GroupName("cpu"), Zone("us-a"))
    assert recovered.unfinished() == script.asked(ef.CreateSlice) == [create]


def test_i_48_a_delete_is_asked_for_again_until_the_slice_is_gone() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    script.terminate(SliceId("iris-cpu-1"))
    recovered = recover(script.journal)
    assert recovered.unfinished() == script.asked(ef.DeleteSlice)
    script.deleted(SliceId("iris-cpu-1"))
    assert not any(isinstance(e, ef.DeleteSlice) for e in recover(script.journal).unfinished())


def test_i_74_starts_and_stops_that_no_worker_has_confirmed_are_asked_for_again() -> None:
    script = fleet(cpu_group(min_slices=1))
    assigned, running, stopping = (script.submit(n) for n in ("assigned", "running", "stopping"))
    start = next(e for e in script.effects if isinstance(e, ef.StartAttempt))
    assert start.task == f"{stopping}:0"
    script.running(running).running(stopping).stop(stopping)
    stop = script.the(ef.StopAttempt)
    repairs = recover(script.journal).unfinished()
    assert [type(effect).__name__ for effect in repairs] == ["StartAttempt", "StopAttempt"]
    first, second = repairs
    assert isinstance(first, ef.StartAttempt)
    assert (first.task, first.attempt) == (f"{assigned}:0", 0)
    assert second == stop


def test_a_quiet_cluster_has_nothing_unfinished() -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit()
    script.running(job)
    assert recover(script.journal).unfinished() == []


def test_i_98_no_acknowledged_submission_and_no_count_of_retries_is_lost() -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit(max_retries_failure=1)
    script.running(job).ends(script.task(job).id, EndCause.EXIT_NONZERO)
    recovered = recover(script.journal)
    task = recovered.state.tasks[script.task(job).id]
    assert (len(task.attempts), task.retried, task.not_before) == (1, 1, 10 * SECOND)
    assert recovered.next_deadline() == script.controller.next_deadline()


def test_i_98_a_submission_that_is_repeated_after_the_restart_is_the_same_job() -> None:
    script = cluster(cpu_group())
    spec = JobSpec(ALICE, "once")
    script.submit_spec(spec, RequestId("r"))
    recovered = recover(script.journal)
    decisions, effects = recovered.step(script.now, [ev.JobSubmitted(RequestId("r"), spec)])
    assert not [d for d in decisions if isinstance(d, de.Admission)]
    assert effects == [ef.Reply(RequestId("r"), ef.Accepted(JobId("/alice/once")))]


def test_i_98_tasks_run_on_through_a_restart_when_their_workers_speak_again() -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit()
    script.running(job)
    script.step(ev.ControllerRestarted())
    assert script.worker(WorkerId("iris-cpu-1-w0")).state is WorkerState.SILENT
    report = ev.AttemptReport(script.task(job).id, 0, AttemptState.RUNNING)
    script.step(script.report(WorkerId("iris-cpu-1-w0"), report, complete=True, acted_on=99))
    script.listing().advance(HOUR)
    assert script.task(job).state is TaskState.RUNNING
    assert len(script.task(job).attempts) == 1


def test_a_worker_that_does_not_speak_after_the_restart_is_given_its_time_from_then() -> None:
    script = fleet(cpu_group(min_slices=1))
    script.silent(WorkerId("iris-cpu-1-w0")).advance(MINUTE - 1)
    script.now = Instant(script.now + HOUR)
    script.step(ev.ControllerRestarted())
    assert not script.decided(de.SliceLoss)
    assert not script.advance(MINUTE - 1).decided(de.SliceLoss)
    assert script.advance(1).decided(de.SliceLoss)


def test_a_controller_that_recovers_nothing_is_a_new_one() -> None:
    assert recover([]).digest() == Controller().digest()
