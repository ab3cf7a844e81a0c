"""The Python client: `IrisClient`, the jobs that it submits, and `iris_ctx()` and `stop_notice()` inside a task."""

from iris.client.client import IrisClient
from iris.client.context import IrisContext, iris_ctx
from iris.client.errors import BadRequest, JobEnded, NotFinished, NotPicklable, RemoteError
from iris.client.job import Job, Task
from iris.client.pieces import LogPiece
from iris.client.stopping import StopNotice, stop_notice

__all__ = [
    "BadRequest",
    "IrisClient",
    "IrisContext",
    "Job",
    "JobEnded",
    "LogPiece",
    "NotFinished",
    "NotPicklable",
    "RemoteError",
    "StopNotice",
    "Task",
    "iris_ctx",
    "stop_notice",
]
