"""What a listing says of what it holds and of what it lacks, and what an error does not say."""

import pytest

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core import events as ev
from iris.core.ids import GroupName, SliceId, Zone
from iris.core.instant import HOUR, MINUTE, SECOND, Instant
from iris.core.lifecycle import SliceState, TaskState
from iris.core.retry import EndCause
from tests.harness import Script, cluster, cpu_group, fleet, tpu_group

CPU = SliceId("iris-cpu-1")


def one_host(*, preemptible: bool = False) -> Script:
    script = fleet(cpu_group(min_slices=1, preemptible=preemptible))
    script.running(script.submit())
    return script


def empty(script: Script, *, complete: bool = True, asked_at: int | None = None) -> Script:
    """A listing that holds nothing."""
    at = script.now if asked_at is None else Instant(asked_at)
    return script.step(ev.SlicesObserved((), at, complete))


# ---- absence ----------------------------------------------------------------------------------


def test_i_38_one_empty_listing_kills_nothing_whose_workers_speak() -> None:
    script = one_host()
    empty(script.advance(SECOND))
    assert not script.decided(de.SliceLoss)
    assert script.slice(CPU).missing_since == script.now


def test_i_38_a_listing_that_failed_says_nothing_and_is_asked_again_soon() -> None:
    script = one_host()
    script.listing(error="deadline exceeded")
    assert not script.decisions
    assert script.slice(CPU).missing_since is None
    assert script.advance(MINUTE, answer=False).the(ef.ObserveSlices) == ef.ObserveSlices()


def test_i_38_an_incomplete_listing_never_proves_absence() -> None:
    script = one_host()
    for _ in range(5):
        empty(script.advance(MINUTE), complete=False)
    assert script.slice(CPU).missing_since is None
    assert script.slice(CPU).state is SliceState.READY


@pytest.mark.parametrize("preemptible", [False, True])
def test_i_42_absence_for_the_whole_grace_is_believed_and_asked_for_no_later(
    *, preemptible: bool
) -> None:
    script = one_host(preemptible=preemptible)
    empty(script.advance(SECOND))
    script.machines.clear()
    script.advance(30 * SECOND - 1)
    assert not script.decisions
    script.advance(1)
    loss = script.the(de.SliceLoss)
    kind = SliceState.PREEMPTED if preemptible else SliceState.FAILED
    cause = EndCause.PREEMPTION if preemptible else EndCause.HOST_LOST
    assert (loss.state, loss.cause) == (kind, cause)
    assert loss.why == "it vanished: complete listings lack it"


def test_a_slice_that_is_silent_and_not_listed_is_gone_at_once() -> None:
    script = one_host()
    script.advance(SECOND).silent(next(iter(script.controller.state.workers)))
    empty(script)
    assert script.the(de.SliceLoss).slice == CPU


def test_one_that_speaks_or_is_listed_later_in_the_same_turn_is_not_gone() -> None:
    script = one_host()
    (worker,) = script.controller.state.workers.values()
    lacking = ev.SlicesObserved((), script.advance(SECOND).now, complete=True)
    shown = ev.SliceSighting(CPU, ev.CloudState.READY, GroupName("cpu"), Zone("a"))
    for later in (
        ev.WorkerHeard(worker.id, worker.incarnation),
        ev.SlicesObserved((shown,), script.now, complete=True),
    ):
        script.silent(worker.id)
        assert not script.step(lacking, later).decided(de.SliceLoss)
    assert script.slice(CPU).missing_since is None


def test_a_slice_that_is_listed_again_was_never_missing() -> None:
    script = one_host()
    empty(script.advance(SECOND))
    script.listing()
    assert script.slice(CPU).missing_since is None
    empty(script.advance(HOUR))
    assert not script.decided(de.SliceLoss)


def test_i_38_a_listing_from_before_a_slice_was_accepted_says_nothing_of_it() -> None:
    script = cluster(cpu_group())
    script.submit()
    script.advance(SECOND).ready("cpu")
    empty(script, asked_at=0)
    assert script.slice(CPU).missing_since is None


def test_a_slice_whose_create_was_not_answered_cannot_be_missed() -> None:
    script = cluster(cpu_group())
    script.submit()
    empty(script.advance(SECOND))
    assert script.slice(CPU).missing_since is None


def test_a_slice_that_boots_is_missed_for_longer_before_it_is_given_up() -> None:
    script = cluster(cpu_group())
    script.submit()
    script.step(ev.SliceAccepted(CPU)).advance(SECOND)
    empty(script)
    script.machines.clear()
    assert not script.advance(10 * MINUTE - 1).decided(de.SliceLoss)
    assert script.advance(1).decided(de.SliceLoss)


def test_something_that_was_not_found_by_name_is_only_a_reason_to_list_everything() -> None:
    script = one_host()
    script.advance(SECOND).step(ev.SlicesObserved((), script.now, complete=False, missing=(CPU,)))
    assert not script.decided(de.SliceLoss)
    assert script.the(de.Observation).why == "something was not found"
    assert script.the(ef.ObserveSlices).slices == ()


def test_a_listing_under_way_is_not_asked_for_again_until_it_is_overdue() -> None:
    script = one_host()
    missing = ev.SlicesObserved((), script.now, complete=False, missing=(CPU,))
    script.advance(SECOND).step(missing)
    assert script.asked(ef.ObserveSlices)
    assert not script.step(missing).asked(ef.ObserveSlices)
    script.advance(MINUTE - 1, answer=False)
    assert not script.asked(ef.ObserveSlices)
    assert script.advance(1, answer=False).the(ef.ObserveSlices) == ef.ObserveSlices()


