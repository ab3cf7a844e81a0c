"""cluster.yaml as frozen values: the `ClusterSpec` that the core is told, and what adapters need.

`load_cluster` is the one way in for production and simulation alike. What the file may say is in
`iris.config_models`; what is legal but odd is in `suspicions`, which warn and refuse nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Final, TypeAlias

from iris.config_deployment import (
    AuthSection,
    ControllerSection,
    GcpSection,
    LocalSection,
    ManualSection,
    SecretSection,
)
from iris.config_gcp import Gcp, Machine, gcp_of
from iris.config_manual import Manual, ManualHost, Runtime, Ssh, manual_of
from iris.config_models import ClusterModel, GroupSection, SchedulerSection, VmSection
from iris.core.ids import GroupName, UserName, Zone
from iris.core.instant import Millis
from iris.core.resources import Resources
from iris.core.spec import (
    AutoscalerPolicy,
    Backfill,
    ClusterSpec,
    GroupSpec,
    Order,
    Quota,
    RetentionPolicy,
    SchedulerPolicy,
    TimeoutPolicy,
)
from iris.core.topology import resolve
from iris.problems import Finding
from iris.yaml_source import Document, load_mapping, validate

LOCAL_WAITS: Final[Mapping[str, Millis]] = {
    "stockout_backoff": Millis(1_000),
    "quota_backoff": Millis(1_000),
    "internal_backoff": Millis(1_000),
    "max_backoff": Millis(15_000),
}
"""What `provider: {type: local}` waits after a loss or a refusal, unless the config says any of them."""

__all__ = [
    "ClusterConfig",
    "ClusterModel",
    "Gcp",
    "Machine",
    "Manual",
    "ManualHost",
    "Runtime",
    "Ssh",
    "load_cluster",
    "read_cluster",
    "spec_suspicions",
    "suspicions",
    "to_cluster_spec",
]

DEFAULT_ZONE: Final = Zone("default")
_RUNTIME_BY_FAMILY: Final = {
    "v2": "tpu-ubuntu2204-base",
    "v3": "tpu-ubuntu2204-base",
    "v4": "tpu-ubuntu2204-base",
    "v5p": "v2-alpha-tpuv5",
    "v5e": "v2-alpha-tpuv5-lite",
    "v6e": "v2-alpha-tpuv6e",
}


@dataclass(frozen=True, slots=True)
class Local:
    """Workers run on this machine."""

    runtime: Runtime


Provider: TypeAlias = Gcp | Manual | Local


@dataclass(frozen=True, slots=True)
class Docker:
    """What workers run in, and where they listen."""

    image: str
    worker_port: int


@dataclass(frozen=True, slots=True)
class ControllerVm:
    """The machine that is made for the controller."""

    image: str
    machine_type: str


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of a certificate and its key."""

    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """Where the controller runs and listens."""

    vm: ControllerVm | None  # None: it runs where it is started
    port: int
    dashboard_port: int | None  # None: there is no dashboard
    tls: Tls | None  # None: no encryption, for loopback or a private network
    host: str | None = None  # None: it runs where it is started, or on a machine made for it
    """The address of a host that is reached as those of a manual cluster are."""


