"""A machine with a real engine: its startup script runs the worker in a container, and that tasks in others."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import iris
from iris.cluster.types import Entrypoint, ResourceSpec
from tests.cluster.docking import IMAGE, docker, lacking
from tests.cluster.running import RunningCluster, running, until
from tests.gcp.booting import ZONE, machine

NAME = "iris-worker-of-test-bootstrap"
pytestmark = pytest.mark.skipif(bool(lacking()), reason=lacking() or "it can run")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RunningCluster]:
    group = {
        "accelerator_type": "cpu",
        "vm": {"cpu": 2, "memory": "1GiB"},
        "max_slices": 1,
        "zones": [ZONE],
    }
    yield from running(tmp_path, scale_groups={"cpu": group})


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[str]:
    """A `docker` command that has containers run Iris as it is here, whatever is in the image."""
    where = "import iris; print(iris.__path__[0])"
    inside = docker("run", "--rm", "--entrypoint", "python3", IMAGE, "-c", where).strip()
    ours = f"-v {Path(iris.__file__).parent}:{inside}:ro"
    command = tmp_path / "bin" / "docker"
    command.parent.mkdir()
    real = shutil.which("docker")
    lines = (
        "#!/bin/sh",
        f'[ "$1" != run ] || {{ shift; set -- run {ours} "$@"; }}',
        f'exec {real} "$@"',
    )
    command.write_text("\n".join((*lines, "")))
    command.chmod(0o755)
    yield str(command.parent)
    docker("rm", "-f", NAME)


def test_a_worker_in_a_container_of_a_machine_runs_functions_in_containers_beside_it(
    cluster: RunningCluster, tmp_path: Path, commands: str
) -> None:
    with (
        machine(tmp_path / "vms", cluster.url, commands=commands, container=NAME) as found,
        cluster.client() as client,
    ):
        found.create()
        until(lambda: [worker.state for worker in cluster.workers()] == ["healthy"])

        def who() -> int:
            import os

            return os.getuid()

        job = client.submit(
            Entrypoint.from_callable(who), "who", resources=ResourceSpec(cpu=1, memory="128MB")
        )
        assert job.wait(60).state == "succeeded"
        assert job.result() == 10_000
        assert (
            docker("inspect", "-f", "{{.HostConfig.RestartPolicy.Name}}", NAME).strip()
            == "on-failure"
        )
