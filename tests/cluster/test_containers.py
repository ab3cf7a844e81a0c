"""What the engine is asked for, for each kind of attempt."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iris.cluster.worker.containers import (
    GPUS_LABEL,
    PIDS,
    Ground,
    build_of,
    container_name,
    container_of,
    free_gpus,
    gpus_wanted,
    seen,
)
from iris.cluster.worker.plan import CALL_FILE, Plan

ROOT = Path("/var/lib/iris/w")
GROUND = Ground(
    "image", ROOT, "10000:10000", Path("/lib/call.py"), ("/dev/accel0", "/dev/vfio/1"), gpus=8
)
PLAN = Plan("/a/b:0@0", ROOT / "attempts" / "x", ("true",), {"A": "b"}, 1_500, 64 << 20)


def targets(arguments: dict[str, Any]) -> dict[str, bool]:
    """By path inside, whether it is read-only."""
    return {mount["Target"]: mount["ReadOnly"] for mount in arguments["mounts"]}


def test_limits_are_what_the_attempt_asked_for() -> None:
    found = container_of(PLAN, GROUND)
    assert found["nano_cpus"] == 1_500_000_000
    assert (found["mem_limit"], found["memswap_limit"]) == (64 << 20, 64 << 20)
    assert found["pids_limit"] == PIDS
    assert (found["user"], found["cap_drop"]) == ("10000:10000", ["ALL"])
    assert found["security_opt"] == ["no-new-privileges"]
    assert found["init"] is True


def test_a_task_may_write_its_log_and_its_result_and_nothing_else() -> None:
    assert targets(container_of(PLAN, GROUND)) == {
        "/iris/work": True,
        "/iris/out": False,
        "/iris/log": False,
        "/iris/call.py": True,
        "/iris/environments": True,
    }


def test_a_call_is_there_when_there_is_one(tmp_path: Path) -> None:
    plan = replace(PLAN, folder=tmp_path)
    (tmp_path / CALL_FILE).touch()
    assert targets(container_of(plan, GROUND))[f"/iris/{CALL_FILE}"] is True


def test_without_chips_there_is_no_device() -> None:
    found = container_of(PLAN, GROUND)
    assert not {"devices", "device_requests", "ulimits"} & found.keys()


def test_a_tpu_task_has_the_devices_of_the_host_and_may_lock_memory() -> None:
    found = container_of(replace(PLAN, chips=4, on_tpu=True), GROUND)
    assert found["devices"] == ["/dev/accel0:/dev/accel0:rwm", "/dev/vfio/1:/dev/vfio/1:rwm"]
    assert found["ulimits"] == [{"Name": "memlock", "Soft": -1, "Hard": -1}]
    assert "device_requests" not in found


def test_a_gpu_task_has_its_gpus_by_number_and_a_label_that_says_which() -> None:
    plan = replace(PLAN, chips=2)
    assert gpus_wanted(plan) == 2
    found = container_of(plan, GROUND, (3, 5))
    (request,) = found["device_requests"]
    assert request == {"Driver": "", "DeviceIDs": ["3", "5"], "Capabilities": [["gpu"]]}
    assert found["labels"][GPUS_LABEL] == "3,5"
    assert "devices" not in found


def test_tpu_chips_are_no_gpus() -> None:
    assert gpus_wanted(replace(PLAN, chips=4, on_tpu=True)) == 0


@pytest.mark.parametrize(
    ("labels", "wanted", "found"),
    [
        ([], 2, (0, 1)),
        (["0", "2,3"], 1, (1,)),
        (["0", "2,3"], 2, (1, 4)),
        (["0,1,2,3", "4,5,6"], 1, (7,)),
        (["0,1,2,3", "4,5,6"], 2, None),
        (["0,1,2,3,4,5,6,7"], 1, None),
    ],
)
def test_no_two_containers_share_a_gpu(
    labels: list[str], wanted: int, found: tuple[int, ...] | None
) -> None:
    assert free_gpus(8, labels, wanted) == found


def test_a_build_sees_the_environment_where_its_tasks_will() -> None:
    place = ROOT / "environments" / "abc"
    found = build_of(["true"], {"PIP_X": "1"}, [place, ROOT / "attempts" / "x" / "work"], GROUND)
    assert targets(found) == {"/iris/environments/abc": False, "/iris/work": False}
    assert seen(place / "bin", ROOT) == "/iris/environments/abc/bin"
    assert found["environment"]["PIP_X"] == "1"
    assert (found["user"], found["cap_drop"]) == ("10000:10000", ["ALL"])


def test_attempts_of_two_workers_of_one_machine_have_containers_of_their_own() -> None:
    assert container_name(ROOT / "attempts" / "x") != container_name(Path("/other/attempts/x"))
