"""The results of a sweep as plain text: a line for each point, with what was changed and what came of it.

Every figure is a mean over the seeds, with half the width of its 95 % interval behind it.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from sim.sweep import PointResults, SweepResults
from sim.tables import DASH, aligned, at, headline_paths, number, value_text

_SHOWN: Final = (
    "jobs succeeded", "queue wait, mean", "queue wait, p95", "completion, p95", "goodput", "cost",
)  # fmt: skip
_MOST_LOST: Final = 10


def sweep_text(found: SweepResults) -> str:
    """What `iris sim sweep` prints without `--json`."""
    keys = found.sweep.grid.keys
    figures = [one for one in headline_paths() if one[0] in _SHOWN]
    judged = any(one.holds is not None for one in found.points)
    header = ["", *short_names(keys), *(name for name, _, _ in figures)]
    rows: list[Sequence[str]] = [[*header, "expect"] if judged else header]
    for place, one in enumerate(found.points, start=1):
        row = [str(place), *(value for _, value in one.point.swept)]
        row += [figure_text(kind, one.results, path) for _, kind, path in figures]
        rows.append([*row, verdict_text(one)] if judged else row)
    return (
        "\n".join([*aligned(rows, (len(rows[0]) - 1,) if judged else ()), "", *_end(found)]) + "\n"
    )


def short_names(keys: Sequence[str]) -> list[str]:
    """The last steps of dotted keys, as many as tell each of them from the others."""
    tails = [
        [".".join(key.split(".")[-count:]) for key in keys]
        for count in range(1, 1 + max(len(key.split(".")) for key in keys))
    ]
    return [
        next(tail[place] for tail in tails if tail.count(tail[place]) == 1)
        for place in range(len(keys))
    ]


def figure_text(kind: str, results: Mapping[str, object] | None, path: Sequence[str]) -> str:
    """A figure of one point, `4.2 ±0.3`; of a single run without an interval, of none a dash."""
    if results is None:
        return DASH
    whole = at(results, *path)
    assert isinstance(whole, Mapping), path
    if number(whole) is None:
        return DASH
    if len(whole["values"]) < 2:
        return value_text(kind, whole)
    return f"{value_text(kind, whole)} ±{value_text(kind, whole['ci95_high'] - whole['mean'])}"


def verdict_text(one: PointResults) -> str:
    """Whether the expectations of a point held."""
    return DASH if one.holds is None else "holds" if one.holds else "FALSE"


def lost_sentences(found: SweepResults) -> list[str]:
    """Each run without results by its point and seed, and why; of many, the first."""
    lost = list(found.lost)
    told = [f"{point.label} seed={seed}: {one.why}" for point, seed, one in lost[:_MOST_LOST]]
    return [*told, f"and {len(lost) - _MOST_LOST} more"] if len(lost) > _MOST_LOST else told


def cheapest_sentence(found: SweepResults) -> str:
    """Which point to take, if expectations and costs say; else nothing."""
    if found.cheapest is None:
        return ""
    one = found.points[found.cheapest]
    cost = figure_text("money", one.results, ("cost_usd",))
    return f"{found.cheapest + 1}, {one.point.label}, at {cost}"


def seeds_text(found: SweepResults) -> str:
    """`10 seeds, 3 to 12`."""
    seeds = found.sweep.seeds
    return (
        f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds, {seeds[0]} to {seeds[-1]}"
    )


def _end(found: SweepResults) -> list[str]:
    lines = [f"lost: {sentence}" for sentence in lost_sentences(found)]
    if found.is_partial:
        lines.append("PARTIAL: interrupted; points lack runs, or have none")
    if cheapest := cheapest_sentence(found):
        lines.append(f"cheapest point at which all expectations hold: {cheapest}")
    runs = f"{len(found.points)} points, {seeds_text(found)}"
    several = len(found.sweep.seeds) > 1
    read = "; ± is half the 95% interval of a mean" if several else ""
    lines.append(f"{found.sweep.scenario}: {runs}{read}")
    return lines
