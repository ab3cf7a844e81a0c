"""`iris job why --when` and `iris job run --plan` against a real cluster: what is told, to whom, with which status."""

import gzip
import json
from collections.abc import Iterator
from functools import partial

import pytest

from iris.client import Job
from iris.client.forecasts import image_of
from iris.cluster.types import Entrypoint, EnvironmentSpec, ResourceSpec
from iris.exit_status import ExitStatus
from iris.rpc import image
from tests.cli.commands import Run, commands_of
from tests.cluster.running import RunningCluster, running, until

WHOLE = ResourceSpec(cpu=8, memory="1GB")


def runs(job: Job) -> bool:
    return job.when(futures=1).futures == 0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """One host, on which a job of five minutes at most runs, and another waits behind it."""
    group = {"accelerator_type": "cpu", "vm": {"cpu": 8, "memory": "8GB"}}
    groups = {"cpu": {**group, "min_slices": 1, "max_slices": 1}}
    for found in running(tmp_path_factory.mktemp("busy"), scale_groups=groups):
        with found.client() as client:
            sleep = Entrypoint.from_command("sleep", "600")
            secret = EnvironmentSpec({"KEY": "hunter2"})
            first = client.submit(sleep, "first", resources=WHOLE, timeout="5m", environment=secret)
            until(partial(runs, first))
            client.submit(sleep, "second", resources=WHOLE)
        yield found


@pytest.fixture
def iris(
    cluster: RunningCluster, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Run:
    return commands_of(cluster.url, monkeypatch, capfd)


def test_when_tells_the_range_and_what_is_waited_for(iris: Run) -> None:
    status, out, err = iris("job", "why", "second", "--when", "--json")
    assert (status, err) == (0, "")
    told = json.loads(out)
    assert (told["kind"], told["job"], told["state"]) == ("Forecast", "/alice/second", "pending")
    assert told["waits_for"] == [{"what": "the end of /alice/first", "futures": 50}]
    assert 0 <= told["p10_s"] < told["p50_s"] < told["p90_s"] <= 300
    assert told["starting"] == told["futures"] == 50
    status, out, _ = iris("job", "why", "/alice/second", "--when", "--futures", "8")
    assert status == 0
    first, second, third = out.splitlines()
    assert first.startswith("/alice/second starts in ")
    assert second == "waits for, in so many of 8 futures: the end of /alice/first (8)"
    assert third.startswith("8 of 8 futures start it within 7d; on record are 0 ended runs")
    _, out, _ = iris("job", "why", "second", "--when", "--horizon", "1s", "--futures", "8")
    assert out.startswith("/alice/second starts in none of 8 futures within 1s\n")


def test_a_job_that_runs_has_ended_or_is_not_there_has_no_forecast(iris: Run) -> None:
    status, out, _ = iris("job", "why", "first", "--when")
    assert status == 0
    assert out.startswith("/alice/first runs since ")
    assert iris("job", "run", "--name", "x", "--no-wait", "--cpu", "8", "--", "true")[0] == 0
    assert iris("job", "stop", "x")[0] == 0
    assert iris("job", "wait", "x")[0] == ExitStatus.JOB_STOPPED
    status, out, _ = iris("job", "why", "x", "--when")
    assert (status, out) == (
        0,
        "/alice/x has ended as killed; see `iris job why /alice/x`\n",
    )
    status, _, err = iris("job", "why", "/alice/nobody", "--when")
    assert status == ExitStatus.NOT_FOUND
    assert "job /alice/nobody is not known" in err


def test_a_plan_submits_nothing_and_is_refused_as_the_submission_would_be(
    iris: Run, cluster: RunningCluster
) -> None:
    before = iris("job", "list", "--json")[1]
    status, out, _ = iris(
        "job", "run", "--plan", "--name", "p", "--cpu", "8", "--json", "--", "true"
    )
    told = json.loads(out)
    assert (status, told["job"], told["starting"]) == (0, "/alice/p", 50)
    # It is behind the second job, which waits itself for the end of the first.
    assert told["waits_for"][0]["what"] == "the end of /alice/second"
    words = ["--cpu", "0", "--memory", "1MB", "--band", "production", "--json"]
    at_once = json.loads(iris("job", "run", "--plan", "--name", "at-once", *words, "--", "true")[1])
    assert (at_once["state"], at_once["p90_s"]) == ("pending", 0)
    status, out, _ = iris("job", "run", "--plan", "--name", "huge", "--cpu", "9", "--", "true")
    assert status == ExitStatus.NEVER_PLACEABLE
    assert out.startswith("/alice/huge never starts: no group can ever hold one of its tasks")
    status, _, err = iris("job", "run", "--plan", "--name", "first", "--", "true")
    assert status == ExitStatus.CONFLICT
    assert "/alice/first" in err
    assert iris("job", "list", "--json")[1] == before
    with cluster.client() as client:
        planned = client.plan(Entrypoint.from_command("true"), "small", band="production")
    assert planned.waits_for[0][0] == "/alice/first to make room"


def test_the_state_that_is_told_has_no_secret(cluster: RunningCluster) -> None:
    with cluster.client() as client:
        told = image_of(client.channel)
    assert sorted(job.id for job in told.tables.jobs)[:2] == ["/alice/first", "/alice/second"]
    assert "hunter2" not in repr(told.tables)


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b", gzip.compress(b'{"at": 3}', mtime=0)])
def test_what_is_no_state_is_refused(content: bytes) -> None:
    with pytest.raises(image.NoImage, match="the controller's state cannot be read"):
        image.unpacked(content)
