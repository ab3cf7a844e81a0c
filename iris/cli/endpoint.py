"""`iris endpoint`: where tasks serve."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from iris.cli.connect import channel, controller_options
from iris.cli.tables import age, print_list, print_table, wide_option
from iris.cli.watch import watchable
from iris.units import timestamp

if TYPE_CHECKING:
    from iris.rpc import iris_pb2 as pb


@click.group()
def endpoint() -> None:
    """Look at actors and whatever else tasks serve."""


@endpoint.command(
    "list",
    epilog="\b\nExamples:\n  iris endpoint list\n  iris endpoint list --job /alice/train --name 'worker-*'\n",
)
@controller_options
@click.option("--job", help="Of this job and those below it, as /alice/train.")
@click.option("--name", help="Under this name, in which * stands for any characters.")
@wide_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@watchable
def list_(
    controller_url: str | None,
    config: Path | None,
    job: str | None,
    name: str | None,
    wide: bool,
    as_json: bool,
) -> None:
    """Show where tasks serve, the oldest first."""
    from iris.rpc import iris_pb2 as pb
    from iris.rpc.methods import LIST_ENDPOINTS

    request = pb.ListEndpointsRequest(job=job or "", tree=True, names=[name] if name else [])
    rows = channel(controller_url, config).call(LIST_ENDPOINTS, request).endpoints
    if as_json:
        print_list("Endpoint", [_told(row) for row in rows])
        return
    cells = [
        (
            row.name,
            row.address,
            f"{row.task}@{row.attempt}",
            age(row.registered_at_ms),
            _renewed(row),
        )
        for row in rows
    ]
    header = ("NAME", "ADDRESS", "ATTEMPT", "AGE", "RENEWED")
    print_table(header, cells, spare=None if wide else ("RENEWED", "AGE"))


def _told(row: "pb.Endpoint") -> dict[str, object]:
    heard = row.HasField("renewed_at_ms")
    return {
        "name": row.name,
        "address": row.address,
        "job": row.job,
        "task": row.task,
        "rank": row.rank,
        "attempt": row.attempt,
        "registered_at": timestamp(row.registered_at_ms),
        "renewed_at": timestamp(row.renewed_at_ms) if heard else None,
    }


def _renewed(row: "pb.Endpoint") -> str:
    """When its server was last heard of; a controller that has just begun has heard nobody."""
    return f"{age(row.renewed_at_ms)} ago" if row.HasField("renewed_at_ms") else ""
