"""Many placements at once: a fleet filled in one turn, and dispatches that are made durable."""

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from iris.core.decisions import Placement
from iris.core.effects import StartAttempt
from iris.core.ids import SliceId
from iris.core.record import Turn, to_json
from iris.core.records import Attempt
from tests.benchmarks.crowds import CORES, Crowd, jobs
from tests.benchmarks.figures import Figure, milliseconds, timed


def measure(*, workers: int = 10_000, repeats: int = 3) -> list[Figure]:
    """Ten tasks for each worker, of jobs of a hundred tasks each, placed in one turn."""
    tasks = workers * CORES
    runs = [_fill(workers) for _ in range(repeats)]
    whole, records = (min(spans) for spans in zip(*runs, strict=True))
    what = f"fill {workers:,} workers with {tasks:,} tasks"
    beside = f"just making their records: {milliseconds(records)}"
    return [Figure(what, "under 2 s", milliseconds(whole), beside)]


def _fill(workers: int) -> tuple[float, float]:
    """Seconds of the turn, and of making no more than the records that it makes."""
    crowd = Crowd(workers)
    tasks = workers * CORES
    crowd.admit(jobs(tasks // 100, tasks=100))
    whole, _ = timed(crowd.step)
    assert crowd.placements() == tasks, "not all were placed"
    turn = crowd.turns[-1]
    return whole, timed(lambda: _records(turn))[0]


def measure_dispatches(*, dispatches: int = 5_000, repeats: int = 5) -> list[Figure]:
    """A turn of so many placements: decided, as JSON, and safe on the disk."""
    whole, decided, written, bare = min(_dispatch(dispatches) for _ in range(repeats))
    parts = f"decided {milliseconds(decided)}, as JSON {milliseconds(written)}, then on the disk"
    return [
        Figure(
            f"{dispatches:,} dispatches: decided and journalled; nothing is sent yet",
            "under 300 ms",
            f"{milliseconds(whole)}: {parts}",
            f"`json.dumps` alone: {milliseconds(bare)}",
        )
    ]


def _dispatch(dispatches: int) -> tuple[float, float, float, float]:
    """Seconds of the whole, of deciding, of the turn as JSON, and of the bare library."""
    crowd = Crowd(dispatches // CORES)
    crowd.admit(jobs(dispatches))
    decided, _ = timed(crowd.step)
    assert crowd.placements() == dispatches, "not all were dispatched"
    turn = crowd.turns[-1]
    written, text = timed(lambda: json.dumps(to_json(turn), separators=(",", ":")))
    synced, _ = timed(lambda: _keep(text))
    plain = json.loads(text)
    bare, _ = timed(lambda: json.dumps(plain, separators=(",", ":")))
    return decided + written + synced, decided, written, bare


def _records(turn: Turn) -> list[object]:
    """What every placement at least brings forth: a decision, an attempt and a request."""
    made: list[object] = []
    for decision in turn.decisions:
        if isinstance(decision, Placement):
            for task, worker in zip(decision.tasks, decision.workers, strict=True):
                made.append(Placement(decision.job, (task,), (worker,), "best fit"))
                made.append(Attempt(0, worker, SliceId("iris-cpu-0"), turn.now, 1))
                made.append(StartAttempt(worker, "first", task, 0, 0, 1))
    return made


def _keep(text: str) -> None:
    with TemporaryDirectory() as folder, (Path(folder) / "journal").open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
