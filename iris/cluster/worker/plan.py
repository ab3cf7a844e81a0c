"""What an attempt runs, where, and with which variables: its description turned into a plan for a runtime."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from iris.cluster.worker.gang import gang_variables
from iris.core.agent import NOTICE_GRACE
from iris.core.ids import TaskId, attempt_name, split_task_id
from iris.core.topology import tpu_type
from iris.rpc import iris_pb2 as pb

CALL_MODULE: Final = "iris.cluster.worker.call"
"""Run as a file, for the Python that runs it need not have Iris."""

CALL_FILE: Final = "call.pickle"
RESULT_FILE: Final = "result.pickle"
WORK_FOLDER: Final = "work"

_KEPT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
"""What a task inherits of its worker's own variables, and nothing else: no token, no secret."""


class Prepared(NamedTuple):
    """What a task runs in, by the paths that it sees."""

    python: str
    folder: str
    """Of its environment; empty when it has none of its own."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a task finds its things, by the paths that it sees itself, and what it inherits."""

    work: str
    """The workspace, in which it starts."""
    call: str
    """The pickled call."""
    result: str
    """Where the call's result goes."""
    script: str
    """What makes the call."""
    variables: Mapping[str, str]
    """What is there without being asked for."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a runtime needs to run an attempt."""

    name: str
    """As `/alice/train:0@2`."""
    folder: Path
    """The attempt's own: its log, its result, its `work` folder."""
    command: tuple[str, ...]
    variables: Mapping[str, str]
    cpu_milli: int
    memory_bytes: int
    chips: int = 0
    """TPU chips or GPUs."""
    on_tpu: bool = False

    @property
    def work(self) -> Path:
        """Where the command starts, with the workspace in it."""
        return self.folder / WORK_FOLDER


@dataclass(frozen=True, slots=True)
class Host:
    """The worker, as a task sees it."""

    worker: str
    address: str
    """Host name or IP that other hosts reach it by."""
    controller: str


def process_layout(folder: Path, authority: Path | None = None) -> Layout:
    """Of a plain process, which sees what its worker sees, also the controller's certificate."""
    script = find_spec(CALL_MODULE)
    assert script is not None, CALL_MODULE
    assert script.origin is not None, CALL_MODULE
    inherited = {name: os.environ[name] for name in _KEPT if name in os.environ}
    # What a command calls `python` is what a call would run under.
    own = [str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)]
    return Layout(
        work=str(folder / WORK_FOLDER),
        call=str(folder / CALL_FILE),
        result=str(folder / RESULT_FILE),
        script=script.origin,
        variables={**inherited, "PATH": os.pathsep.join(own), **trusting(authority)},
    )


def trusting(authority: str | Path | None) -> dict[str, str]:
    """By what a task's own client knows its controller, if not by a public authority."""
    return {} if authority is None else {"IRIS_AUTHORITY": str(authority)}


def plan_of(  # noqa: PLR0913
    wanted: pb.Wanted,
    folder: Path,
    layout: Layout,
    *,
    host: Host,
    ports: Mapping[str, int],
    prepared: Prepared,
) -> Plan:
    """The plan of an attempt.

    Args:
        wanted: what the controller asked for.
        folder: the attempt's own.
        layout: where the task will find its things.
        host: who runs it.
        ports: the numbers that were found for the names that it asked for.
        prepared: what it runs in.
    """
    launch = pb.Launch.FromString(wanted.launch)
    command = tuple(launch.command)
    if not command:
        paths = (layout.script, layout.call, layout.result)
        command = (prepared.python, "-P", *paths, launch.python_minor)
    spec = wanted.spec
    variables = {**layout.variables, "PYTHONUNBUFFERED": "1", "PYTHONPATH": layout.work}
    if prepared.folder:
        variables["VIRTUAL_ENV"] = prepared.folder  # Whoever starts it puts it on the path.
    variables.update(gang_variables(wanted))
    variables.update((variable.name, variable.value) for variable in spec.environment)
    variables.update(_identity(wanted, host))
    if launch.bundle:
        variables["IRIS_BUNDLE"] = launch.bundle  # What it submits itself has the same workspace.
    variables.update((f"IRIS_PORT_{name.upper()}", str(port)) for name, port in ports.items())
    return Plan(
        name=attempt_name(TaskId(wanted.task), wanted.attempt),
        folder=folder,
        command=command,
        variables=variables,
        cpu_milli=spec.resources.cpu_milli,
        memory_bytes=spec.resources.memory_bytes,
        chips=spec.resources.chips,
        on_tpu=tpu_type(spec.accelerator) is not None,
    )


def _identity(wanted: pb.Wanted, host: Host) -> dict[str, str]:
    job, index = split_task_id(TaskId(wanted.task))
    names = {
        "IRIS_JOB_ID": job,
        "IRIS_TASK_ID": wanted.task,
        "IRIS_TASK_INDEX": str(index),
        "IRIS_NUM_TASKS": str(wanted.spec.replicas),
        "IRIS_ATTEMPT_ID": str(wanted.attempt),
        "IRIS_WORKER_ID": host.worker,
        "IRIS_CONTROLLER_ADDRESS": host.controller,
        "IRIS_TOKEN": wanted.token,
        "IRIS_ADVERTISE_HOST": host.address,
        "IRIS_STOP_GRACE_SECONDS": f"{min(wanted.grace_ms, NOTICE_GRACE) / 1_000:g}",
    }
    if wanted.coordinator:
        names["IRIS_COORDINATOR_ADDRESS"] = wanted.coordinator
    return names
