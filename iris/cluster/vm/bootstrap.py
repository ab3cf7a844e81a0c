"""What a machine of a cloud is told at its creation: the startup script, and who it is.

The script is the same text for all machines. All that differs stands in metadata attributes, which the
script reads on every boot: nothing is pasted into a shell. Which host of its slice a machine is, the cloud
says where it makes whole slices (`agent-worker-number`); else `iris-host` does.

The token is in the metadata, for before it has spoken a machine knows nothing else. So it is good for the
workers of one slice and for nobody else, and a slice's name is never used again.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Final

from iris.core.effects import CreateSlice
from iris.core.ids import GroupName, SliceId
from iris.core.instant import MINUTE, Millis
from iris.core.spec import GroupSpec

STARTUP_SCRIPT: Final = "startup-script"
_COMMON: Final = "boot.sh"
_WORKER: Final = "boot_worker.sh"
_CONTROLLER: Final = "boot_controller.sh"


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """What the machines of a cluster are told."""

    cluster: str
    """Its name."""
    project: str
    controller_url: str
    """What workers call."""
    image: str
    """Of the worker, and of tasks that name no other."""
    groups: Callable[[], Mapping[GroupName, GroupSpec]]
    """The configuration in force."""
    token: Callable[[SliceId], str]
    """What workers of a slice show to the controller."""
    authority: str | None = None  # None: no TLS, or a certificate of a public authority
    """The certificate that signed the controller's, as PEM."""
    patience: Millis = Millis(10 * MINUTE)
    """A machine whose worker cannot work for so long ends itself: the cluster's `orphan_timeout`."""
    log_format: str = "text"
    """How workers log: `text` or `json`."""


def metadata_of(config: Bootstrap, request: CreateSlice, host: int | None = None) -> dict[str, str]:
    """The metadata of a slice's machines.

    Args:
        config: what all machines of the cluster are told.
        request: the slice; its group must be configured.
        host: which host of it this machine is, if each has metadata of its own; None where the cloud
            numbers them itself.

    Raises:
        KeyError: the group is not configured.
    """
    group = config.groups()[request.group]
    found = {
        STARTUP_SCRIPT: startup_script(),
        "enable-guest-attributes": "TRUE",
        "iris-cluster": config.cluster,
        "iris-project": config.project,
        "iris-controller": config.controller_url,
        "iris-image": config.image,
        "iris-slice": request.slice,
        "iris-group": request.group,
        "iris-zone": request.zone,
        "iris-hosts": str(group.hosts),
        "iris-offers": json.dumps(group.host._asdict()),
        "iris-token": config.token(request.slice),
        "iris-patience": str(config.patience // 1_000),
        "iris-log-format": config.log_format,
    }
    if host is not None:
        found["iris-host"] = str(host)
    if config.authority is not None:
        found["iris-authority"] = config.authority
    return found


def startup_script() -> str:
    """What a machine of a slice runs on every boot."""
    return _script(_WORKER)


def controller_script() -> str:
    """What the controller's machine runs on every boot."""
    return _script(_CONTROLLER)


def _script(own: str) -> str:
    folder = resources.files(__package__)
    parts = (folder.joinpath(name).read_text(encoding="utf-8") for name in (_COMMON, own))
    return "\n".join(parts)
