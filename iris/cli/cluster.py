"""`iris cluster`: run a cluster on this machine, and look at what it has."""

import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from iris.cli import lifecycle
from iris.cli.place import Place
from iris.cli.tables import age, print_list, print_object, print_table, timestamp
from iris.cli.watch import watchable
from iris.exit_status import ExitStatus

if TYPE_CHECKING:
    from iris.rpc import iris_pb2 as pb


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


@click.group()
@click.option("--config", type=click.Path(path_type=Path), help="cluster.yaml")
@click.option("--controller-url", metavar="URL", help="As http://controller:10000.")
@click.pass_context
def cluster(context: click.Context, config: Path | None, controller_url: str | None) -> None:
    """Run a cluster, and look at its machines."""
    context.obj = Place(controller_url, config)


@cluster.command(epilog="\b\nExamples:\n  iris cluster --config=cluster.yaml status\n")
@url_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@watchable
@click.pass_obj
def status(place: Place, as_json: bool) -> None:
    """Show the controller and its scale groups."""
    _print_status(place, as_json=as_json)


@cluster.group()
def controller() -> None:
    """The controller itself."""


cluster.add_command(lifecycle.start)
cluster.add_command(lifecycle.stop)
cluster.add_command(lifecycle.restart)
controller.add_command(lifecycle.start)
controller.add_command(lifecycle.stop_controller, "stop")
controller.add_command(lifecycle.restart)


@controller.command("status", epilog="\b\nExamples:\n  iris cluster controller status\n")
@url_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@watchable
@click.pass_obj
def controller_status(place: Place, as_json: bool) -> None:
    """Show whether the controller answers, and what it has."""
    _print_status(place, as_json=as_json)


@controller.command(
    "run-local", epilog="\b\nExamples:\n  iris cluster --config=cluster.yaml controller run-local\n"
)
@click.option("--root", type=click.Path(path_type=Path), help="Instead of storage.root.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Instead of controller.vm.port.")
@click.option("--keep-workers", is_flag=True, help="Leave workers running at the end.")
@click.pass_obj
def run_local(place: Place, root: Path | None, port: int | None, keep_workers: bool) -> int:
    """Run the controller here, until Ctrl-C; what it kept is taken up by the next one."""
    import logging

    from iris.cluster.controller.main import run
    from iris.cluster.controller.service import Options
    from iris.config import load_cluster

    if place.config is None:
        raise click.UsageError("run-local needs `iris cluster --config=FILE`")
    config = load_cluster(place.config)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    folder = root if root is not None else Path(config.storage.root)
    number = config.controller.port if port is None else port
    options = Options(folder, number, end_workers=not keep_workers)
    return run(config, options, lambda service: _say_ready(service.url, service.recovered_turns))


def _say_ready(url: str, recovered: int) -> None:
    taken_up = f", {recovered} turns taken up" if recovered else ""
    click.echo(f"controller at {url}{taken_up}")
    click.echo(f"submit with: iris job run --controller-url={url} -- echo hello")
    sys.stdout.flush()


def _print_status(place: Place, *, as_json: bool) -> None:
    from iris.rpc import iris_pb2 as pb
    from iris.rpc.methods import GET_STATUS

    link = place.channel()
    found = link.call(GET_STATUS, pb.GetStatusRequest())
    if as_json:
        print_object(
            "Cluster",
            {
                "controller": link.address.url,
                "version": found.version,
                "started_at": timestamp(found.started_at_ms),
                "turns": found.turns,
                "recovered_turns": found.recovered_turns,
                "recovery_s": found.recovery_ms / 1_000,
                "workers": found.workers,
                "jobs": found.jobs,
                "groups": [_group(group) for group in found.groups],
            },
        )
        return
    up = age(found.started_at_ms, found.now_ms)
    click.echo(f"controller at {link.address.url}, version {found.version}, up {up}")
    click.echo(f"{found.jobs} jobs, {found.workers} workers, {found.turns} turns")
    rows = [
        (
            group.name,
            group.accelerator_type,
            f"{group.min_slices} to {group.max_slices}",
            ", ".join(f"{count.number} {count.state}" for count in group.slices) or "none",
        )
        for group in found.groups
    ]
    print_table(("GROUP", "TYPE", "SLICES", "NOW"), rows)


