"""How lists and objects are printed: aligned columns for people, one JSON object for programs."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import click

from iris.cli.watch import is_watching

_F = TypeVar("_F", bound=Callable[..., Any])

_GAP: Final = "  "
_LEAST_TEXT: Final = 12
"""Columns that the last cell must have to be worth showing."""


def wide_option(command: _F) -> _F:
    """Gives a command that prints a table `--wide`."""
    return click.option("--wide", is_flag=True, help="Show all columns, however wide.")(command)


def print_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    spare: Sequence[str] | None = None,
) -> None:
    """Aligned columns, as they are, unless it may spare some and a terminal is too narrow for all.

    Args:
        header: the columns' names.
        rows: their cells.
        spare: columns that a narrow terminal does without, the first of them first; the last column
            is cut before that. None: nothing is ever left out.
    """
    lines = [tuple(header), *(tuple(row) for row in rows)]
    if spare is not None and sys.stdout.isatty():
        lines = fitted(lines, spare, shutil.get_terminal_size().columns)
    widths = _widths(lines)
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo(_GAP.join(cells).rstrip())


def fitted(
    lines: Sequence[tuple[str, ...]], spare: Sequence[str], width: int
) -> list[tuple[str, ...]]:
    """Lines, the first of which is the header, for a terminal of so many columns."""
    kept = list(lines)
    for name in (None, *spare):
        if name is not None:
            place = kept[0].index(name)
            kept = [line[:place] + line[place + 1 :] for line in kept]
        widths = _widths(kept)
        room = width - sum(widths[:-1]) - len(_GAP) * (len(widths) - 1)
        if widths[-1] <= room:
            return kept
        if kept[0][-1] == lines[0][-1] and room >= _LEAST_TEXT:
            return [(*line[:-1], cut(line[-1], room)) for line in kept]
    return kept


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]


def cut(text: str, room: int) -> str:
    """As much of a text as there is room for, with an ellipsis where some is lost."""
    return text if len(text) <= room else f"{text[: room - 1].rstrip()}…"


def print_list(kind: str, items: Sequence[Mapping[str, object]], total: int | None = None) -> None:
    """A list as one JSON object."""
    count = len(items) if total is None else total
    _dump({"schema": "iris/v1", "kind": f"{kind}List", "items": list(items), "total": count})


def count(number: int, noun: str) -> str:
    """So many of something, whose plural has an `s`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def print_object(kind: str, item: Mapping[str, object]) -> None:
    """One thing as one JSON object."""
    _dump({"schema": "iris/v1", "kind": kind, **item})


def _dump(whole: Mapping[str, object]) -> None:
    click.echo(json.dumps(whole, indent=None if is_watching() else 2))
    sys.stdout.flush()


def age(millis: int, until: int | None = None) -> str:
    """How long ago, or how long, in the largest unit that fits."""
    seconds = max(0, (until if until is not None else time.time() * 1_000) - millis) / 1_000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


def memory(used_bytes: int, whole_bytes: int) -> str:
    """How much of how much, in the unit that a person would use for the whole."""
    shift, unit = (30, "GiB") if whole_bytes >= 10 << 30 else (20, "MiB")
    return f"{used_bytes / (1 << shift):.0f}/{whole_bytes / (1 << shift):.0f} {unit}"
