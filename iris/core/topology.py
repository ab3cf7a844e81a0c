"""What an accelerator type means: chips, hosts, and what each host has. No cloud is asked.

A TPU type is spelled as the Cloud TPU API spells it. The number in a name counts TensorCores for
v2, v3, v4 and v5p, which have two on each chip, and chips for v5e (`v5litepod`) and v6e. One API
host is one VM; pages that count physical machines disagree, and do not matter here.

What hosts have is the machine type behind them: enough to plan with. What a worker offers when it
registers is the truth, and a group's `vm` section overrides a CPU or GPU machine.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

from iris.core.resources import Resources

PORTS: Final = 1_000
"""TCP ports that a host offers to tasks unless the config says otherwise."""

CPU: Final = "cpu"
"""The accelerator type of a group of machines without accelerators."""

MOST_GPUS: Final = 16
"""GPUs that one machine may have; no cloud sells more in one."""

_GIB: Final = 2**30
_DISK: Final = 100 * _GIB
_CPU_HOST: Final = Resources(cpu=4_000, memory=16 * _GIB, disk=_DISK, ports=PORTS)


@dataclass(frozen=True, slots=True)
class TpuType:
    """One size of TPU slice."""

    name: str
    family: str
    chips: int
    hosts: int
    host: Resources
    """What each host has, its share of the chips included."""


@dataclass(frozen=True, slots=True)
class MachineShape:
    """What one slice of an accelerator type is made of."""

    accelerator: str | None  # None: no accelerator
    """What a job asks for: the TPU type, or the GPU's name without its number."""
    family: str
    hosts: int
    host: Resources


class UnknownAccelerator(ValueError):
    """A type that no table holds, with the valid types nearest to it."""

    def __init__(self, name: str, message: str, nearest: tuple[str, ...]) -> None:
        self.help = f"did you mean {' or '.join(nearest)}?"
        super().__init__(f"{message}; {self.help}")
        self.name = name
        self.message = message
        self.nearest = nearest


@dataclass(frozen=True, slots=True)
class _Family:
    """The sizes of one generation: names by the number in them, and the VM under each host."""

    prefix: str
    family: str
    cores_per_chip: int
    sizes: tuple[int, ...]
    """The numbers that names may carry."""
    host_chips: int
    """Chips of each host of a slice of several hosts."""
    host: Mapping[int, tuple[int, int]]
    """vCPUs and GiB of a host, by its chips; a family's usual host at `host_chips`."""


