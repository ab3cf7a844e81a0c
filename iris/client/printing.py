"""Prints what tasks write, as they write it: whole lines with their task's index where there are several."""

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from iris.client.pieces import LogPiece


@dataclass(frozen=True, slots=True)
class Part:
    """What of a task's log is meant."""

    attempt: int | None = None  # None: the last one and those that follow it
    tail_lines: int = 0
    """Only so many lines of what there is; 0 for all."""
    follow: bool = True


class Task(Protocol):
    """Something that writes a log, as `iris.client.Task` does."""

    id: str

    def stream_logs(
        self, *, attempt: int | None, follow: bool, tail_lines: int
    ) -> Iterator[LogPiece]:
        """What is written, as it comes."""


class Printer:
    """Writes what tasks say."""

    def __init__(self, write: Callable[[bytes], None], *, prefixes: bool) -> None:
        """Whole lines with a prefix, or pieces as they come."""
        self._write_to = write
        self._prefixes = prefixes
        self._lock = threading.Lock()
        self._silent = False

    def silence(self) -> None:
        """Write nothing any more."""
        with self._lock:
            self._silent = True

    def show(self, task: Task, part: Part) -> None:
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
            if not self._silent:
                self._write_to(content)


class Following:
    """The printing of several tasks at once, each by a thread, to the end of each."""

    def __init__(
        self, tasks: Sequence[Task], write: Callable[[bytes], None], part: Part | None = None
    ) -> None:
        """Begin."""
        self._printer = Printer(write, prefixes=len(tasks) > 1)
        part = part if part is not None else Part()
        self._threads = [_Thread(self._printer, task, part) for task in tasks]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until all is printed.

        Raises:
            RemoteError: the controller refused.
        """
        for thread in self._threads:
            thread.join()
        for thread in self._threads:
            if thread.failure is not None:
                raise thread.failure

    def check_reader(self) -> None:
        """Whether somebody still reads.

        Raises:
            BrokenPipeError: nobody does.
        """
        for thread in self._threads:
            if isinstance(thread.failure, BrokenPipeError):
                raise thread.failure

    def silence(self) -> None:
        """Print nothing any more; what is under way ends by itself."""
        self._printer.silence()


class _Thread(threading.Thread):
    """Shows one task, and keeps why it could not."""

    def __init__(self, printer: Printer, task: Task, part: Part) -> None:
        super().__init__(daemon=True)
        self._printer, self._task, self._part = printer, task, part
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            self._printer.show(self._task, self._part)
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            self.failure = error


def to_stdout(content: bytes) -> None:
    """Write to whatever is the standard output now, which may be a notebook's."""
    sys.stdout.write(content.decode(errors="replace"))
    sys.stdout.flush()
