"""The controller's machine at Google: one instance, found by its labels wherever it is.

What it keeps lies on its boot disk, which resets, stops and repairs leave alone: the journal is written
through to it, so that a reset is no worse than any crash. A new configuration or image comes by the
machine's metadata and a reset, so that its address, which all workers know, stays as it is.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from iris.cluster.log_lines import log_format
from iris.cluster.vm.bootstrap import STARTUP_SCRIPT, controller_script
from iris.cluster.vm.gcp_calls import Calls
from iris.cluster.vm.gcp_compute import lacks_of, network_of
from iris.cluster.vm.gcp_endpoints import SCOPES
from iris.cluster.vm.gcp_errors import (
    COMPUTE,
    COMPUTE_ROLE,
    QUOTAS,
    CloudError,
    Code,
    is_disabled,
    is_refusal,
    meaning_of,
)
from iris.cluster.vm.gcp_names import CLUSTER, MANAGED, ROLE, TAG
from iris.cluster.vm.gcp_rest import Rest, error_of
from iris.cluster.vm.host import Found, HostTrouble, Say, Standing
from iris.config import ControllerVm, Gcp
from iris.config_gcp import CPU_IMAGE
from iris.core.ids import Zone
from iris.exit_status import ExitStatus

_CONTROLLER: Final = "controller"
_DISK_GB: Final = "50"
_PAGE: Final = 500
_OPERATION_S: Final = 600.0
_SERVES_S: Final = 1_200.0
"""For a machine to boot, to pull its image and to serve."""
_LAST_LINES: Final = 20
_GENERATION: Final = "iris-generation"
_RUNS: Final = frozenset({"PROVISIONING", "STAGING", "RUNNING", "REPAIRING"})
_ENDS: Final = frozenset({"STOPPING", "PENDING_STOP", "SUSPENDING"})

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class VmSettings:
    """What the controller's machine shall be."""

    gcp: Gcp
    vm: ControllerVm
    port: int
    zone: Zone
    """Where a new one is made."""
    config: Callable[[], str]
    """The text of its cluster.yaml, without secrets."""
    look_every_s: float = 1.0


