"""Executors: what becomes of runs whose place dies, and of those that nobody waits for any more."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

from iris.exit_status import ExitStatus
from sim.executors import in_processes
from sim.packing import Folder
from sim.sweep import Executor, Lost, Watch
from sim.sweep_run import Unit, run_unit
from tests.sim.sweeping import endless, short


def never() -> bool:
    return False


def killing_once(pids: Callable[[], list[int]]) -> Callable[[], bool]:
    """Asked whether to stop it says no, and the first time that a process is there kills it."""
    killed: list[int] = []

    def stop() -> bool:
        if not killed and (found := pids()):
            killed.append(found[0])
            os.kill(found[0], signal.SIGKILL)
        return False

    return stop


def children() -> list[int]:
    return [child.pid for child in multiprocessing.active_children() if child.pid is not None]


def test_runs_come_back_in_their_order_whatever_the_order_of_their_ends(tmp_path: Path) -> None:
    units = [Unit(short().text.replace("count: 2", "count: 500"), 9), short(1), short(2)]
    told: list[int] = []
    executor = in_processes(2)
    found = executor(units, Folder(tmp_path), Watch(never, told.append))
    assert found == [run_unit(unit) for unit in units]
    assert told == sorted(told)
    assert told[-1] == 3


def test_a_process_that_dies_takes_its_run_with_it_and_no_other(tmp_path: Path) -> None:
    units = [endless(), short(1), short(2)]
    found = in_processes(1)(units, Folder(tmp_path), Watch(killing_once(children)))
    assert isinstance(found[0], Lost)
    assert "ended without an answer" in found[0].why
    assert found[0].status is ExitStatus.FAILED
    assert found[1:] == [run_unit(short(1)), run_unit(short(2))]
    assert multiprocessing.active_children() == []


def check_stop(executor: Executor, folder: Path, units: list[Unit], done: int) -> None:
    """Stop when so many have ended: they are kept, and the others given up."""
    told = [0]
    watch = Watch(lambda: told[-1] >= done, told.append)
    found = executor(units, Folder(folder), watch)
    assert [outcome is not None for outcome in found] == [True] * done + [False] * (
        len(units) - done
    )


def test_a_stop_keeps_what_has_ended_and_leaves_no_process(tmp_path: Path) -> None:
    check_stop(in_processes(2), tmp_path, [short(1), endless(), endless(), endless()], 1)
    assert multiprocessing.active_children() == []


def test_a_run_that_raises_is_lost_with_its_error_and_no_other(tmp_path: Path) -> None:
    other = Unit(short().text, 0, version="0.0.0")
    wrong, older, good = in_processes(1)(
        [Unit("nothing: 1", 0), other, short()], Folder(tmp_path), Watch()
    )
    assert isinstance(wrong, Lost)
    assert wrong.status is ExitStatus.BUG
    assert isinstance(older, Lost)
    assert "0.0.0 planned the sweep" in older.why
    assert good == run_unit(short())
