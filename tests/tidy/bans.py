"""What the core may not contain, found in its syntax trees, each with the way out.

The finder knows names, not types: a variable or a field counts as a set when its annotation or its
first value says so. That is enough to catch the slips that cost a day: a loop over a set gives
another order under another hash seed, and a golden file that changes with the weather.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

PURE: Final = frozenset(
    {
        "__future__", "abc", "base64", "bisect", "collections", "copy", "dataclasses", "difflib",
        "enum", "functools", "hashlib", "heapq", "iris", "itertools", "json", "math", "operator",
        "re", "string", "textwrap", "types", "typing",
    }
)  # fmt: skip
"""Roots of what the core may import: the parts of the standard library that only compute."""

CALLS: Final[Mapping[str, str]] = {
    "hash": "differs between runs: compare the value, or use a digest",
    "id": "is an address and differs between runs: give the thing a number when it is made",
    "print": "the core is silent: return a decision that says why",
    "open": "the core touches no outside: ask for an effect, and learn of it by a fact",
    "input": "the core touches no outside: take what you need as an event",
    "eval": "the core runs no text",
    "exec": "the core runs no text",
    "float": "the core counts in integers: milliseconds, millicores, bytes, parts of a million",
}
"""Built-in functions that the core may not call, and why."""

ORDER_FREE: Final = frozenset(
    {"all", "any", "frozenset", "len", "max", "min", "set", "sorted", "sum"}
)
"""Functions of a collection whose result does not depend on the order of its elements."""

ORDERED: Final = frozenset({"dict", "enumerate", "iter", "list", "map", "tuple", "zip", "filter"})
"""Functions that hand on the order of what they are given."""

SET_TYPES: Final = frozenset({"AbstractSet", "FrozenSet", "MutableSet", "Set", "frozenset", "set"})
SET_LOOP: Final = "the order of a set is an accident: keep a dict, or loop over sorted(…)"
DIVISION: Final = "`/` makes a float, which is not exact: use `//`, and say which way it rounds"
FLOAT: Final = "a float is not exact: count in a smaller unit"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One place that breaks a rule, and what would be right."""

    line: int
    message: str


@dataclass(slots=True)
class SetNames:
    """Which names of one module stand for sets, as far as its text tells."""

    names: dict[str, bool] = field(default_factory=dict)

    def learn(self, name: str, *, is_set: bool) -> None:
        """A name counts as a set only when every definition of it is one."""
        self.names[name] = self.names.get(name, True) and is_set

    def is_set(self, node: ast.expr) -> bool:
        """Whether an expression gives a set."""
        match node:
            case ast.Set() | ast.SetComp():
                return True
            case ast.Call(func=ast.Name(id="set" | "frozenset")):
                return True
            case ast.BinOp(op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor()):
                return self.is_set(node.left) or self.is_set(node.right)
            case ast.Name(id=name) | ast.Attribute(attr=name):
                return self.names.get(name, False)
            case _:
                return False


def set_names(trees: Iterable[ast.Module]) -> SetNames:
    """The names that stand for sets in all of these modules."""
    found = SetNames()
    for tree in trees:
        for node in ast.walk(tree):
            _learn_names(found, node)
    return found


def _learn_names(found: SetNames, node: ast.AST) -> None:
    match node:
        case ast.AnnAssign(target=ast.Name(id=name) | ast.Attribute(attr=name)):
            found.learn(name, is_set=_says_set(node.annotation, node.value, found))
        case ast.arg(arg=name, annotation=ast.expr() as annotation):
            found.learn(name, is_set=_says_set(annotation, None, found))
        case ast.Assign(targets=[ast.Name(id=name) | ast.Attribute(attr=name)], value=value):
            found.learn(name, is_set=found.is_set(value))
        case ast.For(target=ast.Name(id=name)) | ast.comprehension(target=ast.Name(id=name)):
            found.learn(name, is_set=False)
        case _:
            pass


def _says_set(annotation: ast.expr, value: ast.expr | None, found: SetNames) -> bool:
    head = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    spelled = head.id if isinstance(head, ast.Name) else ""
    if spelled == "Final" and value is not None:
        return found.is_set(value)
    return spelled in SET_TYPES


def impurities(tree: ast.Module, sets: SetNames) -> Sequence[Finding]:
    """Every place of a module that the core's rules forbid, from its top to its end."""
    found: list[Finding] = []
    free = _order_free_generators(tree)
    for node in ast.walk(tree):
        found.extend(_bad_imports(node))
        found.extend(_bad_calls(node))
        found.extend(_bad_numbers(node))
        found.extend(_bad_waits(node))
        found.extend(_set_loops(node, sets, free))
    return sorted(found)


def _order_free_generators(tree: ast.Module) -> frozenset[int]:
    """Where the generators stand whose consumer does not care for order, by line and column."""
    return frozenset(
        _place(argument)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ORDER_FREE
        for argument in node.args
    )


def _place(node: ast.expr) -> int:
    return node.lineno * 1_000 + node.col_offset


def _bad_imports(node: ast.AST) -> Iterator[Finding]:
    match node:
        case ast.Import(names=names):
            modules = [alias.name for alias in names]
        case ast.ImportFrom(module=str(module)):
            modules = [module]
        case _:
            return
    for module in modules:
        if module.split(".")[0] not in PURE:
            yield Finding(
                node.lineno,
                f"import of {module}: not among the pure modules (PURE in tests/tidy/bans.py)",
            )
        elif module.startswith("iris") and not module.startswith("iris.core"):
            yield Finding(node.lineno, f"import of {module}: the core knows nothing above itself")


def _bad_calls(node: ast.AST) -> Iterator[Finding]:
    match node:
        case ast.Call(func=ast.Name(id=name)) if name in CALLS:
            yield Finding(node.lineno, f"{name}(): {CALLS[name]}")
        case _:
            pass


def _bad_numbers(node: ast.AST) -> Iterator[Finding]:
    match node:
        case ast.Constant(value=float()):
            yield Finding(node.lineno, FLOAT)
        case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
            yield Finding(node.lineno, DIVISION)
        case _:
            pass


def _bad_waits(node: ast.AST) -> Iterator[Finding]:
    match node:
        case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
            yield Finding(node.lineno, "a step is synchronous: nobody may see half a turn")
        case ast.Global():
            yield Finding(node.lineno, "global: state lives in ClusterState, where replay finds it")
        case _:
            pass


def _set_loops(node: ast.AST, sets: SetNames, free: frozenset[int]) -> Iterator[Finding]:
    for source in _iterated(node, free):
        if sets.is_set(source):
            yield Finding(source.lineno, SET_LOOP)
    match node:
        case ast.Call(func=ast.Attribute(attr="pop", value=source), args=[]) if sets.is_set(source):
            yield Finding(node.lineno, SET_LOOP)
        case _:
            pass


def _iterated(node: ast.AST, free: frozenset[int]) -> Iterator[ast.expr]:
    """The expressions whose elements are taken in their order here."""
    match node:
        case ast.For(iter=source) | ast.Starred(value=source) | ast.YieldFrom(value=source):
            yield source
        case ast.ListComp() | ast.DictComp():
            yield from (generator.iter for generator in node.generators)
        case ast.GeneratorExp() if _place(node) not in free:
            yield from (generator.iter for generator in node.generators)
        case ast.Call(func=ast.Name(id=name), args=args) if name in ORDERED:
            yield from args
        case ast.Call(func=ast.Attribute(attr="join" | "extend" | "fromkeys"), args=args):
            yield from args
        case _:
            pass
