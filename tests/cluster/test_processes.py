"""What is known of processes by their ids and marks, on real processes."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from iris.cluster.processes import is_running, terminate_unheard
from tests.cluster.running import until

KEEPS = "trap 'echo got it' TERM; echo up; while :; do sleep 0.02; done"
DEAF = "trap '' TERM; echo up; sleep 30; :"


def parent_of(command: str) -> subprocess.Popen[str]:
    """A shell that waits for another one."""
    script = '"$@"; echo "ended with $?"'
    return subprocess.Popen(
        ["/bin/sh", "-c", script, "parent", *command.split("|")],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def children(pid: int) -> list[int]:
    return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_command_that_lost_its_sigterm_gets_it_again() -> None:
    parent = parent_of("sleep|30")
    until(lambda: bool(children(parent.pid)))

    def is_sleep() -> bool:
        return Path(f"/proc/{children(parent.pid)[0]}/comm").read_text() == "sleep\n"

    until(is_sleep)
    terminate_unheard(parent.pid)
    out, _ = parent.communicate(timeout=20)
    assert out == "ended with 143\n"


@pytest.mark.parametrize("command", [KEEPS, DEAF], ids=["catches", "ignores"])
def test_who_catches_or_ignores_it_is_left_alone(command: str) -> None:
    parent = parent_of(f"sh|-c|{command}")
    assert parent.stdout is not None
    assert parent.stdout.readline() == "up\n"
    for _ in range(3):
        terminate_unheard(parent.pid)
        time.sleep(0.1)  # As long as its loop needs to come round several times.
    assert children(parent.pid)
    subprocess.run(["kill", "-KILL", "--", f"-{parent.pid}"], check=True)
    assert parent.communicate(timeout=20)[0] == ""
    assert parent.returncode == -signal.SIGKILL


def test_of_a_process_that_is_gone_there_is_nobody_to_tell() -> None:
    parent = parent_of("true")
    parent.communicate(timeout=20)
    terminate_unheard(parent.pid)


def test_a_process_in_the_midst_of_its_exec_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between its old program and its new one it shows no arguments, for up to 25 ms under load."""
    child = subprocess.Popen(["sleep", "30"], env={"MARK": "/some/folder"})
    shown, looks = Path.read_bytes, []

    def midway(path: Path) -> bytes:
        looks.append(path)
        return b"" if len(looks) <= 6 else shown(path)

    until(lambda: is_running(child.pid, mark="/some/folder"))
    monkeypatch.setattr(Path, "read_bytes", midway)
    assert is_running(child.pid, mark="/some/folder")
    assert len(looks) > 6
    monkeypatch.undo()
    child.kill()
    child.wait()
