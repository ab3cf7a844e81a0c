"""What is known of processes by their ids and marks, on real processes."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from iris.cluster import processes
from iris.cluster.processes import end_group, is_running, kill_marked, terminate_unheard
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


def test_a_thread_of_the_kernel_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows no arguments either, and always will."""
    looks: list[Path] = []

    def nothing(path: Path) -> bytes:
        looks.append(path)
        return b""

    kernels = "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0"
    monkeypatch.setattr(Path, "read_text", lambda _: kernels)
    monkeypatch.setattr(Path, "read_bytes", nothing)
    assert not is_running(2, mark="/some/folder")
    assert [path.name for path in looks] == ["cmdline", "environ"]


def test_the_end_of_a_task_that_left_nothing_searches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = subprocess.Popen(["true"], start_new_session=True)
    child.wait()
    (tmp_path / "pid").write_text(str(child.pid))

    def searched(*_: object) -> list[int]:
        raise AssertionError("a search")

    monkeypatch.setattr(processes, "group_members", searched)
    end_group(tmp_path)


def test_only_processes_that_may_be_meant_are_looked_at_closely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    marked = subprocess.Popen(["sleep", "30"], env={"MARK": "/some/other/folder"})
    until(lambda: is_running(marked.pid, mark="/some/other/folder"))
    closely: list[int] = []

    def noted(pid: int, *, mark: str) -> bool:
        if Path(f"/proc/{pid}/environ").read_bytes():  # Neither of the kernel nor a zombie.
            closely.append(pid)
        return is_running(pid, mark=mark)

    monkeypatch.setattr(processes, "is_running", noted)
    kill_marked("/some/other/folder")
    assert marked.wait(20) == -signal.SIGKILL
    assert set(closely) == {marked.pid}
