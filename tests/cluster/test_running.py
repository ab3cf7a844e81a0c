"""A real cluster on this machine: jobs run, are followed, stopped, and survive what befalls its processes."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.client import IrisClient, JobEnded, NotFinished, NotPicklable, RemoteError
from iris.cluster.controller.journal import SqliteJournal
from iris.cluster.controller.recovery import JOURNAL_FILE
from iris.cluster.types import Entrypoint, EnvironmentSpec, ResourceSpec
from iris.core.replay import verify
from iris.exit_status import ExitStatus
from iris.rpc.kinds_cluster import reason
from tests.cluster.running import RunningCluster, running, until


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    yield from running(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RunningCluster]:
    yield from running(tmp_path)


@pytest.fixture
def client(shared: RunningCluster) -> Iterator[IrisClient]:
    with shared.client() as found:
        yield found


def shell(script: str) -> Entrypoint:
    return Entrypoint.from_command("sh", "-c", script)


def test_a_function_runs_and_its_result_comes_back(client: IrisClient) -> None:
    def double(number: int) -> int:
        print("doubling", number)  # noqa: T201
        return 2 * number

    job = client.submit(Entrypoint.from_callable(double, 21), "double")
    assert job.result() == 42
    assert job.tasks()[0].logs() == "doubling 21\n"
    assert job.why() == ["succeeded"]


def test_a_job_whose_path_leads_nowhere_fails_by_its_own_fault_or_runs(client: IrisClient) -> None:
    astray = EnvironmentSpec({"PATH": "/nope"})
    found = client.submit(Entrypoint.from_command("/bin/true"), "found", environment=astray)
    assert found.wait(30).state == "succeeded"
    lost = client.submit(Entrypoint.from_command("ls"), "lost", environment=astray)
    ended = lost.wait(30)
    assert ended.state == "failed"
    (attempt,) = ended.details[0].attempts
    assert (attempt.state, attempt.cause) == ("failed", "exit_nonzero")


def test_a_function_that_ends_its_process_has_no_result(client: IrisClient) -> None:
    def leave() -> int:
        os._exit(0)

    def left_by_the_door() -> None:
        raise SystemExit(0)

    for name, function in (("steps-out", leave), ("exits", left_by_the_door)):
        job = client.submit(Entrypoint.from_callable(function), name)
        with pytest.raises(JobEnded, match="ended the process and returned nothing"):
            job.result(60)
        assert job.status().state == "succeeded"


APART = """
setsid sleep 9871 &
(setsid sh -c 'sleep 9872 & sleep 9873' &)
sleep 0.3
"""


def _sleepers() -> list[str]:
    words = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    return [line.decode() for line in words if b"sleep\x00987" in line]


@pytest.mark.parametrize("ends", [True, False])
def test_what_left_the_group_of_an_attempt_goes_with_it(client: IrisClient, ends: bool) -> None:
    script = APART + ("true" if ends else "sleep 60")
    job = client.submit(shell(script), f"apart-{ends}")
    if not ends:
        until(lambda: len(_sleepers()) >= 3)
        job.terminate()
    assert job.wait(60).state == ("succeeded" if ends else "killed")
    until(lambda: not _sleepers())


def test_what_a_function_raises_is_the_cause_of_the_failure(client: IrisClient) -> None:
    def fail() -> None:
        raise KeyError("nothing")

    job = client.submit(Entrypoint.from_callable(fail), "raises")
    with pytest.raises(JobEnded, match="job /alice/raises is failed") as ended:
        job.result()
    assert isinstance(ended.value.__cause__, KeyError)
    assert "in fail" in "".join(ended.value.__notes__)
    assert "KeyError: 'nothing'" in job.tasks()[0].logs()


def test_a_task_sees_what_the_design_promises(client: IrisClient) -> None:
    job = client.submit(
        shell("env | grep -E '^(IRIS|GREETING)' | sort"),
        "sees",
        replicas=2,
        ports=["http"],
        environment=EnvironmentSpec({"GREETING": "hello there"}),
    )
    assert job.wait().state == "succeeded"
    lines = dict(line.split("=", 1) for line in job.tasks()[1].logs().splitlines())
    assert lines["IRIS_JOB_ID"] == "/alice/sees"
    assert lines["IRIS_TASK_ID"] == "/alice/sees:1"
    assert (lines["IRIS_TASK_INDEX"], lines["IRIS_NUM_TASKS"]) == ("1", "2")
    assert lines["IRIS_ATTEMPT_ID"] == "0"
    assert lines["GREETING"] == "hello there"
    assert 0 < int(lines["IRIS_PORT_HTTP"]) < 65_536
    assert "IRIS_WORKER_TOKEN" not in lines


def test_a_task_submits_a_child_under_its_own_name(client: IrisClient) -> None:
    def parent() -> str:
        from iris.client import iris_ctx
        from iris.cluster.types import Entrypoint as Child

        with iris_ctx().client() as inner:
            return inner.submit(Child.from_command("true"), "child").wait().id

    job = client.submit(Entrypoint.from_callable(parent), "parent")
    assert job.result() == "/alice/parent/child"


def test_a_child_has_the_variables_and_the_workspace_of_its_parent(
    shared: RunningCluster, tmp_path: Path
) -> None:
    def parent() -> str:
        from iris.client import iris_ctx
        from iris.cluster.types import Entrypoint as Child
        from iris.cluster.types import EnvironmentSpec as With

        show = Child.from_command("sh", "-c", 'echo "$OF_PARENT $OF_BOTH $(cat brought.txt)"')
        with iris_ctx().client() as inner:
            child = inner.submit(show, "child", environment=With({"OF_BOTH": "child's"}))
            child.wait()
            return child.tasks()[0].logs()

    (tmp_path / "brought.txt").write_text("workspace")
    with IrisClient.remote(shared.url, user="alice", workspace=tmp_path) as client:
        variables = EnvironmentSpec({"OF_PARENT": "parent's", "OF_BOTH": "parent's"})
        job = client.submit(Entrypoint.from_callable(parent), "brings", environment=variables)
        assert job.result(60) == "parent's child's workspace\n"


def test_i_10_a_child_is_its_parents_users_whoever_the_machine_says_that_it_is(
    client: IrisClient, shared: RunningCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = client.submit(shell("sleep 60"), "older")
    monkeypatch.setenv("IRIS_CONTROLLER_ADDRESS", shared.url)
    monkeypatch.setenv("IRIS_JOB_ID", parent.id)
    monkeypatch.setenv("LOGNAME", "somebody")
    with IrisClient.remote(shared.url) as nobody_in_particular:
        child = nobody_in_particular.submit(shell("true"), "younger")
    assert child.id == "/alice/older/younger"
    assert child.id in [job.id for job in client.jobs(user="alice")]
    parent.terminate()


def test_a_failing_task_is_tried_again_as_often_as_it_may(client: IrisClient) -> None:
    job = client.submit(shell("exit 3"), "retries", max_retries_failure=2)
    ended = job.wait()
    assert ended.state == "failed"
    assert [a.detail for a in ended.details[0].attempts] == ["exit status 3"] * 3
    assert ended.why == "attempt 2 ended: exit_nonzero, exit status 3; max_retries_failure is 2"
    job = client.submit(shell("[ $IRIS_ATTEMPT_ID = 1 ]"), "second", max_retries_failure=1)
    ended = job.wait()
    assert (ended.state, len(ended.details[0].attempts)) == ("succeeded", 2)
    assert (ended.why, job.why(), reason(job.status())) == ("", ["succeeded"], "")


def test_a_stopped_job_leaves_no_process_behind(client: IrisClient, shared: RunningCluster) -> None:
    job = client.submit(shell("sleep 300 & sleep 300 & wait"), "stopped")
    until(lambda: job.status().state == "running" and bool(shared.task_pids()))
    job.terminate()
    assert job.wait(20).state == "killed"
    until(lambda: not shared.task_pids())


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[RunningCluster]:
    yield from running(tmp_path, timeouts={"stop_grace": "1s"})


def test_a_grace_ends_though_the_controller_says_nothing_more(
    hasty: RunningCluster, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    with hasty.client() as client:
        script = f"trap 'touch {told}' TERM; echo up; while :; do sleep 0.05; done"
        job = client.submit(shell(script), "deaf")
        until(lambda: "up" in job.tasks()[0].logs())
        job.terminate()
        until(told.exists)
    assert hasty.process is not None
    hasty.process.send_signal(signal.SIGSTOP)
    try:
        until(lambda: not hasty.task_pids())
    finally:
        hasty.process.send_signal(signal.SIGCONT)


def test_sigterm_comes_first_and_the_task_may_use_its_grace(client: IrisClient) -> None:
    job = client.submit(
        shell("trap 'echo saved; exit 0' TERM; echo ready; while :; do sleep 0.05; done"),
        "graceful",
    )
    until(lambda: "ready" in job.tasks()[0].logs())
    job.terminate()
    assert job.wait(20).state == "killed"
    lines = job.tasks()[0].logs().splitlines()  # A shell may tell of the `sleep` that ended, too.
    assert (lines[0], lines[-1]) == ("ready", "saved")


def test_what_a_task_leaves_running_ends_with_it(
    client: IrisClient, shared: RunningCluster
) -> None:
    job = client.submit(shell("sleep 300 & echo left"), "leaves")
    assert job.wait().state == "succeeded"
    until(lambda: not shared.task_pids())


def test_the_same_request_twice_is_one_job(client: IrisClient) -> None:
    first = client.submit(shell("true"), "once", request_id="r-1")
    assert client.submit(shell("true"), "once", request_id="r-1").id == first.id
    with pytest.raises(RemoteError, match="exists already") as refused:
        client.submit(shell("true"), "once", request_id="r-2")
    assert refused.value.status is ExitStatus.CONFLICT
    with pytest.raises(RemoteError, match="made /alice/once already, and there name is") as other:
        client.submit(shell("true"), "twice", request_id="r-1")
    assert other.value.status is ExitStatus.CONFLICT
    unnamed = client.submit(shell("true"), request_id="r-3")
    assert client.submit(shell("true"), request_id="r-3").id == unnamed.id


def test_i_139_a_timeout_is_for_the_whole_wait_and_the_job_goes_on(client: IrisClient) -> None:
    job = client.submit(shell("sleep 1"), "slow")
    began = time.monotonic()
    with pytest.raises(NotFinished, match="it goes on"):
        job.wait(0.2)
    assert time.monotonic() - began < 1
    assert job.wait().state == "succeeded"


def test_resources_that_no_group_can_give_are_told_at_once(client: IrisClient) -> None:
    job = client.submit(shell("true"), "huge", resources=ResourceSpec(cpu=999))
    assert job.wait(10).state == "unschedulable"
    assert "no group can ever hold" in job.why()[0]


def test_i_141_a_large_argument_travels(client: IrisClient) -> None:
    payload = os.urandom(20 << 20)
    job = client.submit(Entrypoint.from_callable(len, payload), "large")
    assert job.result() == 20 << 20


def test_what_cannot_be_sent_is_named(client: IrisClient) -> None:
    import threading

    lock = threading.Lock()
    with pytest.raises(NotPicklable, match="the function, or something that it closes over"):
        client.submit(Entrypoint.from_callable(lambda: lock), "locked")
    with pytest.raises(NotPicklable, match="argument 0, of type lock, cannot be pickled"):
        client.submit(Entrypoint.from_callable(print, lock), "locked")


def test_what_is_not_there_is_not_found(client: IrisClient) -> None:
    for call in (client.job("/alice/nobody").status, client.job("/alice/nobody").terminate):
        with pytest.raises(RemoteError, match="/alice/nobody is not known") as refused:
            call()
        assert refused.value.status is ExitStatus.NOT_FOUND


def test_i_123_logs_are_there_when_the_machine_is_gone(own: RunningCluster) -> None:
    with own.client() as client:
        job = client.submit(shell("echo $$; sleep 300"), "lost")
        until(lambda: "\n" in job.tasks()[0].logs())
        first_pid = int(job.tasks()[0].logs())
        (pid,) = own.worker_pids()
        os.kill(pid, signal.SIGKILL)
        until(lambda: len(job.status().details[0].attempts) == 2)
        assert job.tasks()[0].logs(attempt=0) == f"{first_pid}\n"
        first = job.status().details[0].attempts[0]
        assert first.state in ("worker_failed", "preempted")
        # The lost machine's tasks end with it, though nobody was left to stop them.
        until(lambda: first_pid not in own.task_pids())
        job.terminate()
        assert job.wait(30).state == "killed"


def test_i_98_a_killed_controller_loses_nothing_and_its_tasks_run_on(own: RunningCluster) -> None:
    with own.client() as client:
        long = client.submit(shell("echo $$; sleep 3; echo done"), "long")
        until(lambda: "\n" in long.tasks()[0].logs())
        ended = client.submit(shell("echo over"), "ended")
        assert ended.wait().state == "succeeded"
        own.kill()
        queued = own.task_pids()
        assert queued
        own.start()
        assert long.wait(30).state == "succeeded"
        assert len(long.status().details[0].attempts) == 1
        assert long.tasks()[0].logs().endswith("done\n")
        assert ended.status().state == "succeeded"
    assert own.stop() == 0
    journal = SqliteJournal(own.root / JOURNAL_FILE, readonly=True)
    image, turns = journal.whole()
    assert verify(turns, image) is None
    journal.close()


def test_a_restarted_worker_takes_up_its_tasks(own: RunningCluster) -> None:
    with own.client() as client:
        astray = EnvironmentSpec({"PATH": "/nope"})  # The wrapper must find its own tools without.
        command = Entrypoint.from_command("/bin/sh", "-c", "echo up; /bin/sleep 2; echo down")
        job = client.submit(command, "adopted", environment=astray)
        until(lambda: "up" in job.tasks()[0].logs())
        own.restart_worker()
        ended = job.wait(30)
        assert ended.state == "succeeded"
        assert len(ended.details[0].attempts) == 1
        assert job.tasks()[0].logs() == "up\ndown\n"


def test_a_second_controller_on_the_same_folder_is_refused(own: RunningCluster) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "iris.cluster.controller.main", "serve"]
    second = subprocess.run(
        [*command, f"--config={own.config}", "--port=0"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == ExitStatus.CONFLICT
    assert "another controller" in second.stderr
    assert "Traceback" not in second.stderr


def test_trouble_with_the_controllers_disk_is_told_in_one_line_that_names_the_place(
    own: RunningCluster,
) -> None:
    (blobs,) = own.root.rglob("blobs")
    blobs.rmdir()
    blobs.write_text("no folder")
    with own.client() as client, pytest.raises(RemoteError) as refused:
        client.submit(shell("true"), "nowhere")
    assert refused.value.status is ExitStatus.FAILED
    assert str(refused.value).endswith(f"the controller's disk: File exists: {blobs}")
