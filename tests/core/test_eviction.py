"""Eviction: of lower bands only, of those who lose least, for one who then has the room."""

import itertools
from dataclasses import replace

import pytest

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core import events as ev
from iris.core.ids import JobId, RequestId, TaskId, WorkerId
from iris.core.instant import HOUR, MINUTE, SECOND, Millis
from iris.core.lifecycle import AttemptState, JobState
from iris.core.resources import Resources
from iris.core.retry import EndCause
from iris.core.spec import (
    Band,
    Constraint,
    ConstraintOp,
    JobSpec,
    SchedulerPolicy,
    TimeoutPolicy,
)
from tests.harness import ALICE, GIB, Script, cpu_group, fleet, tpu_group

TPU = "v5litepod-16"
STOP = TimeoutPolicy().stop_timeout
BATCH, INTERACTIVE, PRODUCTION = Band.BATCH, Band.INTERACTIVE, Band.PRODUCTION


def machines(count: int = 1, *, cores: int = 4, hosts: int = 1) -> Script:
    return fleet(cpu_group(cores=cores, hosts=hosts, min_slices=count, max_slices=count))


def runs(script: Script, name: str, **spec: object) -> JobId:
    """A batch job that is seen to run."""
    job = script.submit(name, **{"band": BATCH, **spec})  # type: ignore[arg-type]  # names of fields
    script.running(job)
    assert script.job(job).state is JobState.RUNNING, name
    return job


def victims(script: Script) -> list[str]:
    return [victim for eviction in script.decided(de.Eviction) for victim in eviction.victims]


def test_who_must_go_and_who_comes_is_one_decision() -> None:
    script = machines()
    job = runs(script, "old", cpu=4)
    urgent = script.submit("urgent", cpu=3)
    eviction = script.the(de.Eviction)
    assert (eviction.job, eviction.victims) == (urgent, (f"{job}:0",))
    assert eviction.workers == ("iris-cpu-1-w0",)
    assert script.the(ef.StopAttempt).task == f"{job}:0"
    # Nothing is started before the victim is seen to be gone.
    assert script.job(urgent).state is JobState.PENDING
    script.stopped(job)
    assert script.the(de.Placement).job == urgent
    assert script.attempt(TaskId(f"{job}:0")).state is AttemptState.EVICTED


def test_urgent_work_that_comes_to_a_quiet_cluster_is_heeded_at_once() -> None:
    script = machines()
    runs(script, "old", cpu=4)
    script.advance(2 * HOUR)
    script.submit("urgent")
    assert script.decided(de.Eviction)


@pytest.mark.parametrize(("low", "high"), list(itertools.product(Band, Band)))
@pytest.mark.parametrize("hosts", [0, 2])
@pytest.mark.parametrize("count", [1, 2])
def test_i_05_of_all_pairs_of_bands_exactly_the_strictly_lower_one_makes_way(
    low: Band, high: Band, hosts: int, count: int
) -> None:
    script = machines(hosts=2)
    for number in range(2 * count):
        runs(script, f"old-{number}", cpu=4 // count, band=low)
    urgent = script.submit("urgent", cpu=4, band=high, gang=bool(hosts), replicas=hosts or 1)
    assert len(victims(script)) == (count * (hosts or 1) if high < low else 0)
    if high < low:
        old = [JobId(victim.rpartition(":")[0]) for victim in victims(script)]
        for job in old:
            script.stopped(job)
        assert script.job(urgent).state is JobState.RUNNING


def test_i_03_work_of_one_band_never_evicts_whatever_its_users_have_used() -> None:
    script = machines(2)
    runs(script, "hog", user="bob", cpu=4, band=INTERACTIVE)
    runs(script, "urgent", cpu=3, band=PRODUCTION)
    # A victim there is, but what it would leave is not enough.
    runs(script, "low", user="bob", cpu=1)
    script.advance(20 * HOUR)
    for name in ("one", "two", "three"):
        script.submit(name, user="alice", cpu=2)
        assert not script.decided(de.Eviction)


def test_nobody_is_evicted_where_the_policy_says_so() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1), scheduler=SchedulerPolicy(eviction=False))
    runs(script, "old", cpu=4)
    script.submit("urgent", band=PRODUCTION)
    assert not script.decided(de.Eviction)


# ---- whose loss is least -----------------------------------------------------------------------


