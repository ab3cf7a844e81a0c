"""The grammar of cluster.yaml: which keys there are, what may stand there, and what goes together.

Only checks and defaults live here. `iris.config` turns a model that was accepted into the frozen
values that the rest of Iris knows; nothing else may hold on to these models.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from iris.config_deployment import (
    AuthSection,
    ControllerSection,
    DockerSection,
    GcpSection,
    ManualSection,
    Provider,
    Section,
    StorageSection,
    Text,
    ZoneName,
    refuse_bad_users,
)
from iris.config_gcp import gcp_findings
from iris.core.ids import GroupName, is_name, slice_id
from iris.core.instant import Millis
from iris.core.spec import (
    EVERYBODY,
    MAX_LEVELS,
    AutoscalerPolicy,
    RetentionPolicy,
    SchedulerPolicy,
    TimeoutPolicy,
)
from iris.core.topology import PORTS, UnknownAccelerator, resolve, tpu_type
from iris.fields import (
    Count,
    Cpu,
    Duration,
    PositiveCount,
    PositiveDuration,
    Price,
    Size,
)
from iris.problems import Finding, Unfit, one_of, shown
from iris.units import format_duration

RESERVED_ATTRIBUTES: Final = ("accelerator", "group", "preemptible", "region", "zone")
"""What constraints see of every group by itself; a group's own attributes are others."""

_GROUP_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}")
_AUTOSCALER: Final = AutoscalerPolicy()
_TIMEOUTS: Final = TimeoutPolicy()
_SCHEDULER: Final = SchedulerPolicy()


