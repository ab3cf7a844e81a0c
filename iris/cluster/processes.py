"""Processes that outlive whoever started them: known again by their folder, ended with all that they started.

An attempt's process leads a group of its own, and writes its id into the attempt's folder. Ids are
used again by the system, so that an id alone proves nothing: the process must also name the folder.
"""

import asyncio
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

PID_FILE: Final = "pid"
_LOOK_EVERY_S: Final = 0.1
_ROUNDS: Final = 50
"""Of killing what is found: a process that starts others is found again, and a killed one may take a moment."""
_EXEC_LOOKS: Final = 100
_EXEC_LOOK_S: Final = 0.001
"""A process in the midst of its exec(2) shows neither arguments nor environment: look again, so often."""
_PF_KTHREAD: Final = 0x0020_0000
"""Of the flags in proc(5)'s stat: a thread of the kernel, which never has arguments."""


def is_running(pid: int, *, mark: str) -> bool:
    """Whether a process lives, no zombie, that has `mark` among its arguments or its environment."""
    try:
        for _ in range(_EXEC_LOOKS):
            status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if status[0] in "ZX":
                return False
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
            if mark.encode() in words.split(b"\0"):
                return True
            variables = Path(f"/proc/{pid}/environ").read_bytes()
            if words or variables or int(status[6]) & _PF_KTHREAD:
                return mark.encode() in [v.partition(b"=")[2] for v in variables.split(b"\0")]
            time.sleep(_EXEC_LOOK_S)
    except OSError:
        pass
    return False


def _may_be_marked(pid: int, mark: bytes) -> bool:
    """Whether it is worth a closer look: one reading where `is_running` takes three."""
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            content = file.readall()
    except OSError:
        return False
    return not content or mark in content


def leader(folder: Path) -> int | None:
    """The process that leads the group of an attempt, if it runs."""
    try:
        pid = int((folder / PID_FILE).read_text())
    except (OSError, ValueError):
        return None
    return pid if is_running(pid, mark=str(folder)) else None


def variables_of(pid: int) -> dict[str, str]:
    """The environment that a process was started with.

    Raises:
        OSError: it is gone, or somebody else's.
    """
    lines = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    pairs = [os.fsdecode(line).partition("=") for line in lines if b"=" in line]
    return {name: value for name, _, value in pairs}


def group_members(pid: int, folder: Path) -> list[int]:
    """The living processes of a group whose leader was `pid`, of those that name the attempt's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        with suppress(OSError, IndexError, ValueError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if fields[0] not in "ZX" and int(fields[2]) == pid:
                if is_running(int(entry.name), mark=str(folder)):
                    found.append(int(entry.name))
    return found


def signal_group(folder: Path, number: int) -> None:
    """Signal all processes of an attempt, whether its leader lives or not."""
    try:
        pid = int((folder / PID_FILE).read_text())
    except (OSError, ValueError):
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, 0)  # Most often nobody is left, and that is told without a search.
        if leader(folder) is not None or group_members(pid, folder):
            os.killpg(pid, number)


def terminate_unheard(pid: int) -> None:
    """SIGTERM to those children of a process that have not got it yet.

    A shell's child that is signalled between its fork and its program loses the signal. Such a one
    lives on though it neither catches nor ignores SIGTERM; whoever does either is left alone.
    """
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if not _minds_sigterm(int(child)):
                os.kill(int(child), signal.SIGTERM)


def _minds_sigterm(pid: int) -> bool:
    bit = 1 << (signal.SIGTERM - 1)
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, mask = line.partition(":")
        if name in ("SigIgn", "SigCgt") and int(mask, 16) & bit:
            return True
    return False


def end_group(folder: Path) -> None:
    """Kill all processes of an attempt."""
    signal_group(folder, signal.SIGKILL)


def kill_marked(mark: str) -> None:
    """Kill all processes that have `mark` as the value of a variable, and what these start meanwhile."""
    for _ in range(_ROUNDS):
        pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
        found = [
            pid for pid in pids if _may_be_marked(pid, mark.encode()) and is_running(pid, mark=mark)
        ]
        if not found:
            return
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


async def ended(child: subprocess.Popen[bytes]) -> None:
    """Until a child has ended: told by the system, without a thread and without looking again and again."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    try:
        descriptor = os.pidfd_open(child.pid)
    except OSError:  # Too many open files: look now and then.
        while child.poll() is None:
            await asyncio.sleep(_LOOK_EVERY_S)
        return
    loop.add_reader(descriptor, done.set)
    try:
        await done.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    child.wait()
