"""Each fault of Google's that the reference names (gcp.md, 7), and what the provider tells of it.

The genuine client over the wire; what the core makes of what is told, its own tests say.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

from iris.core.events import (
    CloudState,
    CreateFailure,
    SliceAccepted,
    SliceCreateFailed,
    SliceDeleted,
    SliceDeleteFailed,
)
from iris.core.ids import SliceId, Zone
from tests.gcp import fake_errors as no
from tests.gcp.fake_google import FakeGoogle
from tests.gcp.managing import CONFIG, ZONE, Managed, config, patient, tell

Story: TypeAlias = Callable[[Managed], Awaitable[None]]

A, B = "iris-tpu-1", "iris-tpu-2"
ACCEPTED, DELETED = [SliceAccepted(SliceId(A))], [SliceDeleted(SliceId(A))]
ELSEWHERE = Zone("us-central1-b")


async def reason_of_create(m: Managed, name: str = A, zone: Zone = ZONE) -> CreateFailure:
    (refused,) = await m.create(name, zone=zone)
    assert isinstance(refused, SliceCreateFailed)
    assert refused.slice == name
    assert refused.detail
    return refused.reason


async def reason_of_operation(m: Managed, name: str = A, zone: Zone = ZONE) -> CreateFailure:
    assert await m.create(name, zone=zone) == [SliceAccepted(SliceId(name))]
    m.google.advance(300)
    refused = await m.hears(SliceCreateFailed)
    assert isinstance(refused, SliceCreateFailed)
    m.told.clear()
    return refused.reason


# ---- creates -----------------------------------------------------------------------------------


def test_i_58_a_zone_without_capacity_says_so_in_the_operation_and_the_node_is_gone(
    fake_google: FakeGoogle,
) -> None:
    async def story(m: Managed) -> None:
        fake_google.knobs.stockout_zones = frozenset({ZONE})
        assert await reason_of_operation(m) is CreateFailure.STOCKOUT
        assert await m.delete(A) == DELETED  # There is nothing to delete, and that is success.
        assert fake_google.gate.calls("DeleteNode") == []
        assert await m.create(B, zone=ELSEWHERE) == [SliceAccepted(SliceId(B))]
        fake_google.advance(300)
        assert (await m.observe()).listing[0].state is CloudState.READY
        assert m.told == []

    tell(fake_google, story)


@pytest.mark.parametrize(
    ("quota", "reason"),
    [("quota_zone", CreateFailure.QUOTA_ZONE), ("quota_region", CreateFailure.QUOTA_REGION)],
)
def test_i_57_i_58_a_quota_says_in_the_call_whether_it_is_of_the_zone_or_of_the_region(
    fake_google: FakeGoogle, quota: str, reason: CreateFailure
) -> None:
    async def story(m: Managed) -> None:
        place = ZONE if quota == "quota_zone" else "us-central1"
        setattr(fake_google.knobs, quota, {place: 16})
        assert await m.create(A) == ACCEPTED
        assert await reason_of_create(m, B) is reason

    tell(fake_google, story)


def test_too_many_creates_a_minute_are_the_whole_projects_affair(fake_google: FakeGoogle) -> None:
    async def story(m: Managed) -> None:
        fake_google.knobs.creates_per_minute = 1
        assert await m.create(A) == ACCEPTED
        assert await reason_of_create(m, B) is CreateFailure.RATE

    tell(fake_google, story)


def test_a_create_that_broke_inside_of_google_says_so_in_the_operation(
    fake_google: FakeGoogle, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(m: Managed) -> None:
        fake_google.knobs.internal_creates = 1
        assert await reason_of_operation(m) is CreateFailure.INTERNAL

    tell(fake_google, story)
    gc.collect()
    assert "never retrieved" not in caplog.text  # The client has futures of its own.


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (no.permission("tpu.nodes.create", "projects/iris-test"), CreateFailure.PERMISSION),
        (no.location_denied("iris-test", ZONE), CreateFailure.PERMISSION),
        (no.not_offered("v5litepod-16", ZONE, "0x1"), CreateFailure.BAD_REQUEST),
        (no.zone_unsupported(ZONE, "0x1"), CreateFailure.BAD_REQUEST),
        (no.catch_all("0x1"), CreateFailure.UNKNOWN),
        (no.busy(), CreateFailure.INTERNAL),
        (no.unavailable(), CreateFailure.INTERNAL),
        (no.exists("projects/iris-test/locations/z/nodes/n"), CreateFailure.UNKNOWN),
        (no.unauthenticated("expired"), CreateFailure.UNKNOWN),
    ],
)
def test_i_58_every_refusal_of_a_call_has_its_meaning_and_leaves_nothing(
    fake_google: FakeGoogle, error: no.ApiError, reason: CreateFailure
) -> None:
    async def story(m: Managed) -> None:
        fake_google.knobs.create_errors.append(error)
        assert await reason_of_create(m) is reason
        assert len(fake_google.gate.calls("CreateNode")) == 1, "a create is never tried again by us"
        assert (await m.observe()).listing == ()

    tell(fake_google, story)


def test_i_48_a_create_whose_answer_was_lost_is_found_and_is_one(fake_google: FakeGoogle) -> None:
    async def story(m: Managed) -> None:
        fake_google.knobs.reset_after_create = 1
        assert await m.create(A) == ACCEPTED
        assert len(fake_google.tpu.nodes) == 1
        assert len(fake_google.gate.calls("CreateNode")) == 1

    tell(fake_google, story)


def test_a_create_that_hangs_while_nothing_else_answers_is_told_as_nothing_at_all(
    fake_google: FakeGoogle,
) -> None:
    async def story(m: Managed) -> None:
        fake_google.knobs.hanging_methods = frozenset({"CreateNode", "GetNode"})
        assert await m.create(A) == []
        fake_google.knobs.hanging_methods = frozenset()
        assert await m.create(A) == ACCEPTED

    tell(fake_google, story, limits=patient(0.2))


@pytest.mark.parametrize("whose", ["another cluster's", "another life's"])
def test_a_name_that_is_taken_is_refused_and_what_has_it_is_left_alone(
    fake_google: FakeGoogle, whose: str
) -> None:
    async def story(m: Managed) -> None:
        if whose == "another cluster's":
            # Google's name of `iris-lab-1` of cluster `iris-a` is that of `iris-a-lab-1` of cluster `iris`.
            text = CONFIG.replace("zone: us", "cluster: iris-a, zone: us").replace("tpu:", "lab:")
            other, name, group = Managed(fake_google, config(text)), "iris-lab-1", "lab"
        else:
            other, name, group = (
                Managed(fake_google, key="another journal's"),
                "iris-a-lab-1",
                "tpu",
            )
        try:
            assert await other.create(name, group) == [SliceAccepted(SliceId(name))]
            (refused,) = await m.create("iris-a-lab-1")
            assert isinstance(refused, SliceCreateFailed)
            assert refused.reason is CreateFailure.UNKNOWN
            assert ("iris-a" in refused.detail) is (whose == "another cluster's")
            if whose == "another cluster's":
                assert (await m.observe()).listing == ()
                assert await m.delete("iris-a-lab-1") == [SliceDeleted(SliceId("iris-a-lab-1"))]
            assert len((await other.observe()).listing) == 1
        finally:
            await other.end()

    tell(fake_google, story)


def test_i_37_a_create_is_believed_by_nobody_whatever_its_operation_does(
    fake_google: FakeGoogle,
) -> None:
    async def story(m: Managed) -> None:
        fake_google.knobs.lro_never_done = True
        fake_google.knobs.ready_lag_s = 30.0
        fake_google.knobs.empty_endpoints = frozenset({1})
        assert await m.create(A) == ACCEPTED
        fake_google.advance(80)
        assert (await m.sighting(A)).state is CloudState.CREATING  # type: ignore[union-attr]
        fake_google.advance(4_000)
        assert (await m.sighting(A)).state is CloudState.READY  # type: ignore[union-attr]
        assert m.told == []
        assert fake_google.gate.calls("DeleteNode") == []

    tell(fake_google, story)


def test_an_operation_that_fails_after_its_node_was_ready_is_told_and_the_node_is_still_seen(
    fake_google: FakeGoogle,
) -> None:
    async def story(m: Managed) -> None:
        fake_google.knobs.lro_error_after_ready = no.internal()
        assert await reason_of_operation(m) is CreateFailure.INTERNAL
        assert (await m.sighting(A)).state is CloudState.READY  # type: ignore[union-attr]

    tell(fake_google, story)


def test_questions_for_an_operation_that_fail_are_asked_again(fake_google: FakeGoogle) -> None:
    async def story(m: Managed) -> None:
        fake_google.knobs.get_operation_errors = [no.unavailable(), no.internal(), no.busy()]
        fake_google.knobs.stockout = True
        assert await reason_of_operation(m) is CreateFailure.STOCKOUT

    tell(fake_google, story)


# ---- deletes -----------------------------------------------------------------------------------


def test_a_delete_that_fails_in_its_operation_is_no_deletion(fake_google: FakeGoogle) -> None:
    async def story(m: Managed) -> None:
        await m.create(A)
        fake_google.knobs.delete_failures = 1
        (refused,) = await m.delete(A)
        assert isinstance(refused, SliceDeleteFailed)
        assert "internal error" in refused.detail
        assert await m.delete(A) == DELETED

    tell(fake_google, story)


def test_a_delete_that_google_denies_us_is_told_as_that(fake_google: FakeGoogle) -> None:
    async def story(m: Managed) -> None:
        await m.create(A)
        fake_google.knobs.delete_failures = 1
        (refused,) = await m.delete(A)
        assert isinstance(refused, SliceDeleteFailed)
        assert not refused.denied
        fake_google.knobs.denied = frozenset({"DeleteNode"})
        (refused,) = await m.delete(A)
        assert isinstance(refused, SliceDeleteFailed)
        assert refused.denied

    tell(fake_google, story)


def test_a_node_that_is_still_being_created_is_deleted_as_soon_as_google_lets_us(
    fake_google: FakeGoogle,
) -> None:
    async def story(m: Managed) -> None:
        await m.create(A)
        fake_google.knobs.delete_while_creating = False
        (refused,) = await m.delete(A)
        assert isinstance(refused, SliceDeleteFailed)
        assert "unable to queue" in refused.detail
        fake_google.knobs.delete_while_creating = True
        assert await m.delete(A) == DELETED
        assert m.told == []

    tell(fake_google, story)


def test_a_delete_waits_for_the_create_that_is_under_way(fake_google: FakeGoogle) -> None:
    async def story(m: Managed) -> None:
        fake_google.knobs.hanging_methods = frozenset({"CreateNode"})
        create = asyncio.ensure_future(m.create(A))
        await asyncio.sleep(0.1)
        delete = asyncio.ensure_future(m.delete(A))
        await asyncio.sleep(0.1)
        fake_google.knobs.hanging_methods = frozenset()
        assert (await create, await delete) == (ACCEPTED, DELETED)
        assert (await m.observe()).listing == ()

    tell(fake_google, story)


def test_what_is_asked_again_while_it_is_under_way_is_asked_of_google_once(
    fake_google: FakeGoogle,
) -> None:
    async def story(m: Managed) -> None:
        assert [*await asyncio.gather(m.create(A), m.create(A))] == [ACCEPTED, ACCEPTED]
        assert len(fake_google.gate.calls("CreateNode")) == 1
        await asyncio.gather(m.observe(), m.observe(), m.observe(A))
        assert len(fake_google.gate.calls("ListNodes")) == 1
        assert [*await asyncio.gather(m.delete(A), m.delete(A))] == [DELETED, DELETED]
        assert len(fake_google.gate.calls("GetNode")) == 1

    tell(fake_google, story)
