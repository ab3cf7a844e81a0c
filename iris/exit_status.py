"""The exit status of every command: one number for each kind of end, the same everywhere."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """What a shell script may rely on. 8 to 12 are results, not failures of the command."""

    DONE = 0
    FAILED = 1
    """The operation failed."""
    BAD_INPUT = 2
    """Wrong usage, an invalid file, or a confirmation that was not given."""
    NOT_FOUND = 3
    NOT_PERMITTED = 4
    UNREACHABLE = 5
    """The controller did not answer, or too late; trying again makes sense."""
    CONFLICT = 6
    """It exists already, or is in a state that does not allow this."""
    NEVER_PLACEABLE = 7
    EXPECTATION_FALSE = 8
    INVARIANT_VIOLATED = 9
    """Wins over 8, for then no number can be trusted."""
    JOB_FAILED = 10
    JOB_STOPPED = 11
    NOT_FINISHED = 12
    """Not finished in time."""
    BUG = 70
    """A bug in Iris."""
    INTERRUPTED = 130
