"""Finished simulations: the folders that `iris sim --out` wrote, found by name and never by a path.

Only folders directly below one are looked at, and in each only the files that `--out` writes.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MOST: Final = 200
_LARGEST: Final = 8 << 20
"""Bytes of a summary; one of a study holds every value of every replication."""
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,120}")
REPORT: Final = "report.html"
TRACE: Final = "trace.json"
_SUMMARY: Final = "summary.json"
TABLES: Final = (
    _SUMMARY, "jobs.csv", "slices.csv", "timeseries.csv", "waiting.csv", "points.csv", "runs.csv", TRACE
)  # fmt: skip
"""What a run, a study, a sweep or a comparison writes beside its report, as far as each does."""


@dataclass(frozen=True, slots=True)
class Run:
    """A finished simulation, or a study of several."""

    name: str
    summary: Mapping[str, Any]
    written_at: float
    """Seconds since 1970."""

    @property
    def scenario(self) -> str:
        """What was simulated, or two things that were compared; empty where the file says neither."""
        sides = [self.summary.get(side) for side in ("a", "b")]
        wholes = [side if isinstance(side, dict) else {} for side in (self.summary, *sides)]
        own, *both = [
            it if isinstance(it := whole.get("scenario"), str) else "" for whole in wholes
        ]
        return own or " against ".join(filter(None, both))

    @property
    def seeds(self) -> str:
        """Its seed, or the first and the last one of a study's; empty where the file says neither."""
        found = self.summary.get("seed")
        values = found.get("values") if isinstance(found, dict) else [found]
        if not isinstance(values, list) or not values or not isinstance(values[0], int):
            return ""
        return f"{values[0]} to {values[-1]}" if len(values) > 1 else f"{values[0]}"

    @property
    def verdict(self) -> str:
        """Whether it came to its end, and to what was expected; empty where the file does not say."""
        if self.summary.get("partial"):
            return "partial: it was interrupted"
        if self.number("invariants.violated"):
            return "an invariant was violated"
        expected = self.summary.get("expect")
        if not isinstance(expected, list) or not expected:
            return ""
        wrong = [it for it in expected if not (isinstance(it, dict) and it.get("holds"))]
        return f"{len(wrong)} of {len(expected)} expectations false" if wrong else "as expected"

    def number(self, key: str) -> float | None:
        """One of its figures by its dotted key, the mean of a study's; nothing when it has none."""
        found: object = self.summary
        for part in key.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        if isinstance(found, dict):
            found = found.get("mean")
        return (
            float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None
        )


def find_runs(folder: Path | None) -> list[Run]:
    """The runs below a folder, the latest first; what is none is passed over."""
    if folder is None or not folder.is_dir():
        return []
    paths = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    found = [run for run in map(_read, paths[: 4 * MOST]) if run is not None]
    return sorted(found, key=lambda run: (-run.written_at, run.name))[:MOST]


def find_run(folder: Path | None, name: str) -> Run | None:
    """A run by its name."""
    if folder is None or not _NAME.fullmatch(name):
        return None
    return _read(folder / name)


def file_of(folder: Path | None, name: str, file: str) -> Path | None:
    """A file of a run: its report, or one of its tables."""
    if folder is None or not _NAME.fullmatch(name) or file not in (REPORT, *TABLES):
        return None
    path = folder / name / file
    return path if path.is_file() else None


def _read(path: Path) -> Run | None:
    summary = path / _SUMMARY
    try:
        stat = summary.stat()
        if stat.st_size > _LARGEST:
            return None
        loaded = json.loads(summary.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return Run(path.name, loaded, stat.st_mtime) if isinstance(loaded, dict) else None


KEYS: Final[Sequence[tuple[str, str]]] = (
    ("jobs.succeeded", "jobs succeeded"),
    ("jobs.failed", "jobs failed"),
    ("jobs.unfinished", "jobs unfinished"),
    ("queue_wait_s.p50", "wait, median, s"),
    ("queue_wait_s.p95", "wait, 95 %, s"),
    ("completion_s.p50", "completion, median, s"),
    ("attempts.preempted", "attempts preempted"),
    ("attempts.evicted", "attempts evicted"),
    ("work.goodput_fraction", "goodput"),
    ("work.idle_chip_s", "idle chip-seconds"),
    ("work.lost_chip_s", "lost chip-seconds"),
    ("makespan_s", "makespan, s"),
    ("cost_usd", "cost, $"),
)
"""The figures that are shown of a run, by their keys in its summary."""
