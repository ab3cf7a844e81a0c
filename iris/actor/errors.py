"""What a caller of an actor is told when the wire, and not the actor's own code, ends a call.

What a method raises comes back as itself, with a `RemoteTraceback` as its cause, and is none of these:
an `ActorError` without that cause is of the wire, whatever the method may have raised elsewhere.
"""

from iris.exit_status import ExitStatus
from iris.problems import Failure


class ActorError(Failure):
    """A call that ended otherwise than by its method; the kinds of it say whether it may have run."""


class ActorUnavailable(ActorError):
    """Nobody serves the actor, or nobody could be reached: the call did not run."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message, ExitStatus.UNREACHABLE, "check that its task runs: `iris task list JOB`"
        )


class ActorLost(ActorError):
    """The server went away while the call was under way: it may have run, or not."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            ExitStatus.UNREACHABLE,
            "a call that may be made twice is made again with options(retries=...)",
        )


class ActorBusy(ActorError):
    """The actor holds as many calls, or as many bytes, as it may: the call did not run."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            ExitStatus.UNREACHABLE,
            "wait for results before you send more, or give the actor a longer queue",
        )


class ActorDenied(ActorError):
    """Caller and server could not prove themselves to each other: the call did not run."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitStatus.NOT_PERMITTED, "give client and server the same token")


class NoSuchMethod(ActorError, AttributeError):
    """The actor has no such method, or not one that is for callers: nothing ran."""

    def __init__(self, message: str, help: str = "") -> None:
        super().__init__(message, ExitStatus.NOT_FOUND, help)


class CallTimeout(ActorError, TimeoutError):
    """The time that the caller gave a call was over; it may have run, or still run."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitStatus.NOT_FINISHED)


class NotReadable(ActorError):
    """Something that was sent cannot be unpickled where it came to; says what, and where."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message, ExitStatus.BAD_INPUT, "give both sides the same modules and versions"
        )


class RemoteFailure(ActorError):
    """Stands in for what a method raised, where that cannot be pickled or unpickled.

    Attributes:
        kind: the class of what was raised, as `module.Name`.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}", ExitStatus.FAILED)
        self.kind = kind


class RemoteTraceback(Exception):
    """The cause of what a method raised: where it was raised, as the server's Python tells it."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n{self.text}"
