"""Whoever goes ahead of the first who waits is told of, if the policy does not let him."""

from dataclasses import replace

import pytest

from iris.core import decisions as de
from iris.core.conduct import Witness
from iris.core.ids import JobId, WorkerId, task_id
from iris.core.record import Turn
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
    script.controller.state.holds.clear()
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


def test_where_something_is_kept_others_pass() -> None:
    script = waiting(Backfill.HOLD)
    assert script.controller.state.holds
    assert told(script, "small") == ""


def test_who_could_never_have_had_the_place_is_not_overtaken_there() -> None:
    script = waiting(Backfill.HOLD, wide=3)
    state = script.controller.state
    state.holds.clear()
    put(state.workers[HOST], offers=state.workers[HOST].offers._replace(cpu=2_000))
    assert told(script, "small") == ""


def test_a_host_that_may_have_no_work_is_nobodys_place() -> None:
    script = waiting(Backfill.HOLD)
    state = script.controller.state
    state.holds.clear()
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
    state.holds.clear()
    name = JobId("/alice/small")
    place = de.Placement(name, (task_id(name, 0),), (WorkerId("iris-tpu-1-w0"),), de.BEST_FIT)
    said = Witness(state).saw(Turn(state.now, (), (place,)))
    assert not [sentence for sentence in said if sentence.startswith("V-23")]
