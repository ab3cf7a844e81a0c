"""What becomes of jobs: admission, stops, verdicts of tasks and gangs, and trees that end whole."""

from dataclasses import replace
from itertools import permutations

import pytest

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core.ids import JobId, RequestId, UserName, WorkerId
from iris.core.instant import MINUTE, SECOND, Millis
from iris.core.lifecycle import AttemptState, JobState, SliceState, TaskState
from iris.core.resources import Resources
from iris.core.retry import Budget, EndCause
from iris.core.spec import Band, JobSpec
from tests.harness import ALICE, Script, cpu_group, fleet, tpu_group

TPU = "v5litepod-16"


def one_host() -> Script:
    return fleet(cpu_group(min_slices=1, max_slices=1))


def gang(**more: object) -> tuple[Script, JobId]:
    """A gang of two that runs."""
    script = fleet(tpu_group(min_slices=1))
    job = script.submit(tpu=TPU, replicas=2, gang=True, **more)  # type: ignore[arg-type]
    script.running(job)
    return script, job


# ---- admission --------------------------------------------------------------------------------


GOOD = JobSpec(ALICE, "good")


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (replace(GOOD, user=UserName("a/b")), "user 'a/b': use 1 to 63 letters"),
        (replace(GOOD, name=""), "name '': use 1 to 63 letters"),
        (replace(GOOD, replicas=0), "replicas 0: a job has 1 to 100000"),
        (replace(GOOD, resources=Resources()), "resources (0, 0, 0, 0, 0): amounts"),
        (replace(GOOD, resources=Resources(cpu=-1)), "resources (0, -1, 0, 0, 0): amounts"),
        (replace(GOOD, max_retries_failure=-1), "a budget is not negative"),
        (replace(GOOD, max_retries_preemption=-1), "a budget is not negative"),
        (replace(GOOD, parent=JobId("/alice/none")), "parent /alice/none is not a running job"),
    ],
)
def test_a_submission_that_makes_no_sense_is_refused_with_the_reason(
    spec: JobSpec, why: str
) -> None:
    script = one_host()
    script.submit_spec(spec)
    answer = script.the(ef.Reply).answer
    assert isinstance(answer, ef.Rejected)
    assert why in answer.why
    assert not script.controller.state.jobs


def test_a_name_that_is_taken_is_refused_and_the_first_job_is_untouched() -> None:
    script = one_host()
    job = script.running(script.submit("same")).job(JobId("/alice/same"))
    script.submit("same")
    answer = script.the(ef.Reply).answer
    assert answer == ef.Rejected(
        "job /alice/same exists already (running); choose another name", ef.Refusal.CONFLICT
    )
    assert job.state is JobState.RUNNING


def test_a_job_that_no_group_can_ever_hold_is_unschedulable_at_once() -> None:
    script = one_host()
    job = script.submit("huge", cpu=1_000)
    assert script.job(job).state is JobState.UNSCHEDULABLE
    why = "no group can ever hold one of its tasks; cpu has 4 cores (host), it needs 1000 cores"
    assert script.job(job).why == why
    assert isinstance(script.the(ef.Reply).answer, ef.Accepted)


def test_asking_again_for_a_job_that_cannot_fit_ends_it_once() -> None:
    script = one_host()
    spec = JobSpec(ALICE, "huge", resources=Resources(cpu=10**9))
    script.submit_spec(spec, RequestId("r"))
    script.submit_spec(spec, RequestId("r"))
    assert not script.decided(de.JobEnd)


# ---- stops ------------------------------------------------------------------------------------


def test_a_stop_kills_what_waits_at_once_and_what_runs_when_it_is_gone() -> None:
    script = one_host()
    job = script.submit(replicas=5)
    script.running(job).stop(job)
    assert script.the(ef.Reply).answer == ef.Accepted(job)
    assert len(script.asked(ef.StopAttempt)) == 4
    assert script.task(job, 4).state is TaskState.KILLED
    assert script.job(job).state is JobState.RUNNING
    script.stopped(job)
    assert script.job(job).state is JobState.KILLED
    assert script.attempt(script.task(job).id).cause is EndCause.REQUESTED


