"""Runs attempts as processes: each leads a group of its own, and outlives the worker that started it.

A small shell script is the leader. It notes its id before the command starts and the exit status
after it has ended, both in the attempt's folder, so that a restarted worker finds what runs and
learns how what ended did. When the command has ended, everything that it left running is killed.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Final, Protocol

from iris.cluster.processes import (
    PID_FILE,
    end_group,
    ended,
    kill_marked,
    leader,
    signal_group,
    terminate_unheard,
    variables_of,
)
from iris.cluster.worker.limits import LOOK_EVERY_S, Watched, too_large
from iris.cluster.worker.plan import WORK_FOLDER, Layout, Plan, process_layout
from iris.cluster.worker.sessions import Command, ProcessSession, Session
from iris.core.agent import Ended
from iris.core.ids import TaskId
from iris.core.retry import EndCause

LOG_FILE: Final = "log"
EXIT_FILE: Final = "exit"
_LIMIT_FILE: Final = "memory-limit"
_OVER_FILE: Final = "over-memory"
_EXECS_FOLDER: Final = "execs"
MARK: Final = "IRIS_ATTEMPT_FOLDER"
"""The variable by which a process is known to belong to an attempt, whatever its id."""

_SCRIPT: Final = f"""
trap stopped=1 TERM INT HUP
echo $$ > {PID_FILE}.new && command -p mv {PID_FILE}.new {PID_FILE}
code=143
[ -z "$VIRTUAL_ENV" ] || PATH=$VIRTUAL_ENV/bin:$PATH
if [ -z "$stopped" ] && cd work; then
    "$@"
    code=$?
    cd ..
