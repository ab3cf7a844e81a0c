"""Shows how far a pool is: one line that changes on a terminal, a line now and then in a pipe."""

import sys
import threading
import time
from collections.abc import Callable
from typing import Final, TextIO

from iris.core.calls import Progress

_TERMINAL_S: Final = 0.2
_PIPE_S: Final = 10.0
"""Between two lines."""


def sentence(progress: Progress) -> str:
    """How far it is, in words."""
    done = progress.returned + progress.failed
    total = done + progress.running + progress.waiting
    failed = f", {progress.failed} failed" if progress.failed else ""
    return (
        f"{done}/{total} done{failed}, {progress.running} running, {progress.waiting} waiting;"
        f" {progress.workers} of {progress.wanted} workers"
    )


class Shown:
    """The progress of one pool, from now to its end."""

    def __init__(
        self,
        name: str,
        progress: Callable[[], Progress],
        over: threading.Event,
        stream: TextIO | None = None,
    ) -> None:
        """It begins to be shown, on stderr unless another stream is given."""
        self._name = name
        self._progress = progress
        self._over = over
        self._stream = stream if stream is not None else sys.stderr
        self._thread = threading.Thread(target=self._show, name="iris-pool-progress", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for the last line."""
        self._thread.join()

    def _show(self) -> None:
        at_terminal = self._stream.isatty()
        end = "" if at_terminal else "\n"
        pause = _TERMINAL_S if at_terminal else _PIPE_S
        said, said_at = "", time.monotonic()
        while not self._over.wait(_TERMINAL_S):
            words = sentence(self._progress())
            if words != said and (at_terminal or time.monotonic() - said_at >= pause):
                self._say(words, end=end, at_terminal=at_terminal)
                said, said_at = words, time.monotonic()
        self._say(sentence(self._progress()), end="\n", at_terminal=at_terminal)

    def _say(self, words: str, *, end: str, at_terminal: bool) -> None:
        start = "\r\x1b[K" if at_terminal else ""
        self._stream.write(f"{start}{self._name}: {words}{end}")
        self._stream.flush()
