"""How long something takes, learned from some that are over and some that are not.

The estimate is that of Kaplan and Meier (1958), which counts what is not over, too: whoever looks
only at what has ended finds everything short. Beyond the longest of them it goes on as if nothing
were known but that age: it lasts as long again with even odds (Gott, 1993: the chance to outlast
`t`, having lasted `a`, is a/t). So that there always is a beyond, one more is counted that is not
over: of n + 1 alike the last one is the longest with the probability 1/(n + 1).
"""

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field

from iris.core.instant import Millis
from sim.dice import LONGEST, Distribution, mean_of_quantiles


@dataclass(frozen=True, slots=True)
class Survival:
    """A distribution over spans, from spans that were seen."""

    ends: tuple[Millis, ...]
    """Spans of what is over."""
    cut: tuple[Millis, ...] = ()
    """Ages of what goes on, or was broken off by something else."""
    least: Millis = Millis(1)
    """As if this age had been seen; it matters only where nothing longer was."""
    _times: tuple[Millis, ...] = field(init=False, repr=False, compare=False)
    _shares: tuple[float, ...] = field(init=False, repr=False, compare=False)
    """By time, how many are over by then."""
    _last: Millis = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Adds up the estimate, from the shortest span on."""
        over, broken = Counter(self.ends), Counter(self.cut)
        at_risk = len(self.ends) + len(self.cut) + 1
        left = 1.0
        times: list[Millis] = []
        shares: list[float] = []
        for span in sorted({*over, *broken}):
            if over[span]:
                left *= 1.0 - over[span] / at_risk
                times.append(span)
                shares.append(1.0 - left)
            at_risk -= over[span] + broken[span]
        object.__setattr__(self, "_times", tuple(times))
        object.__setattr__(self, "_shares", tuple(shares))
        object.__setattr__(self, "_last", max((*self.ends, *self.cut, self.least)))

    def sample(self, u: float) -> Millis:
        """The span at the quantile `u`."""
        beyond = 1.0 - (self._shares[-1] if self._shares else 0.0)
        if u < 1.0 - beyond:
            return self._times[bisect_right(self._shares, u)]
        span = self._last * beyond / (1.0 - u)
        return Millis(int(span)) if span < LONGEST else LONGEST

    def mean(self) -> float:
        """Over 4,096 evenly spaced quantiles: the mean itself is endless."""
        return mean_of_quantiles(self)


@dataclass(frozen=True, slots=True)
class Later:
    """What is left of a span so much later; nothing, when it may be over already."""

    inner: Distribution
    elapsed: Millis

    def sample(self, u: float) -> Millis:
        """What is left at the quantile `u`."""
        return Millis(max(0, self.inner.sample(u) - self.elapsed))

    def mean(self) -> float:
        """Over 4,096 evenly spaced quantiles."""
        return mean_of_quantiles(self)
