"""Progress of long work, on stderr: plain lines in a pipe; on a terminal the last one counts its seconds."""

import sys
import threading
import time
from types import TracebackType
from typing import Final

import click

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
                click.echo("", err=True)

    def say(self, line: str) -> None:
        """What is being done now."""
        with self._lock:
            if self._on_terminal and self._line:
                click.echo("", err=True)
            self._line = line
            self._show()

    def _show(self) -> None:
        seconds = f"[{time.monotonic() - self._began:4.0f} s]"
        if self._on_terminal:
            click.echo(f"\r{seconds} {self._line}", err=True, nl=False)
        else:
            click.echo(f"{seconds} {self._line}", err=True)

    def _tick(self) -> None:
        while not self._ended.wait(_TICK_S):
            with self._lock:
                if self._line:
                    self._show()
