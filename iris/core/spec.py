"""What was asked for: jobs, groups and policies as frozen values. Nothing here changes or decides."""

from dataclasses import dataclass, field, fields
from enum import Enum, IntEnum
from operator import attrgetter
from typing import Final

from iris.core.ids import GroupName, JobId, UserName, Zone
from iris.core.instant import DAY, HOUR, MINUTE, SECOND, Millis
from iris.core.resources import Resources

MAX_REPLICAS: Final = 100_000
"""Tasks of one job: each is a record of its own, and a user's slip must not fill the memory."""


class Band(IntEnum):
    """How urgent a job is. A lower number is served first and may evict a higher one."""

    PRODUCTION = 0
    INTERACTIVE = 1
    BATCH = 2


class ConstraintOp(Enum):
    """How a constraint compares the attribute of a pool with its values."""

    IN = "in"
    NOT_IN = "not_in"
    EXISTS = "exists"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Constraint:
    """A condition on the attributes of a pool: `zone in (a, b)`; a soft one only prefers."""

    key: str
    op: ConstraintOp
    values: tuple[str, ...] = ()
    soft: bool = False
    inherited: bool = False


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job as it was submitted, with every default filled in."""

    user: UserName
    name: str
    parent: JobId | None = None  # None: the root of its tree
    replicas: int = 1
    coscheduled: bool = False
    resources: Resources = Resources(cpu=1000, memory=1 << 30)
    """Of one task, its share of the accelerator's chips included."""
    accelerator: str | None = None  # None: CPU work, which any host may serve
    """A TPU type as `v5litepod-16`, which must be the group's own, or a GPU's name as `H100`."""
    band: Band = Band.INTERACTIVE
    constraints: tuple[Constraint, ...] = ()
    max_retries_failure: int = 0
    max_retries_preemption: int = 100
    scheduling_timeout: Millis | None = None  # None: may wait for ever
    """From submission until every task has run once; then the job is unschedulable."""
    timeout: Millis | None = None  # None: may run for ever
    """From the assignment of an attempt to its end; then the job has failed."""
    checkpoint_every: Millis | None = None  # None: an interruption loses the whole attempt
    """How often a task says that it saves its progress: eviction prefers those that lose least."""
    ports: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    payload: str = ""
    """Names what the worker runs, by content; the core only carries it."""

    def __repr__(self) -> str:
        """What is not as it is by default: no two specs that differ look alike."""
        values = zip(_NAMES, _VALUES(self), _DEFAULTS, strict=True)
        said = [f"{name}={value!r}" for name, value, default in values if value != default]
        return f"JobSpec({', '.join(said)})"


_NAMES: Final = tuple(field.name for field in fields(JobSpec))
_DEFAULTS: Final = tuple(field.default for field in fields(JobSpec))
_VALUES: Final = attrgetter(*_NAMES)


