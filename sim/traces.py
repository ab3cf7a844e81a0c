"""Traces: files of what really happened, read whole and checked before a run begins.

A job trace becomes three columns of whole numbers and the users, in order of submission; rows of
one instant keep the order of the file. Two forms are read, plain or gzipped: CSV with a header, and
the Standard Workload Format. A capacity trace becomes the steps of a zone's capacity.

What a file leaves unknown is left out (an SWF row without a run time or without processors, which
the format writes as -1 and some logs as 0); what is wrong is refused, with its line.
"""

import csv
import gzip
import io
import json
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Final

from iris.core.instant import Instant
from sim.model import Trace, TraceUnit

WIDTH_COLUMNS: Final[Mapping[TraceUnit, str]] = {
    TraceUnit.CPU: "cpu",
    TraceUnit.GPU: "gpus",
    TraceUnit.REPLICAS: "replicas",
}
COLUMNS: Final = ("submit_s", "duration_s", *WIDTH_COLUMNS.values(), "user")
"""What the columns of a CSV trace of jobs are called, unless the entry renames them."""

MOST_ROWS: Final = 20_000_000
MOST_PROBLEMS: Final = 10
"""After this many wrong rows the rest of a file is not read."""
_LONGEST_QUOTE: Final = 500
LONGEST_S: Final = 10_000_000_000.0
"""317 years, in seconds; also room for times counted since 1970."""


@dataclass(frozen=True, slots=True)
class TraceProblem:
    """What is wrong with a line of a trace, or with the file when `line` is 0."""

    line: int
    message: str
    source: str = ""


class BadTrace(ValueError):
    """A trace that cannot be used."""

    def __init__(self, file: Path, problems: tuple[TraceProblem, ...]) -> None:
        """The problems of this file."""
        self.file = file
        self.problems = problems
        lines = (f"{file}:{one.line}: {one.message}" for one in problems)
        super().__init__("\n".join(lines))


@dataclass(frozen=True, slots=True)
class TraceJobs:
    """The jobs of a trace, column by column, in order of submission."""

    submit_ms: "array[int]"
    run_ms: "array[int]"
    width_milli: "array[int]"
    """Processors, in thousandths."""
    users: tuple[str, ...]
    """Empty: the file names no users. An empty name is an unknown user."""
    left_out: int
    """Rows whose run time or processors are unknown."""

    def __len__(self) -> int:
        """How many jobs there are."""
        return len(self.submit_ms)


def read_header(file: Path) -> tuple[str, ...]:
    """The names of the columns of a CSV trace."""
    with _opened(file) as lines:
        return tuple(cell.strip() for cell in next(_table(lines, _Rows(file)), ()))


def read_jobs(trace: Trace) -> TraceJobs:
    """The jobs of the trace, before its scale and limit; the same file is read once."""
    try:
        status = trace.file.stat()
    except OSError as error:
        raise BadTrace(trace.file, (TraceProblem(0, _why_unreadable(error)),)) from error
    columns = tuple(sorted(trace.columns.items()))
    version = (status.st_mtime_ns, status.st_size)
    return _read_jobs(trace.file, trace.format, trace.unit, columns, version)


@lru_cache(maxsize=16)
def _read_jobs(
    file: Path,
    form: str,
    unit: TraceUnit,
    columns: tuple[tuple[str, str], ...],
    version: tuple[int, int],
) -> TraceJobs:
    del version  # a changed file is another file
    with _opened(file) as lines:
        reader = _Rows(file)
        if form == "swf":
            return reader.collect(_swf_rows(lines, reader), unit)
        return reader.collect(_csv_rows(lines, reader, columns, unit), unit)


_Row = tuple[float, float, float, str]
"""Submit, run time (both in seconds), processors, user."""


