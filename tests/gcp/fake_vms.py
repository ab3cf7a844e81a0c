"""The VMs of the fake cloud, and what a hook may do with each while it lives."""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from iris.core.instant import Instant


@dataclass(slots=True, eq=False)
class Vm:
    """One machine, from its boot to its end. What the metadata server tells of it is read from here."""

    name: str
    """Its host name: the instance's own, or `t1v-n-HASH-w-INDEX` of a TPU node's worker."""
    project: str
    zone: str
    owner: str
    """The id of the TPU node or of the instance."""
    index: int
    address: str
    number: int
    """Its numeric instance id."""
    is_tpu: bool
    accelerator_type: str
    about: Callable[[], dict[str, Any]]
    """The resource as it is now: metadata, labels, endpoints."""
    began: Instant
    preempted: bool = False
    """Whether it has had its notice."""
    maintenance: str = "NONE"
    """What `instance/maintenance-event` says."""
    guest_attributes: dict[str, str] = field(default_factory=dict)
    """What the machine wrote about itself, by `namespace/key`."""
    serial: Callable[[], str] = lambda: ""
    """The text of its first serial port so far; the hook sets it."""

    @property
    def metadata(self) -> dict[str, str]:
        """The custom metadata, as the resource has it now."""
        found = self.about().get("metadata", {})
        if self.is_tpu:
            return dict(found)
        return {item["key"]: item.get("value", "") for item in found.get("items", ())}


Stop = Callable[[], None]
Hook = Callable[[Vm], Stop]
"""Starts something for a VM that has booted, at once; what it gives ends that thing."""


def idle(vm: Vm) -> Stop:
    """A VM in which nothing runs."""
    del vm
    return lambda: None


def digits_of(*words: str) -> int:
    """A number of 19 digits, the same for the same words, as the clouds give their things."""
    return 10**18 + int.from_bytes(blake2b("/".join(words).encode(), digest_size=7).digest(), "big")
