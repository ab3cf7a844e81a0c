"""What of a record is the outside world's doing, and what its controller's."""

from dataclasses import replace

import pytest

from iris.core.events import CloudState, CreateFailure, SliceAccepted, WorkerSilent
from iris.core.ids import JobId, SliceId
from iris.core.instant import HOUR, MINUTE, SECOND, Instant, Millis
from iris.core.lifecycle import JobState
from iris.core.retry import EndCause
from iris.core.snapshot import snapshot
from iris.core.spec import TimeoutPolicy
from sim.dice import Dice
from sim.measure import Measures
from sim.outside import Outside, outside_of
from sim.recorded import measures_of
from sim.recorded_model import Loss, LossKind
from sim.resumed import live_again
from sim.stock import Stock
from tests.harness import Script, cluster, cpu_group, tpu_group
from tests.sim.journals import chronicle_of


def outside(script: Script) -> Outside:
    return outside_of(chronicle_of(script.journal), "again")


def again(script: Script) -> Measures:
    """The rows of a record's outside world under its own configuration."""
    found = outside(script)
    return live_again(found, found.scenario)


def losses(script: Script) -> list[Loss]:
    return [one for one in outside(script).scenario.happenings if isinstance(one, Loss)]


def at_work(*, replicas: int = 1) -> tuple[Script, JobId, list[SliceId]]:
    """Two machines, and a job that has run for ten minutes."""
    script = cluster(cpu_group(min_slices=2))
    slices = script.ready("cpu")
    job = script.submit(replicas=replicas)
    script.running(job).advance(10 * MINUTE)
    return script, job, slices


def test_a_slice_of_which_the_cloud_speaks_first_is_lost_then_and_a_silent_host_when_it_spoke_last() -> (
    None
):
    script, job, (first, _) = at_work()
    script.cloud_says(first, CloudState.STOPPED)
    script.listing().advance(MINUTE)
    (loss,) = losses(script)
    assert (loss.at, loss.kind, loss.told) == (Instant(10 * MINUTE), LossKind.VANISHED, True)
    row = again(script).slices[first]
    assert (row.end, row.outcome) == (Instant(10 * MINUTE), "failed")
    other, job, _ = at_work()
    worker = other.attempt(other.job(job).tasks[0].id).worker
    since = Instant(other.now - MINUTE)
    other.step(WorkerSilent(worker, other.worker(worker).incarnation, since)).advance(2 * SECOND)
    (loss,) = losses(other)
    assert (loss.at, loss.kind, loss.told) == (since, LossKind.HOST_DEAD, False)


def test_nothing_dies_before_the_last_word_that_it_spoke() -> None:
    script, job, _ = at_work()
    second = script.submit("second", cpu=2)
    script.running(second).advance(MINUTE)
    worker = script.attempt(script.job(job).tasks[0].id).worker
    script.finish(job)
    ended = script.now
    silent = WorkerSilent(worker, script.worker(worker).incarnation, Instant(ended - SECOND))
    script.step(silent).advance(HOUR)
    (loss,) = losses(script)
    assert loss.at == ended + 1
    assert again(script).jobs[job].end == ended


def test_what_an_operator_gave_up_is_an_order_and_no_loss() -> None:
    script, _, (first, second) = at_work()
    script.terminate(first).advance(MINUTE)
    assert losses(script) == []
    rows = again(script).slices
    assert rows[first].end is not None
    assert rows[second].end is None


def test_a_boot_that_was_given_up_never_ends_and_is_no_loss() -> None:
    script, _, _ = at_work()
    script.submit("more", replicas=3, cpu=4)
    (never, *_) = script.coming("cpu")
    script.step(SliceAccepted(never)).advance(2 * HOUR)
    assert never not in [loss.slice for loss in losses(script)]
    told, found = measures_of(chronicle_of(script.journal), "told"), again(script)
    assert found.slices[never].ready is told.slices[never].ready is None
    assert found.slices[never].outcome == told.slices[never].outcome == "failed"


