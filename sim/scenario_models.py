"""The form of a scenario file: its keys, their types, and what one section says about itself.

What needs the cluster or another file (zones, accelerators, traces) is checked in `sim.scenario`.
"""

import re
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from iris.config import ClusterModel
from iris.core.ids import is_name
from iris.core.instant import Millis
from iris.core.spec import MAX_REPLICAS
from iris.fields import Count, Cpu, Duration, PositiveCount, PositiveDuration, Size
from iris.problems import Finding, Unfit, shown
from iris.units import DURATION_UNITS, format_duration
from sim.scenario_cloud import CloudForm
from sim.scenario_protocol import ControllerForm, NetworkForm, RuntimeForm
from sim.scenario_spread import Form, Probability, Spread, instantly, refuse

LONGEST_ENTRY_NAME: Final = 48
"""A job is named after its entry and its number, and 63 characters are all that a name may have."""


def _one_line(text: str) -> str:
    """A name that every table and headline can hold."""
    if not text.isprintable():
        hint = "write it on one line, without control characters"
        raise Unfit([Finding((), f"{shown(text)} is no name", hint)])
    return text


_RATE: Final = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*/\s*(\w+)\s*", re.ASCII)


def _poisson_mean(value: object) -> float:
    """Milliseconds between arrivals of `2/h`."""
    found = _RATE.fullmatch(value) if isinstance(value, str) and len(value) < 40 else None
    unit = DURATION_UNITS.get(found[2]) if found and found[2] != "ms" else None
    hint = "write a number over a unit (s, m, h, d) as 2/h"
    if found is None or unit is None:
        raise Unfit([Finding((), f"{shown(value)} is not a rate", hint)])
    if float(found[1]) <= 0:
        raise Unfit([Finding((), f"{shown(value)} is no arrivals at all", "give a rate over 0")])
    return unit / float(found[1])


class PoissonForm(Form):
    """`{rate: 2/h}`."""

    rate: Annotated[float, BeforeValidator(_poisson_mean)]
    """Read as milliseconds between arrivals."""


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


