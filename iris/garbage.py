"""How often a process looks for garbage in cycles: one rule for the simulator and the controller."""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_ALLOCATIONS_BETWEEN_COLLECTIONS: Final = 1_000_000


@contextmanager
def rare_collections() -> Iterator[None]:
    """Meanwhile, look a thousand times less often than Python does.

    The core makes hardly any cycles. Looking for them costs an eighth of the time of a large
    simulation, and as much of a controller's turn over a large fleet. At the end of the process it is not looked
    for once more: what is in a cycle ends with the process, and whoever pressed Ctrl-C waits for nothing.
    """
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)
    usual = gc.get_threshold()
    gc.set_threshold(_ALLOCATIONS_BETWEEN_COLLECTIONS, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)
