"""Does this fit here, and if not, what is lacking: the one predicate.

The scheduler, the autoscaler's dry run, admission and explanations all ask here, so that they
cannot contradict one another. It has two halves. `refusal` asks whether a pool (a group in a zone)
can serve a shape at all, were it empty; `iris.core.resources.fits` whether a host has the room
now.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from iris.core.ids import WorkerId, Zone
from iris.core.resources import Resources, amount, fits
from iris.core.spec import Constraint, ConstraintOp, GroupSpec, JobSpec

CORES_PER_CHIP: Final = 24
"""What a chip counts in the fair order. A v5e host sells 112 vCPUs with 4 chips, an H100 host 208
with 8 (public machine types): 26 to 28 for each; see docs/decisions on the fair order."""

_DIMENSIONS: Final = ("chips", "cpu", "memory", "disk", "ports")


class Shape(NamedTuple):
    """What makes two waiting units alike for placement: who fits where depends on nothing else."""

    accelerator: str | None  # None: CPU work
    need: Resources
    """Of one task."""
    hosts: int
    """Members of a gang; 0 for a task that is placed alone."""
    constraints: tuple[Constraint, ...] = ()
    avoid: tuple[WorkerId, ...] = ()


def shape_of(spec: JobSpec, avoid: tuple[WorkerId, ...] = ()) -> Shape:
    """The shape of a job's gang, or of one of its tasks that must avoid some workers."""
    hosts = spec.replicas if spec.coscheduled else 0
    return Shape(spec.accelerator, spec.resources, hosts, spec.constraints, avoid)


@dataclass(frozen=True, slots=True)
class Lack:
    """One dimension in which a need is not covered."""

    dimension: str
    need: int
    have: int


def lacks(need: Resources, free: Resources) -> tuple[Lack, ...]:
    """Every dimension in which `free` falls short of `need`; empty exactly when it fits."""
    return tuple(
        Lack(name, want, have)
        for name, want, have in zip(_DIMENSIONS, need, free, strict=True)
        if want > have
    )


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a pool can never serve a shape, however empty it is."""

    check: str
    """`accelerator`, `gang`, `constraint` or `host`."""
    need: str
    have: str


def attributes_of(group: GroupSpec, zone: Zone) -> Mapping[str, str]:
    """What constraints see of a pool."""
    return {
        "group": group.name,
        "zone": zone,
        "region": region_of(zone),
        "accelerator": group.accelerator or "none",
        "accelerator_type": group.accelerator_type,
        "preemptible": "true" if group.preemptible else "false",
        **dict(group.attributes),
    }


def region_of(zone: Zone) -> str:
    """The region that a zone lies in: its name without the last part, `us-central1-a`."""
    return zone.rpartition("-")[0] or zone


def satisfies(constraint: Constraint, attributes: Mapping[str, str]) -> bool:
    """Whether a pool's attributes meet a constraint."""
    value = attributes.get(constraint.key)
    match constraint.op:
        case ConstraintOp.IN:
            return value in constraint.values
        case ConstraintOp.NOT_IN:
            return value not in constraint.values
        case ConstraintOp.EXISTS:
            return value is not None
        case _:
            return value is None


def _hosts(count: int) -> str:
    return "1 host" if count == 1 else f"{count} hosts"


def refusal(shape: Shape, group: GroupSpec, zone: Zone) -> Refusal | None:
    """Why this pool can never serve the shape; nothing when an empty slice of it would."""
    if shape.accelerator is not None and shape.accelerator != group.accelerator:
        return Refusal("accelerator", shape.accelerator, group.accelerator or "none")
    if shape.hosts:
        if shape.accelerator is None and group.accelerator is not None:
            return Refusal("accelerator", "none", group.accelerator)
        if shape.hosts != group.hosts:
            return Refusal("gang", _hosts(shape.hosts), _hosts(group.hosts))
    elif (
        group.hosts > 1
        and shape.accelerator is not None
        and group.accelerator == group.accelerator_type
    ):
        # A program on one host of a TPU pod waits for the others for ever.
        return Refusal("gang", _hosts(1), _hosts(group.hosts))
    attributes = attributes_of(group, zone)
    for constraint in shape.constraints:
        if not constraint.soft and not satisfies(constraint, attributes):
            have = attributes.get(constraint.key, "absent")
            want = f"{constraint.key} {constraint.op.value} {', '.join(constraint.values)}"
            return Refusal("constraint", want.strip(), have)
    if not fits(shape.need, group.host):
        short = lacks(shape.need, group.host)[0]
        need, have = (amount(short.dimension, number) for number in (short.need, short.have))
        return Refusal("host", need, have)
    return None


def preference(shape: Shape, group: GroupSpec, zone: Zone) -> tuple[int, int]:
    """How little a pool suits a shape that it can serve: lower is tried first.

    CPU work prefers CPU machines to the spare cores of accelerator hosts; before that, soft
    constraints that the pool breaks count.
    """
    attributes = attributes_of(group, zone)
    broken = sum(1 for c in shape.constraints if c.soft and not satisfies(c, attributes))
    spare = shape.accelerator is None and group.accelerator is not None
    return broken, int(spare)


def weight_of(need: Resources) -> int:
    """What a need counts in the fair order, in millicores."""
    return need.cpu + need.chips * CORES_PER_CHIP * 1000