class SecretSource(Enum):
    """Where a secret is read from."""

    VALUE = "value"
    DIGEST = "sha256"
    """The secret itself is not known, only what proves it."""
    ENVIRONMENT = "env"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret, or where to find it; it never prints itself."""

    source: SecretSource
    word: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Auth:
    """Who may call the controller."""

    tokens: tuple[tuple[UserName, Secret], ...]
    admins: tuple[UserName, ...]
    worker_token: Secret | None  # None: workers are trusted on loopback only


@dataclass(frozen=True, slots=True)
class Storage:
    """Where the journal, bundles and logs are kept."""

    root: str
    bundles: str | None  # None: below the root
    logs: str | None  # None: likewise


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """Everything that cluster.yaml says."""

    spec: ClusterSpec
    provider: Provider | None  # None: only good for a simulation
    docker: Docker | None  # None: tasks run without containers
    controller: ControllerSettings
    auth: Auth
    storage: Storage
    runtime_versions: tuple[tuple[GroupName, str], ...]
    """The TPU software of each group of TPUs."""


def load_cluster(path: Path) -> ClusterConfig:
    """The configuration that a file holds, or `BadInput` with all that is wrong with it."""
    return read_cluster(load_mapping(path))


def read_cluster(document: Document) -> ClusterConfig:
    """The configuration that a document holds, or `BadInput`."""
    return _config(validate(document, ClusterModel), Path(document.file).absolute().parent)


def _config(model: ClusterModel, folder: Path) -> ClusterConfig:
    """An accepted model as the values that the rest of Iris knows; files are named from its folder."""
    docker, storage = model.docker, model.storage
    return ClusterConfig(
        spec=to_cluster_spec(model),
        provider=_provider(model, folder),
        docker=None if docker is None else Docker(docker.image, docker.worker_port),
        controller=_controller(model.controller, folder),
        auth=_auth(model.auth, folder),
        storage=Storage(storage.root, storage.bundles, storage.logs),
        runtime_versions=tuple(_runtime_versions(model)),
    )


def to_cluster_spec(model: ClusterModel) -> ClusterSpec:
    """What of an accepted model the core must know."""
    zone = model.provider.zone if isinstance(model.provider, GcpSection) else None
    default_zone = DEFAULT_ZONE if zone is None else Zone(zone)
    return ClusterSpec(
        groups=tuple(
            _group(GroupName(name), section, default_zone)
            for name, section in model.scale_groups.items()
        ),
        scheduler=_scheduler(model.scheduler),
        autoscaler=_autoscaler(model),
        timeouts=TimeoutPolicy(**model.timeouts.model_dump()),
        retention=RetentionPolicy(**model.retention.model_dump()),
        reservations=tuple((name, held.chips) for name, held in model.reservations.items()),
    )


def suspicions(config: ClusterConfig) -> tuple[Finding, ...]:
    """What is legal, and probably not meant."""
    return (*spec_suspicions(config.spec), *access_suspicions(config))


def spec_suspicions(spec: ClusterSpec) -> tuple[Finding, ...]:
    """What of that the core would have to live with."""
    groups = (finding for group in spec.groups for finding in _group_suspicions(group))
    return (*groups, *_reservation_suspicions(spec))


def _group(name: GroupName, section: GroupSection, default_zone: Zone) -> GroupSpec:
    shape = resolve(section.accelerator_type)
    return GroupSpec(
        name=name,
        accelerator_type=section.accelerator_type,
        accelerator=shape.accelerator,
        family=shape.family,
        hosts=section.vm.count or shape.hosts,
        host=_host(section.vm, shape.host),
        max_slices=section.max_slices,
        min_slices=section.min_slices,
        buffer_slices=section.buffer_slices,
        preemptible=section.preemptible,
        zones=tuple(Zone(zone) for zone in section.zones or [default_zone]),
        priority=section.priority,
        price_per_hour=section.price_per_hour,
        reservation=section.reservation,
        attributes=tuple(sorted(section.attributes.items())),
    )


def _host(vm: VmSection, usual: Resources) -> Resources:
    """What one host offers: the usual machine of its type, but for what the config says."""
    return Resources(
        chips=usual.chips,
        cpu=usual.cpu if vm.cpu is None else vm.cpu,
        memory=usual.memory if vm.memory is None else vm.memory,
        disk=usual.disk if vm.disk is None else vm.disk,
        ports=vm.ports,
    )


def _scheduler(section: SchedulerSection) -> SchedulerPolicy:
    return SchedulerPolicy(
        order=Order(section.order),
        backfill=Backfill(section.backfill),
        eviction=section.eviction,
        fair_half_life=section.fair_half_life,
        user_weights=tuple(
            sorted((UserName(user), weight) for user, weight in section.user_weights.items())
        ),
        max_tasks_per_user=section.max_tasks_per_user,
        quotas=tuple(
            Quota(UserName(user), **quota.model_dump())
            for user, quota in sorted(section.quotas.items())
        ),
    )


def _autoscaler(model: ClusterModel) -> AutoscalerPolicy:
    """As it is said; on one's own machine there is no cloud to be spared, so waits are short."""
    policy = AutoscalerPolicy(**model.autoscaler.model_dump())
    if isinstance(model.provider, LocalSection):
        if not model.autoscaler.model_fields_set & LOCAL_WAITS.keys():
            policy = replace(policy, **LOCAL_WAITS)
    return policy


