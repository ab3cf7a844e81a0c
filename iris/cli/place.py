"""Which cluster is meant by `iris cluster`: said before the noun, before the verb, or after it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

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


def _set_url(context: click.Context, _: click.Parameter, url: str | None) -> None:
    if url is not None:
        context.obj.url = url


url_option = click.option(
    "--controller-url",
    metavar="URL",
    expose_value=False,
    callback=_set_url,
    help="As http://controller:10000; also before the verb.",
)
