"""How long a restarted controller takes to know again what it knew, from what was on the disk."""

import json

from iris.core.controller import Controller
from iris.core.record import to_json, turn_from_json
from iris.core.replay import recover
from iris.core.snapshot import snapshot, snapshot_from_json, snapshot_to_json
from tests.benchmarks.crowds import CORES, Crowd, jobs, submissions
from tests.benchmarks.figures import Figure, milliseconds, timed


def measure(*, tasks: int = 100_000, later: int = 1_000) -> list[Figure]:
    """From text to a controller: out of turns alone, and out of a snapshot and the turns after."""
    crowd = Crowd(tasks // CORES)
    batches = jobs(tasks // 100, tasks=100)
    for start in range(0, len(batches), 10):
        crowd.step(*submissions(batches[start : start + 10]))
        crowd.run_all()
    whole = _lines(crowd, 0)
    image = json.dumps(snapshot_to_json(snapshot(crowd.controller.state)))
    known = len(crowd.turns)
    for spec in jobs(later, user="late"):
        crowd.step(*submissions([spec]))
    tail = _lines(crowd, known)
    return [
        _figure(
            f"recovery, {tasks:,} tasks in a journal of {known:,} turns", crowd, "", whole + tail
        ),
        _figure(
            f"recovery, {tasks:,} tasks in a snapshot, {later:,} turns after", crowd, image, tail
        ),
    ]


def _lines(crowd: Crowd, start: int) -> list[str]:
    return [json.dumps(to_json(turn)) for turn in crowd.turns[start:]]


def _figure(what: str, crowd: Crowd, image: str, lines: list[str]) -> Figure:
    bare, _ = timed(lambda: [json.loads(text) for text in ([image] if image else []) + lines])
    seconds, controller = timed(lambda: _recover(image, lines))
    assert controller.digest() == crowd.controller.digest(), "another state was recovered"
    size = (len(image) + sum(map(len, lines))) / 1e6
    beside = f"`json.loads` of the same {size:,.0f} MB alone: {milliseconds(bare)}"
    return Figure(what, "under 3 s", milliseconds(seconds), beside)


def _recover(image: str, lines: list[str]) -> Controller:
    start = snapshot_from_json(json.loads(image)) if image else None
    return recover((turn_from_json(json.loads(line)) for line in lines), start)
