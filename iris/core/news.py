"""What the facts of a turn put up for decision: filled while learning, emptied by the turn's end."""

from dataclasses import dataclass, field

from iris.core.deadlines import Due
from iris.core.events import (
    CreateFailure,
    JobStopRequested,
    JobSubmitted,
    SliceCreateRequested,
    SliceTerminateRequested,
)
from iris.core.ids import JobId, SliceId, TaskId, WorkerId
from iris.core.instant import Instant
from iris.core.lifecycle import SliceState
from iris.core.offers import Offers
from iris.core.retry import EndCause
from iris.core.waiting import QueueKey


@dataclass(slots=True)
class News:
    """What the facts of this turn put up for decision; empty between turns."""

    submissions: list[JobSubmitted] = field(default_factory=list)
    stops: list[JobStopRequested] = field(default_factory=list)
    ended: dict[TaskId, None] = field(default_factory=dict)
    """Tasks whose last attempt has ended."""
    finished: dict[JobId, None] = field(default_factory=dict)
    """Jobs that have ended."""
    unknown: dict[TaskId, None] = field(default_factory=dict)
    """Tasks whose attempt its worker should know and does not."""
    refused: list[tuple[SliceId, CreateFailure, str]] = field(default_factory=list)
    dead: dict[SliceId, tuple[SliceState, EndCause, str]] = field(default_factory=dict)
    """Slices that the evidence says are lost."""
    missed: dict[SliceId, Instant] = field(default_factory=dict)
    """Slices that a complete listing proves gone unless more is said of them; when that was asked for."""
    noticed: dict[SliceId, str] = field(default_factory=dict)
    doubted: dict[SliceId, str] = field(default_factory=dict)
    """Slices that the cloud should be asked about now."""
    seen_alive: dict[SliceId, None] = field(default_factory=dict)
    """Slices believed gone that a listing shows."""
    lost: dict[SliceId, None] = field(default_factory=dict)
    """Slices that failed or were preempted."""
    ready: dict[SliceId, None] = field(default_factory=dict)
    vanished: bool = False
    """Something asked for by name was not found: a complete listing is wanted."""
    emptied: dict[SliceId, None] = field(default_factory=dict)
    """Draining slices whose last attempt has ended."""
    deleted: dict[SliceId, str] = field(default_factory=dict)
    drains: dict[WorkerId, bool] = field(default_factory=dict)
    blamed: dict[WorkerId, None] = field(default_factory=dict)
    """Workers on which a launch failed."""
    terminations: list[SliceTerminateRequested] = field(default_factory=list)
    creations: list[SliceCreateRequested] = field(default_factory=list)
    due: list[tuple[Due, str]] = field(default_factory=list)
    reconfigured: bool = False
    grown: bool = False
    """A slice came, went or changed its state: the autoscaler should look."""
    stirred: list[WorkerId] = field(default_factory=list)
    """Workers on which something changed, in order, as often as it did."""
    offers: dict[QueueKey, Offers] = field(default_factory=dict)
    """What was found in this turn for those who need the room of others."""
    vacated: dict[QueueKey, Offers] = field(default_factory=dict)
    """The same where somebody is leaving already."""

    def is_about_slices(self) -> bool:
        """Whether anything is up for decision about slices and workers."""
        return bool(
            self.dead
            or self.missed
            or self.refused
            or self.noticed
            or self.due
            or self.ready
            or self.deleted
            or self.blamed
            or self.terminations
            or self.drains
            or self.reconfigured
        )

    def is_about_jobs(self) -> bool:
        """Whether anything is up for decision about jobs."""
        return bool(
            self.ended
            or self.submissions
            or self.finished
            or self.stops
            or self.due
            or self.unknown
        )

    def is_about_returns(self) -> bool:
        """Whether a slice may have to be given back, or closed on the books."""
        return bool(self.lost or self.emptied or self.seen_alive)
