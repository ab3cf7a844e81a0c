"""`iris task exec` into containers of a real engine."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from iris.cluster.types import ResourceSpec
from tests.cluster.docking import PATIENCE_S, containers, docked, docker, lacking, shell
from tests.cluster.entering import entered, entering
from tests.cluster.running import RunningCluster, until


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """With one task, in a container, that goes on."""
    why = lacking()
    if why:
        pytest.skip(why)
    for cluster in docked(tmp_path_factory.mktemp("docked")):
        with cluster.client() as client:
            resources = ResourceSpec(cpu="0.5", memory="128MB")
            job = client.submit(shell("sleep 600"), "entered", resources=resources)
            until(lambda job=job: job.status().details[0].state == "running", PATIENCE_S)  # type: ignore[misc]
            yield cluster
            job.terminate()


TASK = "/alice/entered:0"


def sleepers(cluster: RunningCluster) -> int:
    (name,) = containers(cluster)
    lines = docker("top", name, "-eo", "pid,args").splitlines()
    return sum(line.split(None, 1)[1] == "sleep 543" for line in lines)


def test_i_142_a_command_runs_inside_the_tasks_container(inside: RunningCluster) -> None:
    script = "echo $IRIS_TASK_INDEX; id -u; ls /var/run/docker.sock; exit 5"
    done = entered(inside, TASK, "--", "sh", "-c", script)
    assert (done.returncode, done.stdout) == (5, b"0\n10000\n"), done.stderr.decode()
    assert b"No such file" in done.stderr


def test_megabytes_go_into_a_container_and_come_back_unchanged(inside: RunningCluster) -> None:
    content = os.urandom(3_000_000)
    done = entered(inside, TASK, "cat", input=content)
    assert (done.returncode, done.stdout == content) == (0, True)


def test_a_command_is_held_to_the_memory_of_its_task(inside: RunningCluster) -> None:
    done = entered(inside, TASK, "python3", "-c", "x = bytearray(400_000_000)")
    assert done.returncode != 0


def test_what_its_caller_leaves_behind_in_a_container_is_killed(inside: RunningCluster) -> None:
    script = "sleep 543 & sleep 543"
    calling = entering(inside, TASK, "sh", "-c", script, stdin=subprocess.PIPE)
    until(lambda: sleepers(inside) == 2, PATIENCE_S)
    calling.kill()
    calling.wait()
    assert calling.stdin is not None
    calling.stdin.close()
    until(lambda: sleepers(inside) == 0, PATIENCE_S)
    done = entered(inside, TASK, "sh", "-c", "sleep 543 & echo done")
    assert (done.returncode, done.stdout) == (0, b"done\n")
    until(lambda: sleepers(inside) == 0, PATIENCE_S)
    assert entered(inside, TASK, "pwd").stdout != b""
