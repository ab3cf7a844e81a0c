"""Manual hosts as frozen values: which machines there are, and how they are reached."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from iris.config_deployment import ManualSection, SshSection
from iris.core.ids import GroupName


class Runtime(Enum):
    """How a worker of this machine or of a manual host runs tasks."""

    PROCESS = "process"
    DOCKER = "docker"


@dataclass(frozen=True, slots=True)
class ManualHost:
    """A machine that is there already."""

    address: str
    group: GroupName


@dataclass(frozen=True, slots=True)
class Ssh:
    """How manual hosts are reached."""

    user: str | None = None  # None: as the operator's own ssh config says
    key: Path | None = None  # None: likewise
    port: int = 22
    known_hosts: Path | None = None  # None: the operator's own
    jump: str | None = None  # None: hosts are reached directly


@dataclass(frozen=True, slots=True)
class Manual:
    """Machines are there already."""

    hosts: tuple[ManualHost, ...]
    ssh: Ssh
    folder: str
    """Where a host keeps its slice."""
    python: str
    """The Python of the hosts that has Iris."""
    runtime: Runtime


def manual_of(section: ManualSection, only: GroupName, folder: Path) -> Manual:
    """The hosts of a section, those without a group in the only one; files are named from the folder."""
    hosts = [ManualHost(at.address, GroupName(at.group or only)) for at in section.hosts]
    ssh, runtime = _ssh(section.ssh, folder), Runtime(section.runtime)
    return Manual(tuple(hosts), ssh, section.folder, section.python, runtime)


def _ssh(section: SshSection, folder: Path) -> Ssh:
    key = None if section.key is None else folder / Path(section.key).expanduser()
    known = section.known_hosts
    hosts = None if known is None else folder / Path(known).expanduser()
    return Ssh(section.user, key, section.port, hosts, section.jump)
