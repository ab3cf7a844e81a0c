"""Failures that others had with gangs, one sharp story each: all start, or none, however they end."""

from typing import Final

import pytest

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core import events as ev
from iris.core.ids import JobId, WorkerId
from iris.core.instant import HOUR, MINUTE, SECOND
from iris.core.lifecycle import AttemptState
from iris.core.retry import EndCause
from iris.core.spec import TimeoutPolicy
from tests.core.situations import TPU
from tests.harness import Script, fleet, tpu_group

STOP: Final = TimeoutPolicy().stop_timeout


def pod_of_three(**spec: object) -> tuple[Script, JobId]:
    """A gang on one of two slices of three hosts, assigned."""
    script = fleet(tpu_group(hosts=3, min_slices=2, max_slices=2))
    return script, script.submit(tpu=TPU, replicas=3, gang=True, max_retries_failure=9, **spec)  # type: ignore[arg-type]  # names of fields


ENDS: Final = (
    EndCause.EXIT_NONZERO,
    EndCause.OUT_OF_MEMORY,
    EndCause.LAUNCH,
    EndCause.BUILD,
    EndCause.HOST_LOST,
    EndCause.UNKNOWN,
)


@pytest.mark.parametrize("state", [None, AttemptState.RUNNING])
@pytest.mark.parametrize("cause", ENDS)
@pytest.mark.parametrize("member", [0, 2])
def test_i_18_a_gang_goes_back_whole_whoever_ends_in_whatever_state_by_whatever_cause(
    member: int, cause: EndCause, state: AttemptState | None
) -> None:
    script, job = pod_of_three()
    if state is not None:
        script.step(*script.progress(job, state))
    worker = script.attempt(script.task(job, member).id).worker
    others = [script.task(job, i).id for i in range(3) if i != member]
    if cause is EndCause.HOST_LOST:
        # Nobody speaks on a slice that has failed: what ran there is over with its workers.
        script.lose(worker)
    else:
        script.ends(script.task(job, member).id, cause)
        assert [stop.task for stop in script.asked(ef.StopAttempt)] == others
        for other in others:
            assert not script.decided(de.Placement)
            script.step(script.end(other, None))
    if not script.decided(de.Placement):
        script.advance(10 * SECOND)
    # All at once again, on distinct hosts of one slice, in order.
    placement = script.the(de.Placement, job=job)
    assert placement.tasks == tuple(script.task(job, i).id for i in range(3))
    (name,) = {script.worker(w).slice for w in placement.workers}
    assert placement.workers == tuple(script.slice(name).workers)


def test_i_22_a_gang_of_which_one_start_is_lost_is_back_whole_by_the_deadline_of_the_launch() -> (
    None
):
    script, job = pod_of_three()
    for member in (0, 1):
        attempt = script.attempt(script.task(job, member).id)
        told = ev.AttemptReport(script.task(job, member).id, 0, AttemptState.RUNNING)
        script.step(script.report(attempt.worker, told))
    assert not script.advance(HOUR - 1).decided(de.AttemptStop)
    assert script.advance(1).the(ef.StopAttempt).task == script.task(job, 2).id
    # It does not answer that either: its host is lost, and all go to the other slice.
    script.advance(STOP)
    assert script.the(de.Retry).tasks == tuple(script.task(job, i).id for i in range(3))
    assert script.worker(script.the(de.Placement).workers[0]).slice == "iris-tpu-2"


def test_i_22_what_the_worker_does_not_know_of_is_not_waited_for_until_then() -> None:
    script, job = pod_of_three()
    silent = script.attempt(script.task(job, 2).id)
    script.step(script.report(silent.worker, complete=True, acted_on=silent.version))
    assert len(script.asked(ef.StopAttempt)) == 2


def test_i_27_further_losses_during_recovery_throw_nobody_else_back() -> None:
    script = fleet(tpu_group(hosts=2, min_slices=3, max_slices=6))
    jobs = [script.submit(f"gang-{n}", tpu=TPU, replicas=2, gang=True) for n in range(3)]
    for job in jobs:
        script.running(job)
    first, second, calm = jobs
    script.advance(10 * MINUTE)
    script.lose(script.attempt(script.task(first).id).worker)
    asked = script.the(ef.CreateSlice).slice
    # While its replacement boots, a host of another gang goes, and then one of the replacement.
    script.lose(script.attempt(script.task(second).id).worker)
    script.step(script.registration(asked, 0)).lose(WorkerId(f"{asked}-w0"))
    script.ready("tpu")
    script.advance(MINUTE, answer=False).ready("tpu")  # One that died young is asked for later.
    for job in (first, second):
        script.running(job)
    assert [len(script.task(job).attempts) for job in jobs] == [2, 2, 1]
    assert [script.task(job).attempts[-1].state for job in jobs] == [AttemptState.RUNNING] * 3
    assert script.task(calm).attempts[0].worker == "iris-tpu-3-w0"