def test_a_stop_asked_twice_stops_once_and_a_stop_of_nothing_is_refused() -> None:
    script = one_host()
    job = script.submit()
    script.stop(job).stop(job)
    assert not script.asked(ef.StopAttempt)
    assert script.the(ef.Reply).answer == ef.Accepted(job)
    script.stop(JobId("/alice/none"))
    assert script.the(ef.Reply).answer == ef.Rejected(
        "job /alice/none is not known", ef.Refusal.UNKNOWN
    )


def test_a_task_that_succeeds_while_it_is_being_stopped_has_succeeded() -> None:
    script = one_host()
    job = script.submit()
    script.running(job).stop(job).ends(script.task(job).id, EndCause.EXIT_ZERO)
    assert script.job(job).state is JobState.SUCCEEDED


def test_a_task_that_fails_in_a_job_that_is_ending_is_not_tried_again() -> None:
    script = one_host()
    job = script.submit(max_retries_failure=5)
    script.running(job).stop(job).ends(script.task(job).id, EndCause.EXIT_NONZERO)
    assert not script.decided(de.Retry)
    assert script.job(job).state is JobState.KILLED


# ---- verdicts of single tasks -----------------------------------------------------------------


def test_one_task_that_fails_for_good_ends_the_whole_job() -> None:
    script = one_host()
    job = script.submit(replicas=6)
    script.running(job).ends(script.task(job, 1).id, EndCause.EXIT_NONZERO)
    assert script.the(de.JobEnd).state is JobState.FAILED
    assert script.task(job, 5).state is TaskState.KILLED
    script.stopped(job)
    assert script.job(job).state is JobState.FAILED
    causes = [script.attempt(script.task(job, i).id).cause for i in range(4)]
    assert causes == [EndCause.JOB_ENDED, EndCause.EXIT_NONZERO] + [EndCause.JOB_ENDED] * 2


def test_i_78_a_poison_job_costs_no_host() -> None:
    script = one_host()
    for number in range(10):
        job = script.submit(f"poison-{number}")
        script.running(job).ends(script.task(job).id, EndCause.EXIT_NONZERO)
    worker = script.worker(WorkerId("iris-cpu-1-w0"))
    assert (worker.launch_failures, worker.cordoned) == (0, False)
    assert script.slices_in(SliceState.READY) == ["iris-cpu-1"]


def test_an_attempt_that_runs_over_its_timeout_fails_its_job_without_another_try() -> None:
    script = one_host()
    job = script.submit(timeout=MINUTE, max_retries_failure=9)
    script.running(job)
    assert not script.advance(MINUTE - 1).effects
    assert script.advance(1).the(ef.StopAttempt).task == f"{job}:0"
    script.stopped(job)
    assert script.job(job).state is JobState.FAILED
    assert script.attempt(script.task(job).id).cause is EndCause.TIMEOUT
    assert script.task(job).why == "attempt 0 ended: timeout"


def test_a_timeout_in_a_job_that_is_ending_still_counts_as_failed() -> None:
    script = one_host()
    job = script.submit(timeout=MINUTE)
    script.running(job).advance(MINUTE)
    script.stop(job).stopped(job)
    assert script.task(job).state is TaskState.FAILED


# ---- gangs ------------------------------------------------------------------------------------


def test_i_21_members_that_had_succeeded_run_again_when_the_gang_goes_back() -> None:
    script, job = gang(max_retries_failure=1)
    script.ends(script.task(job, 0).id, EndCause.EXIT_ZERO)
    assert script.task(job, 0).state is TaskState.SUCCEEDED
    script.ends(script.task(job, 1).id, EndCause.EXIT_NONZERO)
    retry = script.the(de.Retry)
    assert (retry.tasks, retry.charge) == ((f"{job}:0", f"{job}:1"), Budget.FAILURE)
    script.advance(10 * SECOND)
    assert script.the(de.Placement).tasks == (f"{job}:0", f"{job}:1")
    states = [[a.state for a in script.task(job, i).attempts] for i in (0, 1)]
    assert states == [
        [AttemptState.SUCCEEDED, AttemptState.ASSIGNED],
        [AttemptState.FAILED, AttemptState.ASSIGNED],
    ]


