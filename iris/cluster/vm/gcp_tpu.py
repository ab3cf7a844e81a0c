"""TPU slices: nodes of the Cloud TPU API and, for reserved capacity, queued resources that become nodes.

A queued resource and its node have one name, and each is listed for itself: one that still waits, or whose
node is gone, holds quota too.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

from google.cloud import tpu_v2

from iris.cluster.vm.gcp_calls import Calls
from iris.cluster.vm.gcp_endpoints import SCOPES
from iris.cluster.vm.gcp_errors import CloudError, Code
from iris.cluster.vm.gcp_kinds import Found, Listing, Order, made, removed
from iris.cluster.vm.gcp_names import TAG, Marks
from iris.cluster.vm.gcp_operations import Look
from iris.cluster.vm.gcp_tpu_client import TpuClient, error_of
from iris.config import Gcp
from iris.core.events import CloudState
from iris.core.ids import GroupName, SliceId, Zone
from iris.core.spec import GroupSpec
from iris.ports import VmPlace

_PAGE: Final = 200
_SAID: Final = "iris/"
"""What machines write about themselves: see boot.sh."""
_S = tpu_v2.Node.State
_Q = tpu_v2.QueuedResourceState.State

NODE_STATES: Final[Mapping[int, CloudState]] = {
    _S.CREATING: CloudState.CREATING,
    _S.READY: CloudState.READY,
    _S.RESTARTING: CloudState.REPAIRING,
    _S.STARTING: CloudState.REPAIRING,
    _S.REPAIRING: CloudState.REPAIRING,
    _S.DELETING: CloudState.DELETING,
    _S.STOPPED: CloudState.STOPPED,
    _S.STOPPING: CloudState.STOPPED,
    _S.TERMINATED: CloudState.STOPPED,
    _S.PREEMPTED: CloudState.PREEMPTED,
}
"""What a node's state means; every other number, whether it has a name today or not, is `OTHER`."""
QUEUED_STATES: Final[Mapping[int, CloudState]] = {
    _Q.CREATING: CloudState.CREATING,
    _Q.ACCEPTED: CloudState.CREATING,
    _Q.WAITING_FOR_RESOURCES: CloudState.CREATING,
    _Q.PROVISIONING: CloudState.CREATING,
    _Q.ACTIVE: CloudState.READY,
    _Q.DELETING: CloudState.DELETING,
    _Q.SUSPENDING: CloudState.PREEMPTED,
    _Q.SUSPENDED: CloudState.PREEMPTED,
    _Q.FAILED: CloudState.STOPPED,
}
"""Likewise of a queued resource: a suspended one was taken from us, and does not come back."""


def node_state(node: Any) -> CloudState:
    """What a node, as the wire has it, is to us; whether it is healthy, its workers say."""
    state = NODE_STATES.get(node.state, CloudState.OTHER)
    plan = node.scheduling_config
    if node.state == _S.TERMINATED and (plan.spot or plan.preemptible):
        return CloudState.PREEMPTED
    return state


