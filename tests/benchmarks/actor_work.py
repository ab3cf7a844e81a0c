"""What is asked of an actor or a pool, of whichever system: the same loops for all. Imports nothing of any."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

LARGE_BYTES: Final = 10_000_000
CALLS: Final = 2_000
OPEN: Final = 5_000
_ROUNDS: Final = 3

Call: TypeAlias = Callable[[Any], Any]
"""Calls `echo` of the actor, and waits for what it returns or gives a handle."""
Gather: TypeAlias = Callable[[Sequence[Any]], Sequence[Any]]
"""Waits for all handles and returns their results, in order."""


def echo(value: Any) -> Any:
    """What it was given."""
    return value


class Echo:
    """The actor."""

    def echo(self, value: Any) -> Any:
        """What it was given."""
        return value


def figures(  # noqa: PLR0913
    call: Call,
    submit: Call,
    gather: Gather,
    *,
    calls: int = CALLS,
    many: int = OPEN,
    large: int = LARGE_BYTES,
) -> dict[str, float]:
    """All figures of a system: medians, but for the calls that are open together, which are made once."""
    for number in range(calls // 10):
        assert call(number) == number
    spans = sorted(_timed(lambda: call(7)) for _ in range(calls))
    rates = [calls / _timed(lambda: _all(submit, gather, calls)) for _ in range(_ROUNDS)]
    content = bytes(large)
    assert call(content) == content
    return {
        "trip_s": statistics.median(spans),
        "calls_per_s": statistics.median(rates),
        "open_per_s": many / _timed(lambda: _all(submit, gather, many)),
        "large_s": statistics.median(_timed(lambda: call(content)) for _ in range(2 * _ROUNDS)),
    }


def _all(submit: Call, gather: Gather, count: int) -> None:
    assert list(gather([submit(number) for number in range(count)])) == list(range(count))


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
