"""Bugs that are planted to see whether the fuzzer finds them: it is only as good as this table.

Each is a small change in the source of one function, of a kind that somebody once shipped, with the
entry of the catalogue of incidents that it stands for. `python -m tests.sim.canaries` looks for each
from seed 0 on and writes down which seed found it, by which invariant, and in what time; the tests
run those seeds.
"""

import __future__

import inspect
import json
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from sim.fuzz import run_seed
from tests.tidy.tree import ROOT

TABLE: Final = Path(__file__).with_name("canaries.json")
PAGE: Final = ROOT / "docs" / "fuzzing.md"
_BEGIN: Final = "<!-- canaries -->"
_END: Final = "<!-- /canaries -->"
_SAID: Final = ("name", "entry", "where", "old", "new")
Row: TypeAlias = dict[str, str | int | float]
MOST_SEEDS: Final = 400
_MOST_S: Final = 60.0
_QUICK_S: Final = 5.0
"""The tests run the world that finds a bug: one that needs longer is taken if no other finds it."""
_PROFILES: Final = ("swarm", "crash", "cloud", "policy")
_QUARRELS: Final = ("eviction", "holds", "order", "placing", "queueing", "scheduler", "stakes")
"""Modules whose bugs show where work is in the way of work: they are looked for without faults."""


class Patch(Protocol):
    """What plants a bug, and takes it away afterwards: pytest's monkeypatch."""

    def setattr(self, target: object, name: str, value: object) -> None:
        """Put something in the place of something."""
        ...


@dataclass(frozen=True, slots=True)
class Bug:
    """A change of one function's source."""

    name: str
    entry: str
    where: str
    """`module:function`, or `module:Class.method`, below `iris.core`."""
    old: str
    new: str

    def plant(self, patch: Patch) -> None:
        """Change the function, wherever it is known by its name."""
        module_name, _, path = self.where.partition(":")
        module = import_module(f"iris.core.{module_name}")
        owner: object = module
        *outer, name = path.split(".")
        for step in outer:
            owner = getattr(owner, step)
        was = getattr(owner, name)
        source = textwrap.dedent(inspect.getsource(was))
        assert source.count(self.old) == 1, f"{self.name}: {self.where} has another text now"
        scope: dict[str, object] = {}
        flags = __future__.annotations.compiler_flag
        exec(
            compile(source.replace(self.old, self.new), self.where, "exec", flags),
            vars(module),
            scope,
        )
        patch.setattr(owner, name, scope[name])
        if outer:
            return
        for other in [m for key, m in sys.modules.items() if key.startswith(("iris.core", "sim."))]:
            if other is not module and getattr(other, name, None) is was:
                patch.setattr(other, name, scope[name])


@dataclass(frozen=True, slots=True)
class Canary:
    """A planted bug, and the world in which it is found."""

    bug: Bug
    profile: str
    seed: int
    mark: str

    @property
    def name(self) -> str:
        """What the bug does."""
        return self.bug.name

    def plant(self, patch: Patch) -> None:
        """Change the function."""
        self.bug.plant(patch)


def planted() -> list[tuple[Bug, Row | None]]:
    """Every bug, with where it was found; nothing for one that was not looked for yet."""
    rows = json.loads(TABLE.read_text(encoding="utf-8"))
    return [(Bug(*(row[k] for k in _SAID)), row["found"]) for row in rows]


def _written(rows: Sequence[tuple[Bug, Row | None]]) -> None:
    told = [{k: getattr(bug, k) for k in _SAID} | {"found": found} for bug, found in rows]
    TABLE.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


CANARIES: Final = tuple(
    Canary(bug, str(row["profile"]), int(row["seed"]), str(row["mark"]))
    for bug, row in planted()
    if row is not None
)


def search(bug: Bug, patch: Patch) -> Row | None:
    """The first world that finds a bug quickly, over seeds and profiles in turn, or the first at all."""
    began = so_far = time.process_time()
    slow: Row | None = None
    bug.plant(patch)
    profiles = ("policy",) if bug.where.partition(":")[0] in _QUARRELS else _PROFILES
    worlds = ((profile, seed) for seed in range(MOST_SEEDS) for profile in profiles)
    for tried, (profile, seed) in enumerate(worlds, start=1):
        outcome = run_seed(profile, seed, hasty=True)
        took, so_far = time.process_time() - so_far, time.process_time()
        span = so_far - began
        if outcome.violated:
            row: Row = {
                "entry": bug.entry,
                "profile": profile,
                "seed": seed,
                "mark": outcome.marks[0],
                "worlds": tried,
                "seconds": round(span, 1),
            }
            if took <= _QUICK_S:
                return row
            slow = slow or row
        if span > _MOST_S:
            break
    return slow


def table() -> str:
    """The bugs and where each was found, as a table of Markdown."""
    lines = ["| bug | entry | found by | world | worlds | seconds |", "|---|---|---|---|---|---|"]
    for bug, row in planted():
        if row is None:
            lines.append(f"| {bug.name} | {bug.entry} | **not found** | | | |")
        else:
            world = f"{row['profile']} {row['seed']}"
            told = f"{row['mark']} | {world} | {row['worlds']} | {row['seconds']}"
            lines.append(f"| {bug.name} | {bug.entry} | {told} |")
    return "\n".join(lines)


def main() -> None:
    """Look for every bug (or, with --missing, for those not found yet) and write the tables."""
    import pytest

    rows = planted()
    for index, (bug, known) in enumerate(rows):
        if "--missing" in sys.argv and known is not None:
            continue
        with pytest.MonkeyPatch.context() as patch:
            rows[index] = (bug, search(bug, patch))
        print(bug.entry, bug.name, rows[index][1], flush=True)  # noqa: T201
        _written(rows)
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    after = rest.partition(_END)[2]
    PAGE.write_text(f"{before}{_BEGIN}\n{table()}\n{_END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
