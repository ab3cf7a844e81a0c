"""A recorded configuration as the document that would say it, so that its keys can be changed.

A journal holds what the core was told, and people change keys of cluster.yaml. What only adapters
read (the provider, images, tokens) is not on record and changes no decision.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import Enum
from pathlib import Path

from iris.config import ClusterModel, to_cluster_spec
from iris.core.spec import ClusterSpec, GroupSpec, Quota
from iris.core.topology import tpu_type
from iris.problems import BadInput, Problem
from iris.yaml_source import Document, load_mapping, parse_mapping, validate

_COUNTS = frozenset(
    {
        "creates_per_minute",
        "create_burst",
        "initial_window",
        "max_window",
        "launch_failures_per_host",
        "ended_jobs",
        "max_tasks_per_user",
    }
)
"""Whole numbers of a policy that count; all others are milliseconds."""


def changed(recorded: ClusterSpec, overrides: Sequence[str], other: Path | None) -> ClusterSpec:
    """A configuration: the recorded one, or that of another file, with some keys changed.

    Args:
        recorded: as the controller was told.
        overrides: `KEY=VALUE` each: a dotted key of cluster.yaml, and a value in YAML.
        other: a cluster.yaml; None: the recorded configuration.

    Raises:
        BadInput: a key or a value is wrong, or the file is.
    """
    document = document_of(recorded) if other is None else load_mapping(other)
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key.strip():
            hint = "write KEY=VALUE, as scale_groups.tpu.max_slices=20"
            message = f"`{override}` is no override"
            raise BadInput([Problem("--set", 1, 1, "", message, hint, override)])
        document.override(key.strip().removeprefix("cluster."), value)
    return to_cluster_spec(validate(document, ClusterModel))


def document_of(spec: ClusterSpec) -> Document:
    """A cluster.yaml of which the core would be told this."""
    whole = {
        "scale_groups": {group.name: _group(group) for group in spec.groups},
        "autoscaler": _section(asdict(spec.autoscaler)),
        "timeouts": _section(asdict(spec.timeouts)),
        "retention": _section(asdict(spec.retention)),
        "scheduler": _section(
            {
                **asdict(spec.scheduler),
                "user_weights": dict(spec.scheduler.user_weights),
                "quotas": {quota.user: _quota(quota) for quota in spec.scheduler.quotas},
            }
        ),
        "reservations": {name: {"chips": chips} for name, chips in spec.reservations},
    }
    return parse_mapping(json.dumps(whole, indent=1), "the recorded configuration")


def _quota(quota: Quota) -> dict[str, object]:
    said = {key: value for key, value in asdict(quota).items() if key != "user" and value}
    return said | ({"cpu": f"{quota.cpu}m"} if quota.cpu else {})


def _section(values: Mapping[str, object]) -> dict[str, object]:
    return {key: _value(key, value) for key, value in values.items()}


def _value(key: str, value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if key in _COUNTS or isinstance(value, bool | dict):
        return value
    return f"{value}ms"


def _group(group: GroupSpec) -> dict[str, object]:
    host = group.host
    vm: dict[str, object] = {
        "cpu": f"{host.cpu}m",
        "memory": host.memory,
        "disk": host.disk,
        "ports": host.ports,
    }
    if tpu_type(group.accelerator_type) is None:
        vm["count"] = group.hosts
    whole: dict[str, object] = {
        "accelerator_type": group.accelerator_type,
        "max_slices": group.max_slices,
        "min_slices": group.min_slices,
        "buffer_slices": group.buffer_slices,
        "preemptible": group.preemptible,
        "zones": list(group.zones),
        "priority": group.priority,
        "price_per_hour": f"{group.price_per_hour // 1_000_000}.{group.price_per_hour % 1_000_000:06}",
        "vm": vm,
        "attributes": dict(group.attributes),
    }
    if group.reservation is not None:
        whole["reservation"] = group.reservation
    return whole
