"""A command where a task runs: its input, output and exit status, as if it ran here."""

import contextlib
import os
import queue
import sys
import termios
import threading
import tty
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final

from iris.exit_status import ExitStatus
from iris.problems import Failure
from iris.rpc import iris_pb2 as pb
from iris.rpc.channel import Channel
from iris.rpc.methods import EXEC_TASK, EXEC_WINDOW_BYTES

_PIECE_BYTES: Final = 64 << 10
_HELD: Final = 16
_LOOK_S: Final = 0.2


class _Inputs:
    """What goes to the command: a queue that a thread of the call empties."""

    def __init__(self, first: pb.ExecInput) -> None:
        self._queue: queue.Queue[pb.ExecInput | None] = queue.Queue(_HELD)
        self._queue.put(first)
        self._under_way = 0
        self._moved = threading.Condition()

    def __iter__(self) -> Iterator[pb.ExecInput]:
        while (message := self._queue.get()) is not None:
            yield message

    def put(self, message: pb.ExecInput) -> None:
        self._queue.put(message)

    def read_from(self, descriptor: int) -> None:
        """Send all that can be read there, until its end."""
        while content := os.read(descriptor, _PIECE_BYTES):
            with self._moved:
                self._moved.wait_for(lambda: self._under_way + _PIECE_BYTES <= EXEC_WINDOW_BYTES)
                self._under_way += len(content)
            self.put(pb.ExecInput(content=content))
        self.put(pb.ExecInput(end=True))

    def accepted(self, size: int) -> None:
        """The command has taken some of it."""
        with self._moved:
            self._under_way -= size
            self._moved.notify()

    def close(self) -> None:
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)


def run_in_task(  # noqa: PLR0913
    channel: Channel,
    task: str,
    command: Sequence[str],
    *,
    out: BinaryIO,
    err: BinaryIO,
    input: int | None = None,
    terminal: bool = False,
) -> int:
    """Run a command where a task runs, as the task itself would run it.

    Args:
        channel: to the controller.
        task: such as `/alice/train:0`; it must be running.
        command: what to run; nothing for a shell.
        out: where its output goes.
        err: where its errors go; with a terminal there are none apart.
        input: the descriptor that its input is read from; without, it has none.
        terminal: whether it gets a terminal, of which `input` is the real one.

    Returns:
        Its exit status.

    Raises:
        RemoteError: the controller refused, or broke off.
        Failure: the command could not be started, or its worker broke off.
    """
    term = os.environ.get("TERM", "") if terminal else ""
    start = pb.ExecStart(task=task, command=command, tty=terminal, term=term)
    first = pb.ExecInput(start=start, end=input is None)
    if terminal and input is not None:
        first.terminal.CopyFrom(_size(input))
    inputs = _Inputs(first)
    if input is not None:
        threading.Thread(target=inputs.read_from, args=(input,), daemon=True).start()
    with _raw(input, inputs) if terminal and input is not None else contextlib.nullcontext():
        try:
            for output in channel.converse(EXEC_TASK, iter(inputs)):
                _write(out, output.out)
                _write(err, output.err)
                inputs.accepted(output.accepted)
                if output.trouble:
                    raise Failure(output.trouble, ExitStatus.FAILED)
                if output.HasField("exit"):
                    return output.exit
        finally:
            inputs.close()
    raise Failure("the command ended without an exit status", ExitStatus.FAILED)


def _write(file: BinaryIO, content: bytes) -> None:
    if content:
        file.write(content)
        file.flush()


def _size(descriptor: int) -> pb.Terminal:
    """Of the terminal itself: what LINES and COLUMNS say may be long past."""
    size = os.get_terminal_size(descriptor)
    return pb.Terminal(rows=size.lines, columns=size.columns)


@contextlib.contextmanager
def _raw(descriptor: int, inputs: _Inputs) -> Iterator[None]:
    """Give every key to the command, and tell it when the window has another size."""
    over = threading.Event()

    def watch() -> None:
        # A signal would tell sooner, but only a program's main thread gets it, and between any two steps.
        known = None
        while not over.is_set():
            size = _size(descriptor)
            if size != known:
                inputs.put(pb.ExecInput(terminal=size))
                known = size
            over.wait(_LOOK_S)

    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor)
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def is_terminal() -> bool:
    """Whether whoever runs this types at a terminal and reads one."""
    return sys.stdin.isatty() and sys.stdout.isatty()
