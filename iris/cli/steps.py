"""Progress of long work, on stderr: plain lines in a pipe; on a terminal the last one counts its seconds.

A line that counts is cut to the width of the terminal, for only what is on one row can be written over;
it is shown whole when it is left behind.
"""

import os
import sys
import threading
import time
from types import TracebackType
from typing import Final

import click

from iris.cli.tables import cut

_TICK_S: Final = 1.0


class Steps:
    """Lines, each with the seconds since the work began."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._line = ""
        self._on_terminal = sys.stderr.isatty()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> "Steps":
        if self._on_terminal:
            self._ticker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._on_terminal:
            self._ticker.join()
            if self._line:
                self._leave()

    def say(self, line: str) -> None:
        """What is being done now."""
        with self._lock:
            if self._on_terminal and self._line:
                self._leave()
            self._line = line
            self._show()

    def _show(self) -> None:
        if self._on_terminal:
            # The last column stays free: some terminals wrap as soon as it is written to.
            room = os.get_terminal_size(sys.stderr.fileno()).columns - 1
            click.echo(f"\r{cut(self._text(), room)}", err=True, nl=False)
        else:
            click.echo(self._text(), err=True)

    def _leave(self) -> None:
        click.echo(f"\r{self._text()}", err=True)

    def _text(self) -> str:
        return f"[{time.monotonic() - self._began:4.0f} s] {self._line}"

    def _tick(self) -> None:
        while not self._ended.wait(_TICK_S):
            with self._lock:
                if self._line:
                    self._show()
