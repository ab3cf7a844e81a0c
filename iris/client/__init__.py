"""The Python client: `IrisClient`, the jobs that it submits, and `iris_ctx()` and `stop_notice()` inside a task."""

from typing import TYPE_CHECKING

from iris.client.client import IrisClient
from iris.client.context import IrisContext, iris_ctx
from iris.client.errors import (
    BadRequest,
    CallCrashed,
    CallTimedOut,
    JobEnded,
    NotFinished,
    NotPicklable,
    PoolEnded,
    RemoteError,
    WorkerLost,
)
from iris.client.job import Job, Task
from iris.client.pieces import LogPiece
from iris.client.stopping import StopNotice, stop_notice

if TYPE_CHECKING:
    from iris.client.worker_pool import WorkerPool

__all__ = [
    "BadRequest",
    "CallCrashed",
    "CallTimedOut",
    "IrisClient",
    "IrisContext",
    "Job",
    "JobEnded",
    "LogPiece",
    "NotFinished",
    "NotPicklable",
    "PoolEnded",
    "RemoteError",
    "StopNotice",
    "Task",
    "WorkerLost",
    "WorkerPool",
    "iris_ctx",
    "stop_notice",
]


def __getattr__(name: str) -> object:
    """The pool is imported when it is first named: commands need none of what it needs."""
    if name == "WorkerPool":
        from iris.client.worker_pool import WorkerPool

        return WorkerPool
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
