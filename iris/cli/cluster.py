"""`iris cluster`: run a cluster on this machine, and look at what it has."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from iris.cli import lifecycle
from iris.cli.lazy import Lazy, LazyGroup
from iris.cli.place import Place, url_option
from iris.cli.tables import age, count, print_object, print_table, wide_option
from iris.cli.watch import watchable
from iris.rpc import kinds_cluster
from iris.units import timestamp

if TYPE_CHECKING:
    from iris.cluster.controller.service import ControllerService


class Cluster(LazyGroup):
    """What a cluster has."""

    lazy: Mapping[str, Lazy] = {
        "slice": Lazy(
            "iris.cli.slice:slice",
            "Slices: what the cloud gives, loses and takes back as a whole.",
        ),
        "autoscaler": Lazy(
            "iris.cli.autoscaler:autoscaler", "The autoscaler: what it decides, and why."
        ),
        "vm": Lazy(
            "iris.cli.vm:vm", "Machines: the hosts of all slices, those that are awaited included."
        ),
    }


@click.group(cls=Cluster)
@click.option("--config", type=click.Path(path_type=Path), help="cluster.yaml")
@click.option("--controller-url", metavar="URL", help="As http://controller:10000.")
@click.pass_context
def cluster(context: click.Context, config: Path | None, controller_url: str | None) -> None:
    """Run a cluster, and look at its machines."""
    context.obj = Place(controller_url, config)


@cluster.command(epilog="\b\nExamples:\n  iris cluster --config=cluster.yaml status\n")
@url_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@wide_option
@watchable
@click.pass_obj
def status(place: Place, as_json: bool, wide: bool) -> None:
    """Show the controller and its scale groups."""
    _print_status(place, as_json=as_json, wide=wide)


@cluster.command(epilog="\b\nExamples:\n  iris cluster --config=cluster.yaml dashboard\n")
@url_option
@click.option("--print", "only_print", is_flag=True, help="Print the address, and open nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and open nothing.")
@click.pass_obj
def dashboard(place: Place, only_print: bool, as_json: bool) -> None:
    """Open the dashboard in a browser; through a tunnel, until Ctrl-C, where it needs one."""
    from iris.cli.browsing import find_dashboard, open_in_browser, stay_while_needed

    found = find_dashboard(place)
    if as_json:
        print_object("Dashboard", {"url": found.url, "tunnel": found.tunnel})
    else:
        click.echo(found.url)
    if not (only_print or as_json):
        open_in_browser(found.url)
    stay_while_needed(found)


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
@wide_option
@watchable
@click.pass_obj
def controller_status(place: Place, as_json: bool, wide: bool) -> None:
    """Show whether the controller answers, and what it has."""
    _print_status(place, as_json=as_json, wide=wide)


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
    from iris.cluster.log_lines import log_to_stderr
    from iris.config import load_cluster
    from iris.exit_status import ExitStatus
    from iris.problems import Failure

    if place.config is None:
        raise click.UsageError("run-local needs `iris cluster --config=FILE`")
    try:
        log_to_stderr(logging.WARNING)
    except ValueError as error:
        raise Failure(str(error), ExitStatus.BAD_INPUT, "unset it, or write json") from error
    config = load_cluster(place.config)
    folder = root if root is not None else Path(config.storage.root)
    number = config.controller.port if port is None else port
    options = Options(
        folder,
        number,
        end_workers=not keep_workers,
        dashboard_port=config.controller.dashboard_port,
    )
    return run(config, options, _say_ready)


def _say_ready(service: "ControllerService") -> None:
    url, recovered = service.url, service.recovered_turns
    taken_up = f", {recovered} turns taken up" if recovered else ""
    click.echo(f"controller at {url}{taken_up}")
    if service.dashboard_url is not None:
        click.echo(f"dashboard at {service.dashboard_url}")
    click.echo(f"submit with: iris job run --controller-url={url} -- echo hello")
    sys.stdout.flush()


def _print_status(place: Place, *, as_json: bool, wide: bool) -> None:
    from iris.core.lifecycle import SliceState
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
                "groups": [kinds_cluster.group(group) for group in found.groups],
            },
        )
        return
    up = age(found.started_at_ms, found.now_ms)
    click.echo(f"controller at {link.address.url}, version {found.version}, up {up}")
    counts = ((found.jobs, "job"), (found.workers, "worker"), (found.turns, "turn"))
    click.echo(", ".join(count(number, noun) for number, noun in counts))
    gone = SliceState.GONE.value
    rows = [
        (
            group.name,
            group.accelerator_type,
            f"{group.min_slices} to {group.max_slices}",
            ", ".join(f"{n.number} {n.state}" for n in group.slices if n.state != gone) or "none",
        )
        for group in found.groups
    ]
    spare = None if wide else ("TYPE", "NOW")
    print_table(("GROUP", "TYPE", "SLICES", "NOW"), rows, spare=spare)
