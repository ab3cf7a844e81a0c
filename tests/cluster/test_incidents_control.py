"""Entries of the incident list that concern the controller under load, through restarts, and its clients."""

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from iris.client import IrisClient
from iris.cluster.types import Entrypoint, ResourceSpec
from iris.cluster.worker.environments import BUILDS_AT_ONCE, Environments
from iris.exit_status import ExitStatus
from iris.rpc import iris_pb2 as pb
from iris.rpc.methods import GET_JOB, LIST_JOBS, READ_LOG
from tests.cluster.entering import PROGRAM
from tests.cluster.proxy import Proxy
from tests.cluster.running import RunningCluster, running, until

SMALL = ResourceSpec(cpu="0.05", memory="10MB")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    yield from running(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RunningCluster]:
    yield from running(tmp_path)


class Slow:
    """A builder whose steps take a moment, and which counts those under way."""

    python = "python3"

    def __init__(self) -> None:
        self.now = self.most = 0

    async def identity(self, log: Path) -> str:
        return str(log.parent)

    def seen(self, path: Path) -> str:
        return str(path)

    async def uv(self) -> str | None:
        return None

    async def run(
        self,
        command: Sequence[str],
        variables: Mapping[str, str],
        folders: Sequence[Path],
        log: Path,
    ) -> int:
        assert all((command, folders, str(log)))
        assert "UV_PROJECT_ENVIRONMENT" in variables
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.01)
        self.now -= 1
        return 0


def test_i_80_so_many_environments_are_built_at_a_time_and_no_more(tmp_path: Path) -> None:
    builder = Slow()

    async def work() -> None:
        shared = Environments(tmp_path, builder)
        launches = [pb.Launch(pip=[f"package-{number}"]) for number in range(22)]
        await asyncio.gather(
            *(shared.prepare(launch, tmp_path, tmp_path / "log") for launch in launches)
        )

    asyncio.run(work())
    assert builder.most == BUILDS_AT_ONCE


def test_i_89_a_hundred_who_poll_make_no_turn_and_hold_nobody_up(shared: RunningCluster) -> None:
    with shared.client() as client:
        job = client.submit(Entrypoint.from_command("sleep", "60"), "polled", resources=SMALL)
        until(lambda: job.status().state == "running")
        ending, asked = threading.Event(), [0] * 100

        def poll(number: int) -> None:
            with shared.client() as own:
                while not ending.is_set():
                    own.channel.call(GET_JOB, pb.GetJobRequest(job=job.id))
                    own.channel.call(LIST_JOBS, pb.ListJobsRequest())
                    asked[number] += 1

        threads = [threading.Thread(target=poll, args=(number,)) for number in range(100)]
        before = shared.status().turns
        for thread in threads:
            thread.start()
        until(lambda: min(asked) >= 3, 120)
        between = shared.status().turns
        beside = client.submit(Entrypoint.from_command("true"), "beside", resources=SMALL)
        assert beside.wait(60).state == "succeeded"
        ending.set()
        for thread in threads:
            thread.join()
        assert between - before <= 5  # Those of its own clock; six hundred questions made none.
        job.terminate()


def test_i_95_jobs_cost_the_controller_no_process_and_no_thread(own: RunningCluster) -> None:
    assert own.process is not None
    proc = Path(f"/proc/{own.process.pid}")

    def held() -> tuple[int, int]:
        children = (proc / "task" / proc.name / "children").read_text().split()
        return len(children), len(list((proc / "task").iterdir()))

    with own.client() as client:

        def run(name: str, number: int) -> None:
            command = Entrypoint.from_command("true")
            jobs = [client.submit(command, f"{name}-{n}", resources=SMALL) for n in range(number)]
            assert all(job.wait(120).state == "succeeded" for job in jobs)

        run("first", 10)
        children, threads = held()
        run("more", 100)
        assert held()[0] == children
        # A pool may still grow to its size; a thread a job would be a hundred.
        assert held()[1] <= threads + 5


def test_i_102_a_restart_ends_no_attempt_of_thirty_that_run(own: RunningCluster) -> None:
    with own.client() as client:
        command = Entrypoint.from_command("sleep", "300")
        job = client.submit(command, "thirty", replicas=30, resources=SMALL)
        until(lambda: all(task.state == "running" for task in job.status().details), 120)
        until(
            lambda: len(own.task_pids()) == 2 * 30
        )  # A leader and its command each, and no helper.
        before = set(own.task_pids())
        for _ in range(3):
            own.kill()
            own.start()
            until(lambda: [worker.state for worker in own.workers()] == ["healthy"])
        found = job.status()
        assert [len(task.attempts) for task in found.details] == [1] * 30
        assert all(task.state == "running" for task in found.details)
        assert set(own.task_pids()) >= before
        job.terminate()


