"""What would have been: a record, its outside world simulated as it was, and under another configuration.

The middle one decides nothing new, and must come close to the record: how close is told first, as far
as that the third cannot be believed. The difference that another configuration makes is told against
the middle one, so that what the simulation leaves out is left out on both sides.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from sim.chronicle import Chronicle
from sim.compare import Path, numbers_of
from sim.measure import Measures
from sim.outside import Outside
from sim.results import spread
from sim.tables import aligned, headline_paths, value_text


class Sides(NamedTuple):
    """The results of all three, as `sim.results.summarize` has them."""

    recorded: Mapping[str, object]
    simulated: Mapping[str, object]
    changed: Mapping[str, object]


def assumptions(outside: Outside, *, edits_kept: bool) -> Iterator[str]:
    """What is taken for granted where the record does not say, a sentence each."""
    if outside.guessed_tasks:
        yield (
            f"{outside.guessed_tasks} of {outside.tasks} tasks have no length on record (stopped, "
            "unfinished or never run): each is as long as similar ones, the median, and no shorter "
            "than it was seen to work"
        )
    if outside.losses:
        yield (
            f"{outside.losses} losses come at their recorded instants: each slice that the group has "
            "then runs the risk that the recorded ones ran, so a larger fleet loses more"
        )
    if outside.scenario.cloud.answers:
        yield (
            "a zone that refused a type gives as many of it as it last gave, until a recorded create "
            "shows more or less, or none does for the longest pause between creates"
        )
    yield "where no create was refused, any number could have been had"
    yield (
        "machine number n of a group and zone boots as long as the recorded one of that number did, "
        "and any further one as a drawn one of the group, else of all"
    )
    if outside.scenario.duration is None:
        yield "behind the record nothing more comes or is lost"
    else:
        yield "all three end where the record does: what would have ended later is unfinished"
    yield "stops and evictions take effect at once; users submit and stop when they did"
    yield from _limits(outside, outside.chronicle, edits_kept=edits_kept)


def _limits(outside: Outside, chronicle: Chronicle, *, edits_kept: bool) -> Iterator[str]:
    if any(one.children for one in outside.scenario.recorded):
        yield "jobs of running tasks come as long after their parent's first task ran as they did"
    if chronicle.image is not None:
        yield (
            f"the record begins with a snapshot: its slices stand, and its {len(outside.carried)} jobs go "
            "on, under the recorded configuration up to then"
        )
    if chronicle.restarts:
        yield f"{chronicle.restarts} restarts of the controller are not repeated"
    if len(chronicle.configs) > 1:
        edits = len(chronicle.configs) - 1
        yield f"{edits} edits of the configuration are {'made again' if edits_kept else 'left out'}"


def fidelity(recorded: Measures, simulated: Measures) -> dict[str, object]:
    """How close the record's own configuration comes to the record, job by job.

    Errors are absolute differences in seconds: of the first running attempt, and of the end.
    """
    pairs = [
        (job, simulated.jobs[name]) for name, job in recorded.jobs.items() if name in simulated.jobs
    ]
    starts = [
        abs(a.first_running - b.first_running)
        for a, b in pairs
        if a.first_running is not None and b.first_running is not None
    ]
    ends = [abs(a.end - b.end) for a, b in pairs if a.end is not None and b.end is not None]
    return {
        "jobs": len(recorded.jobs),
        "same_end": sum(a.state is b.state for a, b in pairs),
        "start_error_s": spread(starts),
        "end_error_s": spread(ends),
    }


def figures(sides: Sides) -> dict[Path, dict[str, float | None]]:
    """Every number that any of the three has, in the order of the changed one's results."""
    columns = [dict(numbers_of(side)) for side in sides]
    paths = {path: None for column in reversed(columns) for path in column}
    return {path: _figure(*(column.get(path) for column in columns)) for path in paths}


def _figure(
    recorded: float | None, simulated: float | None, changed: float | None
) -> dict[str, float | None]:
    return {
        "recorded": recorded,
        "simulated": simulated,
        "changed": changed,
        "error": _less(simulated, recorded),
        "difference": _less(changed, simulated),
    }


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else round(one - other, 6)


def answer_of(
    sides: Sides, closeness: Mapping[str, object], assumed: Sequence[str], changes: str
) -> dict[str, object]:
    """All of it as one object: `figures` by their dotted keys, and the three results whole."""
    return {
        "changes": changes,
        "assumptions": list(assumed),
        "fidelity": closeness,
        "figures": {".".join(path): figure for path, figure in figures(sides).items()},
        "recorded": sides.recorded,
        "simulated": sides.simulated,
        "changed": sides.changed,
    }


def answer_text(told: Mapping[str, object], sides: Sides) -> str:
    """The headline figures as a table, and what it rests on, for a terminal or a pipe."""
    found = figures(sides)
    rows: list[Sequence[str]] = [("", "recorded", "simulated", "changed", "changed - simulated")]
    for name, kind, path in [*headline_paths(), *_group_paths(sides)]:
        if path in found:
            one = found[path]
            keys = ("recorded", "simulated", "changed", "difference")
            rows.append((name, *(value_text(kind, one[key]) for key in keys)))
    assumed = told["assumptions"]
    assert isinstance(assumed, list)
    lines = [
        *aligned(rows),
        "",
        f"changed: {told['changes']}",
        _closeness(told["fidelity"]),
        "",
        "assumed",
        *(f"- {sentence}" for sentence in assumed),
    ]
    return "\n".join(lines) + "\n"


def _group_paths(sides: Sides) -> Iterator[tuple[str, str, Path]]:
    names: dict[str, None] = {}
    for side in sides:
        groups = side["groups"]
        assert isinstance(groups, Mapping), groups
        names |= dict.fromkeys(groups)
    for name in names:
        yield f"{name}: slices, mean", "count", ("groups", name, "slices_mean")
        yield f"{name}: slices, peak", "count", ("groups", name, "slices_peak")


def _closeness(told: object) -> str:
    assert isinstance(told, Mapping), told
    starts, ends = told["start_error_s"], told["end_error_s"]
    text = f"as it was: {told['same_end']} of {told['jobs']} jobs end as on record"
    for word, errors in (("start", starts), ("end", ends)):
        if errors["count"]:
            p95, most = (value_text("span", errors[key]) for key in ("p95", "max"))
            text += f"; {word}s off by {p95} (p95), {most} at most"
    return text