class _Rows:
    """Collects the rows of one file, and what is wrong with some of them."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.line = 0
        self.left_out = 0
        self._first_left_out: TraceProblem | None = None  # None: every row is known whole
        self._problems: list[TraceProblem] = []

    def wrong(self, message: str) -> None:
        """Notes a wrong line, and gives up after too many."""
        self._problems.append(TraceProblem(self.line, message))
        if len(self._problems) >= MOST_PROBLEMS:
            self.give_up()

    def leave_out(self, run: float, width: float) -> None:
        """Counts a row of which too little is known to run it."""
        self.left_out += 1
        if self._first_left_out is None:
            message = (
                f"has no jobs that are known whole: here the run time is {run:g} s on {width:g}"
                " processors; a job needs 0 s or more, and more than 0 processors"
            )
            self._first_left_out = TraceProblem(self.line, message)

    def fail(self, message: str) -> BadTrace:
        """The error that this one thing makes of the file."""
        return BadTrace(self.file, (TraceProblem(self.line, message),))

    def give_up(self) -> None:
        """Refuses the file if anything was wrong with it."""
        if self._problems:
            raise BadTrace(self.file, tuple(_quoted(self.file, self._problems)))

    def collect(self, rows: Iterator[_Row], unit: TraceUnit) -> TraceJobs:
        """The rows as columns, in order of submission."""
        submits, runs, widths = array("q"), array("q"), array("q")
        users: list[str] = []
        is_divisible = unit is TraceUnit.CPU
        for submit, run, width, user in rows:
            if not 0.0 <= submit <= LONGEST_S:
                self.wrong(f"submit time {submit:g} is not within 0 and {LONGEST_S:g} s")
            elif not 0.0 <= run <= LONGEST_S:
                self.wrong(f"run time {run:g} is not within 0 and {LONGEST_S:g} s")
            elif not 0.0 < width <= 1e9:
                self.wrong(f"{width:g} processors; a job needs more than 0")
            elif not is_divisible and width != int(width):
                self.wrong(f"{width:g} {WIDTH_COLUMNS[unit]}; it must be a whole number")
            elif len(submits) >= MOST_ROWS:
                raise self.fail(f"more than {MOST_ROWS:,} rows")
            else:
                submits.append(int(submit * 1000 + 0.5))
                runs.append(int(run * 1000 + 0.5))
                widths.append(max(1, int(width * 1000 + 0.5)))
                users.append(user)
        self.give_up()
        if not submits:
            if self._first_left_out is not None:
                self._problems.append(self._first_left_out)
                self.give_up()
            self.line = 0
            raise self.fail("has no jobs")
        return _in_order(TraceJobs(submits, runs, widths, tuple(users), self.left_out))


def _quoted(file: Path, problems: Iterable[TraceProblem]) -> Iterator[TraceProblem]:
    """The problems with the lines that they stand in; rows were not kept while all was well."""
    at = {problem.line: problem for problem in problems}
    with _opened(file) as lines:
        for number, text in enumerate(islice(lines, max(at)), start=1):
            if number in at:
                yield replace(at[number], source=text.rstrip()[:_LONGEST_QUOTE])


def _in_order(jobs: TraceJobs) -> TraceJobs:
    """The jobs by submit time, those of one instant as the file has them."""
    submits = jobs.submit_ms
    order = sorted(range(len(submits)), key=submits.__getitem__)
    return TraceJobs(
        submit_ms=array("q", [submits[i] for i in order]),
        run_ms=array("q", [jobs.run_ms[i] for i in order]),
        width_milli=array("q", [jobs.width_milli[i] for i in order]),
        users=tuple(jobs.users[i] for i in order) if any(jobs.users) else (),
        left_out=jobs.left_out,
    )


def _swf_rows(lines: Iterator[str], reader: _Rows) -> Iterator[_Row]:
    """Columns, from 1: submit 2, run time 4, allocated 5 and requested 8 processors, user 12."""
    for number, text in enumerate(lines, start=1):
        cells = text.split()
        if not cells or cells[0].startswith(";"):
            continue
        reader.line = number
        try:
            submit, run, width = float(cells[1]), float(cells[3]), float(cells[4])
            requested = float(cells[7]) if len(cells) > 7 else -1.0
            user = int(cells[11]) if len(cells) > 11 else -1
        except (ValueError, IndexError):
            reader.wrong("no row of the workload format: 18 columns of numbers")
            continue
        width = requested if requested > 0 else width
        if run < 0 or width <= 0:
            reader.leave_out(run, width)
        else:
            yield submit, run, width, f"user{user}" if user >= 0 else ""


def _csv_rows(
    lines: Iterator[str], reader: _Rows, columns: tuple[tuple[str, str], ...], unit: TraceUnit
) -> Iterator[_Row]:
    table = _table(lines, reader)
    header = next(table, None)
    if header is None:
        raise reader.fail("is empty; the first line must name the columns, as submit_s,duration_s")
    names = [cell.strip() for cell in header]
    at = {name: names.index(actual) for name, actual in columns if actual in names}
    for name, actual in columns:
        if name not in at and name != "user":
            raise reader.fail(
                f"has no column `{actual}`, only {', '.join(names)}; rename it by"
                f" `columns: {{{name}: ...}}`"
            )
    places = (at["submit_s"], at["duration_s"], at[WIDTH_COLUMNS[unit]])
    user_at = at.get("user")
    for cells in table:
        row = _csv_row(cells, places, reader)
        if row is not None:
            yield *row, "" if user_at is None else _user(cells, user_at)


def _csv_row(
    cells: list[str], places: tuple[int, int, int], reader: _Rows
) -> tuple[float, float, float] | None:
    """The three numbers of a row, or None when it is wrong, which is then noted."""
    submit_at, run_at, width_at = places
    try:
        return float(cells[submit_at]), float(cells[run_at]), float(cells[width_at])
    except IndexError:
        reader.wrong(f"{len(cells)} columns are too few")
    except ValueError as error:
        reader.wrong(f"no number: {error}")
    return None


@lru_cache(maxsize=100_000)
def _name(text: str) -> str:
    """A user as a job's path may spell it: what a name cannot hold becomes `_`."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", text.strip())[:63]
    return "_" + name[1:] if name[:1] in (".", "-") else name