def test_one_member_that_ends_abnormally_stops_the_others_once() -> None:
    script, job = gang(max_retries_failure=1)
    script.ends(script.task(job, 1).id, EndCause.EXIT_NONZERO)
    assert script.the(de.AttemptStop).task == f"{job}:0"
    assert not script.decided(de.Retry)
    script.stopped(job)
    assert script.attempt(script.task(job, 0).id).state is AttemptState.KILLED
    assert script.the(de.Retry).charge is Budget.FAILURE


def test_a_gang_waits_for_a_member_that_is_being_stopped_already() -> None:
    script = fleet(tpu_group(hosts=3, min_slices=1))
    job = script.submit(tpu=TPU, replicas=3, gang=True, max_retries_failure=1)
    script.running(job).ends(script.task(job, 0).id, EndCause.EXIT_NONZERO)
    script.step(script.end(script.task(job, 1).id, None))
    assert not script.decisions
    script.stopped(job)
    assert script.the(de.Retry).charge is Budget.FAILURE


def test_a_gang_succeeds_when_the_last_member_does() -> None:
    script, job = gang()
    script.ends(script.task(job, 0).id)
    assert script.job(job).state is JobState.RUNNING
    script.ends(script.task(job, 1).id)
    assert script.job(job).state is JobState.SUCCEEDED
    assert not script.decided(de.AttemptStop)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_i_114_who_reports_first_does_not_change_what_a_gang_is_charged(
    order: tuple[int, ...],
) -> None:
    script = fleet(tpu_group(hosts=3, min_slices=1))
    job = script.submit(tpu=TPU, replicas=3, gang=True)
    script.running(job)
    ends = [
        script.end(script.task(job, 0).id, EndCause.EXIT_NONZERO),
        script.end(script.task(job, 1).id, EndCause.PREEMPTION),
        script.end(script.task(job, 2).id, None),
    ]
    retries = []
    for place in order:
        script.step(ends[place])
        retries += script.decided(de.Retry)
    assert [retry.charge for retry in retries] == [Budget.PREEMPTION]
    assert script.job(job).state is not JobState.FAILED


def test_i_114_a_sibling_that_dies_of_a_vanished_host_is_not_charged_to_the_user() -> None:
    script, job = gang(max_retries_failure=0)
    script.silent(WorkerId("iris-tpu-1-w1"))
    script.ends(script.task(job, 0).id, EndCause.EXIT_NONZERO)
    assert not script.decided(de.TaskVerdict)
    script.advance(MINUTE)
    assert script.the(de.Retry).charge is Budget.PREEMPTION


def test_a_gang_is_charged_once_a_round_however_many_members_failed() -> None:
    script, job = gang(max_retries_failure=1)
    script.finish(job, EndCause.EXIT_NONZERO).advance(MINUTE)
    script.running(job).advance(MINUTE)
    script.finish(job, EndCause.EXIT_NONZERO)
    verdicts = script.decided(de.TaskVerdict)
    why = "attempt 1 ended: exit_nonzero; max_retries_failure is 1"
    assert [v.why for v in verdicts] == [why] * 2
    assert script.job(job).state is JobState.FAILED


def test_a_member_that_runs_over_the_timeout_fails_the_gang_for_good() -> None:
    script, job = gang(timeout=MINUTE, max_retries_failure=9)
    script.advance(MINUTE).stopped(job)
    assert script.job(job).state is JobState.FAILED
    assert [t.state for t in script.job(job).tasks] == [TaskState.FAILED] * 2


def test_a_gang_that_is_stopped_ends_killed_and_members_that_succeeded_stay_so() -> None:
    script, job = gang()
    script.ends(script.task(job, 0).id)
    script.stop(job).stopped(job)
    assert script.job(job).state is JobState.KILLED
    states = [t.state for t in script.job(job).tasks]
    assert states == [TaskState.SUCCEEDED, TaskState.KILLED]


# ---- trees ------------------------------------------------------------------------------------


