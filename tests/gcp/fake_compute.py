"""Compute Engine over REST: instances of one machine each, zone operations, and what they are made of.

Instances are kept as JSON, in the words of the v1 API. Their machines come from a second cloud of
the simulator's, with a model of its own: TPU stock and CPU stock are different things.
"""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from iris.core.events import CloudState, CreateFailure
from iris.core.ids import SliceId, Zone
from iris.core.spec import GroupSpec
from sim.hosts import Host
from tests.gcp import fake_compute_errors as no
from tests.gcp.fake_catalog import machine_shape
from tests.gcp.fake_compute_operations import Outcome, ZoneOperations
from tests.gcp.fake_errors import HangUp, Json
from tests.gcp.fake_knobs import Knobs
from tests.gcp.fake_limits import NODE_ID
from tests.gcp.fake_provider import Holding, Provider
from tests.gcp.fake_time import World
from tests.gcp.fake_vms import Vm, digits_of

STATES: Final = {
    CloudState.CREATING: "STAGING",
    CloudState.READY: "RUNNING",
    CloudState.REPAIRING: "REPAIRING",
    CloudState.DELETING: "STOPPING",
    CloudState.STOPPED: "TERMINATED",
    CloudState.PREEMPTED: "TERMINATED",
    CloudState.OTHER: "TERMINATED",
}


@dataclass(slots=True, eq=False)
class Instance:
    """One instance."""

    name: str
    zone: str
    body: Json
    holding: Holding
    number: int
    fingerprints: int = 0
    """How often its labels and its metadata have changed."""

    def is_there(self) -> bool:
        """Whether it is found."""
        if self.holding.machine is None:
            return not self.holding.refused
        return self.holding.ended is None

    def status(self) -> str:
        """What it is in."""
        machine = self.holding.machine
        return "PROVISIONING" if machine is None else STATES[machine.state]