def _attribute(value: object) -> object:
    """Numbers and booleans as their text, for constraints compare text."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else value


Attribute: TypeAlias = Annotated[str, BeforeValidator(_attribute)]


class VmSection(Section):
    """What one machine of a group offers; what is absent comes from the accelerator type."""

    cpu: Annotated[Cpu, Field(gt=0)] | None = None
    memory: Annotated[Size, Field(gt=0)] | None = None
    disk: Size | None = None
    ports: Annotated[int, Field(ge=0, le=60_000)] = PORTS
    count: PositiveCount | None = None
    machine_type: Text | None = None
    image: Text | None = None


class GroupSection(Section):
    """A kind of slice."""

    accelerator_type: Text
    runtime_version: Text | None = None
    min_slices: Count = 0
    max_slices: Count
    buffer_slices: Count = 0
    preemptible: bool = False
    zones: list[ZoneName] | None = None
    priority: int = 100
    price_per_hour: Price = 0
    vm: VmSection = VmSection()
    reservation: Text | None = None
    attributes: dict[str, Attribute] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> "GroupSection":
        findings = [
            *self._count_findings(),
            *self._zone_findings(),
            *self._shape_findings(),
            *self._attribute_findings(),
        ]
        if findings:
            raise Unfit(findings)
        return self

    def _count_findings(self) -> Iterator[Finding]:
        for key in ("min_slices", "buffer_slices"):
            count = getattr(self, key)
            if count > self.max_slices:
                remedy = f"lower it, or raise max_slices to at least {count}"
                yield Finding((key,), f"{count} is more than max_slices, {self.max_slices}", remedy)

    def _zone_findings(self) -> Iterator[Finding]:
        if self.zones == []:
            remedy = "name at least one zone, or leave the key out"
            yield Finding(("zones",), "no zone is named, so no slice could ever come", remedy)
        zones = self.zones or []
        for index, zone in enumerate(zones):
            if zone in zones[:index]:
                message = f"zone {shown(zone)} is named twice"
                yield Finding(("zones", index), message, "name each zone once")

    def _shape_findings(self) -> Iterator[Finding]:
        try:
            hosts = resolve(self.accelerator_type).hosts
        except UnknownAccelerator as error:
            yield Finding(("accelerator_type",), error.message, error.help)
            return
        if self.vm.count is not None and tpu_type(self.accelerator_type) is not None:
            message = f"{self.accelerator_type} slices have {hosts} hosts by their type"
            yield Finding(("vm", "count"), message, "remove it, or name another accelerator_type")

    def _attribute_findings(self) -> Iterator[Finding]:
        for key in self.attributes:
            if key in RESERVED_ATTRIBUTES or not is_name(key):
                remedy = f"use a plain name other than {', '.join(RESERVED_ATTRIBUTES)}"
                message = f"{shown(key)} cannot be an attribute's name"
                yield Finding(("attributes", key), message, remedy, at_key=True)


def _refuse_inverted(section: Section, pairs: Iterable[tuple[str, str]]) -> None:
    """Refuse a section in which the first of a pair is above the second."""
    findings = []
    for low, high in pairs:
        small, large = getattr(section, low), getattr(section, high)
        if small <= large:
            continue
        remedy = f"let {low} be at most {high}"
        if low in section.model_fields_set:
            message = f"{_amount(low, small)} is more than {high}, {_amount(high, large)}"
            findings.append(Finding((low,), message, remedy))
        else:
            message = f"{_amount(high, large)} is less than {low}, {_amount(low, small)}"
            findings.append(Finding((high,), message, remedy))
    if findings:
        raise Unfit(findings)


def _amount(key: str, value: int) -> str:
    """A value as it would be written in the config."""
    return str(value) if key.endswith("_window") else format_duration(Millis(value))


class AutoscalerSection(Section):
    """When slices are asked for and given back."""

    idle_timeout: Duration = _AUTOSCALER.idle_timeout
    creates_per_minute: PositiveCount = _AUTOSCALER.creates_per_minute
    create_burst: PositiveCount = _AUTOSCALER.create_burst
    initial_window: PositiveCount = _AUTOSCALER.initial_window
    max_window: PositiveCount = _AUTOSCALER.max_window
    stockout_backoff: PositiveDuration = _AUTOSCALER.stockout_backoff
    quota_backoff: PositiveDuration = _AUTOSCALER.quota_backoff
    internal_backoff: PositiveDuration = _AUTOSCALER.internal_backoff
    max_backoff: PositiveDuration = _AUTOSCALER.max_backoff
    settle_time: Duration = _AUTOSCALER.settle_time
    boot_timeout: PositiveDuration = _AUTOSCALER.boot_timeout
    adoption_grace: Duration = _AUTOSCALER.adoption_grace
    delete_retry: PositiveDuration = _AUTOSCALER.delete_retry
    observe_interval: PositiveDuration = _AUTOSCALER.observe_interval
    absence_grace: Duration = _AUTOSCALER.absence_grace
    observe_timeout: PositiveDuration = _AUTOSCALER.observe_timeout
    tombstone_age: PositiveDuration = _AUTOSCALER.tombstone_age
    create_answer_timeout: PositiveDuration = _AUTOSCALER.create_answer_timeout

    @model_validator(mode="after")
    def _fits_together(self) -> "AutoscalerSection":
        pairs = [("initial_window", "max_window")]
        pairs += [(f"{why}_backoff", "max_backoff") for why in ("stockout", "quota", "internal")]
        _refuse_inverted(self, pairs)
        return self


class TimeoutsSection(Section):
    """How long each side may keep another waiting."""

    worker_timeout: PositiveDuration = _TIMEOUTS.worker_timeout
    stop_grace: Duration = _TIMEOUTS.stop_grace
    stop_timeout: PositiveDuration = _TIMEOUTS.stop_timeout
    launch_timeout: PositiveDuration = _TIMEOUTS.launch_timeout
    notice_timeout: PositiveDuration = _TIMEOUTS.notice_timeout
    orphan_timeout: PositiveDuration = _TIMEOUTS.orphan_timeout
    retry_backoff: Duration = _TIMEOUTS.retry_backoff
    max_retry_backoff: Duration = _TIMEOUTS.max_retry_backoff
    launch_failures_per_host: PositiveCount = _TIMEOUTS.launch_failures_per_host

    @model_validator(mode="after")
    def _fits_together(self) -> "TimeoutsSection":
        # A grace beyond the timeout would lose every host whose task needs SIGKILL.
        pairs = [("stop_grace", "stop_timeout"), ("retry_backoff", "max_retry_backoff")]
        _refuse_inverted(self, pairs)
        return self


class QuotaSection(Section):
    """The most that a user's running tasks may hold together."""

    tasks: PositiveCount | None = None
    chips: PositiveCount | None = None
    cpu: Annotated[Cpu, Field(gt=0)] | None = None
    memory: Annotated[Size, Field(gt=0)] | None = None
    levels: Annotated[int, Field(ge=1, le=MAX_LEVELS)] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> "QuotaSection":
        if not self.model_fields_set - {"levels"}:
            message = "a quota limits nothing"
            raise Unfit([Finding((), message, "say one of `tasks`, `chips`, `cpu` and `memory`")])
        if self.levels is not None and self.tasks is not None and self.tasks < self.levels:
            message = f"{self.levels} levels of a tree need as many tasks, and {self.tasks} may run"
            raise Unfit([Finding(("levels",), message, "raise `tasks`, or name fewer levels")])
        return self


