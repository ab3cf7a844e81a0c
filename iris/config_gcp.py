"""Google Cloud as frozen values, and what a configuration cannot ask of it.

TPU groups come as nodes of the Cloud TPU API. All others come as machines of Compute Engine: of the type
that the group names, else of the smallest that has what the group says each of its machines offers.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from iris.config_deployment import GcpSection
from iris.core.ids import GroupName, Zone
from iris.core.resources import Resources
from iris.core.topology import CPU, MachineShape, UnknownAccelerator, resolve, tpu_type
from iris.problems import Finding, shown

CPU_IMAGE: Final = "projects/cos-cloud/global/images/family/cos-stable"
"""What machines without GPUs boot from: it has Docker, and runs startup scripts."""
LONGEST_CLUSTER: Final = 12
"""A name of Google's has 63 characters: a group's takes 40 of them, numbers of slice and host the rest."""
_GIB: Final = 2**30
_GCP_ZONE: Final = re.compile(r"[a-z]+-[a-z]+[0-9]+-[a-z]")
_PROJECT: Final = re.compile(r"[a-z]([a-z0-9:.-]*[a-z0-9])?")
_CLUSTER: Final = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_N2_GIB: Final = {"highcpu": 1, "standard": 4, "highmem": 8}
"""Memory of each vCPU."""
_N2_CPUS: Final = (2, 4, 8, 16, 32, 48, 64, 80)
_GPU_MACHINES: Final[Mapping[tuple[str, int], str]] = {
    **{("A100", n): f"a2-highgpu-{n}g" for n in (1, 2, 4, 8)},
    ("A100", 16): "a2-megagpu-16g",
    **{("A100-80GB", n): f"a2-ultragpu-{n}g" for n in (1, 2, 4, 8)},
    **{("H100", n): f"a3-highgpu-{n}g" for n in (1, 2, 4, 8)},
    ("H200", 8): "a3-ultragpu-8g",
    ("B200", 8): "a4-highgpu-8g",
    ("GB200", 4): "a4x-highgpu-4g",
    **{("L4", n): f"g2-standard-{12 * n}" for n in (1, 2, 4, 8)},
    **{("T4", n): f"n1-standard-{8 * n}" for n in (1, 2, 4)},
}
"""Types that carry so many GPUs of a kind; those of n1 have them attached."""


class AskedVm(Protocol):
    """What a configuration says of one machine of a group."""

    @property
    def cpu(self) -> int | None:
        """Millicores that it offers."""

    @property
    def memory(self) -> int | None:
        """Bytes that it offers."""

    @property
    def machine_type(self) -> str | None:
        """What Google calls it."""

    @property
    def image(self) -> str | None:
        """What it boots from."""


class AskedGroup(Protocol):
    """What a configuration says of a group, as far as Google has to do with it."""

    @property
    def accelerator_type(self) -> str:
        """As in the config."""

    @property
    def zones(self) -> Sequence[str] | None:
        """Where it may come from."""

    @property
    def vm(self) -> AskedVm:
        """Of one machine."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the machines of a group are at Compute Engine."""

    type: str
    """As `n2-standard-16`."""
    image: str
    """What they boot from, as `projects/P/global/images/family/F`."""
    gpus: tuple[str, int] | None = None  # None: the type says all
    """Google's name of what is attached to a machine, and how many: `nvidia-tesla-t4`."""


@dataclass(frozen=True, slots=True)
class Gcp:
    """Machines come from Google Cloud."""

    project_id: str
    cluster: str
    """Tells this cluster's machines from those of others in the project."""
    region: str | None = None  # None: as the zones say
    zone: Zone | None = None  # None: every group names its zones
    network: str | None = None  # None: the project's default
    subnetwork: str | None = None  # None: likewise
    service_account: str | None = None  # None: likewise
    external_ips: bool = True
    """Whether machines have addresses in the internet; those without need Private Google Access."""
    machines: tuple[tuple[GroupName, Machine], ...] = ()
    """Of the groups that are no TPUs."""


def gcp_of(section: GcpSection, groups: Mapping[str, AskedGroup]) -> Gcp:
    """The provider that a section names, whose groups were found possible."""
    machines = [
        (GroupName(name), machine)
        for name, group in groups.items()
        if (machine := _machine(group)) is not None
    ]
    return Gcp(
        section.project_id,
        section.cluster,
        section.region,
        None if section.zone is None else Zone(section.zone),
        section.network,
        section.subnetwork,
        section.service_account,
        section.external_ips,
        tuple(machines),
    )


