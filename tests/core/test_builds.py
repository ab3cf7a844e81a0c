"""What a job brings and cannot be made ready: it ends the job, and puts no host out."""

from iris.core import decisions as de
from iris.core import events as ev
from iris.core.ids import JobId
from iris.core.instant import MINUTE
from iris.core.lifecycle import AttemptState, JobState, SliceState, TaskState
from iris.core.retry import BUILD_TRIES, Budget, EndCause
from iris.core.spec import TimeoutPolicy
from tests.harness import Script, cpu_group, fleet, tpu_group

TPU = "v5litepod-16"


def hosts_of(script: Script, job: JobId) -> list[str]:
    return [attempt.worker for attempt in script.task(job).attempts]


def test_a_job_that_cannot_be_built_has_failed_after_some_tries_and_no_host_is_blamed() -> None:
    script = fleet(
        cpu_group(min_slices=1, max_slices=1), timeouts=TimeoutPolicy(launch_failures_per_host=1)
    )
    job = script.submit("mistyped")
    for _ in range(BUILD_TRIES - 1):
        script.step(script.end(script.task(job).id, EndCause.BUILD, "no such package"))
        assert script.the(de.Retry).charge is Budget.PREEMPTION
        script.advance(MINUTE)
    script.step(script.end(script.task(job).id, EndCause.BUILD, "no such package"))
    assert script.task(job).state is TaskState.FAILED
    assert {a.state for a in script.task(job).attempts} == {AttemptState.FAILED}
    assert script.job(job).state is JobState.FAILED
    assert script.task(job).why == (
        "attempt 2 ended: build, no such package; 3 builds failed in a row"
    )
    (worker,) = script.controller.state.workers.values()
    assert (worker.launch_failures, worker.cordoned) == (0, False)
    assert script.controller.state.slices[worker.slice].state is SliceState.READY


def test_another_host_gets_the_next_try_where_there_is_one() -> None:
    script = fleet(cpu_group(min_slices=2, max_slices=2))
    job = script.submit("unlucky")
    for _ in range(BUILD_TRIES):
        script.ends(script.task(job).id, EndCause.BUILD).advance(MINUTE)
    first, second, third = hosts_of(script, job)
    assert first != second == third


def test_a_host_that_may_have_no_work_is_no_other_host() -> None:
    script = fleet(cpu_group(min_slices=2, max_slices=2))
    job = script.submit("unlucky", cpu=4)
    (here,) = hosts_of(script, job)
    (other,) = (name for name in script.controller.state.workers if name != here)
    script.step(ev.WorkerDrainRequested(other))
    script.ends(script.task(job).id, EndCause.BUILD).advance(MINUTE)
    assert script.task(job).avoid == ()


def test_a_host_of_another_kind_is_no_other_host() -> None:
    script = fleet(cpu_group(min_slices=1), tpu_group(min_slices=1, max_slices=1))
    gang = script.submit("gang", gang=True, replicas=2, tpu=TPU)
    script.ends(script.task(gang, 1).id, EndCause.BUILD)
    assert script.task(gang, 1).avoid == ()


def test_what_failed_between_two_builds_begins_the_count_anew() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    job = script.submit("mixed", max_retries_failure=1)
    for cause in (EndCause.BUILD, EndCause.BUILD, EndCause.EXIT_NONZERO, EndCause.BUILD):
        script.ends(script.task(job).id, cause).advance(MINUTE)
    assert script.job(job).state is not JobState.FAILED


def test_a_gang_is_tried_on_another_slice_and_fails_as_one() -> None:
    script = fleet(tpu_group(min_slices=2, max_slices=2))
    gang = script.submit("gang", gang=True, replicas=2, tpu=TPU)
    for _ in range(BUILD_TRIES):
        script.ends(script.task(gang, 1).id, EndCause.BUILD)
        script.stopped(gang).advance(MINUTE)
    first, second, third = hosts_of(script, gang)
    assert first != second == third
    assert script.job(gang).state is JobState.FAILED
    assert script.job(gang).why.startswith("task 1: attempt 2 ended: build; 3 builds")
