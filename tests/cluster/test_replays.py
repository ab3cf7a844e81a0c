"""The journal of a real cluster, in which a worker was killed and its slice lost: told, verified, asked."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from iris.cli.main import main
from iris.client import IrisClient, Job
from iris.cluster.types import Entrypoint, ResourceSpec
from tests.cluster.running import RunningCluster, running, until

WHOLE_HOST = ResourceSpec(cpu=8)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RunningCluster]:
    yield from running(tmp_path)


def submitted(client: IrisClient, name: str, script: str, retries: int = 0) -> Job:
    entrypoint = Entrypoint.from_command("sh", "-c", script)
    return client.submit(entrypoint, name, resources=WHOLE_HOST, max_retries_failure=retries)


def end_its_worker(cluster: RunningCluster, job: Job) -> None:
    """As a machine does that is gone for good, with the job's one task on it."""
    (attempt,) = job.status().details[0].attempts
    slice_ = attempt.worker.rpartition("-w")[0]
    (file,) = cluster.root.glob(f"vms/*{slice_}*/*/worker.pid")
    cluster.end_worker(int(file.read_text()))


def lived(cluster: RunningCluster) -> None:
    """Five jobs, of which one fails once, one is stopped, and one loses its worker and its slice."""
    mark = cluster.root.parent / "tried"
    with cluster.client() as client:
        once = f"sleep 0.3; test -e {mark} || {{ touch {mark}; exit 3; }}"
        assert submitted(client, "fails-once", once, retries=1).wait(30).state == "succeeded"
        long = submitted(client, "long", "sleep 2")
        until(lambda: long.status().state == "running" and cluster.task_pids() != [])
        rest = [submitted(client, f"short-{number}", "sleep 1") for number in range(2)]
        end_its_worker(cluster, long)
        stopped = submitted(client, "stopped", "sleep 60")
        assert [job.wait(60).state for job in (long, *rest)] == ["succeeded"] * 3
        until(lambda: stopped.status().state == "running")
        stopped.terminate()
        assert stopped.wait(30).state == "killed"
        submitted(client, "last", "sleep 0.5").wait(30)
    assert cluster.stop() == 0


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["sim", "replay", *words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert isinstance(told, dict)
    return told


def test_a_real_journal_is_told_verified_and_asked_two_what_ifs(
    own: RunningCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    lived(own)
    root = str(own.root)
    assert answer(capsys, root, "--verify")["equal"] is True
    told = answer(capsys, root)
    assert told["jobs"]["succeeded"] == 5
    assert told["jobs"]["killed"] == 1
    assert told["attempts"] == {
        "total": 8, "preempted": 0, "evicted": 0, "failed": 1, "worker_failed": 1,
    }  # fmt: skip
    assert told["invariants"]["violations"] == []
    few = answer(
        capsys, root, "--what-if", "--until-done", "--set", "scale_groups.cpu.max_slices=1"
    )
    many = answer(
        capsys, root, "--what-if", "--until-done", "--set", "scale_groups.cpu.min_slices=2"
    )
    for asked in (few, many):
        assert asked["fidelity"]["same_end"] == asked["fidelity"]["jobs"] == 6
        assert asked["simulated"]["attempts"] == told["attempts"]
    assert few["figures"]["queue_wait_s.mean"]["difference"] > 0
    assert many["figures"]["queue_wait_s.mean"]["difference"] < 0