def gcp_findings(section: GcpSection, groups: Mapping[str, AskedGroup]) -> Iterator[Finding]:
    """What of a configuration Google Cloud could never give."""
    yield from _provider_findings(section)
    for name, group in groups.items():
        at = ("scale_groups", name)
        for index, zone in enumerate(group.zones or []):
            if not _GCP_ZONE.fullmatch(zone):
                message = f"{shown(zone)} is no zone of Google Cloud"
                yield Finding((*at, "zones", index), message, "write it as us-central1-a")
        if group.zones is None and section.zone is None:
            remedy = "add `zones: [us-central1-a]`, or `provider.zone`"
            yield Finding(at, f"group {name} has no zone to come from", remedy, at_key=True)
        yield from _machine_findings(at, group)


def _provider_findings(section: GcpSection) -> Iterator[Finding]:
    zone, region = section.zone, section.region
    if not _PROJECT.fullmatch(section.project_id):
        message = f"{shown(section.project_id)} is no id of a project"
        remedy = "write the project's id, as my-project-123: neither its title nor its number"
        yield Finding(("provider", "project_id"), message, remedy)
    if len(section.cluster) > LONGEST_CLUSTER or not _CLUSTER.fullmatch(section.cluster):
        message = f"{shown(section.cluster)} cannot begin the names of machines"
        remedy = (
            f"use lower case letters, digits and `-`, at most {LONGEST_CLUSTER}, a letter first"
        )
        yield Finding(("provider", "cluster"), message, remedy)
    if section.service_account is not None and "@" not in section.service_account:
        message = f"{shown(section.service_account)} is no e-mail address of a service account"
        remedy = f"write it as NAME@{section.project_id}.iam.gserviceaccount.com"
        yield Finding(("provider", "service_account"), message, remedy)
    if zone is not None and not _GCP_ZONE.fullmatch(zone):
        message = f"{shown(zone)} is no zone of Google Cloud"
        yield Finding(("provider", "zone"), message, "write it as us-central1-a")
    elif zone is not None and region is not None and zone.rpartition("-")[0] != region:
        message = f"{shown(zone)} does not lie in region {shown(region)}"
        yield Finding(("provider", "zone"), message, "correct one of them")


def _machine_findings(at: tuple[str, str], group: AskedGroup) -> Iterator[Finding]:
    shape = _shape(group)
    if shape is None:
        return
    if tpu_type(group.accelerator_type) is not None:
        for key in ("machine_type", "image"):
            if getattr(group.vm, key) is not None:
                message = f"the machines of {group.accelerator_type} are what they are"
                yield Finding((*at, "vm", key), message, "remove it")
        return
    if group.vm.machine_type is None and _usual(shape, _host(group, shape)) is None:
        what = group.accelerator_type
        if what == CPU:
            what = (
                f"{shape.host.cpu // 1_000 if group.vm.cpu is None else group.vm.cpu // 1_000} cpu"
            )
        message = f"no machine type of Google Cloud is known that has {what} and what else is asked"
        yield Finding((*at, "accelerator_type"), message, "name one by `vm: {machine_type: ...}`")
    if shape.accelerator is not None and group.vm.image is None:
        message = "machines with GPUs need an image that has their driver"
        remedy = (
            "add `image: projects/P/global/images/family/F`, one with NVIDIA's driver and Docker"
        )
        yield Finding((*at, "vm"), message, remedy)


def _shape(group: AskedGroup) -> MachineShape | None:
    try:
        return resolve(group.accelerator_type)
    except UnknownAccelerator:
        return None  # It is refused elsewhere.


def _host(group: AskedGroup, shape: MachineShape) -> Resources:
    vm, usual = group.vm, shape.host
    cpu = usual.cpu if vm.cpu is None else vm.cpu
    return Resources(usual.chips, cpu, usual.memory if vm.memory is None else vm.memory)


def _machine(group: AskedGroup) -> Machine | None:
    """What a group's machines are; none for TPUs."""
    shape = resolve(group.accelerator_type)
    if tpu_type(group.accelerator_type) is not None:
        return None
    found = group.vm.machine_type or _usual(shape, _host(group, shape))
    assert found is not None, group
    gpus = None
    if shape.accelerator is not None and found.startswith("n1-"):
        gpus = (f"nvidia-tesla-{shape.accelerator.lower()}", shape.host.chips)
    return Machine(found, group.vm.image or CPU_IMAGE, gpus)


def _usual(shape: MachineShape, host: Resources) -> str | None:
    """The smallest type with what a host offers; none if none has."""
    if shape.accelerator is not None:
        return _GPU_MACHINES.get((shape.accelerator, shape.host.chips))
    for cpus in _N2_CPUS:
        for kind, gib in _N2_GIB.items():
            if cpus * 1_000 >= host.cpu and cpus * gib * _GIB >= host.memory:
                return f"n2-{kind}-{cpus}"
    return None
