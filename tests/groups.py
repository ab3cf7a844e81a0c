"""Groups of slices as tests need them: small hosts, round numbers, and every limit to be set."""

from collections.abc import Sequence
from typing import Final

from iris.core.ids import GroupName, Zone
from iris.core.resources import Resources
from iris.core.spec import GroupSpec

GIB: Final = 1 << 30
ZONES: Final = ("us-a",)


def tpu_group(  # noqa: PLR0913
    name: str = "tpu",
    *,
    type: str = "v5litepod-16",
    hosts: int = 2,
    zones: Sequence[str] = ZONES,
    max_slices: int = 4,
    min_slices: int = 0,
    buffer_slices: int = 0,
    priority: int = 100,
    price_per_hour: int = 0,
    preemptible: bool = False,
    reservation: str | None = None,
) -> GroupSpec:
    """A group of TPU slices: 4 chips, 8 cores and 64 GiB on each host."""
    return GroupSpec(
        name=GroupName(name),
        accelerator_type=type,
        accelerator=type,
        family=type.rpartition("-")[0],
        hosts=hosts,
        host=Resources(chips=4, cpu=8_000, memory=64 * GIB),
        max_slices=max_slices,
        min_slices=min_slices,
        buffer_slices=buffer_slices,
        priority=priority,
        price_per_hour=price_per_hour,
        preemptible=preemptible,
        reservation=reservation,
        zones=tuple(Zone(z) for z in zones),
    )


def gpu_group(name: str = "gpu", *, gpus: int = 8, max_slices: int = 4) -> GroupSpec:
    """A group of GPU machines, which any part of may be used alone."""
    return GroupSpec(
        name=GroupName(name),
        accelerator_type=f"H100:{gpus}",
        accelerator="H100",
        family="H100",
        hosts=1,
        host=Resources(chips=gpus, cpu=16_000, memory=64 * GIB),
        max_slices=max_slices,
        zones=tuple(Zone(z) for z in ZONES),
    )


def cpu_group(  # noqa: PLR0913
    name: str = "cpu",
    *,
    cores: int = 4,
    hosts: int = 1,
    zones: Sequence[str] = ZONES,
    max_slices: int = 4,
    min_slices: int = 0,
    buffer_slices: int = 0,
    priority: int = 100,
    price_per_hour: int = 0,
    preemptible: bool = False,
) -> GroupSpec:
    """A group of CPU machines with 64 GiB each."""
    return GroupSpec(
        name=GroupName(name),
        accelerator_type="cpu",
        accelerator=None,
        family="cpu",
        hosts=hosts,
        host=Resources(cpu=cores * 1_000, memory=64 * GIB),
        max_slices=max_slices,
        min_slices=min_slices,
        buffer_slices=buffer_slices,
        priority=priority,
        price_per_hour=price_per_hour,
        preemptible=preemptible,
        zones=tuple(Zone(z) for z in zones),
    )
