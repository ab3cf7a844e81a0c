"""What a scenario says, as frozen values: the fake cloud's behaviour, the workload, the faults.

Probabilities lie in 0..1; a mark as F-01 names the fault model of docs/simulation.md that a key can produce.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from iris.core.ids import GroupName, Zone
from iris.core.instant import SECOND, Instant, Millis
from iris.core.spec import Band, ClusterSpec, Constraint, JobSpec
from sim.dice import LONGEST, Constant, Distribution
from sim.protocol_model import (
    KIND_CONTROLLER,
    KIND_NETWORK,
    KIND_RUNTIME,
    ControllerModel,
    NetworkModel,
    RuntimeModel,
)
from sim.recorded_model import Answer, Happening, TaskCourse


@dataclass(frozen=True, slots=True)
class Bulk:
    """How many slices of a zone go at one instant: geometric with a mean, cut at a maximum."""

    mean: float = 1.0
    max: int = 1


@dataclass(frozen=True, slots=True)
class Delayed:
    """Something that happens with a probability, and then takes a while."""

    probability: float
    delay: Distribution


@dataclass(frozen=True, slots=True)
class Weather:
    """F-02: spells of stock and of none, in turn, for each (zone, family)."""

    open: Distribution
    dry: Distribution


@dataclass(frozen=True, slots=True)
class CreateFailures:
    """F-02, F-03: the probability that a create is refused, by reason; they sum to at most 1."""

    stockout: float = 0.0
    quota: float = 0.0
    quota_region: float = 0.0
    rate: float = 0.0
    permission: float = 0.0
    bad_request: float = 0.0
    internal: float = 0.0
    unknown: float = 0.0


@dataclass(frozen=True, slots=True)
class CreateAnswers:
    """F-01: how the answer to a create is out of step with what happens; probabilities."""

    lost: float = 0.0
    twice: float = 0.0
    late: Delayed | None = None  # None: never late
    failed_but_lives: float = 0.0
    accepted_but_dead: float = 0.0


@dataclass(frozen=True, slots=True)
class Lists:
    """F-07: how listings lie; probabilities for each complete listing."""

    error: float = 0.0
    zone_missing: float = 0.0
    empty: float = 0.0
    without_newest: float = 0.0
    with_deleted: float = 0.0
    stale: Delayed | None = None  # None: listings are of the moment; else as old as the delay


@dataclass(frozen=True, slots=True)
class Deletes:
    """F-09: how deletes go wrong; probabilities for each call."""

    refused: float = 0.0
    lost: float = 0.0
    lies: float = 0.0
    """Says done while the machine lives on."""


@dataclass(frozen=True, slots=True)
class Vanishing:
    """F-08: what is left of a preempted slice; the rest of 1 is a listed `preempted`."""

    other_state: float = 0.0
    not_found: float = 0.0


@dataclass(frozen=True, slots=True)
class CloudModel:
    """How the fake cloud behaves. Without any key it is instant, endless and kind."""

    boot: Distribution = Constant(Millis(0))
    """From the accepted create to all hosts registered."""
    lifetime: Distribution | None = None  # None: the cloud takes nothing by itself
    """From ready to preempted, of preemptible slices."""
    lifetime_max: Millis | None = None  # None: no cap
    zone_lifetime: Mapping[Zone, Distribution] = field(default_factory=dict)
    """F-05: zones with a lifetime of their own."""
    bulk: Bulk = Bulk()
    """F-05."""
    scarcity: Distribution | None = None  # None: what was preempted may be had again at once
    """F-05: how long capacity stays away after a loss."""
    notice: Millis = Millis(0)
    """F-04."""
    notice_lost: float = 0.0
    """F-04: the probability that a preemption comes without its notice."""
    false_notice: Distribution | None = None  # None: no notice without a preemption
    """F-04: time between false notices to one slice."""
    host_by_host: Distribution | None = None  # None: a slice goes all at once
    """F-04: how long after the first each further host of a preempted slice goes."""
    capacity: Mapping[Zone, tuple[tuple[Instant, int], ...]] = field(default_factory=dict)
    """Slices obtainable in a zone from each instant on, over all groups; absent: unlimited."""
    weather: Weather | None = None  # None: stock changes by `capacity` alone
    quota: Mapping[Zone, int] = field(default_factory=dict)
    """F-03: chips (cores of CPU groups) that may exist in a zone."""
    create_failures: CreateFailures = CreateFailures()
    verdict: Distribution = Constant(Millis(0))
    """F-02: how long after the accepted call a refusal of stock is told."""
    create_answers: CreateAnswers = CreateAnswers()
    call: Distribution = Constant(Millis(0))
    """F-11: how long each call of the cloud takes."""
    hang: float = 0.0
    """F-11: the probability that a call never returns."""
    slow_zones: Mapping[Zone, Distribution] = field(default_factory=dict)
    """F-11: zones whose calls take a time of their own."""
    delete: Distribution = Constant(Millis(0))
    """From the delete call to the machine being gone."""
    deletes: Deletes = Deletes()
    vanishing: Vanishing = Vanishing()
    stuck_creating: float = 0.0
    """F-08: the probability that a create is accepted and stays in `creating` for ever."""
    partial: float = 0.0
    """F-06: the probability that one host of a slice never boots."""
    straggler: Delayed | None = None  # None: the hosts of a slice come up together
    """F-06: one host comes later."""
    duplicate_index: float = 0.0
    """F-06: the probability that two hosts of a slice claim one index."""
    early_registration: float = 0.0
    """F-06: the probability that hosts register before the create is answered."""
    host_failure: Distribution | None = None  # None: hosts do not fail by themselves
    """A host dies alone, time between failures of one host."""
    silence: Millis = Millis(5 * SECOND)
    """How long after a host's death its link is known to be silent."""
    lists: Lists = Lists()
    recycle_addresses: bool = False
    """F-10: the next machine gets the address of one just lost."""
    reservations: Mapping[str, int] = field(default_factory=dict)
    """F-12: chips of each reservation that the cloud really has; groups name theirs."""
    another_hand: Distribution | None = None  # None: nobody else touches our machines
    """F-13: time between deletions of one of our machines from outside."""
    stray: Distribution | None = None  # None: no machine but ours carries our label
    """F-13: time between machines with our label that appear from outside."""
    group_boot: Mapping[GroupName, Distribution] = field(default_factory=dict)
    """Groups whose record says how long they boot; no scenario sets it."""
    boots: Mapping[tuple[GroupName, Zone], tuple[Millis | None, ...]] = field(default_factory=dict)
    """On record: how long each machine of a group took in a zone, in order; None: not known."""
    answers: Mapping[tuple[Zone, str], tuple[Answer, ...]] = field(default_factory=dict)
    """On record, by zone and accelerator type: what became of each create, in order."""
    answers_hold: Millis = LONGEST
    """How long what the last recorded create showed is taken to be so; then any number can be had."""
    group_lifetime: Mapping[GroupName, Distribution] = field(default_factory=dict)
    """Groups whose record says how long their slices live; no scenario sets it."""

    def boot_of(self, group: GroupName) -> Distribution:
        """From the accepted create of a group's slice to all of its hosts registered."""
        return self.group_boot.get(group, self.boot)

    def lifetime_of(self, group: GroupName, zone: Zone) -> Distribution | None:
        """From ready to preempted, of a group's slice in a zone; None: the cloud takes none."""
        known = self.group_lifetime.get(group)
        return known if known is not None else self.zone_lifetime.get(zone, self.lifetime)


