"""`iris worker`: who works, and who shall get nothing new."""

from pathlib import Path

import click

from iris.cli.connect import channel, controller_options
from iris.cli.events import events_of
from iris.cli.tables import print_list, print_object, print_table
from iris.cli.watch import watchable


@click.group()
def worker() -> None:
    """Look at workers, and take them out of use."""


@worker.command("list", epilog="\b\nExamples:\n  iris worker list\n")
@controller_options
@click.option("--all", "whole", is_flag=True, help="Also those that are lost.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@watchable
def list_(controller_url: str | None, config: Path | None, whole: bool, as_json: bool) -> None:
    """Show the workers."""
    from iris.core.lifecycle import WorkerState
    from iris.rpc import iris_pb2 as pb
    from iris.rpc import kinds_cluster
    from iris.rpc.methods import LIST_WORKERS

    rows = channel(controller_url, config).call(LIST_WORKERS, pb.ListWorkersRequest()).workers
    found = [row for row in rows if whole or row.state != WorkerState.LOST.value]
    if as_json:
        print_list("Worker", [kinds_cluster.worker(row) for row in found])
        return
    cells = [
        (
            row.id,
            f"{row.state}, drained" if row.cordoned else row.state,
            f"{row.committed.cpu_milli / 1_000:g}/{row.offers.cpu_milli / 1_000:g}",
            f"{row.committed.memory_bytes >> 20}/{row.offers.memory_bytes >> 20} MiB",
            str(len(row.tasks)),
        )
        for row in found
    ]
    print_table(("WORKER", "STATE", "CPU", "MEMORY", "TASKS"), cells)


@worker.command(
    epilog="\b\nExamples:\n  iris worker drain iris-cpu-1-w0\n  iris worker drain iris-cpu-1-w0 --resume\n"
)
@controller_options
@click.argument("id")
@click.option("--resume", is_flag=True, help="Let it have work again.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def drain(
    id: str, controller_url: str | None, config: Path | None, resume: bool, as_json: bool
) -> None:
    """Give a worker no new work; what runs on it runs on."""
    from iris.rpc import iris_pb2 as pb
    from iris.rpc.methods import DRAIN_WORKER

    request = pb.DrainWorkerRequest(worker=id, resume=resume)
    channel(controller_url, config).call(DRAIN_WORKER, request)
    if as_json:
        print_object("Worker", {"id": id, "cordoned": not resume})
    click.echo(f"{id} {'may have work again' if resume else 'gets no new work'}", err=True)


worker.add_command(events_of("worker", "iris-cpu-1-w0"))
