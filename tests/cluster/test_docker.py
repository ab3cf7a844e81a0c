"""Tasks in containers, on a real engine: limits, isolation, ends, adoption, images, environments."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from iris.client import IrisClient
from iris.cluster.types import Entrypoint, EnvironmentSpec, ResourceSpec
from tests.cluster.package_index import installed_wheel, plain_wheel, served, silent
from tests.cluster.running import RunningCluster, running, until

IMAGE = "iris-worker:test"
PATIENCE_S = 120.0
QUICK = {"worker_timeout": "5s", "retry_backoff": "100ms"}


def docker(*words: str) -> str:
    """What the engine's own client says."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def lacking() -> str:
    """Why these tests cannot run here; empty when they can."""
    if shutil.which("docker") is None:
        return "needs a Docker engine: apt-get install docker.io"
    probe = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    if probe.returncode:
        return "needs a Docker engine that answers"
    known = subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, check=False)
    return f"needs the image {IMAGE}: run .ci/images" if known.returncode else ""


@pytest.fixture(scope="module", autouse=True)
def engine() -> None:
    """Skips where there is none."""
    why = lacking()
    if why:
        pytest.skip(why)


def containers(cluster: RunningCluster) -> list[str]:
    """Names of all containers of a cluster's workers."""
    listed = docker("ps", "-a", "--format", '{{.Names}} {{.Label "iris.host"}}').splitlines()
    pairs = [line.split(" ", 1) for line in listed if " " in line]
    return [name for name, host in pairs if host.startswith(str(cluster.root))]


def docked(
    root: Path,
    variables: Mapping[str, str] | None = None,
    image: str = IMAGE,
    timeouts: Mapping[str, str] = QUICK,
) -> Iterator[RunningCluster]:
    found = running(
        root,
        variables=variables,
        provider={"type": "local", "runtime": "docker"},
        docker={"image": image},
        timeouts=timeouts,
    )
    for cluster in found:
        try:
            yield cluster
        finally:
            for name in containers(cluster):
                docker("rm", "-f", name)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    yield from docked(tmp_path_factory.mktemp("docked"))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RunningCluster]:
    yield from docked(tmp_path)


@pytest.fixture
def client(shared: RunningCluster) -> Iterator[IrisClient]:
    with shared.client() as client:
        yield client


def shell(script: str) -> Entrypoint:
    return Entrypoint.from_command("sh", "-c", script)


SMALL = ResourceSpec(cpu="0.5", memory="64MB")


def test_four_replicas_run_in_containers_that_are_gone_at_the_end(
    client: IrisClient, shared: RunningCluster
) -> None:
    script = "echo $IRIS_TASK_INDEX of $IRIS_NUM_TASKS; cat /proc/1/comm; sleep 2"
    job = client.submit(shell(script), "four", replicas=4, resources=SMALL)
    until(lambda: len(containers(shared)) == 4, PATIENCE_S)
    assert job.wait(PATIENCE_S).state == "succeeded"
    assert [task.logs().splitlines()[0] for task in job.tasks()] == [f"{n} of 4" for n in range(4)]
    assert containers(shared) == []


def test_a_function_returns_its_value_from_a_container(client: IrisClient) -> None:
    def where(word: str) -> tuple[str, str]:
        import sys

        sys.stdout.write("from inside\n")
        return word.upper(), sys.prefix

    job = client.submit(Entrypoint.from_callable(where, "word"), "function", resources=SMALL)
    assert job.result(PATIENCE_S) == ("WORD", "/srv/iris")
    assert job.tasks()[0].logs() == "from inside\n"


@pytest.mark.parametrize("who", ["leader", "child"])
def test_too_much_memory_is_told_as_such_and_charged_to_the_failure_budget(
    client: IrisClient, who: str
) -> None:
    hungry = "python3 -c 'x = bytearray(400_000_000)'"
    script = hungry if who == "leader" else f"{hungry}; exit 5"
    job = client.submit(shell(script), f"hungry-{who}", resources=SMALL, max_retries_failure=1)
    ended = job.wait(PATIENCE_S)
    assert ended.state == "failed"
    attempts = ended.details[0].attempts
    assert [(a.state, a.cause) for a in attempts] == [("failed", "out_of_memory")] * 2
    assert "it used more memory than it had asked for" in attempts[-1].detail


def test_cores_are_limited(client: IrisClient) -> None:
    def spin() -> float:
        import multiprocessing
        import os
        import time

        def burn() -> None:
            while True:
                pass

        workers = [multiprocessing.Process(target=burn, daemon=True) for _ in range(2)]
        for worker in workers:
            worker.start()
        began = time.monotonic()
        time.sleep(3)
        span = time.monotonic() - began
        for worker in workers:
            worker.terminate()
            worker.join()
        times = os.times()
        return (times.children_user + times.children_system) / span

    job = client.submit(
        Entrypoint.from_callable(spin), "spin", resources=ResourceSpec(cpu="0.5", memory="256MB")
    )
    assert 0.05 < job.result(PATIENCE_S) < 0.75  # Two that spin would get more than one core.


