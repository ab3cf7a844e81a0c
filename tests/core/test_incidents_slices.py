"""Failures that others had, one sharp story each: what books and cloud tell of one another.

The first half, of who is served and what is kept, is in `test_incidents`.
"""

from collections.abc import Sequence
from typing import Final

import pytest

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core import events as ev
from iris.core.ids import GroupName, JobId, RequestId, SliceId, TaskId, WorkerId, Zone
from iris.core.instant import HOUR, MINUTE, Instant, Millis
from iris.core.invariants import violations
from iris.core.lifecycle import AttemptState, JobState, SliceState
from iris.core.replay import recover
from iris.core.resources import NOTHING
from iris.core.retry import EndCause
from iris.core.spec import JobSpec
from tests.harness import ALICE, cluster, cpu_group, fleet

CPU: Final = SliceId("iris-cpu-1")
W0: Final = WorkerId("iris-cpu-1-w0")
NOWHERE: Final = SliceId("iris-nowhere-7")
NOBODY: Final = WorkerId("iris-nowhere-7-w0")
REQUEST: Final = RequestId("odd")
START: Final = Instant(0)

_RAN: Final = ev.AttemptReport(TaskId("/nobody/nothing:9"), 9, AttemptState.RUNNING)
ODD: Final[dict[str, ev.Event]] = {
    "a machine that is not found": ev.SlicesObserved((), START, complete=False, missing=(NOWHERE,)),
    "a create that nobody asked for": ev.SliceAccepted(NOWHERE),
    "a refusal of what nobody asked for": ev.SliceCreateFailed(NOWHERE, ev.CreateFailure.UNKNOWN),
    "a delete of what was never there": ev.SliceDeleted(NOWHERE),
    "a delete that fails of what was never there": ev.SliceDeleteFailed(NOWHERE, ""),
    "a notice for nobody": ev.PreemptionNoticed(NOWHERE),
    "a silence of nobody": ev.WorkerSilent(NOBODY, "", START),
    "a word of nobody": ev.WorkerHeard(NOBODY, ""),
    "a report of nobody": ev.WorkerReported(NOBODY, "", (_RAN,), complete=True),
    "a report of an attempt that never was": ev.WorkerReported(W0, "first", (_RAN,)),
    "a host without anything": ev.WorkerRegistered(CPU, 99, "", "", NOTHING),
    "a job without a task": ev.JobSubmitted(REQUEST, JobSpec(ALICE, "none", replicas=0)),
    "a job that needs nothing": ev.JobSubmitted(REQUEST, JobSpec(ALICE, "a", resources=NOTHING)),
    "a job without a name": ev.JobSubmitted(REQUEST, JobSpec(ALICE, "")),
    "a child of nobody": ev.JobSubmitted(REQUEST, JobSpec(ALICE, "a", parent=JobId("x"))),
    "a stop of nothing": ev.JobStopRequested(REQUEST, JobId(""), ALICE),
    "an end of nothing": ev.SliceTerminateRequested(REQUEST, NOWHERE),
    "a slice of no group": ev.SliceCreateRequested(REQUEST, GroupName(""), Millis(0)),
}


def a_busy_turn(*odd: ev.Event) -> Sequence[de.Decision]:
    """What a turn decides in which work ends, comes and must be bought for, and a host is lost."""
    script = fleet(cpu_group(min_slices=2, max_slices=4))
    jobs = [script.submit(f"job-{number}", cpu=4) for number in range(2)]
    for job in jobs:
        script.running(job)
    script.advance(HOUR)
    ends = script.end(script.task(jobs[0]).id, EndCause.EXIT_ZERO)
    new = [ev.JobSubmitted(RequestId(f"new-{n}"), JobSpec(ALICE, f"new-{n}")) for n in range(9)]
    taken = ev.SliceSighting(SliceId("iris-cpu-2"), ev.CloudState.PREEMPTED)
    lost = ev.SlicesObserved((taken,), script.now, complete=False)
    return script.step(*odd, ends, *new, lost).decisions


