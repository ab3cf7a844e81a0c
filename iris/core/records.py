"""The rows of the cluster's state: what is on record of each job, task, attempt, slice and worker.

Plain mutable records without behaviour. Only `iris.core.state` writes them. They refer to one
another by identifier, never by object (a job owns its tasks, a task its attempts), so that a state
can be copied, compared and written down.
"""

from dataclasses import dataclass, field

from iris.core.decisions import HoldKind
from iris.core.ids import (
    EndpointId,
    GroupName,
    JobId,
    RequestId,
    SliceId,
    TaskId,
    UserName,
    WorkerId,
    Zone,
)
from iris.core.instant import Instant
from iris.core.lifecycle import (
    AttemptState,
    JobState,
    SliceState,
    TaskState,
    WorkerState,
)
from iris.core.resources import NOTHING, Resources
from iris.core.retry import EndCause
from iris.core.spec import JobSpec


@dataclass(slots=True)
class Attempt:
    """One try at a task."""

    number: int
    worker: WorkerId
    slice: SliceId
    assigned_at: Instant
    version: int
    """Of the worker's desired set, from which on it holds this attempt."""
    state: AttemptState = AttemptState.ASSIGNED
    started_at: Instant | None = None  # None: the user's code has not run
    ended_at: Instant | None = None  # None: it has not ended
    cause: EndCause | None = None  # None: likewise
    stop_cause: EndCause | None = None  # None: nobody asked it to stop
    stop_deadline: Instant | None = None  # None: likewise
    detail: str = ""
    doubted: bool = False
    """A run of its worker's agent that is over may have started it, unheard."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A place where an attempt serves; listed until it is withdrawn, its lease or its attempt ends."""

    id: EndpointId
    attempt: int
    name: str
    address: str
    """As `10.0.0.3:10417`."""
    registered_at: Instant


@dataclass(slots=True)
class Task:
    """One of a job's replicas."""

    id: TaskId
    job: JobId
    index: int
    state: TaskState = TaskState.PENDING
    attempts: list[Attempt] = field(default_factory=list)
    retried: int = 0
    """So many of its attempts, the first ones, were sent back to be tried again."""
    verdict: TaskState | None = None  # None: not ended by decision
    not_before: Instant | None = None  # None: may start at once
    avoid: tuple[WorkerId, ...] = ()
    """Workers on which a launch or a build of it failed; it never goes back there."""
    why: str = ""


@dataclass(slots=True)
class Job:
    """A job, with its tasks and the state that follows from them."""

    id: JobId
    number: int
    """Counts submissions: the order of arrival."""
    spec: JobSpec
    request: RequestId
    submitted_at: Instant
    tasks: list[Task]
    state: JobState = JobState.PENDING
    children: list[JobId] = field(default_factory=list)
    tally: dict[TaskState, int] = field(default_factory=dict, repr=False)
    """How many of its tasks are in each state: a cached sum, recomputed by an invariant."""
    never_ran: int = 0
    """Tasks that no attempt has run yet: likewise."""
    ending: JobState | None = None  # None: no end was decided for it
    ending_cause: EndCause | None = None  # None: likewise
    ended_at: Instant | None = None  # None: it has not ended
    why: str = ""