def _provider(model: ClusterModel, folder: Path) -> Provider | None:
    match model.provider:
        case None:
            return None
        case LocalSection(runtime=runtime):
            return Local(Runtime(runtime))
        case ManualSection() as manual:
            return manual_of(manual, GroupName(next(iter(model.scale_groups))), folder)
        case GcpSection() as gcp:
            return gcp_of(gcp, model.scale_groups)


def _controller(section: ControllerSection, folder: Path) -> ControllerSettings:
    vm, tls = section.vm, section.tls
    made = ControllerVm(vm.image, vm.machine_type) if vm.enabled and vm.image is not None else None
    files = None if tls is None else Tls(folder / tls.cert, folder / tls.key)
    return ControllerSettings(made, vm.port, section.dashboard_port, files, section.host)


def _auth(section: AuthSection, folder: Path) -> Auth:
    worker_token = section.worker_token
    return Auth(
        tokens=tuple((UserName(user), _secret(it, folder)) for user, it in section.tokens.items()),
        admins=tuple(UserName(user) for user in section.admins),
        worker_token=None if worker_token is None else _secret(worker_token, folder),
    )


def _secret(section: SecretSection, folder: Path) -> Secret:
    if section.env is not None:
        return Secret(SecretSource.ENVIRONMENT, section.env)
    if section.sha256 is not None:
        return Secret(SecretSource.DIGEST, section.sha256)
    if section.file is not None:
        return Secret(SecretSource.FILE, str(folder / section.file))
    assert section.value is not None, "the model demands exactly one source"
    return Secret(SecretSource.VALUE, section.value)


def _runtime_versions(model: ClusterModel) -> Iterator[tuple[GroupName, str]]:
    for name, section in model.scale_groups.items():
        family = resolve(section.accelerator_type).family
        version = section.runtime_version or _RUNTIME_BY_FAMILY.get(family)
        if version is not None:
            yield GroupName(name), version


def _group_suspicions(group: GroupSpec) -> Iterator[Finding]:
    at = ("scale_groups", group.name)
    if group.max_slices == 0:
        message = "max_slices is 0, so the group never gets a slice"
        yield Finding((*at, "max_slices"), message, "raise it, or take the group out")
    elif group.buffer_slices and group.min_slices + group.buffer_slices > group.max_slices:
        total = group.min_slices + group.buffer_slices
        message = f"min_slices and buffer_slices are {total} together, over max_slices"
        yield Finding((*at, "buffer_slices"), message, f"raise max_slices to {total} or more")
    if group.preemptible and group.reservation is not None:
        message = "reserved capacity is not preemptible, so the reservation is not used"
        yield Finding((*at, "reservation"), message, "drop preemptible, or the reservation")


def _reservation_suspicions(spec: ClusterSpec) -> Iterator[Finding]:
    for name, chips in spec.reservations:
        users = [group for group in spec.groups if group.reservation == name]
        kept = sum(group.min_slices * group.chips for group in users)
        if not users:
            yield Finding(("reservations", name), "no group draws on it", "name it in a group")
        elif kept > chips:
            message = f"its groups keep {kept} chips by min_slices, and it has {chips}"
            yield Finding(("reservations", name), message, "lower a group's min_slices")


def access_suspicions(config: ClusterConfig) -> Iterator[Finding]:
    """What of that keeps machines from calling, or everybody from stopping the cluster."""
    remote = config.provider is not None and not isinstance(config.provider, Local)
    if remote and not config.auth.tokens:
        message = "nobody has a token, so the controller serves its own machine only"
        yield Finding(("auth", "tokens"), message, "add `auth: {tokens: {NAME: {env: VARIABLE}}}`")
    if config.auth.tokens and not config.auth.admins:
        message = "nobody is an administrator, so the controller stops the cluster for nobody"
        names = ", ".join(user for user, _ in config.auth.tokens)
        yield Finding(("auth",), message, f"add `admins: [...]`, of {names}")
    bare = isinstance(config.provider, Manual) and config.provider.runtime is Runtime.PROCESS
    if remote and not bare and config.docker is None:
        message = "there is no docker.image, so workers on other machines cannot start"
        yield Finding(("docker",), message, "add `docker: {image: ...}`")
