"""A sweep as jobs of a real cluster: the same bytes, and what becomes of runs that somebody stops."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.cli.main import main
from iris.client import IrisClient
from iris.exit_status import ExitStatus
from sim.executor_iris import on_iris
from sim.packing import Folder
from sim.sweep import Executor, Lost, Watch
from sim.sweep_run import Unit, run_unit
from tests.cluster.running import RunningCluster, running, until
from tests.sim.sweeping import SETTINGS, endless, short, traced
from tests.sim.test_executors import check_stop


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    yield from running(tmp_path_factory.mktemp("cluster"))


@pytest.fixture
def executor(cluster: RunningCluster) -> Executor:
    def connect(workspace: Path | None) -> IrisClient:
        return IrisClient.remote(cluster.url, workspace=workspace, user="alice")

    return on_iris(connect, "100MB")


def states(cluster: RunningCluster) -> list[str]:
    """Of all jobs of sweeps, in the order of their submission."""
    with cluster.client() as client:
        jobs = sorted(client.jobs(), key=lambda job: (job.submitted_at_ms, job.id))
        return [job.state for job in jobs]


def test_a_sweep_of_jobs_prints_the_bytes_of_a_sweep_of_processes(
    cluster: RunningCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    path = str(traced(tmp_path))
    words = ["sim", "sweep", path, *settings, "--replications", "2", "--json"]
    there = ["--executor", "iris", "--controller-url", cluster.url, "--memory", "200MB"]
    told = []
    for where in (["--jobs", "2"], there):
        assert main([*words, *where]) == ExitStatus.DONE
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    assert len(json.loads(told[0])["points"]) == 4
    assert states(cluster) == ["succeeded"] * 8


def test_a_job_that_somebody_stops_is_a_lost_run_and_the_others_are_kept(
    cluster: RunningCluster, executor: Executor, tmp_path: Path
) -> None:
    def stop() -> bool:
        """Never; but whatever runs, and does not end, is stopped by another hand."""
        with cluster.client() as client:
            for job in client.jobs(state="running"):
                if job.id.endswith("-0"):
                    client.job(job.id).terminate()
        return False

    found = executor([endless(), short()], Folder(tmp_path), Watch(stop))
    assert isinstance(found[0], Lost)
    assert "is killed" in found[0].why
    assert found[0].status is ExitStatus.JOB_STOPPED
    assert found[1] == run_unit(short())


def test_a_run_that_raises_in_its_job_is_lost_with_its_error(
    executor: Executor, tmp_path: Path
) -> None:
    units = [Unit(short().text, 0, version="0.0.0"), Unit("nothing: 1", 0)]
    older, wrong = executor(units, Folder(tmp_path), Watch())
    assert isinstance(older, Lost)
    assert "0.0.0 planned the sweep" in older.why
    assert older.status is ExitStatus.FAILED
    assert isinstance(wrong, Lost)
    assert wrong.status is ExitStatus.BUG
    assert wrong.error is not None


def test_a_stop_keeps_what_has_ended_and_stops_the_other_jobs(
    cluster: RunningCluster, executor: Executor, tmp_path: Path
) -> None:
    check_stop(executor, tmp_path, [short(), endless(), endless()], 1)
    until(lambda: sorted(states(cluster)[-3:]) == ["killed", "killed", "succeeded"])
