"""Machines that start by themselves: who they are, what they fetch, what they say, and how they end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.cluster.types import Entrypoint, ResourceSpec
from tests.cluster.running import RunningCluster, running, until
from tests.gcp.booting import NAME, SLICE, ZONE, machine

NOBODY = "http://127.0.0.1:1"


def begun(root: Path) -> Iterator[RunningCluster]:
    group = {
        "accelerator_type": "cpu",
        "vm": {"cpu": 2, "memory": "1GiB"},
        "max_slices": 1,
        "zones": [ZONE],
    }
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


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("iris-slice", "", "the metadata server has no instance/attributes/iris-slice"),
        ("iris-host", "", "the metadata server has no instance/attributes/agent-worker-number"),
        ("iris-host", "1", "this is host 1 of a slice that has 1"),
        ("iris-host", "two", "the number of this host is 'two', which is no number"),
    ],
)
def test_a_machine_that_does_not_know_who_it_is_starts_no_worker_and_says_so(
    tmp_path: Path, key: str, value: str, why: str
) -> None:
    with machine(tmp_path, NOBODY, {key: value}) as found:
        assert found.create().wait(30) == 1
        assert found.vm.guest_attributes["iris/state"].startswith(f"failed: {why}")
        assert why in found.serial
        assert not found.container_pids()


def test_a_machine_that_can_start_no_worker_says_why_and_ends_itself_as_the_cloud_knows_it(
    tmp_path: Path,
) -> None:
    lost = {"iris-image": "nowhere/worker", "iris-patience": "100"}
    with machine(tmp_path / "instance", NOBODY, lost) as found:
        found.google.knobs.denied = frozenset({"instances.delete"})
        found.create()
        until(lambda: "the cloud does not delete" in found.serial)
        found.google.knobs.denied = frozenset()
        until(lambda: found.google.compute.instances[ZONE, NAME].is_there() is False)
        assert (
            "ended: the image nowhere/worker cannot be had: "
            "Error response from daemon: connection refused, for 100 s"
        ) in found.serial
    with machine(tmp_path / "tpu", NOBODY, lost, host=None) as found:
        found.create_tpu()
        until(lambda: not list(found.google.tpu_client().list_nodes(parent=found.google.parent())))
    with machine(tmp_path / "queued", NOBODY, lost, host=None) as found:
        found.create_tpu(queued=True)
        client, parent = found.google.tpu_client(), found.google.parent()
        until(lambda: not list(client.list_queued_resources(parent=parent)))
        assert not list(client.list_nodes(parent=parent))


def test_a_host_of_several_waits_until_the_cloud_has_its_slice_whole(tmp_path: Path) -> None:
    with machine(tmp_path, NOBODY, {"iris-hosts": "2"}, host=None) as found:
        found.google.knobs.ready_lag_s = 1_000.0
        found.create_tpu()
        until(lambda: "the slice is CREATING" in found.serial)
        assert "started" not in found.serial
        found.google.knobs.ready_lag_s = 0.0
        until(lambda: "started: worker of" in found.serial)
        assert "the slice is READY" in found.serial


def test_a_machine_whose_controller_is_gone_for_good_ends_itself(
    own: RunningCluster, tmp_path: Path
) -> None:
    with machine(tmp_path / "vms", own.url) as found:
        found.create()
        until(lambda: works(own))
        own.kill()
        until(lambda: not found.google.compute.instances[ZONE, NAME].is_there())
        assert "ended: the worker gave up: no controller answers" in found.serial


def test_a_machine_that_no_controller_wants_asks_again_and_then_ends_itself(
    shared: RunningCluster, tmp_path: Path
) -> None:
    with machine(tmp_path, shared.url, {"iris-group": "unheard-of"}) as found:
        bound = found.home / "iris" / "worker" / "orphan-timeout"
        bound.parent.mkdir(parents=True)
        bound.write_text("1000")
        found.create()
        until(lambda: not found.google.compute.instances[ZONE, NAME].is_there())
        assert "the worker gave up: it names no slice that is known" in found.serial


def test_a_machine_starts_its_worker_once_and_warns_its_tasks_of_a_preemption_until_that_is_taken_back(
    shared: RunningCluster, tmp_path: Path
) -> None:
    heard = tmp_path / "heard"
    script = f"trap 'echo >> {heard}; exit 3' TERM; echo ready; sleep 60 & wait"
    with machine(tmp_path / "vms", shared.url) as found, shared.client() as client:
        found.refuse_pulls(2)
        process = found.create()
        until(lambda: works(shared), 100)  # Pulls that were refused are tried again after pauses.
        trouble = "trouble: the image iris-worker:test cannot be had: Error response from daemon: "
        assert found.serial.count(f"{trouble}connection refused") == 2
        assert "token-of" not in found.serial
        # It boots again, as machines do that are repaired.
        pids = found.container_pids()
        found.boot_again(process)
        until(lambda: found.serial.count("started: worker of") == 2)
        assert found.container_pids() == pids

        task = Entrypoint.from_command("sh", "-c", script)
        job = client.submit(task, "long", resources=ResourceSpec(cpu=1, memory="64MB"))
        until(lambda: "ready" in job.tasks()[0].logs())
        found.say(preempted=True)
        until(lambda: job.status().state == "pending")
        # Its own end under the warning is the cloud's doing, and charged to no budget of failures.
        (attempt,) = job.status().details[0].attempts
        assert (heard.exists(), attempt.state) == (True, "worker_failed")
        assert "workers: needs 1 that may have work, has 0 of 1" in "".join(job.why())
        found.say(preempted=False)
        until(lambda: found.container_pids() not in ("", pids))
        job.terminate()
