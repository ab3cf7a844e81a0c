"""The journal on disk: every turn in one SQLite transaction, snapshots now and then, one writer.

A turn is on the disk when `append` returns (write-ahead log, `synchronous=FULL`). A snapshot lets
recovery begin late; turns are kept back to the snapshot before the last, so that a journal can
always be verified over a stretch. Nothing is ever wiped here: the same start command recovers.
"""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from iris.core.record import Turn, to_json, turn_from_json
from iris.core.snapshot import Snapshot, snapshot_from_json, snapshot_to_json

FORMAT: Final = 1
"""Of the tables below; a journal of a later one is refused."""

SNAPSHOTS_KEPT: Final = 2
_TABLES: Final = """
CREATE TABLE turns (number INTEGER PRIMARY KEY, now INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE TABLE snapshots (number INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
"""


class JournalError(Exception):
    """A journal that cannot be used: in use by another controller, of a later format, or damaged."""


class Lock:
    """The right to write a folder: whoever holds it is the only controller of it."""

    def __init__(self, folder: Path) -> None:
        """Take it.

        Raises:
            JournalError: another process has it.
        """
        path = folder / "controller.lock"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._file, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            message = f"{folder}: another controller, of process {holder}, works on it"
            raise JournalError(message) from error
        os.ftruncate(self._file, 0)
        os.write(self._file, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Give it back."""
        os.close(self._file)


class SqliteJournal:
    """A journal in one file."""

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        """Open it, or begin it.

        Raises:
            JournalError: it is of a later format, or no journal.
        """
        self.path = path
        self._readonly = readonly
        if readonly and not path.is_file():
            raise JournalError(f"{path}: there is no journal")
        try:
            self._open(readonly=readonly)
        except sqlite3.DatabaseError as error:
            raise JournalError(f"{path}: not a journal, or a damaged one: {error}") from error

    def _open(self, *, readonly: bool) -> None:
        source = f"{self.path.absolute().as_uri()}?mode={'ro' if readonly else 'rwc'}"
        self._db = sqlite3.connect(source, uri=True, isolation_level=None)
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > FORMAT or (readonly and version < FORMAT):
            message = f"{self.path}: of format {version}, and this version of Iris knows {FORMAT}"
            raise JournalError(message)
        if readonly:
            return
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        if version == 0:
            self._db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version={FORMAT}; COMMIT;")
        (last,) = self._db.execute("SELECT max(number) FROM turns").fetchone()
        (image,) = self._db.execute("SELECT max(number) FROM snapshots").fetchone()
        self.turns: int = max(last or 0, image or 0)

    def append(self, turn: Turn) -> None:
        """Write a turn; when this returns, it is durable.

        Raises:
            OSError: the disk is full or broken; the process must end and recover.
        """
        body = json.dumps(to_json(turn), separators=(",", ":"))
        try:
            self._db.execute("INSERT INTO turns VALUES (?, ?, ?)", (self.turns + 1, turn.now, body))
        except sqlite3.OperationalError as error:
            raise OSError(f"{self.path}: a turn could not be written: {error}") from error
        self.turns += 1

    def save(self, image: Snapshot) -> None:
        """Write a snapshot of the state after the last turn, and let go of what it makes superfluous."""
        body = json.dumps(snapshot_to_json(image), separators=(",", ":"))
        self._db.execute("BEGIN")
        self._db.execute("INSERT OR REPLACE INTO snapshots VALUES (?, ?)", (self.turns, body))
        self._db.execute(
            "DELETE FROM snapshots WHERE number NOT IN"
            " (SELECT number FROM snapshots ORDER BY number DESC LIMIT ?)",
            (SNAPSHOTS_KEPT,),
        )
        (count, oldest) = self._db.execute("SELECT count(*), min(number) FROM snapshots").fetchone()
        if count == SNAPSHOTS_KEPT:
            self._db.execute("DELETE FROM turns WHERE number <= ?", (oldest,))
        self._db.execute("COMMIT")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def latest(self) -> tuple[Snapshot | None, Iterator[Turn]]:
        """The last snapshot, and the turns after it.

        Raises:
            JournalError: what is there cannot be read; of a turn, when it is its turn.
        """
        return self._since("SELECT number, body FROM snapshots ORDER BY number DESC LIMIT 1")

    def whole(self) -> tuple[Snapshot | None, Iterator[Turn]]:
        """The first snapshot that all later turns are kept of, if the first turns are gone, and those turns.

        Raises:
            JournalError: what is there cannot be read; of a turn, when it is its turn.
        """
        if self._readonly:  # One view of it, though a controller is at work on it meanwhile.
            self._db.execute("BEGIN")
        (first,) = self._db.execute("SELECT min(number) FROM turns").fetchone()
        if first is None or first == 1:
            return None, self._turns_after(0)
        return self._since("SELECT number, body FROM snapshots ORDER BY number LIMIT 1")

    def _since(self, query: str) -> tuple[Snapshot | None, Iterator[Turn]]:
        row = self._db.execute(query).fetchone()
        if row is None:
            return None, self._turns_after(0)
        try:
            image = snapshot_from_json(json.loads(row[1]))
        except ValueError as error:
            raise self._damaged(f"snapshot {row[0]}", error) from error
        return image, self._turns_after(row[0])

    def _turns_after(self, number: int) -> Iterator[Turn]:
        query = "SELECT number, body FROM turns WHERE number > ? ORDER BY number"
        reached = number
        try:
            for row in self._db.execute(query, (number,)):
                reached = row[0]
                yield turn_from_json(json.loads(row[1]))
        except (ValueError, sqlite3.DatabaseError) as error:
            raise self._damaged(f"turn {reached}", error) from error

    def _damaged(self, where: str, error: Exception) -> JournalError:
        return JournalError(f"{self.path}: {where} is damaged: {error}")

    def close(self) -> None:
        """Close the file."""
        self._db.close()
