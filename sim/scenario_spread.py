"""The form of a distribution in a scenario: a bare duration, or one kind with its parameters.

Also what every mapping of a scenario has in common: unknown keys, text for numbers and numbers
that are not finite are refused.
"""

from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from iris.core.instant import Millis
from iris.fields import Duration, PositiveDuration
from iris.problems import Finding, Unfit
from iris.units import format_duration
from sim import dice

Probability = Annotated[float, Field(ge=0, le=1)]


class Form(BaseModel):
    """A mapping whose keys are all known."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, populate_by_name=False
    )


def refuse(*findings: Finding) -> None:
    """Raises what was found, if anything was."""
    if findings:
        raise Unfit(findings)


class UniformForm(Form):
    """`uniform: {min: 1m, max: 5m}`."""

    min: Duration = Millis(0)
    max: Duration

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.min > self.max:
            least, most = format_duration(self.min), format_duration(self.max)
            refuse(Finding(("min",), f"{least} is over max, {most}", "swap them"))
        return self


class ExponentialForm(Form):
    """`exponential: {mean: 6h}`."""

    mean: PositiveDuration


class LognormalForm(Form):
    """`lognormal: {median: 150s, sigma: 0.5}`, or by its mean."""

    median: PositiveDuration | None = None
    mean: PositiveDuration | None = None
    sigma: Annotated[float, Field(ge=0, le=10)]

    @model_validator(mode="after")
    def _has_one_centre(self) -> Self:
        if (self.median is None) == (self.mean is None):
            refuse(Finding((), "give one of `median` and `mean`", "as {median: 3h, sigma: 0.8}"))
        return self


class WeibullForm(Form):
    """`weibull: {scale: 6h, shape: 0.7}`."""

    scale: PositiveDuration
    shape: Annotated[float, Field(ge=0.05, le=100)]


class EmpiricalForm(Form):
    """`empirical: {values: [1m, 5m], weights: [3, 1]}`, or just the list of values."""

    values: Annotated[list[Duration], Field(min_length=1, max_length=100_000)]
    weights: list[Annotated[float, Field(ge=0)]] | None = None

    @model_validator(mode="before")
    @classmethod
    def _list_of_values(cls, value: object) -> object:
        return {"values": value} if isinstance(value, list) else value

    @model_validator(mode="after")
    def _weights_match(self) -> Self:
        if self.weights is None:
            return self
        if len(self.weights) != len(self.values):
            counts = f"{len(self.weights)} weights for {len(self.values)} values"
            refuse(Finding(("weights",), counts, "give one weight for each value"))
        if sum(self.weights) <= 0:
            refuse(Finding(("weights",), "the weights sum to 0", "give one that is over 0"))
        return self


_KINDS: Final = ("constant", "uniform", "exponential", "lognormal", "weibull", "empirical")


class Spread(Form):
    """A distribution of spans: a bare duration, or one kind with its parameters, maybe capped."""

    constant: Duration | None = None
    uniform: UniformForm | None = None
    exponential: ExponentialForm | None = None
    lognormal: LognormalForm | None = None
    weibull: WeibullForm | None = None
    empirical: EmpiricalForm | None = None
    max: PositiveDuration | None = None

    @model_validator(mode="before")
    @classmethod
    def _bare_duration(cls, value: object) -> object:
        return value if isinstance(value, dict) else {"constant": value}

    @model_validator(mode="after")
    def _has_one_kind(self) -> Self:
        kinds = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            said = " and ".join(kinds) if kinds else "none"
            hint = f"give a duration, or one of {', '.join(_KINDS)}"
            refuse(Finding((), f"a distribution is of one kind, not {said}", hint))
        return self

    def uncapped(self) -> dice.Distribution:
        """The distribution without its `max`."""
        if self.uniform is not None:
            return dice.Uniform(self.uniform.min, self.uniform.max)
        if self.exponential is not None:
            return dice.Exponential(self.exponential.mean)
        if self.lognormal is not None:
            return _lognormal(self.lognormal)
        if self.weibull is not None:
            return dice.Weibull(self.weibull.scale, self.weibull.shape)
        if self.empirical is not None:
            weights = tuple(self.empirical.weights or ())
            return dice.Empirical(tuple(self.empirical.values), weights)
        assert self.constant is not None, self
        return dice.Constant(self.constant)

    def made(self) -> dice.Distribution:
        """The distribution."""
        inner = self.uncapped()
        return inner if self.max is None else dice.Capped(inner, self.max)


def _lognormal(form: LognormalForm) -> dice.Lognormal:
    if form.median is not None:
        return dice.Lognormal(form.median, form.sigma)
    assert form.mean is not None, form
    return dice.Lognormal.of_mean(form.mean, form.sigma)


def instantly() -> Spread:
    """No time at all."""
    return Spread(constant=Millis(0))
