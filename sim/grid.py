"""The points of a sweep: every combination of the values that its keys are given.

A setting is `KEY=A,B,C`, `KEY=1..5`, or both mixed; a key with a single value is set at every point.
Points come in the order of the settings: the first key changes slowest, as in nested loops. What the
values mean is the scenario's business; here they are texts.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Final

from iris.problems import BadInput, Problem

MOST_POINTS: Final = 10_000
_RANGE: Final = re.compile(r"([-+.\w]*?)\.\.([-+.\w]*)")
_WHOLE: Final = re.compile(r"-?\d{1,18}")
_PAIRS: Final = {"[": "]", "{": "}"}


@dataclass(frozen=True, slots=True)
class Axis:
    """A key, and the values that it takes."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """One combination of values."""

    overrides: tuple[str, ...]
    """As `load_scenario` takes them."""
    swept: tuple[tuple[str, str], ...]
    """Of the keys that differ between points: each with its value here."""

    @property
    def label(self) -> str:
        """As messages name it: `max_slices=4 idle_timeout=5m`, with whole keys."""
        return " ".join(f"{key}={value}" for key, value in self.swept)


@dataclass(frozen=True, slots=True)
class Grid:
    """The axes of a sweep, in the order in which they were given."""

    axes: tuple[Axis, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """Those that differ between points."""
        return tuple(axis.key for axis in self.axes if len(axis.values) > 1)

    @property
    def fixed(self) -> dict[str, str]:
        """Those that are the same at every point, and their values."""
        return {axis.key: axis.values[0] for axis in self.axes if len(axis.values) == 1}

    def points(self) -> Iterator[Point]:
        """All of them; the first key changes slowest."""
        for values in product(*(axis.values for axis in self.axes)):
            chosen = list(zip(self.axes, values, strict=True))
            yield Point(
                overrides=tuple(f"{axis.key}={value}" for axis, value in chosen),
                swept=tuple((axis.key, value) for axis, value in chosen if len(axis.values) > 1),
            )


def grid_of(settings: Sequence[str]) -> Grid:
    """The grid that the settings span.

    Raises:
        BadInput: one is no setting, a list or range is wrong, or nothing differs; with all problems.
    """
    problems: list[Problem] = []
    axes: dict[str, Axis] = {}
    for setting in settings:
        try:
            axis = _axis(setting)
        except BadInput as error:
            problems += error.problems
            continue
        if axis.key in axes:
            hint = "give all of its values in one list"
            problems.append(_wrong(setting, 0, f"`{axis.key}` is set twice", hint))
        axes.setdefault(axis.key, axis)
    if problems:
        raise BadInput(problems)
    grid = Grid(tuple(axes.values()))
    count = prod(len(axis.values) for axis in grid.axes)
    if count < 2:
        hint = "write --set KEY=A,B,C or --set KEY=1..5"
        raise BadInput([Problem("--set", 0, 0, "", "no key has more than one value", hint, "")])
    if count > MOST_POINTS:
        message = f"the values give more than {MOST_POINTS:,} points"
        hint = "give fewer values, or sweep the keys one after the other"
        raise BadInput([Problem("--set", 0, 0, "", message, hint, "")])
    return grid


def _axis(setting: str) -> Axis:
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        hint = "write KEY=A,B,C or KEY=1..5, as workload.train.count=5,10"
        raise BadInput([_wrong(setting, 0, f"`{setting}` sets nothing", hint)])
    if key.strip() == "seed":
        hint = "all points have the same seeds; say --seed and --replications"
        raise BadInput([_wrong(setting, 0, "`seed` cannot be swept", hint)])
    values: dict[str, None] = {}
    for at, item in _items(text):
        for value in _values(setting, len(key) + 1 + at, item):
            if value in values:
                message, hint = f"`{value}` is listed twice", "name each value once"
                raise BadInput([_wrong(setting, len(key) + 1 + at, message, hint)])
            values[value] = None
    return Axis(key.strip(), tuple(values))


def _values(setting: str, at: int, item: str) -> Sequence[str]:
    """An item of a list: a value, or a range of whole numbers with both ends."""
    if not item:
        hint = "write KEY=A,B,C; `null` is the value for nothing"
        raise BadInput([_wrong(setting, at, "a value is empty", hint)])
    ends = _RANGE.fullmatch(item)
    if ends is None:
        return (item,)
    if not all(_WHOLE.fullmatch(end) for end in ends.groups()):
        hint = "a range has whole numbers at both ends, as 1..5; list other values: 10m,20m"
        raise BadInput([_wrong(setting, at, f"`{item}` is no range", hint)])
    first, last = (int(end) for end in ends.groups())
    if first > last:
        hint = f"the smaller end comes first: {last}..{first}"
        raise BadInput([_wrong(setting, at, f"`{item}` is an empty range", hint)])
    # One more than can be had is enough to refuse it, whatever the ends.
    return [str(number) for number in range(first, min(last, first + MOST_POINTS) + 1)]


def _items(text: str) -> Iterator[tuple[int, str]]:
    """The parts between commas, each with its place; commas in brackets or quotes part nothing."""
    closing: list[str] = []
    start, before = 0, ","
    for at, char in enumerate(text):
        if closing and char == closing[-1]:
            closing.pop()
        elif closing[-1:] in (['"'], ["'"]):
            continue
        elif char in _PAIRS:
            closing.append(_PAIRS[char])
        elif char in "'\"" and before in ",:[{":
            closing.append(char)
        elif char == "," and not closing:
            yield start, text[start:at].strip()
            start = at + 1
        if char != " ":
            before = char
    yield start, text[start:].strip()


def _wrong(setting: str, at: int, message: str, hint: str) -> Problem:
    return Problem("--set", 1, at + 1, "", message, hint, setting)
