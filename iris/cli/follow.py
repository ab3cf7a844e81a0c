"""Shows what a job's tasks write on stdout; how it goes is told on stderr."""

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from iris.client import Job, Task
    from iris.rpc import iris_pb2 as pb


@dataclass(frozen=True, slots=True)
class Part:
    """What of a task's log is meant."""

    attempt: int | None = None  # None: the last one and those that follow it
    tail_lines: int = 0
    """Only so many lines of what there is; 0 for all."""
    follow: bool = True


class Printer:
    """Writes what tasks say, whole lines at a time where there are several."""

    def __init__(self, *, prefixes: bool, to_stderr: bool) -> None:
        self._prefixes = prefixes
        self._out = sys.stderr.buffer if to_stderr else sys.stdout.buffer
        self._lock = threading.Lock()

    def show(self, task: "Task", part: Part) -> None:
        """Print a part of what a task writes.

        Raises:
            RemoteError: the controller refused.
        """
        prefix = f"[{task.id.rpartition(':')[2]}] ".encode() if self._prefixes else b""
        rest = b""
        for piece in task.stream_logs(
            attempt=part.attempt, follow=part.follow, tail_lines=part.tail_lines
        ):
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


class _Thread(threading.Thread):
    """Shows one task, and keeps why it could not."""

    def __init__(self, printer: Printer, task: "Task", part: Part) -> None:
        super().__init__(daemon=True)
        self._printer, self._task, self._part = printer, task, part
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            self._printer.show(self._task, self._part)
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            self.failure = error


def print_logs(tasks: Sequence["Task"], part: Part) -> None:
    """Print a part of the logs of tasks: together if they are followed, else one after the other.

    Raises:
        RemoteError: the controller refused.
    """
    printer = Printer(prefixes=len(tasks) > 1, to_stderr=False)
    if part.follow:
        _join(_begin(printer, tasks, part))
        return
    for task in tasks:
        printer.show(task, part)


def follow(job: "Job", *, to_stderr: bool) -> "pb.Job":
    """Print what all tasks write until the job has ended; the job.

    Raises:
        RemoteError: the controller refused.
    """
    tasks = job.tasks()
    threads = _begin(Printer(prefixes=len(tasks) > 1, to_stderr=to_stderr), tasks, Part())
    ended = job.wait()
    _join(threads)
    return ended


def _begin(printer: Printer, tasks: Sequence["Task"], part: Part) -> list[_Thread]:
    threads = [_Thread(printer, task, part) for task in tasks]
    for thread in threads:
        thread.start()
    return threads


def _join(threads: Sequence[_Thread]) -> None:
    for thread in threads:
        thread.join()
    for thread in threads:
        if thread.failure is not None:
            raise thread.failure


def say_detached(job: "Job") -> None:
    """What to type to go on with a job that runs on."""
    click.echo(
        f"\ndetached; {job.id} goes on\n"
        f"  iris job logs {job.id} -f\n  iris job status {job.id}\n  iris job stop {job.id}",
        err=True,
    )
