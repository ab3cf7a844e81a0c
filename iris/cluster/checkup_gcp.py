"""A project of Google Cloud, looked at as its controller will ask it: who we are, what is enabled, offered and left.

The same clients are used as by the provider, so that what passes here passes there.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

import requests
from google.auth.exceptions import GoogleAuthError
from google.cloud import tpu_v2

from iris.cluster.checkup import Check, Outcome, clock_check, failed, ok, skipped
from iris.cluster.vm.gcp_calls import Ask, Calls, Limits
from iris.cluster.vm.gcp_endpoints import Endpoints, default_credentials
from iris.cluster.vm.gcp_errors import COMPUTE, COMPUTE_ROLE, CloudError, Code, is_disabled
from iris.cluster.vm.gcp_names import CLUSTER, MANAGED
from iris.cluster.vm.gcp_rest import Rest
from iris.cluster.vm.gcp_tpu_client import TpuClient
from iris.config import ClusterConfig, Gcp
from iris.core.spec import GroupSpec
from iris.core.topology import tpu_type

_PATIENCE_S: Final = 10.0
_PAGE: Final = 500
_TPU: Final = "tpu.googleapis.com"
_ROLES: Final = {COMPUTE: COMPUTE_ROLE, _TPU: "roles/tpu.admin"}


async def examine_google(config: ClusterConfig, gcp: Gcp, endpoints: Endpoints) -> Sequence[Check]:
    """Everything that can be asked without creating anything."""
    who = await asyncio.to_thread(_credentials, endpoints)
    if who.outcome is Outcome.FAILED:
        rest = ("clock", "Compute Engine", "TPU API", "quota")
        return [who, *(skipped(name, "nobody is signed in") for name in rest)]
    clock = await asyncio.to_thread(_clock, endpoints)
    project = _Project(config, gcp, endpoints)
    try:
        found = await asyncio.gather(project.compute(), project.tpus(), project.quota())
    finally:
        await project.close()
    return [who, clock, *(check for checks in found for check in checks)]


def _credentials(endpoints: Endpoints) -> Check:
    name = "credentials"
    if endpoints.channel is not None:
        return skipped(name, "another cloud than Google's own is asked, without any")
    try:
        found = default_credentials()
    except GoogleAuthError as error:
        return failed(
            name, str(error).splitlines()[0], "sign in: gcloud auth application-default login"
        )
    who = getattr(found, "service_account_email", None) or type(found).__module__
    return ok(name, f"application default credentials: {who}")


def _clock(endpoints: Endpoints) -> Check:
    """By the date of any answer, which Google needs to be right within minutes to believe who signs."""
    began = time.time()
    try:
        told = requests.get(endpoints.compute, timeout=_PATIENCE_S).headers["Date"]
    except (requests.RequestException, KeyError) as error:
        return skipped("clock", f"{endpoints.compute} does not tell the time: {error}")
    ended = time.time()
    # It tells whole seconds.
    skew = parsedate_to_datetime(told).timestamp() + 0.5 - (began + ended) / 2
    return clock_check("clock", skew, (ended - began) / 2 + 0.5)


@dataclass(frozen=True, slots=True)
class _Machines:
    """Machines of one type that a configuration may want in one zone."""

    whose: str
    """Of what they are; a group in several zones has them in any."""
    zone: str
    type: str
    least: int
    """As many as there must be for the group to work at all."""
    most: int


class _Project:
    """A project, as far as a configuration needs it."""

    def __init__(self, config: ClusterConfig, gcp: Gcp, endpoints: Endpoints) -> None:
        self._config = config
        self._gcp = gcp
        self._rest = Rest(endpoints, gcp.project_id)
        self._client = TpuClient(endpoints)
        self._calls = Calls(Limits(patience_s=_PATIENCE_S))
        self._cores: dict[tuple[str, str], int] = {}
        """Of machine types, by zone and name, as far as Google has told them."""
        self._told = asyncio.Event()
        """Set when they are known."""

    async def close(self) -> None:
        """Hang up."""
        await self._client.close()
        self._rest.close()

    # ---- Compute Engine ------------------------------------------------------------------------

    async def compute(self) -> list[Check]:
        """Whether the interface is enabled for us, and has the machines that are wanted."""
        machines = list(self._machines())
        try:
            if not machines:
                return [skipped("Compute Engine", "all groups are TPUs")]
            found = await asyncio.gather(*(self._machine_type(it) for it in machines))
        finally:
            self._told.set()
        return _folded("Compute Engine", found, f"{len(machines)} machine types are there")

    async def _machine_type(self, wanted: _Machines) -> Check | None:
        """What is wrong with one; nothing if it is there."""
        path = f"zones/{wanted.zone}/machineTypes/{wanted.type}"
        try:
            said = await self._calls.read(self._rest.ask("GET", path))
        except CloudError as error:
            what = f"{wanted.type} in {wanted.zone}"
            remedy = "name another type by `vm: {machine_type: ...}`, or another zone"
            return self._refused("Compute Engine", what, error, COMPUTE, remedy)
        self._cores[wanted.zone, wanted.type] = int(said["guestCpus"])
        return None

    def _machines(self) -> Iterator[_Machines]:
        vm, types = self._config.controller.vm, dict(self._gcp.machines)
        groups = self._config.spec.groups
        if vm is not None:
            zone = self._gcp.zone or groups[0].zones[0]
            yield _Machines("controller.vm", zone, vm.machine_type, 1, 1)
        for group in groups:
            if group.name in types:
                most = group.max_slices * group.hosts
                least = min(most, max(group.min_slices, 1) * group.hosts)
                for zone in group.zones:
                    whose = f"scale_groups.{group.name}"
                    yield _Machines(whose, zone, types[group.name].type, least, most)

    # ---- TPUs ----------------------------------------------------------------------------------

    async def tpus(self) -> list[Check]:
        """Whether the interface is enabled for us, and offers what is wanted where it is wanted."""
        groups = [g for g in self._config.spec.groups if tpu_type(g.accelerator_type) is not None]
        if not groups:
            return [skipped("TPU API", "no group is of TPUs")]
        asked = [self._offer(group, zone) for group in groups for zone in group.zones]
        found = await asyncio.gather(*asked)
        return _folded("TPU API", found, f"{len(asked)} types are offered where they are wanted")

    async def _offer(self, group: GroupSpec, zone: str) -> Check | None:
        """What is wrong with a group in a zone; nothing if all of it is offered there."""
        place = f"projects/{self._gcp.project_id}/locations/{zone}"
        version = dict(self._config.runtime_versions)[group.name]
        kind = tpu_v2.GetAcceleratorTypeRequest(
            name=f"{place}/acceleratorTypes/{group.accelerator_type}"
        )
        software = tpu_v2.GetRuntimeVersionRequest(name=f"{place}/runtimeVersions/{version}")
        for method, request, what, remedy in (
            ("get_accelerator_type", kind, group.accelerator_type, "see `gcloud compute tpus "
             f"accelerator-types list --zone={zone}`, and correct scale_groups.{group.name}"),
            ("get_runtime_version", software, version, "see `gcloud compute tpus tpu-vm versions "
             f"list --zone={zone}`, and correct scale_groups.{group.name}.runtime_version"),
        ):  # fmt: skip
            try:
                ask: Ask[Any] = self._client.ask(method, request)
                await self._calls.read(ask)
            except CloudError as error:
                return self._refused("TPU API", f"{what} in {zone}", error, _TPU, remedy)
        return None

    # ---- quota ---------------------------------------------------------------------------------

    async def quota(self) -> list[Check]:
        """Whether a region's quota of cores lets every group have what it cannot do without."""
        await self._told.wait()
        regions = dict.fromkeys(zone.rpartition("-")[0] for zone, _ in self._cores)
        found = await asyncio.gather(*(self._region(region) for region in regions))
        checks = [check for checks in found for check in checks]
        if any(tpu_type(group.accelerator_type) for group in self._config.spec.groups):
            project = self._gcp.project_id
            where = (
                f"gcloud alpha services quota list --service={_TPU} --consumer=projects/{project}"
            )
            checks.append(skipped("TPU quota", f"Google tells it elsewhere: {where}"))
        return checks or [skipped("quota", "no machine is wanted")]

    async def _region(self, region: str) -> list[Check]:
        name = f"quota {region}"
        try:
            said = await self._calls.read(self._rest.ask("GET", f"regions/{region}"))
        except CloudError as error:
            remedy = "give it the role roles/compute.viewer"
            found = self._refused(name, region, error, COMPUTE, remedy)
            return [found]
        quotas = {it["metric"]: it for it in said.get("quotas", ())}
        wanted: dict[str, dict[str, tuple[int, int]]] = {}
        for it in self._machines():
            cores = self._cores.get((it.zone, it.type))
            if cores is None or it.zone.rpartition("-")[0] != region:
                continue
            metric = _metric(it.type, quotas)
            wanted.setdefault(metric, {})[it.whose] = (it.least * cores, it.most * cores)
        own = await self._own_cores(region, quotas)
        return [
            _quota_check(
                name,
                metric,
                quotas.get(metric),
                own.get(metric, 0),
                (
                    sum(least for least, _ in cores_of.values()),
                    sum(most for _, most in cores_of.values()),
                ),
            )
            for metric, cores_of in wanted.items()
        ]

    async def _own_cores(self, region: str, quotas: Mapping[str, Any]) -> Mapping[str, int]:
        """What this cluster's own machines use of each quota: that is not in its way.

        Machines that cannot be listed count as those of others.
        """
        labels = f"labels.{MANAGED}=true AND labels.{CLUSTER}={self._gcp.cluster}"
        ask = self._rest.ask("GET", "aggregated/instances", None, filter=labels, maxResults=_PAGE)
        try:
            page = await self._calls.read(ask)
        except CloudError:
            return {}
        found: Counter[str] = Counter()
        for there in page.get("items", {}).values():
            for it in there.get("instances", ()):
                zone, kind = (str(it[key]).rpartition("/")[2] for key in ("zone", "machineType"))
                if zone.rpartition("-")[0] == region:
                    found[_metric(kind, quotas)] += self._cores.get((zone, kind), 0)
        return found

    def _refused(self, name: str, what: str, error: CloudError, service: str, remedy: str) -> Check:
        """A call that was refused, with what would be right."""
        project = self._gcp.project_id
        said = f"{what}: {error}"
        if is_disabled(error):
            enable = f"gcloud services enable {service} --project={project}"
            return failed(name, f"{service} is not enabled in project {project}", enable)
        match error.code:
            case Code.UNAUTHENTICATED:
                return failed(name, said, "sign in: gcloud auth application-default login")
            case Code.PERMISSION_DENIED:
                remedy = f"give the account {_ROLES[service]} in project {project}"
                return failed(name, said, remedy)
            case Code.UNAVAILABLE | Code.DEADLINE_EXCEEDED:
                return failed(name, said, f"see whether {service} can be reached from here")
            case _:
                return failed(name, said, remedy)


def _folded(name: str, found: Sequence[Check | None], fine: str) -> list[Check]:
    """What went wrong, each once; or one line when nothing did."""
    wrong = dict.fromkeys(check for check in found if check is not None)
    return [*wrong] or [ok(name, f"it is enabled, and {fine}")]


def _metric(machine: str, quotas: Mapping[str, Any]) -> str:
    """Which quota the cores of a machine type count against: that of their family, where it has one."""
    own = f"{machine.partition('-')[0].upper()}_CPUS"
    return own if own in quotas else "CPUS"


def _quota_check(
    name: str, metric: str, quota: Mapping[str, Any] | None, own: int, wanted: tuple[int, int]
) -> Check:
    """Whether what is free, and what the cluster has already, is what it cannot do without."""
    if quota is None:
        return skipped(name, f"Google names no quota {metric}")
    free = int(quota["limit"] - quota["usage"])
    least, most = wanted
    ours = f", {own} are this cluster's" if own else ""
    said = f"{metric}: {free} of {quota['limit']:.0f} are free{ours}, {least} are needed, {most} at most"
    if free + own < least:
        return failed(name, said, "ask for more (IAM & Admin, Quotas), or take smaller machines")
    return ok(name, said)
