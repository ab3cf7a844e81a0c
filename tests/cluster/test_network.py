"""What a bad network between workers and controller may not do: lose, repeat, or keep what is cut off alive."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.cluster.types import Entrypoint, ResourceSpec
from iris.rpc import iris_pb2 as pb
from iris.rpc.errors import RemoteError
from iris.rpc.methods import APPEND_LOG, RECONCILE
from tests.cluster import network
from tests.cluster.proxy import Proxy
from tests.cluster.running import RunningCluster, running, until

PATIENCE_S = 120.0
SMALL = ResourceSpec(cpu="0.5", memory="10MB")


def behind(root: Path, **timeouts: str) -> Iterator[tuple[RunningCluster, Proxy]]:
    """A cluster whose workers reach it through a proxy."""
    whole = {"worker_timeout": "60s", "retry_backoff": "100ms", **timeouts}
    cluster = RunningCluster(root, timeouts=whole)
    proxy = Proxy(cluster.port)
    cluster.advertise = proxy.url
    cluster.start()
    try:
        yield cluster, proxy
    finally:
        cluster.end()
        proxy.close()


@pytest.fixture
def orphaning(tmp_path: Path) -> Iterator[tuple[RunningCluster, Proxy]]:
    yield from behind(tmp_path, orphan_timeout="2s")


@pytest.fixture
def losing(tmp_path: Path) -> Iterator[tuple[RunningCluster, Proxy]]:
    yield from behind(tmp_path, worker_timeout="2s")


def test_nothing_is_lost_and_nothing_runs_twice_in_bad_weather(tmp_path: Path) -> None:
    found = network.run(tmp_path, faults=8, seed=7)
    assert found.wrong == []
    assert len(found.jobs) == 8


@pytest.mark.parametrize("way", ["away", "deaf there", "deaf back"])
def test_i_84_a_worker_that_is_cut_off_for_good_stops_its_tasks_and_comes_back_by_itself(
    orphaning: tuple[RunningCluster, Proxy], way: str
) -> None:
    cluster, proxy = orphaning
    with cluster.client() as client:
        script = 'echo "attempt $IRIS_ATTEMPT_ID"; [ $IRIS_ATTEMPT_ID != 0 ] || sleep 600'
        job = client.submit(Entrypoint.from_command("sh", "-c", script), "orphan", resources=SMALL)
        until(lambda: "attempt 0" in job.tasks()[0].logs())
        if way == "away":
            proxy.away()
        else:
            proxy.deaf(there=way == "deaf back", back=way == "deaf there")
        until(lambda: not cluster.task_pids(), PATIENCE_S)
        if way != "deaf back":
            assert job.status().state == "running"  # Nobody could tell.
        proxy.well()
        ended = job.wait(PATIENCE_S)
        assert ended.state == "succeeded"
        assert len(ended.details[0].attempts) == 2
        assert "exit_nonzero" not in [a.cause for a in ended.details[0].attempts]


def test_i_82_what_a_lost_worker_still_says_of_its_attempt_changes_nothing(
    losing: tuple[RunningCluster, Proxy], tmp_path: Path
) -> None:
    cluster, proxy = losing
    with cluster.client() as client:
        gate = tmp_path / "gate"
        script = f"echo up; while [ ! -e {gate} ]; do sleep 0.05; done; echo $IRIS_ATTEMPT_ID"
        job = client.submit(Entrypoint.from_command("sh", "-c", script), "moved", resources=SMALL)
        until(lambda: "up" in job.tasks()[0].logs())
        proxy.away()
        until(lambda: job.status().details[0].attempts[0].state == "worker_failed", PATIENCE_S)
        proxy.well()
        until(lambda: len(job.status().details[0].attempts) > 1, PATIENCE_S)
        gate.touch()
        ended = job.wait(PATIENCE_S)
        assert ended.state == "succeeded"
        assert [a.state for a in ended.details[0].attempts] == ["worker_failed", "succeeded"]
        assert job.tasks()[0].logs(attempt=1) == "up\n1\n"


def test_repeated_late_and_foreign_messages_change_nothing(tmp_path: Path) -> None:
    for cluster in running(tmp_path):
        with cluster.client() as client:
            job = client.submit(Entrypoint.from_command("echo", "once"), "once", resources=SMALL)
            assert job.wait(PATIENCE_S).state == "succeeded"
            before = job.status().SerializeToString(deterministic=True)
            attempt = job.status().details[0].attempts[0]
            channel = client.channel
            report = pb.Report(task=f"{job.id}:0", attempt=0, state="failed", cause="exit_nonzero")
            for incarnation in ("somebody-else", ""):
                for _ in range(3):
                    answer = channel.call(
                        RECONCILE,
                        pb.ReconcileRequest(
                            worker=attempt.worker, incarnation=incarnation, reports=[report]
                        ),
                    )
                    assert answer.unknown
            for offset, content in ((0, b"once\n"), (0, b"twice"), (3, b"e\n"), (400, b"far")):
                answer_of_log = channel.call(
                    APPEND_LOG,
                    pb.AppendLogRequest(
                        task=f"{job.id}:0", attempt=0, offset=offset, content=content
                    ),
                )
                assert answer_of_log.next == 5
            with pytest.raises(RemoteError, match="attempt 7 of task /alice/once:0"):
                channel.call(APPEND_LOG, pb.AppendLogRequest(task=f"{job.id}:0", attempt=7))
            assert job.status().SerializeToString(deterministic=True) == before
            assert job.tasks()[0].logs() == "once\n"


def test_i_72_a_worker_that_is_asked_for_nothing_stays(
    orphaning: tuple[RunningCluster, Proxy],
) -> None:
    cluster, _ = orphaning
    until(lambda: [w.state for w in cluster.workers()] == ["healthy"])
    pids = cluster.worker_pids()
    with cluster.client() as client:
        job = client.submit(Entrypoint.from_command("sleep", "6"), "quiet", resources=SMALL)
        began = time.monotonic()
        assert job.wait(PATIENCE_S).state == "succeeded"
        assert (
            time.monotonic() - began > 5
        )  # Three times the orphan timeout, and nobody stopped it.
        assert len(job.status().details[0].attempts) == 1
    assert cluster.worker_pids() == pids
