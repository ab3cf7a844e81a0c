"""A pool under load, whose processes are killed in turn: every call ends, and all workers are used again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import suppress
from pathlib import Path

import pytest

from iris.client import CallCrashed, IrisClient, PoolEnded, WorkerLost, WorkerPool
from iris.cluster.types import ResourceSpec
from tests.cluster.running import RunningCluster, running, until

WORKERS = 3
CALLS = 60
DEADLINE_S = 30.0
SMALL = ResourceSpec(cpu="0.5", memory="200MB")
PROGRAM = """\
import sys, time
from iris.client import IrisClient, WorkerPool
from iris.cluster.types import ResourceSpec

client = IrisClient.remote(sys.argv[1], user="alice")
pool = WorkerPool(client, 1, "orphan", lease=1, resources=ResourceSpec(cpu="0.1", memory="200MB"))
assert pool.submit(int).result(60) == 0
waiting = [pool.submit(time.sleep, 3_600) for _ in range(2)]
print(pool.jobs[0].id, flush=True)
time.sleep(3_600)
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    group = {"accelerator_type": "cpu", "vm": {"cpu": 2, "memory": "8GB"}}
    pauses = dict.fromkeys(("stockout_backoff", "quota_backoff", "internal_backoff"), "500ms")
    yield from running(
        tmp_path_factory.mktemp("cluster"),
        scale_groups={"cpu": {**group, "min_slices": 2, "max_slices": 4}},
        timeouts={"worker_timeout": "3s", "retry_backoff": "100ms"},
        autoscaler={**pauses, "max_backoff": "1s"},
    )


def test_a_pool_whose_workers_never_serve_ends_and_says_where_to_look(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    (tmp_path / "iris").mkdir()
    (tmp_path / "iris" / "__init__.py").write_text("raise RuntimeError('another iris')")
    with IrisClient.remote(cluster.url, user="alice", workspace=tmp_path) as client:
        pool = WorkerPool(client, 1, "broken", resources=SMALL)
        with pytest.raises(
            PoolEnded, match=r"/alice/broken:0@2 is failed.*iris job logs /alice/broken"
        ):
            pool.submit(int).result(DEADLINE_S)
        assert "another iris" in client.job("/alice/broken").tasks()[0].logs()


def slow_square(number: int) -> int:
    time.sleep(0.01 * (1 + number % 3))
    return number * number


def hands(cluster: RunningCluster, job: str) -> list[int]:
    """The processes that make the calls of a pool's workers."""
    found = []
    for pid in cluster.task_pids():
        with suppress(OSError):  # It has just ended.
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
            its = Path(f"/proc/{pid}/environ").read_bytes()
            if b"iris.pool.hand" in words and f"IRIS_JOB_ID={job}\0".encode() in its:
                found.append(pid)
    return found


def parent(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


def outcome(future: "Future[int]") -> int | str:
    try:
        return future.result(0)
    except (CallCrashed, WorkerLost) as error:
        return type(error).__name__


def under_load(pool: WorkerPool, kill: Callable[[], object]) -> list[str]:
    """Kill something while calls are made; how calls ended that did not return."""
    until(lambda: pool.progress().workers == WORKERS)
    futures = [pool.submit(slow_square, number) for number in range(CALLS)]
    until(lambda: sum(future.done() for future in futures) >= WORKERS)
    kill()
    assert wait(futures, DEADLINE_S).not_done == set()
    outcomes = [outcome(future) for future in futures]
    return [str(found) for number, found in enumerate(outcomes) if found != number * number]


def test_i_130_whichever_process_of_the_picture_is_killed_every_call_ends_within_its_deadline(
    cluster: RunningCluster,
) -> None:
    def restart() -> None:
        cluster.kill()
        cluster.start()

    with cluster.client() as client:
        orphan = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, cluster.url], stdout=subprocess.PIPE, text=True
        )
        with WorkerPool(client, WORKERS, "calm", resources=SMALL, timeout=DEADLINE_S) as pool:
            job = pool.jobs[0]
            assert orphan.stdout is not None
            orphaned = client.job(orphan.stdout.readline().strip())
            orphan.kill()
            orphan.communicate()
            lost = under_load(pool, lambda: os.kill(hands(cluster, job.id)[0], signal.SIGKILL))
            assert lost in ([], ["CallCrashed"])
            lost = under_load(
                pool, lambda: os.kill(parent(hands(cluster, job.id)[0]), signal.SIGKILL)
            )
            assert lost in ([], ["WorkerLost"])
            assert under_load(pool, restart) == []
            assert under_load(pool, lambda: cluster.end_worker(cluster.worker_pids()[0])) == []
            assert under_load(pool, lambda: None) == []
        assert job.wait(10).state == "succeeded"
        assert orphaned.wait(20).state == "succeeded"
    until(lambda: cluster.task_pids() == [])