class ArrivalsForm(Form):
    """One of `{poisson: {rate: 2/h}}`, `{every: 10m}` and `{at: [0s, 5m]}`."""

    poisson: PoissonForm | None = None
    every: Duration | None = None
    at: Annotated[list[Duration], BeforeValidator(_as_list), Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _has_one_kind(self) -> Self:
        kinds = [kind for kind in ("poisson", "every", "at") if getattr(self, kind) is not None]
        if len(kinds) != 1:
            said = " and ".join(kinds) if kinds else "none"
            hint = "give one of poisson, every and at, as {poisson: {rate: 2/h}}"
            refuse(Finding((), f"arrivals are of one kind, not {said}", hint))
        return self


Unit: TypeAlias = Literal["cpu", "gpu", "replicas"]


class ColumnsForm(Form):
    """What the columns of a CSV trace are called in the file, where the names differ."""

    submit_s: str | None = None
    duration_s: str | None = None
    cpu: str | None = None
    gpus: str | None = None
    replicas: str | None = None
    user: str | None = None


class TraceForm(Form):
    """`{file: jobs.swf, format: swf}`."""

    file: Annotated[str, Field(min_length=1)]
    format: Literal["swf", "csv"] | None = None
    as_: Unit | None = Field(default=None, alias="as")
    columns: ColumnsForm | None = None
    gpus_per_task: PositiveCount | None = None
    time_scale: Annotated[float, Field(gt=0)] = 1.0
    limit: Count | None = None

    @model_validator(mode="before")
    @classmethod
    def _bare_file(cls, value: object) -> object:
        return {"file": value} if isinstance(value, str) else value


class CheckpointForm(Form):
    """`{every: 10m, restore: 2m}`."""

    every: PositiveDuration
    restore: Duration = Millis(0)
    cost: Duration = Millis(0)
    on_notice: Duration | None = None


class FailuresForm(Form):
    """`{probability: 0.1}`."""

    probability: Probability
    at: Spread | None = None
    out_of_memory: Probability = 0.0


class ConstraintForm(Form):
    """`{key: zone, op: in, values: [us-central1-a]}`."""

    key: Annotated[str, Field(min_length=1)]
    op: Literal["in", "not_in", "exists", "missing"] = "in"
    values: list[str] = Field(default_factory=list)
    soft: bool = False

    @model_validator(mode="after")
    def _has_values(self) -> Self:
        if (self.op in ("in", "not_in")) != bool(self.values):
            hint = "in and not_in take values, exists and missing take none"
            refuse(Finding(("values",), f"`{self.op}` has {len(self.values)} values", hint))
        return self


class ResourcesForm(Form):
    """What one task needs; a key that is absent has a default, which depends on the entry."""

    cpu: Cpu | None = None
    memory: Size | None = None
    disk: Size = 0
    tpu: str | None = None
    gpu: str | None = None

    @model_validator(mode="after")
    def _has_one_accelerator(self) -> Self:
        if self.tpu is not None and self.gpu is not None:
            refuse(Finding(("gpu",), "a task has a tpu or a gpu, not both", "keep one of them"))
        return self


class EntryForm(Form):
    """One entry of `workload:`."""

    name: str
    user: str = "user"
    band: Literal["production", "interactive", "batch"] = "interactive"
    arrivals: ArrivalsForm | None = None
    trace: TraceForm | None = None
    as_: Unit | None = Field(default=None, alias="as")
    columns: ColumnsForm | None = None
    gpus_per_task: PositiveCount | None = None
    count: Count | None = None
    replicas: PositiveCount | None = None
    coscheduled: bool = False
    resources: ResourcesForm = ResourcesForm()
    run_time: Spread | None = None
    constraints: list[ConstraintForm] = Field(default_factory=list)
    max_retries_failure: Count = 0
    max_retries_preemption: Count = 100
    scheduling_timeout: PositiveDuration | None = None
    timeout: PositiveDuration | None = None
    launch: Spread = Field(default_factory=instantly)
    checkpoint: CheckpointForm | None = None
    failures: FailuresForm | None = None
    serves: Count = 0
    parent: str | None = None
    per_parent: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] | None = None
    after: Spread | None = None
    waits: bool = False

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        findings = [*self._name_findings(), *self._source_findings()]
        refuse(*findings)
        return self

    def _name_findings(self) -> list[Finding]:
        hint = "use letters, digits and _ . - only, and begin with none of . and -"
        findings = []
        if not is_name(self.name) or len(self.name) > LONGEST_ENTRY_NAME:
            limit = f"{hint}; {LONGEST_ENTRY_NAME} characters at most"
            findings.append(Finding(("name",), f"{shown(self.name)} is not a name", limit))
        if not is_name(self.user):
            findings.append(Finding(("user",), f"{shown(self.user)} is not a name", hint))
        return findings

    def _source_findings(self) -> list[Finding]:
        if self.per_parent is not None:
            return [*self._brood_findings(), *self._drawn_findings()]
        if self.after is not None:
            message = "`after` is counted from the start of a parent"
            return [Finding(("after",), message, "give `per_parent`, or remove it")]
        if (self.arrivals is None) == (self.trace is None):
            both = "both arrivals and a trace" if self.trace else "neither arrivals nor a trace"
            message = f"entry {shown(self.name)} has {both}"
            return [Finding((), message, "give one: it says when the jobs come")]
        return self._drawn_findings() if self.trace is None else self._traced_findings(self.trace)

    def _brood_findings(self) -> list[Finding]:
        findings = []
        if self.parent is None:
            hint = "name the entry whose jobs submit these, as `parent: launch`"
            message = f"missing key `parent` in {shown(self.name)}"
            findings.append(Finding((), message, hint))
        findings += [
            Finding((key,), f"`per_parent` says when and how many: `{key}` cannot", "remove it")
            for key, value in (
                ("arrivals", self.arrivals),
                ("count", self.count),
                ("trace", self.trace),
            )
            if value is not None
        ]
        return findings

    def _drawn_findings(self) -> list[Finding]:
        findings = []
        if self.run_time is None:
            hint = "say how long a task works, as `run_time: 2h`"
            findings.append(Finding((), f"missing key `run_time` in {shown(self.name)}", hint))
        findings += [
            Finding((key,), f"`{key}` belongs to a trace", "remove it")
            for key, value in (
                ("as", self.as_),
                ("columns", self.columns),
                ("gpus_per_task", self.gpus_per_task),
            )
            if value is not None
        ]
        return findings

    def _traced_findings(self, trace: TraceForm) -> list[Finding]:
        findings = []
        if self.run_time is not None:
            message = "the trace says how long its jobs run"
            findings.append(Finding(("run_time",), message, "remove run_time"))
        findings += [
            Finding((key,), f"`trace.{key}` says it already", "keep one of the two")
            for key, mine, its in (
                ("as", self.as_, trace.as_),
                ("columns", self.columns, trace.columns),
                ("gpus_per_task", self.gpus_per_task, trace.gpus_per_task),
            )
            if mine is not None and its is not None
        ]
        return findings


