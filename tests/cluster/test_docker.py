"""Tasks in containers, on a real engine: limits, isolation, ends, adoption."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.client import IrisClient
from iris.cluster.types import Entrypoint, ResourceSpec
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
from tests.cluster.running import RunningCluster, until


@pytest.fixture(scope="module", autouse=True)
def engine() -> None:
    """Skips where there is none."""
    why = lacking()
    if why:
        pytest.skip(why)


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
