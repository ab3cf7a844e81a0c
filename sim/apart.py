"""Calls in processes of this machine, each of which may die without harm to the others.

Every process has one call at a time, so that when it dies it is known which one it took with it; another
process takes its place.
"""

import multiprocessing
import signal
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from typing import Any, TypeAlias, TypeVar

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")
Ended: TypeAlias = list[tuple[_Item, Future[_Answer]]]


def died(call: Future[Any]) -> bool:
    """Whether a call that is over took its process along."""
    return isinstance(call.exception(), BrokenProcessPool)


def ignore_interrupt() -> None:
    """In a new process: the one who started it hears Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def apart(
    call: Callable[[_Item], _Answer],
    items: Iterator[_Item],
    processes: int,
    begin: Callable[[], None],
    *,
    look_s: float | None = None,
) -> Generator[Ended[_Item, _Answer], None, None]:
    """What has ended since the last time, in any order, until all has.

    Args:
        call: what is made of an item; it and they can be pickled.
        items: asked for the next one when a process is free.
        processes: how many at once.
        begin: called first in every new process.
        look_s: seconds after which nothing is told if nothing has ended; never, if not given.

    Whoever closes it early waits for the calls under way.
    """
    # Spawned, for a fork would copy whatever threads and locks the caller has.
    context = multiprocessing.get_context("spawn")
    under_way: dict[Future[_Answer], tuple[_Item, ProcessPoolExecutor]] = {}
    with ExitStack() as pools:

        def new_pool() -> ProcessPoolExecutor:
            return pools.enter_context(ProcessPoolExecutor(1, context, begin))

        def give(pool: ProcessPoolExecutor | None) -> bool:
            """Give a process, or a new one, its next item; false when there is none."""
            for item in items:
                free = pool if pool is not None else new_pool()
                under_way[free.submit(call, item)] = item, free
                return True
            return False

        for _ in range(processes):
            if not give(None):
                break
        while under_way:
            ended = wait(under_way, look_s, FIRST_COMPLETED).done
            batch: Ended[_Item, _Answer] = []
            for future in ended:
                item, pool = under_way.pop(future)
                batch.append((item, future))
                give(None if died(future) else pool)
            yield batch