def _user(cells: list[str], at: int) -> str:
    return _name(cells[at]) if at < len(cells) else ""


def _table(lines: Iterator[str], reader: _Rows) -> Iterator[list[str]]:
    """The rows of a CSV file, without comments and empty lines; keeps the reader's line number."""
    numbered = csv.reader(_without_comments(lines))
    try:
        for cells in numbered:
            reader.line = numbered.line_num
            if any(cells):
                yield cells
    except csv.Error as error:
        reader.line = numbered.line_num
        raise reader.fail(f"no CSV: {error}") from error


def _without_comments(lines: Iterator[str]) -> Iterator[str]:
    """The lines, a comment as an empty one, so that line numbers stay right."""
    return ("\n" if line.startswith("#") else line for line in lines)


@contextmanager
def _opened(file: Path) -> Iterator[Iterator[str]]:
    """The lines of a file, unpacked when its name ends in `.gz`."""
    try:
        with (
            file.open("rb") as plain,
            gzip.open(plain, "rb") if file.suffix == ".gz" else plain as raw,
            io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text,
        ):
            yield text
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise BadTrace(file, (TraceProblem(0, _why_unreadable(error)),)) from error


def _why_unreadable(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file; a path is relative to the scenario"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror.lower()}"
    return f"cannot be read: {error}"


_ROUNDED: Final = re.compile(r"[eE]")


def read_capacity(file: Path, scale: float = 1.0) -> tuple[tuple[Instant, int], ...]:
    """The steps of a capacity trace, columns t_s and capacity, rising in time.

    Rows may come out of order; of several rows of one instant the last one counts. Times written as
    `1.17136e+06` have lost digits: a first line `# {"gap_s": 195}` tells which ones.
    """
    reader = _Rows(file)
    steps: dict[int, int] = {}
    with _opened(file) as lines:
        first = next(lines, "")
        gap_s = _sampling_interval(first)
        table = _table(chain((first,), lines), reader)
        names = [cell.strip() for cell in next(table, [])]
        if not names:
            reader.line = 0
            raise reader.fail("is empty; the first line must be t_s,capacity")
        if "t_s" not in names or "capacity" not in names:
            raise reader.fail(f"must have the columns t_s and capacity, not {', '.join(names)}")
        places = names.index("t_s"), names.index("capacity")
        for cells in table:
            step = _step(cells, places, gap_s, reader)
            if step is not None:
                steps[step[0]] = round(step[1] * scale)
    reader.give_up()
    if not steps:
        reader.line = 0
        raise reader.fail("has no rows")
    return tuple((Instant(at), steps[at]) for at in sorted(steps))


def _step(
    cells: list[str], places: tuple[int, int], gap_s: float, reader: _Rows
) -> tuple[int, float] | None:
    """The instant and the capacity of a row, or None when it is wrong, which is then noted."""
    try:
        text, capacity = cells[places[0]], float(cells[places[1]])
        at_s = float(text)
    except (IndexError, ValueError):
        reader.wrong("no row of two numbers")
        return None
    if gap_s > 0 and _ROUNDED.search(text):
        at_s = round(at_s / gap_s) * gap_s
    if not 0.0 <= at_s <= LONGEST_S or not 0.0 <= capacity <= 1e9:
        said = f"time {at_s:g} s, capacity {capacity:g}"
        reader.wrong(f"{said}; a time and a capacity are finite and not negative")
        return None
    return int(at_s * 1000 + 0.5), capacity


def _sampling_interval(line: str) -> float:
    """What the comment on a file's first line says, or 0."""
    if not line.startswith("#"):
        return 0.0
    try:
        said = json.loads(line[1:])
    except ValueError:
        return 0.0
    gap = said.get("gap_s") if isinstance(said, dict) else None
    return float(gap) if isinstance(gap, int | float) and gap > 0 else 0.0
