"""Unpacks a workspace: plain files and folders only, below its folder only, no more than it may hold.

The archive is a user's and may be forged: nothing of it is believed before it has been counted, and
no part of it is held in memory but a little at a time.
"""

import errno
import gzip
import tarfile
import zlib
from pathlib import Path
from typing import Final, cast

MAX_UNPACKED_BYTES: Final = 4 << 30
MAX_MEMBERS: Final = 200_000
_MAX_READ_BYTES: Final = 1 << 20
"""No header is larger; contents are read in smaller pieces."""


_SHOWN: Final = 80
"""Letters of a member's name, which are enough to know it by."""
_ITS_OWN: Final = frozenset(
    {errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EEXIST, errno.EINVAL, errno.ELOOP}
)
"""Errors that an archive's own names bring about on any disk."""


class BadArchive(ValueError):
    """An archive that holds what no workspace holds, or is none."""


class _Counted:
    """What is in a compressed file, read a little at a time and never beyond what may be unpacked."""

    def __init__(self, packed: gzip.GzipFile) -> None:
        self._packed = packed

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _MAX_READ_BYTES:
            raise BadArchive(f"a header of {size} bytes, more than {_MAX_READ_BYTES}")
        if self._packed.tell() + size > MAX_UNPACKED_BYTES:
            raise _too_much()
        return self._packed.read(size)

    def seek(self, position: int) -> int:
        if position > MAX_UNPACKED_BYTES:
            raise _too_much()
        return self._packed.seek(position)

    def tell(self) -> int:
        return self._packed.tell()


def unpack(archive: Path, target: Path) -> None:
    """Put the files of an archive below `target`.

    Raises:
        BadArchive: a member leaves the folder, is a link or a device, there is too much, or it is
            no archive.
        OSError: the disk is full, or cannot be written.
    """
    target.mkdir(parents=True, exist_ok=True)
    try:
        with gzip.open(archive, "rb") as packed:
            # tarfile asks for no more of a file than these three.
            stream = cast("gzip.GzipFile", _Counted(packed))
            with tarfile.open(fileobj=stream, mode="r:") as tar:
                _extract(tar, target)
    except BadArchive:
        raise
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise BadArchive(f"not an archive of a workspace: {error}") from error


def _extract(tar: tarfile.TarFile, target: Path) -> None:
    total = 0
    for number, member in enumerate(tar):
        total += member.size
        if number >= MAX_MEMBERS or total > MAX_UNPACKED_BYTES:
            raise _too_much()
        _check(member)
        try:
            tar.extract(member, target, filter="data", set_attrs=True)
        except OSError as error:
            if error.errno in _ITS_OWN:
                said = f"{member.name[:_SHOWN]}: {(error.strerror or str(error)).lower()}"
                raise BadArchive(said) from error
            raise


def _check(member: tarfile.TarInfo) -> None:
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise BadArchive(f"{member.name}: neither a file nor a folder")
    parts = Path(member.name).parts
    if Path(member.name).is_absolute() or ".." in parts:
        raise BadArchive(f"{member.name}: leaves the workspace")


def _too_much() -> BadArchive:
    return BadArchive(f"more than {MAX_MEMBERS} files or {MAX_UNPACKED_BYTES} bytes")
