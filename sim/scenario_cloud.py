"""The form of `cloud:` in a scenario: how the fake cloud behaves, key by key as `CloudModel`.

Whether its zones are the cluster's, and its traces are there, is checked in `sim.scenario`.
"""

from itertools import pairwise
from typing import Annotated, Self, TypeAlias

from pydantic import Field, model_validator

from iris.core.instant import Millis
from iris.fields import Count, Duration, PositiveCount, PositiveDuration
from iris.problems import Finding
from iris.units import format_duration
from sim.scenario_spread import Form, Probability, Spread, instantly, refuse


class DelayedForm(Form):
    """`{probability: 0.1, delay: 5m}`."""

    probability: Probability
    delay: Spread


class BulkForm(Form):
    """`{mean: 2.1, max: 6}`."""

    mean: Annotated[float, Field(ge=1)] = 1.0
    max: PositiveCount | None = None

    @model_validator(mode="after")
    def _mean_is_within(self) -> Self:
        if self.max is not None and self.mean > self.max:
            hint = "max is the most that go at once"
            refuse(Finding(("mean",), f"{self.mean:g} is over max, {self.max}", hint))
        return self


class WeatherForm(Form):
    """`{open: ..., dry: ...}`, both distributions."""

    open: Spread
    dry: Spread


class CreateFailuresForm(Form):
    """Probabilities by reason."""

    stockout: Probability = 0.0
    quota: Probability = 0.0
    quota_region: Probability = 0.0
    rate: Probability = 0.0
    permission: Probability = 0.0
    bad_request: Probability = 0.0
    internal: Probability = 0.0
    unknown: Probability = 0.0

    @model_validator(mode="after")
    def _sums_to_at_most_one(self) -> Self:
        total = sum(self.model_dump().values())
        if total > 1 + 1e-9:
            refuse(Finding((), f"the probabilities sum to {total:g}", "they sum to at most 1"))
        return self


class CreateAnswersForm(Form):
    """How answers to creates go wrong."""

    lost: Probability = 0.0
    twice: Probability = 0.0
    late: DelayedForm | None = None
    failed_but_lives: Probability = 0.0
    accepted_but_dead: Probability = 0.0


class ListsForm(Form):
    """How listings lie."""

    error: Probability = 0.0
    zone_missing: Probability = 0.0
    empty: Probability = 0.0
    without_newest: Probability = 0.0
    with_deleted: Probability = 0.0
    stale: DelayedForm | None = None


class DeletesForm(Form):
    """How deletes go wrong."""

    refused: Probability = 0.0
    lost: Probability = 0.0
    lies: Probability = 0.0


class VanishingForm(Form):
    """What is left of a preempted slice."""

    other_state: Probability = 0.0
    not_found: Probability = 0.0

    @model_validator(mode="after")
    def _sums_to_at_most_one(self) -> Self:
        total = self.other_state + self.not_found
        if total > 1 + 1e-9:
            refuse(Finding((), f"the probabilities sum to {total:g}", "they sum to at most 1"))
        return self


Step: TypeAlias = Annotated[tuple[Duration, Count], Field(strict=False)]


class CapacityForm(Form):
    """`[[0s, 4], [20h, 1]]`, one number for all time, or `{trace: FILE, scale: 0.1}`."""

    steps: Annotated[list[Step], Field(min_length=1)] | None = None
    trace: str | None = None
    scale: Annotated[float, Field(ge=0)] = 1.0

    @model_validator(mode="before")
    @classmethod
    def _bare_steps(cls, value: object) -> object:
        if isinstance(value, int) and not isinstance(value, bool):
            return {"steps": [[0, value]]}
        return {"steps": value} if isinstance(value, list) else value

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if (self.steps is None) == (self.trace is None):
            hint = "write [[0s, 4], [20h, 1]] or {trace: FILE, scale: 0.1}"
            refuse(Finding((), "needs steps or a trace", hint))
        for index, (earlier, later) in enumerate(pairwise(self.steps or ()), start=1):
            if later[0] <= earlier[0]:
                spans = f"{format_duration(later[0])} is not after {format_duration(earlier[0])}"
                refuse(Finding((index,), spans, "the steps must rise in time"))
        return self


class CloudForm(Form):
    """`cloud:`, key by key as `sim.model.CloudModel`."""

    boot: Spread = Field(default_factory=instantly)
    lifetime: Spread | None = None
    lifetime_max: PositiveDuration | None = None
    zone_lifetime: dict[str, Spread] = Field(default_factory=dict)
    bulk: BulkForm = BulkForm()
    scarcity: Spread | None = None
    notice: Duration = Millis(0)
    notice_lost: Probability = 0.0
    false_notice: Spread | None = None
    host_by_host: Spread | None = None
    capacity: dict[str, CapacityForm] = Field(default_factory=dict)
    weather: WeatherForm | None = None
    quota: dict[str, Count] = Field(default_factory=dict)
    create_failures: CreateFailuresForm = CreateFailuresForm()
    verdict: Spread = Field(default_factory=instantly)
    create_answers: CreateAnswersForm = CreateAnswersForm()
    call: Spread = Field(default_factory=instantly)
    hang: Probability = 0.0
    slow_zones: dict[str, Spread] = Field(default_factory=dict)
    delete: Spread = Field(default_factory=instantly)
    deletes: DeletesForm = DeletesForm()
    vanishing: VanishingForm = VanishingForm()
    stuck_creating: Probability = 0.0
    partial: Probability = 0.0
    straggler: DelayedForm | None = None
    duplicate_index: Probability = 0.0
    early_registration: Probability = 0.0
    host_failure: Spread | None = None
    silence: Duration = Millis(5000)
    lists: ListsForm = ListsForm()
    recycle_addresses: bool = False
    reservations: dict[str, Count] = Field(default_factory=dict)
    another_hand: Spread | None = None
    stray: Spread | None = None

    @model_validator(mode="after")
    def _has_one_cap(self) -> Self:
        if self.lifetime_max is not None and self.lifetime is not None and self.lifetime.max:
            message = "`lifetime.max` says the same already"
            refuse(Finding(("lifetime_max",), message, "keep one of the two"))
        return self
