"""Where a unit goes: the fullest host that has the room, a whole slice, never where it failed."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iris.core import decisions as de
from iris.core import events as ev
from iris.core.ids import JobId, RequestId, UserName, WorkerId
from iris.core.instant import MINUTE, Millis
from iris.core.lifecycle import JobState
from iris.core.resources import Resources
from iris.core.retry import EndCause
from iris.core.spec import Backfill, Constraint, ConstraintOp, JobSpec, SchedulerPolicy
from tests.harness import ALICE, GIB, Script, cpu_group, fleet, gpu_group, tpu_group

TPU = "v5litepod-16"
LONG = Millis(90 * MINUTE)
GREEDY = SchedulerPolicy(backfill=Backfill.GREEDY)


def hosts_of(script: Script, job: JobId) -> list[WorkerId]:
    return [task.attempts[-1].worker for task in script.job(job).tasks if task.attempts]


def machines(count: int, *, cores: int = 4) -> Script:
    return fleet(cpu_group(cores=cores, min_slices=count, max_slices=count))


def test_a_task_goes_to_the_fullest_host_that_has_the_room() -> None:
    script = machines(3)
    script.submit("three", cpu=3)
    script.submit("two", cpu=2)
    assert hosts_of(script, script.submit("one")) == ["iris-cpu-1-w0"]
    assert hosts_of(script, script.submit("two-more", cpu=2)) == ["iris-cpu-2-w0"]
    assert hosts_of(script, script.submit("four", cpu=4)) == ["iris-cpu-3-w0"]


@settings(max_examples=15)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=8))
def test_best_fit_always_leaves_the_least_room_behind(sizes: list[int]) -> None:
    free = [4_000, 4_000, 4_000]
    script = fleet(cpu_group(min_slices=3, max_slices=3), scheduler=GREEDY)
    for number, size in enumerate(sizes):
        fitting = [amount for amount in free if amount >= 1_000 * size]
        job = script.submit(f"job-{number}", cpu=size)
        if not fitting:
            assert hosts_of(script, job) == []
            continue
        (host,) = hosts_of(script, job)
        index = int(host.split("-")[2]) - 1
        assert free[index] == min(fitting)
        free[index] -= 1_000 * size


def test_i_112_cpu_work_prefers_cpu_machines_however_empty() -> None:
    script = fleet(
        tpu_group(hosts=1, min_slices=1), cpu_group(cores=64, min_slices=1, max_slices=1)
    )
    assert hosts_of(script, script.submit()) == ["iris-cpu-2-w0"]


def test_cpu_work_may_use_spare_cores_of_accelerator_hosts() -> None:
    script = fleet(tpu_group(min_slices=1, max_slices=1))
    script.submit("gang", gang=True, replicas=2, tpu=TPU)
    assert hosts_of(script, script.submit("cpu")) == ["iris-tpu-1-w0"]


@pytest.mark.parametrize("policy", [GREEDY, SchedulerPolicy()])
def test_cpu_work_stays_off_accelerator_hosts_while_accelerator_work_waits_for_them(
    policy: SchedulerPolicy,
) -> None:
    script = fleet(tpu_group(min_slices=1, max_slices=1), scheduler=policy)
    gang = script.submit("gang", gang=True, replicas=2, tpu=TPU)
    waiting = script.submit("waits", gang=True, replicas=2, tpu=TPU)
    cpu = script.submit("cpu")
    assert script.job(cpu).state is JobState.PENDING
    script.running(gang).finish(gang)
    # The second gang is placed in the same turn, and then nobody waits for the hosts.
    placed = [p.job for p in script.decided(de.Placement)]
    assert placed == [waiting, cpu]


def test_cpu_work_does_not_mind_accelerator_work_that_waits_for_another_kind() -> None:
    script = fleet(gpu_group(max_slices=1), tpu_group(min_slices=1, max_slices=1))
    script.submit("gpus", gpus=8)
    assert script.job(JobId("/alice/gpus")).state is JobState.PENDING
    assert hosts_of(script, script.submit("cpu")) == ["iris-tpu-1-w0"]


def submitted_together(script: Script, *specs: JobSpec) -> list[JobId]:
    script.step(*(ev.JobSubmitted(RequestId(s.name), s) for s in specs))
    return [p.job for p in script.decided(de.Placement)]


def test_nothing_on_accelerator_hosts_is_kept_from_their_own_work_for_cpu_work() -> None:
    script = fleet(
        tpu_group(hosts=1, min_slices=1, max_slices=1), cpu_group(min_slices=1, max_slices=1)
    )
    script.submit("fill", cpu=4)
    alice, need = UserName("alice"), Resources(cpu=1_000, memory=GIB)
    placed = submitted_together(
        script,
        JobSpec(alice, "cpu", resources=need),
        JobSpec(alice, "gang", coscheduled=True, accelerator=TPU, resources=need._replace(chips=4)),
    )
    assert placed == ["/alice/gang", "/alice/cpu"]


def test_the_fullest_host_is_found_in_whichever_group_it_is() -> None:
    script = fleet(
        cpu_group("small", cores=2, min_slices=1, max_slices=1),
        cpu_group("big", cores=8, min_slices=1, max_slices=1),
    )
    assert hosts_of(script, script.submit("two", cpu=2)) == ["iris-small-1-w0"]
    assert hosts_of(script, script.submit("seven", cpu=7)) == ["iris-big-2-w0"]
    script.finish(JobId("/alice/two"))
    assert hosts_of(script, script.submit("one")) == ["iris-big-2-w0"]
    assert script.the(de.Placement).why == de.BEST_FIT


def preference(group: str, *, soft: bool) -> tuple[Constraint, ...]:
    return (Constraint("group", ConstraintOp.IN, (group,), soft=soft),)


def test_a_soft_constraint_only_prefers() -> None:
    script = fleet(
        cpu_group("big", cores=8, min_slices=1, max_slices=1),
        cpu_group("small", cores=2, min_slices=1, max_slices=1),
    )
    assert hosts_of(script, script.submit("any")) == ["iris-small-2-w0"]
    soft, hard = preference("big", soft=True), preference("small", soft=False)
    assert hosts_of(script, script.submit("likes", cpu=8, constraints=soft)) == ["iris-big-1-w0"]
    assert hosts_of(script, script.submit("still", constraints=soft)) == ["iris-small-2-w0"]
    # Full: the soft one went elsewhere, the hard one waits.
    assert hosts_of(script, script.submit("must", constraints=hard)) == []


def test_i_25_a_gang_takes_one_slice_whole_with_rank_i_on_host_i() -> None:
    script = fleet(tpu_group(hosts=4, min_slices=2, max_slices=2))
    gang = script.submit("gang", gang=True, replicas=4, tpu=TPU)
    placement = script.the(de.Placement)
    assert placement.tasks == tuple(f"{gang}:{rank}" for rank in range(4))
    assert placement.workers == tuple(f"iris-tpu-1-w{host}" for host in range(4))


def test_i_25_a_gang_of_another_size_than_the_slice_is_never_placed() -> None:
    script = fleet(tpu_group(hosts=4, min_slices=1))
    half = script.submit("half", gang=True, replicas=2, tpu=TPU)
    assert script.job(half).state is JobState.UNSCHEDULABLE
    assert not script.decided(de.Placement)


def test_i_26_two_gangs_and_one_slice_in_one_turn_leave_one_waiting() -> None:
    script = fleet(tpu_group(min_slices=1, max_slices=1))
    alice, need = UserName("alice"), Resources(chips=4, cpu=1_000, memory=GIB)
    gang = JobSpec(alice, "one", coscheduled=True, replicas=2, accelerator=TPU, resources=need)
    other = JobSpec(
        UserName("bob"), "two", coscheduled=True, replicas=2, accelerator=TPU, resources=need
    )
    assert submitted_together(script, gang, other) == ["/alice/one"]
    assert script.job(JobId("/bob/two")).state is JobState.PENDING
    assert script.worker(WorkerId("iris-tpu-1-w0")).committed.chips == 4


def test_i_26_two_gangs_of_cpu_work_and_one_slice_in_one_turn_leave_one_waiting() -> None:
    script = fleet(cpu_group(hosts=2, min_slices=1, max_slices=1))
    gang = JobSpec(ALICE, "one", coscheduled=True, replicas=2, resources=Resources(cpu=3_000))
    placed = submitted_together(script, gang, replace(gang, name="two"))
    assert placed == ["/alice/one"]


def test_a_gang_that_fits_on_all_hosts_but_one_is_not_placed() -> None:
    script = fleet(cpu_group(hosts=3, min_slices=1, max_slices=1))
    script.submit("small")
    gang = script.submit("gang", gang=True, replicas=3, cpu=4)
    assert script.job(gang).state is JobState.PENDING
    script.finish(JobId("/alice/small"))
    assert hosts_of(script, gang) == ["iris-cpu-1-w0", "iris-cpu-1-w1", "iris-cpu-1-w2"]


def test_a_slice_of_which_a_chip_is_used_takes_no_gang() -> None:
    script = fleet(gpu_group(max_slices=2), scheduler=GREEDY)
    script.submit("two", gpus=2)
    script.ready("gpu")
    gang = script.submit("gang", gpus=4, gang=True)
    assert script.job(gang).state is JobState.PENDING
    script.ready("gpu")
    assert hosts_of(script, gang) == ["iris-gpu-2-w0"]


def test_i_28_a_task_waits_rather_than_go_back_to_the_host_it_failed_to_launch_on() -> None:
    script = machines(1)
    job = script.submit()
    script.ends(script.task(job).id, EndCause.LAUNCH).advance(LONG)
    assert script.job(job).state is JobState.PENDING
    assert len(script.task(job).attempts) == 1
    assert not script.job(job).ending


def test_i_28_it_goes_to_the_best_of_the_other_hosts_though_the_bad_one_is_fuller() -> None:
    script = machines(3)
    job = script.submit()
    script.submit("beside", cpu=2)
    script.submit("half", cpu=2)
    script.submit("third", cpu=3)
    script.ends(script.task(job).id, EndCause.LAUNCH).advance(MINUTE)
    assert hosts_of(script, job) == ["iris-cpu-3-w0"]


def test_i_28_nor_does_it_flee_to_accelerator_hosts_that_are_waited_for() -> None:
    script = fleet(
        cpu_group(min_slices=1, max_slices=1), tpu_group(hosts=1, min_slices=1, max_slices=1)
    )
    script.submit("gang", gang=True, tpu=TPU)
    script.submit("waits", gang=True, tpu=TPU)
    job = script.submit("cpu")
    script.ends(script.task(job).id, EndCause.LAUNCH).advance(MINUTE)
    assert hosts_of(script, job) == ["iris-cpu-1-w0"]
    script.stop(JobId("/alice/waits"))
    assert hosts_of(script, job) == ["iris-tpu-2-w0"]


def test_i_28_a_gang_never_returns_to_a_slice_where_a_member_failed_to_launch() -> None:
    script = fleet(tpu_group(min_slices=2, max_slices=2))
    gang = script.submit("gang", gang=True, replicas=2, tpu=TPU)
    script.ends(script.task(gang, 1).id, EndCause.LAUNCH).stopped(gang).advance(MINUTE)
    assert hosts_of(script, gang) == ["iris-tpu-2-w0", "iris-tpu-2-w1"]
