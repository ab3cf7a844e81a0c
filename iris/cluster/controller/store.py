"""What is kept by content, and what tasks leave behind: blobs, results, logs, below one folder.

Everything is written beside its place and renamed into it, so that nothing half-written is ever
found under its name. Names come from digests and from checked identifiers only.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from iris.core.ids import JobId, TaskId, split_task_id
from iris.rpc.methods import MAX_LOG_BYTES

MAX_BLOB_BYTES: Final = 1 << 30
MAX_RESULT_BYTES: Final = 1 << 30

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_READ_BYTES: Final = 64 << 10
"""Of a piece that is read at once: each of many slow readers holds a few of them."""


class TooLarge(Exception):
    """More bytes than the store takes in one piece."""


class Incoming:
    """A file that is being received, under no name yet."""

    def __init__(self, folder: Path, limit: int) -> None:
        """Begin one, of at most `limit` bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=".incoming-")
        self._file = os.fdopen(descriptor, "wb")
        self._path = Path(name)
        self._limit = limit
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, content: bytes) -> None:
        """Take some more.

        Raises:
            TooLarge: that would be more than the limit.
            OSError: the disk is full or broken; names the folder.
        """
        self.size += len(content)
        if self.size > self._limit:
            raise TooLarge(f"more than {self._limit >> 20} MiB")
        self._digest.update(content)
        try:
            self._file.write(content)
        except OSError as error:
            raise self._named(error) from error

    def settle(self) -> tuple[Path, str]:
        """Where all of it is, durably, and its digest; no more is taken."""
        if not self._file.closed:
            try:
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
            except OSError as error:
                raise self._named(error) from error
        return self._path, self._digest.hexdigest()

    def keep(self, place: Path | None = None) -> str:
        """Give it its name, below its own folder its digest, and return the digest."""
        _, digest = self.settle()
        target = place if place is not None else self._path.parent / digest
        target.parent.mkdir(parents=True, exist_ok=True)
        self._path.replace(target)
        return digest

    def drop(self) -> None:
        """Forget it."""
        with suppress(OSError):  # A full disk does not take what is still to be written.
            self._file.close()
        self._path.unlink(missing_ok=True)

    def _named(self, error: OSError) -> OSError:
        return OSError(error.errno, error.strerror, str(self._path.parent))


