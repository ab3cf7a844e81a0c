"""Trees of jobs on a real cluster: what children have of their parents, who waits for whom, what ends what."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.client import IrisClient
from iris.cluster.types import Constraint, Entrypoint, EnvironmentSpec, ResourceSpec
from iris.exit_status import ExitStatus
from iris.rpc import iris_pb2 as pb
from iris.rpc.methods import LIST_VMS, LIST_WORKERS
from tests.cli.commands import commands_of
from tests.cluster.running import RunningCluster, running, until

SMALL = ResourceSpec(cpu="100m", memory="100MB")


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """A cluster on which alice may have five tasks, of trees of three levels."""
    folder = tmp_path_factory.mktemp("trees")
    quotas = {"alice": {"tasks": 5, "levels": 3}}
    yield from running(folder, scheduler={"quotas": quotas})


def inherits() -> list[str]:
    import os

    import helper  # type: ignore[import-not-found]

    return [helper.SAYS, os.environ["MODE"], os.environ["OWN"]]


def asks() -> tuple[object, list[tuple[str, bool]], list[int]]:
    """Submits a child without a workspace, and looks around with its token."""
    from iris.client import iris_ctx

    with iris_ctx().client() as client:
        job = client.submit(
            Entrypoint.from_callable(inherits),
            "child",
            environment=EnvironmentSpec({"OWN": "child"}),
            resources=SMALL,
        )
        told = job.result(60)
        constraints = [(c.key, c.inherited) for c in job.status().spec.constraints]
        workers = client.channel.call(LIST_WORKERS, pb.ListWorkersRequest()).workers
        vms = client.channel.call(LIST_VMS, pb.ListVmsRequest()).vms
    seen = [len(w.tasks) for w in workers] + [len(vm.attempts) for vm in vms]
    return told, constraints, seen


def test_a_child_has_its_parents_files_variables_and_constraints_and_sees_no_other_tree(
    limited: RunningCluster, tmp_path: Path
) -> None:
    (tmp_path / "helper.py").write_text("SAYS = 'from the bundle'\n")
    with (
        limited.client(user="bob") as other,
        IrisClient.remote(limited.url, workspace=tmp_path, user="carol") as carol,
    ):
        busy = other.submit(Entrypoint.from_command("sleep", "60"), "busy", resources=SMALL)
        until(lambda: busy.status().state == "running")
        job = carol.submit(
            Entrypoint.from_callable(asks),
            "parent",
            environment=EnvironmentSpec({"MODE": "fast"}),
            constraints=[Constraint("group", "in", "cpu")],
            resources=SMALL,
        )
        told, constraints, seen = job.result(60)
        busy.terminate()
    assert told == ["from the bundle", "fast", "child"]
    assert constraints == [("group", True)]
    assert seen == [1, 1], "its own task, and not that of bob"


def branches() -> None:
    """Submits a child that submits one of its own, and some that only sleep; waits for the first."""
    from iris.client import iris_ctx

    def branch() -> None:
        with iris_ctx().client() as client:
            client.submit(Entrypoint.from_command("sleep", "60"), "leaf", resources=SMALL).wait()

    with iris_ctx().client() as client:
        first = client.submit(Entrypoint.from_callable(branch), "c0", resources=SMALL)
        for number in range(1, 6):
            name, sleep = f"c{number}", Entrypoint.from_command("sleep", "60")
            client.submit(sleep, name, resources=SMALL)
        first.wait()


def test_i_108_killing_a_parent_ends_all_below_it_and_the_tree_is_shown_with_what_is_above(
    limited: RunningCluster, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    iris = commands_of(limited.url, monkeypatch, capfd)
    with limited.client() as alice:
        job = alice.submit(Entrypoint.from_callable(branches), "doomed", resources=SMALL)
        leaf = f"{job.id}/c0/leaf"
        until(lambda: leaf in [found.id for found in alice.jobs(name="doomed")])
        _, out, _ = iris("job", "why", f"{job.id}/c5")
        assert "scheduler.quotas.alice allows 5 tasks" in out
        job.terminate()
        assert iris("job", "wait", job.id)[0] == ExitStatus.JOB_STOPPED
        until(lambda: {found.state for found in alice.jobs(name="doomed")} == {"killed"})
        until(lambda: not limited.task_pids())
    status, out, _ = iris("job", "list", "--tree", "--name", "doomed/c0/leaf", "--state", "killed")
    assert status == 0
    lines = [line[: line.index("killed")].rstrip() for line in out.splitlines()[1:]]
    assert lines == ["/alice/doomed", "  c0", "    leaf"]
    _, out, _ = iris("job", "list", "--tree", "--name", "doomed", "--json")
    items = json.loads(out)["items"]
    assert {item["state"] for item in items} == {"killed"}
    assert [(i["depth"], i["parent"]) for i in items[:3]] == [
        (0, None),
        (1, "/alice/doomed"),
        (2, "/alice/doomed/c0"),
    ]
    assert all(item["matches"] for item in items)
    _, out, _ = iris("job", "status", job.id)
    assert "children: 6; iris job list --tree --name /alice/doomed" in out
