"""What a worker is told that it shall have, and which of its words are news."""

from iris.core.desired import WantedAttempt, desired_set, is_known, is_news
from iris.core.events import AttemptReport
from iris.core.ids import JobId, WorkerId
from iris.core.instant import SECOND, Millis
from iris.core.lifecycle import AttemptState
from iris.core.records import Worker
from iris.core.retry import EndCause
from tests.harness import Script, cluster, cpu_group


def story() -> tuple[Script, Worker, JobId]:
    script = cluster(cpu_group(min_slices=1))
    (slice_,) = script.coming("cpu")
    script.ready(slice_)
    job = script.submit("one", cpu=1)
    (worker,) = script.controller.state.workers.values()
    return script, worker, job


def report(
    script: Script, job: JobId, state: AttemptState, cause: EndCause | None = None, attempt: int = 0
) -> tuple[AttemptReport, ...]:
    return (AttemptReport(script.controller.state.jobs[job].tasks[0].id, attempt, state, cause),)


def test_an_assigned_attempt_is_wanted_and_one_that_was_seen_says_so() -> None:
    script, worker, job = story()
    state = script.controller.state
    task = state.jobs[job].tasks[0].id
    assert desired_set(state, worker).attempts == (WantedAttempt(task, 0, 0),)
    script.running(job)
    desired = desired_set(state, worker)
    assert desired.attempts == (WantedAttempt(task, 0, 0, seen=True),)
    assert desired.version == worker.version


def test_a_stop_carries_its_grace_and_an_end_takes_the_attempt_out() -> None:
    script, worker, job = story()
    state = script.controller.state
    script.running(job)
    script.stop(job)
    (want,) = desired_set(state, worker).attempts
    assert want.stop
    assert want.grace == state.spec.timeouts.stop_grace == Millis(30 * SECOND)
    assert not want.seen
    script.ends(want.task, EndCause.REQUESTED)
    assert desired_set(state, worker).attempts == ()


def test_only_the_run_of_the_agent_that_is_on_the_books_is_known() -> None:
    script, worker, _ = story()
    state = script.controller.state
    assert is_known(state, worker.id, worker.incarnation)
    assert not is_known(state, worker.id, "another")
    assert not is_known(state, WorkerId("nobody"), worker.incarnation)


def test_a_report_of_what_is_on_record_is_no_news() -> None:
    script, worker, job = story()
    state = script.controller.state
    building = report(script, job, AttemptState.BUILDING)
    assert is_news(state, worker, building, 0)
    script.running(job)
    same = report(script, job, AttemptState.RUNNING)
    assert not is_news(state, worker, same, worker.version)
    assert is_news(state, worker, report(script, job, AttemptState.SUCCEEDED), worker.version)


def test_what_a_stopping_attempt_does_is_news_only_when_it_ends() -> None:
    script, worker, job = story()
    state = script.controller.state
    script.running(job)
    script.stop(job)
    assert not is_news(state, worker, report(script, job, AttemptState.RUNNING), worker.version)
    assert is_news(state, worker, report(script, job, AttemptState.KILLED), worker.version)


def test_an_attempt_that_is_missing_from_what_was_acted_on_is_news() -> None:
    script, worker, job = story()
    state = script.controller.state
    version = state.jobs[job].tasks[0].attempts[-1].version
    assert not is_news(state, worker, (), version - 1)
    assert is_news(state, worker, (), version)


def test_an_attempt_that_is_not_wanted_is_news() -> None:
    script, worker, job = story()
    state = script.controller.state
    script.running(job)
    other = report(script, job, AttemptState.RUNNING, attempt=4)
    assert is_news(state, worker, other, worker.version)
    script.ends(state.jobs[job].tasks[0].id, EndCause.EXIT_ZERO)
    assert is_news(state, worker, report(script, job, AttemptState.RUNNING), worker.version)


def test_any_word_of_a_silent_worker_is_news() -> None:
    script, worker, _ = story()
    script.silent(worker.id)
    assert is_news(script.controller.state, worker, (), 0)
