"""How lists and objects are printed: aligned columns for people, one JSON object for programs."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import click

from iris.cli.watch import is_watching


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns, never cropped."""
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def print_list(kind: str, items: Sequence[Mapping[str, object]], total: int | None = None) -> None:
    """A list as one JSON object."""
    count = len(items) if total is None else total
    _dump({"schema": "iris/v1", "kind": f"{kind}List", "items": list(items), "total": count})


def print_object(kind: str, item: Mapping[str, object]) -> None:
    """One thing as one JSON object."""
    _dump({"schema": "iris/v1", "kind": kind, **item})


def _dump(whole: Mapping[str, object]) -> None:
    click.echo(json.dumps(whole, indent=None if is_watching() else 2))
    sys.stdout.flush()


def timestamp(millis: int) -> str:
    """An instant as RFC 3339, UTC."""
    return datetime.fromtimestamp(millis / 1_000, UTC).isoformat().replace("+00:00", "Z")


def age(millis: int, until: int | None = None) -> str:
    """How long ago, or how long, in the largest unit that fits."""
    seconds = max(0, (until if until is not None else time.time() * 1_000) - millis) / 1_000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"
