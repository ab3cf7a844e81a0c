"""What users say of a job in Python: what runs, what it needs, where it may run."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from iris.core.ids import JobId, UserName
from iris.core.instant import Millis
from iris.core.resources import Resources
from iris.core.spec import Band, ConstraintOp, JobSpec
from iris.core.spec import Constraint as CoreConstraint
from iris.core.topology import gpu_name, known_gpus, known_tpu_types, tpu_type
from iris.units import BadQuantity, parse_cpu, parse_duration, parse_size

_Quantity = TypeVar("_Quantity")

__all__ = [
    "Constraint",
    "Device",
    "Entrypoint",
    "EnvironmentSpec",
    "ResourceSpec",
    "gpu_device",
    "tpu_device",
]


@dataclass(frozen=True, slots=True)
class Entrypoint:
    """What a task runs: a command, or a Python call that is pickled when it is submitted."""

    command: tuple[str, ...] = ()
    call: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]] | None = (
        None  # None: a command
    )

    @staticmethod
    def from_callable(function: Callable[..., Any], *args: Any, **named: Any) -> "Entrypoint":
        """The call `function(*args, **named)`, made in each task's own process.

        Raises:
            TypeError: `function` cannot be called.
        """
        if not callable(function):
            raise TypeError(f"{function!r} cannot be called")
        return Entrypoint(call=(function, args, named))

    @staticmethod
    def from_command(*command: str) -> "Entrypoint":
        """A command and its arguments, without a shell.

        Raises:
            ValueError: there is no command.
        """
        if not command:
            raise ValueError("there is no command; write Entrypoint.from_command('python', 'x.py')")
        return Entrypoint(command=tuple(command))


@dataclass(frozen=True, slots=True)
class Device:
    """An accelerator: a whole TPU type, or a number of GPUs of one kind."""

    name: str
    chips: int
    """Of one task."""


def tpu_device(accelerator_type: str) -> Device:
    """A TPU type as `v5litepod-16`; a task gets all chips of one of its hosts.

    Raises:
        ValueError: there is no such type.
    """
    kind = tpu_type(accelerator_type)
    if kind is None:
        near = ", ".join(known_tpu_types()[:6])
        raise ValueError(f"{accelerator_type!r} is no TPU type; there are {near}, ...")
    return Device(kind.name, kind.host.chips)


def gpu_device(name: str, count: int = 1) -> Device:
    """So many GPUs of one kind, as `H100`, on one machine.

    Raises:
        ValueError: there is no such kind, or the number is none.
    """
    known = gpu_name(name)
    if known is None:
        raise ValueError(f"{name!r} is no GPU; there are {', '.join(known_gpus())}")
    if count < 1:
        raise ValueError(f"{count} GPUs: ask for one or more")
    return Device(known, count)


@dataclass(frozen=True, slots=True)
class ResourceSpec:
    """What one task needs. Numbers are cores and bytes; texts may have units, as `2GB`."""

    cpu: float | str = 1
    memory: int | str = "1GB"
    disk: int | str = 0
    device: Device | None = None  # None: no accelerator


@dataclass(frozen=True, slots=True)
class EnvironmentSpec:
    """What a task finds: variables, and packages beside the standard library.

    Without packages a task runs under its worker's own Python. With `sync`, the workspace's
    pyproject.toml is installed with these `extras`.
    """

    env_vars: Mapping[str, str] = field(default_factory=dict)
    pip_packages: Sequence[str] = ()
    extras: Sequence[str] = ()
    sync: bool = False


@dataclass(frozen=True, slots=True)
class Constraint:
    """Where a job may run: `Constraint("zone", "in", "a", "b")`; a soft one only prefers."""

    key: str
    op: str
    values: tuple[str, ...]
    soft: bool

    def __init__(self, key: str, op: str, *values: str, soft: bool = False) -> None:
        words = [member.value for member in ConstraintOp]
        if op not in words:
            raise ValueError(f"constraint {key!r}: {op!r} is none of {', '.join(words)}")
        for value in values:
            if not isinstance(value, str):
                raise ValueError(f"constraint {key!r}: {value!r} is no text; list texts one by one")
        object.__setattr__(self, "key", key)
        object.__setattr__(self, "op", op)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "soft", soft)


@dataclass(frozen=True, slots=True)
class JobRequest:
    """All that a submission says but what runs."""

    name: str
    user: str
    resources: ResourceSpec = ResourceSpec()
    environment: EnvironmentSpec = EnvironmentSpec()
    replicas: int = 1
    coscheduled: bool = False
    constraints: Sequence[Constraint] = ()
    ports: Sequence[str] = ()
    band: str = "interactive"
    max_retries_failure: int = 0
    max_retries_preemption: int = 100
    scheduling_timeout: float | str | None = None  # None: may wait for ever
    timeout: float | str | None = None  # None: may run for ever
    checkpoint_every: float | str | None = None  # None: an interruption loses all
    parent: str | None = None  # None: the root of a tree

    def spec(self, payload: str) -> JobSpec:
        """The job as the core knows it.

        Raises:
            ValueError: a value is of the wrong unit, or a word is unknown; says which field.
        """
        bands = {band.name.lower(): band for band in Band}
        if self.band not in bands:
            raise ValueError(f"band {self.band!r} is none of {', '.join(bands)}")
        need, device = self.resources, self.resources.device
        waiting = _span("scheduling_timeout", self.scheduling_timeout)
        running = _span("timeout", self.timeout)
        return JobSpec(
            user=UserName(self.user),
            name=self.name,
            parent=JobId(self.parent) if self.parent is not None else None,
            replicas=self.replicas,
            coscheduled=self.coscheduled,
            resources=Resources(
                chips=device.chips if device is not None else 0,
                cpu=_quantity("cpu", parse_cpu, need.cpu),
                memory=_quantity("memory", parse_size, need.memory),
                disk=_quantity("disk", parse_size, need.disk),
                ports=len(self.ports),
            ),
            accelerator=device.name if device is not None else None,
            band=bands[self.band],
            constraints=tuple(
                CoreConstraint(c.key, ConstraintOp(c.op), c.values, c.soft)
                for c in self.constraints
            ),
            max_retries_failure=self.max_retries_failure,
            max_retries_preemption=self.max_retries_preemption,
            scheduling_timeout=waiting,
            timeout=running,
            checkpoint_every=_span("checkpoint_every", self.checkpoint_every),
            ports=tuple(self.ports),
            environment=tuple(sorted(self.environment.env_vars.items())),
            payload=payload,
        )


def _quantity(field: str, parse: Callable[[object], _Quantity], value: object) -> _Quantity:
    try:
        return parse(value)
    except BadQuantity as error:
        raise BadQuantity(f"{field}: {error.message}", error.help) from error


def _span(field: str, value: float | str | None) -> Millis | None:
    return None if value is None else _quantity(field, parse_duration, value)


PYTHON_MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"
"""Of this interpreter, as a pickled call must find it."""
