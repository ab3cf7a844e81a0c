"""What the provider tells of Google's listings and of what waits in the queue, whatever goes wrong there."""

import pytest

from iris.core.effects import ObserveSlices
from iris.core.events import (
    CloudState,
    CreateFailure,
    SliceAccepted,
    SliceCreateFailed,
    SliceDeleted,
    SlicesObserved,
)
from iris.core.ids import SliceId, Zone
from tests.gcp import fake_errors as no
from tests.gcp.fake_google import FakeGoogle
from tests.gcp.managing import ZONE, Managed, patient, tell

A, B = "iris-tpu-1", "iris-tpu-2"
ELSEWHERE = Zone("us-central1-b")
ACCEPTED, DELETED = [SliceAccepted(SliceId(A))], [SliceDeleted(SliceId(A))]


def test_reads_that_fail_are_tried_again(fake_google: FakeGoogle) -> None:
    async def story(m: Managed) -> None:
        await m.create(A)
        fake_google.knobs.unavailable_reads = 2
        found = await m.observe()
        assert (len(found.listing), found.complete, found.error) == (1, True, "")

    tell(fake_google, story)


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        ("unreachable", frozenset({ZONE})),
        ("hanging_methods", frozenset({"ListNodes"})),
        ("unavailable_reads", 1_000),
        ("denied", frozenset({"ListNodes"})),
    ],
)
def test_what_did_not_answer_is_never_told_as_absent(
    fake_google: FakeGoogle, knob: str, value: object
) -> None:
    async def story(m: Managed) -> None:
        await m.create(A)
        await m.create(B, zone=ELSEWHERE)
        setattr(fake_google.knobs, knob, value)
        found = await m.observe()
        assert not found.complete
        some = await m.observe(A)
        assert (some.complete, some.missing) == (False, ())

    tell(fake_google, story, limits=patient(0.2))


def test_a_place_that_did_not_answer_is_named_for_each_kind(fake_google: FakeGoogle) -> None:
    async def story(m: Managed) -> None:
        fake_google.knobs.unreachable = frozenset({ZONE})
        said = (await m.observe()).error
        assert f"nodes: no answer from {ZONE}" in said
        assert f"instances: no answer from zones/{ZONE}" in said

    tell(fake_google, story)


def test_a_listing_of_many_pages_is_whole_or_says_that_it_is_not(fake_google: FakeGoogle) -> None:
    async def story(m: Managed) -> None:
        fake_google.knobs.page_size = 1
        await m.create(A)
        await m.create(B)
        found = await m.observe()
        assert ([it.slice for it in found.listing], found.complete) == ([A, B], True)
        fake_google.knobs.expired_page_tokens = True
        cut = await m.observe()
        assert ([it.slice for it in cut.listing], cut.complete) == ([A], False)

    tell(fake_google, story)


@pytest.mark.parametrize(
    ("shown", "state"),
    [
        ("PREEMPTED", CloudState.PREEMPTED),
        ("TERMINATED", CloudState.PREEMPTED),  # It is a spot node.
        ("STOPPED", CloudState.STOPPED),
        ("STOPPING", CloudState.STOPPED),
        ("REPAIRING", CloudState.REPAIRING),
        ("RESTARTING", CloudState.REPAIRING),
        ("DELETING", CloudState.DELETING),
        ("HIDDEN", CloudState.OTHER),
        ("UNKNOWN", CloudState.OTHER),
        (99, CloudState.OTHER),
    ],
)
def test_every_state_of_a_node_is_told_as_what_it_means(
    fake_google: FakeGoogle, shown: str | int, state: CloudState
) -> None:
    async def story(m: Managed) -> None:
        await m.create(A)
        fake_google.advance(200)
        fake_google.fate.show_as(A, shown)
        seen = await m.sighting(A)
        assert seen is not None
        assert (seen.state, seen.group, seen.zone) == (state, "tpu", ZONE)

    tell(fake_google, story)


