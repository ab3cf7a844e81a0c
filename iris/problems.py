"""What is wrong with an input, where it stands, and what would be right; and how that is printed.

All problems of an input are reported together. Nothing here reads files or knows any format.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, NamedTuple

from iris.exit_status import ExitStatus

_WIDEST_LINE: Final = 120
_LONGEST_VALUE: Final = 40


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. Line and column count from 1; a line of 0 means the whole file."""

    file: str
    line: int
    column: int
    path: str
    """The key, dotted: `scale_groups.cpu.max_slices`; empty when no key is to blame."""
    message: str
    help: str
    source_line: str

    def render(self, kind: str = "error") -> str:
        """The problem as people read it: what, where, the line and a caret, what would be right."""
        names_key = not self.path or f"`{self.path}`" in self.message
        lines = [
            f"{kind}: {self.message}" if names_key else f"{kind}: `{self.path}`: {self.message}"
        ]
        if self.line == 0:
            lines.append(f"  --> {self.file}")
        else:
            lines.append(f"  --> {self.file}:{self.line}:{self.column}")
            text, column = _window(self.source_line, self.column)
            lines.append(f"{self.line:5} | {text}".rstrip())
            lines.append(f"      | {' ' * (column - 1)}^")
        if self.help:
            lines.append(f"      = help: {self.help}")
        return "\n".join(lines)


class BadInput(Exception):
    """An input that cannot be used, with everything that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        assert problems, "a refusal says at least one reason"
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems: tuple[Problem, ...] = tuple(problems)

    def __reduce__(self) -> tuple[type["BadInput"], tuple[tuple[Problem, ...]]]:
        """By its problems, not its sentence: else it would not survive the way out of a process."""
        return BadInput, (self.problems,)

    def render(self) -> str:
        """All problems, one after the other."""
        return "\n".join(problem.render() for problem in self.problems)


class Failure(Exception):
    """Something that could not be done, with the exit status that it ends a command with.

    Attributes:
        status: how a command ends because of it.
        help: what to do next; may be empty.
    """

    def __init__(self, message: str, status: ExitStatus, help: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.help = help

    def __reduce__(self) -> tuple[object, ...]:
        """By what it holds, not by its arguments, which differ from class to class: so it can leave a process."""
        return _again, (type(self), self.args, vars(self))


def _again(kind: type[Failure], args: tuple[object, ...], attributes: dict[str, object]) -> Failure:
    failure = kind.__new__(kind, *args)
    failure.args = args
    vars(failure).update(attributes)
    return failure


class Finding(NamedTuple):
    """What a check found below the place that it checked."""

    at: tuple[str | int, ...]
    message: str
    help: str = ""
    at_key: bool = False
    """Set when the key itself is wrong, not its value."""


class Unfit(ValueError):
    """Raised by a model's own check: several findings, each at its own key below the model."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings: tuple[Finding, ...] = tuple(findings)
        assert self.findings, "a refusal says at least one reason"
        super().__init__("; ".join(finding.message for finding in self.findings))


def shown(value: object) -> str:
    """A value as a message quotes it: as the user wrote it, cut where nobody would read on."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= _LONGEST_VALUE + 2 else f"{text[:_LONGEST_VALUE]}..."


def one_of(word: str, valid: Sequence[str]) -> str:
    """The hint for a word that is none of the valid ones: the nearest, or else all of them."""
    lowered = {name.lower(): name for name in valid}
    nearest = get_close_matches(word.lower(), list(lowered), n=1, cutoff=0.6)
    if nearest:
        return f"did you mean `{lowered[nearest[0]]}`?"
    return f"it is one of {', '.join(valid)}" if valid else "remove it"


def _window(line: str, column: int) -> tuple[str, int]:
    """The part of a line around a column, safe to print, and where the column is in it."""
    printable = "".join(char if char.isprintable() else " " for char in line)
    start = max(0, column - 1 - _WIDEST_LINE // 2) if len(printable) > _WIDEST_LINE else 0
    return printable[start : start + _WIDEST_LINE], column - start
