"""Windows into logs that may be large: read where they are asked for, never whole.

A place in a log is the number of its byte, so that a link to a line stays right however the log grows.
Everything here blocks for as long as a disk takes, and is called in a thread.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LINES: Final = 500
"""Of a window."""
_BYTES: Final = 256 << 10
"""Of a window, however long its lines are."""
_LONGEST: Final = 4_000
"""Characters of a line that are shown."""
_SEARCHED: Final = 64 << 20
"""Bytes that one request may look through."""
_PIECE: Final = 1 << 20
"""Bytes that are looked through at a time."""
TRACE: Final = "Traceback (most recent call last)"

_COLOURS: Final = re.compile(rb"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[()][A-Z0-9]|[@-Z\\-_])")


@dataclass(frozen=True, slots=True)
class Line:
    """A line, and where it begins."""

    at: int
    next_at: int
    """Where the line after it begins."""
    text: str
    is_trace: bool
    """It begins a traceback."""


@dataclass(frozen=True, slots=True)
class Window:
    """Some lines in a row, or those that hold what was looked for."""

    lines: tuple[Line, ...]
    begin: int
    """Where the first of them begins."""
    end: int
    """Where the next one would begin."""
    size: int
    """Bytes of the whole log, when it was read."""
    note: str = ""
    """What is to be said of the search."""


@dataclass(frozen=True, slots=True)
class Hit:
    """What came of a search for the next line that holds something."""

    at: int | None  # None: no line that was looked at holds it
    """Where that line begins."""
    go_on: int
    """Where the next search begins: behind that line, or what was looked through, or from the start."""
    note: str = ""
    """What is to be said when there is none."""


def at_end(path: Path) -> Window:
    """The last lines."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - _BYTES)
        file.seek(start)
        content = file.read(size - start)
    if start:
        start, content = _from_a_line(start, content)
    return _window(_lines(start, content)[-LINES:], size, start)


def of_tail(content: bytes) -> tuple[Line, ...]:
    """The last lines of a tail that somebody else has read; their places count within it."""
    return tuple(_lines(0, content)[-LINES:])


def after(path: Path, at: int) -> Window:
    """The lines from a place on; a place within a line stands for the line that holds it."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = _line_start(file.fileno(), min(at, size))
        file.seek(start)
        content = file.read(_BYTES)
    cut = content.rfind(b"\n") + 1
    if start + len(content) < size and cut:
        content = content[:cut]
    return _window(_lines(start, content)[:LINES], size, start)


def before(path: Path, at: int) -> Window:
    """The lines that lead up to a place."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        end = _line_start(file.fileno(), min(at, size))
        start = max(0, end - _BYTES)
        file.seek(start)
        content = file.read(end - start)
    if start:
        start, content = _from_a_line(start, content)
    return _window(_lines(start, content)[-LINES:], size, start)


def holding(path: Path, words: str, at: int) -> Window:
    """The lines from a place on that hold some words, in any case."""
    wanted = words.encode().lower()
    found: list[Line] = []
    size = path.stat().st_size
    end = at
    for start, content in _pieces(path, at):
        end = start + len(content)
        low = content.lower()
        place = low.find(wanted)
        while place >= 0:
            head = content.rfind(b"\n", 0, place) + 1
            tail = content.find(b"\n", place)
            tail = len(content) if tail < 0 else tail
            found.append(_line(start + head, content[head:tail]))
            if len(found) == LINES:
                return Window(tuple(found), at, start + tail + 1, size, "more follow")
            place = low.find(wanted, tail)
    note = "" if end >= size else f"looked through {_SEARCHED >> 20} MiB; more follows"
    return Window(tuple(found), at, end, size, note)


def next_place(path: Path, words: str, at: int) -> Hit:
    """Where the first line begins that holds some words at a place or behind it, and where to go on from it."""
    wanted = words.encode().lower()
    end = at
    for start, content in _pieces(path, at):
        end = start + len(content)
        place = content.lower().find(wanted, max(0, at - start))
        if place >= 0:
            line, rest = content.rfind(b"\n", 0, place) + 1, content.find(b"\n", place) + 1
            return Hit(start + line, start + (rest or len(content)))
    if end >= path.stat().st_size:
        return Hit(None, 0, f"nothing behind this holds {words!r}")
    return Hit(None, end, f"nothing in {_SEARCHED >> 20} MiB holds {words!r}; more follows")


def _pieces(path: Path, at: int) -> Iterator[tuple[int, bytes]]:
    """Pieces that begin and, as far as lines are not endless, end with lines; so many bytes in all."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = _line_start(file.fileno(), min(at, size))
        stop = min(size, max(at, start) + _SEARCHED)
        while start < stop:
            file.seek(start)
            content = file.read(_PIECE)
            cut = content.rfind(b"\n") + 1
            if cut and start + len(content) < size:
                content = content[:cut]
            yield start, content
            start += len(content)


def _line_start(file: int, at: int) -> int:
    """Where the line begins that holds a place; where it cannot be seen, the place itself."""
    start = max(0, at - _BYTES)
    content = os.pread(file, at - start, start)
    cut = content.rfind(b"\n") + 1
    return start + cut if cut or not start else at


def _from_a_line(start: int, content: bytes) -> tuple[int, bytes]:
    """The same without the piece of a line that it may begin with."""
    cut = content.find(b"\n") + 1
    return start + cut, content[cut:]


def _lines(start: int, content: bytes) -> list[Line]:
    found = []
    for raw in content.split(b"\n"):
        found.append(_line(start, raw))
        start += len(raw) + 1
    if found and not found[-1].text:
        found.pop()
    return found


def _line(at: int, raw: bytes) -> Line:
    """A line as a terminal would leave it: without colours, and only what was written over it last."""
    next_at = at + len(raw) + 1
    raw = _COLOURS.sub(b"", raw).rstrip(b"\r").rpartition(b"\r")[2]
    text = raw.decode(errors="replace")
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]} … {len(text) - _LONGEST} more characters"
    return Line(at, next_at, text, TRACE in text)


def _window(lines: list[Line], size: int, start: int) -> Window:
    begin = lines[0].at if lines else start
    return Window(tuple(lines), begin, min(size, lines[-1].next_at) if lines else begin, size)
