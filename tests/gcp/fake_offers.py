"""What may be asked of a zone without making anything: locations, accelerator types, runtime versions."""

from iris.core import topology
from tests.gcp import fake_errors as no
from tests.gcp.fake_calls import Call, Handler
from tests.gcp.fake_catalog import CONFIG_TYPES, RUNTIMES, topology_of
from tests.gcp.fake_errors import Json
from tests.gcp.fake_lists import page
from tests.gcp.fake_tpu import TpuService


class Offers:
    """The catalogue of a TPU service."""

    def __init__(self, tpu: TpuService) -> None:
        self._tpu = tpu

    def methods(self) -> dict[str, Handler]:
        """What answers each method."""
        return {
            "ListLocations": self.locations,
            "GetLocation": self.location,
            "ListAcceleratorTypes": self.accelerator_types,
            "GetAcceleratorType": self.accelerator_type,
            "ListRuntimeVersions": self.runtime_versions,
            "GetRuntimeVersion": self.runtime_version,
            "GenerateServiceIdentity": self.identity,
        }

    def locations(self, call: Call) -> Json:
        """ListLocations."""
        name = call.request.get("name", "")
        if name != f"projects/{self._tpu.project}":
            raise no.permission("tpu.locations.list", name)
        found = [self._location(zone) for zone in self._tpu.zones]
        return page(call.request, found, self._tpu.knobs, "locations")

    def location(self, call: Call) -> Json:
        """GetLocation."""
        return self._location(self._tpu.location(call.request.get("name", "")))

    def _location(self, zone: str) -> Json:
        name = f"projects/{self._tpu.project}/locations/{zone}"
        labels = {"cloud.googleapis.com/region": zone.rpartition("-")[0]}
        return {"name": name, "locationId": zone, "labels": labels}

    def accelerator_types(self, call: Call) -> Json:
        """ListAcceleratorTypes, of one zone."""
        parent = call.request.get("parent", "")
        families = self._tpu.zones[self._tpu.location(parent)]
        found = []
        for name in topology.known_tpu_types():
            kind = topology.tpu_type(name)
            assert kind is not None, name
            if kind.family in families:
                config = {"type": CONFIG_TYPES[kind.family], "topology": topology_of(name)}
                path = f"{parent}/acceleratorTypes/{name}"
                found.append({"name": path, "type": name, "acceleratorConfigs": [config]})
        return page(call.request, found, self._tpu.knobs, "acceleratorTypes")

    def accelerator_type(self, call: Call) -> Json:
        """GetAcceleratorType."""
        return self._one(call, self.accelerator_types, "acceleratorTypes")

    def runtime_versions(self, call: Call) -> Json:
        """ListRuntimeVersions, of one zone."""
        parent = call.request.get("parent", "")
        self._tpu.location(parent)
        found = [
            {"name": f"{parent}/runtimeVersions/{version}", "version": version}
            for version in RUNTIMES
        ]
        return page(call.request, found, self._tpu.knobs, "runtimeVersions")

    def runtime_version(self, call: Call) -> Json:
        """GetRuntimeVersion."""
        return self._one(call, self.runtime_versions, "runtimeVersions")

    def _one(self, call: Call, listing: Handler, key: str) -> Json:
        name = call.request.get("name", "")
        parent = name.rpartition(f"/{key}/")[0]
        whole = Call("tpu", call.method, call.version, {"parent": parent}, call.transport)
        found: Json | None = next((one for one in listing(whole)[key] if one["name"] == name), None)
        if found is None:
            raise no.not_found(name)
        return found

    def identity(self, call: Call) -> Json:
        """GenerateServiceIdentity."""
        self._tpu.location(call.request.get("parent", ""))
        return {"identity": {"email": f"service-1@cloud-tpu.{self._tpu.project}.test"}}
