"""Holds processes to the memory that they asked for, where no container does: by looking, and by killing.

The system's own limits would count reserved address space, of which numeric programs take far more
than they use. So the proportional set size of all processes of an attempt is looked at instead. What
shares pages with others is counted by its share; what grows within a second is noticed a second late.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LOOK_EVERY_S: Final = 1.0
_FAR: Final = 1.25
"""Beyond so many times the limit one look is enough; below it, two in a row."""
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(slots=True)
class Watched:
    """An attempt that is held to its limit."""

    leader: int
    """The process that leads its session."""
    limit_bytes: int
    was_over: bool = False


def resident_by_session(proc: Path = Path("/proc")) -> Mapping[int, dict[int, int]]:
    """The resident bytes of every process, by the session that it belongs to: one cheap look at all."""
    found: dict[int, dict[int, int]] = {}
    for name in os.listdir(
        proc
    ):  # Each second, at each worker: paths as objects would take thrice the time.
        if name.isdecimal():
            with suppress(OSError, IndexError, ValueError):
                fields = _read(f"{proc}/{name}/stat").rpartition(b")")[2].split()
                session, pages = int(fields[3]), int(fields[21])
                found.setdefault(session, {})[int(name)] = pages * _PAGE
    return found


def _read(path: str) -> bytes:
    """What the system says in a small file of its own: all at once."""
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, 4_096)
    finally:
        os.close(file)


def proportional_bytes(pids: Iterable[int]) -> int:
    """The proportional set size of some processes together; of one that is gone, nothing."""
    total = 0
    for pid in pids:
        with suppress(OSError, IndexError, ValueError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) << 10
    return total


def too_large(watched: Mapping[Path, Watched]) -> dict[Path, int]:
    """Those that are to be ended, with the bytes that they use; remembers who was over the limit."""
    resident = resident_by_session()
    found: dict[Path, int] = {}
    for folder, entry in watched.items():
        processes = resident.get(entry.leader, {})
        used = sum(processes.values())
        if used > entry.limit_bytes:  # Pages that several share were counted for each of them.
            used = proportional_bytes(processes)
        over = used > entry.limit_bytes
        if over and (entry.was_over or used > _FAR * entry.limit_bytes):
            found[folder] = used
        entry.was_over = over
    return found
