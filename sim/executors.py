"""Runs of a sweep in processes of this machine: one whose process dies is lost, and no other."""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import closing
from ctypes import c_bool
from functools import partial

from sim.apart import apart, died
from sim.packing import Folder
from sim.study import POLL_S, is_told_to_stop, obey
from sim.sweep import Executor, Lost, Outcome, Watch, lost_by
from sim.sweep_run import Unit, run_unit


def in_processes(count: int) -> Executor:
    """An executor of so many processes."""

    def run(units: Sequence[Unit], files: Folder, watch: Watch) -> list[Outcome]:
        outcomes: list[Outcome] = [None] * len(units)
        ended = 0
        flag = multiprocessing.get_context("spawn").RawValue(c_bool)
        call = partial(_run_here, str(files.path))
        batches = apart(call, enumerate(units), count, partial(obey, flag), look_s=POLL_S)
        with closing(batches):
            try:
                for batch in batches:
                    for (place, _), future in batch:
                        outcomes[place] = _outcome(future)
                    ended += len(batch)
                    if batch:
                        watch.ended(ended)
                    if watch.stop():
                        break
            finally:
                # Whatever brought us here, nobody waits for further results.
                flag.value = True
        return outcomes

    return run


def _outcome(future: "Future[bytes | None]") -> Outcome:
    if died(future):
        return Lost("its process ended without an answer; memory may have run out")
    error = future.exception()
    return future.result() if error is None else lost_by(error)


def _run_here(folder: str, item: tuple[int, Unit]) -> bytes | None:
    """In a process of a sweep: one run, or None when all was over before it ended."""
    return None if is_told_to_stop() else run_unit(item[1], folder, stop=is_told_to_stop)
