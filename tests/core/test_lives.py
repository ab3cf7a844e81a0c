"""What is remembered of slices that are over, and what a state may tell of itself."""

import json

import pytest

from iris.core import events as ev
from iris.core import state
from iris.core.ids import GroupName, SliceId, Zone
from iris.core.instant import HOUR, MINUTE, SECOND
from iris.core.lifecycle import SliceState
from iris.core.snapshot import (
    copy_state,
    restore,
    snapshot,
    snapshot_from_json,
    snapshot_to_json,
    without_secrets,
)
from iris.core.spec import JobSpec
from tests.harness import ALICE, cluster, cpu_group, fleet, tpu_group

CPU = SliceId("iris-cpu-1")


def test_a_slice_that_was_preempted_is_remembered_after_its_tombstone_is_gone() -> None:
    script = cluster(cpu_group(preemptible=True))
    script.submit()
    asked = script.now
    script.advance(30 * SECOND, answer=False)
    script.step(ev.SliceAccepted(CPU))
    accepted = script.now
    script.advance(2 * MINUTE)
    script.ready(CPU)
    ready = script.now
    script.advance(HOUR)
    lost = script.now
    script.preempted(CPU)
    (life,) = script.controller.state.lives[GroupName("cpu")]
    assert (life.zone, life.end, life.failure) == (Zone("us-a"), SliceState.PREEMPTED, "")
    assert (life.requested_at, life.accepted_at, life.ready_at, life.over_at) == (
        asked,
        accepted,
        ready,
        lost,
    )
    script.deleted(CPU)  # What follows the loss is no second life.
    assert len(script.controller.state.lives["cpu"]) == 1  # type: ignore[index]
    assert copy_state(script.controller.state).lives == script.controller.state.lives


def test_a_refusal_and_a_return_are_told_apart() -> None:
    script = cluster(tpu_group(hosts=4))
    script.submit(tpu="v5litepod-16", replicas=4, gang=True)
    script.refused(SliceId("iris-tpu-1"), ev.CreateFailure.STOCKOUT)
    (refused,) = script.controller.state.lives[GroupName("tpu")]
    assert (refused.end, refused.failure, refused.ready_at) == (
        SliceState.FAILED,
        "stockout",
        None,
    )
    script = cluster(cpu_group())
    job = script.submit()
    script.ready(script.coming("cpu")[0])
    script.running(job).finish(job).advance(HOUR)
    (returned,) = script.controller.state.lives[GroupName("cpu")]
    assert returned.end is SliceState.DELETING


def test_the_record_of_a_group_has_a_bound_and_goes_with_the_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(state, "LIVES_KEPT", 3)
    script = fleet(cpu_group(min_slices=1, max_slices=2, preemptible=True))
    for _ in range(5):
        (name,) = script.slices_in(SliceState.READY)
        script.preempted(name).deleted(name)
        script.advance(HOUR)
        script.ready(script.coming("cpu")[0])
    lives = script.controller.state.lives[GroupName("cpu")]
    assert len(lives) == 3
    assert lives[-1].over_at > lives[0].over_at
    script.config(tpu_group())
    assert script.controller.state.lives == {}


def test_what_is_told_of_a_state_has_no_secret_and_decides_alike() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    spec = JobSpec(ALICE, "a", environment=(("KEY", "hunter2"),), payload="f00d")
    job = script.submit_spec(spec)
    script.running(job)
    script.step(script.end(script.task(job).id, None, "said hunter2"))
    image = without_secrets(snapshot(script.controller.state))
    text = json.dumps(snapshot_to_json(image))
    assert "hunter2" not in text
    assert "f00d" not in text
    told = restore(snapshot_from_json(json.loads(text)))
    assert list(told.jobs) == [job]
    assert told.requests == {}
    assert {w.incarnation for w in told.workers.values()} == set(told.workers)
    assert script.controller.state.jobs[job].spec == spec  # The state itself is as it was.