@dataclass(frozen=True, slots=True)
class GroupSpec:
    """A kind of slice: its shape, where it may come from, and how many are wanted."""

    name: GroupName
    accelerator_type: str
    """As in the config: `v5litepod-16`, `H100:8` or `cpu`."""
    accelerator: str | None  # None: a group of CPU machines
    """What a job's `accelerator` must equal: the TPU type, or the GPU's name."""
    family: str
    """Types of one family share stock and quota; a larger size is at least as scarce."""
    hosts: int
    host: Resources
    """What one host offers to tasks."""
    max_slices: int
    min_slices: int = 0
    buffer_slices: int = 0
    preemptible: bool = False
    zones: tuple[Zone, ...] = (Zone("default"),)
    priority: int = 100
    """Groups of a lower number are tried first."""
    price_per_hour: int = 0
    """Of one slice, in millionths of a dollar."""
    reservation: str | None = None  # None: draws on no shared reservation
    attributes: tuple[tuple[str, str], ...] = ()
    """What constraints see beside group, zone, region, accelerator and preemptible."""

    @property
    def chips(self) -> int:
        """Chips of a whole slice; cores when it has no accelerator."""
        return self.hosts * (self.host.chips or self.host.cpu // 1000)


class Order(Enum):
    """Who is served first within a band."""

    FIFO = "fifo"
    FAIR = "fair"


class Backfill(Enum):
    """What later work may do while earlier work cannot start."""

    NONE = "none"
    """Nothing: strict head of line."""
    HOLD = "hold"
    """Pass, but not onto the slice held back for the earlier work, unless it surely ends in time."""
    GREEDY = "greedy"
    """Pass wherever it fits; wide work may starve. Here to be compared with."""


EVERYBODY: Final = UserName("*")
"""In the place of a user's name: everybody who has no quota of their own, each for themselves."""


MAX_LEVELS: Final = 64
"""Levels of a tree of jobs: a job that submits itself must not go on for ever."""


@dataclass(frozen=True, slots=True)
class Quota:
    """The most that a user's unfinished attempts may hold together; what is None has no limit."""

    user: UserName
    tasks: int | None = None
    chips: int | None = None
    cpu: int | None = None
    """Millicores."""
    memory: int | None = None
    """Bytes."""
    levels: int | None = None  # None: `iris.core.stakes.USUAL_LEVELS`, once the user has a tree
    """Levels of a tree, its root's among them, for each of which room is kept: 1 keeps none."""


@dataclass(frozen=True, slots=True)
class SchedulerPolicy:
    """How waiting work is ordered and placed."""

    order: Order = Order.FAIR
    backfill: Backfill = Backfill.HOLD
    eviction: bool = True
    fair_half_life: Millis = DAY
    """After this long, past use counts half in the fair order."""
    user_weights: tuple[tuple[UserName, int], ...] = ()
    """A user of weight 2 is owed twice the share of one of weight 1, the default."""
    max_tasks_per_user: int = 1_000_000
    """Tasks of a user that have not ended: what holds the controller's memory to a bound, at some 2 KiB each."""
    quotas: tuple[Quota, ...] = ()

    def __repr__(self) -> str:
        """Every field but quotas where there are none: digests of states that know none stand."""
        told = [f"{name}={getattr(self, name)!r}" for name in _POLICY if name != "quotas"]
        if self.quotas:
            told.append(f"quotas={self.quotas!r}")
        return f"SchedulerPolicy({', '.join(told)})"


_POLICY: Final = tuple(field.name for field in fields(SchedulerPolicy))


@dataclass(frozen=True, slots=True)
class AutoscalerPolicy:
    """When slices are asked for and given back."""

    idle_timeout: Millis = Millis(10 * MINUTE)
    creates_per_minute: int = 60
    create_burst: int = 60
    initial_window: int = 256
    """Slices of one (zone, type) that may be coming at once before anything is known of it."""
    max_window: int = 256
    stockout_backoff: Millis = MINUTE
    quota_backoff: Millis = Millis(5 * MINUTE)
    internal_backoff: Millis = Millis(15 * SECOND)
    max_backoff: Millis = Millis(30 * MINUTE)
    settle_time: Millis = Millis(5 * MINUTE)
    """A slice that dies earlier after it was ready died early; one that lives on is good news."""
    boot_timeout: Millis = HOUR
    adoption_grace: Millis = Millis(10 * MINUTE)
    delete_retry: Millis = MINUTE
    observe_interval: Millis = Millis(30 * MINUTE)
    absence_grace: Millis = Millis(30 * SECOND)
    """A slice whose workers speak is believed gone only when listings lack it for so long."""
    observe_timeout: Millis = MINUTE
    """A listing that was not answered by then may be asked for again."""
    tombstone_age: Millis = HOUR
    """How long a slice that is gone is remembered, so that its machine is known if it lives on."""
    create_answer_timeout: Millis = Millis(2 * MINUTE)
    """A create call that was not answered by then is asked again, under the same name."""


@dataclass(frozen=True, slots=True)
class TimeoutPolicy:
    """How long each side may keep another waiting."""

    worker_timeout: Millis = MINUTE
    stop_grace: Millis = Millis(30 * SECOND)
    """From SIGTERM to SIGKILL."""
    stop_timeout: Millis = Millis(2 * MINUTE)
    """From asking for a stop to treating a worker that does not obey as lost."""
    launch_timeout: Millis = HOUR
    """From the assignment of an attempt to its first sign of running."""
    notice_timeout: Millis = Millis(5 * MINUTE)
    """How long a preemption notice keeps work off a slice that then lives on."""
    orphan_timeout: Millis = Millis(10 * MINUTE)
    """A worker that cannot reach its controller for so long stops its tasks."""
    retry_backoff: Millis = Millis(10 * SECOND)
    max_retry_backoff: Millis = Millis(5 * MINUTE)
    launch_failures_per_host: int = 3


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How much of what has ended is remembered."""

    ended_jobs: int = 10_000
    max_age: Millis = Millis(30 * DAY)
    """Since its end; jobs that are older are forgotten at the next listing."""


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """Everything that the configuration says and the core must know."""

    groups: tuple[GroupSpec, ...] = ()
    scheduler: SchedulerPolicy = field(default_factory=SchedulerPolicy)
    autoscaler: AutoscalerPolicy = field(default_factory=AutoscalerPolicy)
    timeouts: TimeoutPolicy = field(default_factory=TimeoutPolicy)
    retention: RetentionPolicy = field(default_factory=RetentionPolicy)
    reservations: tuple[tuple[str, int], ...] = ()
    """Chips of each shared reservation, over all groups that draw on it."""
