"""Follows a job on the terminal: what its tasks write to stdout, how it goes to stderr."""

import sys
import threading
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from iris.client import Job, Task
    from iris.rpc import iris_pb2 as pb


class Printer:
    """Writes what tasks say, whole lines at a time where there are several."""

    def __init__(self, *, prefixes: bool, to_stderr: bool) -> None:
        self._prefixes = prefixes
        self._out = sys.stderr.buffer if to_stderr else sys.stdout.buffer
        self._lock = threading.Lock()
        self._detached = False

    def detach(self) -> None:
        """What breaks off from now on is nobody's business."""
        self._detached = True

    def follow(self, task: "Task") -> None:
        """Print all that a task writes, to its end, or say that it broke off."""
        try:
            self._print_all(task)
        except Exception as error:  # noqa: BLE001
            if not self._detached:
                click.echo(f"the log of {task.id} broke off: {error}", err=True)

    def _print_all(self, task: "Task") -> None:
        prefix = f"[{task.id.rpartition(':')[2]}] ".encode() if self._prefixes else b""
        rest = b""
        for piece in task.stream_logs():
            content = rest + piece.content
            if prefix:
                whole, newline, rest = content.rpartition(b"\n")
                content = (
                    b"".join(prefix + line + b"\n" for line in whole.split(b"\n"))
                    if newline
                    else b""
                )
            self._write(content)
        if rest:
            self._write(prefix + rest + b"\n")

    def _write(self, content: bytes) -> None:
        with self._lock:
            self._out.write(content)
            self._out.flush()


def follow(job: "Job", *, to_stderr: bool) -> "pb.Job":
    """Print what all tasks write until the job has ended; the job."""
    tasks = job.tasks()
    printer = Printer(prefixes=len(tasks) > 1, to_stderr=to_stderr)
    threads = [threading.Thread(target=printer.follow, args=(task,), daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    try:
        ended = job.wait()
    except KeyboardInterrupt:
        printer.detach()
        raise
    for thread in threads:
        thread.join()
    return ended


def say_detached(job: "Job") -> None:
    """What to type to go on with a job that runs on."""
    click.echo(
        f"\ndetached; {job.id} goes on\n"
        f"  iris job logs {job.id} -f\n  iris job status {job.id}\n  iris job stop {job.id}",
        err=True,
    )
