"""Holds: what is kept for work that was about to be overtaken, who may use it, and when it ends."""

from dataclasses import replace

import pytest

from iris.core import decisions as de
from iris.core import events as ev
from iris.core.holds import HOSTS_LOOKED_AT
from iris.core.ids import JobId, RequestId, UserName
from iris.core.instant import HOUR, MINUTE, Instant, Millis
from iris.core.lifecycle import AttemptState, JobState
from iris.core.resources import Resources
from iris.core.retry import EndCause
from iris.core.spec import (
    AutoscalerPolicy,
    Backfill,
    Band,
    Constraint,
    ConstraintOp,
    JobSpec,
    SchedulerPolicy,
    TimeoutPolicy,
)
from tests.harness import GIB, Script, cluster, cpu_group, fleet, tpu_group

STOP = TimeoutPolicy().stop_timeout
HOLD = SchedulerPolicy(eviction=False)
GREEDY = SchedulerPolicy(eviction=False, backfill=Backfill.GREEDY)
NONE = SchedulerPolicy(eviction=False, backfill=Backfill.NONE)
LONG = Millis(10 * HOUR)


def pair(policy: SchedulerPolicy = HOLD, *, slices: int = 1) -> Script:
    """Slices of two machines of four cores."""
    return fleet(cpu_group(hosts=2, min_slices=slices, max_slices=slices), scheduler=policy)


def gang(script: Script, name: str = "gang", *, band: Band = Band.INTERACTIVE) -> JobId:
    return script.submit(name, gang=True, replicas=2, cpu=4, band=band)


def starved(policy: SchedulerPolicy, rounds: int) -> Script:
    """A gang behind a small job, while small jobs go on coming, one for each that ends."""
    script = pair(policy)
    job = script.submit("small-0")
    wide = gang(script)
    for number in range(1, rounds + 1):
        newer = script.submit(f"small-{number}")
        if script.job(wide).state is JobState.RUNNING:
            break
        script.advance(MINUTE)
        if script.job(job).state is JobState.RUNNING:
            script.finish(job)
        job = newer
    return script


def state_of(script: Script, job: str) -> JobState:
    return script.job(JobId(job)).state


def test_i_16_a_gang_is_not_starved_by_a_stream_of_small_jobs() -> None:
    script = starved(HOLD, rounds=5)
    assert state_of(script, "/alice/gang") is JobState.RUNNING
    assert state_of(script, "/alice/small-1") is JobState.PENDING


def test_i_16_a_greedy_policy_starves_it() -> None:
    script = starved(GREEDY, rounds=5)
    assert state_of(script, "/alice/gang") is JobState.PENDING
    assert state_of(script, "/alice/small-5") is JobState.RUNNING


def test_i_16_jobs_of_other_groups_do_not_feel_the_hold() -> None:
    script = fleet(
        cpu_group(hosts=2, min_slices=1, max_slices=1),
        tpu_group(hosts=1, min_slices=1, max_slices=1),
        scheduler=HOLD,
    )
    script.submit("small")
    gang(script)
    script.submit("next")
    assert script.decided(de.Holding)
    other = script.submit("other", tpu="v5litepod-16")
    assert script.job(other).state is JobState.RUNNING


def test_i_16_work_in_another_group_overtakes_nobody_so_nothing_is_kept() -> None:
    script = fleet(
        cpu_group(hosts=2, min_slices=1, max_slices=1),
        cpu_group("two", min_slices=1, max_slices=1),
        scheduler=HOLD,
    )
    script.submit("small", constraints=(Constraint("group", ConstraintOp.IN, ("cpu",)),))
    gang(script)
    script.submit("other", constraints=(Constraint("group", ConstraintOp.IN, ("two",)),))
    assert script.decided(de.Placement)
    assert not script.decided(de.Holding)


def test_nothing_is_kept_before_somebody_is_about_to_overtake() -> None:
    script = pair()
    script.submit("small")
    gang(script)
    assert not script.decided(de.Holding)
    script.submit("later")
    hold = script.the(de.Holding)
    assert (hold.job, hold.workers) == ("/alice/gang", ("iris-cpu-1-w0", "iris-cpu-1-w1"))
    assert not script.decided(de.Placement)