def test_as_few_go_as_are_needed_and_those_who_have_run_least() -> None:
    script = machines(cores=4)
    for name in ("oldest", "older", "young", "youngest"):
        runs(script, name)
        script.advance(MINUTE)
    script.submit("urgent", cpu=2)
    assert victims(script) == ["/alice/youngest:0", "/alice/young:0"]


def test_nobody_goes_who_could_have_been_spared() -> None:
    script = machines(cores=4)
    runs(script, "large", cpu=3)
    script.advance(MINUTE)
    runs(script, "small", cpu=1)
    script.submit("urgent", cpu=3)
    # The small one loses least, but when the large one goes it need not.
    assert victims(script) == ["/alice/large:0"]


def test_i_15_work_since_the_last_checkpoint_is_what_is_lost() -> None:
    script = machines(2)
    runs(script, "saves", cpu=4, checkpoint_every=Millis(10 * MINUTE))
    script.advance(8 * MINUTE)
    runs(script, "saves-not", cpu=4)
    script.advance(2 * MINUTE + 30 * SECOND)
    # Ten and a half minutes against two and a half; but half a minute since it saved.
    script.submit("urgent", cpu=4)
    assert victims(script) == ["/alice/saves:0"]


def test_who_has_not_begun_loses_nothing() -> None:
    script = machines(2)
    runs(script, "runs", cpu=1)
    script.advance(1)
    runs(script, "big", cpu=4)
    script.submit("assigned", cpu=3, band=BATCH)
    script.submit("urgent", cpu=2)
    assert victims(script) == ["/alice/assigned:0"]


def test_what_a_victim_holds_weighs() -> None:
    script = machines(2)
    runs(script, "four", cpu=4)
    runs(script, "three", cpu=3)
    script.advance(MINUTE)
    script.submit("urgent", cpu=3)
    assert victims(script) == ["/alice/three:0"]


def test_the_lowest_band_goes_first_on_a_host_and_between_hosts() -> None:
    script = machines(2)
    runs(script, "batch-long", cpu=4)
    script.advance(HOUR)
    runs(script, "interactive-short", cpu=4, band=INTERACTIVE)
    script.submit("urgent", cpu=4, band=PRODUCTION)
    assert victims(script) == ["/alice/batch-long:0"]
    script.submit("more", cpu=4, band=PRODUCTION)
    assert victims(script) == ["/alice/interactive-short:0"]


def test_a_member_of_a_gang_costs_the_whole_gang() -> None:
    script = fleet(
        cpu_group("pair", hosts=2, min_slices=1, max_slices=1),
        cpu_group("one", min_slices=1, max_slices=1),
    )
    here = Constraint("group", ConstraintOp.IN, ("one",))
    runs(script, "single", cpu=4, constraints=(here,))
    script.advance(MINUTE)
    runs(script, "gang", gang=True, replicas=2, cpu=4)
    script.advance(2 * MINUTE)
    # Three minutes of the single one, against twice two of the gang.
    script.submit("urgent", cpu=4)
    assert victims(script) == ["/alice/single:0"]


def test_a_gang_is_counted_once_however_many_of_its_members_must_go() -> None:
    script = machines(2, hosts=2)
    for number in range(2):
        runs(script, f"single-{number}", cpu=4)
    script.advance(MINUTE)
    runs(script, "gang", gang=True, replicas=2, cpu=4)
    script.advance(2 * MINUTE)
    # Twice two minutes of the gang against twice three; counted for each member it would be eight.
    script.submit("urgent", gang=True, replicas=2, cpu=4)
    assert victims(script) == ["/alice/gang:0", "/alice/gang:1"]


# ---- the room is the beneficiary's -------------------------------------------------------------


def test_i_01_nobody_slips_into_the_room_that_victims_leave_one_by_one() -> None:
    script = machines(hosts=2)
    first, second = runs(script, "one", cpu=4), runs(script, "two", cpu=4)
    urgent = script.submit("urgent", gang=True, replicas=2, cpu=4)
    assert sorted(victims(script)) == [f"{first}:0", f"{second}:0"]
    for number in range(5):
        script.submit(f"small-{number}", timeout=Millis(SECOND))
    script.stopped(first)
    assert not script.decided(de.Placement)
    script.stopped(second)
    assert script.decided(de.Placement)[0].job == urgent
    assert script.job(urgent).state is JobState.RUNNING