@pytest.mark.parametrize("cause", [EndCause.LAUNCH, EndCause.BUILD])
def test_what_failed_before_it_ran_does_so_again(cause: EndCause) -> None:
    script = cluster(cpu_group(min_slices=2))
    script.ready("cpu")
    job = script.submit()
    script.advance(30 * SECOND).finish(job, cause).advance(MINUTE)
    script.running(job).advance(10 * MINUTE).finish(job)
    told, found = measures_of(chronicle_of(script.journal), "told"), again(script)
    assert found.attempts[0].running is told.attempts[0].running is None
    assert [row.outcome for row in found.attempts] == [row.outcome for row in told.attempts]
    assert found.attempts[0].end == told.attempts[0].end


def test_a_preemption_that_only_a_worker_spoke_of_is_the_tasks_own_end() -> None:
    script, job, _ = at_work()
    script.finish(job, EndCause.PREEMPTION).advance(MINUTE)
    script.running(job).advance(20 * MINUTE).finish(job)
    assert losses(script) == []
    (row,) = again(script).jobs.values()
    assert (row.preempted, row.state) == (1, JobState.SUCCEEDED)


def test_a_task_that_is_no_more_submits_nothing() -> None:
    script, job, _ = at_work()
    script.advance(10 * MINUTE)
    below = script.submit("child", parent=job)
    script.running(below).advance(MINUTE).finish(below).finish(job).advance(HOUR)
    found = outside(script)
    (root,) = found.scenario.recorded
    short = replace(root, courses=tuple(replace(c, length=Millis(MINUTE)) for c in root.courses))
    quick = replace(found.scenario, recorded=(short,))
    assert list(live_again(found, quick).jobs) == [job]
    assert list(again(script).jobs) == [job, below]


def test_a_silence_that_ended_is_one_again() -> None:
    script = cluster(tpu_group(min_slices=1), timeouts=TimeoutPolicy(worker_timeout=MINUTE))
    script.ready("tpu")
    job = script.submit(tpu="v5litepod-16", replicas=2, gang=True)
    script.running(job).advance(HOUR)
    worker = script.attempt(script.job(job).tasks[1].id).worker
    script.silent(worker).advance(30 * SECOND)
    script.step(script.report(worker)).advance(MINUTE).finish(job)
    (loss,) = losses(script)
    assert (loss.kind, loss.host, loss.span) == (LossKind.HOST_SILENT, 1, 30 * SECOND)
    assert [row.attempts for row in again(script).jobs.values()] == [2]


def test_what_boots_at_the_snapshot_boots_as_long_as_it_did_and_what_was_over_counts_nowhere() -> (
    None
):
    script, job, _ = at_work()
    script.finish(job, EndCause.PREEMPTION).advance(MINUTE)
    script.running(job)
    script.submit("more", replicas=2, cpu=4)
    (comes,) = script.coming("cpu")
    script.step(SliceAccepted(comes)).advance(3 * MINUTE)
    image, at, number = snapshot(script.controller.state), script.now, len(script.journal)
    script.advance(7 * MINUTE).ready(comes)
    script.advance(HOUR).finish(job)
    chronicle = chronicle_of(script.journal[number:], image)
    told = measures_of(chronicle, "told")
    assert [row.attempt for row in told.attempts if row.job == job] == [1]
    found = outside_of(chronicle, "again")
    row = live_again(found, found.scenario).slices[comes]
    assert (row.ready, told.slices[comes].ready) == (Instant(7 * MINUTE),) * 2
    assert found.chronicle.began == at


def test_what_the_last_create_showed_is_forgotten_when_nobody_asks_again() -> None:
    script, _, _ = at_work()
    pause = script.controller.state.spec.autoscaler.max_backoff
    script.submit("more", replicas=2, cpu=4)
    script.refused(script.coming("cpu")[0], CreateFailure.STOCKOUT).advance(SECOND)
    cloud = outside(script).scenario.cloud
    (key,) = cloud.answers
    stock = Stock(cloud, Dice(0))
    last = cloud.answers[key][-1]
    for late, refused in ((Millis(0), True), (pause, True), (Millis(pause + 1), False)):
        answer = stock.answer_on_record(*key, Instant(last.at + late))
        assert answer is not None
        assert (answer.to(2) is CreateFailure.STOCKOUT) is refused
        assert answer.to(1) is None