def _powers(first: int, last: int) -> tuple[int, ...]:
    """`first`, doubled until `last`."""
    return tuple(first << shift for shift in range((last // first).bit_length()))


# v5p and v4 are sold by whole 4x4x4 cubes (128 cores) above the small sizes.
_V4_SIZES: Final = (8, 16, 32, 64, *range(128, 4_096 + 1, 128))
_V5P_SIZES: Final = (8, 16, 32, 64, *range(128, 12_288 + 1, 128))
_SMALL_THEN_PODS: Final = (1, 4, 8, 16, 32, 64, 128, 256)

_FAMILIES: Final = (
    _Family("v2-", "v2", 2, (8, 32, 128, 256, 512), 4, {4: (96, 334)}),
    _Family("v3-", "v3", 2, (8, *_powers(32, 2_048)), 4, {4: (96, 334)}),
    _Family("v4-", "v4", 2, _V4_SIZES, 4, {4: (240, 400)}),
    _Family("v5p-", "v5p", 2, _V5P_SIZES, 4, {4: (208, 448)}),
    _Family(
        "v5litepod-", "v5e", 1, _SMALL_THEN_PODS, 4, {1: (24, 48), 4: (112, 192), 8: (224, 384)}
    ),
    _Family("v6e-", "v6e", 1, _SMALL_THEN_PODS, 4, {1: (44, 176), 4: (180, 720), 8: (180, 1_440)}),
)


def _tpu(family: _Family, size: int) -> TpuType:
    """One row of the table. A slice that one machine can hold whole is one machine."""
    chips = size // family.cores_per_chip
    hosts = 1 if chips in family.host else chips // family.host_chips
    vcpus, gib = family.host[chips // hosts]
    host = Resources(chips // hosts, vcpus * 1_000, gib * _GIB, _DISK, PORTS)
    return TpuType(f"{family.prefix}{size}", family.family, chips, hosts, host)


_TPU_TYPES: Final[Mapping[str, TpuType]] = MappingProxyType(
    {f"{family.prefix}{size}": _tpu(family, size) for family in _FAMILIES for size in family.sizes}
)

# Per GPU: vCPUs and GiB of the usual machine that carries it.
_GPUS: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {
        "P100": (16, 104),
        "V100": (12, 78),
        "T4": (8, 30),
        "L4": (12, 48),
        "A10": (30, 200),
        "A10G": (8, 32),
        "A100": (12, 85),
        "A100-80GB": (12, 170),
        "L40S": (16, 128),
        "H100": (26, 234),
        "H200": (28, 368),
        "GH200": (72, 480),
        "B200": (28, 496),
        "GB200": (35, 240),
        "B300": (28, 496),
        "MI300X": (24, 237),
        "RTX4090": (8, 32),
    }
)
_GPU_BY_SPELLING: Final = MappingProxyType({name.lower(): name for name in _GPUS})
_GPU: Final = re.compile(r"([A-Za-z][A-Za-z0-9-]*):([0-9]{1,4})", re.ASCII)


def tpu_type(name: str) -> TpuType | None:
    """The TPU type of that name; None when there is no such type."""
    return _TPU_TYPES.get(name)


def known_tpu_types() -> tuple[str, ...]:
    """Every TPU type, by generation and size."""
    return tuple(_TPU_TYPES)


def known_gpus() -> tuple[str, ...]:
    """Every GPU by the name that jobs ask for."""
    return tuple(_GPUS)


def gpu_name(spelling: str) -> str | None:
    """The GPU that a name means, in any case (`h100`); None when it is none."""
    return _GPU_BY_SPELLING.get(spelling.lower())


def resolve(accelerator_type: str) -> MachineShape:
    """What one slice of the type is made of; `UnknownAccelerator` when there is no such type."""
    if accelerator_type == CPU:
        return MachineShape(None, CPU, 1, _CPU_HOST)
    tpu = tpu_type(accelerator_type)
    if tpu is not None:
        return MachineShape(tpu.name, tpu.family, tpu.hosts, tpu.host)
    return _gpu_machine(accelerator_type)


def gang_size(accelerator_type: str) -> int:
    """How many hosts one slice has, which is how many tasks a gang of the type has."""
    return resolve(accelerator_type).hosts


def _gpu_machine(accelerator_type: str) -> MachineShape:
    """The machine of `H100:8`."""
    parts = _GPU.fullmatch(accelerator_type)
    name = gpu_name(parts[1]) if parts else None
    if parts is None or name is None:
        raise _unknown(accelerator_type)
    count = int(parts[2])
    if not 1 <= count <= MOST_GPUS:
        message = f"{accelerator_type!r} asks for {count} GPUs on a machine, not 1 to {MOST_GPUS}"
        raise UnknownAccelerator(accelerator_type, message, (f"{name}:{1 if count < 1 else 8}",))
    vcpus, gib = _GPUS[name]
    host = Resources(count, count * vcpus * 1_000, count * gib * _GIB, _DISK, PORTS)
    return MachineShape(name, name, 1, host)


def _unknown(accelerator_type: str) -> UnknownAccelerator:
    """The refusal of a type, naming what its writer may have meant."""
    message = f"unknown accelerator type {accelerator_type!r}"
    return UnknownAccelerator(accelerator_type, message, _nearest(accelerator_type))


def _nearest(accelerator_type: str) -> tuple[str, ...]:
    """Up to three valid types: the TPU in the sizes around, the GPU with a number, a like name."""
    lowered = accelerator_type.lower()
    family, dash, size = lowered.rpartition("-")
    # v5e is what people and Google's pages call the v5litepod of the API.
    prefix = {"v5e": "v5litepod", "v5lite": "v5litepod"}.get(family, family) + dash
    alike = [known for known in _TPU_TYPES if known.startswith(prefix)] if dash else []
    if alike and size.isdecimal() and len(size) <= len(str(_V5P_SIZES[-1])):
        wanted = int(size)
        if f"{prefix}{wanted}" in _TPU_TYPES:
            return (f"{prefix}{wanted}",)
        by_distance = sorted(alike, key=lambda known: abs(int(known[len(prefix) :]) - wanted))
        return tuple(sorted(by_distance[:2], key=lambda known: int(known[len(prefix) :])))
    if gpu_name(lowered) is not None:
        return (f"{gpu_name(lowered)}:1", f"{gpu_name(lowered)}:8")
    spellings = {name.lower(): name for name in (*_TPU_TYPES, CPU, *(f"{gpu}:8" for gpu in _GPUS))}
    found = get_close_matches(lowered, list(spellings), n=3)
    return tuple(spellings[name] for name in found) or ("v5litepod-16", "H100:8", CPU)
