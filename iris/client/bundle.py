"""A workspace as one archive: what git tracks and what it would, the same bytes for the same files.

Outside a git repository, or in a folder that one ignores, all files are taken but hidden ones. Links
that leave the workspace, and links to folders, are refused, and so is more than the cap, naming what is
largest.
"""

import gzip
import io
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Final

from iris.exit_status import ExitStatus
from iris.problems import Failure

MAX_BUNDLE_BYTES: Final = 200 << 20
_LARGEST: Final = 5


class BadWorkspace(Failure, ValueError):
    """A workspace that cannot be sent; says which file, and what would be right."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitStatus.BAD_INPUT)


def pack(workspace: Path) -> bytes:
    """The archive of a workspace.

    Raises:
        BadWorkspace: it is no folder, too large, or has a link that leaves it.
    """
    root = workspace.resolve()
    if not root.is_dir():
        what = (
            "it is a file, and a workspace is a folder"
            if root.exists()
            else "there is no such folder"
        )
        raise BadWorkspace(f"{workspace}: {what}")
    names = _tracked(root)
    if names is None:
        names = _all_files(root)
    files = [(name, _checked(root, name)) for name in names]
    sizes = sorted(((path.stat().st_size, name) for name, path in files), reverse=True)
    total = sum(size for size, _ in sizes)
    if total > MAX_BUNDLE_BYTES:
        largest = ", ".join(f"{name} ({size >> 20} MiB)" for size, name in sizes[:_LARGEST])
        raise BadWorkspace(
            f"{workspace}: {total >> 20} MiB, more than {MAX_BUNDLE_BYTES >> 20}; the largest are"
            f" {largest}: put them into .gitignore, or name a smaller workspace"
        )
    out = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, path in files:
            _add(tar, name, path)
    return out.getvalue()


def _add(tar: tarfile.TarFile, name: str, path: Path) -> None:
    content = path.read_bytes()
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = 0o755 if os.access(path, os.X_OK) else 0o644
    tar.addfile(member, io.BytesIO(content))


def _tracked(root: Path) -> list[str] | None:
    """Tracked files, and untracked ones that are not ignored; nothing outside a repository."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    words = {**os.environ, "LC_ALL": "C"}
    try:
        listing = subprocess.run(command, cwd=root, env=words, capture_output=True, check=True)
    except OSError:
        return None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        if "not a git repository" in said:
            return None
        # What it would ignore, perhaps secrets, must not travel because git will not answer.
        raise BadWorkspace(f"{root}: git cannot say what belongs to it: {said}") from error
    names = dict.fromkeys(os.fsdecode(name) for name in listing.stdout.split(b"\0") if name)
    if not names and _is_ignored(root):
        return None
    found = [name for name in names if _is_sent(root / name)]
    for name in names:
        if _is_repository(
            root / name
        ):  # A submodule, or a clone within a clone: git names no more.
            found += [f"{name.rstrip('/')}/{below}" for below in _tracked(root / name) or ()]
    return sorted(found)


def _is_ignored(root: Path) -> bool:
    """Whether a folder is none of its repository's business: it lies in one, which ignores it whole."""
    asked = subprocess.run(["git", "check-ignore", "-q", "."], cwd=root, check=False)
    return asked.returncode == 0


def _is_repository(path: Path) -> bool:
    return path.is_dir() and (path / ".git").exists()


def _all_files(root: Path) -> list[str]:
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        folders[:] = [name for name in folders if name != "__pycache__"]
        place = Path(folder).relative_to(root)
        names = [*files, *(name for name in folders if (Path(folder) / name).is_symlink())]
        found += [str(place / name) for name in names if not name.startswith(".")]
    return sorted(name for name in found if _is_sent(root / name))


def _is_sent(path: Path) -> bool:
    """Whether a name is a file or a link: no pipe, no socket, no submodule, nothing deleted."""
    return path.is_symlink() or path.is_file()


def _checked(root: Path, name: str) -> Path:
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise BadWorkspace(f"{name}: a link that leaves the workspace; copy what it names")
    if not path.is_file():
        what = "a folder" if path.is_dir() else "nothing"
        raise BadWorkspace(f"{name}: a link to {what}; copy what it names, or add it to .gitignore")
    return path
