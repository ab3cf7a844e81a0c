"""What a witness remembers is held against the state: ends, progress and silence without a word."""

from dataclasses import replace

from iris.core import decisions as de
from iris.core import events as ev
from iris.core.conduct import Witness
from iris.core.ids import JobId
from iris.core.instant import Instant
from iris.core.invariants import Auditor
from iris.core.lifecycle import AttemptState, JobState
from iris.core.record import Turn
from iris.core.retry import EndCause
from iris.core.state import ClusterState
from tests.core.forged import HOST, ONLY, busy, past, put, task, watched
from tests.harness import cpu_group, fleet


def test_room_is_free_only_when_an_end_was_seen() -> None:
    script = busy()
    state = script.controller.state
    auditor = Auditor(state, every_turn=True)
    one = task(state, "/alice/solo:0")
    assert one.attempt is not None
    state.end_attempt(one.task, one.attempt, EndCause.EXIT_ZERO, "")
    auditor.check(Turn(state.now, (), ()))
    told = "\n".join(auditor.sentences)
    assert "V-05 /alice/solo:0@0 gave back its room on iris-cpu-2-w0" in told


def test_an_attempt_is_given_up_only_when_its_worker_denied_it() -> None:
    script = busy()
    state = script.controller.state
    auditor = Auditor(state, every_turn=True)
    one = task(state, "/alice/solo:0")
    assert one.attempt is not None
    state.end_attempt(one.task, one.attempt, EndCause.UNKNOWN, "")
    loss = de.AttemptLoss(one.task.id, EndCause.UNKNOWN, "")
    said = script.report(HOST, complete=False)
    auditor.check(Turn(state.now, (said,), (loss,)))
    assert "V-05 /alice/solo:0@0 was given up" in "\n".join(auditor.sentences)


def told_of(auditor: Auditor, state: ClusterState, *events: ev.Event) -> str:
    auditor.check(Turn(state.now, events, ()))
    return "\n".join(auditor.sentences)


def test_of_two_attempts_on_a_host_the_one_that_nobody_saw_end_is_named() -> None:
    state, auditor = watched()
    one = task(state, "/alice/solo:0")
    assert one.attempt is not None
    state.end_attempt(one.task, one.attempt, EndCause.EXIT_ZERO, "")
    told = told_of(auditor, state)
    assert "V-05 /alice/solo:0@0 gave back its room" in told
    assert "/alice/twin:0@0" not in told


def test_a_report_that_an_attempt_runs_is_no_sight_of_its_end() -> None:
    state, auditor = watched()
    one = task(state, "/alice/solo:0")
    assert one.attempt is not None
    state.end_attempt(one.task, one.attempt, EndCause.EXIT_ZERO, "")
    runs = ev.AttemptReport(one.task.id, 0, AttemptState.RUNNING)
    said = ev.WorkerReported(ONLY, "first", (runs,))
    assert "V-05 /alice/solo:0@0 gave back its room" in told_of(auditor, state, said)


def test_an_attempt_that_was_not_placed_is_named() -> None:
    state, auditor = watched()
    wide = state.jobs[JobId("/alice/wide")]
    state.assign(wide, wide.tasks[0], state.workers[ONLY])
    assert "V-05 /alice/wide:0@0 is on iris-cpu-1-w0, and was not placed there" in told_of(
        auditor, state
    )


def test_an_attempt_on_a_host_that_was_forgotten_is_named() -> None:
    state, auditor = watched()
    del state.workers[ONLY]
    assert "V-05 /alice/twin:0@0 was on iris-cpu-1-w0, which is no longer known" in "\n".join(
        auditor_ends(auditor)
    )


def auditor_ends(auditor: Auditor) -> list[str]:
    """What its witness says of ends, without a look at the broken tables."""
    return list(auditor.witness.ends_were_seen())


def test_an_attempt_runs_only_if_its_worker_has_said_so() -> None:
    state, auditor = watched()
    solo = task(state, "/alice/solo:0")
    put(solo.task, attempts=[replace(solo.task.attempts[0], number=1)])
    solo.task.attempts.insert(0, past(busy().controller.state))
    put(state.workers[ONLY], attempts={**state.workers[ONLY].attempts, solo.task.id: 1})
    told = list(auditor.witness.progress_was_told())
    assert told == [f"V-11 /alice/solo:0@1 is running, and {ONLY} never said so"]


def test_the_word_of_another_incarnation_is_no_word() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1, cores=4))
    name = script.job(script.submit("solo")).tasks[0].id
    state = script.controller.state
    auditor = Auditor(state, every_turn=True)
    runs = ev.AttemptReport(name, 0, AttemptState.RUNNING)
    put(task(state, name).attempt, state=AttemptState.RUNNING)
    told = told_of(auditor, state, ev.WorkerReported(ONLY, "another", (runs,)))
    assert f"V-11 /alice/solo:0@0 is running, and {ONLY} never said so" in told
    assert not list(Witness(state).progress_was_told())


def test_after_a_restart_nobody_is_healthy_before_a_word() -> None:
    state, auditor = watched()
    told = told_of(auditor, state, ev.ControllerRestarted())
    assert f"V-12 worker {ONLY} is healthy, and has not been heard" in told
    heard = told_of(Auditor(state, every_turn=True), state, ev.WorkerHeard(ONLY, "first"))
    assert "V-12" not in heard


def test_ended_attempts_and_jobs_stay_as_they_are() -> None:
    state = busy().controller.state
    auditor = Auditor(state, every_turn=True)
    auditor.check(Turn(state.now, (), ()))
    put(task(state, "/alice/past:0").attempt, ended_at=Instant(1))
    put(state.jobs[JobId("/alice/past")], state=JobState.FAILED)
    auditor.check(Turn(state.now, (), ()))
    told = "\n".join(auditor.sentences)
    assert "V-02 ended attempts of /alice/past:0 have changed" in told
    assert "V-15 job /alice/past had ended as succeeded and is failed" in told
