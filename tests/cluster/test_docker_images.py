"""Images, and environments that are made in them, on a real engine."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.client import IrisClient
from iris.cluster.types import Entrypoint, EnvironmentSpec, ResourceSpec
from tests.cluster.docking import (
    IMAGE,
    PATIENCE_S,
    SMALL,
    containers,
    docked,
    docker,
    lacking,
    shell,
)
from tests.cluster.package_index import installed_wheel, plain_wheel, served, silent
from tests.cluster.running import RunningCluster, until


@pytest.fixture(scope="module", autouse=True)
def engine() -> None:
    """Skips where there is none."""
    why = lacking()
    if why:
        pytest.skip(why)


@pytest.fixture
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    yield from docked(tmp_path_factory.mktemp("docked"))


def test_i_116_an_image_that_cannot_be_had_is_no_failure_of_the_user(tmp_path: Path) -> None:
    image = "127.0.0.1:9/no/such-image:1"
    timeouts = {"worker_timeout": "5s", "retry_backoff": "100ms", "max_retry_backoff": "100ms"}
    for cluster in docked(tmp_path, image=image, timeouts=timeouts):
        with cluster.client() as client:
            job = client.submit(shell("true"), "image", resources=SMALL, max_retries_preemption=1)
            ended = job.wait(PATIENCE_S)
            assert ended.state == "failed"
            attempts = ended.details[0].attempts
            assert {a.cause for a in attempts} == {"launch"}
            assert f"image {image} cannot be pulled" in attempts[0].detail
            assert f"image {image} cannot be pulled" in job.tasks()[0].logs(attempt=0)


def test_packages_are_installed_in_a_container_and_kept(tmp_path: Path) -> None:
    def told() -> str:
        import probe  # type: ignore[import-not-found]  # it is made for this test

        return str(probe.WORD)

    installed_wheel(tmp_path, "cloudpickle")
    plain_wheel(tmp_path, "probe", "1.0", "WORD = 'from the index'")
    with served(tmp_path) as variables:
        for cluster in docked(tmp_path, variables):
            with cluster.client() as client:
                for turn in range(2):
                    job = client.submit(
                        Entrypoint.from_callable(told),
                        f"packages-{turn}",
                        resources=ResourceSpec(cpu="0.5", memory="256MB"),
                        environment=EnvironmentSpec(pip_packages=("probe==1.0",)),
                    )
                    assert job.result(PATIENCE_S) == "from the index"
                    built = "pip install" in job.tasks()[0].logs()
                    assert built == (turn == 0)


def test_a_project_is_refused_where_the_image_has_no_uv(
    shared: RunningCluster, tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "p"\nversion = "1"\n')
    with IrisClient.remote(shared.url, user="alice", workspace=tmp_path) as client:
        job = client.submit(
            shell("true"),
            "synced",
            resources=SMALL,
            environment=EnvironmentSpec(sync=True),
            max_retries_preemption=0,
        )
        (attempt,) = job.wait(PATIENCE_S).details[0].attempts
    assert attempt.cause == "launch"
    assert attempt.detail == f"sync: the image {IMAGE} has no `uv`; put it there: pip install uv"


def test_i_85_a_stop_ends_the_making_of_an_environment_at_once(tmp_path: Path) -> None:
    with silent() as variables:
        for cluster in docked(tmp_path, variables):
            _stop_a_build(cluster)


def _stop_a_build(cluster: RunningCluster) -> None:
    def runs_pip() -> bool:
        words = '{{.Command}} {{.Label "iris.host"}}'
        listed = docker("ps", "--no-trunc", "--format", words).splitlines()
        return any("pip install" in line and str(cluster.root) in line for line in listed)

    with cluster.client() as client:
        environment = EnvironmentSpec(pip_packages=("probe==1.0",))
        job = client.submit(shell("true"), "waits", resources=SMALL, environment=environment)
        until(runs_pip, PATIENCE_S)
        began = time.monotonic()
        job.terminate()
        ended = job.wait(PATIENCE_S)
        until(lambda: not containers(cluster), PATIENCE_S)
        assert time.monotonic() - began < 45  # pip itself would try for over a minute.
        causes = [(a.state, a.cause) for a in ended.details[0].attempts]
        assert causes == [("killed", "requested")]


def test_i_105_the_images_that_are_built_start(tmp_path: Path) -> None:
    for image, module in (("iris-worker:test", "worker"), ("iris-controller:test", "controller")):
        said = docker("run", "--rm", "--network", "none", image, "--help")
        assert f"iris-{module}" in said
    config = tmp_path / "cluster.yaml"
    config.write_text(
        json.dumps(
            {
                "provider": {"type": "local"},
                "controller": {"vm": {"port": 10_000}},
                "scale_groups": {
                    "cpu": {
                        "accelerator_type": "cpu",
                        "vm": {"cpu": 1, "memory": "1GB"},
                        "max_slices": 1,
                    }
                },
            }
        )
    )
    mount = f"{config}:/etc/iris/cluster.yaml:ro"
    name = docker("run", "-d", "--network", "none", "-v", mount, "iris-controller:test").strip()
    try:

        def log() -> str:
            done = subprocess.run(
                ["docker", "logs", name], capture_output=True, text=True, check=True
            )
            return done.stdout + done.stderr

        until(lambda: "serving at http://127.0.0.1:10000" in log(), PATIENCE_S)
        began = time.monotonic()
        docker("stop", "-t", "30", name)
        assert docker("inspect", "-f", "{{.State.ExitCode}}", name).strip() == "0"
        assert time.monotonic() - began < 30
    finally:
        docker("rm", "-f", name)