def _group(group: "pb.Group") -> dict[str, object]:
    return {
        "name": group.name,
        "accelerator_type": group.accelerator_type,
        "min_slices": group.min_slices,
        "max_slices": group.max_slices,
        "slices": {count.state: count.number for count in group.slices},
        "scaling": list(group.scaling),
    }


@cluster.group()
@url_option
def slice() -> None:
    """Slices: what the cloud gives, loses and takes back as a whole."""


@slice.command("list", epilog="\b\nExamples:\n  iris cluster slice list\n")
@url_option
@click.option("--group", default="", help="Only of this scale group.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@watchable
@click.pass_obj
def list_slices(place: Place, group: str, as_json: bool) -> None:
    """Show all slices."""
    found = _slices(place, group)
    if as_json:
        print_list("Slice", [_slice(row) for row in found])
        return
    rows = [
        (row.id, row.group, row.zone, row.state, str(row.live), age(row.requested_at_ms), row.why)
        for row in found
    ]
    print_table(("SLICE", "GROUP", "ZONE", "STATE", "TASKS", "AGE", "WHY"), rows)


def _slices(place: Place, group: str) -> "list[pb.Slice]":
    from iris.rpc import iris_pb2 as pb
    from iris.rpc.methods import LIST_SLICES

    return list(place.channel().call(LIST_SLICES, pb.ListSlicesRequest(group=group)).slices)


def _slice(row: "pb.Slice") -> dict[str, object]:
    return {
        "id": row.id,
        "group": row.group,
        "zone": row.zone,
        "state": row.state,
        "workers": list(row.workers),
        "requested_at": timestamp(row.requested_at_ms),
        "ready_at": timestamp(row.ready_at_ms) if row.HasField("ready_at_ms") else None,
        "tasks": row.live,
        "why": row.why,
    }


@slice.command("get", epilog="\b\nExamples:\n  iris cluster slice get iris-cpu-1\n")
@url_option
@click.argument("id")
@click.option("--json", is_flag=True, expose_value=False, help="As without.")
@click.pass_obj
def get_slice(place: Place, id: str) -> None:
    """Show one slice as a JSON object."""
    from iris.problems import Failure

    for row in _slices(place, ""):
        if row.id == id:
            print_object("Slice", _slice(row))
            return
    raise Failure(f"slice {id} is not known", ExitStatus.NOT_FOUND, "see `iris cluster slice list`")


@slice.command("create", epilog="\b\nExamples:\n  iris cluster slice create cpu --keep 1h\n")
@url_option
@click.argument("group")
@click.option("--keep", default="10m", show_default=True, help="Even if nobody uses it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def create_slice(place: Place, group: str, keep: str, as_json: bool) -> None:
    """Ask for one more slice of a group, over and above the demand."""
    from iris.rpc import iris_pb2 as pb
    from iris.rpc.methods import CREATE_SLICE
    from iris.units import parse_duration

    request = pb.CreateSliceRequest(
        request_id=secrets.token_hex(16), group=group, keep_ms=parse_duration(keep)
    )
    place.channel().call(CREATE_SLICE, request)
    if as_json:
        print_object("SliceRequest", {"group": group, "keep_ms": request.keep_ms})
    click.echo(f"one more slice of {group} is asked for", err=True)


@slice.command("terminate", epilog="\b\nExamples:\n  iris cluster slice terminate iris-cpu-1 -y\n")
@url_option
@click.argument("id")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def terminate_slice(place: Place, id: str, yes: bool, as_json: bool) -> None:
    """Give up a slice at once; tasks on it are tried again elsewhere."""
    from iris.rpc import iris_pb2 as pb
    from iris.rpc.methods import TERMINATE_SLICE

    if not yes:
        live = [row.live for row in _slices(place, "") if row.id == id]
        if live:  # What is not known, the controller refuses.
            click.confirm(f"{id} has {live[0]} running tasks; give it up", abort=True, err=True)
    request = pb.TerminateSliceRequest(request_id=secrets.token_hex(16), slice=id)
    place.channel().call(TERMINATE_SLICE, request)
    if as_json:
        print_object("Slice", {"id": id})
    click.echo(f"{id} is being given up", err=True)