class SchedulerSection(Section):
    """How waiting work is ordered and placed."""

    order: Literal["fifo", "fair"] = "fair"
    backfill: Literal["none", "hold", "greedy"] = "hold"
    eviction: bool = _SCHEDULER.eviction
    fair_half_life: PositiveDuration = _SCHEDULER.fair_half_life
    user_weights: dict[str, PositiveCount] = Field(default_factory=dict)
    max_tasks_per_user: PositiveCount = _SCHEDULER.max_tasks_per_user
    quotas: dict[str, QuotaSection] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> "SchedulerSection":
        refuse_bad_users(self.user_weights, "user_weights")
        refuse_bad_users((user for user in self.quotas if user != EVERYBODY), "quotas")
        return self


class RetentionSection(Section):
    """How much of what has ended is remembered."""

    ended_jobs: Count = RetentionPolicy().ended_jobs
    max_age: PositiveDuration = RetentionPolicy().max_age


class ReservationSection(Section):
    """Capacity that several groups draw on together."""

    chips: PositiveCount


class ClusterModel(Section):
    """cluster.yaml. A scenario's `cluster:` is the same, but may leave out the provider."""

    provider: Provider | None = None
    docker: DockerSection | None = None
    controller: ControllerSection = ControllerSection()
    scale_groups: dict[str, GroupSection]
    autoscaler: AutoscalerSection = AutoscalerSection()
    scheduler: SchedulerSection = SchedulerSection()
    timeouts: TimeoutsSection = TimeoutsSection()
    retention: RetentionSection = RetentionSection()
    reservations: dict[str, ReservationSection] = Field(default_factory=dict)
    auth: AuthSection = AuthSection()
    storage: StorageSection = StorageSection()

    @model_validator(mode="after")
    def _fits_together(self) -> "ClusterModel":
        findings = [*self._name_findings(), *self._group_findings(), *self._provider_findings()]
        if findings:
            raise Unfit(findings)
        return self

    def _name_findings(self) -> Iterator[Finding]:
        if not self.scale_groups:
            yield Finding(("scale_groups",), "no group, so nothing can ever run", "add one")
        owner: dict[str, str] = {}
        for name in self.scale_groups:
            at = ("scale_groups", name)
            if not _GROUP_NAME.fullmatch(name):
                remedy = "use letters, digits, `_` and `-`, at most 63"
                yield Finding(at, f"{shown(name)} cannot be a group's name", remedy, at_key=True)
                continue
            other = owner.setdefault(slice_id(GroupName(name), 0), name)
            if other != name:
                message = f"slices of {shown(name)} would be named as those of {shown(other)}"
                remedy = "differ in letters or digits within the first 40 characters"
                yield Finding(at, message, remedy, at_key=True)

    def _group_findings(self) -> Iterator[Finding]:
        for name, group in self.scale_groups.items():
            at = ("scale_groups", name)
            if group.reservation is not None and group.reservation not in self.reservations:
                message = f"no reservation is named {shown(group.reservation)}"
                remedy = one_of(group.reservation, [*self.reservations])
                if not self.reservations:
                    remedy = f"add `reservations: {{{group.reservation}: {{chips: ...}}}}`"
                yield Finding((*at, "reservation"), message, remedy)

    def _unused_findings(self) -> Iterator[Finding]:
        """What only Google Cloud would heed."""
        if self.provider is None or isinstance(self.provider, GcpSection):
            return
        kind = self.provider.type
        if self.controller.vm.enabled:
            own = "this machine, or controller.host" if kind == "manual" else "this machine"
            message = f"provider {kind} makes no machine for its controller, which runs on {own}"
            yield Finding(("controller", "vm", "enabled"), message, "write `enabled: false`")
        for name, group in self.scale_groups.items():
            for key in ("machine_type", "image"):
                value = getattr(group.vm, key)
                if value is not None:
                    message = (
                        f"{shown(value)} is for provider gcp: provider {kind} makes no machines"
                    )
                    yield Finding(("scale_groups", name, "vm", key), message, "remove it")

    def _provider_findings(self) -> Iterator[Finding]:
        if self.controller.host is not None and not isinstance(self.provider, ManualSection):
            message = "only a manual cluster reaches a host for its controller"
            remedy = "remove it, or write `provider: {type: manual, ...}`"
            yield Finding(("controller", "host"), message, remedy)
        yield from self._unused_findings()
        if isinstance(self.provider, GcpSection):
            yield from gcp_findings(self.provider, self.scale_groups)
        if isinstance(self.provider, ManualSection):
            for index, host in enumerate(self.provider.hosts):
                if host.group is None and len(self.scale_groups) > 1:
                    message = f"host {shown(host.address)} names no group, and there are several"
                    remedy = f"write {{address: {host.address}, group: ...}}"
                    yield Finding(("provider", "hosts", index), message, remedy)
                elif host.group is not None and host.group not in self.scale_groups:
                    message = f"no group is named {shown(host.group)}"
                    remedy = one_of(host.group, [*self.scale_groups])
                    yield Finding(("provider", "hosts", index, "group"), message, remedy)
