"""What a client is told when things do not go well, each with the exit status of a command."""

from concurrent.futures import BrokenExecutor

from iris.exit_status import ExitStatus
from iris.pickling import NotPicklable
from iris.problems import Failure
from iris.rpc.errors import RemoteError

__all__ = [
    "BadRequest",
    "CallCrashed",
    "CallTimedOut",
    "JobEnded",
    "NotFinished",
    "NotPicklable",
    "PoolEnded",
    "RemoteError",
    "WorkerLost",
]


class BadRequest(Failure, ValueError):
    """A job that cannot be as it was asked for; says which value, and what would be right."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitStatus.BAD_INPUT)


class JobEnded(Failure):
    """A job ended otherwise than well.

    Attributes:
        job: which.
        state: `failed`, `killed` or `unschedulable`.
        status: how a command ends because of it.
    """

    def __init__(self, job: str, state: str, why: str) -> None:
        message = f"job {job} is {state}" + (f": {why}" if why else "")
        super().__init__(message, END_STATUS.get(state, ExitStatus.FAILED))
        self.job = job
        self.state = state


class NotFinished(Failure, TimeoutError):
    """A job had not ended when the time was over; it goes on."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitStatus.NOT_FINISHED)


class CallTimedOut(Failure, TimeoutError):
    """A pool's call had not ended when its time was over; it was ended, if it ran."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitStatus.NOT_FINISHED)


class CallCrashed(Failure):
    """A pool's call ended the process that made it, instead of returning or raising."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitStatus.FAILED)


class WorkerLost(Failure):
    """A pool's call lost its worker more often than it may; it may have run, whole or in part."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitStatus.FAILED)


class PoolEnded(Failure, BrokenExecutor):
    """A pool has no worker left and will get none; says why."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitStatus.FAILED)


END_STATUS = {
    "succeeded": ExitStatus.DONE,
    "failed": ExitStatus.JOB_FAILED,
    "killed": ExitStatus.JOB_STOPPED,
    "unschedulable": ExitStatus.NEVER_PLACEABLE,
}