fi
echo $code > {EXIT_FILE}.new && command -p mv {EXIT_FILE}.new {EXIT_FILE}
"""
# A stop that comes before the command has begun must not be lost: then it never begins. The PATH may
# be the job's own, and lead nowhere: `command -p` does not look there.
_LOOK_EVERY_S: Final = 0.1
_START_S: Final = 2.0
"""A leader that has not noted its id by then was never started."""


_UNHEARD_S: Final = (0.2, 1.0, 5.0)
"""After a SIGTERM: when to look whether the command lives on because it lost the signal."""


class TaskRuntime(Protocol):
    """What runs attempts on a host."""

    def layout(self, folder: Path) -> Layout:
        """Where an attempt of this folder finds its things."""
        ...

    async def adopt(self, folders: Collection[Path]) -> None:
        """At a start: these attempts go on; what else was left here by an earlier run is ended.

        Raises:
            LaunchError: nothing can be run here.
        """
        ...

    async def run(self, plan: Plan) -> None:
        """Start an attempt; it runs when this returns.

        Raises:
            LaunchError: it could not be started, for a reason that is not the user's.
        """
        ...

    async def wait(self, folder: Path, task: TaskId, attempt: int) -> Ended:
        """How an attempt ended, once it has, with everything that it started gone."""
        ...

    def terminate(self, folder: Path) -> None:
        """Ask an attempt to end."""
        ...

    def kill(self, folder: Path) -> None:
        """End an attempt now."""
        ...

    async def begin(self, folder: Path, command: Command) -> Session:
        """Run a command beside an attempt that runs, in its surroundings.

        Raises:
            LaunchError: it could not be started, or the attempt has ended.
            OSError: likewise.
        """
        ...


class LaunchError(Exception):
    """An attempt could not be started; the host or its supplies are to blame, not the user."""


class BuildError(LaunchError):
    """What the job brings could not be made ready; it would be so on any host."""


class ProcessRuntime:
    """Attempts as plain processes of the worker's own user."""

    def __init__(self, authority: Path | None = None) -> None:
        """Nothing runs yet; `authority` signed the controller's certificate, if nobody public did."""
        self._authority = authority
        self._children: dict[Path, subprocess.Popen[bytes]] = {}
        self._watched: dict[Path, Watched] = {}
        self._watching: asyncio.Task[None] | None = None

    def layout(self, folder: Path) -> Layout:
        """The real paths."""
        return process_layout(folder, self._authority)

    async def adopt(self, folders: Collection[Path]) -> None:
        """Processes are found again by their folders; those without one were ended with it."""
        for folder in folders:
            _end_sessions(folder)

    async def run(self, plan: Plan) -> None:
        """Start an attempt."""
        plan.work.mkdir(parents=True, exist_ok=True)
        (plan.folder / _LIMIT_FILE).write_text(str(plan.memory_bytes))
        variables = {**plan.variables, MARK: str(plan.folder)}
        try:
            with (plan.folder / LOG_FILE).open("ab") as log:
                self._children[plan.folder] = subprocess.Popen(
                    ["/bin/sh", "-c", _SCRIPT, "iris-attempt", *plan.command],
                    cwd=plan.folder,
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as error:
            raise LaunchError(f"cannot start a process: {error}") from error

    async def wait(self, folder: Path, task: TaskId, attempt: int) -> Ended:
        """How an attempt ended."""
        child = self._children.get(folder)
        self._watch(folder, child.pid if child is not None else leader(folder))
        try:
            if child is not None:
                await ended(child)
                del self._children[folder]
            else:
                await self._adopted(folder)
        finally:
            self._watched.pop(folder, None)
        end_group(folder)
        # What has left the group, with a session of its own, still carries the mark.
        await asyncio.to_thread(kill_marked, str(folder))
        _end_sessions(folder)
        return _verdict(folder, task, attempt)

    def _watch(self, folder: Path, pid: int | None) -> None:
        """Hold an attempt to its memory from now on, also one of an earlier run of this worker."""
        try:
            limit = int((folder / _LIMIT_FILE).read_text())
        except (OSError, ValueError):
            return
        if pid is not None and limit:
            self._watched[folder] = Watched(pid, limit)
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while self._watched:
            await asyncio.sleep(LOOK_EVERY_S)
            for folder, used in (await asyncio.to_thread(too_large, dict(self._watched))).items():
                watched = self._watched.pop(folder, None)
                if watched is not None:
                    sizes = (
                        f"{used >> 20} MiB, of {watched.limit_bytes >> 20} MiB that it asked for"
                    )
                    (folder / _OVER_FILE).write_text(f"its processes used {sizes}")
                    with (folder / LOG_FILE).open("ab") as log:
                        log.write(f"iris: ended: its processes used {sizes}\n".encode())
                    self.kill(folder)

    async def _adopted(self, folder: Path) -> None:
        for _ in range(int(_START_S / _LOOK_EVERY_S)):
            if (folder / PID_FILE).exists():
                break
            await asyncio.sleep(_LOOK_EVERY_S)
        while not (folder / EXIT_FILE).exists() and leader(folder) is not None:
            await asyncio.sleep(_LOOK_EVERY_S)

    def terminate(self, folder: Path) -> None:
        """SIGTERM to the attempt's group; again to its command, if that was too young to get it."""
        child = self._children.get(folder)
        if child is not None and child.poll() is None:
            os.killpg(child.pid, signal.SIGTERM)  # It leads a group from its first moment on.
        else:
            signal_group(folder, signal.SIGTERM)
        for delay_s in _UNHEARD_S:
            asyncio.get_running_loop().call_later(delay_s, _terminate_unheard, folder)

    def kill(self, folder: Path) -> None:
        """SIGKILL to the attempt's group."""
        child = self._children.get(folder)
        if child is not None and child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        end_group(folder)

    async def begin(self, folder: Path, command: Command) -> ProcessSession:
        """A process with the variables of the attempt's leader, in the attempt's working folder."""
        pid = leader(folder)
        if pid is None:
            raise LaunchError("the task has ended")
        variables = variables_of(pid)
        noted = folder / _EXECS_FOLDER / command.id
        noted.parent.mkdir(exist_ok=True)
        noted.touch()  # So that it is found and ended with the attempt, also by a later worker.
        return await ProcessSession.begin(command, variables, folder / WORK_FOLDER)


def _end_sessions(folder: Path) -> None:
    """End the commands that run beside an attempt."""
    for noted in sorted(folder.glob(f"{_EXECS_FOLDER}/*")):
        kill_marked(noted.name)
        noted.unlink(missing_ok=True)


def _terminate_unheard(folder: Path) -> None:
    pid = leader(folder)
    if pid is not None:
        terminate_unheard(pid)


def _verdict(folder: Path, task: TaskId, attempt: int) -> Ended:
    if (folder / _OVER_FILE).exists():
        used = (folder / _OVER_FILE).read_text()
        return Ended(task, attempt, EndCause.OUT_OF_MEMORY, used)
    try:
        code = int((folder / EXIT_FILE).read_text())
    except (OSError, ValueError):
        if not (folder / PID_FILE).exists():
            return Ended(task, attempt, EndCause.LAUNCH, "its process was never started")
        # The leader itself was killed: nobody asked for it here, so it was the system or a person.
        detail = "killed by signal 9 with all its processes; perhaps the machine ran out of memory"
        return Ended(task, attempt, EndCause.EXIT_NONZERO, detail)
    if code == 0:
        return Ended(task, attempt, EndCause.EXIT_ZERO)
    return Ended(task, attempt, EndCause.EXIT_NONZERO, exit_sentence(code))


def exit_sentence(code: int) -> str:
    """An exit status for people: a shell tells a signal by 128 and its number."""
    if code > 128:
        try:
            name = signal.Signals(code - 128).name
        except ValueError:
            return f"exit status {code}"
        return f"exit status {code}: {name}"
    if code == 127:
        return "exit status 127: the command was not found"
    return f"exit status {code}"
