"""Quotas: what a user's tasks may hold together, and how trees get on under one."""

from dataclasses import replace

import pytest

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core.explain import why_waiting
from iris.core.ids import GroupName, JobId, TaskId, UserName, WorkerId
from iris.core.instant import HOUR, MINUTE, Instant
from iris.core.invariants import violations
from iris.core.lifecycle import JobState
from iris.core.reasons import Reason, Verdict
from iris.core.resources import Resources
from iris.core.snapshot import copy_state
from iris.core.spec import EVERYBODY, Backfill, Band, Order, Quota, SchedulerPolicy
from iris.core.telling import sentences
from tests.core.situations import TPU
from tests.core.test_explain import ahead
from tests.harness import ALICE, GIB, Script, cpu_group, fleet, tpu_group


def quotas(*of: Quota, order: Order = Order.FAIR) -> SchedulerPolicy:
    return SchedulerPolicy(order=order, quotas=of)


def limited(**most: int) -> Script:
    """One large machine, and alice may have so much of it."""
    quota = Quota(UserName(ALICE), **most)
    return fleet(cpu_group(cores=64, min_slices=1), scheduler=quotas(quota))


def why(script: Script, job: str) -> Reason:
    return why_waiting(script.controller.state, JobId(job), script.now)


def running(script: Script) -> list[str]:
    """The jobs that run, one for each task."""
    workers = script.controller.state.workers.values()
    return sorted(name.rpartition(":")[0] for w in workers for name in w.attempts)


def begun(script: Script, *jobs: JobId) -> None:
    for job in jobs:
        script.running(job)


@pytest.mark.parametrize(
    ("most", "held"),
    [
        ({"tasks": 2}, "allows 2 tasks: 2 tasks held; it needs 1 task."),
        ({"cpu": 2_500}, "allows 2500 millicores: 2 cores held; it needs 1 core."),
        (
            {"memory": 2 * GIB},
            "allows 2 GiB of memory: 2 GiB of memory held; it needs 1 GiB of memory.",
        ),
    ],
)
def test_a_users_tasks_hold_no_more_than_the_quota_and_the_next_waits_for_one_to_end(
    most: dict[str, int], held: str
) -> None:
    script = limited(**most)
    job = script.submit("sweep", replicas=4)
    other = script.submit("other", user="bob", replicas=4)
    assert running(script) == [job] * 2 + [other] * 4
    reason = why(script, job)
    assert (reason.verdict, reason.queue) == (Verdict.BUDGET, None)
    assert f"scheduler.quotas.alice {held}" in sentences(reason)
    assert "Next: a running task of alice ends." in sentences(reason)
    script.ends(TaskId(f"{job}:0"))
    assert script.the(de.Placement).tasks == (TaskId(f"{job}:2"),)


def test_chips_count_too_and_everybody_else_has_the_common_quota_each() -> None:
    common = Quota(EVERYBODY, chips=8)
    script = fleet(
        replace(tpu_group(max_slices=4), min_slices=4),
        scheduler=quotas(common, Quota(UserName("carol"), tasks=99)),
    )
    for user in ("alice", "bob", "carol"):
        for number in range(2):
            script.submit(f"train-{number}", user=user, tpu=TPU, replicas=2, gang=True)
    assert running(script) == sorted(
        [*["/alice/train-0", "/bob/train-0", "/carol/train-0", "/carol/train-1"] * 2]
    )
    told = sentences(why(script, "/bob/train-1"))
    assert "scheduler.quotas.* allows 8 chips: 8 chips held; it needs 8 chips." in told


@pytest.mark.parametrize("backfill", list(Backfill))
def test_who_is_over_quota_holds_nobody_up_and_has_no_slices_asked_for(backfill: Backfill) -> None:
    policy = replace(quotas(Quota(UserName(ALICE), tasks=1), order=Order.FIFO), backfill=backfill)
    script = fleet(cpu_group(cores=2, min_slices=1, max_slices=9), scheduler=policy)
    script.submit("many", replicas=50)
    assert not script.asked(ef.CreateSlice)
    bob = script.submit("later", user="bob")
    assert script.the(de.Placement).job == bob
    script.submit("more", user="bob")
    assert len(script.coming("cpu")) == 1
    assert "cpu in us-a (1 worker looked at)" in " ".join(sentences(why(script, "/alice/many")))