class GcpHost:
    """The controller's machine."""

    def __init__(self, settings: VmSettings, rest: Rest, calls: Calls) -> None:
        """One that nobody has looked for yet.

        Args:
            settings: what it shall be.
            rest: where it is asked for.
            calls: how it is asked for.
        """
        self._settings = settings
        self._rest = rest
        self._calls = calls
        self._name = f"{settings.gcp.cluster}-{_CONTROLLER}"

    # ---- the port ------------------------------------------------------------------------------

    async def look(self) -> Found:
        """Find it by its labels."""
        return await self._guarded(self._look())

    async def begin(self, say: Say) -> tuple[Found, bool]:
        """Make it, or start it again, unless it runs."""
        return await self._guarded(self._begin(say))

    async def begin_anew(self, say: Say) -> Found:
        """Tell it what is new, and reset it."""
        return await self._guarded(self._begin_anew(say))

    async def end(self, say: Say) -> bool:
        """Stop the machine; its disk stays, and is all that still costs money."""
        return await self._guarded(self._end(say))

    async def remove(self, say: Say) -> bool:
        """Delete the machine and its disk."""
        return await self._guarded(self._remove(say))

    async def log(self) -> str:
        """The end of what its serial port has shown."""
        return await self._guarded(self._log())

    async def _guarded(self, work: Awaitable[_T]) -> _T:
        try:
            return await work
        except CloudError as error:
            what, remedy = _advice(error, self._settings.gcp)
            status = ExitStatus.NOT_PERMITTED if is_refusal(error) else ExitStatus.FAILED
            raise HostTrouble(what, remedy, status=status) from error

    # ---- looking -------------------------------------------------------------------------------

    async def _look(self) -> Found:
        instance = await self._instance()
        if instance is None:
            return Found(Standing.ABSENT, self._name)
        zone, status = _zone_of(instance), instance.get("status", "")
        if status not in _RUNS:
            return Found(Standing.STOPPED, self._name, where=zone)
        state = await self._state(instance)
        if state == "serving":
            return Found(Standing.SERVING, self._name, self._url(instance), zone)
        word, _, why = state.partition(": ")
        if word == "failed":
            return Found(Standing.FAILED, self._name, where=zone, why=why)
        return Found(Standing.BOOTING, self._name, where=zone, why=state if why else "")

    async def _instance(self) -> dict[str, Any] | None:
        labels = {MANAGED: "true", CLUSTER: self._settings.gcp.cluster, ROLE: _CONTROLLER}
        query: dict[str, str | int] = {
            "filter": " AND ".join(f"labels.{key}={value}" for key, value in labels.items()),
            "maxResults": _PAGE,
        }
        found: list[dict[str, Any]] = []
        lacks: list[str] = []
        while True:
            ask = self._rest.ask("GET", "aggregated/instances", None, **query)
            page = await self._calls.read(ask)
            lacks += lacks_of(page)
            for there in page.get("items", {}).values():
                found += [
                    it
                    for it in there.get("instances", ())
                    if labels.items() <= it.get("labels", {}).items()
                ]
            if not page.get("nextPageToken"):
                break
            query["pageToken"] = page["nextPageToken"]
        if len(found) > 1:
            names = ", ".join(f"{it['name']} in {_zone_of(it)}" for it in found)
            remedy = "delete those that are not wanted; two controllers must not share slices"
            raise HostTrouble(
                f"{len(found)} machines say that they are its controller: {names}", remedy
            )
        if lacks and not found:
            message = (
                f"whether {self._name} is there is not known: no answer from {', '.join(lacks)}"
            )
            raise HostTrouble(message, "try again: Google's listing was not complete")
        return found[0] if found else None

    async def _state(self, instance: Mapping[str, Any]) -> str:
        """What it last said of itself in this life: `booting`, `trouble: ...`, `failed: ...` or `serving`."""
        ask = self._rest.ask("GET", f"{_path(instance)}/getGuestAttributes", queryPath="iris/state")
        try:
            said = await self._calls.read(ask)
        except CloudError as error:
            if error.code is Code.NOT_FOUND:
                return "booting"
            raise
        items = said.get("queryValue", {}).get("items", ())
        generation, _, text = next((it["value"] for it in items), "").partition(" ")
        if generation != _metadata_of(instance).get(_GENERATION):
            return "booting"
        state, _, why = text.partition(": ")
        return text if why and state in ("trouble", "failed") else state

    def _url(self, instance: Mapping[str, Any]) -> str:
        return f"http://{instance['networkInterfaces'][0]['networkIP']}:{self._settings.port}"

    async def _log(self) -> str:
        instance = await self._instance()
        if instance is None:
            return ""
        ask = self._rest.ask("GET", f"{_path(instance)}/serialPort", port=1)
        text: str = (await self._calls.read(ask)).get("contents", "")
        return "\n".join(text.splitlines()[-_LAST_LINES:])

    # ---- beginning -----------------------------------------------------------------------------

    async def _begin(self, say: Say) -> tuple[Found, bool]:
        instance = await self._settled(say)
        if instance is None:
            await self._create(say)
        elif instance["status"] not in _RUNS:
            await self._tell(instance)
            say(f"starting {self._name} in {_zone_of(instance)}")
            await self._done("POST", f"{_path(instance)}/start", _zone_of(instance))
        else:
            state = await self._state(instance)
            say(f"{self._name} in {_zone_of(instance)} runs already, its controller is {state}")
            if state == "serving":
                url = self._url(instance)
                return Found(Standing.SERVING, self._name, url, _zone_of(instance)), False
            if state.startswith("failed"):  # What made it fail may have been corrected.
                return await self._begin_anew(say), True
        return await self._until_it_serves(say), True

    async def _settled(self, say: Say) -> dict[str, Any] | None:
        """The machine, once it is not about to end."""
        while True:
            instance = await self._instance()
            if instance is None or instance.get("status") not in _ENDS:
                return instance
            say(f"{self._name} is {instance['status'].lower()}")
            await asyncio.sleep(self._settings.look_every_s)

    async def _create(self, say: Say) -> None:
        zone, body = self._settings.zone, self._body()
        say(f"creating {self._name} ({self._settings.vm.machine_type}) in {zone}")
        try:
            await self._done("POST", f"zones/{zone}/instances", zone, body)
        except CloudError as error:
            if error.code is not Code.ALREADY_EXISTS:
                raise
            if await self._instance() is None:
                message = f"{zone} has an instance {self._name} that is not this cluster's"
                raise HostTrouble(
                    message, "rename it, or this cluster: provider.cluster"
                ) from error

    def _body(self) -> dict[str, Any]:
        settings, gcp, zone = self._settings, self._settings.gcp, self._settings.zone
        start = {"sourceImage": CPU_IMAGE, "diskSizeGb": _DISK_GB}
        return {
            "name": self._name,
            "machineType": f"zones/{zone}/machineTypes/{settings.vm.machine_type}",
            "disks": [{"boot": True, "autoDelete": True, "initializeParams": start}],
            "networkInterfaces": [network_of(gcp, zone)],
            "labels": {MANAGED: "true", CLUSTER: gcp.cluster, ROLE: _CONTROLLER},
            "metadata": {"items": _items(self._metadata())},
            "tags": {"items": [TAG, f"{TAG}-{_CONTROLLER}"]},
            "serviceAccounts": [{"email": gcp.service_account or "default", "scopes": [*SCOPES]}],
            "scheduling": {"automaticRestart": True, "onHostMaintenance": "MIGRATE"},
        }

    def _metadata(self) -> dict[str, str]:
        return {
            STARTUP_SCRIPT: controller_script(),
            "enable-guest-attributes": "TRUE",
            "iris-image": self._settings.vm.image,
            "iris-port": str(self._settings.port),
            "iris-config": self._settings.config(),
            "iris-log-format": log_format(),
            _GENERATION: secrets.token_hex(8),
        }

    async def _begin_anew(self, say: Say) -> Found:
        instance = await self._settled(say)
        if instance is None or instance["status"] not in _RUNS:
            found, _ = await self._begin(say)
            return found
        await self._tell(instance)
        say(f"restarting {self._name} in {_zone_of(instance)}; its workers go on")
        await self._done("POST", f"{_path(instance)}/reset", _zone_of(instance))
        return await self._until_it_serves(say)

    async def _tell(self, instance: Mapping[str, Any]) -> None:
        """Have its next life know what is configured now."""
        body = {
            "fingerprint": instance.get("metadata", {}).get("fingerprint", ""),
            "items": _items({**_metadata_of(instance), **self._metadata()}),
        }
        await self._done("POST", f"{_path(instance)}/setMetadata", _zone_of(instance), body)

    async def _until_it_serves(self, say: Say) -> Found:
        last = ""
        try:
            async with asyncio.timeout(_SERVES_S):
                while True:
                    instance = await self._instance()
                    if instance is None or instance["status"] not in _RUNS:
                        what = "is gone" if instance is None else f"is {instance['status'].lower()}"
                        raise HostTrouble(f"{self._name} {what} though nobody here asked for it")
                    state = await self._state(instance)
                    if state == "serving":
                        return Found(
                            Standing.SERVING, self._name, self._url(instance), _zone_of(instance)
                        )
                    if state.startswith("failed"):
                        message = f"the controller does not come up on {self._name}: {state}"
                        raise HostTrouble(message, self._remedy(), await self._log())
                    now = f"{self._name} is {instance['status'].lower()}, its controller is {state}"
                    if now != last:
                        say(now)
                        last = now
                    await asyncio.sleep(self._settings.look_every_s)
        except TimeoutError as error:
            message = (
                f"the controller does not serve on {self._name} within {_SERVES_S:g} s: {last}"
            )
            raise HostTrouble(message, self._remedy(), await self._log()) from error

    def _remedy(self) -> str:
        return "correct it and start again; `iris cluster stop` takes away what is there"

    # ---- ending --------------------------------------------------------------------------------

    async def _end(self, say: Say) -> bool:
        instance = await self._settled(say)
        if instance is None or instance["status"] not in _RUNS:
            return False
        say(f"stopping {self._name} in {_zone_of(instance)}")
        await self._done("POST", f"{_path(instance)}/stop", _zone_of(instance))
        return True

    async def _remove(self, say: Say) -> bool:
        instance = await self._instance()
        if instance is None:
            return False
        say(f"deleting {self._name} in {_zone_of(instance)}")
        try:
            await self._done("DELETE", _path(instance), _zone_of(instance))
        except CloudError as error:
            if error.code is not Code.NOT_FOUND:
                raise
        try:
            async with asyncio.timeout(_OPERATION_S):
                while await self._instance() is not None:
                    await asyncio.sleep(self._settings.look_every_s)
        except TimeoutError as error:
            message = f"{self._name} was deleted, and is still there after {_OPERATION_S:g} s"
            raise HostTrouble(message, "it may cost money: try again") from error
        return True

    async def _done(self, verb: str, path: str, zone: str, body: object = None) -> None:
        """Make a call, and wait for the operation that it begins.

        Raises:
            CloudError: it was refused, or failed.
        """
        begun = await self._calls.create(self._rest.ask(verb, path, body))
        ask = self._rest.ask("GET", f"zones/{zone}/operations/{begun['name']}")
        try:
            async with asyncio.timeout(_OPERATION_S):
                while begun.get("status") != "DONE":
                    await asyncio.sleep(self._settings.look_every_s)
                    begun = await self._calls.read(ask)
        except TimeoutError as error:
            words = f"{begun.get('operationType', verb)} has not ended in {_OPERATION_S:g} s"
            raise CloudError(Code.DEADLINE_EXCEEDED, words) from error
        failure = error_of(begun)
        if failure is not None:
            raise failure