def test_i_01_a_beneficiary_evicts_once_however_long_its_victims_take() -> None:
    script = machines(2)
    first = runs(script, "one", cpu=4)
    runs(script, "two", cpu=4)
    script.submit("urgent", cpu=4)
    script.advance(STOP - 1)
    script.submit("other", band=BATCH)
    assert not script.decided(de.Eviction)
    assert script.job(first).tasks[0].attempts[0].state is AttemptState.STOPPING


def test_i_02_a_victim_that_will_not_stop_frees_its_beneficiary() -> None:
    script = machines(2)
    stuck = runs(script, "stuck", cpu=4)
    free = runs(script, "free", cpu=4, band=PRODUCTION)
    urgent = script.submit("urgent", cpu=4)
    script.advance(STOP)
    assert script.the(de.Release).job == urgent
    assert script.attempt(TaskId(f"{stuck}:0")).state is AttemptState.EVICTED
    script.finish(free)
    assert script.job(urgent).state is JobState.RUNNING


def test_i_06_whoever_is_in_the_way_goes_not_only_victims_of_the_same_shape() -> None:
    script = fleet(tpu_group(hosts=4, min_slices=1, max_slices=1))
    for number in range(3):
        runs(script, f"small-{number}", cpu=6)
    gang = script.submit("gang", gang=True, replicas=4, tpu=TPU, cpu=8, band=PRODUCTION)
    assert len(victims(script)) == 3
    for number in range(3):
        script.stopped(JobId(f"/alice/small-{number}"))
    assert script.job(gang).state is JobState.RUNNING


def test_i_12_room_in_pieces_is_no_room_so_those_go_who_stand_between() -> None:
    script = machines(hosts=2)
    runs(script, "left", cpu=3)
    runs(script, "right", cpu=3)
    script.submit("urgent", cpu=2, band=PRODUCTION)
    assert len(victims(script)) == 1


def test_i_17_a_hundred_beneficiaries_evict_in_one_turn() -> None:
    script = machines(25)
    script.submit("old", replicas=100, band=BATCH)
    job = script.submit("urgent", replicas=100)
    assert len(victims(script)) == 100
    assert script.job(job).state is JobState.PENDING


def test_nobody_is_evicted_for_room_that_is_being_left_anyway() -> None:
    script = machines(2)
    leaving, staying = runs(script, "leaving", cpu=4), runs(script, "staying", cpu=4)
    script.stop(leaving)
    urgent = script.submit("urgent", cpu=4)
    assert not script.decided(de.Eviction)
    script.stopped(leaving)
    assert script.job(urgent).state is JobState.RUNNING
    assert script.job(staying).state is JobState.RUNNING


def test_a_gang_does_not_evict_for_a_slice_that_is_being_left_anyway() -> None:
    script = machines(2, hosts=2)
    leaving = runs(script, "leaving", gang=True, replicas=2, cpu=4)
    runs(script, "staying", gang=True, replicas=2, cpu=4)
    script.stop(leaving)
    script.submit("urgent", gang=True, replicas=2, cpu=4)
    assert not script.decided(de.Eviction)


def test_who_waited_for_room_that_another_took_evicts_after_all() -> None:
    script = machines(2)
    leaving, staying = runs(script, "leaving", cpu=4), runs(script, "staying", cpu=4)
    script.stop(leaving)
    first = script.submit("first", cpu=3)
    second = script.submit("second", cpu=3)
    assert not script.decided(de.Eviction)
    script.stopped(leaving)
    assert script.job(first).state is JobState.RUNNING
    assert script.the(de.Eviction).job == second
    assert victims(script) == [f"{staying}:0"]


# ---- beside holds, spare cores and hopeless searches -------------------------------------------


def test_what_is_kept_for_the_beneficiary_already_is_no_bar_to_its_eviction() -> None:
    script = machines(hosts=2)
    old = runs(script, "old", cpu=2, band=PRODUCTION, timeout=HOUR)
    script.submit("wide", gang=True, replicas=2, cpu=4, band=INTERACTIVE)
    script.submit("later", band=BATCH)
    assert script.the(de.Holding).job == "/alice/wide"
    runs(script, "quick", cpu=2, band=BATCH, timeout=MINUTE)
    script.finish(old)
    assert script.the(de.Eviction).job == "/alice/wide"
    assert victims(script) == ["/alice/quick:0"]


