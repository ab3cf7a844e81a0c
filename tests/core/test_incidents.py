"""Failures that others had, one sharp story each: who is served, what is kept, what is forgotten.

Named after their entries on the page of incidents, which lists those that stand elsewhere, too.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given, settings

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core import events as ev
from iris.core.ids import GroupName, JobId, RequestId, SliceId, TaskId, UserName, WorkerId
from iris.core.instant import HOUR, MINUTE, Millis
from iris.core.lifecycle import ENDED_ATTEMPT, AttemptState, JobState, SliceState
from iris.core.resources import NOTHING
from iris.core.retry import EndCause
from iris.core.spec import AutoscalerPolicy, Band, JobSpec, SchedulerPolicy, TimeoutPolicy
from tests.core.situations import TPU, crowds
from tests.harness import Script, cluster, cpu_group, fleet, gpu_group, tpu_group

STOP: Final = TimeoutPolicy().stop_timeout


# ---- who is served ----------------------------------------------------------------------------


def obey(script: Script) -> None:
    """Whatever is being stopped is gone, and whatever may start is seen to run."""
    state = script.controller.state
    live = [task for task in state.tasks.values() if state.live_attempt(task) is not None]
    stopping = [t for t in live if t.attempts[-1].state is AttemptState.STOPPING]
    script.step(*(script.end(task.id, None) for task in stopping))
    script.step(*(r for job in state.jobs for r in script.progress(job, AttemptState.RUNNING)))


@settings(max_examples=12)
@given(crowds())
def test_i_04_nobody_makes_the_same_one_leave_twice_and_evictions_come_to_rest(
    script: Script,
) -> None:
    seen: list[tuple[TaskId, JobId]] = []
    for turn in range(8):
        found = [d for d in script.decisions if isinstance(d, de.Eviction)]
        seen += [(victim, eviction.job) for eviction in found for victim in eviction.victims]
        assert not found or turn < 6, found
        obey(script)
    assert len(seen) == len(set(seen))


def test_i_09_where_nobody_configured_anything_the_band_that_was_asked_for_is_served() -> None:
    script = fleet(tpu_group(min_slices=3, max_slices=3))
    for number in range(2):
        heavy = script.submit(f"heavy-{number}", tpu=TPU, replicas=2, gang=True)
        script.running(heavy)
    low = script.submit("low", user="bob", tpu=TPU, replicas=2, gang=True, band=Band.BATCH)
    script.running(low).advance(20 * HOUR)
    # Alice has used more than anybody, and all of it far above the share of one of three.
    again = script.submit("again", tpu=TPU, replicas=2, gang=True)
    assert script.the(de.Eviction).job == again
    script.stopped(low)
    assert script.job(again).state is JobState.RUNNING


def test_i_10_a_child_is_admitted_counted_and_shown_as_its_parents_users_and_nobody_elses() -> None:
    script = fleet(
        cpu_group(cores=8, min_slices=1), scheduler=SchedulerPolicy(max_tasks_per_user=2)
    )
    parent = script.submit("train")
    script.submit("child", user="bob", parent=parent)
    refused = script.the(ef.Reply).answer
    assert refused == ef.Rejected(
        "user bob: a child of /alice/train belongs to the user whose job that is"
    )
    script.submit("child", parent=parent)
    assert script.controller.state.unended == {"alice": 2}
    script.submit("more", parent=parent)
    assert isinstance(script.the(ef.Reply).answer, ef.Rejected)
    assert {usage.user for usage in script.controller.state.usage.values()} == {"alice"}


@pytest.mark.parametrize("name", ["alice@example.com", "alice/train", "", ".alice"])
def test_i_10_what_could_be_another_spelling_of_a_user_is_no_user(name: str) -> None:
    script = cluster(cpu_group())
    script.submit(user=name)
    assert isinstance(script.the(ef.Reply).answer, ef.Rejected)


def test_i_13_pieces_of_room_on_several_hosts_are_no_room_and_block_nobody() -> None:
    group = replace(gpu_group(max_slices=5), min_slices=4)
    script = fleet(group)
    for number in range(4):
        script.running(script.submit(f"six-{number}", gpus=6))
    whole = script.submit("whole", gpus=8)
    # Eight are free, two on each host: one more machine is asked for, and nobody is placed.
    assert script.job(whole).state is JobState.PENDING
    assert script.the(ef.CreateSlice).group == "gpu"
    behind = script.submit("behind", gpus=2, timeout=MINUTE)
    assert script.the(de.Placement).job == behind
    script.ready("gpu")
    assert script.the(de.Placement).job == whole


def thrown_back(*, launcher: str) -> tuple[Script, JobId, JobId]:
    """A gang that loses the only slice while children of an older launcher wait for it."""
    script = fleet(tpu_group(min_slices=1, max_slices=1), cpu_group(min_slices=1, max_slices=1))
    root = script.submit("launcher", user=launcher)
    script.running(root)
    gang = script.submit("gang", tpu=TPU, replicas=2, gang=True)
    script.running(gang)
    for number in range(3):
        script.submit(f"child-{number}", user=launcher, parent=root, tpu=TPU, replicas=2, gang=True)
    script.advance(10 * MINUTE)
    script.lose(WorkerId("iris-tpu-1-w1"))
    script.deleted(SliceId("iris-tpu-1")).ready("tpu")
    return script, root, gang


def test_i_14_a_gang_that_was_thrown_back_comes_before_children_of_an_older_launcher() -> None:
    script, _, gang = thrown_back(launcher="alice")
    assert script.the(de.Placement).job == gang


def test_i_14_it_waits_for_no_more_of_anothers_endless_children_than_its_share() -> None:
    script, root, gang = thrown_back(launcher="bob")
    for number in range(3, 9):
        (placement,) = script.decided(de.Placement)
        if placement.job == gang:
            break
        script.submit(f"child-{number}", user="bob", parent=root, tpu=TPU, replicas=2, gang=True)
        script.running(placement.job).advance(10 * MINUTE)
        script.finish(placement.job)
    # Both have had the slice for about as long by then.
    assert number <= 5
    assert script.job(gang).state is JobState.RUNNING


def four(script: Script, *, gang: bool) -> Script:
    """Four hosts' worth of work, as two gangs of two or as one job of four."""
    replicas = 2 if gang else 4
    for number in range(4 // replicas):
        script.submit(f"part-{number}", gang=gang, replicas=replicas, cpu=8)
    return script


@pytest.mark.parametrize("gang", [False, True], ids=["single", "gang"])
def test_i_24_every_limit_counts_gangs_and_single_tasks_alike(*, gang: bool) -> None:
    """Tasks of a user, slices of a group, creates of a minute, and what a host has."""
    hosts = 2 if gang else 1
    group = cpu_group(cores=8, hosts=hosts, max_slices=9)
    few = SchedulerPolicy(max_tasks_per_user=3)
    script = four(cluster(group, scheduler=few), gang=gang)
    assert len(script.controller.state.tasks) == (2 if gang else 0)
    script = four(cluster(replace(group, max_slices=4 // hosts - 1)), gang=gang)
    assert len(script.slices_in(SliceState.REQUESTED)) == 4 // hosts - 1
    slow = AutoscalerPolicy(create_burst=1, creates_per_minute=1)
    script = four(cluster(group, autoscaler=slow), gang=gang)
    assert len(script.slices_in(SliceState.REQUESTED)) == 1
    script = four(cluster(replace(group, host=group.host._replace(cpu=7_999))), gang=gang)
    assert script.slices_in(SliceState.REQUESTED) == []


# ---- accounts ---------------------------------------------------------------------------------


def by_itself(script: Script, job: JobId) -> None:
    script.finish(job)


def by_failure(script: Script, job: JobId) -> None:
    script.finish(job, EndCause.EXIT_NONZERO)


def by_its_user(script: Script, job: JobId) -> None:
    script.stop(job)
    if script.job(job).state is JobState.RUNNING:
        script.stopped(job)


def by_eviction(script: Script, job: JobId) -> None:
    urgent = script.submit("urgent", band=Band.PRODUCTION, gang=True, replicas=2, cpu=4)
    script.stopped(job).running(urgent).finish(urgent)
    script.stop(job)
    if script.job(job).state is JobState.RUNNING:
        script.stopped(job)


def by_the_loss_of_a_host(script: Script, job: JobId) -> None:
    script.lose(WorkerId("iris-cpu-1-w0")).stop(job)


def by_a_stop_that_hangs(script: Script, job: JobId) -> None:
    script.stop(job).advance(STOP)


def by_its_timeout(script: Script, job: JobId) -> None:
    script.advance(MINUTE * 5)
    script.stopped(job)


HOW: Final = (
    by_itself,
    by_failure,
    by_its_user,
    by_eviction,
    by_the_loss_of_a_host,
    by_a_stop_that_hangs,
    by_its_timeout,
)
STATES: Final = (AttemptState.ASSIGNED, AttemptState.RUNNING)


@pytest.mark.parametrize("gang", [False, True], ids=["single", "gang"])
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("how", HOW, ids=lambda how: how.__name__)
def test_i_29_i_31_whatever_ends_a_job_in_whatever_state_its_attempts_end_and_leave_all_room_free(
    how: Callable[[Script, JobId], None], state: AttemptState, *, gang: bool
) -> None:
    script = fleet(cpu_group(hosts=2, min_slices=1, max_slices=1))
    job = script.submit(band=Band.BATCH, gang=gang, replicas=2, cpu=3, timeout=Millis(5 * MINUTE))
    if state is not AttemptState.ASSIGNED:
        script.step(*script.progress(job, state))
    how(script, job)
    assert script.job(job).ended_at is not None
    for task in script.job(job).tasks:
        assert {a.state for a in task.attempts} <= ENDED_ATTEMPT
        assert all(a.ended_at is not None and a.cause is not None for a in task.attempts)
    state_ = script.controller.state
    assert {w.committed for w in state_.workers.values()} == {NOTHING}
    assert [w.attempts for w in state_.workers.values() if w.attempts] == []
    assert not state_.holds
    # The whole of it can be had by others, on what is left or on what comes in its place.
    script.advance(HOUR)
    if script.coming("cpu"):
        script.ready("cpu")
    whole = script.submit("whole", gang=True, replicas=2, cpu=4)
    assert script.job(whole).state is JobState.RUNNING


def test_i_30_an_end_that_is_learned_in_three_ways_gives_its_room_back_once() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    job, other = script.submit("ends", cpu=1), script.submit("stays", cpu=3)
    script.running(job).running(other).stop(job)
    end = script.end(script.task(job).id, None)
    worker = script.attempt(script.task(job).id).worker
    gone = script.report(worker, complete=True, acted_on=script.worker(worker).version)
    still = ev.AttemptReport(script.task(other).id, 0, AttemptState.RUNNING)
    script.step(end, end, replace(gone, reports=(still,)))
    assert script.worker(worker).committed == script.job(other).spec.resources
    script.step(end)
    assert script.worker(worker).committed == script.job(other).spec.resources
    assert script.job(script.submit("two", cpu=2)).state is JobState.PENDING


def test_i_34_what_is_kept_or_bought_for_nobody_is_no_task() -> None:
    """Held room, a floor, a buffer and a slice of an operator's: none is counted as work."""
    script = fleet(cpu_group(cores=4, min_slices=1, max_slices=3, buffer_slices=1))
    script.step(ev.SliceCreateRequested(RequestId("by-hand"), GroupName("cpu"), HOUR))
    running = script.submit("runs", cpu=3)
    script.running(running)
    wide = script.submit("wide", cpu=4, scheduling_timeout=Millis(2 * HOUR))
    script.submit("behind", cpu=1)
    state = script.controller.state
    submitted = {"/alice/runs:0", "/alice/wide:0", "/alice/behind:0"}
    assert set(state.tasks) == submitted
    script.advance(30 * MINUTE)
    for name in script.coming("cpu"):
        script.refused(name, ev.CreateFailure.STOCKOUT)
    script.advance(MINUTE, answer=False)
    assert set(state.tasks) == submitted
    assert state.unended == {"alice": 3}
    ended = [a for task in state.tasks.values() for a in task.attempts if a.ended_at is not None]
    assert ended == []
    assert script.job(wide).state is JobState.PENDING


@pytest.mark.parametrize("rounds", [1, 3])
def test_i_35_so_many_rounds_of_a_gang_that_crashes_whole_cost_so_many_retries(
    rounds: int,
) -> None:
    script = fleet(tpu_group(min_slices=1, max_slices=1))
    job = script.submit(tpu=TPU, replicas=2, gang=True, max_retries_failure=rounds)
    for _ in range(rounds + 1):
        assert script.job(job).state is not JobState.FAILED
        assert script.job(job).ended_at is None
        script.running(job).finish(job, EndCause.EXIT_NONZERO)
        if script.job(job).ended_at is None:
            script.advance(10 * MINUTE)
    assert script.job(job).state is JobState.FAILED
    assert script.job(job).ended_at == script.now
    assert [len(task.attempts) for task in script.job(job).tasks] == [rounds + 1] * 2


@pytest.mark.parametrize("when", ["before it is evicted", "while it stops"])
def test_i_36_the_room_of_a_child_is_free_when_it_is_gone_wherever_its_parent_ended(
    when: str,
) -> None:
    script = fleet(cpu_group(cores=4, min_slices=1, max_slices=1))
    parent = script.submit("parent", cpu=1, band=Band.PRODUCTION)
    child = script.submit("child", parent=parent, cpu=3, band=Band.BATCH)
    script.running(parent).running(child)
    urgent = JobSpec(UserName("bob"), "urgent", resources=script.job(child).spec.resources)
    comes = ev.JobSubmitted(RequestId("urgent"), urgent)
    ends = script.end(script.task(parent).id, EndCause.EXIT_NONZERO)
    if when == "while it stops":
        script.step(comes).step(ends)
    else:
        script.step(ends).step(comes)
    assert script.decided(de.Placement) == []
    assert script.advance(MINUTE).decided(de.Placement) == []
    assert script.attempt(script.task(child).id).state is AttemptState.STOPPING
    script.stopped(child)
    assert script.the(de.Placement).job == "/bob/urgent"
    assert script.job(child).state is JobState.KILLED
