"""The core computes: no clock, no dice, no outside, no accident of order, no inexact number."""

import ast
import functools
import textwrap
from pathlib import Path

import pytest

from tests.tidy.bans import SetNames, impurities, set_names
from tests.tidy.tree import name_of, parsed, python_files

CORE = python_files("iris/core")


@functools.cache
def sets_of_the_core() -> SetNames:
    """The names under which any of its modules keeps a set."""
    return set_names(parsed(path) for path in CORE)


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_a_core_module_only_computes(path: Path) -> None:
    found = impurities(parsed(path), sets_of_the_core())
    places = [f"{name_of(path)}:{finding.line}: {finding.message}" for finding in found]
    assert not places, "\n".join(places)


PLANTED = {
    "the clock": "import time",
    "a clock inside a function": "def now():\n    from datetime import datetime",
    "dice": "from random import choice",
    "a third party": "import yaml",
    "a layer above": "from iris.config import load_cluster",
    "an address": "key = id(object())",
    "a hash": "seed = hash('a')",
    "a print": "print('placed')",
    "a file": "open('state')",
    "a float": "share = 0.5",
    "a division": "def half(a: int) -> int:\n    return a / 2",
    "a division in place": "def halve(a: int) -> None:\n    a /= 2",
    "a coroutine": "async def step():\n    pass",
    "a global": "def bump():\n    global counter\n    counter = 1",
    "a loop over a display": "for x in {1, 2}:\n    pass",
    "a loop over a constructor": "for x in set([1]):\n    pass",
    "a loop over an annotated name": "def f(seen: set[int]):\n    for x in seen:\n        pass",
    "a loop over a field": """
        class State:
            waiting: set[int]
        def f(state):
            return [w for w in state.waiting]
        """,
    "a loop over a constant": """
        ENDED: Final = frozenset({1, 2})
        for state in ENDED:
            pass
        """,
    "a loop over a difference": "def f(a: set[int], b: list[int]):\n    return list(a - set(b))",
    "a join of a set": "text = ', '.join({'a', 'b'})",
    "a generator over a set": "first = next(x for x in {1, 2})",
    "an unpacked set": "both = [*{1, 2}]",
    "any element of a set": "def f(free: set[int]):\n    return free.pop()",
}


@pytest.mark.parametrize("text", PLANTED.values(), ids=PLANTED)
def test_a_planted_impurity_is_found(text: str) -> None:
    tree = ast.parse(textwrap.dedent(text))
    assert len(impurities(tree, set_names([tree]))) == 1


CLEAN = {
    "membership": "def f(seen: set[int], x: int):\n    return x in seen",
    "sorted": "def f(seen: set[int]):\n    return [x for x in sorted(seen)]",
    "a question without an order": "def f(seen: set[int]):\n    return any(x > 1 for x in seen)",
    "a whole division": "def f(a: int):\n    return a // 2",
    "a dict": "def f(table: dict[str, int]):\n    return [key for key in table]",
    "a name that is a list elsewhere": """
        def f(waiting: list[int]):
            return [w for w in waiting]
        def g(waiting: set[int]):
            return len(waiting)
        """,
    "a pure import": "from collections import OrderedDict",
}


@pytest.mark.parametrize("text", CLEAN.values(), ids=CLEAN)
def test_what_only_computes_is_let_through(text: str) -> None:
    tree = ast.parse(textwrap.dedent(text))
    assert impurities(tree, set_names([tree])) == []
