"""The provider of Google Cloud on the fake one, over the wire: what tests of it ask, and how it is told."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

import grpc.aio

from iris.cluster.controller.clock import WallClock
from iris.cluster.vm.bootstrap import Bootstrap
from iris.cluster.vm.gcp import GcpSettings, GcpVmManager
from iris.cluster.vm.gcp_calls import Limits
from iris.cluster.vm.gcp_endpoints import Endpoints
from iris.config import ClusterConfig, Gcp, read_cluster
from iris.core.effects import CreateSlice, DeleteSlice, ObserveSlices
from iris.core.events import Event, SliceSighting, SlicesObserved
from iris.core.ids import GroupName, SliceId, Zone
from iris.core.spec import GroupSpec
from iris.yaml_source import parse_mapping
from tests.gcp.fake_google import FakeGoogle
from tests.gcp.fake_grpc import UNLIMITED

ZONE: Final = Zone("us-central1-a")
CONFIG: Final = """
provider: {type: gcp, project_id: iris-test, zone: us-central1-a}
reservations: {pool: {chips: 256}}
scale_groups:
  tpu: {accelerator_type: v5litepod-16, max_slices: 9, preemptible: true}
  held: {accelerator_type: v5litepod-16, max_slices: 9, reservation: pool}
  cpu: {accelerator_type: cpu, max_slices: 9, preemptible: true, vm: {cpu: 4, memory: 16GiB, count: 2}}
"""
QUICK: Final = Limits(
    patience_s=5.0,
    retry_s=0.01,
    first_poll_s=0.02,
    longest_poll_s=0.05,
    polls_per_second=200.0,
    listing_gap_s=0.0,
)
"""As one waits for a fake whose clock is moved by hand."""


def config(text: str = CONFIG) -> ClusterConfig:
    """A cluster on the fake project."""
    return read_cluster(parse_mapping(text, "cluster.yaml"))


class Managed:
    """One life of a controller's provider."""

    def __init__(
        self,
        google: FakeGoogle,
        cluster: ClusterConfig | None = None,
        limits: Limits = QUICK,
        key: str = "key",
    ) -> None:
        """One that has begun, with an own key to sign what its workers show."""
        cluster = cluster or config()
        assert isinstance(cluster.provider, Gcp)
        self.google = google
        self.told: list[Event] = []
        """What it said unasked."""
        self.groups: dict[GroupName, GroupSpec] = {
            group.name: group for group in cluster.spec.groups
        }
        bootstrap = Bootstrap(
            cluster.provider.cluster,
            google.project,
            "http://controller:10000",
            "worker:latest",
            lambda: self.groups,
            lambda name: f"{key}/{name}",
        )
        endpoints = Endpoints(google.grpc_address, f"http://{google.compute_address}", plain)
        settings = GcpSettings(cluster.provider, dict(cluster.runtime_versions), endpoints, limits)
        self.vms = GcpVmManager(settings, bootstrap, WallClock(), self.told.append)
        self._watch = asyncio.create_task(self.vms.watch())

    async def end(self) -> None:
        """As by a kill."""
        self._watch.cancel()
        await asyncio.gather(self._watch, return_exceptions=True)

    async def create(self, name: str, group: str = "tpu", zone: Zone = ZONE) -> list[Event]:
        """What it answers to a create."""
        return [*await self.vms.create_slice(CreateSlice(SliceId(name), GroupName(group), zone))]

    async def delete(self, name: str, group: str = "tpu", zone: Zone = ZONE) -> list[Event]:
        """What it answers to a delete, while the fake's time passes."""
        asked = asyncio.ensure_future(
            self.vms.delete_slice(DeleteSlice(SliceId(name), GroupName(group), zone))
        )
        while not asked.done():
            await asyncio.sleep(0.02)
            self.google.advance(10)
        return [*asked.result()]

    async def observe(self, *names: str) -> SlicesObserved:
        """What it sees."""
        (found,) = await self.vms.observe(ObserveSlices(tuple(map(SliceId, names))))
        assert isinstance(found, SlicesObserved)
        return found

    async def sighting(self, name: str) -> SliceSighting | None:
        """What it sees of one slice."""
        return next((it for it in (await self.observe(name)).listing), None)

    async def hears(self, wanted: type[Event]) -> Event:
        """What it says unasked, of one kind."""
        async with asyncio.timeout(20):
            while not any(isinstance(it, wanted) for it in self.told):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return next(it for it in self.told if isinstance(it, wanted))


def plain(address: str) -> grpc.aio.Channel:
    """A channel without TLS."""
    return grpc.aio.insecure_channel(address, options=UNLIMITED)


def tell(
    google: FakeGoogle,
    story: Callable[[Managed], Awaitable[None]],
    *,
    cluster: ClusterConfig | None = None,
    limits: Limits = QUICK,
) -> None:
    """A story in one controller's life."""

    async def whole() -> None:
        managed = Managed(google, cluster, limits)
        try:
            await story(managed)
        finally:
            await managed.end()

    asyncio.run(whole())


def patient(seconds: float) -> Limits:
    """Deadlines of so many seconds."""
    return replace(QUICK, patience_s=seconds)
