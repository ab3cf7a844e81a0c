"""What an attempt runs, where, and with which variables: its description turned into a plan for a runtime."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from iris.core.ids import TaskId, attempt_name, split_task_id
from iris.rpc import iris_pb2 as pb

CALL_MODULE: Final = "iris.cluster.worker.call"
"""Run as a file, for the Python that runs it need not have Iris."""

CALL_FILE: Final = "call.pickle"
RESULT_FILE: Final = "result.pickle"
WORK_FOLDER: Final = "work"

_KEPT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
"""What a task inherits of its worker's own variables, and nothing else: no token, no secret."""


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


def plan_of(
    wanted: pb.Wanted, folder: Path, host: Host, ports: Mapping[str, int], python: str
) -> Plan:
    """The plan of an attempt.

    Args:
        wanted: what the controller asked for.
        folder: the attempt's own.
        host: who runs it.
        ports: the numbers that were found for the names that it asked for.
        python: what runs a pickled call, and what a command finds as `python`.
    """
    launch = pb.Launch.FromString(wanted.launch)
    command = tuple(launch.command)
    if not command:
        script = find_spec(CALL_MODULE)
        assert script is not None, CALL_MODULE
        paths = (script.origin, folder / CALL_FILE, folder / RESULT_FILE)
        command = (python, "-P", *(str(path) for path in paths), launch.python_minor)
    spec = wanted.spec
    variables = {name: os.environ[name] for name in _KEPT if name in os.environ}
    variables["PYTHONUNBUFFERED"] = "1"
    # What a command calls `python` is what a call would run under.
    own = [str(Path(python).parent), variables.get("PATH", os.defpath)]
    variables["PATH"] = os.pathsep.join(own)
    variables["PYTHONPATH"] = str(folder / WORK_FOLDER)
    variables.update((variable.name, variable.value) for variable in spec.environment)
    variables.update(_identity(wanted, host))
    variables.update((f"IRIS_PORT_{name.upper()}", str(port)) for name, port in ports.items())
    return Plan(
        name=attempt_name(TaskId(wanted.task), wanted.attempt),
        folder=folder,
        command=command,
        variables=variables,
        cpu_milli=spec.resources.cpu_milli,
        memory_bytes=spec.resources.memory_bytes,
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
    }
    if wanted.coordinator:
        names["IRIS_COORDINATOR_ADDRESS"] = wanted.coordinator
    if wanted.spec.coscheduled and wanted.spec.HasField("accelerator"):
        names["TPU_WORKER_ID"] = str(wanted.rank)
        names["TPU_WORKER_HOSTNAMES"] = ",".join(wanted.hosts)
    return names