def test_maintenance_is_told_as_repair_and_one_lost_host_not_at_all(
    fake_google: FakeGoogle,
) -> None:
    async def story(m: Managed) -> None:
        await m.create(A)
        fake_google.advance(200)
        fake_google.fate.lose_host(A, 1)  # Its worker falls silent, and that is how it is known.
        assert (await m.sighting(A)).state is CloudState.READY  # type: ignore[union-attr]
        fake_google.fate.repair(A)
        assert (await m.sighting(A)).state is CloudState.REPAIRING  # type: ignore[union-attr]
        fake_google.fate.repaired(A)
        assert (await m.sighting(A)).state is CloudState.READY  # type: ignore[union-attr]

    tell(fake_google, story)


@pytest.mark.parametrize("left", ["PREEMPTED", "STOPPED", 99, None])
def test_what_is_left_of_a_preempted_node_is_told_and_deleted(
    fake_google: FakeGoogle, left: str | int | None
) -> None:
    async def story(m: Managed) -> None:
        await m.create(A)
        fake_google.advance(200)
        fake_google.fate.preempt(A, state=left)
        found = await m.observe(A)
        assert found.missing == (() if left else (A,))
        assert not [it for it in found.listing if it.state is CloudState.READY]
        assert await m.delete(A) == DELETED
        assert fake_google.fate.books() == {}

    tell(fake_google, story)


def test_a_node_that_vanished_or_that_one_list_left_out_is_told_as_missing_only(
    fake_google: FakeGoogle,
) -> None:
    async def story(m: Managed) -> None:
        await m.create(A)
        fake_google.advance(200)
        fake_google.knobs.stale_lists = 1
        found = await m.observe(A)
        assert (found.listing, found.missing, found.complete) == ((), (A,), False)
        assert (await m.sighting(A)) is not None

    tell(fake_google, story)


# ---- reserved capacity -------------------------------------------------------------------------


def test_reserved_capacity_is_waited_for_in_the_queue(fake_google: FakeGoogle) -> None:
    async def story(m: Managed) -> None:
        fake_google.knobs.quota_zone = {ZONE: 8}
        assert await m.create(A, "held") == ACCEPTED
        assert fake_google.gate.calls("CreateNode") == []
        assert (await m.sighting(A)).state is CloudState.CREATING  # type: ignore[union-attr]
        fake_google.knobs.quota_zone = {}
        fake_google.advance(300)
        assert (await m.sighting(A)).state is CloudState.READY  # type: ignore[union-attr]
        assert await m.delete(A, "held") == DELETED
        assert (await m.observe()).listing == ()

    tell(fake_google, story)


def test_what_failed_in_the_queue_says_why_and_is_deleted(fake_google: FakeGoogle) -> None:
    async def story(m: Managed) -> None:
        fake_google.knobs.quota_zone = {ZONE: 8}
        await m.create(A, "held")
        (queued,) = fake_google.queue.all.values()
        queued.error = no.no_reserved_capacity("0x1")
        refused, seen = await m.vms.observe(ObserveSlices())
        assert isinstance(refused, SliceCreateFailed)
        assert (refused.slice, refused.reason) == (A, CreateFailure.STOCKOUT)
        assert isinstance(seen, SlicesObserved)
        assert [it.state for it in seen.listing] == [CloudState.STOPPED]
        assert await m.delete(A, "held") == DELETED
        assert fake_google.queue.all == {}

    tell(fake_google, story)


def test_a_queued_slice_that_was_taken_is_told_and_frees_its_place(fake_google: FakeGoogle) -> None:
    async def story(m: Managed) -> None:
        await m.create(A, "held")
        fake_google.advance(300)
        fake_google.fate.preempt(A)
        fake_google.advance(60)
        assert (await m.sighting(A)).state is CloudState.PREEMPTED  # type: ignore[union-attr]
        assert await m.delete(A, "held") == DELETED
        assert (fake_google.queue.all, fake_google.fate.books()) == ({}, {})

    tell(fake_google, story)


def test_what_was_fulfilled_after_it_was_given_up_is_seen_again(fake_google: FakeGoogle) -> None:
    async def story(m: Managed) -> None:
        fake_google.knobs.fulfil_after_delete = True
        fake_google.knobs.quota_zone = {ZONE: 8}
        await m.create(A, "held")
        assert await m.delete(A, "held") == DELETED
        fake_google.knobs.quota_zone = {}
        fake_google.advance(300)
        seen = await m.sighting(A)
        assert seen is not None
        assert await m.delete(A, "held") == DELETED
        assert (await m.observe()).listing == ()

    tell(fake_google, story)
