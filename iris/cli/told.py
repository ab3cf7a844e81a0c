"""How jobs are told: their attempts and ends for people, objects for programs."""

from typing import TYPE_CHECKING

import click

from iris.cli.tables import age, print_table, timestamp

if TYPE_CHECKING:
    from iris.rpc import iris_pb2 as pb


def reason(job: "pb.Job") -> str:
    """The first sentence of why a job ended, from itself or one of its tasks."""
    from iris.client.job import reason_of

    return reason_of(job)


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


def parent_of(id: str) -> str | None:
    """The path of the job above one; nothing above the root of a tree."""
    return id.rpartition("/")[0] if id.count("/") > 2 else None


def as_object(job: "pb.Job") -> dict[str, object]:
    """A job for programs; environment values are not told by the controller."""
    found: dict[str, object] = {
        "id": job.id,
        "parent": parent_of(job.id),
        "depth": job.id.count("/") - 2,
        "state": job.state,
        "user": job.user,
        "band": job.band,
        "submitted_at": timestamp(job.submitted_at_ms),
        "ended_at": timestamp(job.ended_at_ms) if job.HasField("ended_at_ms") else None,
        "tasks": {count.state: count.number for count in job.tasks},
        "why": reason(job),
    }
    if job.HasField("spec"):
        found["constraints"] = [
            {
                "key": one.key,
                "op": one.op,
                "values": list(one.values),
                "soft": one.soft,
                "inherited": one.inherited,
            }
            for one in job.spec.constraints
        ]
        found["children"] = list(job.children)
    if job.details:
        found["attempts"] = [
            {
                "task": task.id,
                "attempt": attempt.number,
                "state": attempt.state,
                "cause": attempt.cause,
                "detail": attempt.detail,
                "worker": attempt.worker,
                "slice": attempt.slice,
            }
            for task in job.details
            for attempt in task.attempts
        ]
    return found
