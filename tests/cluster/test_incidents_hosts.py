"""Entries of the incident list that concern hosts: stalls, ports, lost supplies, ends that are told as they were."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.cluster.controller.links import Links
from iris.cluster.types import Entrypoint
from iris.cluster.worker.ports import NoPort, Ports
from iris.core.cadence import SILENT_AFTER
from iris.core.events import Event, WorkerSilent
from iris.core.instant import Instant
from iris.rpc import iris_pb2 as pb
from iris.rpc.channel import spread
from iris.rpc.methods import DRAIN_WORKER
from tests.cluster.running import RunningCluster, running, until
from tests.harness import cluster, cpu_group


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RunningCluster]:
    yield from running(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    yield from running(tmp_path_factory.mktemp("shared"))


# ---- silence -----------------------------------------------------------------------------------


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = 0

    def now(self) -> Instant:
        return Instant(self.time)


def test_i_69_a_controller_that_was_away_calls_nobody_silent_for_that_time() -> None:
    script = cluster(cpu_group(min_slices=1))
    script.ready(script.coming("cpu")[0])
    workers = script.controller.state.workers
    (name,) = workers
    watch, told = Watch(), list[Event]()
    links = Links(watch, told.append)
    links.heard(name, workers[name].incarnation)
    for _ in range(5):
        watch.time += 1_000
        links.look(workers)
    watch.time += 10 * SILENT_AFTER  # It did not run; what the worker said waits to be read.
    links.look(workers)
    assert told == []
    while watch.time < 12 * SILENT_AFTER:
        watch.time += 1_000
        links.look(workers)
    (silent,) = told  # Who says nothing after that is silent from then on.
    assert isinstance(silent, WorkerSilent)
    assert silent.since == 5_000 + 10 * SILENT_AFTER


def test_i_69_i_71_a_stopped_controller_loses_no_worker_and_no_attempt(own: RunningCluster) -> None:
    assert own.process is not None
    with own.client() as client:
        job = client.submit(Entrypoint.from_command("sleep", "40"), "runs")
        until(lambda: job.status().state == "running")
        before = [worker.id for worker in own.workers()]
        own.process.send_signal(signal.SIGSTOP)
        time.sleep(SILENT_AFTER / 1_000 + 7)  # Beyond the silence, and the timeout of 5 s.
        own.process.send_signal(signal.SIGCONT)
        until(lambda: [w.state for w in own.workers()] == ["healthy"])
        time.sleep(2)
        assert [worker.id for worker in own.workers()] == before
        (attempt,) = job.status().details[0].attempts
        assert attempt.state == "running"
        job.terminate()


def test_i_97_who_failed_together_does_not_come_back_together() -> None:
    pauses = [spread(2.0) for _ in range(200)]
    assert len(set(pauses)) > 150
    assert min(pauses) >= 1.0
    assert max(pauses) <= 2.0
    assert max(pauses) - min(pauses) > 0.5


# ---- ports -------------------------------------------------------------------------------------

TAKES = """
import json, sys
from pathlib import Path
from iris.cluster.worker.ports import Ports

root = Path(sys.argv[1])
ports = Ports(root / "ledger", 41_000, 1_000)
found = []
for number in range(60):
    folder = root / f"{sys.argv[2]}-{number}"
    folder.mkdir()
    found += ports.take(["a", "b"], folder).values()
