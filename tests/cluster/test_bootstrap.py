"""Machines that start by themselves: who they are, what they fetch, what they say, and how they end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.cluster.types import Entrypoint, ResourceSpec
from tests.cluster.booting import SLICE, Machine, machine
from tests.cluster.running import RunningCluster, running, until

NOBODY = "http://127.0.0.1:1"
ATTRIBUTE = "instance/attributes/"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RunningCluster]:
    group = {"accelerator_type": "cpu", "vm": {"cpu": 2, "memory": "1GiB"}, "max_slices": 1}
    timeouts = {"worker_timeout": "5s", "retry_backoff": "100ms", "orphan_timeout": "2s"}
    yield from running(tmp_path, scale_groups={"cpu": group}, timeouts=timeouts)


def works(cluster: RunningCluster, state: str = "healthy") -> bool:
    return [(w.id, w.state) for w in cluster.workers()] == [(f"{SLICE}-w0", state)]


def told(found: Machine, word: str) -> bool:
    return any(word in said for said in found.metadata.told)


def test_a_machine_fetches_what_it_needs_and_starts_its_worker_once_however_often_it_boots(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    with machine(tmp_path / "vm", cluster.url) as found:
        (found.docker / "refusals").write_text("2")
        found.boot()
        until(lambda: works(cluster))
        assert (
            found.metadata.told[1:3]
            == [
                "trouble: the image iris-worker:test cannot be had: "
                "Error response from daemon: connection refused"
            ]
            * 2
        )
        assert told(found, f"started: worker of {cluster.url}")
        pids = found.container_pids()
        found.boot()
        until(lambda: len([said for said in found.metadata.told if "started" in said]) == 2)
        assert found.container_pids() == pids
        assert "token-of" not in found.serial


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("iris-slice", "", "the metadata server has no instance/attributes/iris-slice"),
        ("iris-host", "", "the metadata server has no instance/attributes/agent-worker-number"),
        ("iris-host", "1", "this is host 1 of a slice that has 1"),
        ("iris-host", "two", "the number of this host is 'two', which is no number"),
    ],
)
def test_a_machine_that_does_not_know_who_it_is_starts_no_worker_and_says_so(
    tmp_path: Path, path: str, value: str, why: str
) -> None:
    with machine(tmp_path / "vm", NOBODY, **{ATTRIBUTE + path: value}) as found:
        assert found.boot().wait(30) == 1
        (said,) = found.metadata.told
        assert said.startswith(f"failed: {why}")
        assert why in found.serial
        assert not found.container_pids()


def test_a_machine_that_can_start_no_worker_says_why_and_ends_itself(tmp_path: Path) -> None:
    with machine(tmp_path / "vm", NOBODY, patience_s=100) as found:
        (found.docker / "refusals").write_text("1000")
        found.metadata.refusals = 1
        assert found.boot().wait(30) == 0
        assert found.metadata.told[-1] == (
            "ended: the image iris-worker:test cannot be had: "
            "Error response from daemon: connection refused, for 100 s"
        )
        place = "/compute/v1/projects/a-project/zones/default/instances/a-machine"
        assert found.metadata.deleted == [f"Bearer ya29.account {place}"]


def test_a_host_of_a_whole_slice_of_tpus_ends_the_slice_and_its_number_comes_from_the_cloud(
    tmp_path: Path,
) -> None:
    values = {
        ATTRIBUTE + "iris-host": "",
        ATTRIBUTE + "agent-worker-number": "0",
        ATTRIBUTE + "instance-id": "a-node",
    }
    with machine(tmp_path / "vm", NOBODY, patience_s=0, **values) as found:
        (found.docker / "refusals").write_text("1000")
        assert found.boot().wait(30) == 0
        place = "/v2/projects/a-project/locations/default/nodes/a-node"
        assert found.metadata.deleted == [f"Bearer ya29.account {place}"]


def test_a_machine_whose_controller_is_gone_for_good_stops_its_tasks_and_then_itself(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    with machine(tmp_path / "vm", cluster.url) as found:
        process = found.boot()
        until(lambda: works(cluster))
        cluster.kill()
        assert process.wait(30) == 0
        assert told(found, "ended: the worker gave up: ")
        assert len(found.metadata.deleted) == 1


def test_a_machine_whose_slice_was_given_up_keeps_asking_and_then_ends_itself(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    with machine(tmp_path / "vm", cluster.url, **{ATTRIBUTE + "iris-group": "unheard-of"}) as found:
        (found.folder / "iris" / "worker").mkdir(parents=True)
        (found.folder / "iris" / "worker" / "orphan-timeout").write_text("1000")
        assert found.boot().wait(30) == 0
        assert told(found, "the worker gave up: it names no slice that is known")
        assert len(found.metadata.deleted) == 1


def test_tasks_hear_of_a_preemption_and_the_machine_has_no_more_work_until_that_is_taken_back(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    heard = tmp_path / "heard"
    script = f"trap 'echo >> {heard}; exit 3' TERM; echo ready; [ ! -e {heard} ] || exit 0; sleep 60 & wait"
    with machine(tmp_path / "vm", cluster.url) as found, cluster.client() as client:
        found.boot()
        until(lambda: works(cluster))
        task = Entrypoint.from_command("sh", "-c", script)
        job = client.submit(task, "long", resources=ResourceSpec(cpu=1, memory="64MB"))
        until(lambda: "ready" in job.tasks()[0].logs())
        pids = found.container_pids()
        found.metadata.set("instance/preempted", "TRUE")
        until(lambda: heard.exists() and job.status().details[0].attempts[0].state == "killed")
        found.metadata.set("instance/preempted", "FALSE")
        until(lambda: found.container_pids() != pids)