def test_what_is_kept_is_the_slice_that_is_expected_to_be_free_first() -> None:
    script = pair(slices=3)
    # Each of three slices has one busy host: for how long, nobody knows, ten hours, and one.
    for name, timeout in (("open", None), ("long", LONG), ("short", Millis(HOUR))):
        script.submit(name, gang=True, replicas=2, cpu=3, timeout=timeout)
        script.ends(script.task(JobId(f"/alice/{name}"), 1).id)
    gang(script)
    script.submit("later")
    hold = script.the(de.Holding)
    assert hold.workers == ("iris-cpu-3-w0", "iris-cpu-3-w1")
    assert hold.expected == HOUR + STOP


def kept_until(hours: int = 10) -> Script:
    """A gang for which a slice is kept whose only task ends within so many hours."""
    script = pair()
    script.submit("there", cpu=3, timeout=Millis(hours * HOUR))
    gang(script)
    script.submit("later")
    assert script.the(de.Holding).expected == hours * HOUR + STOP
    return script


def test_later_work_that_surely_ends_before_may_use_what_is_kept() -> None:
    script = kept_until()
    job = script.submit("short", cpu=2, timeout=Millis(HOUR))
    assert script.the(de.Placement).job == job
    assert "ends before" in script.the(de.Placement).why


def test_it_may_do_so_to_the_very_millisecond() -> None:
    script = kept_until()
    over = script.submit("over", cpu=2, timeout=Millis(10 * HOUR + 1))
    assert script.job(over).state is JobState.PENDING
    exact = script.submit("exact", cpu=3, timeout=Millis(10 * HOUR))
    assert script.job(exact).state is JobState.RUNNING


def test_later_work_without_a_timeout_may_not() -> None:
    script = kept_until()
    job = script.submit("open")
    assert script.job(job).state is JobState.PENDING


def test_nobody_may_where_those_who_are_there_say_not_when_they_end() -> None:
    script = pair()
    script.submit("there", cpu=3)
    gang(script)
    script.submit("later")
    assert script.the(de.Holding).expected is None
    job = script.submit("short", timeout=Millis(MINUTE))
    assert script.job(job).state is JobState.PENDING


def test_another_gang_never_passes_however_short() -> None:
    script = kept_until()
    job = script.submit("brief", gang=True, replicas=2, timeout=Millis(MINUTE))
    assert script.job(job).state is JobState.PENDING


def test_who_may_pass_is_let_in_also_when_room_comes_later() -> None:
    script = pair()
    script.submit("one", cpu=3, timeout=LONG)
    script.submit("two", cpu=3, timeout=Millis(HOUR))
    gang(script)
    script.submit("later")
    short = script.submit("short", cpu=3, timeout=Millis(MINUTE))
    assert script.job(short).state is JobState.PENDING
    script.finish(JobId("/alice/two"))
    assert script.job(short).state is JobState.RUNNING
    assert script.attempt(script.task(short).id).worker == "iris-cpu-1-w1"


def test_of_two_who_may_pass_the_one_goes_that_came_first() -> None:
    script = kept_until()
    need = Resources(cpu=3_000, memory=GIB)
    specs = [
        JobSpec(UserName(user), "short", resources=need, timeout=Millis(HOUR))
        for user in ("zoe", "adam")
    ]
    script.step(*(ev.JobSubmitted(RequestId(spec.user), spec) for spec in specs))
    assert script.the(de.Placement).job == "/zoe/short"


def test_more_urgent_work_that_may_pass_leaves_the_hold_alone() -> None:
    script = kept_until()
    job = script.submit("short", cpu=2, timeout=Millis(HOUR), band=Band.PRODUCTION)
    assert script.job(job).state is JobState.RUNNING
    assert not script.decided(de.Release)