def test_the_cloud_is_listed_at_intervals() -> None:
    script = one_host()
    interval = script.controller.state.spec.autoscaler.observe_interval
    assert not script.advance(interval - 1).asked(ef.ObserveSlices)
    assert script.advance(1).the(de.Observation).why == "at intervals"


def test_a_listing_that_fails_near_the_next_one_moves_nothing() -> None:
    script = one_host()
    due = script.controller.state.books.observe_at
    script.advance(due - 30 * SECOND)
    script.listing(error="no answer")
    assert script.controller.state.books.observe_at == due


# ---- deletes ----------------------------------------------------------------------------------


def deleting() -> Script:
    script = one_host()
    script.advance(SECOND).terminate(CPU)
    return script


def test_a_complete_listing_after_the_delete_that_lacks_the_slice_proves_it_gone() -> None:
    script = deleting()
    asked_before = script.now
    empty(script, asked_at=asked_before)
    assert script.slice(CPU).state is SliceState.DELETING
    empty(script.advance(SECOND, answer=False))
    assert script.the(de.SliceGone).why == "a complete listing no longer holds it"


def test_i_49_a_slice_that_was_called_deleted_and_is_listed_again_is_deleted_again() -> None:
    script = deleting()
    machine = script.machines[CPU]
    script.deleted(CPU)
    alive = ev.SliceSighting(CPU, ev.CloudState.READY, machine.group, machine.zone)
    old = ev.SlicesObserved((alive,), script.now, complete=False)
    assert not script.step(old).decisions
    script.advance(SECOND)
    dying = ev.SliceSighting(CPU, ev.CloudState.DELETING, machine.group, machine.zone)
    assert not script.step(ev.SlicesObserved((dying,), script.now, complete=False)).decisions
    script.step(ev.SlicesObserved((alive,), script.now, complete=False))
    assert script.the(de.SliceDelete).why == "it was called deleted and is alive"
    assert script.the(ef.DeleteSlice).slice == CPU


@pytest.mark.parametrize("how", ["its host registers", "its create is answered"])
def test_i_49_a_slice_that_is_gone_and_shows_life_is_deleted_again(how: str) -> None:
    script = deleting()
    script.deleted(CPU)
    speaks = script.registration(CPU, 0)
    script.step(speaks if how == "its host registers" else ev.SliceAccepted(CPU))
    assert script.the(ef.DeleteSlice).slice == CPU
    assert script.slice(CPU).state is SliceState.DELETING


def test_i_49_a_deletion_and_a_sign_of_life_in_one_turn_leave_it_being_deleted() -> None:
    script = deleting()
    script.deleted(CPU)
    sign = ev.SliceAccepted(CPU)
    script.step(sign, sign)
    assert len(script.decided(de.SliceDelete)) == 1


# ---- strangers --------------------------------------------------------------------------------


def labelled(
    script: Script, name: str, state: ev.CloudState, group: str | None = "cpu"
) -> ev.SlicesObserved:
    kind = GroupName(group) if group is not None else None
    zone = Zone("us-a") if group is not None else None
    sighting = ev.SliceSighting(SliceId(name), state, kind, zone)
    script.machines[SliceId(name)] = sighting
    return ev.SlicesObserved((sighting,), script.now, complete=False)


def test_i_67_a_listed_stranger_is_adopted_when_all_of_its_hosts_speak() -> None:
    script = cluster(tpu_group())
    name = SliceId("iris-tpu-9")
    script.step(labelled(script, name, ev.CloudState.READY, "tpu"))
    assert script.slice(name).state is SliceState.BOOTING
    script.step(script.registration(name, 0), script.registration(name, 1))
    assert script.slice(name).state is SliceState.READY
    script.advance(30 * SECOND)
    assert script.slice(name).state is SliceState.READY


@pytest.mark.parametrize("group", ["tpu", "nobody-knows", None])
def test_i_45_a_listed_stranger_that_says_nothing_is_deleted_after_its_grace(
    group: str | None,
) -> None:
    script = cluster(tpu_group())
    name = SliceId("iris-old-9")
    script.step(labelled(script, name, ev.CloudState.READY, group))
    assert not script.advance(10 * MINUTE - 1).asked(ef.DeleteSlice)
    script.advance(1)
    assert script.the(ef.DeleteSlice).slice == name


def test_a_stranger_that_is_being_deleted_is_left_alone() -> None:
    script = cluster(cpu_group())
    script.step(labelled(script, "iris-old-9", ev.CloudState.DELETING))
    assert not script.controller.state.slices


def test_i_67_an_adopted_slice_counts_against_the_maximum() -> None:
    script = cluster(cpu_group(max_slices=1))
    script.step(labelled(script, "iris-cpu-9", ev.CloudState.READY))
    script.submit()
    assert not script.asked(ef.CreateSlice)


def test_i_67_nothing_is_asked_for_before_the_cloud_has_been_listed() -> None:
    script = Script()
    script.config(cpu_group(min_slices=2))
    job = script.submit()
    assert not script.asked(ef.CreateSlice)
    assert script.task(job).state is TaskState.PENDING
    assert len(script.listing().asked(ef.CreateSlice)) == 2


def test_i_67_after_a_restart_nothing_is_asked_for_before_the_listing() -> None:
    script = cluster(cpu_group())
    script.step(ev.ControllerRestarted())
    assert script.the(ef.ObserveSlices).slices == ()
    script.submit()
    assert not script.asked(ef.CreateSlice)
    assert script.listing().asked(ef.CreateSlice)
