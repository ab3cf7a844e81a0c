"""What the core keeps in memory for each job that has not ended."""

import gc
import tracemalloc
from typing import Final

from tests.benchmarks.crowds import CORES, Crowd, jobs, submissions
from tests.benchmarks.figures import Figure

UNDER: Final = "under 10 KiB"


def measure(*, live: int = 10_000) -> list[Figure]:
    """Bytes allocated for each job of one task: of those that run, and of those that wait."""
    crowd = Crowd(live // CORES)
    running = _bytes_for(crowd, "running", live)
    waiting = _bytes_for(crowd, "waiting", live)
    beside = "the core alone, by tracemalloc"
    return [
        Figure("controller memory per running job", UNDER, f"{running:,.0f} bytes", beside),
        Figure("controller memory per waiting job", UNDER, f"{waiting:,.0f} bytes", beside),
    ]


def _bytes_for(crowd: Crowd, user: str, count: int) -> float:
    gc.collect()
    tracemalloc.start()
    try:
        crowd.step(*submissions(jobs(count, user=user)))
        crowd.run_all()
        crowd.forget_turns()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] / count
    finally:
        tracemalloc.stop()
