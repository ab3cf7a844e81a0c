"""Which cluster the commands below `iris cluster` mean: told once, by options of a group or of a verb."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iris.cli.connect import channel

if TYPE_CHECKING:
    from iris.rpc.channel import Channel


@dataclass(slots=True)
class Place:
    """Which cluster is meant."""

    url: str | None
    config: Path | None

    def channel(self) -> "Channel":
        """A connection to its controller."""
        return channel(self.url, self.config)
