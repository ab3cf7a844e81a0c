"""The REST front of Compute Engine: paths under /compute/v1, for gcloud and for AuthorizedSession."""

import re
from collections.abc import Callable
from typing import Any, Final

from tests.gcp import fake_compute_errors as no
from tests.gcp.fake_auth import exchanged
from tests.gcp.fake_calls import Call, Gate
from tests.gcp.fake_catalog import MACHINE_TYPES
from tests.gcp.fake_compute import ComputeService
from tests.gcp.fake_compute_errors import ComputeError
from tests.gcp.fake_errors import ApiError, Json
from tests.gcp.fake_http import Answer, HttpFront, Request, of_json

_ROUTES: Final = (
    ("GET", r"projects/{p}", "projects.get"),
    ("GET", r"projects/{p}/zones", "zones.list"),
    ("GET", r"projects/{p}/zones/{z}", "zones.get"),
    ("GET", r"projects/{p}/zones/{z}/machineTypes/{n}", "machineTypes.get"),
    ("GET", r"projects/{p}/global/images/family/{n}", "images.getFromFamily"),
    ("GET", r"projects/{p}/aggregated/instances", "instances.aggregatedList"),
    ("POST", r"projects/{p}/zones/{z}/instances", "instances.insert"),
    ("GET", r"projects/{p}/zones/{z}/instances", "instances.list"),
    ("GET", r"projects/{p}/zones/{z}/instances/{n}", "instances.get"),
    ("DELETE", r"projects/{p}/zones/{z}/instances/{n}", "instances.delete"),
    ("POST", r"projects/{p}/zones/{z}/instances/{n}/setMetadata", "instances.setMetadata"),
    ("POST", r"projects/{p}/zones/{z}/instances/{n}/setLabels", "instances.setLabels"),
    ("POST", r"projects/{p}/zones/{z}/instances/{n}/reset", "instances.reset"),
    ("POST", r"projects/{p}/zones/{z}/instances/{n}/stop", "instances.stop"),
    ("POST", r"projects/{p}/zones/{z}/instances/{n}/start", "instances.start"),
    (
        "GET",
        r"projects/{p}/zones/{z}/instances/{n}/getGuestAttributes",
        "instances.getGuestAttributes",
    ),
    ("GET", r"projects/{p}/zones/{z}/instances/{n}/serialPort", "instances.getSerialPortOutput"),
    ("GET", r"projects/{p}/zones/{z}/operations/{n}", "zoneOperations.get"),
    ("POST", r"projects/{p}/zones/{z}/operations/{n}/wait", "zoneOperations.wait"),
)
_PARTS: Final = {"p": r"(?P<project>[^/]+)", "z": r"(?P<zone>[^/]+)", "n": r"(?P<name>[^/]+)"}
_TABLE: Final = tuple(
    (verb, re.compile(path.format(**_PARTS)), method) for verb, path, method in _ROUTES
)
_BASE: Final = re.compile(r"/compute/v1/")
_TERM: Final = re.compile(r'\(?\s*(labels\.[\w-]+|name|status)\s*(=|eq|:)\s*"?([\w-]*|\*)"?\s*\)?')


