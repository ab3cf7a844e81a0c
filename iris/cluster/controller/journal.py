"""The journal on disk: every turn in one SQLite transaction, snapshots now and then, one writer.

A turn is on the disk when `append` returns (write-ahead log, `synchronous=FULL`). A snapshot lets
recovery begin late; turns are kept back to the snapshot before the last, so that a journal can
always be verified over a stretch. Nothing is ever wiped here: the same start command recovers.
"""

import fcntl
import json
import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from iris.core.instant import Instant
from iris.core.record import Turn, to_json, turn_from_json
from iris.core.snapshot import Snapshot, snapshot_from_json, snapshot_to_json

FORMAT: Final = 1
"""Of the tables below; a journal of a later one is refused."""

SNAPSHOTS_KEPT: Final = 2
_MARK_OFFSET: Final = 68
"""Of the application id in a database's header; source: the file format of SQLite, section 1.3."""
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
        if not readonly:
            self._check_generation()
            # SQLite gives the files beside it the same mode.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
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
        self._begin_generation()

    # ---- generations -----------------------------------------------------------------------------
    # A write-ahead log belongs to the file beside which it was written, and SQLite would play it into any
    # other that somebody restores there. So the file has a mark, in its header, which is changed at each
    # start and each snapshot, and a note beside it says what the mark must be.

    def _check_generation(self) -> None:
        log = self.path.with_name(f"{self.path.name}-wal")
        try:
            marks = self._note.read_text(encoding="ascii").split()
            is_mixed = log.stat().st_size > 0 and str(self._mark()) not in marks
        except FileNotFoundError:
            return
        if is_mixed:
            side = f"{self.path.name}-wal and {self.path.name}-shm"
            message = f"{self.path}: is of another generation than the write-ahead log beside it"
            raise JournalError(f"{message}; to restore a copy, remove {side} first")

    @property
    def _note(self) -> Path:
        return self.path.with_name(f"{self.path.name}-mark")

    def _mark(self) -> int:
        """What the file itself says, whatever the write-ahead log would make of it."""
        if not self.path.exists():
            return 0
        with self.path.open("rb") as file:
            file.seek(_MARK_OFFSET)
            return int.from_bytes(file.read(4), "big")

    def _begin_generation(self) -> None:
        mark = secrets.randbits(31)
        self._write_note(self._mark(), mark)
        self._db.execute(f"PRAGMA application_id={mark}")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if (
            self._mark() == mark
        ):  # Otherwise somebody reads, and both are right until the next time.
            self._write_note(mark)

    def _write_note(self, *marks: int) -> None:
        beside = self._note.with_suffix(".new")
        with open(beside, "w", encoding="ascii", opener=_private) as file:
            file.write(" ".join(str(mark) for mark in marks))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._note)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    # ---- writing -----------------------------------------------------------------------------------

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
        """Write a snapshot of the state after the last turn, and let go of what it makes superfluous.

        Raises:
            OSError: the disk is full or broken; all turns are there.
        """
        body = json.dumps(snapshot_to_json(image), separators=(",", ":"))
        try:
            self._save(body)
            self._begin_generation()
        except sqlite3.OperationalError as error:
            raise OSError(f"{self.path}: a snapshot could not be written: {error}") from error

    def _save(self, body: str) -> None:
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

    def begin(self) -> tuple[int, Instant] | None:
        """The number and the time of the first turn that is kept; nothing when none is."""
        row = self._db.execute("SELECT number, now FROM turns ORDER BY number LIMIT 1").fetchone()
        return None if row is None else (row[0], Instant(row[1]))

    def last(self) -> int:
        """The number of the last turn; 0 when there is none."""
        (number,) = self._db.execute("SELECT max(number) FROM turns").fetchone()
        return number or 0

    def decided(self, before: int, most: int) -> list[Turn]:
        """The last turns before one in which something was decided, oldest first, without their facts.

        Args:
            before: the number of a turn.
            most: how many at most.

        Raises:
            JournalError: one cannot be read.
        """
        query = (
            "SELECT number, now, json_extract(body, '$.decisions') AS decided FROM turns"
            " WHERE number < ? AND decided <> '[]' ORDER BY number DESC LIMIT ?"
        )
        found: list[Turn] = []
        reached = before
        try:
            for row in self._db.execute(query, (before, most)).fetchall():
                reached = row[0]
                shell = to_json(Turn(Instant(row[1]), (), ()))
                assert isinstance(shell, dict), shell
                found.append(turn_from_json(shell | {"decisions": json.loads(row[2])}))
        except (ValueError, sqlite3.DatabaseError) as error:
            raise self._damaged(f"turn {reached}", error) from error
        return found[::-1]

    def turns_with(
        self, words: Sequence[str], before: int, most: int, after: int = 0
    ) -> list[tuple[int, Turn]]:
        """The newest turns before one that hold any of these words, newest first, with their numbers.

        Args:
            words: as they stand in a turn's JSON; one at least.
            before: the number of a turn, or 0 for all.
            most: how many at most.
            after: the number of a turn, which is itself left out.

        Raises:
            JournalError: one cannot be read.
        """
        anything = " OR ".join("instr(body, ?)" for _ in words)
        query = (
            f"SELECT number, body FROM turns WHERE number > ? AND (? = 0 OR number < ?)"
            f" AND ({anything}) ORDER BY number DESC LIMIT ?"
        )
        reached = before
        found: list[tuple[int, Turn]] = []
        try:
            # All at once: whoever still reads keeps a snapshot's writer waiting.
            for row in self._db.execute(query, (after, before, before, *words, most)).fetchall():
                reached = row[0]
                found.append((reached, turn_from_json(json.loads(row[1]))))
        except (ValueError, sqlite3.DatabaseError) as error:
            raise self._damaged(f"turn {reached}", error) from error
        return found

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


def _private(path: str, flags: int) -> int:
    """Open a file that, if it is new, nobody else may read."""
    return os.open(path, flags, 0o600)