def _path(instance: Mapping[str, Any]) -> str:
    return f"zones/{_zone_of(instance)}/instances/{instance['name']}"


def _zone_of(instance: Mapping[str, Any]) -> str:
    return str(instance["zone"]).rpartition("/")[2]


def _metadata_of(instance: Mapping[str, Any]) -> dict[str, str]:
    return {it["key"]: it.get("value", "") for it in instance.get("metadata", {}).get("items", ())}


def _items(metadata: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in metadata.items()]


def _advice(error: CloudError, gcp: Gcp) -> tuple[str, str]:
    """What went wrong, and what would be right."""
    what = f"project {gcp.project_id}: {error}"
    if meaning_of(error) in QUOTAS:
        return what, "ask for more (IAM & Admin, Quotas), or take less: controller.vm.machine_type"
    if is_disabled(error):
        return what, f"gcloud services enable {COMPUTE} --project={gcp.project_id}"
    match error.code:
        case Code.UNAUTHENTICATED:
            return what, "sign in: gcloud auth application-default login"
        case Code.PERMISSION_DENIED:
            return what, f"give the account {COMPUTE_ROLE} in project {gcp.project_id}"
        case Code.UNAVAILABLE | Code.DEADLINE_EXCEEDED | Code.RESOURCE_EXHAUSTED:
            return what, "try again later, or name another zone by provider.zone"
        case _:
            return what, "correct it and try again"