def test_over_quota_tpu_work_leaves_the_spare_cores_to_others() -> None:
    policy = quotas(Quota(UserName(ALICE), chips=8))
    script = fleet(tpu_group(min_slices=1, max_slices=1), scheduler=policy)
    script.submit("train", tpu=TPU, replicas=2, gang=True)
    script.submit("next", tpu=TPU, replicas=2, gang=True)
    assert script.submit("etl", user="bob") == script.the(de.Placement).job


@pytest.mark.parametrize("gang", [False, True], ids=["task", "gang"])
def test_what_can_never_be_within_the_quota_ends_at_once_and_says_so(*, gang: bool) -> None:
    script = limited(cpu=6_000)
    job = script.submit("big", cpu=2 if gang else 7, replicas=4 if gang else 1, gang=gang)
    assert script.job(job).state is JobState.UNSCHEDULABLE
    needs = "its gang needs 8 cores" if gang else "one of its tasks needs 7 cores"
    assert script.job(job).why == f"{needs}, and scheduler.quotas.alice allows 6 cores in all"


def test_a_quota_that_is_lowered_ends_nothing_and_lets_nothing_start_until_there_is_room() -> None:
    script = limited(tasks=4)
    job = script.submit("sweep", replicas=5)
    lower = quotas(Quota(UserName(ALICE), tasks=2))
    script.config(cpu_group(cores=64, min_slices=1), scheduler=lower)
    assert running(script) == [job] * 4
    for index in range(3):
        assert not script.decided(de.Placement)
        script.ends(TaskId(f"{job}:{index}"))
    assert script.the(de.Placement).tasks == (TaskId(f"{job}:4"),)


def test_work_that_a_lowered_quota_can_never_hold_says_what_must_come() -> None:
    script = limited(cpu=4_000)
    script.submit("one", cpu=4)
    waiting = script.submit("two", cpu=4)
    script.config(
        cpu_group(cores=64, min_slices=1), scheduler=quotas(Quota(UserName(ALICE), cpu=1_000))
    )
    assert "Next: another configuration is loaded." in sentences(why(script, waiting))


def test_what_an_eviction_has_bound_to_a_user_counts_as_held() -> None:
    policy = quotas(Quota(UserName(ALICE), tasks=1))
    script = fleet(cpu_group(cores=2, min_slices=1, max_slices=1), scheduler=policy)
    script.running(script.submit("batch", user="bob", replicas=2, band=Band.BATCH))
    first = script.submit("first", band=Band.PRODUCTION, timeout=HOUR)
    assert script.the(de.Eviction).job == first
    script.submit("second", band=Band.PRODUCTION)
    assert not script.decided(de.Eviction)
    assert why(script, "/alice/second").verdict is Verdict.BUDGET
    script.stopped(JobId("/bob/batch"))
    assert script.the(de.Placement).job == first
    twin = copy_state(script.controller.state)
    assert twin.stakes.of(UserName(ALICE)).whole.tasks == 1
    assert violations(twin) == []
    assert why(script, "/alice/second").next.at == Instant(script.now + HOUR)


def test_nothing_is_kept_for_one_whose_quota_is_used_up_meanwhile() -> None:
    policy = quotas(Quota(UserName(ALICE), tasks=1), order=Order.FIFO)
    small = replace(cpu_group(cores=1, min_slices=1, max_slices=1), name=GroupName("small"))
    large = cpu_group(cores=4, min_slices=1, max_slices=1)
    script = fleet(large, small, scheduler=policy)
    script.submit("other", user="bob", cpu=2)
    script.submit("wide", cpu=4)
    script.submit(
        "narrow", user="carol", cpu=2
    )  # Overtakes it: something is kept for alice from now on.
    assert script.the(de.Holding).job == "/alice/wide"
    mine = script.submit("mine")
    assert mine in running(script)
    assert script.the(de.Release).why == "the quota of its user lets it start no more"
    assert why(script, "/alice/wide").verdict is Verdict.BUDGET


# ---- trees -------------------------------------------------------------------------------------


def child(script: Script, parent: JobId, name: str, **more: object) -> JobId:
    return script.submit(name, parent=parent, **more)  # type: ignore[arg-type]  # names of fields


