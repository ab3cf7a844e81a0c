"""How jobs are told: their attempts and ends for people, objects for programs."""

from typing import TYPE_CHECKING

import click

from iris.cli.tables import age, print_table
from iris.rpc.kinds_cluster import reason

if TYPE_CHECKING:
    from iris.rpc import iris_pb2 as pb


def say_end(ended: "pb.Job") -> None:
    """How a job ended, on stderr."""
    why = reason(ended)
    span = age(ended.submitted_at_ms, ended.ended_at_ms)
    click.echo(f"{ended.id} {ended.state} after {span}" + (f": {why}" if why else ""), err=True)


def progress(job: "pb.Job") -> str:
    """How many of its tasks have succeeded."""
    done = sum(count.number for count in job.tasks if count.state == "succeeded")
    return f"{done}/{sum(count.number for count in job.tasks)}"


def print_status(found: "pb.Job") -> None:
    """A job with its attempts."""
    why = reason(found)
    click.echo(f"{found.id}  {found.state}" + (f": {why}" if why else ""))
    for one in found.spec.constraints:
        marks = [
            word for word, is_so in (("soft", one.soft), ("inherited", one.inherited)) if is_so
        ]
        told = " ".join([one.key, one.op, ", ".join(one.values)]).rstrip()
        click.echo(f"constraint: {told}" + (f" ({', '.join(marks)})" if marks else ""))
    if found.children:
        click.echo(f"children: {len(found.children)}; iris job list --tree --name {found.id}")
    rows = [
        (
            f"{task.id.rpartition(':')[2]}@{attempt.number}",
            attempt.state,
            attempt.worker,
            age(
                attempt.assigned_at_ms,
                attempt.ended_at_ms if attempt.HasField("ended_at_ms") else None,
            ),
            attempt.detail or attempt.cause,
        )
        for task in found.details
        for attempt in task.attempts
    ]
    if rows:
        print_table(("ATTEMPT", "STATE", "WORKER", "FOR", "WHY"), rows)
