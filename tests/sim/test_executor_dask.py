"""A sweep on a real Dask cluster of this machine: the same bytes, and what becomes of runs when workers die."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from iris.exit_status import ExitStatus
from iris.problems import Failure
from sim.executor_dask import on_dask
from sim.packing import Folder
from sim.sweep import Lost, Watch
from sim.sweep_run import run_unit
from tests.cluster.running import free_port, until
from tests.sim.sweeping import endless, planned, short
from tests.sim.test_executors import check_stop, killing_once


def busy_threads(dask_worker: Any) -> int:
    """How many runs a worker computes, whether Dask still wants them or not."""
    return len(dask_worker.active_threads)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two workers, the first death of which is told."""
    import dask
    from distributed import LocalCluster

    settings = {"distributed.scheduler.allowed-failures": 0}
    with (
        dask.config.set(settings),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as found,
    ):
        yield found


def test_runs_on_dask_give_the_bytes_that_they_give_here(cluster: Any, tmp_path: Path) -> None:
    sweep, files = planned(tmp_path)
    units = sweep.units()
    told: list[int] = []
    executor = on_dask(cluster.scheduler_address)
    found = executor(units, files, Watch(lambda: False, told.append))
    assert found == [run_unit(unit, str(files.path)) for unit in units]
    assert told[-1] == len(units)


def test_a_worker_that_dies_takes_its_run_with_it_and_no_other(
    cluster: Any, tmp_path: Path
) -> None:
    from distributed import Client

    with Client(cluster, set_as_default=False) as client:

        def busy() -> list[int]:
            """The process that runs what does not end, once the other run has ended."""
            under_way = [worker for worker, keys in client.processing().items() if keys]
            workers = under_way if told else []
            return list(client.run(os.getpid, workers=workers).values()) if workers else []

        told: list[int] = []
        watch = Watch(killing_once(busy), told.append)
        found = on_dask(cluster.scheduler_address)([endless(), short()], Folder(tmp_path), watch)
    assert isinstance(found[0], Lost)
    assert "died" in found[0].why
    assert found[0].status is ExitStatus.FAILED
    assert found[1] == run_unit(short())


def test_a_stop_gives_up_what_has_not_ended(cluster: Any, tmp_path: Path) -> None:
    units = [short(), endless(), endless(), endless()]
    check_stop(on_dask(cluster.scheduler_address), tmp_path, units, 1)
    from distributed import Client

    with Client(cluster, set_as_default=False) as client:
        until(lambda: not any(client.run(busy_threads).values()))


@pytest.mark.parametrize("address", ["scheduler", "tcp://scheduler", "tcp://127.0.0.1:x"])
def test_what_is_no_address_is_refused_at_once(address: str) -> None:
    with pytest.raises(Failure, match="is no address of a Dask scheduler") as refused:
        on_dask(address)
    assert refused.value.status is ExitStatus.BAD_INPUT


def test_a_scheduler_that_does_not_answer_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sim.executor_dask.CONNECT_S", 0.3)
    with pytest.raises(Failure, match="no Dask scheduler answers at tcp://127") as refused:
        on_dask(f"tcp://127.0.0.1:{free_port()}")([short()], Folder(tmp_path), Watch())
    assert refused.value.status is ExitStatus.UNREACHABLE


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A scheduler in a process of its own, without a worker, and its address."""
    monkeypatch.setattr("sim.executor_dask.CONNECT_S", 120.0)  # it has only just been started
    port = free_port()
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--no-dashboard"]
    with subprocess.Popen([*command, "--host", "127.0.0.1", "--port", str(port)]) as process:
        try:
            yield process, f"tcp://127.0.0.1:{port}"
        finally:
            process.kill()


def test_a_scheduler_that_leaves_takes_the_runs_with_it_that_had_not_ended(
    scheduler: tuple[subprocess.Popen[bytes], str], tmp_path: Path
) -> None:
    process, address = scheduler
    waited: list[int] = []

    def stop() -> bool:
        """Never; but by then the scheduler has taken the run, and is killed."""
        waited.append(1)
        if len(waited) == 2:
            process.kill()
        return False

    found = on_dask(address)([endless()], Folder(tmp_path), Watch(stop))
    assert found == [Lost("the Dask scheduler has left", ExitStatus.UNREACHABLE)]
