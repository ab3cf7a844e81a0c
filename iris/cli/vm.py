"""`iris cluster vm`: the machines, host by host: who has spoken, what runs there, and what a machine says of itself."""

import sys
from typing import TYPE_CHECKING, Final

import click

from iris.cli.place import Place, url_option
from iris.cli.slice import refuse_strange_group, refuse_strange_slice
from iris.cli.tables import (
    age,
    memory,
    print_list,
    print_object,
    print_table,
    wide_option,
)
from iris.cli.watch import watchable
from iris.exit_status import ExitStatus
from iris.units import timestamp

if TYPE_CHECKING:
    from iris.rpc import iris_pb2 as pb

_HEADER: Final = ("VM", "STATE", "HEARD", "CPU", "MEMORY", "CHIPS", "ZONE", "ADDRESS", "TASKS")
_SPARE: Final = ("ADDRESS", "ZONE", "CHIPS", "MEMORY", "CPU", "HEARD", "TASKS")


@click.group()
@url_option
def vm() -> None:
    """Machines: the hosts of all slices, those that are awaited included."""


@vm.command(
    "status",
    epilog="\b\nExamples:\n  iris cluster vm status\n  iris cluster vm status --slice iris-cpu-1 -w\n",
)
@url_option
@click.option("--slice", "slice_", default="", metavar="ID", help="Only of this slice.")
@click.option("--group", default="", help="Only of this scale group.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@wide_option
@watchable
@click.pass_obj
def vm_status(place: Place, slice_: str, group: str, as_json: bool, wide: bool) -> None:
    """Show each machine: its state, when it was last heard, what it has, and what runs there."""
    answer = _vms(place, slice_)
    found = [row for row in answer.vms if group in ("", row.group)]
    if not found and slice_:
        refuse_strange_slice(place.channel(), slice_)
    if not found and group:
        refuse_strange_group(place.channel(), group)
    if as_json:
        print_list("Vm", [_vm(row) for row in found])
        return
    rows = [_row(row, answer.now_ms) for row in found]
    print_table(_HEADER, rows, spare=None if wide else _SPARE)


@vm.command("get", epilog="\b\nExamples:\n  iris cluster vm get iris-cpu-1-w0\n")
@url_option
@click.argument("id")
@click.option("--json", is_flag=True, expose_value=False, help="As without.")
@click.pass_obj
def get_vm(place: Place, id: str) -> None:
    """Show one machine as a JSON object."""
    from iris.problems import Failure

    for row in _vms(place, id.rpartition("-w")[0]).vms:
        if row.id == id:
            print_object("Vm", _vm(row))
            return
    raise Failure(f"vm {id} is not known", ExitStatus.NOT_FOUND, "see `iris cluster vm status`")


@vm.command(
    "logs",
    epilog="\b\nExamples:\n  iris cluster vm logs iris-cpu-1-w0\n"
    "  iris cluster vm logs iris-tpu-4-w3 --tail 100\n",
)
@url_option
@click.argument("id")
@click.option("--tail", type=click.IntRange(1), metavar="LINES", help="Only the end.")
@click.pass_obj
def vm_logs(place: Place, id: str, tail: int | None) -> None:
    """Show what a machine says of itself: its worker's log, or that of its boot. For administrators."""
    from iris.rpc import iris_pb2 as pb
    from iris.rpc.methods import READ_VM_LOG

    chunks = place.channel().stream(READ_VM_LOG, pb.ReadVmLogRequest(vm=id))
    content = b"".join(chunk.content for chunk in chunks)
    lines = content.splitlines(keepends=True)
    sys.stdout.buffer.write(b"".join(lines[-tail:] if tail else lines))
    sys.stdout.buffer.flush()


def _vms(place: Place, slice_: str = "") -> "pb.ListVmsResponse":
    from iris.rpc import iris_pb2 as pb
    from iris.rpc.methods import LIST_VMS

    return place.channel().call(LIST_VMS, pb.ListVmsRequest(slice=slice_))


def _state(row: "pb.Vm") -> str:
    """In one word if all is well; until its worker has spoken, a machine is what its slice is."""
    if not row.HasField("worker"):
        return row.slice_state
    more = [row.slice_state] if row.slice_state != "ready" else []
    more += ["drained"] if row.worker.cordoned else []
    return ", ".join([row.worker.state, *more])


def _row(row: "pb.Vm", now_ms: int) -> tuple[str, ...]:
    heard = f"{age(row.heard_at_ms, now_ms)} ago" if row.HasField("heard_at_ms") else "never"
    offers, used = row.worker.offers, row.worker.committed
    tasks = ", ".join(
        f"{task}@{attempt.number} {attempt.state}"
        for task, attempt in zip(row.worker.tasks, row.attempts, strict=True)
    )
    has = (
        f"{used.cpu_milli / 1_000:g}/{offers.cpu_milli / 1_000:g}",
        memory(used.memory_bytes, offers.memory_bytes),
        f"{used.chips}/{offers.chips}" if offers.chips else "none",
    )
    known = (*has, row.zone, row.worker.address) if row.HasField("worker") else _awaited(row)
    return (row.id, _state(row), heard, *known, tasks or ("none" if known[0] else row.why))


def _awaited(row: "pb.Vm") -> tuple[str, ...]:
    return ("", "", "", row.zone, "")


def _vm(row: "pb.Vm") -> dict[str, object]:
    there = row.HasField("worker")
    offers, used = row.worker.offers, row.worker.committed
    return {
        "id": row.id,
        "slice": row.slice,
        "host": row.host,
        "group": row.group,
        "zone": row.zone,
        "slice_state": row.slice_state,
        "state": row.worker.state if there else None,
        "address": row.worker.address if there else None,
        "heard_at": timestamp(row.heard_at_ms) if row.HasField("heard_at_ms") else None,
        "cordoned": row.worker.cordoned,
        "cpu": offers.cpu_milli / 1_000,
        "cpu_used": used.cpu_milli / 1_000,
        "memory_bytes": offers.memory_bytes,
        "memory_bytes_used": used.memory_bytes,
        "chips": offers.chips,
        "chips_used": used.chips,
        "attempts": [
            {
                "task": task,
                "attempt": attempt.number,
                "state": attempt.state,
                "assigned_at": timestamp(attempt.assigned_at_ms),
                "started_at": timestamp(attempt.started_at_ms)
                if attempt.HasField("started_at_ms")
                else None,
            }
            for task, attempt in zip(row.worker.tasks, row.attempts, strict=True)
        ],
        "why": row.why,
    }
