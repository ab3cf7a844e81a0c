"""Entries of the incident list on the command line: causes in one call, reading that changes nothing, secrets."""

import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from iris.cli.main import main
from iris.cluster.types import Entrypoint, EnvironmentSpec, ResourceSpec
from tests.cluster.running import RunningCluster, running, until

Run = Callable[..., tuple[int, str, str]]
TOKEN, VARIABLE = "alices-planted-token", "a-planted-secret-value"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    yield from running(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def iris(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line: its status, stdout and stderr."""
    monkeypatch.setenv("LOGNAME", "alice")

    def run(cluster: RunningCluster, *words: str) -> tuple[int, str, str]:
        monkeypatch.setenv("IRIS_CONTROLLER_URL", cluster.url)
        capfd.readouterr()
        status = main(list(words))
        out, err = capfd.readouterr()
        return status, out, err

    return run


@pytest.mark.timeout(180)
def test_i_143_one_task_of_fifty_fails_and_each_command_names_it_and_its_cause(
    shared: RunningCluster, iris: Run
) -> None:
    script = "[ $IRIS_TASK_INDEX != 37 ] && sleep 300; sleep 1; exit 9"
    small = ResourceSpec(cpu="0.05", memory="10MB")
    with shared.client() as client:
        command = Entrypoint.from_command("sh", "-c", script)
        job = client.submit(command, "fifty", replicas=50, resources=small)
        assert job.wait(120).state == "failed"
    cause = "task 37: attempt 0 ended: exit_nonzero, exit status 9; max_retries_failure is 0"
    assert cause in iris(shared, "job", "why", job.id)[1]
    said = iris(shared, "job", "status", job.id)[1].splitlines()
    assert said[0] == f"{job.id}  failed: {cause}"
    rows = iris(shared, "task", "list", job.id)[1].splitlines()[1:]
    assert len(rows) == 50
    mine = [row for row in rows if row.startswith(f"{job.id}:37 ")]
    assert "failed" in mine[0]
    assert "exit status 9" in mine[0]
    others = [row for row in rows if not row.startswith(f"{job.id}:37 ")]
    assert all("killed" in row and "task 37: attempt 0 ended" in row for row in others)
    assert json.loads(iris(shared, "job", "status", "--json", job.id)[1])["why"] == cause


READ_ONLY = (
    "job list", "job list --state failed", "job status JOB", "job why JOB", "job logs JOB", "task list JOB",
    "task logs JOB:0", "worker list", "cluster status", "cluster slice list", "cluster controller status",
    "endpoint list",
)  # fmt: skip


def test_i_138_what_only_reads_changes_nothing_and_asks_the_cloud_nothing(
    shared: RunningCluster, iris: Run
) -> None:
    with shared.client() as client:
        job = client.submit(Entrypoint.from_command("true"), "read")
        assert job.wait(60).state == "succeeded"
    until(lambda: not list((shared.root / "vms").rglob("attempt.json")))  # Its worker tidies up.
    before = shared.status().turns, sorted(p.name for p in (shared.root / "vms").rglob("*.json"))
    for line in READ_ONLY:
        for more in ((), ("--json",)) if "logs" not in line else ((),):
            words = [word.replace("JOB", job.id) for word in line.split()]
            status, _, err = iris(shared, *words, *more)
            assert status == 0, (line, err)
    after = shared.status().turns, sorted(p.name for p in (shared.root / "vms").rglob("*.json"))
    assert after[1] == before[1]
    # The controller's own clock may have made a turn meanwhile; sixteen readers made none.
    assert after[0] - before[0] < len(READ_ONLY) // 2


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[RunningCluster]:
    auth = {"tokens": {"alice": {"value": TOKEN}}, "admins": ["alice"]}
    tmp_path.chmod(0o755)
    (tmp_path / "iris").mkdir(mode=0o755)  # As somebody may have made it beforehand.
    before = os.umask(0o022)
    try:
        yield from running(tmp_path, auth=auth)
    finally:
        os.umask(before)


def test_i_147_planted_secrets_appear_in_no_output_and_no_file_is_open_to_others(
    guarded: RunningCluster, iris: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IRIS_TOKEN", TOKEN)
    with guarded.client(TOKEN) as client:
        environment = EnvironmentSpec({"SECRET": VARIABLE})
        job = client.submit(Entrypoint.from_command("true"), "secret", environment=environment)
        assert job.wait(60).state == "succeeded"
        failing = client.submit(Entrypoint.from_command("false"), "fails", environment=environment)
        assert failing.wait(60).state == "failed"
    for line in READ_ONLY:
        for more in ((), ("--json",)) if "logs" not in line else ((),):
            for name in (job.id, failing.id):
                words = [word.replace("JOB", name) for word in line.split()]
                _, out, err = iris(guarded, *words, *more)
                assert TOKEN not in out + err, line
                assert VARIABLE not in out + err, line
    logs = [guarded.root.with_name("controller.log"), *guarded.root.rglob("worker.log")]
    assert len(logs) == 2
    for path in logs:
        assert TOKEN not in path.read_text()
        assert VARIABLE not in path.read_text()
    for path in guarded.root.iterdir():
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o077 == 0, (path.name, oct(mode))
