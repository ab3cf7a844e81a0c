"""Which hosts hold which slice, as far as this controller knows: kept in its folder, written before a host is asked.

The hosts are the truth. The book says where to look: a slice that is not in it was never put anywhere by
this controller, and a host that is silent holds at most what the book says, once it has been heard.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from iris.cluster.vm.workers import write
from iris.core.ids import GroupName, SliceId, Zone

_FILE: Final = "hosts.json"


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a slice is."""

    group: GroupName
    zone: Zone
    addresses: tuple[str, ...] = ()
    """Of its hosts, in their order; empty while it is nowhere."""
    begun: bool = False
    """Whether all its workers were started."""


class Book:
    """The slices of this controller, by name."""

    def __init__(self, root: Path) -> None:
        """The book of a folder, which is made if it is not there.

        Raises:
            OSError: it cannot be read or written.
        """
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = root / _FILE
        self.slices: dict[SliceId, Placed] = {}
        self._heard: dict[str, None] = {}
        if self._path.exists():
            self._read()

    def _read(self) -> None:
        note = json.loads(self._path.read_text(encoding="utf-8"))
        self._heard = dict.fromkeys(note["heard"])
        for name, said in note["slices"].items():
            self.slices[SliceId(name)] = Placed(
                GroupName(said["group"]),
                Zone(said["zone"]),
                tuple(said["addresses"]),
                begun=said["begun"],
            )

    def enter(self, name: SliceId, placed: Placed) -> None:
        """From now on a slice is, or may be, on these hosts."""
        if self.slices.get(name) != placed:
            self.slices[name] = placed
            self._write()

    def began(self, name: SliceId) -> None:
        """All workers of a slice were started."""
        self.enter(name, replace(self.slices[name], begun=True))

    def remove(self, name: SliceId) -> None:
        """A slice is nowhere any more."""
        if self.slices.pop(name, None) is not None:
            self._write()

    def hear(self, addresses: Iterable[str]) -> None:
        """These hosts have told what they hold."""
        new = [address for address in addresses if address not in self._heard]
        if new:
            self._heard.update(dict.fromkeys(new))
            self._write()

    def has_heard(self, address: str) -> bool:
        """Whether a host has ever told what it holds."""
        return address in self._heard

    def holders(self) -> dict[str, SliceId]:
        """The hosts that are, or may be, held, and by which slice."""
        return {at: name for name, placed in self.slices.items() for at in placed.addresses}

    def _write(self) -> None:
        slices = {
            name: {
                "group": placed.group,
                "zone": placed.zone,
                "addresses": placed.addresses,
                "begun": placed.begun,
            }
            for name, placed in self.slices.items()
        }
        write(self._path, json.dumps({"heard": list(self._heard), "slices": slices}))