class TraceUnit(Enum):
    """What a trace row's number of processors stands for."""

    CPU = "cpu"
    """One task that needs N cpus."""
    GPU = "gpu"
    """One task that needs N GPUs; more than one machine holds become several tasks."""
    REPLICAS = "replicas"
    """N tasks of the entry's resources each."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How a task saves its progress."""

    every: Millis
    """Work between two checkpoints."""
    restore: Millis = Millis(0)
    """What each start after the first costs before work goes on."""
    cost: Millis = Millis(0)
    """What writing one checkpoint costs, the last one too."""
    on_notice: Millis | None = None  # None: a preemption notice saves nothing
    """With a notice at least this long, work up to the preemption less this is kept."""


@dataclass(frozen=True, slots=True)
class UserFailures:
    """How the user's own code fails."""

    probability: float
    """That an attempt fails rather than succeeds."""
    at: Distribution | None = None  # None: at a uniformly drawn part of the run
    out_of_memory: float = 0.0
    """The share of these failures that are out of memory."""


@dataclass(frozen=True, slots=True)
class JobTemplate:
    """What the jobs of one workload entry have in common."""

    entry: str
    user: str
    band: Band
    replicas: int
    coscheduled: bool
    cpu_milli: int
    memory: int
    disk: int
    accelerator: str | None  # None: CPU work
    chips: int
    """Of one task."""
    constraints: tuple[Constraint, ...] = ()
    max_retries_failure: int = 0
    max_retries_preemption: int = 100
    scheduling_timeout: Millis | None = None  # None: waits for ever
    timeout: Millis | None = None  # None: runs for ever
    launch: Distribution = Constant(Millis(0))
    """From the start of an attempt to the user's code running (image, compilation)."""
    checkpoint: Checkpoint | None = None  # None: an interrupted attempt starts from zero
    failures: UserFailures | None = None  # None: user code never fails
    serves: int = 0  # endpoints that each attempt lists
    above: tuple[tuple[str, int], ...] = ()  # F-27: the root's entry first; jobs of ours for each
    waits: bool = False  # True: no task ends before the jobs that it submitted