sys.stdout.write(json.dumps(found))
"""


def test_i_132_many_takers_at_once_are_never_given_the_same_port(tmp_path: Path) -> None:
    takers = [
        subprocess.Popen(
            [sys.executable, "-c", TAKES, str(tmp_path), str(number)], stdout=subprocess.PIPE
        )
        for number in range(4)
    ]
    found = [port for taker in takers for port in json.loads(taker.communicate(timeout=60)[0])]
    assert len(found) == 480
    assert len(set(found)) == 480


def test_i_132_a_port_is_free_again_when_its_attempt_is_gone(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ledger", 24_100, 2)
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    first = ports.take(["a"], one)["a"]
    second = ports.take(["a"], two)["a"]
    assert {first, second} == {24_100, 24_101}
    again = Ports(tmp_path / "ledger", 24_100, 2)  # As by a worker that was restarted.
    with pytest.raises(NoPort, match="no port from 24100 to 24101 is free"):
        again.take(["b"], two)
    one.rmdir()
    assert again.take(["b"], two) == {"b": first}


def test_i_132_a_port_on_which_somebody_else_listens_is_passed_over(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ledger", 24_200, 2)
    with socket.socket() as listener:
        listener.bind(("", 24_200))
        assert ports.take(["a"], tmp_path) == {"a": 24_201}
    assert ports.take([], tmp_path) == {}


def test_i_132_tasks_that_run_on_one_machine_have_ports_of_their_own(tmp_path: Path) -> None:
    group = {"accelerator_type": "cpu", "vm": {"cpu": 8, "memory": "8GB"}, "max_slices": 2}
    groups = {"cpu": {**group, "min_slices": 2}}
    for two in running(tmp_path, scale_groups=groups):
        with two.client() as client:
            script = "echo $IRIS_PORT_RPC $IRIS_PORT_METRICS; sleep 600"
            job = client.submit(
                Entrypoint.from_command("sh", "-c", script),
                "served",
                replicas=10,
                ports=["rpc", "metrics"],
            )
            tasks = job.tasks()

            def ports(tasks=tasks) -> list[str]:  # type: ignore[no-untyped-def]
                return [port for task in tasks for port in task.logs().split()]

            until(lambda ports=ports: len(ports()) == 20)  # type: ignore[misc]
            assert len(set(ports())) == 20
            assert len({t.attempts[0].worker for t in job.status().details}) == 2
            job.terminate()


# ---- supplies ----------------------------------------------------------------------------------


def test_i_106_a_lost_description_is_named_charged_to_nobody_and_used_when_it_is_back(
    own: RunningCluster,
) -> None:
    with own.client() as client:
        until(lambda: len(own.workers()) == 1)
        (worker,) = own.workers()
        client.channel.call(DRAIN_WORKER, pb.DrainWorkerRequest(worker=worker.id))
        job = client.submit(
            Entrypoint.from_command("true"), "lost", max_retries_failure=0, max_retries_preemption=0
        )
        digest = job.status().spec.payload
        blob = own.root / "blobs" / digest
        content = blob.read_bytes()
        blob.unlink()
        request = pb.DrainWorkerRequest(worker=worker.id, resume=True)
        client.channel.call(DRAIN_WORKER, request)
        until(lambda: any(a.ended_at_ms for t in job.status().details for a in t.attempts))
        attempt = job.status().details[0].attempts[0]
        assert attempt.cause == "launch"
        assert f"blob {digest}, is not in the controller's store" in attempt.detail
        blob.write_bytes(content)
        again = client.submit(Entrypoint.from_command("true"), "again")
        assert again.status().spec.payload == digest
        assert again.wait(60).state == "succeeded"


# ---- ends --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 3", "exit status 3"),
        ("true; false", "exit status 1"),
        ("set -o pipefail; false | cat", "exit status 1"),
        ("exec no-such-program", "exit status 127: the command was not found"),
        ("kill -TERM $$", "SIGTERM"),
        ("kill -KILL $$", "SIGKILL"),
    ],
)
def test_i_117_only_exit_status_0_is_a_success(
    shared: RunningCluster, script: str, said: str
) -> None:
    with shared.client() as client:
        name = "".join(c if c.isalnum() else "-" for c in script).strip("-").lower()
        job = client.submit(Entrypoint.from_command("bash", "-c", script), name)
        ended = job.wait(60)
        assert ended.state == "failed"
        assert said in ended.details[0].attempts[0].detail


@pytest.mark.parametrize(
    ("code", "signal_name"),
    [
        ("os.abort()", "SIGABRT"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGBUS)", "SIGBUS"),
    ],
)
def test_i_119_an_end_in_native_code_is_an_end_and_its_signal_is_told(
    shared: RunningCluster, code: str, signal_name: str
) -> None:
    with shared.client() as client:
        command = Entrypoint.from_command("python", "-c", f"import os, signal; {code}")
        job = client.submit(command, f"native-{signal_name.lower()}", replicas=2)
        ended = job.wait(60)
        assert ended.state == "failed"
        assert signal_name in ended.why
        assert all(task.state in ("failed", "killed") for task in ended.details)