@dataclass(slots=True)
class Slice:
    """A slice that exists, may exist, or did until lately."""

    id: SliceId
    number: int
    group: GroupName
    zone: Zone
    requested_at: Instant
    deadline: Instant | None  # None: nothing is awaited of the cloud
    """When a create is repeated, a boot is given up, or a delete is repeated, by its state."""
    accelerator_type: str = ""
    """What its group was made of when it was asked for; empty when nobody knows."""
    state: SliceState = SliceState.REQUESTED
    accepted_at: Instant | None = None  # None: the create was not answered
    ready_at: Instant | None = None  # None: never ready
    gone_at: Instant | None = None  # None: on the books
    workers: list[WorkerId | None] = field(default_factory=list)  # None: that host is awaited
    adopted: bool = False
    cordon_until: Instant | None = None  # None: it may have work
    keep_until: Instant | None = None  # None: kept only while it is used
    idle_since: Instant | None = None  # None: in use, or not ready
    missing_since: Instant | None = None  # None: the last complete listing held it
    live: int = 0
    """Unfinished attempts on it: a cached sum."""
    chips_used: int = 0
    """Committed chips on it: a cached sum."""
    failure: str = ""
    """The create failure that ended it, else empty."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Life:
    """What is remembered of a slice that is over: how long it took to come, and how it ended."""

    zone: Zone
    requested_at: Instant
    accepted_at: Instant | None  # None: the create was not answered, or was not ours
    ready_at: Instant | None  # None: never ready
    over_at: Instant
    """When it was lost, or given back."""
    end: SliceState
    """`PREEMPTED`, `FAILED`, or `DELETING` of one that was given back."""
    failure: str = ""
    """The create failure that ended it, else empty."""


@dataclass(slots=True)
class Worker:
    """The agent on one host of a slice."""

    id: WorkerId
    number: int
    slice: SliceId
    host: int
    incarnation: str
    address: str
    offers: Resources
    state: WorkerState = WorkerState.HEALTHY
    silent_since: Instant | None = None  # None: it speaks
    committed: Resources = NOTHING
    """What its unfinished attempts hold: a cached sum, recomputed by an invariant."""
    attempts: dict[TaskId, int] = field(default_factory=dict, repr=False)
    """Its unfinished attempts, by task."""
    holds: tuple[tuple[JobId, int], ...] = ()
    """Who has a hold on it: a job, and the index of its task, or -1 for a whole gang."""
    version: int = 0
    """Counts the changes of what it should be running."""
    launch_failures: int = 0
    cordoned: bool = False


HoldKey = tuple[JobId, int]
"""For whom something is kept: a job, and the index of its task, or -1 for the whole gang."""


@dataclass(slots=True)
class Hold:
    """Capacity that is kept for one task or gang."""

    job: JobId
    index: int
    """Of the task, or -1 for the whole gang."""
    kind: HoldKind
    workers: tuple[WorkerId, ...]
    need: Resources
    since: Instant
    expected: Instant | None  # None: nobody knows when it frees up


@dataclass(slots=True)
class Gate:
    """What is thought of one (zone, type): how many slices may be coming, and when the next."""

    zone: Zone
    accelerator_type: str
    family: str
    chips: int
    window: int
    level: int = 0
    blocked_until: Instant | None = None  # None: open
    blocked_at: Instant | None = None  # None: was never blocked
    scarce: bool = False
    why: str = ""


@dataclass(slots=True)
class Usage:
    """What a user has used in a band, for the fair order; in milli-core-milliseconds."""

    user: UserName
    band: int
    accrued: int = 0
    rate: int = 0
    """Millicores in use now, a chip counting as `fit.CORES_PER_CHIP` cores: a cached sum."""
    since: Instant = Instant(0)
    """`accrued` is right at this instant; from then on `rate` adds to it."""


@dataclass(slots=True)
class Books:
    """What belongs to no single row: counters that mint names, and the cloud's shared limits."""

    jobs_minted: int = 0
    slices_minted: int = 0
    workers_minted: int = 0
    tokens: int = 0
    """Of the create bucket, in 60,000ths."""
    tokens_at: Instant = Instant(0)
    creates_paused_until: Instant | None = None  # None: not paused
    observe_at: Instant = Instant(0)
    listed: bool = False
    """A complete listing was seen since the start: only then may new slices be asked for."""
    asked_at: Instant | None = None  # None: no listing was ever asked for
    observing_since: Instant | None = None  # None: no listing is under way
    deaf_until: Instant | None = None  # None: the controller never stood still
    """Until then what ended in time, while the controller stood still, may still be on its way."""
    scale_at: Instant | None = None  # None: no gate is being waited for
    """Found anew whenever the autoscaler looks, as after a recovery; not part of the digest."""
    stale_facts: int = 0
    """Reports that named a past attempt, another incarnation or a thing that is gone."""
    evaluations: int = 0
    """Calls of the fit predicate, to bound the cost of a turn; not part of the digest."""