def test_room_is_taken_for_the_urgent_before_later_work_is_placed_in_it() -> None:
    script = machines(hosts=2)
    runs(script, "old", cpu=2)
    script.step(
        *(
            ev.JobSubmitted(RequestId(spec.name), spec)
            for spec in (
                replace(small("urgent", PRODUCTION, 4), coscheduled=True, replicas=2),
                small("later", BATCH, 1),
            )
        )
    )
    assert victims(script) == ["/alice/old:0"]
    assert not script.decided(de.Placement)


def small(name: str, band: Band, cpu: int) -> JobSpec:
    need = Resources(cpu=cpu * 1_000, memory=GIB)
    return JobSpec(ALICE, name, band=band, resources=need)


def test_what_is_kept_for_a_lower_band_is_no_bar_and_is_given_up() -> None:
    script = machines(hosts=2)
    runs(script, "old", cpu=2, band=INTERACTIVE)
    script.submit("wide", gang=True, replicas=2, cpu=4, band=BATCH)
    script.submit("later", band=BATCH)
    assert script.decided(de.Holding)
    script.submit("urgent", gang=True, replicas=2, cpu=3, band=PRODUCTION)
    assert script.the(de.Release).job == "/alice/wide"
    assert victims(script) == ["/alice/old:0"]


def test_who_evicts_gives_up_what_was_kept_for_it_elsewhere_and_others_use_it_at_once() -> None:
    script = fleet(
        cpu_group("a", min_slices=1, max_slices=1), cpu_group("b", min_slices=1, max_slices=1)
    )
    in_a = Constraint("group", ConstraintOp.IN, ("a",))
    in_b = (replace(in_a, values=("b",)),)
    runs(script, "mate", cpu=3, band=PRODUCTION, constraints=(in_a,))
    runs(script, "half", cpu=2, band=PRODUCTION, constraints=in_b)
    runs(script, "low", cpu=2, constraints=in_b)
    script.submit("wide", cpu=4, band=PRODUCTION)
    later = script.submit("later", band=BATCH, constraints=(in_a,))
    assert script.the(de.Holding).workers == ("iris-a-1-w0",)
    script.finish(JobId("/alice/half"))
    assert victims(script) == ["/alice/low:0"]
    assert script.the(de.Placement).job == later


def test_cpu_work_does_not_evict_from_hosts_that_accelerator_work_waits_for() -> None:
    script = fleet(tpu_group(hosts=1, min_slices=1, max_slices=1))
    low = runs(script, "low", cpu=8)
    script.submit("waits", gang=True, tpu=TPU, cpu=8, band=BATCH)
    cpu = script.submit("cpu", band=PRODUCTION)
    assert not script.decided(de.Eviction)
    # When nobody waits for them any more, it may, though no host has changed meanwhile.
    script.stop(JobId("/alice/waits"))
    assert script.the(de.Eviction).job == cpu
    assert victims(script) == [f"{low}:0"]


def test_cpu_work_drives_no_accelerator_work_off_its_chips() -> None:
    script = fleet(tpu_group(hosts=1, min_slices=1, max_slices=1))
    runs(script, "gang", gang=True, tpu=TPU, cpu=8)
    script.submit("cpu", band=PRODUCTION)
    assert not script.decided(de.Eviction)


def test_no_eviction_on_a_host_that_the_task_must_avoid_or_that_may_have_no_work() -> None:
    script = machines(2)
    job = script.submit("urgent", cpu=4, band=PRODUCTION)
    script.ends(script.task(job).id, EndCause.LAUNCH)
    runs(script, "one", cpu=4)
    runs(script, "two", cpu=4)
    script.step(ev.WorkerDrainRequested(WorkerId("iris-cpu-2-w0")))
    script.advance(MINUTE)
    assert not script.decided(de.Eviction)
    script.step(ev.WorkerDrainRequested(WorkerId("iris-cpu-2-w0"), resume=True))
    assert script.the(de.Eviction).workers == ("iris-cpu-2-w0",)


def test_no_gang_evicts_on_a_slice_of_which_a_host_may_have_no_work() -> None:
    script = machines(hosts=2)
    runs(script, "one", cpu=4)
    script.step(ev.WorkerDrainRequested(WorkerId("iris-cpu-1-w1")))
    script.submit("urgent", gang=True, replicas=2, cpu=4, band=PRODUCTION)
    assert not script.decided(de.Eviction)
