"""Unpacks a workspace: plain files and folders only, below its folder only, no more than it may hold."""

import tarfile
from pathlib import Path
from typing import Final

MAX_UNPACKED_BYTES: Final = 4 << 30
MAX_MEMBERS: Final = 200_000


class BadArchive(ValueError):
    """An archive that holds what no workspace holds, or is none."""


def unpack(archive: Path, target: Path) -> None:
    """Put the files of an archive below `target`.

    Raises:
        BadArchive: a member leaves the folder, is a link or a device, or there is too much.
    """
    target.mkdir(parents=True, exist_ok=True)
    total = 0
    try:
        with tarfile.open(archive, "r:*") as tar:
            for number, member in enumerate(tar):
                total += member.size
                if number >= MAX_MEMBERS or total > MAX_UNPACKED_BYTES:
                    raise BadArchive(f"more than {MAX_MEMBERS} files or {MAX_UNPACKED_BYTES} bytes")
                _check(member)
                tar.extract(member, target, filter="data", set_attrs=True)
    except (tarfile.TarError, EOFError) as error:
        raise BadArchive(f"not an archive of a workspace: {error}") from error


def _check(member: tarfile.TarInfo) -> None:
    if not (member.isreg() or member.isdir()):
        raise BadArchive(f"{member.name}: neither a file nor a folder")
    parts = Path(member.name).parts
    if Path(member.name).is_absolute() or ".." in parts:
        raise BadArchive(f"{member.name}: leaves the workspace")
