"""Slices of CPU machines: instances of Compute Engine over REST, one for each host."""

import asyncio

import pytest

from iris.core.events import (
    CloudState,
    CreateFailure,
    SliceAccepted,
    SliceCreateFailed,
    SliceDeleted,
)
from iris.core.ids import SliceId
from iris.core.instant import Instant
from sim.model import CloudModel
from tests.gcp.fake_google import FakeGoogle, serve
from tests.gcp.fake_time import HandClock
from tests.gcp.managing import ZONE, Managed, patient, tell

A = "iris-cpu-1"
ACCEPTED, DELETED = [SliceAccepted(SliceId(A))], [SliceDeleted(SliceId(A))]


def instances(google: FakeGoogle) -> list[str]:
    return sorted(name for (_, name), it in google.compute.instances.items() if it.is_there())


def test_a_slice_is_its_instances_and_each_knows_which_host_it_is(fake_google: FakeGoogle) -> None:
    async def story(m: Managed) -> None:
        both = await asyncio.gather(m.create(A, "cpu"), m.create(A, "cpu"))
        assert [*both] == [ACCEPTED, ACCEPTED]
        assert await m.create(A, "cpu") == ACCEPTED
        assert instances(fake_google) == [f"{A}-w0", f"{A}-w1"]
        for host in (0, 1):
            body = fake_google.compute.instances[ZONE, f"{A}-w{host}"].body
            items = {it["key"]: it["value"] for it in body["metadata"]["items"]}
            assert (items["iris-host"], items["iris-hosts"]) == (str(host), "2")
            assert body["machineType"].endswith("/n2-standard-4")
            assert body["scheduling"]["provisioningModel"] == "SPOT"
        fake_google.advance(300)
        found = await m.observe()
        assert [(it.slice, it.group, it.zone, it.state) for it in found.listing] == [
            (A, "cpu", ZONE, CloudState.READY)
        ]
        assert found.complete
        assert await m.delete(A, "cpu") == DELETED
        assert instances(fake_google) == []
        assert await m.delete(A, "cpu") == DELETED

    tell(fake_google, story)


def test_a_slice_of_a_group_that_left_the_configuration_is_deleted_whole(
    fake_google: FakeGoogle,
) -> None:
    async def story(m: Managed) -> None:
        await m.create(A, "cpu")
        later = Managed(fake_google)  # Its first request is this delete: it has seen nothing yet.
        later.groups.clear()
        try:
            assert await later.delete(A, "cpu") == DELETED
            assert instances(fake_google) == []
        finally:
            await later.end()

    tell(fake_google, story)


def test_a_group_that_left_the_configuration_is_told_as_its_labels_have_it(
    fake_google: FakeGoogle,
) -> None:
    async def story(m: Managed) -> None:
        await m.create(A, "cpu")
        m.groups.clear()
        assert [it.group for it in (await m.observe()).listing] == ["cpu"]

    tell(fake_google, story)


def test_one_lost_instance_is_told_of_the_whole_slice_and_one_that_is_unseen_is_not(
    fake_google: FakeGoogle,
) -> None:
    async def story(m: Managed) -> None:
        await m.create(A, "cpu")
        fake_google.advance(300)
        provider = fake_google.machines
        name = SliceId(f"{ZONE}.{A}-w1")
        provider.take([provider.machines[name]])
        assert (await m.sighting(A)).state is CloudState.PREEMPTED  # type: ignore[union-attr]
        provider.forget(provider.machines[name])
        assert (await m.sighting(A)).state is CloudState.REPAIRING  # type: ignore[union-attr]

    tell(fake_google, story)


def test_a_create_whose_answer_hangs_is_found_and_is_one(fake_google: FakeGoogle) -> None:
    async def story(m: Managed) -> None:
        fake_google.knobs.hanging_methods = frozenset({"instances.insert"})
        (refused,) = await m.create(A, "cpu")
        assert isinstance(refused, SliceCreateFailed)
        assert refused.reason is CreateFailure.INTERNAL
        fake_google.knobs.hanging_methods = frozenset({"instances.insert", "instances.get"})
        assert await m.create(A, "cpu") == []

    tell(fake_google, story, limits=patient(0.2))


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        ("unreachable", frozenset({ZONE})),
        ("hanging_methods", frozenset({"instances.aggregatedList"})),
        ("denied", frozenset({"instances.aggregatedList"})),
    ],
)
def test_instances_that_could_not_be_listed_are_not_told_as_absent(
    fake_google: FakeGoogle, knob: str, value: object
) -> None:
    async def story(m: Managed) -> None:
        await m.create(A, "cpu")
        setattr(fake_google.knobs, knob, value)
        found = await m.observe()
        assert not found.complete
        assert (await m.observe(A)).missing == ()

    tell(fake_google, story, limits=patient(0.2))


@pytest.mark.parametrize("sign", ["unreachables", "items"])
def test_either_sign_of_a_zone_that_did_not_answer_is_enough(
    fake_google: FakeGoogle, monkeypatch: pytest.MonkeyPatch, sign: str
) -> None:
    whole = fake_google.compute.aggregated
    monkeypatch.setattr(
        fake_google.compute, "aggregated", lambda wanted: {sign: whole(wanted)[sign]}
    )

    async def story(m: Managed) -> None:
        fake_google.knobs.unreachable = frozenset({ZONE})
        assert f"instances: no answer from zones/{ZONE}" in (await m.observe()).error

    tell(fake_google, story)


def test_a_zone_without_such_machines_says_so_in_the_operation() -> None:
    async def story(m: Managed) -> None:
        assert await m.create(A, "cpu") == ACCEPTED
        m.google.advance(300)
        refused = await m.hears(SliceCreateFailed)
        assert isinstance(refused, SliceCreateFailed)
        assert refused.reason is CreateFailure.STOCKOUT
        assert await m.delete(A, "cpu") == DELETED

    one = CloudModel(capacity={ZONE: ((Instant(0), 1),)})  # of the two that a slice has
    with serve(compute_model=one, clock=HandClock()) as google:
        tell(google, story)
        assert instances(google) == []
