"""The metadata server of one VM: who it is, what it was given, and what is about to happen to it.

It listens on the VM's own address. Values change while a client waits (`wait_for_change=true`); the
client says by `last_etag` what it knows already.
"""

import json
import time
from hashlib import sha256
from typing import Any, Final

from tests.gcp.fake_auth import TOKEN_S, access_token
from tests.gcp.fake_catalog import region_of
from tests.gcp.fake_http import Answer, HttpFront, Request
from tests.gcp.fake_nodes import PORT
from tests.gcp.fake_time import World
from tests.gcp.fake_vms import Vm

FLAVOR: Final = {"Metadata-Flavor": "Google", "Server": "Metadata Server for VM"}
_ROOT: Final = "/computeMetadata/v1"
_GUEST: Final = f"{_ROOT}/instance/guest-attributes/"


class MetadataServer:
    """The server of one VM, while it lives."""

    def __init__(self, vm: Vm, world: World, host: str | None = None) -> None:
        self._vm = vm
        self._world = world
        self._http = HttpFront(self._answer, host or vm.address)
        self.address = self._http.address
        """What stands in GCE_METADATA_HOST."""

    def close(self) -> None:
        """The VM is no more."""
        self._http.close()

    # ---- the tree --------------------------------------------------------------------------

    def tree(self) -> dict[str, Any]:
        """Everything that it tells, as a tree of texts."""
        vm = self._vm
        account = f"1-compute@{vm.project}.iam.gserviceaccount.com"
        service_account = {
            "aliases": "default",
            "email": account,
            "scopes": "https://www.googleapis.com/auth/cloud-platform",
            "token": _json(
                {
                    "access_token": access_token(vm.name),
                    "expires_in": TOKEN_S,
                    "token_type": "Bearer",
                }
            ),
        }
        attributes = dict(vm.metadata) | (self._of_the_slice() if vm.is_tpu else {})
        instance = {
            "attributes": attributes,
            "hostname": f"{vm.name}.{vm.zone}.c.{vm.project}.internal",
            "id": str(vm.number),
            "maintenance-event": vm.maintenance,
            "name": vm.name,
            "network-interfaces": {"0": {"ip": vm.address}},
            "preempted": "TRUE" if vm.preempted else "FALSE",
            "service-accounts": {"default": service_account, account: service_account},
            "zone": f"projects/1/zones/{vm.zone}",
        }
        project = {"project-id": vm.project, "numeric-project-id": "1", "attributes": {}}
        return {"instance": instance, "project": project}

    def _of_the_slice(self) -> dict[str, str]:
        """What a TPU's agent finds: endpoint i is `NAME:PORT:ADDRESS`, the address empty until it has booted."""
        vm = self._vm
        endpoints = vm.about().get("networkEndpoints", [])
        addresses = [endpoint.get("ipAddress", "") for endpoint in endpoints]
        told = {
            "accelerator-type": vm.accelerator_type,
            "agent-worker-number": str(vm.index),
            "instance-id": vm.owner,
            "worker-network-endpoints": ",".join(
                f"{vm.owner}-{index}:{PORT}:{address}" for index, address in enumerate(addresses)
            ),
        }
        told["tpu-env"] = "\n".join(
            f"{key}: '{value}'"
            for key, value in (
                ("ACCELERATOR_TYPE", vm.accelerator_type),
                ("CONSUMER_PROJECT_ID", vm.project),
                ("NODE_ID", vm.owner),
                ("REGION", region_of(vm.zone)),
                ("WORKER_ID", str(vm.index)),
                ("ZONE", vm.zone),
            )
        )
        return told

    # ---- answers ---------------------------------------------------------------------------

    def _answer(self, request: Request) -> Answer:
        if request.path == "/":  # google-auth asks whether this is such a server at all
            return Answer(200, b"computeMetadata/\n", FLAVOR)
        if request.headers.get("metadata-flavor") != "Google":
            return Answer(403, b"Missing Metadata-Flavor:Google header.", FLAVOR)
        if request.verb == "PUT" and request.path.startswith(_GUEST):
            return self._write(request)
        if request.verb != "GET" or not request.path.startswith(_ROOT):
            return Answer(405 if request.verb != "GET" else 404, b"", FLAVOR)
        with self._world.turn():
            told = self._read(request)
            if request.query.get("wait_for_change", "").lower() == "true":
                told = self._changed(request, told)
        if told is None:
            return Answer(404, b"Not Found", FLAVOR)
        body, kind = told
        return Answer(200, body, FLAVOR | {"Content-Type": kind, "ETag": _etag(body)})

    def _write(self, request: Request) -> Answer:
        with self._world.turn():
            key = request.path.removeprefix(_GUEST)
            self._vm.guest_attributes[key] = request.body.decode()
        return Answer(200, b"", FLAVOR)

    def _read(self, request: Request) -> tuple[bytes, str] | None:
        found: Any = self.tree()
        for word in request.path.removeprefix(_ROOT).strip("/").split("/"):
            if word:
                if not isinstance(found, dict) or word not in found:
                    return None
                found = found[word]
        if isinstance(found, str):
            is_json = found.startswith("{") and request.path.endswith("/token")
            return found.encode(), "application/json" if is_json else "application/text"
        if request.query.get("recursive", "").lower() == "true":
            return _json(_camel(found)).encode(), "application/json"
        names = [f"{key}/" if isinstance(value, dict) else key for key, value in found.items()]
        return "\n".join(names).encode(), "application/text"

    def _changed(
        self, request: Request, told: tuple[bytes, str] | None
    ) -> tuple[bytes, str] | None:
        """Wait within a turn until it is not what it was, or what the client knows, or as long as it will wait.

        The time-out is the client's own, so it is of real time.
        """
        known = request.query.get("last_etag") or (_etag(told[0]) if told else "")
        seconds = float(request.query.get("timeout_sec", 3600))
        until = time.monotonic() + seconds

        def is_new() -> bool:
            now = self._read(request)
            return (_etag(now[0]) if now else "") != known

        self._world.wait(is_new, lambda: request.is_alive() and time.monotonic() < until)
        return self._read(request)


def _etag(body: bytes) -> str:
    return sha256(body).hexdigest()[:16]


def _json(value: object) -> str:
    return json.dumps(value)


def _camel(tree: Any) -> Any:
    """What is asked for whole has its keys in camel case, but for attributes, as the real server does."""
    if not isinstance(tree, dict):
        return json.loads(tree) if str(tree).startswith("{") else tree
    return {
        key if key == "attributes" else _humps(key): value if key == "attributes" else _camel(value)
        for key, value in tree.items()
    }


def _humps(key: str) -> str:
    first, *rest = key.split("-")
    return first + "".join(word.title() for word in rest)