def test_processes_are_limited(client: IrisClient) -> None:
    script = "i=0; while [ $i -lt 5000 ]; do sleep 30 & i=$((i+1)); done; echo all of them"
    job = client.submit(
        shell(script), "forks", resources=ResourceSpec(cpu="1", memory="4GB"), timeout="60s"
    )
    assert job.wait(PATIENCE_S).state == "failed"
    log = job.tasks()[0].logs()
    assert "all of them" not in log
    assert "fork" in log.lower()


def test_i_148_inside_there_is_no_socket_no_file_of_the_host_and_no_privilege(
    client: IrisClient, tmp_path: Path
) -> None:
    secret = tmp_path / "secret-of-the-host"
    secret.write_text("hidden")

    def look(path: str) -> dict[str, object]:
        import os
        from pathlib import Path

        status = Path("/proc/self/status").read_text().splitlines()
        facts = dict(line.split(":\t", 1) for line in status if ":\t" in line)
        seen: dict[str, object] = {
            "socket": os.path.exists("/var/run/docker.sock"),
            "secret": os.path.exists(path),
            "uid": os.getuid(),
            "capabilities": int(facts["CapEff"], 16),
            "no new privileges": facts["NoNewPrivs"],
            "variables": [name for name in os.environ if "TOKEN" in name or name.startswith("PIP")],
        }
        for place in ("/iris/work/x", "/iris/call.py", "/etc/x", "/iris/environments/x"):
            try:
                Path(place).write_text("x")
            except OSError:
                continue
            seen[f"wrote {place}"] = True
        return seen

    job = client.submit(Entrypoint.from_callable(look, str(secret)), "look", resources=SMALL)
    assert job.result(PATIENCE_S) == {
        "socket": False,
        "secret": False,
        "uid": 10_000,
        "capabilities": 0,
        "no new privileges": "1",
        "variables": ["IRIS_TOKEN"],
    }


def test_a_link_that_a_task_leaves_as_its_result_is_not_followed(
    client: IrisClient, shared: RunningCluster
) -> None:
    job = client.submit(
        shell("ln -s /etc/hostname /iris/out/result.pickle"), "link", resources=SMALL
    )
    assert job.wait(PATIENCE_S).state == "succeeded"
    assert not list((shared.root / "results").rglob("+link/0/*"))
    job = client.submit(shell("echo 7 > /iris/out/result.pickle"), "plain", resources=SMALL)
    assert job.wait(PATIENCE_S).state == "succeeded"
    assert list((shared.root / "results").rglob("+plain/0/*"))


def test_a_stop_is_sigterm_then_a_grace(client: IrisClient, shared: RunningCluster) -> None:
    script = "trap 'echo saved; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    job = client.submit(shell(script), "graceful", resources=SMALL)
    until(lambda: "ready" in job.tasks()[0].logs(), PATIENCE_S)
    job.terminate()
    assert job.wait(PATIENCE_S).state == "killed"
    assert job.tasks()[0].logs() == "ready\nsaved\n"
    assert containers(shared) == []


def test_who_ignores_sigterm_is_killed_after_the_grace(own: RunningCluster) -> None:
    whole = json.loads(own.config.read_text())
    whole["timeouts"]["stop_grace"] = "1s"
    assert own.stop() == 0
    own.config.write_text(json.dumps(whole))
    own.start()
    with own.client() as client:
        job = client.submit(shell("trap '' TERM; echo ready; sleep 600"), "deaf", resources=SMALL)
        until(lambda: "ready" in job.tasks()[0].logs(), PATIENCE_S)
        job.terminate()
        assert job.wait(PATIENCE_S).state == "killed"
        until(lambda: not containers(own), PATIENCE_S)


def test_i_85_a_restarted_worker_takes_up_its_container_and_removes_what_is_nobodys(
    own: RunningCluster,
) -> None:
    with own.client() as client:
        script = "echo up; sleep 8; echo down"
        job = client.submit(shell(script), "adopted", resources=SMALL)
        until(lambda: "up" in job.tasks()[0].logs(), PATIENCE_S)
        (name,) = containers(own)
        host = docker("inspect", "-f", '{{index .Config.Labels "iris.host"}}', name).strip()
        stray = docker(
            *(
                "run",
                "-d",
                "--network",
                "none",
                "--label",
                f"iris.host={host}",
                "--entrypoint",
                "sleep",
                IMAGE,
                "600",
            )
        ).strip()
        own.restart_worker()
        assert job.wait(PATIENCE_S).state == "succeeded"
        assert job.tasks()[0].logs() == "up\ndown\n"
        assert len(job.status().details[0].attempts) == 1
        until(lambda: stray[:12] not in docker("ps", "-aq"), PATIENCE_S)


def test_a_lost_workers_containers_go_with_its_slice(own: RunningCluster) -> None:
    with own.client() as client:
        job = client.submit(shell("echo up; sleep 4"), "moves", resources=SMALL)
        until(lambda: "up" in job.tasks()[0].logs(), PATIENCE_S)
        (before,) = containers(own)
        (pid,) = own.worker_pids()
        os.kill(pid, signal.SIGKILL)
        until(lambda: before not in containers(own), PATIENCE_S)
        ended = job.wait(PATIENCE_S)
        assert ended.state == "succeeded"
        causes = [a.cause for a in ended.details[0].attempts]
        assert causes[-1] == "exit_zero"
        assert "exit_nonzero" not in causes


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