class ComputeFront:
    """Compute Engine over plain HTTP."""

    def __init__(self, compute: ComputeService, gate: Gate) -> None:
        self._compute = compute
        self._gate = gate
        self._http = HttpFront(self._answer)
        self.address = self._http.address
        compute.operations.base = f"http://{self.address}/compute/v1"

    @property
    def log(self) -> list[tuple[Request, Answer]]:
        """Every request that was answered, and how."""
        return self._http.log

    def close(self) -> None:
        """Listen no more."""
        self._http.close()

    def _answer(self, request: Request) -> Answer:
        try:
            if (request.verb, request.path) == ("POST", "/token"):
                return of_json(exchanged(request.body))
            path = _BASE.sub("", request.path, count=1)
            for verb, pattern, method in _TABLE:
                found = pattern.fullmatch(path)
                if found is not None and verb == request.verb:
                    return of_json(self._dispatch(method, found.groupdict(), request))
            raise no.not_found(request.path)
        except ComputeError as error:
            return of_json(error.body(), error.http)
        except ApiError as error:
            return of_json(
                ComputeError(error.http, error.code.name, error.message).body(), error.http
            )

    def _dispatch(self, method: str, parts: dict[str, Any], request: Request) -> Json:
        body = request.json() if request.body else {}
        fields = {**parts, **request.query, "body": body}
        self._gate.enter(
            Call("compute", method, "v1", fields, "rest", request.headers, request.is_alive)
        )
        if self._gate.knobs.compute_errors:
            raise self._gate.knobs.compute_errors.pop(0)
        if parts["project"] != self._compute.project and method != "images.getFromFamily":
            raise no.forbidden(f"projects/{parts['project']}")
        if "zone" in parts:
            self._compute.place(self._compute.project, parts["zone"])
        return self._methods(parts, request, body)[method]()

    def _methods(
        self, parts: dict[str, Any], request: Request, body: Json
    ) -> dict[str, Callable[[], Json]]:
        compute, alive = self._compute, request.is_alive
        zone, name = parts.get("zone", ""), parts.get("name", "")
        wanted = _filter(request.query.get("filter", ""))
        start = int(request.query.get("start", 0))
        return {
            "projects.get": self._project,
            "zones.list": lambda: {"items": [self._zone(one) for one in compute.zones]},
            "zones.get": lambda: self._zone(zone),
            "machineTypes.get": lambda: self._machine_type(zone, name),
            "images.getFromFamily": lambda: self._image(parts["project"], name),
            "instances.aggregatedList": lambda: compute.aggregated(wanted),
            "instances.insert": lambda: compute.insert(zone, body, alive),
            "instances.list": lambda: compute.list(zone, wanted),
            "instances.get": lambda: compute.get(zone, name),
            "instances.delete": lambda: compute.delete(zone, name, alive),
            "instances.setMetadata": lambda: compute.set_metadata(zone, name, body),
            "instances.setLabels": lambda: compute.set_labels(zone, name, body),
            "instances.reset": lambda: compute.reset(zone, name),
            "instances.stop": lambda: compute.stop(zone, name),
            "instances.start": lambda: compute.start(zone, name),
            "instances.getGuestAttributes": lambda: compute.guest_attributes(
                zone, name, request.query.get("queryPath", "")
            ),
            "instances.getSerialPortOutput": lambda: compute.serial(zone, name, start),
            "zoneOperations.get": lambda: compute.operations.get(zone, name),
            "zoneOperations.wait": lambda: compute.operations.wait(zone, name, alive),
        }

    def _project(self) -> Json:
        compute = self._compute
        return {
            "kind": "compute#project",
            "name": compute.project,
            "id": "1",
            "commonInstanceMetadata": compute.project_metadata,
            "defaultServiceAccount": f"1-compute@{compute.project}.test",
        }

    def _zone(self, zone: str) -> Json:
        url = self._compute.operations.url(zone)
        region = url.rpartition("/zones/")[0] + f"/regions/{zone.rpartition('-')[0]}"
        shown = {"kind": "compute#zone", "name": zone, "status": "UP", "id": "1"}
        return shown | {"region": region, "selfLink": url}

    def _machine_type(self, zone: str, name: str) -> Json:
        if name not in MACHINE_TYPES:
            raise no.not_found(f"projects/{self._compute.project}/zones/{zone}/machineTypes/{name}")
        cpus, gib = MACHINE_TYPES[name]
        url = self._compute.operations.url(zone, "machineTypes", name)
        shown = {"kind": "compute#machineType", "name": name, "zone": zone, "selfLink": url}
        return shown | {"guestCpus": cpus, "memoryMb": gib * 1024}

    def _image(self, project: str, family: str) -> Json:
        name = f"{family}-v20261101"
        url = f"{self._compute.operations.base}/projects/{project}/global/images/{name}"
        shown = {"kind": "compute#image", "name": name, "family": family, "selfLink": url}
        return shown | {"status": "READY", "diskSizeGb": "10"}


def _filter(text: str) -> Callable[[Json], bool]:
    """The part of the filter language that is used here: terms over name, status and labels, all of which hold.

    Raises:
        ComputeError: it is not of that part.
    """
    terms = [_TERM.fullmatch(term.strip()) for term in re.split(r"\s+AND\s+|\)\s*\(", text) if text]
    if not all(terms):
        raise no.invalid(f"Invalid value for field 'filter': '{text}'.")

    def holds(instance: Json) -> bool:
        for term in terms:
            assert term is not None
            key, _, value = term.groups()
            label = key.removeprefix("labels.")
            told = instance.get("labels", {}).get(label) if label != key else instance.get(key)
            if told is None or value not in ("*", told):
                return False
        return True

    return holds
