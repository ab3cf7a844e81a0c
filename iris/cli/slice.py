"""`iris cluster slice`: what the cloud gives, loses and takes back as a whole, asked for and given up by hand.

The running controller decides: a slice that is asked for passes the gates that all of them pass.
"""

import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from iris.cli.confirming import confirm
from iris.cli.events import Wanted, events_options, show
from iris.cli.place import Place, url_option
from iris.cli.tables import age, count, print_list, print_object, print_table, wide_option
from iris.cli.watch import watchable
from iris.exit_status import ExitStatus
from iris.rpc import kinds_cluster

if TYPE_CHECKING:
    from iris.rpc import iris_pb2 as pb
    from iris.rpc.channel import Channel

_TASKS_NAMED: Final = 5
"""Of one slice that is to be given up; of the others it is said how many they are."""


@click.group()
@url_option
def slice() -> None:
    """Slices: what the cloud gives, loses and takes back as a whole."""


@slice.command("list", epilog="\b\nExamples:\n  iris cluster slice list\n")
@url_option
@click.option("--group", default="", help="Only of this scale group.")
@click.option("--all", "whole", is_flag=True, help="Also those that are gone.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@wide_option
@watchable
@click.pass_obj
def list_slices(place: Place, group: str, whole: bool, as_json: bool, wide: bool) -> None:
    """Show the slices."""
    from iris.core.lifecycle import SliceState

    gone = SliceState.GONE.value
    found = [row for row in _slices(place.channel(), group) if whole or row.state != gone]
    if as_json:
        print_list("Slice", [kinds_cluster.slice_(row) for row in found])
        return
    rows = [
        (row.id, row.group, row.zone, row.state, str(row.live), age(row.requested_at_ms), row.why)
        for row in found
    ]
    spare = None if wide else ("ZONE", "AGE", "GROUP", "WHY")
    print_table(("SLICE", "GROUP", "ZONE", "STATE", "TASKS", "AGE", "WHY"), rows, spare=spare)


def _slices(link: "Channel", group: str = "") -> "list[pb.Slice]":
    from iris.rpc import iris_pb2 as pb
    from iris.rpc.methods import LIST_SLICES

    found = list(link.call(LIST_SLICES, pb.ListSlicesRequest(group=group)).slices)
    if group and not found:
        refuse_strange_group(link, group)
    return found


def refuse_strange_group(link: "Channel", group: str) -> None:
    """Nothing, for a group that may have slices.

    Raises:
        Failure: there is no such group.
    """
    from iris.problems import Failure, one_of, shown
    from iris.rpc import iris_pb2 as pb
    from iris.rpc.methods import GET_STATUS

    known = [it.name for it in link.call(GET_STATUS, pb.GetStatusRequest()).groups]
    if group not in known:
        message = f"group {shown(group)} is not known"
        raise Failure(message, ExitStatus.NOT_FOUND, one_of(group, known))


def refuse_strange_slice(link: "Channel", id: str) -> None:
    """Nothing, for a slice that is there or was.

    Raises:
        Failure: there is no such slice.
    """
    _named(_slices(link), [id])


@slice.command("get", epilog="\b\nExamples:\n  iris cluster slice get iris-cpu-1\n")
@url_option
@click.argument("id")
@click.option("--json", is_flag=True, expose_value=False, help="As without.")
@click.pass_obj
def get_slice(place: Place, id: str) -> None:
    """Show one slice as a JSON object."""
    (row,) = _named(_slices(place.channel()), [id])
    print_object("Slice", kinds_cluster.slice_(row))


def _named(known: "Sequence[pb.Slice]", ids: Iterable[str]) -> "list[pb.Slice]":
    """The slices of these names, each once.

    Raises:
        Failure: there is none of a name.
    """
    from iris.problems import Failure, one_of, shown

    by_id = {row.id: row for row in known}
    for id in ids:
        if id not in by_id:
            nearest = one_of(id, [*by_id])
            remedy = nearest if nearest.endswith("?") else "see `iris cluster slice list`"
            raise Failure(f"slice {shown(id)} is not known", ExitStatus.NOT_FOUND, remedy)
    return [by_id[id] for id in dict.fromkeys(ids)]


@slice.command("create", epilog="\b\nExamples:\n  iris cluster slice create cpu --keep 1h\n")
@url_option
@click.argument("group")
@click.option("--keep", default="10m", show_default=True, help="Even if nobody uses it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def create_slice(place: Place, group: str, keep: str, as_json: bool) -> None:
    """Ask for one more slice of a group, over and above the demand; prints what it is called.

    It counts against max_slices, and waits for nothing: while the cloud is not to be asked, it is refused.
    """
    from iris.rpc import iris_pb2 as pb
    from iris.rpc.methods import CREATE_SLICE
    from iris.units import parse_duration

    request = pb.CreateSliceRequest(
        request_id=secrets.token_hex(16), group=group, keep_ms=parse_duration(keep)
    )
    made = place.channel().call(CREATE_SLICE, request).slice
    if as_json:
        print_object("Slice", {"id": made, "group": group, "keep_s": request.keep_ms / 1_000})
        return
    click.echo(made)
    click.echo(f"watch it come: iris cluster vm status --slice {made} -w", err=True)


@slice.command(
    "terminate",
    epilog="\b\nExamples:\n  iris cluster slice terminate iris-cpu-1\n"
    "  iris cluster slice terminate --all --group cpu -y\n",
)
@url_option
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "whole", is_flag=True, help="All that there are.")
@click.option("--group", default="", help="With --all: only of this scale group.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def terminate_slices(
    place: Place, ids: tuple[str, ...], whole: bool, group: str, yes: bool, as_json: bool
) -> None:
    """Give up slices at once; tasks on them are tried again elsewhere."""
    if whole == bool(ids):
        raise click.UsageError("name slices, or say --all")
    if group and not whole:
        raise click.UsageError("--group goes with --all: a slice that is named is in its group")
    link = place.channel()
    known = _slices(link, group)
    found = [row for row in known if _is_alive(row)] if whole else _named(known, ids)
    _say_what_dies(link, found)
    if found and not yes:
        tasks = sum(row.live for row in found)
        what = f"give up {count(len(found), 'slice')} and stop {count(tasks, 'task')}"
        confirm(what)
    _terminate(link, [row.id for row in found])
    if as_json:
        print_list("Slice", [{"id": row.id} for row in found])


def _is_alive(row: "pb.Slice") -> bool:
    from iris.core.lifecycle import ALIVE, SliceState

    return SliceState(row.state) in ALIVE


def _say_what_dies(link: "Channel", found: "Sequence[pb.Slice]") -> None:
    """What is lost with these slices: their tasks, and for how long those have run."""
    from iris.rpc import iris_pb2 as pb
    from iris.rpc.methods import LIST_VMS

    answer = link.call(LIST_VMS, pb.ListVmsRequest())
    for row in found:
        words = [
            f"{task} ({_standing(attempt, answer.now_ms)})"
            for vm in answer.vms
            if vm.slice == row.id
            for task, attempt in zip(vm.worker.tasks, vm.attempts, strict=True)
        ]
        more = len(words) - _TASKS_NAMED
        words[_TASKS_NAMED:] = [f"and {more} more"] if more > 0 else []
        click.echo(f"{row.id}, {row.state}: {', '.join(words) or 'no tasks'}", err=True)
    if not found:
        click.echo("there is no slice to give up", err=True)


def _standing(attempt: "pb.Attempt", now_ms: int) -> str:
    if not attempt.HasField("started_at_ms"):
        return attempt.state
    return f"{attempt.state} for {age(attempt.started_at_ms, now_ms)}"


def _terminate(link: "Channel", ids: Sequence[str]) -> None:
    """Give up each; one that is refused holds up no other.

    Raises:
        RemoteError: the first refusal, after all others were given up.
    """
    from iris.rpc import iris_pb2 as pb
    from iris.rpc.errors import RemoteError
    from iris.rpc.methods import TERMINATE_SLICE

    refused: RemoteError | None = None
    for id in ids:
        request = pb.TerminateSliceRequest(request_id=secrets.token_hex(16), slice=id)
        try:
            link.call(TERMINATE_SLICE, request)
        except RemoteError as error:
            refused = refused or error
            if error.status is not ExitStatus.NOT_FOUND:
                break  # So will be the others.
            continue
        click.echo(f"{id} is being given up", err=True)
    if refused is not None:
        raise refused


@slice.command(epilog="\b\nExamples:\n  iris cluster slice events iris-cpu-1\n")
@url_option
@click.argument("id")
@events_options
@click.pass_obj
def events(place: Place, id: str, limit: int, journal: Path | None, as_json: bool) -> None:
    """Show what happened to a slice, when, and why."""
    show(Wanted("slice", id, limit, journal), place.channel, as_json=as_json)
