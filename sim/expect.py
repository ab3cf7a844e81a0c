"""Expectations: comparisons over the results of a run, which make a scenario a test.

One is `left op right`: each side is the dotted key of a result (`queue_wait_s.p95`,
`groups.tpu_v5e_16.cost_usd`), a number, or a duration, which stands for its seconds. It is matched
against a grammar and looked up, never evaluated as code; numbers compare exactly.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Final, TypedDict

from iris.units import parse_duration
from sim.model import Expectation

_DISTRIBUTION: Final = ("count", "mean", "p50", "p90", "p95", "p99", "max")
_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "jobs": ("submitted", "succeeded", "failed", "killed", "unschedulable", "unfinished"),
    "queue_wait_s": _DISTRIBUTION,
    "completion_s": _DISTRIBUTION,
    "attempts": ("total", "preempted", "evicted", "failed", "worker_failed"),
    "work": (
        "useful_chip_s",
        "lost_chip_s",
        "idle_chip_s",
        "boot_chip_s",
        "provisioned_chip_s",
        "goodput_fraction",
    ),
    "invariants": ("checked", "violated"),
}
_NUMBERS: Final = (
    "seed",
    "simulated_s",
    "warm_up_s",
    "turns",
    "events",
    "makespan_s",
    "cost_usd",
    "wall_s",
)
_GROUP_FIELDS: Final = (
    "slices_created",
    "slices_preempted",
    "slices_peak",
    "slices_mean",
    "utilisation",
    "cost_usd",
    "create_failures.stockout",
    "create_failures.quota",
    "create_failures.internal",
    "create_failures.other",
)

RESULT_KEYS: Final = _NUMBERS + tuple(
    f"{section}.{field}" for section, fields in _FIELDS.items() for field in fields
)
"""Every numeric key of the results, but for those of the groups."""

_SECONDS: Final = tuple(
    key for key in RESULT_KEYS if key.split(".")[0].endswith("_s") and not key.endswith(".count")
)

_FORM: Final = re.compile(r"\s*([^\s<>=!]+)\s*(==|!=|<=|>=|<|>)\s*([^\s<>=!]+)\s*")
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_-]+)*")


class Verdict(TypedDict):
    """What became of one expectation, in the form of the results."""

    expr: str
    holds: bool
    left: float | int | None  # None: the run has no such number, as a percentile of no jobs
    right: float | int | None  # None: as on the left


def parse_expectation(text: str, groups: Sequence[str] = ()) -> Expectation:
    """The comparison that `text` spells, its keys checked; `groups` are the cluster's names."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(
            f"`{text}` is no comparison; write `KEY op NUMBER`, where op is one of"
            " == != < <= > >=, as `queue_wait_s.p95 < 7200`"
        )
    left, op, right = match.groups()
    sides = (_side(left, groups), _side(right, groups))
    if not any(isinstance(side, str) for side in sides):
        raise ValueError(f"`{text}` names no result; one side must be a key, as `jobs.succeeded`")
    _check_durations(text, (left, right), sides)
    return Expectation(text=text, left=sides[0], op=op, right=sides[1])


def judge(expectation: Expectation, results: Mapping[str, object]) -> Verdict:
    """Whether the results are as expected, and both numbers; what has no number does not hold."""
    left = _value(expectation.left, results)
    right = _value(expectation.right, results)
    holds = left is not None and right is not None and _compare(left, expectation.op, right)
    return Verdict(expr=expectation.text, holds=holds, left=left, right=right)


def _compare(left: float, op: str, right: float) -> bool:
    match op:
        case "==":
            return left == right
        case "!=":
            return left != right
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return left > right
        case ">=":
            return left >= right
        case _:
            raise AssertionError(op)


def _side(text: str, groups: Sequence[str]) -> str | float:
    """A key as it stands, or a number; whole numbers stay whole, so that they print as written."""
    if _NUMBER.fullmatch(text):
        return float(text) if re.search(r"[.eE]", text) else int(text)
    if text[0].isdigit():
        return parse_duration(text) / 1000
    if not _KEY.fullmatch(text):
        raise ValueError(f"`{text}` is neither a key of the results nor a number nor a duration")
    known = RESULT_KEYS + tuple(f"groups.{name}.{key}" for name in groups for key in _GROUP_FIELDS)
    if text not in known:
        raise ValueError(f"the results have no number `{text}`; {_hint(text, known)}")
    return text


def _hint(text: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(text, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    siblings = [key for key in known if key.startswith(text.split(".", maxsplit=1)[0] + ".")]
    return f"it has {', '.join(siblings or known[:12])}"


def _check_durations(
    text: str, spelled: tuple[str, str], sides: tuple[str | float, str | float]
) -> None:
    """A duration may only be compared with seconds: `jobs.failed < 2h` is a slip."""
    for mine, other in ((0, 1), (1, 0)):
        key = sides[other]
        is_duration = not isinstance(sides[mine], str) and not _NUMBER.fullmatch(spelled[mine])
        if is_duration and key not in _SECONDS:
            raise ValueError(f"`{text}` compares `{key}`, which is no time, with a duration")


def _value(side: str | float, results: Mapping[str, object]) -> float | int | None:
    if not isinstance(side, str):
        return side
    found: object = results
    for part in _parts(side):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found if isinstance(found, int | float) and not isinstance(found, bool) else None


def _parts(key: str) -> list[str]:
    """The steps to a result; a group's name may hold dots itself."""
    if not key.startswith("groups."):
        return key.split(".")
    field = next(field for field in _GROUP_FIELDS if key.endswith("." + field))
    return ["groups", key[len("groups.") : -len(field) - 1], *field.split(".")]
