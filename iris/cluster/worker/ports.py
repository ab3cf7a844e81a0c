"""Ports for attempts: no two of this machine are given the same, whichever of its workers gives them.

A port is chosen outside the range from which the system takes ports of its own accord. It is held by
a file that names the attempt's folder; when that folder is gone, so is the claim. So nothing has to be
given back, and nothing is lost when a worker is killed.
"""

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

FIRST: Final = 10_000
COUNT: Final = 10_000
"""Below what a coordinator of a gang may have, and below Linux's range of passing ports, 32768 to 60999."""


class NoPort(OSError):
    """All ports of the range are taken."""


class Ports:
    """The ports of this machine, as one user's workers give them."""

    def __init__(self, ledger: Path | None = None, first: int = FIRST, count: int = COUNT) -> None:
        """Ports that are written down in a folder, the same for all workers of a user unless another is named."""
        common = Path(tempfile.gettempdir()) / f"iris-ports-{os.geteuid()}"
        self._ledger = ledger if ledger is not None else common
        self._first = first
        self._count = count

    def take(self, names: Iterable[str], folder: Path) -> dict[str, int]:
        """A port for each name, for the attempt of a folder, for as long as there is such a folder.

        Raises:
            NoPort: none is free.
            OSError: the ledger cannot be written.
        """
        wanted = list(names)
        if not wanted:
            return {}
        with self._alone():
            return {name: self._one(folder) for name in wanted}

    def claim(self, port: int, folder: Path) -> None:
        """Hold a port that somebody else has chosen, as one that was taken.

        Raises:
            NoPort: another attempt has it, or somebody listens on it.
            OSError: the ledger cannot be written.
        """
        with self._alone():
            claim = self._ledger / str(port)
            if _holds(claim) or not _is_free(port):
                raise NoPort(f"port {port} of this host is taken")
            claim.write_text(str(folder), encoding="utf-8")

    def _one(self, folder: Path) -> int:
        start = random.randrange(self._count)
        for step in range(self._count):
            port = self._first + (start + step) % self._count
            claim = self._ledger / str(port)
            if not _holds(claim) and _is_free(port):
                claim.write_text(str(folder), encoding="utf-8")
                return port
        last = self._first + self._count - 1
        raise NoPort(f"no port from {self._first} to {last} is free on this host")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """As the only one who looks and writes there."""
        self._ledger.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._ledger / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _holds(claim: Path) -> bool:
    """Whether the attempt is there that a port was given to."""
    try:
        return Path(claim.read_text(encoding="utf-8")).exists()
    except FileNotFoundError:
        return False


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("", port))
        except OSError:
            return False
    return True
