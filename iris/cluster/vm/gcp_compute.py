"""CPU and GPU slices: instances of Compute Engine, one for each host, each called after its worker.

A slice is what its instances are together: as bad as the worst of them, and never absent while one is seen.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final

from iris.cluster.vm.gcp_calls import Calls
from iris.cluster.vm.gcp_endpoints import SCOPES
from iris.cluster.vm.gcp_errors import CloudError, Code
from iris.cluster.vm.gcp_kinds import Found, Listing, Order, made, removed, worst
from iris.cluster.vm.gcp_names import CLUSTER, HOSTS, SLICE, TAG, Marks
from iris.cluster.vm.gcp_operations import Look, Outcome
from iris.cluster.vm.gcp_rest import Rest, error_of
from iris.config import Gcp, Machine
from iris.core.events import CloudState
from iris.core.ids import GroupName, SliceId, Zone
from iris.ports import VmPlace

_GIB: Final = 2**30
_PAGE: Final = 500
_NOTHING_THERE: Final = "NO_RESULTS_ON_PAGE"
INSTANCE_STATES: Final[Mapping[str, CloudState]] = {
    "PENDING": CloudState.CREATING,
    "PROVISIONING": CloudState.CREATING,
    "STAGING": CloudState.CREATING,
    "RUNNING": CloudState.READY,
    "REPAIRING": CloudState.REPAIRING,
    "STOPPING": CloudState.STOPPED,
    "PENDING_STOP": CloudState.STOPPED,
    "SUSPENDING": CloudState.STOPPED,
    "SUSPENDED": CloudState.STOPPED,
    "TERMINATED": CloudState.STOPPED,
}
"""What an instance's status means; every other is `OTHER`."""


def lacks_of(page: Mapping[str, Any]) -> Iterator[str]:
    """What a page of an aggregated listing has no answer from: then absence from it proves nothing."""
    yield from page.get("unreachables", ())
    for place, there in page.get("items", {}).items():
        code = there.get("warning", {}).get("code", _NOTHING_THERE)
        if code != _NOTHING_THERE:
            yield f"{place}: {code}"


class Instances:
    """Slices of machines without TPUs."""

    def __init__(self, rest: Rest, calls: Calls, gcp: Gcp) -> None:
        self._rest = rest
        self._calls = calls
        self._gcp = gcp
        self._marks = Marks(gcp.cluster)
        self._machines: Mapping[GroupName, Machine] = dict(gcp.machines)

    async def create(self, order: Order) -> Sequence[Look]:
        """Ask for every host's instance."""
        hosts = range(order.group.hosts)
        found = await asyncio.gather(
            *(self._create(order, host) for host in hosts), return_exceptions=True
        )
        looks: list[Look] = []
        for one in found:  # All have ended by now: whatever was made is found by a delete.
            if isinstance(one, BaseException):
                raise one
            if one is not None:
                looks.append(one)
        return looks

    async def delete(self, slice_: SliceId, zone: Zone, hosts: int) -> Sequence[Look]:
        """Remove every instance of a slice: those that it must have, and those that are seen."""
        names = dict.fromkeys(self._name(self._marks.name(slice_), host) for host in range(hosts))
        query = f"labels.{SLICE}={slice_} AND labels.{CLUSTER}={self._gcp.cluster}"
        seen = await self._calls.read(
            self._rest.ask("GET", f"zones/{zone}/instances", filter=query, maxResults=_PAGE)
        )
        for it in seen.get("items", ()):
            if self._marks.slice_of(it.get("labels", {})) == slice_:
                names[it["name"]] = None
        looks = await asyncio.gather(*(self._delete(slice_, zone, name) for name in names))
        return [look for look in looks if look is not None]

    async def list(self) -> Listing:
        """All slices of which an instance is ours, wherever it is."""
        parts: dict[SliceId, list[Any]] = {}
        lacks: dict[str, None] = {}
        try:
            async for page in self._pages():
                lacks.update(dict.fromkeys(lacks_of(page)))
                for there in page.get("items", {}).values():
                    for it in there.get("instances", ()):
                        name = self._marks.slice_of(it.get("labels", {}))
                        if name is not None:
                            parts.setdefault(name, []).append(it)
        except CloudError as error:
            return Listing(_slices(parts), f"instances: {error}")
        words = f"instances: no answer from {', '.join(lacks)}" if lacks else ""
        return Listing(_slices(parts), words)

    async def log(self, vm: VmPlace) -> str:
        """What its first serial port has shown."""
        name = self._name(self._marks.name(vm.slice), vm.host)
        ask = self._rest.ask("GET", f"zones/{vm.zone}/instances/{name}/serialPort", port=1)
        return str((await self._calls.read(ask)).get("contents", ""))

    # ---- one instance --------------------------------------------------------------------------

    async def _create(self, order: Order, host: int) -> Look | None:
        zone, name = order.request.zone, self._name(order.name, host)
        ask = self._rest.ask("POST", f"zones/{zone}/instances", self._instance(order, host))

        async def insert() -> Look:
            return self._follow(await self._calls.create(ask), zone)

        return await made(insert, lambda: self._labels(zone, name), order.labels)

    async def _delete(self, slice_: SliceId, zone: Zone, name: str) -> Look | None:
        ask = self._rest.ask("DELETE", f"zones/{zone}/instances/{name}")

        async def remove() -> Look:
            return self._follow(await self._calls.delete(ask), zone)

        return await removed(remove, lambda: self._labels(zone, name), self._marks, slice_)

    async def _labels(self, zone: Zone, name: str) -> Mapping[str, str] | None:
        try:
            ask = self._rest.ask("GET", f"zones/{zone}/instances/{name}")
            found = await self._calls.read(ask)
        except CloudError as error:
            if error.code is Code.NOT_FOUND:
                return None
            raise
        labels: dict[str, str] = found.get("labels", {})
        return labels

    def _follow(self, begun: Mapping[str, Any], zone: Zone) -> Look:
        ask = self._rest.ask("GET", f"zones/{zone}/operations/{begun['name']}")

        async def look() -> Outcome | None:
            said = await self._calls.poll(ask)
            return Outcome(error_of(said)) if said.get("status") == "DONE" else None

        return look

    def _instance(self, order: Order, host: int) -> dict[str, Any]:
        gcp, machine, zone = self._gcp, self._machines[order.group.name], order.request.zone
        items = [{"key": key, "value": value} for key, value in order.metadata(host).items()]
        found: dict[str, Any] = {
            "name": self._name(order.name, host),
            "machineType": f"zones/{zone}/machineTypes/{machine.type}",
            "disks": [_boot_disk(order, machine)],
            "networkInterfaces": [network_of(gcp, zone)],
            "labels": dict(order.labels),
            "metadata": {"items": items},
            "tags": {"items": [TAG]},
            "serviceAccounts": [{"email": gcp.service_account or "default", "scopes": [*SCOPES]}],
            "scheduling": _scheduling(preemptible=order.group.preemptible),
        }
        if machine.gpus is not None:
            kind, count = machine.gpus
            path = f"zones/{zone}/acceleratorTypes/{kind}"
            found["guestAccelerators"] = [{"acceleratorType": path, "acceleratorCount": count}]
        return found

    def _name(self, name: str, host: int) -> str:
        return f"{name}-w{host}"

    async def _pages(self) -> AsyncIterator[dict[str, Any]]:
        query: dict[str, str | int] = {
            "filter": f"labels.{CLUSTER}={self._gcp.cluster}",
            "maxResults": _PAGE,
            "returnPartialSuccess": "true",
        }
        while True:
            page = await self._calls.read(
                self._rest.ask("GET", "aggregated/instances", None, **query)
            )
            yield page
            if not page.get("nextPageToken"):
                return
            query["pageToken"] = page["nextPageToken"]


