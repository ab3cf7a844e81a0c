"""`iris task`: a job's tasks, one by one."""

import sys
from pathlib import Path

import click

from iris.cli.connect import client, controller_options, job_argument
from iris.cli.tables import print_list, print_table
from iris.cli.watching import watchable


@click.group()
def task() -> None:
    """Look at a job's tasks and their logs."""


@task.command("list", epilog="\b\nExamples:\n  iris task list /alice/train\n")
@controller_options
@job_argument("job")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@watchable
def list_(job: str, controller_url: str | None, config: Path | None, as_json: bool) -> None:
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
        return
    header = ("TASK", "STATE", "ATTEMPTS", "WORKER", "WHY")
    print_table(header, [tuple(str(value) for value in item.values()) for item in items])


@task.command(epilog="\b\nExamples:\n  iris task logs /alice/train:0 -f\n")
@controller_options
@click.argument("id")
@click.option("--attempt", type=click.IntRange(0), help="This attempt; the last if not given.")
@click.option("-f", "--follow", is_flag=True, help="To the end of the task.")
def logs(
    id: str, controller_url: str | None, config: Path | None, attempt: int | None, follow: bool
) -> None:
    """Show what a task has written."""
    from iris.client import Task

    iris = client(controller_url, config)
    out = sys.stdout.buffer
    for piece in Task(iris.channel, id).stream_logs(attempt=attempt, follow=follow):
        out.write(piece.content)
        out.flush()
