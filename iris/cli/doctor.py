"""`iris doctor`: looks whether a cluster can work as its file says, and tells what to correct."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iris.cli.connect import token
from iris.cli.lifecycle import advertise_option
from iris.cli.tables import print_list
from iris.exit_status import ExitStatus

if TYPE_CHECKING:
    from iris.cluster.checkup import Check
    from iris.config import ClusterConfig


@click.command(epilog="\b\nExamples:\n  iris doctor --config=cluster.yaml\n  iris doctor --json\n")
@click.option("--config", type=click.Path(path_type=Path), help="cluster.yaml")
@advertise_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(config: Path | None, advertise: str | None, as_json: bool) -> int:
    """Look whether a cluster can work, and say what to correct.

    Credentials, APIs, quota, image, hosts, ports, disk and clock. Nothing is changed. Ends with 1 if
    something must be corrected.
    """
    from iris.cluster.checkup import Outcome
    from iris.config import load_cluster
    from iris.problems import Failure

    named = config or (Path(os.environ["IRIS_CONFIG"]) if os.environ.get("IRIS_CONFIG") else None)
    if named is None:
        message = "no cluster is named: what must be right depends on its file"
        raise Failure(message, ExitStatus.BAD_INPUT, "give --config, or set IRIS_CONFIG")
    found = []
    for check in _examined(named, load_cluster(named), advertise):
        found.append(check)
        if not as_json:
            _print(check)
    if as_json:
        print_list("Check", [_item(check) for check in found])
    wrong = any(check.outcome is Outcome.FAILED for check in found)
    return ExitStatus.FAILED if wrong else ExitStatus.DONE


def _examined(path: Path, config: "ClusterConfig", advertise: str | None) -> "Iterator[Check]":
    """All checks, as they end."""
    from iris.cli.hosts import check_advertised
    from iris.cluster.checkup import examine_here, skipped
    from iris.config import Gcp, Manual

    check_advertised(config, advertise)
    yield from examine_here(config, token(), advertise)
    if isinstance(config.provider, Manual):
        from iris.cluster.checkup_hosts import examine_hosts
        from iris.yaml_source import load_mapping

        raw: Any = load_mapping(path).data
        certificate = (raw.get("controller") or {}).get("tls") or {}
        yield from asyncio.run(examine_hosts(config, config.provider, certificate))
    if isinstance(config.provider, Gcp):
        from iris.cluster.vm.gcp_endpoints import (
            google,
        )  # First: it hushes the libraries of Google.

        try:
            from iris.cluster.checkup_gcp import examine_google
        except ModuleNotFoundError as error:
            yield skipped("Google Cloud", f"{error.name} is not installed")
            return
        yield from asyncio.run(examine_google(config, config.provider, google()))


def _print(check: "Check") -> None:
    click.echo(f"{check.outcome.value:<9}{check.name}: {check.said}")
    if check.help:
        click.echo(f"{'':<9}help: {check.help}")


def _item(check: "Check") -> dict[str, object]:
    return {
        "name": check.name,
        "outcome": check.outcome.value,
        "said": check.said,
        "help": check.help or None,
    }