class Store:
    """The folder, and what is in it."""

    def __init__(
        self, root: Path, *, bundles: Path | None = None, logs: Path | None = None
    ) -> None:
        """A store below `root`, with blobs and logs elsewhere if that is said."""
        self.root = root
        self.blobs = bundles if bundles is not None else root / "blobs"
        self.logs = logs if logs is not None else root / "logs"
        self.results = root / "results"
        for folder in (self.blobs, self.logs, self.results):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for stray in folder.glob(".incoming-*"):
                stray.unlink()

    # ---- blobs ---------------------------------------------------------------------------------

    def want_blob(self, digest: str) -> bool:
        """Whether a blob is here; from now on it is as young as if it had just come."""
        path = self.blob(digest)
        if path is not None:
            os.utime(path)
        return path is not None

    def blob(self, digest: str) -> Path | None:
        """Where a blob is; nothing when it is not here, or the digest is none."""
        if not _DIGEST.fullmatch(digest):
            return None
        path = self.blobs / digest
        return path if path.is_file() else None

    def put(self, content: bytes) -> str:
        """Keep a small blob, and return its digest."""
        digest = hashlib.sha256(content).hexdigest()
        if not self.want_blob(digest):
            incoming = self.receive_blob()
            try:
                incoming.write(content)
                incoming.keep()
            except OSError:
                incoming.drop()
                raise
        return digest

    def receive_blob(self) -> Incoming:
        """A blob to be filled."""
        return Incoming(self.blobs, MAX_BLOB_BYTES)

    # ---- results -------------------------------------------------------------------------------

    def result(self, task: TaskId, attempt: int) -> Path:
        """Where the result of an attempt is, or would be."""
        return self.results / place_of(task) / f"{attempt}.pickle"

    def receive_result(self) -> Incoming:
        """A result to be filled, and kept under its attempt's place."""
        return Incoming(self.results, MAX_RESULT_BYTES)

    # ---- logs ----------------------------------------------------------------------------------

    def log(self, task: TaskId, attempt: int) -> Path:
        """Where the log of an attempt is, or would be."""
        return self.logs / place_of(task) / f"{attempt}.log"

    def log_size(self, task: TaskId, attempt: int) -> int:
        """How many bytes of it there are."""
        path = self.log(task, attempt)
        return path.stat().st_size if path.is_file() else 0

    def append_log(self, task: TaskId, attempt: int, offset: int, content: bytes) -> int:
        """Take a piece of a log if it goes on where the log ends; the offset that is expected next.

        A piece that comes again changes nothing, one that overlaps adds what is new, and one that
        would leave a gap is not taken: the sender goes back to what is expected. A log that is full
        ends in a line that says so; whatever is sent of it from then on counts as taken.
        """
        path = self.log(task, attempt)
        size = self.log_size(task, attempt)
        if size >= MAX_LOG_BYTES:
            return max(size, offset + len(content))
        if offset > size or offset + len(content) <= size:
            return size
        fresh = content[size - offset :]
        room = MAX_LOG_BYTES - size
        if len(fresh) >= room:
            mark = f"\n[iris: a log ends at {MAX_LOG_BYTES} bytes; the rest was dropped]\n"
            fresh = fresh[:room] + mark.encode()
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(fresh)
        return offset + len(content)

    # ---- forgetting ----------------------------------------------------------------------------

    def forget(self, job: JobId) -> None:
        """Remove logs and results of a job that is forgotten; those of jobs below it stay."""
        for root in (self.logs, self.results):
            _remove_tree(root / job_folder(job))

    def jobs(self) -> set[JobId]:
        """Every job that something is kept of."""
        found: set[JobId] = set()
        for root in (self.logs, self.results):
            for folder, below, _ in os.walk(root):
                if any(not name.startswith("+") for name in below):
                    found.add(job_of_folder(Path(folder).relative_to(root).parts))
        return found

    def drop_blobs(self, used: Container[str], unused_since: float) -> int:
        """Remove blobs that nobody uses or asked for since a time (of the system's clock); how many."""
        count = 0
        for path in self.blobs.iterdir():
            if path.name not in used and path.stat().st_mtime < unused_since:
                path.unlink()
                count += 1
        return count


def job_of_folder(parts: Iterable[str]) -> JobId:
    """The job whose folder this is; the inverse of `job_folder`."""
    return JobId("".join(f"/{part.removeprefix('+')}" for part in parts))


def job_folder(job: JobId) -> str:
    """The folder of a job, relative: its path with the slashes kept and nothing else of meaning."""
    return "/".join(f"+{part}" for part in job.strip("/").split("/"))


def place_of(task: TaskId) -> str:
    """The folder of a task, relative."""
    job, index = split_task_id(task)
    return f"{job_folder(job)}/{index}"


def read_pieces(path: Path, offset: int, end: int | None = None) -> Iterator[tuple[int, bytes]]:
    """A file's content from an offset on, a piece at a time, each with its offset."""
    with path.open("rb") as file:
        file.seek(offset)
        while True:
            most = _READ_BYTES if end is None else min(_READ_BYTES, end - offset)
            content = file.read(most) if most > 0 else b""
            if not content:
                return
            yield offset, content
            offset += len(content)


def tail_of(path: Path, lines: int) -> int:
    """Where the last lines of a file begin; a last line without an end counts as one."""
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        start = file.seek(0, os.SEEK_END)
        missing = lines + 1
        if start:
            file.seek(start - 1)
            missing -= file.read(1) != b"\n"
        while start:
            size = min(_READ_BYTES, start)
            start -= size
            file.seek(start)
            content = file.read(size)
            found = content.count(b"\n")
            if found >= missing:
                place = len(content)
                for _ in range(missing):
                    place = content.rindex(b"\n", 0, place)
                return start + place + 1
            missing -= found
    return 0


def _remove_tree(folder: Path) -> None:
    """Remove a job's own files; folders of its children, which begin with `+`, stay."""
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.name.startswith("+"):
            continue
        for file in entry.iterdir():
            file.unlink()
        entry.rmdir()
    if not any(folder.iterdir()):
        folder.rmdir()
