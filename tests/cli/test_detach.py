"""Who waits for a job and is interrupted, or reads no more, is let go; the job goes on unless that was not wanted."""

import json
import signal

import pytest

from iris.exit_status import ExitStatus
from tests.cli.commands import Run, process
from tests.cluster.running import RunningCluster


def test_ctrl_c_detaches_and_the_job_goes_on(iris: Run, shared: RunningCluster) -> None:
    running_ = process(
        shared, "job", "run", "--name", "detached", "--", "sh", "-c", "echo up; sleep 60"
    )
    assert running_.stdout is not None
    assert running_.stdout.readline() == "up\n"
    running_.send_signal(signal.SIGINT)
    _, err = running_.communicate(timeout=60)
    assert running_.returncode == ExitStatus.INTERRUPTED
    assert "detached; /alice/detached goes on" in err
    assert "iris job stop /alice/detached" in err
    assert "Traceback" not in err
    assert json.loads(iris("job", "status", "/alice/detached", "--json")[1])["state"] == "running"
    iris("job", "stop", "/alice/detached")


def test_ctrl_c_stops_the_job_of_whoever_asked_for_that(iris: Run, shared: RunningCluster) -> None:
    words = ["job", "run", "--stop-on-exit", "--name", "stopped", "--"]
    running_ = process(shared, *words, "sh", "-c", "echo up; sleep 60")
    assert running_.stdout is not None
    assert running_.stdout.readline() == "up\n"
    running_.send_signal(signal.SIGINT)
    running_.communicate(timeout=60)
    assert running_.returncode == ExitStatus.INTERRUPTED
    assert iris("job", "wait", "/alice/stopped")[0] == ExitStatus.JOB_STOPPED


@pytest.mark.parametrize("stop", [True, False])
def test_whoever_reads_no_more_ends_the_command_as_ctrl_c_does(
    iris: Run, shared: RunningCluster, *, stop: bool
) -> None:
    name = f"/alice/unread-{stop}"
    words = ["--stop-on-exit"] if stop else []
    words += ["--name", name[7:], "--", "sh", "-c", "while :; do echo y; sleep 0.1; done"]
    running_ = process(shared, "job", "run", *words)
    assert running_.stdout is not None
    assert running_.stdout.readline() == "y\n"
    running_.stdout.close()
    assert running_.wait(60) == ExitStatus.FAILED
    assert running_.stderr is not None
    with running_.stderr as stream:
        said = stream.read()
    assert (f"stopped {name}" if stop else f"detached; {name} goes on") in said
    assert "Traceback" not in said
    if not stop:
        assert json.loads(iris("job", "status", name, "--json")[1])["state"] == "running"
        iris("job", "stop", name)
    assert iris("job", "wait", name)[0] == ExitStatus.JOB_STOPPED
