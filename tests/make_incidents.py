"""Writes docs/incidents.md from tests/incidents.yaml and from the names of the tests.

`python tests/make_incidents.py` rewrites the page; a test says whether it is current, and whether
each entry has its proof.
"""

import ast
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "incidents.md"
TABLE: Final = ROOT / "tests" / "incidents.yaml"

OPENING: Final = """\
# Incidents

Generated from `tests/incidents.yaml` and from the names of the tests, which are the places to edit, by
`python tests/make_incidents.py`.

Systems like this one have broken in many ways, which are numbered I-01 to I-{last:02}. Each row says what Iris
does instead, and which tests show it. They carry the number in their names and run with all others, so what
is said to hold holds wherever the tests pass. `holds, but` tells what they do not show; `waits for` names
a part that is not built yet.

Of {last} entries {proved} are proved, {partly} of them in part, {open} are open, and {waiting} wait for a part.
[Planted bugs](fuzzing.md#planted-bugs) shows which of them the fuzzer finds by itself.
"""

_NUMBERED: Final = re.compile(r"test((?:_i_\d+)+)_")


@dataclass(frozen=True, slots=True)
class Proof:
    """One test."""

    file: Path
    """Below the root."""
    name: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One failure that others had, turned into what holds here."""

    number: int
    what: str
    lacks: str = ""
    """What its tests do not show."""
    open: str = ""
    """Why it has no test, though its part exists."""
    waits: str = ""
    """The part that it concerns and that is not built yet."""


def sections() -> list[tuple[str, list[Entry]]]:
    """The table, section by section."""
    return [
        (
            part["section"],
            [
                Entry(number, **({"what": said} if isinstance(said, str) else said))
                for number, said in part["entries"].items()
            ],
        )
        for part in yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    ]


def entries() -> list[Entry]:
    """All entries, in the order of the table."""
    return [entry for _, part in sections() for entry in part]


def numbers_of(test: str) -> list[int]:
    """The entries that a test is named after."""
    match = _NUMBERED.match(test)
    return [int(number) for number in re.findall(r"\d+", match[1])] if match else []


@functools.cache
def proofs() -> Mapping[int, Sequence[Proof]]:
    """By entry, the tests that are named after it, by file and place."""
    found: dict[int, list[Proof]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        for node in ast.parse(text).body if "def test_i_" in text else ():
            if isinstance(node, ast.FunctionDef):
                for number in numbers_of(node.name):
                    found.setdefault(number, []).append(Proof(path.relative_to(ROOT), node.name))
    return found


def result(entry: Entry) -> str:
    """What became of it, as the page says it."""
    if entry.waits:
        return f"waits for {entry.waits}"
    if entry.open:
        return f"open: {entry.open}"
    return f"holds, but: {entry.lacks}" if entry.lacks else "holds"


def cells(tests: Sequence[Proof]) -> str:
    """The tests of an entry, each with a link to its file."""
    return "<br>".join(f"`{t.name}` in [{t.file.stem}](../{t.file.as_posix()})" for t in tests)


def rows(part: Sequence[Entry], proved: Mapping[int, Sequence[Proof]]) -> Iterator[str]:
    """A row for each entry."""
    for entry in part:
        proof = cells(proved.get(entry.number, ()))
        yield f"| I-{entry.number:02} | {entry.what} | {proof} | {result(entry)} |"


def page() -> str:
    """The whole page, as it should stand in docs/."""
    known, proved = entries(), proofs()
    opening = OPENING.format(
        last=len(known),
        proved=sum(not entry.waits and not entry.open for entry in known),
        partly=sum(bool(entry.lacks) for entry in known),
        open=sum(bool(entry.open) for entry in known),
        waiting=sum(bool(entry.waits) for entry in known),
    )
    parts = [opening]
    for title, part in sections():
        head = f"## {title}\n", "| entry | what holds | proof | result |", "|---|---|---|---|"
        parts.append("\n".join((*head, *rows(part, proved), "")))
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
