"""Writes docs/invariants.md from the predicates of the core, so that the page lists what is checked.

`python tests/make_invariants.py` rewrites the page; a test says whether it is current.
"""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from iris.core.conduct import Witness  # noqa: E402  # a script finds iris beside itself
from iris.core.invariants import Auditor  # noqa: E402
from iris.core.overdrawing import QUOTA_PREDICATES  # noqa: E402
from iris.core.recount import INDEX_PREDICATES  # noqa: E402
from iris.core.rehearsal import Rehearsal, bad_facts_are_set_aside, reads_are_free  # noqa: E402
from iris.core.soundness import STATE_PREDICATES  # noqa: E402

PAGE: Final = ROOT / "docs" / "invariants.md"

OPENING: Final = """\
# Invariants

Generated from the docstrings in `iris/core/soundness.py`, `recount.py`, `overdrawing.py`, `conduct.py`,
`rehearsal.py` and `invariants.py`, which are the place to edit, by `python tests/make_invariants.py`.

Each line is a predicate that ships with the core. `iris sim` checks them as it goes and ends with
exit status 9 when one is violated; the tests check all of them after every turn of every story. One
number (V-01 ...) may be kept by several predicates, each of which says its part in one sentence.
"""

_NUMBERED: Final = re.compile(r"^(V-\d\d(?:, V-\d\d)*): (.+)$")

Checked = Callable[..., object]


def _methods(owner: type) -> Iterator[Checked]:
    """The functions of a class in the order in which they are written."""
    yield from (member for member in vars(owner).values() if callable(member))


def rows(checks: Iterator[Checked]) -> Iterator[str]:
    """A row for every function whose docstring opens with the number of an invariant."""
    for check in checks:
        match = _NUMBERED.match((check.__doc__ or "").partition("\n")[0])
        if match is not None:
            yield f"| {match[1]} | {match[2]} | `{check.__name__.strip('_')}` |"


def section(title: str, text: str, checks: Iterator[Checked]) -> str:
    """One room of predicates."""
    table = ("| number | what always holds | predicate |", "|---|---|---|", *rows(checks))
    return "\n".join((f"## {title}\n", text + "\n", *table, ""))


def page() -> str:
    """The whole page, as it should stand in docs/."""
    return "\n".join(
        (
            OPENING,
            section(
                "Of the state between two turns",
                "Told from the tables alone.",
                iter(STATE_PREDICATES),
            ),
            section(
                "Of what is kept beside the tables",
                "Every cached sum and every index, worked out anew and compared.",
                iter(INDEX_PREDICATES),
            ),
            section(
                "Of quotas",
                "Where there are any.",
                iter(QUOTA_PREDICATES),
            ),
            section(
                "Of a turn",
                "Each decision, held against the facts that are supposed to justify it.",
                _methods(Witness),
            ),
            section(
                "Of a turn that is done again",
                "On a twin, where every turn is checked.",
                iter((*_methods(Rehearsal), reads_are_free, bad_facts_are_set_aside)),
            ),
            section(
                "Of a run",
                "What one look at the state cannot show.",
                _methods(Auditor),
            ),
        )
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