class _Things:
    """Things of one kind of the API, each of which is a slice or becomes one."""

    collection: str
    """As paths name it."""
    verb: str
    """As methods name one."""
    List: Callable[..., Any]
    Get: Callable[..., Any]

    def __init__(
        self, client: TpuClient, calls: Calls, gcp: Gcp, versions: Mapping[GroupName, str]
    ) -> None:
        """Those of a project.

        Args:
            client: asks Google.
            calls: when, and for how long.
            gcp: which project, and what all machines of it are.
            versions: the software of each group of TPUs.
        """
        self._client = client
        self._calls = calls
        self._gcp = gcp
        self._marks = Marks(gcp.cluster)
        self._versions = versions

    async def create(self, order: Order) -> Sequence[Look]:
        """Ask for one."""
        ask = self._client.ask(f"create_{self.verb}", self.creation(order))

        async def insert() -> Look:
            return await self._follow(await self._calls.create(ask))

        path = self._path(order.name, order.request.zone)
        look = await made(insert, lambda: self._labels(path), order.labels)
        return () if look is None else (look,)

    async def delete(self, slice_: SliceId, zone: Zone, hosts: int) -> Sequence[Look]:
        """Remove one, and all that it has become."""
        del hosts
        path = self._path(self._marks.name(slice_), zone)
        ask = self._client.ask(f"delete_{self.verb}", self.deletion(path))

        async def remove() -> Look:
            return await self._follow(await self._calls.delete(ask))

        look = await removed(remove, lambda: self._labels(path), self._marks, slice_)
        return () if look is None else (look,)

    async def list(self) -> Listing:
        """All of ours in the project, page by page, in whatever state."""
        found: list[Found] = []
        unreachable: dict[str, None] = {}
        try:
            async for page in self._pages():
                found += [
                    ours for it in getattr(page, self.verb + "s") if (ours := self._found(it))
                ]
                unreachable.update(dict.fromkeys(page.unreachable))
        except CloudError as error:
            return Listing(tuple(found), f"{self.collection}: {error}")
        lacks = f"{self.collection}: no answer from {', '.join(unreachable)}"
        return Listing(tuple(found), lacks if unreachable else "")

    async def log(self, vm: VmPlace) -> str:
        """What it last said of itself by its guest attributes, for nodes have no serial port that could be read."""
        path = f"{self._parent(vm.zone)}/nodes/{self._marks.name(vm.slice)}"
        request = tpu_v2.GetGuestAttributesRequest(
            name=path, query_path=_SAID, worker_ids=[str(vm.host)]
        )
        ask = self._client.ask("get_guest_attributes", request)
        found = await self._calls.read(ask)
        return "".join(
            f"{entry.key}: {entry.value}\n"
            for attributes in found.guest_attributes
            for entry in attributes.query_value.items
        )

    def creation(self, order: Order) -> Any:
        """The request for one."""
        raise NotImplementedError

    def deletion(self, path: str) -> Any:
        """The request to remove one."""
        raise NotImplementedError

    def labels(self, thing: Any) -> Mapping[str, str]:
        """Of one, as the wire has it."""
        raise NotImplementedError

    def state(self, thing: Any) -> CloudState:
        """What one is to us."""
        raise NotImplementedError

    def failure(self, thing: Any) -> CloudError | None:
        """What its create came to, if that stands in the thing itself."""
        del thing
        return None

    def _parent(self, zone: str) -> str:
        return f"projects/{self._gcp.project_id}/locations/{zone}"

    def _path(self, name: str, zone: str) -> str:
        return f"{self._parent(zone)}/{self.collection}/{name}"

    def _node(self, order: Order) -> tpu_v2.Node:
        gcp, group = self._gcp, order.group
        account = tpu_v2.ServiceAccount(email=gcp.service_account or "", scope=SCOPES)
        network = tpu_v2.NetworkConfig(
            network=gcp.network or "",
            subnetwork=gcp.subnetwork or "",
            enable_external_ips=gcp.external_ips,
        )
        return tpu_v2.Node(
            accelerator_type=group.accelerator_type,
            runtime_version=self._versions[group.name],
            network_config=network,
            scheduling_config=tpu_v2.SchedulingConfig(
                spot=group.preemptible, reserved=is_reserved(group)
            ),
            service_account=account,
            labels=dict(order.labels),
            metadata=dict(order.metadata(None)),
            tags=[TAG],
        )

    async def _follow(self, begun: Any) -> Look:
        if begun.operation.done:
            await (
                begun.exception()
            )  # Its future complains about an error that nobody has looked at.
        ask = self._client.operation(begun.operation.name)
        return lambda: self._calls.poll(ask)

    async def _labels(self, path: str) -> Mapping[str, str] | None:
        """Those of the one there; None if there is none."""
        try:
            ask = self._client.ask(f"get_{self.verb}", self.Get(name=path))
            found = await self._calls.read(ask)
        except CloudError as error:
            if error.code is Code.NOT_FOUND:
                return None
            raise
        return self.labels(type(found).pb(found))

    def _found(self, thing: Any) -> Found | None:
        labels = self.labels(thing)
        name = self._marks.slice_of(labels)
        zone = Zone(thing.name.split("/")[3])
        if name is None:
            return None
        return Found(name, labels, zone, self.state(thing), self.failure(thing))

    async def _pages(self) -> AsyncIterator[Any]:
        token = ""
        while True:
            asked = self.List(parent=self._parent("-"), page_size=_PAGE, page_token=token)
            pager = await self._calls.read(self._client.ask(f"list_{self.verb}s", asked))
            page = await anext(aiter(pager.pages))
            raw = type(page).pb(page)
            yield raw
            token = raw.next_page_token
            if not token:
                return


class Nodes(_Things):
    """Slices that are asked for at once, and come at once or not at all."""

    collection, verb = "nodes", "node"
    List, Get = tpu_v2.ListNodesRequest, tpu_v2.GetNodeRequest

    def creation(self, order: Order) -> tpu_v2.CreateNodeRequest:
        """The request for a node."""
        parent = self._parent(order.request.zone)
        return tpu_v2.CreateNodeRequest(parent=parent, node_id=order.name, node=self._node(order))

    def deletion(self, path: str) -> tpu_v2.DeleteNodeRequest:
        """The request to remove it."""
        return tpu_v2.DeleteNodeRequest(name=path)

    def labels(self, thing: Any) -> Mapping[str, str]:
        """Its own."""
        return dict(thing.labels)

    def state(self, thing: Any) -> CloudState:
        """By what it is called."""
        return node_state(thing)


class Queued(_Things):
    """Slices of reserved capacity, which wait for it."""

    collection, verb = "queuedResources", "queued_resource"
    List, Get = tpu_v2.ListQueuedResourcesRequest, tpu_v2.GetQueuedResourceRequest

    def creation(self, order: Order) -> tpu_v2.CreateQueuedResourceRequest:
        """The request for a node when there is room for it."""
        parent = self._parent(order.request.zone)
        spec = tpu_v2.QueuedResource.Tpu.NodeSpec(
            parent=parent, node_id=order.name, node=self._node(order)
        )
        queued = tpu_v2.QueuedResource(
            tpu=tpu_v2.QueuedResource.Tpu(node_spec=[spec]),
            guaranteed=tpu_v2.QueuedResource.Guaranteed(),
            reservation_name=f"{parent}/reservations/{order.group.reservation}",
        )
        return tpu_v2.CreateQueuedResourceRequest(
            parent=parent, queued_resource_id=order.name, queued_resource=queued
        )

    def deletion(self, path: str) -> tpu_v2.DeleteQueuedResourceRequest:
        """The request to remove it with its node."""
        return tpu_v2.DeleteQueuedResourceRequest(name=path, force=True)

    def labels(self, thing: Any) -> Mapping[str, str]:
        """Those of the node that it is to become, for it has none itself."""
        return dict(thing.tpu.node_spec[0].node.labels) if thing.tpu.node_spec else {}

    def state(self, thing: Any) -> CloudState:
        """By what it is called."""
        return QUEUED_STATES.get(thing.state.state, CloudState.OTHER)

    def failure(self, thing: Any) -> CloudError | None:
        """One that has failed says why; the operation of its create was over when it was in the queue."""
        if thing.state.state != _Q.FAILED:
            return None
        return error_of(thing.state.failed_data.error)


def is_reserved(group: GroupSpec) -> bool:
    """Whether a group draws on reserved capacity; what is preemptible does not."""
    return group.reservation is not None and not group.preemptible
