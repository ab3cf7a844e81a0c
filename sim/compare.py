"""Two scenarios under the same seeds: by how much each figure of the second is above the first.

Both draw from streams of the same names, so that what they have in common (arrivals, run times,
the cloud's moods) happens to both alike, and run i of the one is paired with run i of the other. The
interval is that of the differences within pairs, which is narrower than the two means' own.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from sim.results import aggregate
from sim.statistics import mean_interval
from sim.tables import aligned, headline_paths, number, value_text

_UNPAIRED: Final = frozenset({"seed", "wall_s"})
"""Numbers of a run that say nothing of the scenario."""

Path = tuple[str, ...]


class Difference(NamedTuple):
    """A figure in both, over the pairs in which both have it."""

    first: float
    """The mean, as the next one."""
    second: float
    values: tuple[float, ...]
    """Second less first, pair by pair."""

    @property
    def is_distinct(self) -> bool:
        """Whether chance alone would seldom give this: the 95 % interval leaves out zero."""
        whole = mean_interval(self.values)
        return len(self.values) > 1 and (whole.low > 0 or whole.high < 0)

    def as_object(self) -> dict[str, object]:
        """For JSON: the means, and the differences in the shape of a replicated number."""
        whole = mean_interval(self.values)
        interval = {"mean": whole.mean, "ci95_low": whole.low, "ci95_high": whole.high}
        return {
            "a": self.first,
            "b": self.second,
            "difference": {**interval, "values": list(self.values)},
            "distinct": self.is_distinct,
        }


def differences(
    first: Sequence[Mapping[str, object]], second: Sequence[Mapping[str, object]]
) -> dict[Path, Difference]:
    """Every number that both have in at least one pair, in the order of the first's results."""
    assert len(first) == len(second), (len(first), len(second))
    columns = [dict(numbers_of(one)) for one in first], [dict(numbers_of(one)) for one in second]
    paths = {path: None for one in columns[0] for path in one}
    found: dict[Path, Difference] = {}
    for path in paths:
        pairs = [
            (a[path], b[path]) for a, b in zip(*columns, strict=True) if path in a and path in b
        ]
        if pairs:
            count = len(pairs)
            means = (sum(a for a, _ in pairs) / count, sum(b for _, b in pairs) / count)
            found[path] = Difference(*means, tuple(b - a for a, b in pairs))
    return found


def numbers_of(value: object, path: Path = ()) -> Iterator[tuple[Path, float]]:
    """Every number of a run's results that says something of the scenario, with its keys."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            if key not in _UNPAIRED:
                yield from numbers_of(below, (*path, str(key)))
        return
    amount = number(value)
    if amount is not None:
        yield path, amount


def comparison(
    first: Sequence[Mapping[str, object]], second: Sequence[Mapping[str, object]]
) -> dict[str, object]:
    """All of it as one object: `figures` by their dotted keys, and both sides as replications."""
    told = {".".join(path): one.as_object() for path, one in differences(first, second).items()}
    sides = {"a": aggregate(first), "b": aggregate(second)}
    return {"pairs": len(first), "figures": told, **sides}


def comparison_text(
    first: Sequence[Mapping[str, object]],
    second: Sequence[Mapping[str, object]],
    names: tuple[str, str],
) -> str:
    """The headline figures as a table, for a terminal or a pipe; `names` say what A and B are."""
    found = differences(first, second)
    rows: list[Sequence[str]] = [("", "A", "B", "B - A", "95% from", "to", "")]
    for name, kind, path in headline_paths():
        if path not in found:
            continue
        one = found[path]
        whole = mean_interval(one.values)
        cells = (one.first, one.second, whole.mean, whole.low, whole.high)
        verdict = ("more" if whole.mean > 0 else "less") if one.is_distinct else ""
        rows.append((name, *(value_text(kind, cell) for cell in cells), verdict))
    seeds = [one["seed"] for one in first]
    end = [f"A: {names[0]}", f"B: {names[1]}"]
    end.append(f"{len(seeds)} pairs of runs, seeds {seeds[0]} to {seeds[-1]}")
    return "\n".join([*aligned(rows, flush_left=(0, 6)), "", *end]) + "\n"