def test_who_may_pass_is_let_in_though_an_earlier_one_of_its_shape_may_not() -> None:
    script = kept_until()
    script.submit("open", user="bob", cpu=2)
    job = script.submit("short", user="carol", cpu=2, timeout=Millis(HOUR))
    assert script.job(job).state is JobState.RUNNING


def test_nobody_passes_onto_a_host_where_a_launch_of_it_failed() -> None:
    script = kept_until()
    failed = script.submit("failed", cpu=2, timeout=Millis(MINUTE))
    script.ends(script.task(failed).id, EndCause.LAUNCH).advance(MINUTE)
    assert script.job(failed).state is JobState.PENDING
    assert script.attempt(script.task(failed).id).worker == "iris-cpu-1-w1"


def test_nobody_passes_onto_a_host_of_a_group_that_it_may_not_use() -> None:
    script = fleet(
        cpu_group(hosts=2, min_slices=1, max_slices=1),
        cpu_group("other", min_slices=1, max_slices=1),
        scheduler=HOLD,
    )
    script.submit("there", cpu=3, timeout=LONG)
    script.submit("fill", cpu=4, constraints=(Constraint("group", ConstraintOp.IN, ("other",)),))
    gang(script)
    script.submit("later")
    assert script.decided(de.Holding)
    other = Constraint("group", ConstraintOp.NOT_IN, ("cpu",))
    short = script.submit("short", timeout=Millis(MINUTE), constraints=(other,))
    assert script.job(short).state is JobState.PENDING


# ---- for one task ------------------------------------------------------------------------------


def test_a_wide_task_is_kept_a_host_too() -> None:
    script = fleet(cpu_group(min_slices=2, max_slices=2), scheduler=HOLD)
    script.submit("a", cpu=3, timeout=LONG)
    script.submit("b", cpu=3, timeout=Millis(HOUR))
    wide = script.submit("wide", cpu=4)
    later = script.submit("later")
    # The host that is free first is kept; the other one is everybody's.
    assert script.the(de.Holding).workers == ("iris-cpu-2-w0",)
    assert script.attempt(script.task(later).id).worker == "iris-cpu-1-w0"
    script.finish(JobId("/alice/b"))
    assert script.job(wide).state is JobState.RUNNING


def small_machine(script: Script) -> None:
    """The first machine turns out to be smaller than the configuration says."""
    name = script.coming("cpu")[0]
    registered = script.registration(name, 0)
    script.step(replace(registered, offers=registered.offers._replace(cpu=3_000)))


def test_no_host_is_kept_that_could_never_have_the_room() -> None:
    script = cluster(cpu_group(min_slices=2, max_slices=2), scheduler=HOLD)
    small_machine(script)
    script.ready("cpu")
    script.submit("there", cpu=2, timeout=Millis(HOUR))
    script.submit("beside", cpu=3)
    assert script.attempt(script.task(JobId("/alice/there")).id).worker == "iris-cpu-1-w0"
    script.submit("wide", cpu=4)
    script.submit("later")
    # The small machine is free first, and of no use.
    assert script.the(de.Holding).workers == ("iris-cpu-2-w0",)


def test_no_slice_is_kept_with_a_host_that_could_never_have_the_room() -> None:
    script = cluster(cpu_group(hosts=2, min_slices=1, max_slices=1), scheduler=HOLD)
    small_machine(script)
    script.ready("cpu")
    script.submit("there", cpu=2)
    gang(script)
    script.submit("later")
    assert not script.decided(de.Holding)
    assert state_of(script, "/alice/later") is JobState.RUNNING


@pytest.mark.parametrize("users", [1, 3])
def test_each_place_is_kept_for_one_holder_only(users: int) -> None:
    script = pair()
    script.submit("there", cpu=3)
    for number in range(users):
        script.submit("wide", user=f"user-{number}", gang=True, replicas=2, cpu=4)
    script.submit("later", user="zoe")
    assert script.the(de.Holding).job == "/user-0/wide"


# ---- more urgent work --------------------------------------------------------------------------


