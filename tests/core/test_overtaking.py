"""Whoever goes ahead of the first who waits is told of, if the policy does not let him."""

from dataclasses import replace

import pytest

from iris.core import decisions as de
from iris.core.conduct import Witness
from iris.core.ids import JobId, WorkerId, task_id
from iris.core.instant import HOUR, MINUTE, Instant, Millis
from iris.core.record import Turn
from iris.core.resources import Resources
from iris.core.spec import Backfill, Band, Order, SchedulerPolicy
from tests.core.forged import put
from tests.harness import Script, cpu_group, fleet, tpu_group

HOST = WorkerId("iris-cpu-1-w0")


def waiting(backfill: Backfill, order: Order = Order.FIFO, *, wide: int = 3) -> Script:
    """A machine of 4 cores with 3 in use; `wide` waits for it, and then `small` comes, which fits."""
    policy = SchedulerPolicy(backfill=backfill, order=order)
    script = fleet(cpu_group(min_slices=1, max_slices=1, cores=4), scheduler=policy)
    script.running(script.submit("before", cpu=3))
    script.submit("wide", cpu=wide)
    script.submit("small")
    return script


def forget_holds(script: Script) -> None:
    state = script.controller.state
    state.holds.clear()
    for worker in state.workers.values():
        worker.holds = ()


def told(script: Script, job: str, *more: de.Decision, why: str = de.BEST_FIT) -> str:
    """What is said of overtaking in a turn that is said to have placed a job."""
    state = script.controller.state
    name = JobId(f"/alice/{job}")
    place = de.Placement(name, (task_id(name, 0),), (HOST,), why)
    turn = Turn(state.now, (), (place, *more))
    return "\n".join(said for said in Witness(state).saw(turn) if said.startswith("V-23"))


PASSED = "V-23 /alice/small was placed ahead of /alice/wide, for which nothing is kept"


@pytest.mark.parametrize("backfill", [Backfill.NONE, Backfill.HOLD])
def test_i_16_nobody_goes_ahead_of_the_first_for_whom_nothing_is_kept(backfill: Backfill) -> None:
    script = waiting(backfill)
    forget_holds(script)
    assert told(script, "small") == PASSED
    assert told(script, "wide") == told(script, "before") == ""
    assert told(script, "small", why="kept for it (eviction)") == ""
    release = de.Release(JobId("/alice/wide"), (task_id(JobId("/alice/wide"), 0),), "")
    assert told(script, "small", release) == ""


def test_a_more_urgent_band_goes_first() -> None:
    script = waiting(Backfill.NONE)
    small = script.job(JobId("/alice/small"))
    put(small, spec=replace(small.spec, band=Band.PRODUCTION))
    assert told(script, "small") == ""


def test_greedy_work_passes_and_a_fair_order_is_not_judged_here() -> None:
    assert told(waiting(Backfill.GREEDY), "small") == ""
    assert told(waiting(Backfill.NONE, Order.FAIR), "small") == ""


def test_i_01_whoever_is_kept_room_makes_way_for_a_more_urgent_band() -> None:
    kept = de.KEPT[de.HoldKind.BACKFILL]
    policy = SchedulerPolicy(backfill=Backfill.HOLD, order=Order.FIFO)
    script = fleet(cpu_group(min_slices=1, max_slices=1, cores=4), scheduler=policy)
    script.running(script.submit("before", cpu=3))
    script.submit("wide", cpu=3)
    state = script.controller.state
    assert told(script, "before", why=kept) == ""
    before = script.job(JobId("/alice/before"))
    put(before, spec=replace(before.spec, band=Band.BATCH))
    took = "V-23 /alice/before took the room kept for it, and /alice/wide, which is more urgent, waits for it"
    assert told(script, "before", why=kept) == took
    assert told(script, "before", why=de.KEPT[de.HoldKind.EVICTION]) == ""
    put(before, spec=replace(before.spec, resources=Resources(cpu=1_000)))
    assert told(script, "before", why=kept) == ""
    put(before, spec=replace(before.spec, resources=Resources(cpu=3_000)))
    state.room.where.clear()
    assert told(script, "before", why=kept) == ""


