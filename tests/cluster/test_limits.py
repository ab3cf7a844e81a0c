"""Memory of plain processes: who takes more than asked for is ended and told so, and nobody else."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.cluster.types import Entrypoint, ResourceSpec
from iris.cluster.worker.limits import Watched, proportional_bytes, resident_by_session, too_large
from tests.cluster.running import RunningCluster, running, until

MIB = 1 << 20
TAKES = (
    "import sys, time; x = bytearray({bytes}); print('taken', flush=True); time.sleep({seconds})"
)


def taking(size: int, *, wrapped: bool = False) -> subprocess.Popen[str]:
    """A session whose only process, or its child, holds so many bytes."""
    command = [sys.executable, "-c", TAKES.format(bytes=size, seconds=600)]
    if wrapped:
        command = ["/bin/sh", "-c", '"$@"; :', "sh", *command]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "taken\n"
    return process


@pytest.fixture
def holder() -> Iterator[subprocess.Popen[str]]:
    process = taking(200 * MIB, wrapped=True)
    yield process
    os.killpg(process.pid, 9)
    process.communicate()


def test_a_session_is_measured_with_all_its_processes(holder: subprocess.Popen[str]) -> None:
    processes = resident_by_session()[holder.pid]
    assert len(processes) == 2
    assert 200 * MIB < sum(processes.values()) < 300 * MIB
    assert 200 * MIB < proportional_bytes(processes) <= sum(processes.values())
    assert proportional_bytes([2**22 + 1]) == 0


def test_far_over_is_enough_once_and_a_little_over_twice_in_a_row(
    holder: subprocess.Popen[str],
) -> None:
    folder = Path("x")
    assert too_large({folder: Watched(holder.pid, 100 * MIB)}).keys() == {folder}
    assert too_large({folder: Watched(holder.pid, 400 * MIB)}) == {}
    little = {folder: Watched(holder.pid, 190 * MIB)}
    assert too_large(little) == {}
    assert too_large(little).keys() == {folder}
    assert too_large({folder: Watched(2**22 + 1, 1)}) == {}


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RunningCluster]:
    yield from running(tmp_path)


def hungry(size: int) -> Entrypoint:
    program = TAKES.format(bytes=size, seconds=20)
    return Entrypoint.from_command("sh", "-c", f'"{sys.executable}" -c "{program}"; echo survived')


def test_i_115_more_memory_than_asked_for_is_out_of_memory_and_charged_to_the_failure_budget(
    own: RunningCluster,
) -> None:
    with own.client() as client:
        need = ResourceSpec(cpu="0.5", memory="100MB")
        modest = client.submit(hungry(10 * MIB), "modest", resources=need)
        job = client.submit(hungry(300 * MIB), "hungry", resources=need, max_retries_failure=1)
        ended = job.wait(60)
        assert ended.state == "failed"
        attempts = ended.details[0].attempts
        assert [(a.state, a.cause) for a in attempts] == [("failed", "out_of_memory")] * 2
        assert "MiB, of 95 MiB that it asked for" in attempts[1].detail
        log = job.tasks()[0].logs(attempt=1)
        assert "survived" not in log
        assert "iris: ended: its processes used" in log
        assert modest.wait(60).state == "succeeded"


def test_an_adopted_attempt_is_held_to_its_memory_too(own: RunningCluster, tmp_path: Path) -> None:
    with own.client() as client:
        gate = tmp_path / "gate"
        program = TAKES.format(bytes=300 * MIB, seconds=60)
        waits = f"echo up; while [ ! -e {gate} ]; do sleep 0.05; done"
        script = f'{waits}; "{sys.executable}" -c "{program}"'
        need = ResourceSpec(cpu="0.5", memory="100MB")
        job = client.submit(Entrypoint.from_command("sh", "-c", script), "grows", resources=need)
        until(lambda: "up" in job.tasks()[0].logs())
        own.restart_worker()
        gate.touch()
        ended = job.wait(60)
        assert [a.cause for a in ended.details[0].attempts] == ["out_of_memory"]
