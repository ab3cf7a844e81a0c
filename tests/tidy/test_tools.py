"""The linter, the formatter, the type checker and the import contracts have nothing to say."""

import pytest

from tests.tidy.tree import run_python

TOOLS = {
    "ruff check": ("-m", "ruff", "check", "--quiet", "--output-format=concise", "."),
    "ruff format": ("-m", "ruff", "format", "--quiet", "--diff", "."),
    "mypy": ("-m", "mypy", "--no-error-summary"),
    "import-linter": ("-c", "import sys, importlinter.cli as c; sys.exit(c.lint_imports())"),
}


@pytest.mark.parametrize("arguments", TOOLS.values(), ids=TOOLS)
def test_a_tool_is_content(arguments: tuple[str, ...]) -> None:
    done = run_python(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr


PLANTED_IN_THE_CORE = {
    "import time\n": "take `now: Instant`",
    "from datetime import datetime\n": "take `now: Instant`",
    "import random\n": "rolls no dice",
    "import uuid\n": "minted from counters",
    "import asyncio\n": "`step` is synchronous",
}


@pytest.mark.parametrize(("text", "lesson"), PLANTED_IN_THE_CORE.items())
def test_the_linter_teaches_whoever_reaches_outside_from_the_core(text: str, lesson: str) -> None:
    check = ("-m", "ruff", "check", "--select=TID251", "-")
    in_the_core = run_python(*check, "--stdin-filename=iris/core/planted.py", text=text)
    assert in_the_core.returncode == 1
    assert lesson in in_the_core.stdout
    elsewhere = run_python(*check, "--stdin-filename=iris/planted.py", text=text)
    assert elsewhere.returncode == 0, elsewhere.stdout
