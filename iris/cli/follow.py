"""Shows what a job's tasks write on stdout; how it goes is told on stderr."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO, Final

import click

if TYPE_CHECKING:
    from iris.client import Job, Task
    from iris.client.printing import Part
    from iris.rpc import iris_pb2 as pb


_LOOK_S: Final = 2.0
"""So soon somebody who waits for a job notices that nobody reads what it prints."""


class _Stream:
    """Writes bytes as they are."""

    def __init__(self, *, to_stderr: bool = False) -> None:
        self._out: BinaryIO = sys.stderr.buffer if to_stderr else sys.stdout.buffer

    def __call__(self, content: bytes) -> None:
        self._out.write(content)
        self._out.flush()


def print_logs(tasks: Sequence["Task"], part: "Part") -> None:
    """Print a part of the logs of tasks: together if they are followed, else one after the other.

    Raises:
        RemoteError: the controller refused.
    """
    from iris.client.printing import Following, Printer

    if part.follow:
        Following(tasks, _Stream(), part).join()
        return
    printer = Printer(_Stream(), prefixes=len(tasks) > 1)
    for task in tasks:
        printer.show(task, part)


def follow(job: "Job", *, to_stderr: bool) -> "pb.Job":
    """Print what all tasks write until the job has ended; the job.

    Raises:
        RemoteError: the controller refused.
        BrokenPipeError: nobody reads any more.
    """
    from iris.client.errors import NotFinished
    from iris.client.printing import Following

    printing = Following(job.tasks(), _Stream(to_stderr=to_stderr))
    while True:
        try:
            ended = job.wait(_LOOK_S)
        except NotFinished:
            printing.check_reader()
        else:
            printing.join()
            return ended


def say_detached(job: "Job") -> None:
    """What to type to go on with a job that runs on."""
    click.echo(
        f"\ndetached; {job.id} goes on\n"
        f"  iris job logs {job.id} -f\n  iris job status {job.id}\n  iris job stop {job.id}",
        err=True,
    )
