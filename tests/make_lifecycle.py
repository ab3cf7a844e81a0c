"""Writes docs/lifecycle.md from the tables of the core, so that the page cannot tell another story.

`python tests/make_lifecycle.py` rewrites the page; a test says whether it is current.
"""

import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Final, TypeVar

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from iris.core import lifecycle as states  # noqa: E402  # a script finds iris beside itself
from iris.core.retry import MEANING  # noqa: E402

S = TypeVar("S", bound=Enum)

PAGE: Final = ROOT / "docs" / "lifecycle.md"

OPENING: Final = """\
# States and moves

Generated from `iris/core/lifecycle.py` and `iris/core/retry.py`, which are the place to edit, by
`python tests/make_lifecycle.py`. The essay at the head of `lifecycle.py` says who moves what, and
who wins a tie. The words are in the [glossary](glossary.md).

A user sees jobs and tasks. Facts move attempts, slices and workers; a task follows its last
attempt, and a job follows its tasks.
"""

FAILURES: Final = """\
## What an end means

One total table, from why an attempt ended to what follows. A gang is judged once, when all of its
members have ended, by the set of their causes and never by the order of the reports: the budget
`preemption` is charged before `failure`, and `failure` before nobody.

| cause | the attempt ends | charged to | blames the host |
|---|---|---|---|
"""


def edges(moves: Mapping[S, frozenset[S]]) -> Iterator[tuple[S, S]]:
    """Every legal move, in the order in which the states are declared."""
    for start in moves:
        for end in type(start):
            if end in moves[start]:
                yield start, end


def machine(title: str, moves: Mapping[S, frozenset[S]]) -> str:
    """One state machine as a diagram and as a table."""
    ends = [state for state in moves if not moves[state]]
    first = next(iter(moves))
    diagram = [
        "stateDiagram-v2",
        f"    [*] --> {first.value}",
        *(f"    {start.value} --> {end.value}" for start, end in edges(moves)),
        *(f"    {state.value} --> [*]" for state in ends),
    ]
    rows = []
    for state in moves:
        after = ", ".join(f"`{end.value}`" for start, end in edges(moves) if start is state)
        rows.append(f"| `{state.value}` | {after or 'nothing: an end is final'} |")
    return "\n".join(
        (f"## {title}\n", "```mermaid", *diagram, "```\n", "| from | to |", "|---|---|", *rows, "")
    )


def failures() -> str:
    """The table of causes."""
    rows = (
        f"| `{cause.value}` | `{meaning.state.value}` "
        f"| {f'`{meaning.charges.value}`' if meaning.charges else 'nobody'} "
        f"| {'yes' if meaning.blames_host else 'no'} |"
        for cause, meaning in MEANING.items()
    )
    return FAILURES + "\n".join(rows) + "\n"


def page() -> str:
    """The whole page, as it should stand in docs/."""
    return "\n".join(
        (
            OPENING,
            machine("Job", states.JOB_MOVES),
            machine("Task", states.TASK_MOVES),
            machine("Attempt", states.ATTEMPT_MOVES),
            machine("Slice", states.SLICE_MOVES),
            machine("Worker", states.WORKER_MOVES),
            failures(),
        )
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
