"""What is asked of an actor, of whichever system: the same loops for Iris, Ray and Dask. Imports nothing of any."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

LARGE_BYTES: Final = 10_000_000
CALLS: Final = 2_000
ROUNDS: Final = 3

Call: TypeAlias = Callable[[Any], Any]
"""Calls `echo` of the actor and waits for what it returns."""
Submit: TypeAlias = Callable[[Any], Any]
"""Calls it and returns a handle."""
Gather: TypeAlias = Callable[[Sequence[Any]], Sequence[Any]]
"""Waits for all handles and returns their results, in order."""


class Echo:
    """The actor."""

    def echo(self, value: Any) -> Any:
        """What it was given."""
        return value

    def size(self, value: Any) -> int:
        """How long what it was given is."""
        return len(value)


def figures(
    call: Call, submit: Submit, gather: Gather, *, calls: int = CALLS, large: int = LARGE_BYTES
) -> dict[str, float]:
    """All figures of a system, each the median of some rounds."""
    for number in range(min(200, calls)):
        assert call(number) == number
    spans = sorted(_timed(lambda: call(7)) for _ in range(calls))
    found = {"trip_s": statistics.median(spans), "trip_p99_s": spans[int(len(spans) * 0.99)]}
    found["calls_per_s"] = statistics.median(
        calls / _timed(lambda: _all(submit, gather, calls)) for _ in range(ROUNDS)
    )
    found["open_per_s"] = 5_000 / _timed(lambda: _all(submit, gather, 5_000))
    found["open_10k_per_s"] = 10_000 / _timed(lambda: _all(submit, gather, 10_000))
    content = bytes(large)
    assert call(content) == content
    found["large_s"] = statistics.median(_timed(lambda: call(content)) for _ in range(2 * ROUNDS))
    return found


def _all(submit: Submit, gather: Gather, count: int) -> None:
    assert list(gather([submit(number) for number in range(count)])) == list(range(count))


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
