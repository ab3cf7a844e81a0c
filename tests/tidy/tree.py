"""What the project consists of: every file that is, or is about to be, tracked by git."""

import ast
import functools
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]


@functools.cache
def tracked() -> tuple[Path, ...]:
    """All files of the project, in the order of their names, ignored ones left out."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    names = sorted(dict.fromkeys(name for name in listing.split("\0") if name))
    return tuple(path for path in map(ROOT.joinpath, names) if path.is_file())


def name_of(path: Path) -> str:
    """How a file is called in a message: relative to the root, with slashes."""
    return path.relative_to(ROOT).as_posix()


def python_files(*folders: str) -> tuple[Path, ...]:
    """The Python files under the named folders, or all of them."""
    return tuple(
        path
        for path in tracked()
        if path.suffix == ".py"
        and (not folders or any(path.is_relative_to(ROOT / folder) for folder in folders))
    )


def markdown_files() -> tuple[Path, ...]:
    """Every page of documentation."""
    return tuple(path for path in tracked() if path.suffix == ".md")


@functools.cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of one of our modules."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=name_of(path))


def module_name(path: Path) -> str:
    """The name under which a file is imported; a package is named after its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def run_python(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Runs the tests' own interpreter at the root, with `text` on its standard input."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        input=text,
    )
