"""What an end is said to mean is held against the end itself."""

from iris.core import decisions as de
from iris.core import events as ev
from iris.core.conduct import Witness
from iris.core.ids import RequestId, TaskId, WorkerId
from iris.core.lifecycle import AttemptState, SliceState, TaskState
from iris.core.record import Turn
from iris.core.retry import EndCause
from tests.core.forged import HOST, MACHINE, busy, past, put, task
from tests.harness import Script, cpu_group, fleet

SOLO = TaskId("/alice/solo:0")


def judged(script: Script, decision: de.Decision, *events: ev.Event) -> str:
    state = script.controller.state
    return "\n".join(Witness(state).saw(Turn(state.now, events, (decision,))))


def test_i_114_what_a_lost_host_held_was_lost_with_it() -> None:
    script = busy()
    loss = de.SliceLoss(MACHINE, SliceState.FAILED, EndCause.HOST_LOST, "")
    asked = ev.SliceTerminateRequested(RequestId("r"), MACHINE)
    attempt = task(script.controller.state, SOLO).attempt
    put(attempt, cause=EndCause.HOST_LOST)
    assert judged(script, loss, asked) == ""
    put(attempt, cause=EndCause.SIBLING, stop_cause=EndCause.SIBLING)
    wrong = "V-14 /alice/solo:0@0 was lost by host_lost, and its end is called sibling"
    assert judged(script, loss, asked) == wrong
    put(attempt, cause=EndCause.EVICTION, stop_cause=EndCause.EVICTION)
    assert judged(script, loss, asked) == ""
    put(attempt, stop_cause=None)
    assert "its end is called eviction" in judged(script, loss, asked)


def test_what_was_forgotten_in_the_turn_of_its_loss_is_no_offence() -> None:
    script = busy()
    state = script.controller.state
    witness = Witness(state)
    del state.tasks[SOLO]
    loss = de.SliceLoss(MACHINE, SliceState.FAILED, EndCause.HOST_LOST, "")
    assert list(witness.saw(Turn(state.now, (), (loss,)))) == []


def test_who_was_only_asked_to_stop_has_not_failed() -> None:
    script = busy()
    put(past(script.controller.state), cause=EndCause.REQUESTED)
    verdict = de.TaskVerdict(TaskId("/alice/past:0"), TaskState.FAILED, "")
    said = "V-14 /alice/past:0 has failed, and was only asked to stop (requested)"
    assert judged(script, verdict) == said


def test_i_108_a_job_does_not_go_on_when_a_task_of_it_has_failed_for_good() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1, cores=4))
    job = script.submit("two", replicas=2)
    script.ends(TaskId("/alice/two:0"), EndCause.TIMEOUT)
    verdict = de.TaskVerdict(TaskId("/alice/two:0"), TaskState.FAILED, "")
    put(script.job(job), ending=None, ended_at=None)
    assert "V-14 /alice/two:0 has failed for good, and its job goes on" in judged(script, verdict)


def test_i_78_a_host_is_put_out_by_launches_that_failed_and_not_by_what_ran_on_it() -> None:
    script = busy()
    cordon = de.WorkerCordon(HOST, cordoned=True, why="")

    def report(number: int, name: str = SOLO, worker: WorkerId = HOST) -> ev.Event:
        told = ev.AttemptReport(TaskId(name), number, AttemptState.WORKER_FAILED)
        return ev.WorkerReported(worker, "first", (told,))

    wrong = f"V-14 {HOST} was put out of use, and no launch failed on it in this turn"
    attempt = task(script.controller.state, SOLO).attempt
    put(attempt, cause=EndCause.EXIT_NONZERO)
    assert wrong in judged(script, cordon, report(0))
    put(attempt, cause=EndCause.LAUNCH)
    assert wrong not in judged(script, cordon, report(0))
    assert wrong in judged(script, cordon, report(1))
    assert wrong in judged(script, cordon, report(0, worker=WorkerId("iris-tpu-1-w0")))
    assert wrong not in judged(script, cordon, report(0, "/alice/forgotten:0"))
    asked = ev.WorkerDrainRequested(HOST, resume=False)
    assert judged(script, cordon, asked) == ""
    assert judged(script, de.WorkerCordon(HOST, cordoned=False, why="")) == ""
