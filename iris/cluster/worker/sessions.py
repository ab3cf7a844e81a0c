"""A command beside a running attempt, in its surroundings: as a process, with pipes or with a terminal."""

import asyncio
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Final, Protocol

from iris.cluster.processes import ended, kill_marked

EXEC_MARK: Final = "IRIS_EXEC"
"""The variable by which all processes of one such command are known."""
PIECE_BYTES: Final = 64 << 10
SHELL: Final = ("/bin/sh", "-c", "command -v bash >/dev/null && exec bash || exec sh")
_WRAP: Final = '[ -z "$VIRTUAL_ENV" ] || PATH=$VIRTUAL_ENV/bin:$PATH; exec "$@"'
_CONTROLLED: Final = 'exec <>"$0" >&0 2>&1; exec "$@"'


@dataclass(frozen=True, slots=True)
class Command:
    """What is to be run, and how."""

    id: str
    words: tuple[str, ...]
    tty: bool
    term: str

    def wrapped(self) -> list[str]:
        """The words, started so that they find the attempt's environment first."""
        return ["/bin/sh", "-c", _WRAP, "iris-exec", *(self.words or SHELL)]

    def variables(self) -> dict[str, str]:
        """What it has in its environment beside the attempt's own variables."""
        return {EXEC_MARK: self.id, **({"TERM": self.term or "xterm"} if self.tty else {})}


class Session(Protocol):
    """A command that runs."""

    async def read(self) -> tuple[bytes, bytes] | None:
        """Some bytes of its output and of its errors; nothing when there will be no more."""

    async def write(self, content: bytes) -> None:
        """Give it input; what has ended takes none, which is no error."""

    async def end_input(self) -> None:
        """Give it no more."""

    async def resize(self, rows: int, columns: int) -> None:
        """Tell it how large its terminal is."""

    async def wait(self) -> int:
        """Its exit status as a shell would tell it, with all that it started gone."""

    def kill(self) -> None:
        """End it and all that it started, now."""


class ProcessSession:
    """A command as a process."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", id: str, terminal: int | None = None
    ) -> None:
        """Use `begin`."""
        self._process = process
        self._id = id
        self._terminal = terminal  # None: it has pipes
        self._pieces: asyncio.Queue[tuple[bytes, bytes] | None] = asyncio.Queue(4)
        self._reading: list[asyncio.Task[None]] = []
        self._input: asyncio.StreamWriter | None = None
        self._ending: asyncio.Task[int] | None = None

    @classmethod
    async def begin(
        cls, command: Command, variables: Mapping[str, str], folder: Path
    ) -> "ProcessSession":
        """Start a command in a folder.

        Raises:
            OSError: it cannot be started.
        """
        started = partial(_started, cwd=folder, variables={**variables, **command.variables()})
        if not command.tty:
            pipe = subprocess.PIPE
            found = cls(started(command.wrapped(), (pipe, pipe, pipe)), command.id)
        else:
            ours, theirs = pty.openpty()
            # Whoever leads a session and opens a terminal is controlled by it.
            words = ["/bin/sh", "-c", _CONTROLLED, os.ttyname(theirs), *command.wrapped()]
            try:
                found = cls(started(words, (theirs, theirs, theirs)), command.id, ours)
            except OSError:
                os.close(ours)
                raise
            finally:
                os.close(theirs)
        await found._open()
        return found

    async def _open(self) -> None:
        process = self._process
        if self._terminal is None:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            self._input = await _writer(process.stdin)
            sources = [
                (await _reader(process.stdout), True),
                (await _reader(process.stderr), False),
            ]
        else:
            self._input = await _writer(os.fdopen(os.dup(self._terminal), "wb"))
            sources = [(await _reader(os.fdopen(os.dup(self._terminal), "rb")), True)]
        self._reading = [
            asyncio.create_task(self._collect(source, is_out=is_out)) for source, is_out in sources
        ]
        self._ending = asyncio.create_task(self._end())

    async def _collect(self, source: asyncio.StreamReader, *, is_out: bool) -> None:
        with suppress(OSError):  # A terminal whose last user has gone gives an error, not an end.
            while piece := await source.read(PIECE_BYTES):
                await self._pieces.put((piece, b"") if is_out else (b"", piece))

    async def _end(self) -> int:
        await ended(self._process)
        kill_marked(self._id)  # What it left behind would hold its output open.
        await asyncio.gather(*self._reading)
        await self._pieces.put(None)
        return self._process.returncode

    async def read(self) -> tuple[bytes, bytes] | None:
        """What comes next."""
        return await self._pieces.get()

    async def write(self, content: bytes) -> None:
        """Give it input."""
        assert self._input is not None
        with suppress(OSError):
            self._input.write(content)
            await self._input.drain()

    async def end_input(self) -> None:
        """Close the pipe; a terminal gets its end-of-file character."""
        assert self._input is not None
        if self._terminal is not None:
            await self.write(b"\x04")
        else:
            self._input.close()

    async def resize(self, rows: int, columns: int) -> None:
        """Set the size of its terminal."""
        if self._terminal is not None:
            size = struct.pack("HHHH", rows, columns, 0, 0)
            with suppress(OSError):
                fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)

    async def wait(self) -> int:
        """Its exit status."""
        assert self._ending is not None
        code = await self._ending
        return 128 - code if code < 0 else code

    def kill(self) -> None:
        """End it, and give back what it held."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        kill_marked(self._id)
        if self._input is not None:
            self._input.close()
        if self._terminal is not None:
            os.close(self._terminal)
            self._terminal = None


def _started(
    words: Sequence[str], ends: tuple[int, int, int], *, cwd: Path, variables: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        words,
        cwd=cwd,
        env=variables,
        stdin=ends[0],
        stdout=ends[1],
        stderr=ends[2],
        start_new_session=True,
    )


async def _reader(pipe: IO[bytes]) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


async def _writer(pipe: IO[bytes]) -> asyncio.StreamWriter:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.streams.FlowControlMixin(loop), pipe
    )
    return asyncio.StreamWriter(transport, protocol, None, loop)