def test_i_103_trouble_after_its_end_changes_nothing_of_a_jobs_state(own: RunningCluster) -> None:
    with own.client() as client:
        ends = {
            "good": client.submit(Entrypoint.from_command("true"), "good"),
            "bad": client.submit(Entrypoint.from_command("false"), "bad"),
            "stopped": client.submit(Entrypoint.from_command("sleep", "300"), "stopped"),
        }
        until(lambda: ends["stopped"].status().state == "running")
        ends["stopped"].terminate()
        want = {"good": "succeeded", "bad": "failed", "stopped": "killed"}
        assert {name: job.wait(60).state for name, job in ends.items()} == want
        (pid,) = own.worker_pids()
        own.kill()
        os.kill(
            pid, signal.SIGKILL
        )  # The machine goes while it cleans up, and so does the controller.
        own.start()
        until(lambda: len(own.worker_pids()) == 1 and own.worker_pids() != [pid], 120)
        assert {name: job.status().state for name, job in ends.items()} == want
        assert [len(job.status().details[0].attempts) for job in ends.values()] == [1, 1, 1]


def test_i_125_the_logs_of_forty_tasks_are_all_there_and_all_printed(
    shared: RunningCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    with shared.client() as client:
        command = Entrypoint.from_command("sh", "-c", "echo this is $IRIS_TASK_INDEX")
        job = client.submit(command, "forty", replicas=40, resources=SMALL)
        assert job.wait(120, stream_logs=True).state == "succeeded"
        said = [task.logs() for task in job.tasks()]
    assert said == [f"this is {number}\n" for number in range(40)]
    printed = capsys.readouterr().out.splitlines()
    assert sorted(printed) == sorted(f"[{number}] this is {number}" for number in range(40))


def test_i_136_a_command_goes_on_following_through_an_absence_of_its_controller(
    own: RunningCluster,
) -> None:
    script = "for n in 1 2 3 4 5 6 7 8 9 10; do echo line $n; sleep 1; done; exit 3"
    variables = {**os.environ, "IRIS_CONTROLLER_URL": own.url, "LOGNAME": "alice"}
    words = ["job", "run", "--name", "followed", "--", "sh", "-c", script]
    following = subprocess.Popen(
        [*PROGRAM, *words], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with own.client() as client:
        until(lambda: "line 2" in _log(client))
    own.kill()
    time.sleep(3)
    own.start()
    out, err = following.communicate(timeout=90)
    assert following.returncode == ExitStatus.JOB_FAILED, err
    assert out == "".join(f"line {number}\n" for number in range(1, 11))
    assert "trying again until it answers" in err


def _log(client: IrisClient) -> str:
    jobs = client.channel.call(LIST_JOBS, pb.ListJobsRequest(), patience_s=10).jobs
    return client.job("/alice/followed").tasks()[0].logs() if jobs else ""


def test_i_93_a_reader_on_a_line_that_has_gone_deaf_notices_and_loses_nothing(
    own: RunningCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The controller gives a sign of life every ten seconds, so twelve are enough to miss one.
    monkeypatch.setattr("iris.client.job.READ_LOG", replace(READ_LOG, deadline_s=12.0))
    proxy = Proxy(own.port)
    try:
        script = "for n in $(seq 18); do echo line $n; sleep 1; done"
        with own.client() as client:
            job = client.submit(Entrypoint.from_command("sh", "-c", script), "read")
        with IrisClient.remote(proxy.url, user="alice") as client:
            pieces: list[bytes] = []

            def read() -> None:
                stream = client.job(job.id).tasks()[0].stream_logs()
                pieces.extend(piece.content for piece in stream)

            reading = threading.Thread(target=read)
            reading.start()
            until(lambda: b"line 2\n" in b"".join(pieces))
            proxy.deaf(there=False, back=False)
            until(lambda: client.channel._away, 30)
            proxy.well()
            reading.join(60)
            assert not reading.is_alive()
        whole = "".join(f"line {number}\n" for number in range(1, 19))
        assert b"".join(pieces).decode() == whole
    finally:
        proxy.close()
