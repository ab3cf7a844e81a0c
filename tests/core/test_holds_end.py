"""The end of a hold: the holder starts, there or elsewhere, or ends, or its place is lost."""

from iris.core import decisions as de
from iris.core import events as ev
from iris.core.ids import JobId, WorkerId
from iris.core.instant import MINUTE
from iris.core.lifecycle import JobState
from tests.core.test_holds import GREEDY, LONG, gang, kept_until, pair, state_of


def test_the_holder_starts_in_its_place_as_soon_as_that_is_free() -> None:
    script = kept_until()
    script.advance(MINUTE).finish(JobId("/alice/there"))
    placement = script.decided(de.Placement)[0]
    assert placement.job == "/alice/gang"
    assert placement.why == "kept for it (backfill)"
    assert not script.controller.state.holds


def test_a_hold_ends_when_its_holder_starts_elsewhere_and_the_next_may_use_the_room() -> None:
    script = pair(slices=2)
    script.submit("first", cpu=3)
    script.submit("fill", gang=True, replicas=2, cpu=4)
    script.submit("wide", gang=True, replicas=2, cpu=4)
    later = script.submit("later", cpu=4)
    assert script.the(de.Holding).job == "/alice/wide"
    script.finish(JobId("/alice/fill"))
    placed = {p.job: p.workers for p in script.decided(de.Placement)}
    assert placed == {
        "/alice/wide": ("iris-cpu-2-w0", "iris-cpu-2-w1"),
        later: ("iris-cpu-1-w1",),
    }
    assert not script.controller.state.holds


def test_a_hold_ends_with_its_holder() -> None:
    script = kept_until()
    script.stop(JobId("/alice/gang"))
    assert not script.controller.state.holds
    assert state_of(script, "/alice/later") is JobState.RUNNING


def test_a_hold_ends_when_its_place_is_lost_and_another_is_kept() -> None:
    script = pair(slices=2)
    script.submit("a", cpu=3, timeout=LONG)
    script.submit("b", cpu=4)
    script.submit("c", cpu=3)
    gang(script)
    script.submit("d")
    first = script.the(de.Holding).workers
    slice_ = script.worker(first[0]).slice
    script.terminate(slice_)
    assert script.the(de.Release).why == "the place that was kept is lost"
    kept = [
        script.worker(w).slice for h in script.controller.state.holds.values() for w in h.workers
    ]
    assert slice_ not in kept


def test_a_hold_waits_while_a_host_of_its_place_is_silent() -> None:
    script = kept_until()
    script.silent(WorkerId("iris-cpu-1-w1"))
    assert not script.decided(de.Release)
    script.finish(JobId("/alice/there"))
    assert state_of(script, "/alice/gang") is JobState.PENDING
    report = script.report(WorkerId("iris-cpu-1-w1"))
    script.step(report)
    assert state_of(script, "/alice/gang") is JobState.RUNNING


def test_a_cordoned_host_is_no_place_to_keep() -> None:
    script = kept_until()
    script.step(ev.WorkerDrainRequested(WorkerId("iris-cpu-1-w0")))
    assert script.the(de.Release).job == "/alice/gang"
    assert not script.decided(de.Holding)


def test_nothing_stays_kept_under_a_policy_that_keeps_nothing() -> None:
    script = kept_until()
    groups = script.controller.state.spec.groups
    script.config(*groups, scheduler=GREEDY)
    assert script.the(de.Release).job == "/alice/gang"
    assert state_of(script, "/alice/later") is JobState.RUNNING