def test_i_110_parents_leave_room_for_their_children_however_late_these_come() -> None:
    script = limited(tasks=6)
    root = script.submit("root")
    begun(script, root)
    parents = [child(script, root, f"mid-{n}") for n in range(8)]
    # Of six tasks two are left to the two levels below them: the usual four levels.
    assert running(script) == sorted([root, *parents[:3]])
    reason = why(script, parents[3])
    assert reason.quota is not None
    assert (reason.quota.held, reason.quota.kept, reason.quota.levels) == (4, 2, 4)
    told = " ".join(sentences(reason))
    assert "4 tasks held, 2 tasks kept for what is deeper in trees of 4 levels" in told
    begun(script, *parents[:3])
    middle = [child(script, parent, "low") for parent in parents[:3]]
    leaves = [child(script, job, "leaf") for job in middle[:1]]
    assert set(running(script)) >= {middle[0], leaves[0]}
    assert len(running(script)) == 6
    script.running(leaves[0]).finish(leaves[0])
    script.running(middle[0]).finish(middle[0])
    # What is deeper goes first, though it came later: the tree is finished before it is widened.
    assert script.the(de.Placement).job == middle[1]


def test_a_quota_with_levels_keeps_the_room_for_a_first_wave_of_roots_too() -> None:
    script = limited(tasks=6, levels=3)
    roots = [script.submit(f"root-{n}") for n in range(6)]
    assert running(script) == roots[:4]
    begun(script, *roots[:4])
    children = [child(script, root, "mid") for root in roots[:4]]
    assert running(script) == sorted([*roots[:4], children[0]])
    script.running(children[0])
    leaf = child(script, children[0], "leaf")
    assert leaf in running(script)


def test_without_levels_a_user_without_trees_has_the_whole_quota() -> None:
    script = limited(tasks=6)
    assert len(running(script)) == 0
    script.submit("sweep", replicas=9)
    assert len(running(script)) == 6


def test_a_user_whose_last_child_has_ended_has_the_whole_quota_again() -> None:
    script = limited(tasks=3)
    root = script.submit("root")
    begun(script, root)
    below = child(script, root, "below")
    script.submit("sweep", replicas=3)
    assert running(script) == [root, below]
    script.running(below).finish(below)
    assert running(script) == ["/alice/root", "/alice/sweep", "/alice/sweep"]


def test_a_chain_of_one_task_for_each_level_needs_no_room_beside_it() -> None:
    script = limited(tasks=3)
    job = script.submit("a")
    for name in "bc":
        begun(script, job)
        job = child(script, job, name)
    assert len(running(script)) == 3
    begun(script, job)
    last = child(script, job, "d")
    told = sentences(why(script, last))
    assert "All 3 running tasks belong to jobs whose own children wait." in told
    assert (
        "Next: a larger quota is loaded, or one of the parents that hold it is stopped."
    ) in told


def test_tasks_with_chips_are_taken_for_leaves() -> None:
    policy = quotas(Quota(UserName(ALICE), tasks=5))
    groups = (replace(tpu_group(max_slices=2), min_slices=2), cpu_group(cores=8, min_slices=1))
    script = fleet(*groups, scheduler=policy)
    root = script.submit("root")
    begun(script, root)
    for number in range(2):
        child(script, root, f"train-{number}", tpu=TPU, replicas=2, gang=True)
    assert len(running(script)) == 5


def test_depth_first_takes_turns_with_other_users_as_they_came() -> None:
    script = fleet(
        cpu_group(cores=2, min_slices=1, max_slices=1),
        scheduler=quotas(Quota(UserName(ALICE), tasks=9), order=Order.FIFO),
    )
    root = script.submit("root")
    begun(script, root)
    filler = script.submit("fill", user="carol")
    bob = script.submit("bob", user="bob")
    waiting = script.submit("late")
    deep = child(script, root, "deep")
    # Alice came after bob; within her turn the deeper one is first.
    begun(script, filler)
    assert ahead(why(script, deep)) == 1
    assert ahead(why(script, waiting)) == 2
    for expected in (bob, deep, waiting):
        script.finish(filler)
        filler = script.the(de.Placement).job
        assert filler == expected
        script.running(filler)


def test_the_room_of_a_lost_host_is_given_back_to_the_quota() -> None:
    policy = quotas(Quota(UserName(ALICE), tasks=2))
    script = fleet(cpu_group(cores=2, min_slices=2, max_slices=2), scheduler=policy)
    script.running(script.submit("pair", replicas=2))
    host = script.task(JobId("/alice/pair")).attempts[-1].worker
    script.lose(WorkerId(host))
    assert {d.job for d in script.decided(de.Placement)} == {"/alice/pair"}
    script.advance(MINUTE)
    stake = script.controller.state.stakes.of(UserName(ALICE))
    assert stake.whole.cpu == 2_000
    assert stake.whole.memory == 2 * Resources(memory=GIB).memory
