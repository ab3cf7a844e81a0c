"""Steps of long work: a line that counts stays on its row of a terminal, and a pipe gets all of it."""

import fcntl
import io
import os
import struct
import termios

import pytest

from iris.cli import steps
from iris.cli.steps import Steps

LONG = "iris-controller is running, its controller is trouble: " + 60 * "x"


def test_a_line_is_cut_while_it_counts_and_whole_when_it_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, its = os.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    with os.fdopen(its, "w") as terminal, monkeypatch.context() as patched:
        patched.setattr("sys.stderr", terminal)
        patched.setattr(steps, "_TICK_S", 1e6)
        with Steps() as shown:
            shown.say(LONG)
            counting = os.read(ours, 1 << 16).decode()
        left = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert len(counting.strip()) <= 39
    assert counting.endswith("…")
    assert left.endswith(f"{LONG}\r\n")


def test_a_pipe_gets_whole_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr("sys.stderr", pipe)
    with Steps() as shown:
        shown.say(LONG)
    assert pipe.getvalue().endswith(f" s] {LONG}\n")
