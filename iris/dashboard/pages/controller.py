"""The controller itself: how quickly its loop turns, its journal, and the configuration in force."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import isfinite

from iris import __version__
from iris.core.record import to_json
from iris.dashboard.page import Asked, Json, Page, object_of
from iris.dashboard.subject import CallRow, Subject
from iris.dashboard.timeline import Areas, areas


@dataclass(frozen=True, slots=True)
class ControllerPage:
    """What the page shows."""

    version: str
    facts: Mapping[str, str]
    quantiles: Sequence[tuple[str, float]]
    """Of the time that the last turns took, in milliseconds."""
    measured: int
    """So many turns."""
    chart: Areas
    calls: Sequence[CallRow]
    config: str
    config_hash: str
    counts: Mapping[str, int]


async def load(subject: Subject, _: Asked) -> ControllerPage:
    """How the controller is."""
    state = subject.state
    pace = list(subject.recent.pace)
    spans = sorted(millis for _, millis in pace)
    config = json.dumps(to_json(state.spec), indent=1)
    counts = {
        "jobs": len(state.jobs),
        "of them ended": len(state.ended),
        "tasks": len(state.tasks),
        "slices": len(state.slices),
        "workers": len(state.workers),
        "waiting units": sum(len(queue) for queue in state.waiting.queues.values()),
        "kinds of waiting work": len(state.waiting.queues),
    }
    at = [moment for moment, _ in pace]
    microseconds = [max(1, round(millis * 1_000)) for _, millis in pace]
    chart = areas(at, [("microseconds of a turn", "busy", microseconds)], subject.now())
    return ControllerPage(
        version=__version__,
        facts=await subject.facts(),
        quantiles=[(name, _quantile(spans, part)) for name, part in _PARTS.items() if spans],
        measured=len(spans),
        chart=chart,
        calls=subject.calls(),
        config=config,
        config_hash=sha256(config.encode()).hexdigest()[:12],
        counts=counts,
    )


_PARTS = {"median": 0.5, "nine of ten": 0.9, "99 of 100": 0.99, "longest": 1.0}


def _quantile(ordered: Sequence[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def told(model: ControllerPage) -> Json:
    """The same for programs."""
    item = {
        "version": model.version,
        "facts": dict(model.facts),
        "turn_ms": dict(model.quantiles),
        "calls": [
            {
                "method": row.method,
                "count": row.count,
                "failed": row.failed,
                "p50_s": _finite(row.half_s),
                "p99_s": _finite(row.most_s),
            }
            for row in model.calls
        ],
        "config_sha256": model.config_hash,
        "counts": dict(model.counts),
    }
    return object_of("Controller", item)


def _finite(value: float | None) -> float | None:
    """JSON knows no infinity."""
    return value if value is not None and isfinite(value) else None


PAGE = Page("/controller", "controller.html", "Controller", load, told)
