"""Where a cluster's dashboard can be looked at from here, and how it is opened."""

import time
import webbrowser
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from iris.cli.connect import is_elsewhere, named_config
from iris.cli.place import Place

if TYPE_CHECKING:
    from iris.config import ClusterConfig


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard that can be reached."""

    url: str
    tunnel: bool
    """Whether this process is the way to it."""


def find_dashboard(place: Place) -> Dashboard:
    """The dashboard of the cluster that is meant.

    Raises:
        Failure: it has none, or there is no way to it from here.
    """
    from iris.exit_status import ExitStatus
    from iris.problems import Failure
    from iris.rpc import iris_pb2 as pb
    from iris.rpc.addresses import Address
    from iris.rpc.methods import GET_STATUS

    link = place.channel()
    status = link.call(GET_STATUS, pb.GetStatusRequest())
    if not status.HasField("dashboard_port"):
        why = status.no_dashboard or f"it is of version {status.version}"
        remedy = "mend that, and restart the controller; jobs run on meanwhile"
        raise Failure(f"the controller has no dashboard: {why}", ExitStatus.FAILED, remedy)
    path = None if place.url else named_config(place.config)
    if path is not None:
        from iris.config import load_cluster

        config = load_cluster(path)
        if is_elsewhere(config):
            return _elsewhere(config, path, status.dashboard_port)
    address = Address(link.address.host, status.dashboard_port, link.address.tls)
    return Dashboard(address.url, tunnel=False)


def _elsewhere(config: "ClusterConfig", path: Path, port: int) -> Dashboard:
    from iris.cli.hosts import host_of, reachable, run
    from iris.rpc.addresses import parse_address

    found = run(host_of(config, path).look)
    assert found.url is not None, "it has just answered"
    own = replace(parse_address(found.url), port=port).url
    url = reachable(config, replace(found, url=own), "open {url}")
    return Dashboard(url, tunnel=url != own)


def open_in_browser(url: str) -> None:
    """Open a page; where there is no browser, its address has been printed."""
    if not webbrowser.open(url):
        click.echo("no browser could be opened here: open it yourself", err=True)


def stay_while_needed(found: Dashboard) -> None:
    """Keep a tunnel open until Ctrl-C."""
    if not found.tunnel:
        return
    click.echo("it leads there as long as this runs; Ctrl-C ends it", err=True)
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)
