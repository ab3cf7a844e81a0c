"""What can go wrong on the wire, in the words of Iris, with the exit status that each ends a command with."""

from dataclasses import dataclass
from typing import Final

import grpc

from iris.exit_status import ExitStatus
from iris.problems import Failure


@dataclass(frozen=True, slots=True)
class _Meaning:
    status: ExitStatus
    help: str


_MEANING: Final = {
    grpc.StatusCode.INVALID_ARGUMENT: _Meaning(ExitStatus.BAD_INPUT, "correct it and try again"),
    grpc.StatusCode.NOT_FOUND: _Meaning(ExitStatus.NOT_FOUND, "check how it is spelled"),
    grpc.StatusCode.ALREADY_EXISTS: _Meaning(ExitStatus.CONFLICT, "choose another name"),
    grpc.StatusCode.FAILED_PRECONDITION: _Meaning(
        ExitStatus.NEVER_PLACEABLE, "ask for what a scale group offers: `iris cluster status`"
    ),
    grpc.StatusCode.ABORTED: _Meaning(
        ExitStatus.CONFLICT, "look at its state first: `iris cluster status`"
    ),
    grpc.StatusCode.UNAUTHENTICATED: _Meaning(
        ExitStatus.NOT_PERMITTED, "set IRIS_TOKEN to a token that the controller knows"
    ),
    grpc.StatusCode.PERMISSION_DENIED: _Meaning(
        ExitStatus.NOT_PERMITTED, "ask whoever runs the cluster"
    ),
    grpc.StatusCode.UNAVAILABLE: _Meaning(
        ExitStatus.UNREACHABLE, "check the address, and that the controller runs"
    ),
    grpc.StatusCode.DEADLINE_EXCEEDED: _Meaning(
        ExitStatus.UNREACHABLE, "try again; the controller may be busy"
    ),
    grpc.StatusCode.RESOURCE_EXHAUSTED: _Meaning(ExitStatus.BAD_INPUT, "send less at once"),
}
_LISTS: Final = {
    "job": "see `iris job list`",
    "parent": "see `iris job list`",
    "task": "see `iris task list JOB`",
    "attempt": "see `iris job status JOB`",
    "slice": "see `iris cluster slice list`",
    "vm": "see `iris cluster vm status`",
    "worker": "see `iris worker list`",
    "group": "see `iris cluster status`",
}
"""Where to look for what is not there, by the first word of the sentence that says so."""
_OTHER: Final = _Meaning(ExitStatus.FAILED, "look at the controller's log")


class BadToken(Failure):
    """A token that no header of a call can hold; it is a secret, so that it is not repeated."""

    def __init__(self) -> None:
        super().__init__(
            "the token has a line break or another character that no token has",
            ExitStatus.BAD_INPUT,
            "set IRIS_TOKEN to the token alone",
        )


class RemoteError(Failure):
    """The controller refused a call, or could not be asked.

    Attributes:
        code: the status of gRPC.
        status: how a command ends because of it.
        help: what to do.
    """

    def __init__(self, code: grpc.StatusCode, message: str, help: str = "") -> None:
        meaning = _MEANING.get(code, _OTHER)
        usual = meaning.help
        if code is grpc.StatusCode.NOT_FOUND:
            usual = _LISTS.get(message.partition(" ")[0], usual)
        super().__init__(message, meaning.status, help or usual)
        self.code = code

    @property
    def is_passing(self) -> bool:
        """Whether the same call may go through a little later."""
        return self.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def remote_error(error: grpc.RpcError, address: str) -> RemoteError:
    """What gRPC says of a call, for people."""
    code, details = error.code(), error.details() or ""
    if code is grpc.StatusCode.UNAVAILABLE:
        if details.startswith("failed to connect to all addresses"):
            details = details.rpartition(": ")[2].lower()
        return RemoteError(code, f"no controller answers at {address}: {details}")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return RemoteError(code, f"the controller at {address} did not answer in time")
    return RemoteError(code, details)