def network_of(gcp: Gcp, zone: Zone) -> dict[str, Any]:
    """What connects an instance of a zone."""
    found: dict[str, Any] = {}
    if gcp.subnetwork is not None:
        region = zone.rpartition("-")[0]
        whole = f"regions/{region}/subnetworks/{gcp.subnetwork}"
        found["subnetwork"] = gcp.subnetwork if "/" in gcp.subnetwork else whole
    if gcp.network is not None or gcp.subnetwork is None:
        network = gcp.network or "default"
        found["network"] = network if "/" in network else f"global/networks/{network}"
    if gcp.external_ips:
        found["accessConfigs"] = [{"type": "ONE_TO_ONE_NAT", "name": "External NAT"}]
    return found


def instance_state(instance: Mapping[str, Any]) -> CloudState:
    """What an instance, as the wire has it, is to us."""
    state = INSTANCE_STATES.get(instance.get("status", ""), CloudState.OTHER)
    spot = instance.get("scheduling", {}).get("provisioningModel") == "SPOT"
    return CloudState.PREEMPTED if spot and state is CloudState.STOPPED else state


def _slices(parts: Mapping[SliceId, Sequence[Mapping[str, Any]]]) -> tuple[Found, ...]:
    """What instances are together."""
    found = []
    for name, instances in parts.items():
        labels = instances[0].get("labels", {})
        states = [instance_state(it) for it in instances]
        if len(instances) < int(labels.get(HOSTS, 1)):
            # Those that are not seen may come, or may be missing from this one answer.
            states.append(CloudState.REPAIRING)
        zone = Zone(instances[0]["zone"].rpartition("/")[2])
        found.append(Found(name, labels, zone, worst(states)))
    return tuple(found)


def _boot_disk(order: Order, machine: Machine) -> dict[str, Any]:
    size = max(10, -(-order.group.host.disk // _GIB))
    start = {"sourceImage": machine.image, "diskSizeGb": str(size)}
    return {"boot": True, "autoDelete": True, "initializeParams": start}


def _scheduling(*, preemptible: bool) -> dict[str, Any]:
    """A machine that stops is lost, and is seen until it is removed."""
    if not preemptible:
        return {"automaticRestart": False, "onHostMaintenance": "TERMINATE"}
    return {
        "automaticRestart": False,
        "onHostMaintenance": "TERMINATE",
        "provisioningModel": "SPOT",
        "instanceTerminationAction": "STOP",
    }
