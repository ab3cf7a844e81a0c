"""The process of a pool's worker that makes its calls, from the worker's side."""

import io
import os
import pickle
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Final

from iris.actor.payload import Payload
from iris.core.calls import Outcome
from iris.pool.pipes import Shelf, read_message, widen, write_message

_SOON_S: Final = 1.0


class Hand:
    """One such process, from its start to its end."""

    def __init__(self) -> None:
        """It starts."""
        came, self._to = os.pipe()
        back, goes = os.pipe()
        self._there, self._back = Shelf(), Shelf()
        ends = (came, goes, self._there.fd, self._back.fd)
        command = [sys.executable, "-P", "-m", "iris.pool.hand", *map(str, ends)]
        # A group of its own, which ends with it, but no session: by that its memory is held to the task's.
        self._process = subprocess.Popen(
            command, pass_fds=ends, stdin=subprocess.DEVNULL, process_group=0
        )
        widen(came)
        widen(goes)
        for fd in ends:
            os.close(fd)
        self._from = io.BufferedReader(_Results(back, self._process.pid))
        self._function = b""
        self._began = time.monotonic()
        self._has_made = False
        self.is_ending = False
        """Whether it has been ended, or was found to have: it is given nothing more."""

    def make(self, function: bytes, arguments: Payload) -> bool:
        """Hand a call over; whether the process was there to take it."""
        is_same, self._function = function == self._function, function
        try:
            write_message(self._to, (b"" if is_same else function, *arguments), self._there)
        except OSError:
            self.is_ending = True
        return not self.is_ending

    def made(self) -> tuple[Outcome, int, Payload] | None:
        """How the call ended that was handed over, how many microseconds it took, and what came of it.

        None: the process has ended, and with it all that it had started in its group.
        """
        message = read_message(self._from, self._back, writable=False)
        if message is None:
            self._kill()  # It may only have closed its pipes.
            return None
        self._has_made = True
        outcome, took_us = pickle.loads(message[0])
        return Outcome(outcome), took_us, message[1:]

    def end(self) -> None:
        """End the process, whatever it does, and what it has started."""
        self.is_ending = True
        self._kill()

    def _kill(self) -> None:
        if (
            self._process.returncode is None
        ):  # Until it is waited for, no other process has its number.
            with suppress(ProcessLookupError):  # It has left its group.
                os.killpg(self._process.pid, signal.SIGKILL)
            os.kill(self._process.pid, signal.SIGKILL)

    def how_it_ended(self) -> str:
        """In words, after `made` found that it had; closes the pipes."""
        status = self._process.wait()
        self._from.close()
        os.close(self._to)
        return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"

    @property
    def never_worked(self) -> bool:
        """Whether it ended soon, and of its own accord, before it made anything."""
        soon = time.monotonic() - self._began < _SOON_S
        return soon and not self._has_made and not self.is_ending


class _Results(io.RawIOBase):
    """What a process writes to a pipe, until it ends; a child that it has forked may hold the pipe open beyond that."""

    def __init__(self, pipe: int, pid: int) -> None:
        self._pipe = pipe
        self._life = os.pidfd_open(pid)
        self._news, self._rest = select.poll(), select.poll()
        self._news.register(pipe, select.POLLIN)
        self._news.register(self._life, select.POLLIN)
        self._rest.register(pipe, select.POLLIN)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._news.poll()
        # Looked at after its end, the pipe holds all that it wrote.
        return os.readv(self._pipe, [buffer]) if self._rest.poll(0) else 0

    def close(self) -> None:
        if not self.closed:
            os.close(self._pipe)
            os.close(self._life)
        super().close()
