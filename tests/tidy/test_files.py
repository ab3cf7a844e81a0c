"""Files: small, explained, used, portable, finished, and where a stranger looks for them."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.tidy.tree import ROOT, module_name, name_of, parsed, python_files, tracked

MODULE_LINES: Final = 400
CORE_LINES: Final = 600
FUNCTION_LINES: Final = 40

LONG_MODULES: Final[dict[str, int]] = {
    "tests/properties/machines.py": 465,
}
"""Modules over 400 lines that are one thought, and their length. Numbers here only fall."""

LONG_FUNCTIONS: Final[dict[str, int]] = {
    "iris/cli/job.py:run": 42,
    "iris/core/apply.py:_apply_quietly": 48,
}
"""Functions over 40 lines without their docstring, likewise. These are total matches, and a command
with an option a line."""

TOP_LEVEL: Final = frozenset(
    {"README.md", "docker", "docs", "iris", "pyproject.toml", "scenarios", "sim", "tests"}
)
"""All that the top level may hold, beside the dot files that tools need."""

AWAITED: Final[dict[str, str]] = {
    "iris/core/replay.py": "read by the controller's journal and by `iris sim replay`",
    "iris/core/recovery.py": "asked by the controller after a restart",
    "iris/core/views.py": "read by the command line and the dashboard",
}
"""Parts of the core that are proven here and whose first caller in the product is still to come."""

PRODUCT: Final = python_files("iris", "sim")
ALL_PYTHON: Final = python_files()


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_a_module_fits_into_a_head() -> None:
    long = {name_of(p): lines_of(p) for p in ALL_PYTHON if lines_of(p) > MODULE_LINES}
    over = {name: n for name, n in long.items() if n > LONG_MODULES.get(name, MODULE_LINES)}
    assert not over, f"over {MODULE_LINES} lines: would two rooms be clearer? {over}"
    stale = sorted(LONG_MODULES.keys() - long.keys())
    assert not stale, f"short again: take them out of LONG_MODULES: {stale}"


def test_a_core_module_never_passes_the_limit_of_the_contract() -> None:
    over = {name_of(p): n for p in python_files("iris/core") if (n := lines_of(p)) > CORE_LINES}
    assert not over, f"over {CORE_LINES} lines, for which there is no exception: {over}"


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function, its docstring left out."""
    total = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is None:
        return total
    return total - ((first.end_lineno or first.lineno) - first.lineno + 1)


def functions(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function below a node; they are statements, so expressions are not looked into."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
        if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield from functions(child)


def test_a_function_does_one_thing() -> None:
    long = {
        f"{name_of(path)}:{node.name}": code_lines(node)
        for path in ALL_PYTHON
        for node in functions(parsed(path))
        if code_lines(node) > FUNCTION_LINES
    }
    over = {name: n for name, n in long.items() if n > LONG_FUNCTIONS.get(name, FUNCTION_LINES)}
    assert not over, f"over {FUNCTION_LINES} lines: {over}"
    stale = sorted(LONG_FUNCTIONS.keys() - long.keys())
    assert not stale, f"short again: take them out of LONG_FUNCTIONS: {stale}"


def test_a_module_opens_by_saying_what_it_is() -> None:
    silent = [
        name_of(path)
        for path in ALL_PYTHON
        if len((ast.get_docstring(parsed(path), clean=False) or "").split()) < 4
    ]
    assert not silent, f"they open without a sentence about themselves: {silent}"


def named_modules(path: Path) -> set[str]:
    """Every module that a file imports, or names in a string as lazy loading does."""
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        match node:
            case ast.Import(names=names):
                found.update(alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                found.add(module)
                found.update(f"{module}.{alias.name}" for alias in names)
            case ast.Constant(value=str(text)) if re.fullmatch(r"(iris|sim)(\.\w+)+(:\w+)?", text):
                found.add(text.partition(":")[0])
    return found


def test_every_module_of_the_product_is_used_by_the_product() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    used = {target.partition(":")[0] for target in scripts.values()}
    for path in PRODUCT:
        used |= named_modules(path) - {module_name(path)}
    dead = [
        name_of(path)
        for path in PRODUCT
        if path.stem not in {"__init__", "__main__"}
        and module_name(path) not in used
        and name_of(path) not in AWAITED
    ]
    assert not dead, f"imported by nothing but tests: {dead}"


def test_every_folder_of_modules_is_a_package() -> None:
    bare = sorted(
        {name_of(p.parent) for p in ALL_PYTHON if not (p.parent / "__init__.py").exists()}
    )
    assert not bare, f"without __init__.py the import linter does not see them: {bare}"


def test_the_top_level_holds_what_a_stranger_expects() -> None:
    names = {name_of(path).split("/")[0] for path in tracked()}
    odd = sorted(name for name in names - TOP_LEVEL if not name.startswith("."))
    assert not odd, f"put them into one of {sorted(TOP_LEVEL)}: {odd}"


UNFINISHED: Final = re.compile(
    r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "place" + "holder", "for" + " now"))
    + r")\b"
)  # fmt: skip
MACHINE: Final = re.compile(
    "|".join(
        (
            r"(?<![\w.~/-])/(work|root|home|Users|mnt|opt/wheels|opt/py" + r"pi)/",
            r"\bpy" + r"pi\.org|python" + r"hosted|/sim" + r"ple/|index-" + r"url|find-" + r"links",
        )
    )
)


def offences(pattern: re.Pattern[str], text: str) -> list[str]:
    return [
        f"{number}: {line.strip()[:80]}"
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]


def text_files() -> list[Path]:
    return [path for path in tracked() if b"\0" not in path.read_bytes()[:8_000]]


@pytest.mark.parametrize(
    ("pattern", "lesson"),
    [
        (UNFINISHED, "finish it, or say in docs/ what is not there"),
        (MACHINE, "a path or an index of one machine is wrong on all others"),
    ],
    ids=["unfinished", "machine"],
)
def test_nothing_tracked_is(pattern: re.Pattern[str], lesson: str) -> None:
    found = [
        f"{name_of(path)}:{offence}"
        for path in text_files()
        for offence in offences(pattern, path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join([lesson, *found])


def test_no_tracked_file_names_the_folder_it_was_written_in() -> None:
    found = [name_of(p) for p in text_files() if f"{ROOT}/" in p.read_text(encoding="utf-8")]
    assert not found, f"they name {ROOT}: {found}"


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (UNFINISHED, "# TO" + "DO: later"),
        (UNFINISHED, "returns 0 for" + " now"),
        (MACHINE, "open('/ho" + "me/alice/x')"),
        (MACHINE, "--index-" + "url=https://x"),
    ],
)
def test_a_planted_offence_is_found(pattern: re.Pattern[str], line: str) -> None:
    assert offences(pattern, line)


def test_a_workspace_is_no_machine_path() -> None:
    assert not offences(MACHINE, "see docs/root/notes.md, ~/work and /workspace/code")
