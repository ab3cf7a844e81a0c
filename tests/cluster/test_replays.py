"""The journal of a real cluster, in which a worker was killed and its slice lost: told, verified, asked."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.cli.main import main
from iris.client import IrisClient, Job
from iris.cluster.types import Entrypoint, ResourceSpec
from tests.cluster.running import RunningCluster, running, until


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RunningCluster]:
    yield from running(tmp_path)


def submitted(client: IrisClient, name: str, script: str, **spec: object) -> Job:
    entrypoint = Entrypoint.from_command("sh", "-c", script)
    return client.submit(entrypoint, name, resources=ResourceSpec(cpu=8), **spec)


def end_its_worker(cluster: RunningCluster, job: Job) -> None:
    """As a machine does that is gone for good, with the job's one task on it."""
    (attempt,) = job.status().details[0].attempts
    slice_ = attempt.worker.rpartition("-w")[0]
    (file,) = cluster.root.glob(f"vms/*{slice_}*/*/worker.pid")
    cluster.end_worker(int(file.read_text()))


def lived(cluster: RunningCluster) -> None:
    """Five jobs, of which one fails once, one is stopped, and one loses its worker."""
    with cluster.client() as client:
        marks = cluster.root.parent
        once = f"sleep 0.5; test -e {marks}/tried || {{ touch {marks}/tried; exit 3; }}"
        fails = submitted(client, "fails-once", once, max_retries_failure=1)
        assert fails.wait(30).state == "succeeded"
        long = submitted(client, "long", "sleep 3")
        until(lambda: long.status().state == "running")
        rest = [submitted(client, f"short-{n}", "sleep 1") for n in range(2)]
        end_its_worker(cluster, long)
        stopped = submitted(client, "stopped", "sleep 60")
        assert [job.wait(60).state for job in (long, *rest)] == ["succeeded"] * 3
        until(lambda: stopped.status().state == "running")
        stopped.terminate()
        stopped.wait(30)
    assert cluster.stop() == 0


def test_a_real_journal_is_told_verified_and_asked(
    own: RunningCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    lived(own)
    words = ["sim", "replay", str(own.root)]
    assert main([*words, "--verify"]) == 0
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    import shutil; shutil.copytree(own.root,'/tmp/wt/replay/real', dirs_exist_ok=True)
    assert main([*words, "--what-if", "--set", "scale_groups.cpu.max_slices=1"]) == 0
    print(capsys.readouterr().out)
    assert main([*words, "--what-if", "--set", "scale_groups.cpu.max_slices=4"]) == 0
    print(capsys.readouterr().out)
    assert 0
