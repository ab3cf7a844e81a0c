"""Machines that start by themselves: who they are, what they fetch, what they say, and how they end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.cluster.types import Entrypoint, ResourceSpec
from tests.cluster.booting import SLICE, Machine, machine
from tests.cluster.running import RunningCluster, running, until

NOBODY = "http://127.0.0.1:1"
ATTRIBUTE = "instance/attributes/"


def begun(root: Path) -> Iterator[RunningCluster]:
    group = {"accelerator_type": "cpu", "vm": {"cpu": 2, "memory": "1GiB"}, "max_slices": 1}
    timeouts = {"worker_timeout": "5s", "retry_backoff": "100ms", "orphan_timeout": "2s"}
    yield from running(root, scale_groups={"cpu": group}, timeouts=timeouts)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    yield from begun(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RunningCluster]:
    yield from begun(tmp_path)


def works(cluster: RunningCluster, state: str = "healthy") -> bool:
    return [(w.id, w.state) for w in cluster.workers()] == [(f"{SLICE}-w0", state)]


def told(found: Machine, word: str) -> bool:
    return any(word in said for said in found.metadata.told)


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
    with machine(tmp_path / "vm", NOBODY, {ATTRIBUTE + path: value}) as found:
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
    with machine(tmp_path / "vm", NOBODY, values, patience_s=0) as found:
        (found.docker / "refusals").write_text("1000")
        assert found.boot().wait(30) == 0
        place = "/v2/projects/a-project/locations/default/nodes/a-node"
        assert found.metadata.deleted == [f"Bearer ya29.account {place}"]


def test_a_machine_whose_controller_is_gone_for_good_ends_itself(
    own: RunningCluster, tmp_path: Path
) -> None:
    with machine(tmp_path / "vm", own.url) as found:
        process = found.boot()
        until(lambda: works(own))
        own.kill()
        assert process.wait(30) == 0
        assert told(found, "ended: the worker gave up: ")
        assert len(found.metadata.deleted) == 1


def test_a_machine_that_no_controller_wants_asks_again_and_then_ends_itself(
    shared: RunningCluster, tmp_path: Path
) -> None:
    with machine(tmp_path / "vm", shared.url, {ATTRIBUTE + "iris-group": "unheard-of"}) as found:
        bound = found.folder / "iris" / "worker" / "orphan-timeout"
        bound.parent.mkdir(parents=True)
        bound.write_text("1000")
        assert found.boot().wait(30) == 0
        assert told(found, "the worker gave up: it names no slice that is known")
        assert len(found.metadata.deleted) == 1


def test_a_machine_starts_its_worker_once_and_warns_its_tasks_of_a_preemption_until_that_is_taken_back(
    shared: RunningCluster, tmp_path: Path
) -> None:
    heard = tmp_path / "heard"
    script = f"trap 'echo >> {heard}; exit 3' TERM; echo ready; sleep 60 & wait"
    with machine(tmp_path / "vm", shared.url) as found, shared.client() as client:
        (found.docker / "refusals").write_text("2")
        found.boot()
        until(lambda: works(shared))
        trouble = "trouble: the image iris-worker:test cannot be had: Error response from daemon: "
        assert found.metadata.told[1:3] == [f"{trouble}connection refused"] * 2
        assert "token-of" not in found.serial
        # It boots again, as machines do that are repaired.
        pids = found.container_pids()
        found.boot()
        until(lambda: len([said for said in found.metadata.told if "started" in said]) == 2)
        assert found.container_pids() == pids

        task = Entrypoint.from_command("sh", "-c", script)
        job = client.submit(task, "long", resources=ResourceSpec(cpu=1, memory="64MB"))
        until(lambda: "ready" in job.tasks()[0].logs())
        found.metadata.set("instance/preempted", "TRUE")
        until(lambda: job.status().state == "pending")
        # Its own end under the warning is the cloud's doing, and charged to no budget of failures.
        (attempt,) = job.status().details[0].attempts
        assert (heard.exists(), attempt.state) == (True, "worker_failed")
        assert "workers: needs 1 that may have work, has 0 of 1" in "".join(job.why())
        found.metadata.set("instance/preempted", "FALSE")
        until(lambda: found.container_pids() not in ("", pids))
        job.terminate()
