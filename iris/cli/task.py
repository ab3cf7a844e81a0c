"""`iris task`: a job's tasks, one by one."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from iris.cli.connect import channel, client, controller_options, job_argument
from iris.cli.events import Wanted, events_options, show
from iris.cli.tables import print_list, print_table
from iris.cli.watch import watchable
from iris.exit_status import ExitStatus

if TYPE_CHECKING:
    from iris.client import IrisClient


@click.group()
def task() -> None:
    """Look at a job's tasks and their logs."""


def _whole(asked: "IrisClient", id: str) -> str:
    """A task's identifier; of `train:0`, too, where the job may be named as everywhere else."""
    job, colon, index = id.rpartition(":")
    if id.startswith("/") or not colon:
        return id
    return f"{asked.job(job).status().id}:{index}"


@task.command("list", epilog="\b\nExamples:\n  iris task list /alice/train\n")
@controller_options
@job_argument("job")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@watchable
def list_(job: str, controller_url: str | None, config: Path | None, as_json: bool) -> int | None:
    """Show the tasks of a job, with where the last attempt of each is."""
    found = client(controller_url, config).job(job).status()
    items = []
    for task_ in found.details:
        last = task_.attempts[-1] if task_.attempts else None
        items.append(
            {
                "id": task_.id,
                "state": task_.state,
                "attempts": len(task_.attempts),
                "worker": last.worker if last is not None else "",
                "why": task_.why or (last.detail if last is not None else ""),
            }
        )
    if as_json:
        print_list("Task", items)
    else:
        header = ("TASK", "STATE", "ATTEMPTS", "WORKER", "WHY")
        print_table(header, [tuple(str(value) for value in item.values()) for item in items])
    return ExitStatus.DONE if found.HasField("ended_at_ms") else None


@task.command(epilog="\b\nExamples:\n  iris task logs train:0 -f\n")
@controller_options
@click.argument("id")
@click.option("--attempt", type=click.IntRange(0), help="This attempt; the last if not given.")
@click.option("-f", "--follow", is_flag=True, help="To the end of the task.")
@click.option("--tail", type=click.IntRange(1), metavar="LINES", help="Only the end.")
def logs(
    id: str,
    controller_url: str | None,
    config: Path | None,
    attempt: int | None,
    follow: bool,
    tail: int | None,
) -> None:
    """Show what a task has written."""
    from iris.client import Task

    asked = client(controller_url, config)
    task = Task(asked.channel, _whole(asked, id))
    out = sys.stdout.buffer
    for piece in task.stream_logs(attempt=attempt, follow=follow, tail_lines=tail or 0):
        out.write(piece.content)
        out.flush()


@task.command(
    "exec",
    context_settings={"allow_interspersed_args": False},
    epilog="\b\nExamples:\n  iris task exec train:0\n"
    "  iris task exec /alice/train:0 -- nvidia-smi\n"
    "  tar c data | iris task exec /alice/train:0 -- tar x\n",
)
@controller_options
@click.option(
    "--tty/--no-tty",
    "terminal",
    default=None,
    help="Whether it has a terminal; if not said, as here.",
)
@click.option("-n", "--no-stdin", is_flag=True, help="Give it no input.")
@click.argument("id", metavar="TASK")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def exec_(
    id: str,
    command: tuple[str, ...],
    controller_url: str | None,
    config: Path | None,
    terminal: bool | None,
    no_stdin: bool,
) -> int:
    """Run a command where a task runs: a shell, if none is given. Ends with the command's exit status.

    The command has the task's environment, folder, user and, in a container, limits. It ends when the
    task does, and when the connection to it is cut.
    """
    from iris.client.execs import is_terminal, run_in_task

    here = is_terminal()
    if terminal and not here:
        raise click.UsageError("--tty needs a terminal here, too: run it in one, or use --no-tty")
    with_terminal = here and not no_stdin if terminal is None else terminal
    asked = client(controller_url, config)
    return run_in_task(
        asked.channel,
        _whole(asked, id),
        command[1:] if command[:1] == ("--",) else command,
        out=sys.stdout.buffer,
        err=sys.stderr.buffer,
        input=None if no_stdin else sys.stdin.fileno(),
        terminal=with_terminal,
    )


@task.command(epilog="\b\nExamples:\n  iris task events /alice/train:0\n")
@controller_options
@click.argument("id", metavar="TASK")
@events_options
def events(
    id: str,
    controller_url: str | None,
    config: Path | None,
    limit: int,
    journal: Path | None,
    as_json: bool,
) -> None:
    """Show what happened to a task, when, and why."""
    name = id if journal is not None else _whole(client(controller_url, config), id)
    wanted = Wanted("task", name, limit, journal)
    show(wanted, lambda: channel(controller_url, config), as_json=as_json)
