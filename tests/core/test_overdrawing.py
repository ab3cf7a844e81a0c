"""The judges of quotas: what is wrong with a state or a turn is told, by numbers added up anew."""

from collections.abc import Callable

import pytest

from iris.core.ids import JobId, UserName
from iris.core.invariants import violations
from iris.core.overdrawing import is_overdrawn
from iris.core.resources import Resources
from iris.core.spec import Quota, SchedulerPolicy
from iris.core.stakes import Holding
from iris.core.state import ClusterState
from iris.core.waiting import QueueKey
from tests.core.situations import TPU
from tests.harness import ALICE, Script, cpu_group, fleet, tpu_group

USER = UserName(ALICE)


def limited(**most: int) -> Script:
    """Alice runs as much as she may: a root and two chips; a child and a gang wait for her quota."""
    script = fleet(
        cpu_group(cores=8, min_slices=1),
        tpu_group(min_slices=1, max_slices=1),
        scheduler=SchedulerPolicy(quotas=(Quota(USER, **most),)),
    )
    root = script.submit("root")
    script.running(root)
    script.submit("train", tpu=TPU, replicas=2, gang=True)
    script.submit("child", parent=root)
    script.submit("next", tpu=TPU, replicas=2, gang=True)
    return script


def the_key(state: ClusterState, job: str) -> QueueKey:
    record = state.jobs[JobId(job)]
    return state.queue_key(record, -1 if record.spec.coscheduled else 0)


def let_go(state: ClusterState, job: str) -> None:
    key = the_key(state, job)
    state.waiting.queues[key] = state.waiting.held.pop(key)


def raised(state: ClusterState) -> None:
    state.spec = type(state.spec)(
        state.spec.groups, SchedulerPolicy(quotas=(Quota(USER, tasks=99, levels=1),))
    )


HARMS: dict[str, tuple[Callable[[ClusterState], object], str]] = {
    "a sum that lies": (
        lambda s: setattr(s.stakes.of(USER), "whole", Holding(1, 0, 1_000, 0)),
        "V-01 alice holds (1, 0, 1000, 0), attempts and holds make (3, 8, 3000, ",
    ),
    "a sum of a level that lies": (
        lambda s: s.stakes.of(USER).by_depth.update({1: Holding(tasks=1)}),
        "V-01 alice holds at depth 1: cached Holding(tasks=1",
    ),
    "children that nobody has": (
        lambda s: setattr(s.stakes.of(USER), "children", 2),
        "V-01 alice has 1 jobs below others, and 2 are counted",
    ),
    "a task that may start and must not": (
        lambda s: let_go(s, "/alice/root/child"),
        "V-29 work of alice may start, and the quota has no room for it",
    ),
    "a gang that may start and must not": (
        lambda s: let_go(s, "/alice/next"),
        "V-29 work of alice may start, and the quota has no room for it",
    ),
    "work that is held back for nothing": (
        raised,
        "V-30 work of alice is held back, and the quota has room for it",
    ),
    "a queue on both sides": (
        lambda s: s.waiting.queues.update(s.waiting.held),
        "is set aside, and listed",
    ),
    "a user whose queues are forgotten": (
        lambda s: s.waiting.by_user.clear(),
        "V-22 queue of user",
    ),
}


@pytest.mark.parametrize(("harm", "sentence"), HARMS.values(), ids=list(HARMS))
def test_what_is_wrong_with_quotas_is_found(
    harm: Callable[[ClusterState], object], sentence: str
) -> None:
    state = limited(tasks=3).controller.state
    assert violations(state) == []
    harm(state)
    assert sentence in " ".join(violations(state))


def test_room_that_is_kept_for_deeper_work_is_no_room() -> None:
    script = limited(tasks=5, levels=5)
    state = script.controller.state
    child = the_key(state, "/alice/root/child")
    assert child not in state.waiting.held
    script.submit("other", parent=JobId("/alice/root"))
    assert the_key(state, "/alice/root/other") in state.waiting.held
    let_go(state, "/alice/root/other")
    assert "V-29 work of alice may start" in " ".join(violations(state))


def test_chips_need_no_room_below_them() -> None:
    state = limited(chips=16, tasks=9).controller.state
    assert violations(state) == []
    assert the_key(state, "/alice/next") not in state.waiting.held


def test_who_was_given_more_than_the_quota_is_told_in_every_dimension() -> None:
    state = limited(tasks=3).controller.state
    assert list(is_overdrawn(state, USER)) == []
    assert list(is_overdrawn(state, UserName("bob"))) == []
    quota = Quota(USER, tasks=2, chips=4, cpu=1_000, memory=Resources(memory=1 << 30).memory)
    state.spec = type(state.spec)(state.spec.groups, SchedulerPolicy(quotas=(quota,)))
    assert [said.split(",")[0] for said in is_overdrawn(state, USER)] == [
        "V-29 alice was given 8 chips",
        "V-29 alice was given 3000 cpu",
        f"V-29 alice was given {3 << 30} memory",
        "V-29 alice was given 3 tasks",
    ]