def tree() -> tuple[Script, list[JobId]]:
    """A parent, its child and its grandchild, all running."""
    script = one_host()
    jobs = [script.submit("root", max_retries_failure=0)]
    for name in ("child", "grandchild"):
        jobs.append(script.submit(name, parent=jobs[-1]))
    for job in jobs:
        script.running(job)
    return script, jobs


@pytest.mark.parametrize("how", [EndCause.EXIT_ZERO, EndCause.OUT_OF_MEMORY, None])
def test_i_108_the_end_of_a_job_ends_its_whole_tree_in_the_same_turn(how: EndCause | None) -> None:
    script, jobs = tree()
    if how is None:
        script.stop(jobs[0])
    else:
        script.ends(script.task(jobs[0]).id, how)
    stops = {effect.task for effect in script.asked(ef.StopAttempt)}
    assert {f"{job}:0" for job in jobs[1:]} <= stops
    for job in jobs[1:]:
        script.stopped(job)
    assert [script.job(job).state for job in jobs[1:]] == [JobState.KILLED] * 2


def test_i_108_a_timeout_of_the_root_ends_its_tree() -> None:
    script = one_host()
    root = script.submit("root", timeout=MINUTE)
    child = script.submit("child", parent=root)
    script.running(root).running(child).advance(MINUTE)
    assert script.task(child).state is TaskState.RUNNING
    script.stopped(root)
    assert script.the(ef.StopAttempt).task == f"{child}:0"


def test_i_108_a_child_that_waits_dies_with_its_parent() -> None:
    script = one_host()
    parent = script.submit("root", cpu=4)
    child = script.submit("child", cpu=4, parent=parent)
    script.running(parent).ends(script.task(parent).id)
    assert not script.decided(de.Placement)
    assert script.job(child).state is JobState.KILLED
    assert script.job(child).why == "its parent has ended"


def test_i_108_an_ended_or_ending_job_gets_no_more_children() -> None:
    script = one_host()
    parent = script.submit("root")
    script.running(parent).stop(parent)
    script.submit("late", parent=parent)
    assert isinstance(script.the(ef.Reply).answer, ef.Rejected)
    script.stopped(parent)
    script.submit("later", parent=parent)
    assert isinstance(script.the(ef.Reply).answer, ef.Rejected)


def test_i_109_a_parent_sees_nothing_of_a_child_that_is_evicted_and_waits_again() -> None:
    script = one_host()
    parent = script.submit("root", band=Band.PRODUCTION)
    child = script.submit("child", parent=parent, band=Band.BATCH, cpu=3)
    script.running(parent).running(child)
    script.submit("urgent", band=Band.PRODUCTION, cpu=3)
    script.stopped(child)
    assert script.job(child).state is JobState.PENDING
    assert script.attempt(script.task(child).id).state is AttemptState.EVICTED
    assert script.job(parent).state is JobState.RUNNING


def test_the_end_of_a_child_leaves_its_parent_alone() -> None:
    script, jobs = tree()
    script.ends(script.task(jobs[1]).id, EndCause.EXIT_NONZERO).stopped(jobs[2])
    assert script.job(jobs[1]).state is JobState.FAILED
    assert script.job(jobs[0]).state is JobState.RUNNING


def test_i_36_a_child_that_is_ending_keeps_its_end_when_its_parent_is_stopped() -> None:
    script = one_host()
    parent = script.submit("root")
    child = script.submit("child", parent=parent, replicas=2)
    script.running(parent).running(child).ends(script.task(child).id, EndCause.EXIT_NONZERO)
    assert script.job(child).ending is JobState.FAILED
    script.stop(parent)
    assert [end.job for end in script.decided(de.JobEnd)] == [parent]
    script.stopped(child).stopped(parent)
    assert script.job(child).state is JobState.FAILED


def test_i_120_what_happens_to_one_job_ends_no_attempt_of_another() -> None:
    script = one_host()
    jobs = [script.submit(f"job-{n}", scheduling_timeout=Millis(SECOND)) for n in range(4)]
    for job in jobs:
        script.running(job)
    script.ends(script.task(jobs[0]).id, EndCause.EXIT_NONZERO).stop(jobs[1])
    script.advance(MINUTE)
    assert [script.job(job).state for job in jobs[2:]] == [JobState.RUNNING] * 2
