"""What a dashboard is told: the port that a live controller and a simulation both fill.

The pages read the state between two turns and keep nothing of it. What somebody asks for goes back
through the subject, so that it is checked, decided and recorded as if it had come from the shell.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

from iris.core.ids import GroupName, JobId, SliceId, TaskId, UserName, WorkerId
from iris.core.instant import Instant, Millis
from iris.core.state import ClusterState
from iris.core.timeline import Chapter, Happening
from iris.core.timeline import Subject as Timed
from iris.dashboard.recent import Recent


class Kind(Enum):
    """What is shown."""

    LIVE = "LIVE"
    SIMULATION = "SIM"


class Refusal(Exception):
    """What somebody asked for is not done; says why, in a sentence for them."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks."""

    user: UserName | None  # None: anybody on the controller's own machine
    is_admin: bool


class Door(Protocol):
    """Knows who may look."""

    @property
    def is_open(self) -> bool:
        """Whether nobody needs a token, since only this machine is served."""
        ...

    def viewer(self, token: str) -> Viewer:
        """Whose token this is.

        Raises:
            Refusal: nobody's, or that of one who may not look.
        """
        ...

    def known(self, user: UserName) -> Viewer | None:
        """The viewer of this name, if there still is one."""
        ...

    def proof(self, viewer: Viewer) -> str:
        """What changes when a viewer's token does."""
        ...

    @property
    def key(self) -> bytes:
        """What sessions are signed with; secret, and the same after a restart."""
        ...


@dataclass(frozen=True, slots=True)
class CallRow:
    """One kind of call, since the controller began."""

    method: str
    count: int
    failed: int
    half_s: float | None  # None: it is answered late on purpose, or was not made
    """Half of them took at most so long."""
    most_s: float | None  # None: likewise
    """So did 99 of 100."""


class Simulation(Protocol):
    """What can be said and wanted of a simulation beside its cluster."""

    @property
    def speed(self) -> float | None:
        """Simulated seconds in a second; 0: it rests; None: as fast as it goes."""
        ...

    @property
    def duration(self) -> Millis | None:
        """When it stops at the latest; nothing when that is not said."""
        ...

    @property
    def warm_up(self) -> Millis:
        """What comes before counts in no result."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether it has come to its end."""
        ...

    @property
    def touched(self) -> int:
        """How often somebody meddled: then it is no run of its scenario any more."""
        ...

    def pace(self, speed: float | None) -> None:
        """Go at another speed from now on."""
        ...


class Subject(Protocol):
    """A cluster, or a simulation of one."""

    @property
    def recent(self) -> Recent:
        """What was decided lately."""
        ...

    @property
    def simulation(self) -> Simulation | None:
        """The simulation that this is; nothing of a live cluster."""
        ...

    @property
    def runs(self) -> Path | None:
        """Where the folders of finished simulations are; nothing when nobody keeps any."""
        ...

    @property
    def kind(self) -> Kind:
        """Which of the two."""
        ...

    @property
    def name(self) -> str:
        """The cluster's, or the scenario's."""
        ...

    @property
    def started_at(self) -> Instant:
        """When this run of the controller began, by `now`."""
        ...

    @property
    def state(self) -> ClusterState:
        """All that is known, between two turns; to be read."""
        ...

    @property
    def turns(self) -> int:
        """How many turns were taken."""
        ...

    @property
    def changes(self) -> int:
        """Turns, and whatever else changes what is shown: that stands while this does."""
        ...

    def now(self) -> Instant:
        """The present: of the clock, or of the simulation."""
        ...

    def spent(self) -> Mapping[GroupName, int]:
        """What the slices of each group have cost: of a live cluster since the controller began.

        In millionths of a dollar times hours in milliseconds. A simulation tells what its results do.
        """
        ...

    def watch(self) -> asyncio.Event:
        """An event that is set after the next change; hand it back with `unwatch`."""
        ...

    def unwatch(self, changed: asyncio.Event) -> None:
        """Nobody waits for this any more."""
        ...

    async def history(self, subject: Timed, before: int, limit: int) -> Chapter:
        """What happened to somebody before a turn (0: up to now)."""
        ...

    async def latest(self, subject: Timed, limit: int) -> Sequence[Happening]:
        """The newest of what happened to somebody, about so many, oldest first.

        For pages that are looked at again and again: what was told once is not read anew.

        Raises:
            Refusal: it cannot be read.
        """
        ...

    async def command(self, job: JobId) -> str:
        """What a job runs, as a person would write it; empty when nobody knows."""
        ...

    def calls(self) -> Sequence[CallRow]:
        """What was asked of it by calls, most often first; nothing of a simulation."""
        ...

    async def facts(self) -> Mapping[str, str]:
        """What else is to be said of this controller, in words."""
        ...

    async def log(self, task: TaskId, attempt: int, viewer: Viewer) -> Path | None:
        """Where the log of an attempt is, once it is here; nothing when there is none.

        Raises:
            Refusal: there is no such attempt.
        """
        ...

    async def machine_log(self, slice_: SliceId, host: int, viewer: Viewer) -> bytes:
        """The end of what a machine has said of itself, its boot included.

        Raises:
            Refusal: there is no such machine, the viewer is no administrator, or nobody can read a log of it.
        """
        ...

    def why_not_stop(self, job: JobId, viewer: Viewer) -> str:
        """What keeps a viewer from stopping a job on record, in a sentence; empty when nothing does."""
        ...

    def why_not_operate(self, viewer: Viewer) -> str:
        """What keeps a viewer from draining workers and giving up slices; empty when nothing does."""
        ...

    async def stop_job(self, job: JobId, viewer: Viewer) -> None:
        """Stop a job and its whole tree.

        Raises:
            Refusal: there is no such job, or it is not the viewer's.
        """
        ...

    async def drain_worker(self, worker: WorkerId, viewer: Viewer, *, resume: bool) -> None:
        """Give a worker no new work, or let it have some again.

        Raises:
            Refusal: there is no such worker, or the viewer is no administrator.
        """
        ...

    async def terminate_slice(self, slice_: SliceId, viewer: Viewer) -> None:
        """Give up a slice at once, work and all.

        Raises:
            Refusal: there is no such slice, or the viewer is no administrator.
        """
        ...