def test_what_is_kept_for_a_lower_band_makes_way_for_a_higher_one() -> None:
    script = pair()
    script.submit("there", cpu=2)
    gang(script, band=Band.BATCH)
    script.submit("later", band=Band.BATCH)
    assert script.decided(de.Holding)
    urgent = script.submit("urgent", cpu=2, band=Band.PRODUCTION)
    assert script.decided(de.Release)[0].job == "/alice/gang"
    assert script.job(urgent).state is JobState.RUNNING


def test_what_is_kept_makes_way_for_no_equal_and_only_where_that_helps() -> None:
    script = pair()
    script.submit("there", cpu=2)
    gang(script, band=Band.INTERACTIVE)
    script.submit("later", band=Band.BATCH)
    equal = script.submit("equal", cpu=2)
    too_wide = gang(script, "too-wide", band=Band.PRODUCTION)
    assert {equal, too_wide} & {r.job for r in script.decided(de.Release)} == set()
    assert not script.decided(de.Release)
    assert script.job(equal).state is script.job(too_wide).state is JobState.PENDING


def test_a_gang_of_a_higher_band_takes_the_slice_that_was_kept() -> None:
    script = pair()
    script.submit("there", cpu=1)
    gang(script, band=Band.BATCH)
    script.submit("later", band=Band.BATCH)
    urgent = script.submit("urgent", gang=True, replicas=2, cpu=3, band=Band.PRODUCTION)
    assert script.job(urgent).state is JobState.RUNNING
    states = {a.state for t in script.job(urgent).tasks for a in t.attempts}
    assert states == {AttemptState.ASSIGNED}


def test_strict_order_keeps_nothing_since_nobody_overtakes() -> None:
    script = pair(NONE)
    script.submit("there", cpu=3)
    gang(script)
    later = script.submit("later")
    assert not script.decided(de.Holding)
    assert script.job(later).state is JobState.PENDING
    assert script.now == Instant(0)


def test_a_slice_that_accelerator_work_waits_for_is_not_given_up_for_cpu_work() -> None:
    script = fleet(tpu_group(min_slices=1, max_slices=1), scheduler=HOLD)
    tpu = "v5litepod-16"
    there = script.submit("there", cpu=7)
    script.submit("wide", gang=True, replicas=2, tpu=tpu, cpu=8, band=Band.BATCH)
    script.submit("less", gang=True, replicas=2, tpu=tpu, cpu=2, band=Band.BATCH)
    script.submit("least", gang=True, replicas=2, tpu=tpu, cpu=1, band=Band.BATCH)
    assert script.the(de.Holding).job == "/alice/wide"
    urgent = script.submit("urgent", band=Band.PRODUCTION)
    assert not script.decided(de.Release)
    assert script.job(urgent).state is JobState.PENDING
    script.finish(there)
    assert state_of(script, "/alice/wide") is JobState.RUNNING


def test_for_wide_cpu_work_a_cpu_machine_is_kept_and_never_an_accelerator_host() -> None:
    script = fleet(
        tpu_group(hosts=1, min_slices=1, max_slices=1),
        cpu_group(cores=8, min_slices=1, max_slices=1),
        scheduler=HOLD,
    )
    script.submit("on-cpu", cpu=7)
    script.submit("on-tpu", cpu=7)
    script.submit("wide", cpu=8)
    script.submit("later")
    assert script.the(de.Holding).workers == ("iris-cpu-2-w0",)


def test_of_many_hosts_the_ones_with_the_most_room_are_compared() -> None:
    count = HOSTS_LOOKED_AT + 8
    script = fleet(
        cpu_group(min_slices=count, max_slices=count),
        scheduler=HOLD,
        autoscaler=AutoscalerPolicy(create_burst=count),
    )
    script.submit("short", cpu=4, timeout=Millis(HOUR))
    script.submit("open", cpu=3, replicas=count - 1)
    script.submit("wide", cpu=4)
    script.submit("later")
    # The first machine is free first, but it is the fullest of all, and the last to be looked at.
    assert script.the(de.Holding).workers == ("iris-cpu-2-w0",)
