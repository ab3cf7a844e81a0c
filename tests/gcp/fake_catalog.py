"""What the fake cloud sells, and where: zones, accelerator types, runtime versions, machine types."""

import re
from collections.abc import Mapping
from typing import Final

from iris.core import topology
from iris.core.ids import GroupName, Zone
from iris.core.resources import Resources
from iris.core.spec import GroupSpec
from tests.gcp.fake_errors import Json, invalid

ALL_FAMILIES: Final = ("v2", "v3", "v4", "v5e", "v5p", "v6e")

ZONES: Final[Mapping[str, tuple[str, ...]]] = {
    "us-central1-a": ("v2", "v3", "v5e"),
    "us-central1-b": ("v2", "v3", "v5e"),
    "us-central2-b": ("v4",),
    "us-east1-d": ("v5e", "v6e"),
    "us-east5-a": ("v5p", "v6e"),
    "us-east5-b": ("v5p", "v6e"),
    "us-west4-a": ("v5e",),
    "europe-west4-a": ("v2", "v3", "v6e"),
    "europe-west4-b": ("v5e", "v5p"),
    "us-west1-c": (),
}
"""The zones that there are, and the TPU families of each; the last has none."""

RUNTIMES: Final = (
    "tpu-ubuntu2204-base",
    "tpu-vm-base",
    "v2-alpha-tpuv5",
    "v2-alpha-tpuv5-lite",
    "v2-alpha-tpuv6e",
)

MACHINE_TYPES: Final[Mapping[str, tuple[int, int]]] = {
    f"{family}-{cpus}": (cpus, cpus * gib)
    for family, gib in (
        ("n1-standard", 4),
        ("n2-standard", 4),
        ("e2-standard", 4),
        ("n2-highmem", 8),
        ("c3-standard", 4),
    )
    for cpus in (1, 2, 4, 8, 16, 32)
} | {"a2-highgpu-1g": (12, 85), "a3-highgpu-8g": (208, 1872), "e2-micro": (2, 1)}
"""vCPUs and GiB of each."""

CONFIG_TYPES: Final = {
    "v2": "V2",
    "v3": "V3",
    "v4": "V4",
    "v5e": "V5LITE_POD",
    "v5p": "V5P",
    "v6e": "V6E",
}
_FLAT: Final = {
    1: "1x1",
    4: "2x2",
    8: "2x4",
    16: "4x4",
    32: "4x8",
    64: "8x8",
    128: "8x16",
    256: "16x16",
    512: "16x32",
    1024: "32x32",
}
_CUBES: Final = {4: "2x2x1", 8: "2x2x2", 16: "2x2x4", 32: "2x4x4", 64: "4x4x4", 128: "4x4x8"}
_CUBES_BEYOND: Final = {256: "4x8x8", 512: "8x8x8", 1024: "8x8x16", 2048: "8x16x16"}
_THREE_DIMENSIONAL: Final = frozenset({"v4", "v5p"})
_CORES_NAMED: Final = frozenset({"v2", "v3", "v4", "v5p"})
"""Families whose names count TensorCores, two to a chip."""


def region_of(zone: str) -> str:
    """The region that a zone is in."""
    return zone.rpartition("-")[0]


def topology_of(accelerator_type: str) -> str:
    """The usual topology of a type: `v4-32` is 2x2x4. A product of its chips where no table has it."""
    found = topology.tpu_type(accelerator_type)
    assert found is not None, accelerator_type
    if found.family in _THREE_DIMENSIONAL:
        return (_CUBES | _CUBES_BEYOND).get(found.chips, f"4x4x{found.chips // 16}")
    return _FLAT[found.chips]


def both_ways(node: Json) -> tuple[str, Json]:
    """The accelerator type and the accelerator config of a node, whichever it was sent with.

    Raises:
        ApiError: it has none, or both.
    """
    named, config = node.get("acceleratorType"), node.get("acceleratorConfig")
    if bool(named) == bool(config):
        raise invalid("exactly one of accelerator_type and accelerator_config must be set")
    if named:
        found = topology.tpu_type(named)
        if found is None:
            return named, {}
        return named, {"type": CONFIG_TYPES[found.family], "topology": topology_of(named)}
    assert config is not None
    family = next((f for f, kind in CONFIG_TYPES.items() if kind == config.get("type")), None)
    if family is None or not re.fullmatch(r"\d+(x\d+){1,2}", config.get("topology", "")):
        raise invalid(f"accelerator_config {config} names no TPU")
    chips = 1
    for side in config["topology"].split("x"):
        chips *= int(side)
    stem = "v5litepod" if family == "v5e" else family
    return f"{stem}-{chips * 2 if family in _CORES_NAMED else chips}", config


def chips_of(node: Json) -> int:
    """How many chips a node asks for."""
    found = topology.tpu_type(both_ways(node)[0])
    assert found is not None, node
    return found.chips


def tpu_shape(
    accelerator_type: str, zone: str, *, preemptible: bool, reservation: str | None
) -> GroupSpec | None:
    """The machines behind an accelerator type; nothing if there is no such type."""
    found = topology.tpu_type(accelerator_type)
    if found is None:
        return None
    words = [accelerator_type, "spot" if preemptible else "", reservation or ""]
    return GroupSpec(
        GroupName("/".join(words)),
        accelerator_type,
        found.name,
        found.family,
        found.hosts,
        found.host,
        max_slices=1_000_000,
        preemptible=preemptible,
        zones=(Zone(zone),),
        reservation=reservation,
    )


def machine_shape(machine_type: str, *, preemptible: bool) -> GroupSpec | None:
    """The machine behind a machine type; nothing if there is no such type."""
    known = MACHINE_TYPES.get(machine_type)
    if known is None:
        return None
    cpus, gib = known
    return GroupSpec(
        GroupName(f"{machine_type}/{'spot' if preemptible else ''}"),
        "cpu",
        None,
        machine_type.partition("-")[0],
        1,
        Resources(cpu=cpus * 1_000, memory=gib << 30, disk=100 << 30),
        max_slices=1_000_000,
        preemptible=preemptible,
    )
