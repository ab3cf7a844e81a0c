"""What a run leaves behind: one row per job, attempt and slice, and a series over time.

Rows tell the simulated world's truth, not the controller's belief: an attempt ends when its machine
dies, though the controller learns of it later. Times are integer milliseconds of simulated time;
amounts of accelerator time are integers in milli-chip-milliseconds (one chip for one millisecond is
1,000), where a chip of a CPU machine is a core, so that the ledger adds up exactly.
"""

from dataclasses import dataclass, field

from iris.core.instant import Instant
from iris.core.lifecycle import AttemptState, JobState
from iris.core.reasons import Verdict


@dataclass(slots=True)
class JobRow:
    """One job: when it came, first ran and ended, and what became of its work."""

    job: str
    user: str
    band: str
    entry: str
    """The name of the workload entry that it came from."""
    replicas: int
    chips_milli: int
    """Of all its tasks together; cores when it needs no accelerator."""
    submit: Instant
    first_running: Instant | None = None  # None: no attempt has run
    end: Instant | None = None  # None: unfinished
    state: JobState = JobState.PENDING
    attempts: int = 0
    preempted: int = 0
    evicted: int = 0
    failed: int = 0
    worker_failed: int = 0
    useful: int = 0
    lost: int = 0


@dataclass(slots=True)
class AttemptRow:
    """One attempt: where and when it ran, and how much of it was kept."""

    job: str
    index: int
    attempt: int
    slice: str
    host: int
    chips_milli: int
    start: Instant
    running: Instant | None  # None: the user's code never ran
    end: Instant
    outcome: AttemptState | None  # None: it still runs at the end of the simulation
    useful: int
    lost: int
    saved: int | None = None  # None: it did not end by itself
    """Milliseconds of its work that are kept should nobody learn that it was done."""
    restart: int = 0
    """Of `lost`, what went before any new work: launching, waiting for the gang, restoring."""


@dataclass(slots=True)
class SliceRow:
    """One slice: asked for, paid for, ready, gone."""

    slice: str
    group: str
    zone: str
    chips_milli: int
    requested: Instant
    created: Instant | None = None  # None: the cloud refused it
    ready: Instant | None = None  # None: never became ready
    end: Instant | None = None  # None: still there at the end of the simulation
    outcome: str = "live"
    """`live`, `deleted`, `preempted`, `failed`, or why its create was refused, as `stockout`."""
    busy: int = 0
    """Milli-chip-milliseconds used by attempts while it was ready."""
    idle: int = 0
    """Milli-chip-milliseconds ready and unused; summed as it happens, not as a remainder."""
    stranded: int = 0
    """Of `idle`, after the warm-up: while work waited that needs its accelerator, and did not fit."""
    drain: int = 0
    """Of `idle`, after the warm-up: since no new work may come to it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The state of the world at one instant; amounts in milli-chips."""

    at: Instant
    pending_tasks: int
    running_tasks: int
    busy: int
    idle: int
    booting: int
    wanted: int
    """Milli-chips that pending work asks for."""
    slices: tuple[tuple[str, int], ...]
    """Ready slices by group."""
    stranded: int = 0
    """Of `idle`: where work waits that needs its accelerator, and does not fit."""
    drain: int = 0
    """Of `idle`: of slices to which no new work may come."""


@dataclass(frozen=True, slots=True)
class Waits:
    """What waited from one look until the next."""

    at: Instant
    units: tuple[tuple[Verdict, int], ...]
    """How many tasks and gangs wait for what, those of none left out."""


@dataclass(slots=True)
class Measures:
    """All rows of one run."""

    scenario: str
    seed: int
    jobs: dict[str, JobRow] = field(default_factory=dict)
    attempts: list[AttemptRow] = field(default_factory=list)
    slices: dict[str, SliceRow] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    waits: list[Waits] = field(default_factory=list)
    group_price_per_hour: dict[str, int] = field(default_factory=dict)
    """Millionths of a dollar for one slice; its keys are all groups, in the order of the config."""
    choices: dict[tuple[str, str], int] = field(default_factory=dict)
    """How often the autoscaler made a decision, by its kind and the rule behind it."""
    blocked: dict[tuple[str, str], int] = field(default_factory=dict)
    """Milliseconds for which no slice of a type was asked for in a zone, by zone and type."""
    warm_up: Instant = Instant(0)
    """Jobs submitted, and time spent, before this instant count in no figure."""
    now: Instant = Instant(0)
    """Where the simulation stopped."""
    turns: int = 0
    events: int = 0
    digest: str = ""
    invariants_checked: int = 0
    invariants_violated: int = 0
    violations: list[str] = field(default_factory=list)
    """The first violations, as sentences; at most 20."""
    explanations: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    """Why jobs did not succeed or still wait at the end, in the controller's words; 5 of each at most."""
    partial: bool = False
    """Set when the run was interrupted."""
    wall_s: float = 0.0
