"""The `VmManager` port: what the core relies on, of every provider, the simulator's fake included."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from iris.core.effects import CreateSlice, DeleteSlice, ObserveSlices
from iris.core.events import (
    CloudState,
    SliceAccepted,
    SliceCreateFailed,
    SliceDeleted,
    SliceDeleteFailed,
    SlicesObserved,
)
from iris.core.ids import SliceId
from tests.cluster import sshds
from tests.cluster.sshds import Hosts
from tests.ports.clouds import (
    FIRST,
    GROUP,
    SECOND,
    ZONE,
    ByGoogle,
    BySsh,
    Cloud,
    OnThisMachine,
    Simulated,
)

pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")

Story: TypeAlias = Callable[[Cloud], Awaitable[None]]

CREATE, DELETE = CreateSlice(FIRST, GROUP.name, ZONE), DeleteSlice(FIRST, GROUP.name, ZONE)
WHOLE = frozenset({CloudState.CREATING, CloudState.READY, CloudState.REPAIRING})


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    yield from sshds.machines(tmp_path_factory.mktemp("pool"), GROUP.hosts)


@pytest.fixture(
    params=[
        "sim",
        "local",
        pytest.param(
            "manual", marks=pytest.mark.skipif(bool(sshds.lacking()), reason=sshds.lacking())
        ),
        "nodes",
        "queued",
        "instances",
    ]
)
def cloud(request: pytest.FixtureRequest, tmp_path: Path) -> Cloud:
    match request.param:
        case "sim":
            return Simulated()
        case "local":
            return OnThisMachine(tmp_path)
        case "nodes" | "queued" | "instances" as kind:
            return ByGoogle(kind)
        case _:
            return BySsh(tmp_path, request.getfixturevalue("pool"))


def tell(cloud: Cloud, story: Story) -> None:
    """A story in one controller's life, and nothing left of it."""

    async def whole() -> None:
        await cloud.begin()
        try:
            await story(cloud)
        finally:
            cloud.hear()
            for name in (FIRST, SECOND):
                await cloud.vms.delete_slice(DeleteSlice(name, GROUP.name, ZONE))
            await cloud.end()
            await cloud.close()

    asyncio.run(whole())


async def listing(cloud: Cloud, *names: SliceId) -> SlicesObserved:
    (found,) = await cloud.vms.observe(ObserveSlices(names))
    assert isinstance(found, SlicesObserved)
    return found


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def test_a_slice_is_created_once_however_often_it_is_asked_for(cloud: Cloud) -> None:
    async def story(cloud: Cloud) -> None:
        both = await asyncio.gather(cloud.vms.create_slice(CREATE), cloud.vms.create_slice(CREATE))
        assert {type(fact) for facts in both for fact in facts} == {SliceAccepted}
        machines = cloud.evidence(FIRST)
        assert len(machines) == GROUP.hosts
        await cloud.end()
        await cloud.begin()  # Another life of the controller asks again.
        assert [*await cloud.vms.create_slice(CREATE)] == [SliceAccepted(FIRST)]
        assert cloud.evidence(FIRST) == machines

    tell(cloud, story)


def test_a_slice_is_deleted_however_often_and_nothing_of_it_is_left(cloud: Cloud) -> None:
    async def story(cloud: Cloud) -> None:
        assert [*await cloud.vms.delete_slice(DELETE)] == [SliceDeleted(FIRST)]  # It never was.
        await cloud.vms.create_slice(CREATE)
        await cloud.end()
        await cloud.begin()
        assert [*await cloud.vms.delete_slice(DELETE)] == [SliceDeleted(FIRST)]
        assert not cloud.evidence(FIRST)
        assert [*await cloud.vms.delete_slice(DELETE)] == [SliceDeleted(FIRST)]
        assert (await listing(cloud)).listing == ()

    tell(cloud, story)


def test_a_listing_holds_what_there_is_and_says_whether_it_is_whole(cloud: Cloud) -> None:
    async def story(cloud: Cloud) -> None:
        empty = await listing(cloud)
        assert (empty.listing, empty.complete, empty.error) == ((), True, "")
        await cloud.vms.create_slice(CREATE)
        await cloud.end()
        await cloud.begin()
        found = await listing(cloud)
        assert found.complete
        (seen,) = found.listing
        assert (seen.slice, seen.group, seen.zone) == (FIRST, GROUP.name, ZONE)
        assert seen.state in WHOLE
        some = await listing(cloud, FIRST, SECOND)
        assert [sighting.slice for sighting in some.listing] == [FIRST]
        assert (some.complete, some.missing) == (False, (SECOND,))

    tell(cloud, story)


def test_what_cannot_be_had_is_refused_by_a_fact_and_leaves_nothing(cloud: Cloud) -> None:
    async def story(cloud: Cloud) -> None:
        await cloud.vms.create_slice(CREATE)
        machines = cloud.evidence(FIRST)
        facts = await cloud.vms.create_slice(cloud.too_much())
        assert isinstance(facts[-1], SliceCreateFailed)
        assert facts[-1].slice == SECOND
        assert facts[-1].detail
        assert (cloud.evidence(FIRST), cloud.evidence(SECOND)) == (machines, [])
        assert [seen.slice for seen in (await listing(cloud)).listing] == [FIRST]

    tell(cloud, story)


def test_a_slice_that_ends_by_itself_is_told_and_seen(cloud: Cloud) -> None:
    async def story(cloud: Cloud) -> None:
        await cloud.vms.create_slice(CREATE)
        cloud.lose(FIRST)
        await until(lambda: any(isinstance(fact, SlicesObserved) for fact in cloud.told))
        told = [fact for fact in cloud.told if isinstance(fact, SlicesObserved)]
        assert [seen.slice for seen in told[0].listing] == [FIRST]
        assert told[0].listing[0].state not in WHOLE
        assert not told[0].complete
        (seen,) = (await listing(cloud, FIRST)).listing
        assert seen.state not in WHOLE

    tell(cloud, story)


def test_what_does_not_answer_is_never_said_to_be_absent(cloud: Cloud) -> None:
    if not cloud.can_fall_silent:
        return

    async def story(cloud: Cloud) -> None:
        await cloud.vms.create_slice(CREATE)
        machines = cloud.evidence(FIRST)
        await cloud.end()
        cloud.silence()
        await cloud.begin()
        found = await listing(cloud)
        seen = {sighting.slice: sighting.state for sighting in found.listing}
        assert found.error or not found.complete or seen[FIRST] in WHOLE
        assert seen.get(FIRST, CloudState.READY) in WHOLE
        assert cloud.evidence(FIRST) == machines

    tell(cloud, story)


@pytest.mark.skipif(bool(sshds.lacking()), reason=sshds.lacking())
def test_a_delete_that_gets_no_answer_is_no_deletion(pool: Hosts, tmp_path: Path) -> None:
    async def story(cloud: Cloud) -> None:
        await cloud.vms.create_slice(CREATE)
        await cloud.end()
        cloud.silence()
        await cloud.begin()
        (refused,) = await cloud.vms.delete_slice(DELETE)
        assert isinstance(refused, SliceDeleteFailed)
        assert pool.all[1].address in refused.detail
        assert [seen.slice for seen in (await listing(cloud)).listing] == [FIRST]
        cloud.hear()
        assert [*await cloud.vms.delete_slice(DELETE)] == [SliceDeleted(FIRST)]
        assert not cloud.evidence(FIRST)

    tell(BySsh(tmp_path, pool), story)