@pytest.mark.parametrize("odd", ODD)
def test_i_41_one_odd_record_changes_no_other_decision_of_its_turn(odd: str) -> None:
    without, beside = a_busy_turn(), list(a_busy_turn(ODD[odd]))
    kinds = {type(decision) for decision in without}
    assert {de.Admission, de.Placement, de.SliceLoss, de.SliceRequest} <= kinds
    extra = [decision for decision in beside if decision not in without]
    assert [decision for decision in beside if decision in without] == list(without)
    # It is refused by name, or a reason to look again.
    assert all(isinstance(decision, de.Answer | de.Observation) for decision in extra)


def test_i_43_a_slice_that_the_cloud_calls_ready_for_ever_lives_as_long_as_its_workers_speak() -> (
    None
):
    script = fleet(cpu_group(hosts=2, max_slices=1, min_slices=1))
    job = script.submit(cpu=4, replicas=2, gang=True)
    script.running(job).advance(2 * HOUR)
    assert script.slice(CPU).state is SliceState.READY
    script.silent(W0).advance(MINUTE - 1)
    script.listing()
    assert script.slice(CPU).state is SliceState.READY
    script.advance(1)
    assert script.the(de.SliceLoss).slice == CPU
    # It pins the only place of its group for no longer.
    assert script.the(ef.CreateSlice).slice == "iris-cpu-2"


def test_i_43_a_machine_of_which_no_host_is_known_is_never_ready() -> None:
    script = cluster(cpu_group(max_slices=1))
    stranger = ev.SliceSighting(NOWHERE, ev.CloudState.READY)
    script.machines[NOWHERE] = stranger
    script.listing().step(ev.SliceAccepted(NOWHERE), script.registration(NOWHERE, 0))
    assert script.slice(NOWHERE).state is SliceState.BOOTING
    job = script.submit()
    assert script.job(job).state is JobState.PENDING
    script.advance(10 * MINUTE)
    assert script.slices_in(SliceState.READY) == []
    assert script.the(ef.DeleteSlice).slice == NOWHERE


def test_i_44_books_of_long_ago_are_made_to_agree_with_what_the_cloud_has_now() -> None:
    script = fleet(cpu_group(cores=4, min_slices=2, max_slices=3))
    for number in range(2):
        script.running(script.submit(f"old-{number}", cpu=4))
    copied = len(script.journal)
    script.advance(HOUR).preempted(CPU).deleted(CPU)
    script.ready("cpu")
    script.advance(HOUR)
    old = recover(script.journal[:copied])
    later = script.now
    old.step(later, [ev.ControllerRestarted()])
    assert {w.state.value for w in old.state.workers.values()} == {"silent"}
    now = ev.SlicesObserved(tuple(script.machines.values()), later, complete=True)
    decisions, _ = old.step(later, [now])
    # What is gone is gone, with the work that was on it; what is there and unknown may speak.
    losses = [d.slice for d in decisions if isinstance(d, de.SliceLoss)]
    assert losses == [CPU]
    assert old.state.slices[SliceId("iris-cpu-3")].adopted
    assert old.state.slices[SliceId("iris-cpu-2")].state is SliceState.READY
    retried = [d.job for d in decisions if isinstance(d, de.Retry)]
    assert retried == [JobId("/alice/old-0")]
    assert violations(old.state) == []


def test_i_45_a_group_that_was_renamed_while_the_controller_was_away_strands_and_kills_nothing() -> (
    None
):
    script = fleet(cpu_group("old", min_slices=2, max_slices=2))
    job = script.submit(cpu=4)
    script.running(job)
    renamed = ev.ConfigLoaded(cluster(cpu_group("new")).controller.state.spec)
    script.step(ev.ControllerRestarted(), renamed)
    worker = WorkerId("iris-old-1-w0")
    told = ev.AttemptReport(script.task(job).id, 0, AttemptState.RUNNING)
    script.step(script.report(worker, told, complete=True, acted_on=99))
    script.step(ev.WorkerHeard(WorkerId("iris-old-2-w0"), "first")).listing()
    # A machine of the old name that was asked for just before, and of which the books know nothing.
    late = SliceId("iris-old-3")
    script.machines[late] = ev.SliceSighting(
        late, ev.CloudState.READY, GroupName("old"), Zone("us-a")
    )
    script.listing().advance(HOUR)
    assert script.job(job).state is JobState.RUNNING
    assert list(script.machines) == ["iris-old-1"]
    script.ends(script.task(job).id).advance(MINUTE)
    assert script.machines == {}