class ComputeService:
    """`compute.googleapis.com` of one project, as far as a cluster needs it."""

    def __init__(self, project: str, zones: list[str], world: World, knobs: Knobs) -> None:
        self.project = project
        self.zones = zones
        self.world = world
        self.knobs = knobs
        self.operations = ZoneOperations(project, world, knobs)
        self.instances: dict[tuple[str, str], Instance] = {}
        self.project_metadata: Json = {"kind": "compute#metadata", "items": []}
        self.net = "127.128"
        """How the addresses of its VMs begin."""
        self.provider: Provider

    # ---- what there is ---------------------------------------------------------------------

    def place(self, project: str, zone: str) -> None:
        """Refuse another project, and a zone that is none.

        Raises:
            ComputeError: 403 or 404.
        """
        if project != self.project:
            raise no.forbidden(f"projects/{project}")
        if zone not in self.zones:
            raise no.not_found(f"projects/{project}/zones/{zone}")

    def find(self, zone: str, name: str) -> Instance:
        """An instance.

        Raises:
            ComputeError: 404.
        """
        self.place(self.project, zone)
        found = self.instances.get((zone, name))
        if found is None or not found.is_there():
            raise no.not_found(f"projects/{self.project}/zones/{zone}/instances/{name}")
        return found

    def show(self, instance: Instance) -> Json:
        """An instance as it is told."""
        url = self.operations.url(instance.zone, "instances", instance.name)
        vm = instance.holding.vms.get(0)
        interface: Json = dict((instance.body.get("networkInterfaces") or [{}])[0])
        interface |= {"name": "nic0"} | ({"networkIP": vm.address} if vm is not None else {})
        if interface.get("accessConfigs") and vm is not None:
            external = {"natIP": f"203.0.113.{vm.number % 254 + 1}"}
            interface["accessConfigs"] = [c | external for c in interface["accessConfigs"]]
        mark = digits_of(instance.name, str(instance.fingerprints)).to_bytes(8, "big")
        fingerprint = b64encode(mark).decode()  # gcloud reads it as bytes
        shown = instance.body | {
            "kind": "compute#instance",
            "id": str(instance.number),
            "name": instance.name,
            "zone": self.operations.url(instance.zone),
            "selfLink": url,
            "status": instance.status(),
            "creationTimestamp": self.world.stamp(instance.holding.asked),
            "networkInterfaces": [interface],
            "labelFingerprint": fingerprint,
        }
        shown["metadata"] = instance.body.get("metadata", {}) | {"fingerprint": fingerprint}
        shown["machineType"] = self.operations.url(
            instance.zone, "machineTypes", instance.body["machineType"].rpartition("/")[2]
        )
        return shown

    # ---- instances -------------------------------------------------------------------------

    def insert(self, zone: str, body: Json, is_alive: Callable[[], bool]) -> Json:
        """instances.insert."""
        name = str(body.get("name", ""))
        with self.world.turn():
            if not NODE_ID.fullmatch(name):
                raise no.invalid(f"Invalid value for field 'resource.name': '{name}'.")
            if (zone, name) in self.instances and self.instances[zone, name].is_there():
                raise no.exists(f"projects/{self.project}/zones/{zone}/instances/{name}")
            scheduling = body.get("scheduling", {})
            kind = str(body.get("machineType", "")).rpartition("/")[2]
            is_spot = scheduling.get("provisioningModel") == "SPOT"
            shape = machine_shape(kind, preemptible=is_spot or bool(scheduling.get("preemptible")))
            if shape is None:
                raise no.invalid(
                    f"Invalid value for field 'resource.machineType': '{body.get('machineType')}'. "
                    "The referenced machine type does not exist."
                )
            holding = self._ask(SliceId(f"{zone}.{name}"), shape, Zone(zone))
            number = digits_of(zone, name, str(self.world.now))
            instance = Instance(name, zone, body, holding, number)
            self.instances[zone, name] = instance
            if not self.world.wait(lambda: holding.answered or bool(holding.refused), is_alive):
                raise HangUp
            return self.operations.begin("insert", instance, lambda: self._inserted(instance))

    def _ask(self, name: SliceId, shape: GroupSpec, zone: Zone) -> Holding:
        if self.knobs.instance_stockout or self.knobs.instance_quota:
            short = self.knobs.instance_stockout
            reason = CreateFailure.STOCKOUT if short else CreateFailure.QUOTA_REGION
            now = self.world.now
            return Holding(name, shape, zone, now, answered=True, refused=(now, reason))
        return self.provider.ask(name, shape, zone)

    def _inserted(self, instance: Instance) -> Outcome | None:
        holding = instance.holding
        if holding.refused is not None:
            at, reason = holding.refused
            if reason is CreateFailure.STOCKOUT:
                return at, no.stockout(self.project, instance.zone)
            return at, no.quota("CPUS", 24.0, instance.zone.rpartition("-")[0])
        at_last = holding.since(CloudState.READY, CloudState.PREEMPTED, CloudState.OTHER)
        ends = [at for at in (at_last, holding.ended) if at is not None]
        return (min(ends), None) if ends else None

    def get(self, zone: str, name: str) -> Json:
        """instances.get."""
        with self.world.turn():
            return self.show(self.find(zone, name))

    def list(self, zone: str, wanted: Callable[[Json], bool]) -> Json:
        """instances.list."""
        with self.world.turn():
            there = [i for i in self.instances.values() if i.zone == zone and i.is_there()]
            shown = [one for one in map(self.show, there) if wanted(one)]
            return {"kind": "compute#instanceList"} | ({"items": shown} if shown else {})

    def aggregated(self, wanted: Callable[[Json], bool]) -> Json:
        """instances.aggregatedList: every zone, those without any with a warning."""
        items: Json = {}
        for zone in self.zones:
            key = f"zones/{zone}"
            found = self.list(zone, wanted).get("items")
            if zone in self.knobs.unreachable:
                items[key] = {
                    "warning": {"code": "UNREACHABLE", "message": f"{key} is out of reach"}
                }
            elif found:
                items[key] = {"instances": found}
            else:
                text = f"There are no results for scope '{key}' on this page."
                items[key] = {"warning": {"code": "NO_RESULTS_ON_PAGE", "message": text}}
        shown: Json = {"kind": "compute#instanceAggregatedList", "items": items}
        left_out = [f"zones/{zone}" for zone in self.zones if zone in self.knobs.unreachable]
        return shown | ({"unreachables": left_out} if left_out else {})

    def delete(self, zone: str, name: str, is_alive: Callable[[], bool]) -> Json:
        """instances.delete."""
        with self.world.turn():
            instance = self.find(zone, name)
            holding = instance.holding
            if holding.state is not CloudState.DELETING:
                self.provider.give_back(holding)
                if not self.world.wait(lambda: holding.delete_arrived, is_alive):
                    raise HangUp
            if holding.delete_refused:
                raise no.backend()

            def gone() -> Outcome | None:
                at = holding.ended if holding.delete_told is None else holding.delete_told
                return None if at is None else (at, None)

            return self.operations.begin("delete", instance, gone)

    def set_metadata(self, zone: str, name: str, body: Json) -> Json:
        """instances.setMetadata."""
        return self._change(zone, name, "setMetadata", "metadata", body)

    def set_labels(self, zone: str, name: str, body: Json) -> Json:
        """instances.setLabels."""
        with self.world.turn():
            sent = {"labels": body.get("labels", {}), "fingerprint": body.get("labelFingerprint")}
            return self._change(zone, name, "setLabels", "labels", sent)

    def _change(self, zone: str, name: str, verb: str, key: str, body: Json) -> Json:
        with self.world.turn():
            instance = self.find(zone, name)
            if body.get("fingerprint") != self.show(instance)["labelFingerprint"]:
                raise no.condition_not_met("Supplied fingerprint does not match current one.")
            instance.fingerprints += 1
            instance.body[key] = body["labels"] if key == "labels" else {"items": body["items"]}
            now = self.world.now
            return self.operations.begin(verb, instance, lambda: (now, None))

    def reset(self, zone: str, name: str) -> Json:
        """instances.reset: what runs in it ends at once, and starts anew from its boot."""
        with self.world.turn():
            instance = self.find(zone, name)
            if instance.status() != "RUNNING":
                raise no.invalid(f"The instance is {instance.status()}, not RUNNING.")
            self.provider.reboot(instance.holding, 0)
            now = self.world.now
            return self.operations.begin("reset", instance, lambda: (now, None))

    def stop(self, zone: str, name: str) -> Json:
        """instances.stop: what runs in it ends, its disk and its address stay."""
        with self.world.turn():
            instance = self.find(zone, name)
            if instance.status() == "RUNNING":
                self.provider.halt(instance.holding, 0)
            now = self.world.now
            return self.operations.begin("stop", instance, lambda: (now, None))

    def start(self, zone: str, name: str) -> Json:
        """instances.start: it boots again."""
        with self.world.turn():
            instance = self.find(zone, name)
            if instance.status() == "TERMINATED":
                self.provider.resume(instance.holding, 0)
            now = self.world.now
            return self.operations.begin("start", instance, lambda: (now, None))

    def guest_attributes(self, zone: str, name: str, path: str) -> Json:
        """instances.getGuestAttributes of one key; 404 if the machine has not written it."""
        with self.world.turn():
            vm = self.find(zone, name).holding.vms.get(0)
            if vm is None or path not in vm.guest_attributes:
                raise no.not_found(f"projects/{self.project}/zones/{zone}/instances/{name}")
            space, _, key = path.partition("/")
            item = {"namespace": space, "key": key, "value": vm.guest_attributes[path]}
        shown: Json = {"kind": "compute#guestAttributes", "queryPath": path}
        return shown | {"queryValue": {"items": [item]}}

    def serial(self, zone: str, name: str, start: int) -> Json:
        """instances.getSerialPortOutput, from a byte on."""
        with self.world.turn():
            vm = self.find(zone, name).holding.vms.get(0)
            text = "" if vm is None else vm.serial()
        told = text.encode()[start:].decode(errors="replace")
        shown: Json = {"kind": "compute#serialPortOutput", "contents": told}
        return shown | {"start": str(start), "next": str(len(text.encode()))}

    def make_vm(self, holding: Holding, host: Host) -> Vm:
        """The machine of an instance."""
        zone, _, name = holding.slice.partition(".")
        return Vm(
            name=name,
            project=self.project,
            zone=zone,
            owner=name,
            index=0,
            address=f"{self.net}.{host.address.split('.', 2)[2]}",
            number=self.instances[zone, name].number,
            is_tpu=False,
            accelerator_type="",
            about=lambda: self.show(self.instances[zone, name]),
            began=self.world.now,
        )
