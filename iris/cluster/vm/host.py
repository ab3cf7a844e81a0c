"""Where a cluster's controller runs: one port for a machine of a cloud, a host by SSH, and this machine.

Each is begun, ended and looked at from a command line. Beginning what runs, and ending what does not, is
success. What the controller keeps (journal, bundles, logs) outlives `end`, and nothing outlives `remove`
that costs money.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeAlias

from iris.exit_status import ExitStatus

Say: TypeAlias = Callable[[str], None]
"""Takes a line of progress."""


class Standing(Enum):
    """How it stands with the controller's place, as far as can be seen from outside of it."""

    ABSENT = "absent"
    """There is none."""
    STOPPED = "stopped"
    """It is there, and can be begun again."""
    BOOTING = "booting"
    """It comes, or its controller does not serve yet."""
    FAILED = "failed"
    """It is there, and its controller does not come up by itself."""
    SERVING = "serving"


@dataclass(frozen=True, slots=True)
class Found:
    """A controller's place."""

    standing: Standing
    name: str
    """What it is called where it is: a machine, or a process."""
    url: str | None = None  # None: nobody serves there
    where: str = ""
    """The zone or the host."""
    why: str = ""
    """What it last said, of one that does not serve."""


class HostTrouble(Exception):
    """The controller's place could not be begun, ended or seen; says what to do about it."""

    def __init__(
        self,
        message: str,
        help: str = "",
        log: str = "",
        status: ExitStatus = ExitStatus.FAILED,
    ) -> None:
        """What went wrong.

        Args:
            message: what, and where.
            help: what would be right.
            log: the last lines that the place has said.
            status: how a command ends because of it.
        """
        super().__init__(message)
        self.help = help
        self.log = log
        self.status = status


class ControllerHost(Protocol):
    """A controller's place. Every method raises `HostTrouble`."""

    async def look(self) -> Found:
        """How it stands."""
        ...

    async def begin(self, say: Say) -> tuple[Found, bool]:
        """Have the controller serve; whether anything had to be done for that."""
        ...

    async def begin_anew(self, say: Say) -> Found:
        """Have it serve with the configuration and image of now; what it kept is taken up, and jobs run on."""
        ...

    async def end(self, say: Say) -> bool:
        """End the controller in order; whether one ran. Its slices and their work are left alone."""
        ...

    async def remove(self, say: Say) -> bool:
        """End it, and what it costs; whether there was anything."""
        ...

    async def log(self) -> str:
        """The last lines that it has said."""
        ...