@dataclass(frozen=True, slots=True)
class Arrival:
    """One job that comes: when, how long its work takes, and what it is."""

    at: Instant
    number: int
    """Counts the arrivals of its entry from 0."""
    run_time: Millis
    user: str
    template: JobTemplate
    spec: JobSpec | None = None  # None: as the template has it; else what is submitted
    courses: tuple[TaskCourse, ...] = ()
    """On record: how each task goes; without them, as `run_time` and the template have it."""
    children: "tuple[tuple[Millis, Arrival], ...]" = ()  # After its first task began to run


class FaultKind(Enum):
    """What a scripted fault does."""

    ZONE_OUTAGE = "zone_outage"
    """All slices of the zone die, and none can be had for a while."""
    STOCKOUT = "stockout"
    """None can be had in the zone for a while; what is there lives on."""
    PREEMPT = "preempt"
    """The cloud takes slices."""
    KILL_WORKER = "kill_worker"
    """One host dies."""
    SILENCE_WORKER = "silence_worker"
    """One host's link is cut for a while; its tasks run on."""
    STALL_CONTROLLER = "stall_controller"
    """The controller stands still for a while."""
    HANG_CLOUD = "hang_cloud"
    """No call of the cloud returns for a while."""
    EXTERNAL_DELETE = "external_delete"
    """Somebody else deletes a machine."""
    SUBMIT_STOP = "stop_job"
    """The user stops a job."""
    EDIT_CONFIG = "edit_config"
    """F-25: the operator loads another configuration."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One scripted fault."""

    at: Instant
    kind: FaultKind
    zone: Zone | None = None  # None: any zone
    slice: str | None = None  # None or "any": drawn; else a slice's name, or its number in `group`
    group: str | None = None  # None: any group
    host: int | None = None  # None: drawn
    count: int = 1
    duration: Millis | None = None  # None: for good
    job: str | None = None  # None: the oldest running job
    config: ClusterSpec | None = None  # None: it is no edit of the configuration


@dataclass(frozen=True, slots=True)
class Expectation:
    """A comparison over the results: `left op right`, where each side is a key or a number."""

    text: str
    left: str | float
    op: str
    right: str | float


class Fidelity(Enum):
    """How closely the way between controller and workers is simulated."""

    CAPACITY = "capacity"
    """Workers are told and heard at once; for studies of capacity, and fast."""
    PROTOCOL = "protocol"
    """Real agents over a simulated network, runtimes that go wrong, a controller that crashes."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that a run needs, read and checked."""

    name: str
    seed: int
    duration: Millis | None  # None: until all jobs have ended
    warm_up: Millis
    cluster: ClusterSpec
    cloud: CloudModel
    workload: "tuple[Entry, ...]"
    faults: tuple[Fault, ...]
    expect: tuple[Expectation, ...]
    path: Path
    fidelity: Fidelity = Fidelity.CAPACITY
    network: NetworkModel = KIND_NETWORK
    runtime: RuntimeModel = KIND_RUNTIME
    controller: ControllerModel = KIND_CONTROLLER
    calm_after: Instant | None = None  # None: what the models say goes on to the end
    """From then on nothing new goes wrong, and everything that can end must end."""
    recorded: tuple[Arrival, ...] = ()
    """Jobs on record, in order, beside those of the workload; no scenario's file sets it."""
    happenings: tuple[Happening, ...] = ()
    """What the outside world did on record, beside the faults; likewise."""
    whole: bool = False
    """To the end of its duration, though all jobs have ended before; likewise."""
    check_every_turn: bool = False
    """All invariants after every turn, and the turn done again on a twin."""
    config_hash: str = ""
    resolved: str = field(default="", repr=False, compare=False)  # Empty: it comes from no file.
    """The scenario as YAML with everything in its place, for the record."""
    """Of the whole scenario text with its overrides, for the header of reports."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """When the jobs of an entry come: exactly one of the three is set."""

    poisson_mean: float | None = None  # None: not Poisson; else milliseconds between arrivals
    every: Millis | None = None  # None: not periodic; the first comes at 0
    at: tuple[Instant, ...] | None = None  # None: no list


@dataclass(frozen=True, slots=True)
class Trace:
    """A file of jobs that really came."""

    file: Path
    format: str
    unit: TraceUnit
    columns: Mapping[str, str]
    gpus_per_task: int
    """A row of more GPUs than this becomes several tasks."""
    time_scale: float = 1.0
    """Submit times are multiplied by this: under 1 is a higher load."""
    limit: int | None = None  # None: the whole file


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of `workload:`."""

    template: JobTemplate
    arrivals: Arrivals | None  # None: the trace says when
    trace: Trace | None  # None: drawn by `arrivals`
    count: int | None  # None: until the duration ends
    run_time: Distribution | None  # None: the trace says how long
    per_parent: int | None = None  # None: by `arrivals` or the trace; else for each job above
    after: Distribution = Constant(Millis(0))  # From its start
