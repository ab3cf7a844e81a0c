"""`iris cluster autoscaler`: what is decided about a scale group, by which rule, and since when."""

from pathlib import Path

import click

from iris.cli.events import Wanted, events_options, show
from iris.cli.place import Place, url_option
from iris.cli.tables import print_object
from iris.cli.watch import watchable


@click.group()
@url_option
def autoscaler() -> None:
    """The autoscaler: what it decides, and why."""


@autoscaler.command(
    epilog="\b\nExamples:\n  iris cluster autoscaler explain tpu_v5e_16\n"
    "  iris cluster autoscaler explain cpu --json\n"
)
@url_option
@click.argument("group")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@watchable
@click.pass_obj
def explain(place: Place, group: str, as_json: bool) -> None:
    """Say why a group has the slices that it has, and gets no more."""
    from iris.rpc import iris_pb2 as pb
    from iris.rpc.kinds import scaling
    from iris.rpc.methods import EXPLAIN_GROUP
    from iris.units import timestamp

    answer = place.channel().call(EXPLAIN_GROUP, pb.ExplainGroupRequest(group=group))
    if as_json:
        print_object("ScalingDecision", scaling(answer))
        return
    for sentence in answer.scaling.sentences:
        click.echo(sentence)
    for span in answer.history:
        times = f"{timestamp(span.since_ms)} to {timestamp(span.until_ms)}"
        turns = "1 turn" if span.turns == 1 else f"{span.turns} turns"
        click.echo(f"{times}, {turns}: {span.headline}")


@autoscaler.command(epilog="\b\nExamples:\n  iris cluster autoscaler events cpu\n")
@url_option
@click.argument("id", metavar="GROUP")
@events_options
@click.pass_obj
def events(place: Place, id: str, limit: int, journal: Path | None, as_json: bool) -> None:
    """Show what happened to a group, when, and why."""
    show(Wanted("group", id, limit, journal), place.channel, as_json=as_json)