class FaultForm(Form):
    """`{at: 10h, kind: zone_outage, zone: us-central1-a, for: 30m}`."""

    at: Duration
    kind: Literal[
        "zone_outage",
        "stockout",
        "preempt",
        "kill_worker",
        "silence_worker",
        "stall_controller",
        "hang_cloud",
        "external_delete",
        "stop_job",
        "edit_config",
    ]
    zone: str | None = None
    slice: str | Count | None = None
    group: str | None = None
    host: Count | None = None
    count: PositiveCount = 1
    duration: PositiveDuration | None = Field(default=None, alias="for")
    job: str | None = None
    set: dict[str, object] = Field(default_factory=dict)
    without: str | None = None

    @model_validator(mode="after")
    def _numbers_a_slice_of_a_group(self) -> Self:
        if isinstance(self.slice, int) and self.group is None:
            message = f"slice {self.slice} is a number, but of which group"
            refuse(Finding(("slice",), message, "add `group: NAME`, or give the slice's name"))
        return self


class ScenarioForm(Form):
    """The whole file."""

    name: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_one_line)] | None = (
        None
    )
    seed: Count = 0
    duration: PositiveDuration | None = None
    warm_up: Duration = Millis(0)
    cluster: ClusterModel
    cloud: CloudForm = Field(default_factory=CloudForm)
    fidelity: Literal["capacity", "protocol"] = "capacity"
    network: NetworkForm | None = None
    runtime: RuntimeForm | None = None
    controller: ControllerForm | None = None
    calm_after: PositiveDuration | None = None
    check_every_turn: bool = False
    workload: list[EntryForm]
    faults: list[FaultForm] = Field(default_factory=list)
    expect: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        first: dict[str, int] = {}
        findings = []
        for index, entry in enumerate(self.workload):
            if first.setdefault(entry.name, index) != index:
                message = f"two entries are called {shown(entry.name)}"
                findings.append(Finding(("workload", index, "name"), message, "rename one"))
        findings += self._fidelity_findings()
        if self.duration is not None and self.warm_up >= self.duration:
            spans = f"{format_duration(self.warm_up)} is not less than the duration"
            findings.append(Finding(("warm_up",), spans, f"{format_duration(self.duration)}"))
        refuse(*findings)
        return self

    def _fidelity_findings(self) -> list[Finding]:
        if self.fidelity == "protocol":
            return []
        return [
            Finding((key,), f"`{key}` needs `fidelity: protocol`", "add that, or remove this")
            for key in ("network", "runtime", "controller", "calm_after")
            if getattr(self, key) is not None
        ]
