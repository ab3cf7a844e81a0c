"""What is said of a slice that is given back before its time, or while somebody waits for its like."""

from iris.core import decisions as de
from iris.core import events as ev
from iris.core.conduct import Witness
from iris.core.ids import SliceId
from iris.core.instant import MINUTE, Instant
from iris.core.lifecycle import JobState, TaskState
from iris.core.record import Turn
from iris.core.retry import EndCause
from iris.core.spec import AutoscalerPolicy, Constraint, ConstraintOp
from tests.core.forged import put
from tests.harness import Script, cpu_group, fleet, tpu_group

TIMEOUT = AutoscalerPolicy().idle_timeout
MACHINE, POD = SliceId("iris-cpu-1"), SliceId("iris-tpu-1")


def machine() -> Script:
    return fleet(cpu_group(cores=4, min_slices=1, max_slices=1))


def pod() -> Script:
    """A pod that has been idle for its time."""
    return fleet(tpu_group(min_slices=1, max_slices=1)).advance(TIMEOUT)


def told(witness: Witness, script: Script, name: SliceId, *events: ev.Event) -> str:
    turn = Turn(script.controller.state.now, events, (de.SliceDrain(name, ""),))
    return "\n".join(witness.saw(turn))


def said(script: Script, name: SliceId) -> str:
    return told(Witness(script.controller.state), script, name)


def test_a_slice_is_idle_from_when_it_was_ready_or_last_used() -> None:
    script = machine()
    assert said(script, MACHINE).startswith("V-27 slice iris-cpu-1 was given back after 0 ms of")
    script.advance(TIMEOUT - 1)
    assert said(script, MACHINE).startswith("V-27")
    script.advance(1)
    assert said(script, MACHINE) == ""
    script.finish(script.submit("job"))
    assert said(script, MACHINE).startswith("V-27 slice iris-cpu-1 was given back after 0 ms of")
    assert said(script.advance(TIMEOUT), MACHINE) == ""


def test_the_clock_of_the_state_is_not_believed_by_who_heard_the_work_end() -> None:
    script = machine().advance(TIMEOUT)
    job = script.submit("job")
    state, witness = script.controller.state, Witness(script.controller.state)
    end = script.end(script.task(job).id, EndCause.EXIT_ZERO)
    script.step(end)
    put(state.slices[MACHINE], idle_since=Instant(0))
    list(witness.saw(Turn(state.now, (end,), ())))
    assert told(witness, script, MACHINE).startswith("V-27")
    list(witness.saw(Turn(state.now, (ev.SliceDeleted(MACHINE),), (de.SliceGone(MACHINE, ""),))))
    assert not witness.left_at


def test_the_end_of_work_that_is_forgotten_at_once_says_nothing_of_its_slice() -> None:
    script = machine()
    job = script.submit("job")
    state, witness = script.controller.state, Witness(script.controller.state)
    end = script.end(script.task(job).id, EndCause.EXIT_ZERO)
    del state.tasks[script.task(job).id]
    list(witness.saw(Turn(state.now, (end,), ())))
    assert not witness.left_at


def test_an_attempt_that_its_worker_denies_has_left_its_slice_too() -> None:
    script = machine().advance(TIMEOUT)
    job = script.submit("job", timeout=MINUTE)
    script.running(job)
    witness = Witness(script.controller.state)
    nothing = script.report(script.attempt(script.task(job).id).worker, complete=True, acted_on=9)
    script.step(nothing)
    list(witness.saw(script.journal[-1]))
    assert witness.left_at == {MACHINE: script.now}


def test_work_that_needs_no_chips_does_not_keep_an_accelerator() -> None:
    script = pod()
    guest = script.submit("guest", cpu=1)
    script.finish(guest)
    assert said(script, POD) == ""
    gang = script.submit("gang", gang=True, replicas=2, tpu="v5litepod-16")
    script.finish(gang)
    assert said(script, POD).startswith("V-27")


def test_no_slice_is_given_back_whose_like_somebody_waits_for() -> None:
    script = pod()
    for name in ("one", "two"):
        script.running(script.submit(name, gang=True, replicas=2, tpu="v5litepod-16"))
    slice_ = script.slice(POD)
    put(slice_, chips_used=0)  # The first has left, and nobody has noticed.
    assert said(script, POD) == (
        "V-22 slice iris-tpu-1 was given back, and work waits that could use it"
    )
    put(slice_, cordon_until=Instant(1))
    assert said(script, POD) == ""


def test_a_slice_on_which_launches_failed_is_given_back_though_others_could_use_it() -> None:
    script = pod()
    gang = script.submit("gang", gang=True, replicas=2, tpu="v5litepod-16")
    script.finish(gang, EndCause.LAUNCH).advance(MINUTE)
    assert script.job(gang).state is JobState.PENDING
    put(script.slice(POD), idle_since=Instant(0))
    assert said(script, POD) == ""


def test_who_would_be_a_guest_on_a_slice_does_not_wait_for_its_like() -> None:
    zones = ("us-a", "us-b")
    script = fleet(tpu_group(zones=zones, min_slices=1, max_slices=1)).advance(TIMEOUT)
    elsewhere = Constraint("zone", ConstraintOp.IN, ("us-b",))
    gang = script.submit(
        "gang", gang=True, replicas=2, tpu="v5litepod-16", constraints=(elsewhere,)
    )
    guest = script.submit("guest", cpu=1)
    assert script.job(gang).state is script.job(guest).state is JobState.PENDING
    assert said(script, POD) == ""
    script.stop(gang)
    assert script.job(guest).tasks[0].state is TaskState.ASSIGNED