def test_where_nobody_may_pass_a_guest_makes_way() -> None:
    script = fleet(
        tpu_group(min_slices=1, max_slices=1),
        scheduler=SchedulerPolicy(backfill=Backfill.NONE, order=Order.FIFO),
    )
    script.submit("first", gang=True, replicas=2, tpu="v5litepod-16")
    script.submit("gang", gang=True, replicas=2, tpu="v5litepod-16")
    script.submit("guest", cpu=1, band=Band.PRODUCTION)
    state = script.controller.state
    gang = script.job(JobId("/alice/gang"))
    hosts = tuple(WorkerId(f"iris-tpu-1-w{i}") for i in range(2))
    place = de.Placement(gang.id, tuple(t.id for t in gang.tasks), hosts, de.WHOLE_SLICE)
    said = Witness(state).saw(Turn(state.now, (), (place,)))
    assert not [sentence for sentence in said if sentence.startswith("V-23")]


def test_where_something_is_kept_others_pass() -> None:
    script = waiting(Backfill.HOLD)
    assert script.controller.state.holds
    assert told(script, "small") == ""


def test_who_could_never_have_had_the_place_is_not_overtaken_there() -> None:
    script = waiting(Backfill.HOLD, wide=3)
    state = script.controller.state
    forget_holds(script)
    put(state.workers[HOST], offers=state.workers[HOST].offers._replace(cpu=2_000))
    assert told(script, "small") == ""


def test_a_host_that_may_have_no_work_is_nobodys_place() -> None:
    script = waiting(Backfill.HOLD)
    state = script.controller.state
    forget_holds(script)
    state.room.where.clear()
    assert told(script, "small") == ""


def test_cpu_work_is_a_guest_on_accelerators() -> None:
    script = fleet(
        tpu_group(min_slices=1, max_slices=1), scheduler=SchedulerPolicy(backfill=Backfill.HOLD)
    )
    for name in ("wide", "small"):
        script.submit(name, cpu=1, band=Band.BATCH)
    script.submit("gang", gang=True, replicas=2, tpu="v5litepod-16")
    state = script.controller.state
    forget_holds(script)
    name = JobId("/alice/small")
    place = de.Placement(name, (task_id(name, 0),), (WorkerId("iris-tpu-1-w0"),), de.BEST_FIT)
    said = Witness(state).saw(Turn(state.now, (), (place,)))
    assert not [sentence for sentence in said if sentence.startswith("V-23")]


def test_who_is_let_into_kept_room_ends_before_it_is_needed() -> None:
    policy = SchedulerPolicy(backfill=Backfill.HOLD)
    script = fleet(cpu_group(min_slices=1, max_slices=1, cores=4), scheduler=policy)
    script.running(script.submit("before", cpu=2, timeout=Millis(10 * HOUR)))
    script.submit("wide", cpu=4)
    script.submit("later", cpu=1)
    hold = next(iter(script.controller.state.holds.values()))
    assert hold.job == "/alice/wide"
    script.advance(MINUTE)
    passing = script.submit("passing", cpu=2, timeout=Millis(HOUR))
    assert script.the(de.Placement).job == passing
    outstays = "V-23 /alice/passing was let into the room kept for /alice/wide, and may outstay it"
    why = "it ends before the place is needed by its holder"
    assert told(script, "passing", why=why) == ""
    assert told(script, "passing", why=de.KEPT[de.HoldKind.BACKFILL]) == ""
    job = script.job(passing)
    put(job, spec=replace(job.spec, timeout=Millis(10 * HOUR)))
    assert told(script, "passing", why=why) == outstays
    put(hold, since=script.now)
    assert told(script, "passing", why=why) == ""
    put(hold, since=Instant(0))
    put(job, spec=replace(job.spec, timeout=None))
    assert told(script, "passing", why=why) == outstays
    put(script.worker(HOST), committed=Resources())
    assert told(script, "passing", why=why) == ""
