"""What is held to a bound: ended jobs, with their trees, slices long gone, and a user's live tasks."""

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core.ids import JobId, SliceId, UserName
from iris.core.instant import HOUR, MINUTE, Millis
from iris.core.lifecycle import JobState
from iris.core.spec import JobSpec, RetentionPolicy, SchedulerPolicy
from tests.harness import Script, cpu_group, fleet

FEW = RetentionPolicy(ended_jobs=8)


def names(script: Script) -> list[str]:
    return [job.rpartition("/")[2] for job in script.controller.state.jobs]


def run(script: Script, name: str, parent: JobId | None = None) -> JobId:
    job = script.submit(name, parent=parent)
    script.running(job).finish(job)
    return job


def test_i_96_ended_jobs_beyond_the_limit_go_in_bulk_oldest_first() -> None:
    script = fleet(cpu_group(min_slices=1), retention=FEW)
    for number in range(9):
        run(script, f"job-{number}")
    assert not script.decided(de.Oblivion)
    run(script, "job-9")
    assert script.the(de.Oblivion).jobs == ("/alice/job-0", "/alice/job-1")
    assert names(script) == [f"job-{n}" for n in range(2, 10)]
    assert not script.controller.state.tasks.keys() & {"/alice/job-0:0", "/alice/job-1:0"}


def test_i_96_ended_jobs_beyond_an_age_go_at_the_next_listing() -> None:
    script = fleet(cpu_group(min_slices=1), retention=RetentionPolicy(max_age=Millis(6 * HOUR)))
    parent = script.submit("parent")
    child = script.submit("child", parent=parent)
    script.running(child).running(parent).finish(child)
    old = run(script, "old")
    script.advance(3 * HOUR)
    young = run(script, "young")
    script.advance(4 * HOUR)
    assert script.the(de.Oblivion).jobs == (child, old)
    assert list(script.controller.state.jobs) == [parent, young]
    assert script.the(ef.ForgetJobs).jobs == (child, old)


def test_i_137_a_name_is_free_again_when_its_job_is_forgotten() -> None:
    script = fleet(cpu_group(min_slices=1), retention=FEW)
    for number in range(10):
        run(script, f"job-{number}")
    job = script.submit("job-0")
    assert script.the(ef.Reply).answer == ef.Accepted(job)
    assert script.job(job).number == 11


def test_a_tree_is_forgotten_only_when_all_of_it_has_ended() -> None:
    script = fleet(cpu_group(min_slices=1), retention=RetentionPolicy(ended_jobs=1))
    parent = script.submit("parent")
    child = script.submit("child", parent=parent)
    script.running(child).running(parent).finish(parent)
    assert script.job(child).state is JobState.RUNNING
    first = run(script, "first")
    assert script.the(de.Oblivion).jobs == (first,)
    script.stopped(child)
    assert script.the(de.Oblivion).jobs == (child, parent)
    assert not script.controller.state.jobs


def test_a_child_that_is_forgotten_leaves_its_parent() -> None:
    script = fleet(cpu_group(min_slices=1), retention=RetentionPolicy(ended_jobs=0))
    parent = script.submit("parent")
    run_child = script.submit("child", parent=parent)
    script.running(run_child).finish(run_child)
    assert script.the(de.Oblivion).jobs == (run_child,)
    assert script.job(parent).children == []


def test_nothing_is_kept_when_nothing_is_to_be_kept() -> None:
    script = fleet(cpu_group(min_slices=1), retention=RetentionPolicy(ended_jobs=0))
    run(script, "brief")
    assert not script.controller.state.jobs
    assert not script.controller.state.requests


def test_a_slice_that_is_gone_is_remembered_for_a_while_and_then_forgotten_with_its_workers() -> (
    None
):
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    name = SliceId("iris-cpu-1")
    script.terminate(name).deleted(name)
    script.advance(HOUR - MINUTE)
    assert name in script.controller.state.slices
    script.advance(2 * HOUR)
    assert name not in script.controller.state.slices
    assert "iris-cpu-1-w0" not in script.controller.state.workers
    assert script.slices_in() == []


def test_i_90_a_user_has_so_many_tasks_that_have_not_ended_and_no_more() -> None:
    script = fleet(
        cpu_group(cores=8, min_slices=1), scheduler=SchedulerPolicy(max_tasks_per_user=3)
    )
    one = script.submit("one", replicas=2)
    script.submit("two", replicas=2)
    answer = script.the(ef.Reply).answer
    assert answer == ef.Rejected(
        "user alice has 2 tasks that have not ended, and 2 more would be above 3"
        " (scheduler.max_tasks_per_user); wait for some, or stop them"
    )
    assert script.controller.state.unended == {"alice": 2}
    script.submit("three")
    assert isinstance(script.the(ef.Reply).answer, ef.Accepted)
    script.submit_spec(JobSpec(UserName("bob"), "other"))
    assert isinstance(script.the(ef.Reply).answer, ef.Accepted)
    script.running(one).finish(one)
    script.submit("two", replicas=2)
    assert isinstance(script.the(ef.Reply).answer, ef.Accepted)
    assert script.controller.state.unended == {"alice": 3, "bob": 1}
