"""From a failing world to a small one that fails in the same way.

Delta debugging over the scenario as plain values: a key or an item is left out, a number made
smaller, and the change stays if the same kind of thing is still wrong. So what is left is what it
takes.
"""

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from iris.problems import BadInput
from sim.fuzz import Outcome, run_world
from sim.fuzz_dice import Plain, World

Path: TypeAlias = "tuple[str | int, ...]"

_FAULTY: Final = ("faults", "network", "runtime", "controller", "cloud")
"""Sections that may go whole, the most telling first."""
_KEPT: Final = frozenset(
    {"name", "seed", "duration", "fidelity", "calm_after", "cluster", "workload"}
)
_SMALLER: Final = frozenset({"count", "replicas", "max_slices", "min_slices", "cpu"})


@dataclass(frozen=True, slots=True)
class Shrunk:
    """A small world, and what it comes to."""

    world: World
    outcome: Outcome
    tried: int
    """Worlds that were run on the way."""


def shrink(
    world: World, kind: str, *, seconds: float, stop: Callable[[], bool] = lambda: False
) -> Shrunk:
    """The smallest world found within a time in which still the same kind of thing is wrong."""
    end = time.monotonic() + seconds
    best, outcome, tried = world, run_world(world), 1
    improved = True
    while improved:
        improved = False
        for smaller in _smaller(best):
            if time.monotonic() >= end or stop():
                return Shrunk(best, outcome, tried)
            tried += 1
            found = _fails(smaller, kind)
            if found is not None:
                best, outcome, improved = smaller, found, True
                break
    return Shrunk(best, outcome, tried)


def _fails(world: World, kind: str) -> Outcome | None:
    try:
        outcome = run_world(world)
    except BadInput:
        return None
    return outcome if kind in outcome.kinds else None


def _smaller(world: World) -> Iterator[World]:
    """Worlds that lack one thing of this one, the largest things first."""
    for section in _FAULTY:
        if section in world:
            yield _without(world, (section,))
    workload = world["workload"]
    assert isinstance(workload, list)
    if len(workload) > 1:
        for index in range(len(workload)):
            yield _without(world, ("workload", index))
    for path, value in _leaves(world):
        if path[0] in _KEPT and path[0] not in ("workload", "cluster"):
            continue
        yield _without(world, path)
        if path[-1] in _SMALLER and isinstance(value, int) and value > 1:
            yield _with(world, path, 1)
            yield _with(world, path, value - 1)


def _leaves(value: Plain, path: Path = ()) -> Iterator[tuple[Path, Plain]]:
    """Everything below, each whole before its parts."""
    items: Iterator[tuple[str | int, Plain]]
    if isinstance(value, dict):
        items = iter(value.items())
    elif isinstance(value, list):
        items = iter(enumerate(value))
    else:
        return
    for step, item in items:
        yield (*path, step), item
        yield from _leaves(item, (*path, step))


def _without(world: World, path: Path) -> World:
    changed = copy.deepcopy(world)
    at = _at(changed, path[:-1])
    del at[path[-1]]  # type: ignore[arg-type]  # a list's steps are numbers, a mapping's are names
    return changed


def _with(world: World, path: Path, value: Plain) -> World:
    changed = copy.deepcopy(world)
    at = _at(changed, path[:-1])
    at[path[-1]] = value  # type: ignore[index]
    return changed


def _at(world: World, path: Path) -> "dict[str, Plain] | list[Plain]":
    value: Plain = world
    for step in path:
        assert isinstance(value, dict | list)
        value = value[step]  # type: ignore[index]
    assert isinstance(value, dict | list)
    return value
