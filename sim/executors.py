"""Runs of a sweep in processes of this machine, each of which may die without harm to the others.

Every process has one run at a time, so that when it dies it is known which run it took with it; another
process takes its place, and that run is lost.
"""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from ctypes import c_bool
from multiprocessing.context import SpawnContext
from typing import TypeAlias

from sim.packing import Folder
from sim.study import POLL_S, is_told_to_stop, obey
from sim.sweep import Executor, Lost, Outcome, Watch, lost_by
from sim.sweep_run import Unit, run_unit

_Run: TypeAlias = Future[bytes | None]


def in_processes(count: int) -> Executor:
    """An executor of so many processes."""

    def run(units: Sequence[Unit], files: Folder, watch: Watch) -> list[Outcome]:
        return _Processes(units, str(files.path), watch).run(count)

    return run


class _Processes:
    """The runs of one sweep, those that wait, those under way and those that have ended."""

    def __init__(self, units: Sequence[Unit], folder: str, watch: Watch) -> None:
        self._units = units
        self._folder = folder
        self._watch = watch
        self._outcomes: list[Outcome] = [None] * len(units)
        self._begun = self._ended = 0
        # Spawned, for a fork would copy whatever threads and locks the caller has.
        self._context: SpawnContext = multiprocessing.get_context("spawn")
        self._flag = self._context.RawValue(c_bool)
        self._under_way: dict[_Run, tuple[int, ProcessPoolExecutor]] = {}

    def run(self, count: int) -> list[Outcome]:
        try:
            for _ in range(min(count, len(self._units))):
                self._begin(self._process())
            while self._under_way and not self._watch.stop():
                done, _ = wait(self._under_way, timeout=POLL_S, return_when=FIRST_COMPLETED)
                for future in done:
                    self._end(future)
                if done:
                    self._watch.ended(self._ended)
        finally:
            # Whatever brought us here, nobody waits for further results.
            self._flag.value = True
            for _, process in self._under_way.values():
                process.shutdown(cancel_futures=True)
        return self._outcomes

    def _process(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, self._context, obey, (self._flag,))

    def _begin(self, process: ProcessPoolExecutor) -> None:
        """Give a process its next run, or let it go."""
        if self._begun == len(self._units):
            process.shutdown()
            return
        future = process.submit(_run_here, self._units[self._begun], self._folder)
        self._under_way[future] = (self._begun, process)
        self._begun += 1

    def _end(self, future: _Run) -> None:
        """Note what became of a run, and go on."""
        place, process = self._under_way.pop(future)
        self._ended += 1
        try:
            self._outcomes[place] = future.result()
        except BrokenProcessPool:
            self._outcomes[place] = Lost(
                "its process ended without an answer; memory may have run out"
            )
            process.shutdown()
            process = self._process()
        except Exception as error:  # noqa: BLE001  # It is told, with the others' results.
            self._outcomes[place] = lost_by(error)
        self._begin(process)


def _run_here(unit: Unit, folder: str) -> bytes | None:
    """In a process of a sweep: one run, or None when all was over before it ended."""
    return None if is_told_to_stop() else run_unit(unit, folder, stop=is_told_to_stop)
