"""An engine that is silent, away, or restarted: no task's end is made up, and no user pays for it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.client import Job
from iris.cluster.types import ResourceSpec, gpu_device
from iris.exit_status import ExitStatus
from tests.cluster.docking import IMAGE, PATIENCE_S, SMALL, containers, docked, lacking, shell
from tests.cluster.engines import OwnEngine, own_engine
from tests.cluster.proxy import Proxy
from tests.cluster.running import RunningCluster, running, until

ENGINE = Path("/var/run/docker.sock")
PROVIDER = {"type": "local", "runtime": "docker"}


@pytest.fixture(scope="module", autouse=True)
def engine() -> None:
    """Skips where there is none."""
    why = lacking()
    if why:
        pytest.skip(why)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    made = Proxy(ENGINE)
    yield made
    made.close()


@pytest.fixture
def behind(tmp_path: Path, proxy: Proxy) -> Iterator[RunningCluster]:
    """A cluster that reaches its engine through the proxy."""
    try:
        variables = {"DOCKER_HOST": f"tcp://127.0.0.1:{proxy.port}"}
        timeouts = {"worker_timeout": "5s", "stop_grace": "1s"}
        yield from docked(tmp_path, variables, timeouts=timeouts)
    finally:
        proxy.well()


def says(job: Job, word: str) -> None:
    until(lambda: word in job.tasks()[0].logs(), PATIENCE_S)


def has_ended(name: str) -> bool:
    words = ["docker", "inspect", "-f", "{{.State.Status}}", name]
    return "exited" in subprocess.run(words, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("how", ["silent", "away"])
def test_i_83_what_ends_while_the_engine_does_not_answer_is_learned_later(
    behind: RunningCluster, proxy: Proxy, how: str
) -> None:
    with behind.client() as client:
        job = client.submit(shell("echo up; sleep 4; echo down"), "blind", resources=SMALL)
        says(job, "up")
        (name,) = containers(behind)
        if how == "silent":
            proxy.deaf(there=False, back=False)
        else:
            proxy.away()
        until(lambda: has_ended(name), PATIENCE_S)
        time.sleep(1)  # Long enough to be looked at, and not to be believed.
        assert job.status().state == "running"
        proxy.well()
        assert job.wait(PATIENCE_S).state == "succeeded"
        assert [a.cause for a in job.status().details[0].attempts] == ["exit_zero"]
        assert job.tasks()[0].logs() == "up\ndown\n"
        assert containers(behind) == []


def test_i_83_a_stop_that_the_engine_does_not_hear_is_asked_for_again(
    behind: RunningCluster, proxy: Proxy
) -> None:
    with behind.client() as client:
        job = client.submit(
            shell("trap '' TERM; echo up; while :; do sleep 0.1; done"), "deaf", resources=SMALL
        )
        says(job, "up")
        proxy.away()
        job.terminate()
        (log,) = behind.root.glob("vms/*/0/worker.log")
        until(lambda: "SIGKILL to" in log.read_text(), PATIENCE_S)  # It, too, has found nobody.
        proxy.well()
        assert job.wait(PATIENCE_S).state == "killed"
        (worker,) = behind.workers()
        assert worker.state == "healthy", worker  # It was not taken for lost.
        assert containers(behind) == []


@pytest.fixture(scope="module")
def own() -> Iterator[OwnEngine]:
    if os.geteuid():
        pytest.skip("needs root, to start an engine")
    with own_engine(IMAGE) as made:
        yield made


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_i_83_what_a_restart_of_the_engine_kills_is_no_failure_of_the_user(
    own: OwnEngine, tmp_path: Path, number: signal.Signals
) -> None:
    for cluster in running(
        tmp_path, variables=own.variables, provider=PROVIDER, docker={"image": IMAGE}
    ):
        with cluster.client() as client:
            script = 'echo up; [ "$IRIS_ATTEMPT_ID" != 0 ] || sleep 600; echo again'
            job = client.submit(shell(script), "restart", resources=SMALL)
            says(job, "up")
            own.end(number)
            own.start()
            ended = job.wait(PATIENCE_S)
            attempts = ended.details[0].attempts
            assert [a.cause for a in attempts] == ["unknown", "exit_zero"], attempts
            assert "the Docker engine was away or restarted" in attempts[0].detail
            assert ended.state == "succeeded"


def test_a_gpu_that_the_engine_cannot_give_is_launch_trouble(tmp_path: Path) -> None:
    group = {"accelerator_type": "H100:2", "min_slices": 1, "max_slices": 1}
    for cluster in running(
        tmp_path,
        provider=PROVIDER,
        docker={"image": IMAGE},
        scale_groups={"gpu": {**group, "vm": {"cpu": 4, "memory": "4GB"}}},
        timeouts={"retry_backoff": "100ms", "max_retry_backoff": "100ms"},
    ):
        with cluster.client() as client:
            resources = ResourceSpec(cpu="0.5", memory="64MB", device=gpu_device("H100", 1))
            job = client.submit(shell("true"), "gpu", resources=resources, max_retries_preemption=0)
            (attempt,) = job.wait(PATIENCE_S).details[0].attempts
            assert attempt.cause == "launch"
            assert "could not select device driver" in attempt.detail
            assert containers(cluster) == []


def test_a_worker_without_an_engine_says_so_in_one_line(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "iris.cluster.worker.main",
        "--controller",
        "http://127.0.0.1:9",
    ]
    command += ["--root", str(tmp_path), "--slice", "s", "--host", "0"]
    command += ["--offers", "{}", "--runtime", "docker", "--image", IMAGE]
    nowhere = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/none"}
    done = subprocess.run(
        command, env=nowhere, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == ExitStatus.FAILED
    (line,) = done.stderr.splitlines()
    assert "ERROR no Docker engine answers" in line
