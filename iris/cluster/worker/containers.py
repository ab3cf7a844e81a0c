"""How an attempt becomes a container: what it sees, what it may use, how it is known again. No I/O here."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from iris.cluster.engine import FOLDER_LABEL, HOST_LABEL
from iris.cluster.worker.plan import CALL_FILE, WORK_FOLDER, Layout, Plan, trusting

ATTEMPT_LABEL: Final = "iris.attempt"
GPUS_LABEL: Final = "iris.gpus"
"""The numbers of the GPUs that a container has to itself, as `0,3`."""

OUT_FOLDER: Final = "out"
"""Below an attempt's folder: the one place in it that the task may write."""
LOG_NAME: Final = "log"
RESULT_NAME: Final = "result.pickle"
INSIDE: Final = "/iris"
_AUTHORITY: Final = f"{INSIDE}/authority.pem"
ENVIRONMENTS: Final = f"{INSIDE}/environments"
PIDS: Final = 4_096
"""Processes and threads of one task."""

# The shell makes way for the command, so that signals and the exit status are the command's own.
_LEADER: Final = (
    '[ -z "$VIRTUAL_ENV" ] || export PATH="$VIRTUAL_ENV/bin:$PATH";'
    f' exec "$@" >>{INSIDE}/{LOG_NAME} 2>&1'
)


def container_layout(*, private: bool = False) -> Layout:
    """Where a task in a container finds its things; it inherits nothing of its host.

    Args:
        private: whether the controller is known by a certificate that must be brought along.
    """
    return Layout(
        work=f"{INSIDE}/{WORK_FOLDER}",
        call=f"{INSIDE}/{CALL_FILE}",
        result=f"{INSIDE}/{OUT_FOLDER}/{RESULT_NAME}",
        script=f"{INSIDE}/call.py",
        variables={
            "HOME": "/tmp",
            "LANG": "C.UTF-8",
            **trusting(_AUTHORITY if private else None),
        },
    )


def container_name(folder: Path) -> str:
    """The name of the container of an attempt's folder; no two folders of a machine share one."""
    return f"iris-{hashlib.sha256(str(folder).encode()).hexdigest()[:20]}"


@dataclass(frozen=True, slots=True)
class Ground:
    """What all containers of a worker share."""

    image: str
    root: Path
    """The worker's folder, by the same path for the worker and for the engine."""
    user: str
    """As `10000:10000`: whom tasks run as."""
    script: Path
    """The file that makes pickled calls."""
    devices: Sequence[str] = ()
    """Device files of TPUs."""
    gpus: int = 0
    """How many there are; they are numbered from 0."""
    authority: Path | None = None  # None: the controller has no certificate of a private authority


def gpus_wanted(plan: Plan) -> int:
    """How many GPUs an attempt must have to itself."""
    return 0 if plan.on_tpu else plan.chips


def free_gpus(total: int, labels: Collection[str], wanted: int) -> tuple[int, ...] | None:
    """The lowest numbers that no label of a container names; none when there are too few."""
    taken = {int(number) for label in labels for number in label.split(",") if number}
    free = [number for number in range(total) if number not in taken]
    return tuple(free[:wanted]) if len(free) >= wanted else None


def container_of(plan: Plan, ground: Ground, gpus: Sequence[int] = ()) -> dict[str, Any]:
    """The engine's arguments for an attempt's container, which has these GPUs.

    No capability, no new privilege, no socket of the engine, no file of the host but the attempt's own;
    its memory without swap, its cores, its processes.
    """
    folder = plan.folder
    mounts = [
        _bind(folder / WORK_FOLDER, f"{INSIDE}/{WORK_FOLDER}", readonly=True),
        _bind(folder / OUT_FOLDER, f"{INSIDE}/{OUT_FOLDER}", readonly=False),
        _bind(folder / LOG_NAME, f"{INSIDE}/{LOG_NAME}", readonly=False),
        _bind(ground.script, f"{INSIDE}/call.py", readonly=True),
        _bind(ground.root / "environments", ENVIRONMENTS, readonly=True),
    ]
    if ground.authority is not None:
        mounts.append(_bind(ground.authority, _AUTHORITY, readonly=True))
    if (folder / CALL_FILE).exists():
        mounts.append(_bind(folder / CALL_FILE, f"{INSIDE}/{CALL_FILE}", readonly=True))
    labels = {
        HOST_LABEL: str(ground.root),
        ATTEMPT_LABEL: plan.name,
        FOLDER_LABEL: str(folder),
    }
    if gpus:
        labels[GPUS_LABEL] = ",".join(str(number) for number in gpus)
    return {
        **common(ground),
        "name": container_name(folder),
        "entrypoint": ["/bin/sh", "-c", _LEADER, "iris-attempt"],
        "command": list(plan.command),
        "environment": dict(plan.variables),
        "working_dir": f"{INSIDE}/{WORK_FOLDER}",
        "mounts": mounts,
        "labels": labels,
        "nano_cpus": plan.cpu_milli * 1_000_000,
        "mem_limit": plan.memory_bytes,
        "memswap_limit": plan.memory_bytes,
        "pids_limit": PIDS,
        "shm_size": max(64 << 20, plan.memory_bytes // 2),
        **_accelerators(plan, ground, gpus),
    }


def build_of(
    command: Sequence[str],
    variables: Mapping[str, str],
    folders: Sequence[Path],
    ground: Ground,
) -> dict[str, Any]:
    """The engine's arguments for a step that makes an environment: it may write these folders."""
    return {
        **common(ground),
        "entrypoint": ["/bin/sh", "-c", 'exec "$@" 2>&1', "iris-build"],
        "command": list(command),
        "environment": {"HOME": "/tmp", "LANG": "C.UTF-8", **variables},
        "mounts": [_bind(folder, seen(folder, ground.root), readonly=False) for folder in folders],
        "labels": {HOST_LABEL: str(ground.root)},
    }


def common(ground: Ground) -> dict[str, Any]:
    """What is said of every container."""
    return {
        "image": ground.image,
        "user": ground.user,
        "init": True,
        "detach": True,
        "network_mode": "host",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
    }


def seen(path: Path, root: Path) -> str:
    """By which path a build and a task see an environment, or the workspace."""
    environments = root / "environments"
    if path.is_relative_to(environments):
        return f"{ENVIRONMENTS}/{path.relative_to(environments)}"
    return f"{INSIDE}/{WORK_FOLDER}"


def _bind(source: Path, target: str, *, readonly: bool) -> dict[str, Any]:
    return {"Type": "bind", "Source": str(source), "Target": target, "ReadOnly": readonly}


def _accelerators(plan: Plan, ground: Ground, gpus: Sequence[int]) -> dict[str, Any]:
    if plan.chips and plan.on_tpu:
        # The TPU runtime locks the memory that the chips read and write.
        unlimited = {"Name": "memlock", "Soft": -1, "Hard": -1}
        devices = [f"{device}:{device}:rwm" for device in ground.devices]
        return {"devices": devices, "ulimits": [unlimited]}
    if gpus:
        # By number: a mere count gives the first ones to every container.
        numbers = [str(number) for number in gpus]
        request = {"Driver": "", "DeviceIDs": numbers, "Capabilities": [["gpu"]]}
        return {"device_requests": [request]}
    return {}
