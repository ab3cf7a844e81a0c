"""The process of a pool's worker that makes its calls, from the worker's side."""

import os
import pickle
import subprocess
import sys
import time
from typing import BinaryIO, Final

from iris.actor.payload import Payload
from iris.core.calls import Outcome
from iris.pool.pipes import read_message, widen, write_message

_SOON_S: Final = 1.0


class Hand:
    """One such process, from its start to its end."""

    def __init__(self) -> None:
        """It starts."""
        came, self._to = os.pipe()
        back, goes = os.pipe()
        command = [sys.executable, "-P", "-m", "iris.pool.hand", str(came), str(goes)]
        self._process = subprocess.Popen(command, pass_fds=(came, goes), stdin=subprocess.DEVNULL)
        widen(came)
        widen(goes)
        os.close(came)
        os.close(goes)
        self._from: BinaryIO = os.fdopen(back, "rb")
        self._function = b""
        self._began = time.monotonic()
        self._has_made = False
        self.is_ending = False
        """Whether it has been ended, or was found to have: it is given nothing more."""

    def make(self, function: bytes, arguments: Payload) -> bool:
        """Hand a call over; whether the process was there to take it."""
        is_same, self._function = function == self._function, function
        try:
            write_message(self._to, (b"" if is_same else function, *arguments))
        except OSError:
            self.is_ending = True
        return not self.is_ending

    def made(self) -> tuple[Outcome, int, Payload] | None:
        """How the call ended that was handed over, how many microseconds it took, and what came of it.

        None: the process has ended.
        """
        message = read_message(self._from)
        if message is None:
            return None
        self._has_made = True
        outcome, took_us = pickle.loads(message[0])
        return Outcome(outcome), took_us, message[1:]

    def end(self) -> None:
        """End the process, whatever it does."""
        self.is_ending = True
        self._process.kill()

    def how_it_ended(self) -> str:
        """In words; closes the pipes."""
        self._process.kill()  # It may only have closed them.
        status = self._process.wait()
        self._from.close()
        os.close(self._to)
        return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"

    @property
    def never_worked(self) -> bool:
        """Whether it ended soon, and of its own accord, before it made anything."""
        soon = time.monotonic() - self._began < _SOON_S
        return soon and not self._has_made and not self.is_ending
