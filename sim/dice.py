"""Dice: draws that depend on the seed, on what they are for, and on nothing else.

A draw is a hash of (seed, stream, key), so there is no generator whose state another draw could
move: adding a fault, a job or a question to the world changes no draw of any other. A distribution
turns one uniform number into a span of time through its inverse, so that a larger number never
gives a shorter span, and two policies compared under one seed meet the same luck.

All of it is plain `+ - * /` and square roots on doubles, which every machine computes alike;
the logarithms of C libraries differ in the last digit, and one digit may move a millisecond.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import accumulate
from math import frexp, gamma, ldexp, sqrt
from typing import Final, Protocol

from iris.core.instant import Millis

LONGEST: Final = Millis(1 << 53)
"""No draw is longer (285,000 years): above it a double no longer counts single milliseconds."""

_BITS: Final = 53
_UNIT: Final = 1.0 / (1 << _BITS)


class Distribution(Protocol):
    """How long something takes."""

    def sample(self, u: float) -> Millis:
        """The span at the quantile `u`, which lies in [0, 1)."""
        ...

    def mean(self) -> float:
        """The expected span, in milliseconds, before it is rounded."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same span."""

    value: Millis

    def sample(self, u: float) -> Millis:
        """The span itself."""
        del u  # the same at every quantile
        return self.value

    def mean(self) -> float:
        """The span itself."""
        return float(self.value)


@dataclass(frozen=True, slots=True)
class Uniform:
    """Every whole millisecond from `least` to `most`, both included, is equally likely."""

    least: Millis
    most: Millis

    def sample(self, u: float) -> Millis:
        """The span at the quantile `u`."""
        return Millis(self.least + int(u * (self.most - self.least + 1)))

    def mean(self) -> float:
        """The middle."""
        return (self.least + self.most) / 2


@dataclass(frozen=True, slots=True)
class Exponential:
    """Memoryless: the time to the next of many independent rare events."""

    mean_ms: Millis

    def sample(self, u: float) -> Millis:
        """The span at the quantile `u`."""
        return _whole(-self.mean_ms * logarithm(1.0 - u))

    def mean(self) -> float:
        """As it was given."""
        return float(self.mean_ms)


@dataclass(frozen=True, slots=True)
class Lognormal:
    """The product of many small causes: boot times, run times. `sigma` is that of the logarithm."""

    median: float
    """In milliseconds."""
    sigma: float

    def sample(self, u: float) -> Millis:
        """The span at the quantile `u`."""
        return _whole(self.median * exponential(self.sigma * normal_quantile(max(u, _UNIT / 2))))

    def mean(self) -> float:
        """Above the median by half the square of sigma, in the logarithm."""
        return self.median * exponential(self.sigma * self.sigma / 2)

    @classmethod
    def of_mean(cls, mean_ms: Millis, sigma: float) -> "Lognormal":
        """The one with this mean."""
        return cls(mean_ms / exponential(sigma * sigma / 2), sigma)


@dataclass(frozen=True, slots=True)
class Weibull:
    """Lifetimes: shape under 1 means infant mortality, 1 is exponential, over 1 means wear."""

    scale: Millis
    shape: float

    def sample(self, u: float) -> Millis:
        """The span at the quantile `u`."""
        hazard = -logarithm(1.0 - u)
        if hazard <= 0.0:
            return Millis(0)
        return _whole(self.scale * exponential(logarithm(hazard) / self.shape))

    def mean(self) -> float:
        """The scale, times the gamma function of the shape."""
        return self.scale * gamma(1.0 + 1.0 / self.shape)


@dataclass(frozen=True, slots=True)
class Empirical:
    """One of the measured values, each by its weight; without weights all are alike."""

    values: tuple[Millis, ...]
    weights: tuple[float, ...] = ()
    _sorted: tuple[Millis, ...] = field(init=False, repr=False, compare=False)
    _bounds: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Sorts the values, so that the quantile rises with `u`."""
        weights = self.weights or (1.0,) * len(self.values)
        pairs = sorted(zip(self.values, weights, strict=True))
        total = sum(weight for _, weight in pairs)
        bounds = tuple(bound / total for bound in accumulate(weight for _, weight in pairs))
        object.__setattr__(self, "_sorted", tuple(value for value, _ in pairs))
        object.__setattr__(self, "_bounds", bounds[:-1])

    def sample(self, u: float) -> Millis:
        """The value at the quantile `u`."""
        return self._sorted[bisect_right(self._bounds, u)]

    def mean(self) -> float:
        """The weighted mean of the values."""
        weights = self.weights or (1.0,) * len(self.values)
        weighted = (value * weight for value, weight in zip(self.values, weights, strict=True))
        return sum(weighted) / sum(weights)


@dataclass(frozen=True, slots=True)
class Capped:
    """Another distribution, whose longer spans are cut to `most`."""

    inner: Distribution
    most: Millis

    def sample(self, u: float) -> Millis:
        """The span at the quantile `u`, or the cap."""
        return min(self.inner.sample(u), self.most)

    def mean(self) -> float:
        """The mean of the spans after the cut, over 4,096 evenly spaced quantiles."""
        return mean_of_quantiles(self)


@dataclass(frozen=True, slots=True)
class Remaining:
    """How much longer something takes that has taken `age` already: the rest, given that it is longer.

    It ends at once where the other distribution has nothing that is longer.
    """

    inner: Distribution
    age: Millis
    _over: float = field(init=False, repr=False, compare=False)
    """The share of spans that are no longer than the age."""

    def __post_init__(self) -> None:
        """Finds the quantile of the age by halving, which the rise of every quantile allows."""
        least, most = 0, 1 << _BITS
        while least < most:
            middle = (least + most) // 2
            if self.inner.sample(middle * _UNIT) <= self.age:
                least = middle + 1
            else:
                most = middle
        object.__setattr__(self, "_over", least * _UNIT if self.age > 0 else 0.0)

    def sample(self, u: float) -> Millis:
        """The rest at the quantile `u` of what is longer than the age."""
        at = min(self._over + u * (1.0 - self._over), 1.0 - _UNIT)
        return Millis(max(0, self.inner.sample(at) - self.age))

    def mean(self) -> float:
        """The mean of the rests, over 4,096 evenly spaced quantiles."""
        return mean_of_quantiles(self)


class Dice:
    """All draws of one seed. It has no state: the same question has the same answer, always."""

    __slots__ = ("_seed",)

    def __init__(self, seed: int) -> None:
        """Dice of this seed."""
        self._seed = str(seed)

    def uniform(self, stream: str, *key: int | str) -> float:
        """A number in [0, 1). The stream names what it is for, the key which one it is."""
        return self._bits(stream, key) * _UNIT

    def draw(self, distribution: Distribution, stream: str, *key: int | str) -> Millis:
        """A span of time."""
        if isinstance(distribution, Constant):
            return distribution.value  # No number can change it, so none is drawn.
        return distribution.sample(self._bits(stream, key) * _UNIT)

    def chance(self, probability: float, stream: str, *key: int | str) -> bool:
        """Whether something of this probability happens; 0 never does and 1 always."""
        if probability <= 0.0:
            return False
        return self._bits(stream, key) * _UNIT < probability

    def pick(self, count: int, stream: str, *key: int | str) -> int:
        """One of 0 .. count - 1, all alike."""
        assert count > 0, count
        return (self._bits(stream, key) * count) >> _BITS

    def geometric(self, mean: float, stream: str, *key: int | str) -> int:
        """A count of at least 1 whose mean this is; a mean of 1 or less is always 1."""
        if mean <= 1.0:
            return 1
        u = self._bits(stream, key) * _UNIT
        return 1 + int(logarithm(1.0 - u) / logarithm(1.0 - 1.0 / mean))

    def _bits(self, stream: str, key: tuple[int | str, ...]) -> int:
        # No name holds the separator, so no two questions are spelled alike.
        text = "\x1f".join((self._seed, stream, *map(str, key)))
        return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 11


def mean_of_quantiles(distribution: Distribution) -> float:
    """The mean of a distribution over 4,096 evenly spaced quantiles, for one without a formula."""
    count = 4096
    return sum(distribution.sample((i + 0.5) / count) for i in range(count)) / count


def _whole(span: float) -> Millis:
    """The nearest whole millisecond, cut at the longest."""
    return Millis(int(span + 0.5)) if span < LONGEST else LONGEST


# ln 2 in two parts: the first has few digits, so that a multiple of it is exact.
_LN2_HIGH: Final = 0.6931471803691238
_LN2_LOW: Final = 1.9082149292705877e-10
_SQRT_HALF: Final = 0.7071067811865476


def logarithm(x: float) -> float:
    """The natural logarithm of a positive number, by the series of the inverse tangent."""
    mantissa, exponent = frexp(x)
    if mantissa < _SQRT_HALF:
        mantissa, exponent = mantissa * 2.0, exponent - 1
    s = (mantissa - 1.0) / (mantissa + 1.0)
    z = s * s
    series = 1 / 15 + z * (1 / 17 + z * (1 / 19 + z / 21))
    series = 1 / 7 + z * (1 / 9 + z * (1 / 11 + z * (1 / 13 + z * series)))
    series = z * (1 / 3 + z * (1 / 5 + z * series))
    return exponent * _LN2_HIGH + (exponent * _LN2_LOW + 2.0 * s * (1.0 + series))


def exponential(x: float) -> float:
    """The exponential function; what is beyond the range of a double counts as 700 or -700."""
    x = min(max(x, -700.0), 700.0)
    power = int(x / _LN2_HIGH + (0.5 if x >= 0.0 else -0.5))
    r = (x - power * _LN2_HIGH) - power * _LN2_LOW
    series = 1.0
    for divisor in range(14, 0, -1):
        series = 1.0 + series * r / divisor
    return ldexp(series, power)


def normal_quantile(p: float) -> float:
    """Where the standard normal distribution reaches `p`, in (0, 1).

    The rational approximations are Wichura's (1988, AS 241), good to 1 part in 10^16.
    """
    q = p - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        return q * _horner(_MIDDLE_OVER, r) / _horner(_MIDDLE_UNDER, r)
    r = sqrt(-logarithm(p if q < 0.0 else 1.0 - p))
    if r <= 5.0:
        size = _horner(_TAIL_OVER, r - 1.6) / _horner(_TAIL_UNDER, r - 1.6)
    else:
        size = _horner(_FAR_OVER, r - 5.0) / _horner(_FAR_UNDER, r - 5.0)
    return -size if q < 0.0 else size


def _horner(coefficients: tuple[float, ...], x: float) -> float:
    total = 0.0
    for coefficient in coefficients:
        total = total * x + coefficient
    return total


_MIDDLE_OVER: Final = (
    2509.0809287301227,
    33430.57558358813,
    67265.7709270087,
    45921.95393154987,
    13731.69376550946,
    1971.5909503065513,
    133.14166789178438,
    3.3871328727963665,
)
_MIDDLE_UNDER: Final = (
    5226.495278852854,
    28729.085735721943,
    39307.89580009271,
    21213.794301586597,
    5394.196021424751,
    687.1870074920579,
    42.31333070160091,
    1.0,
)
_TAIL_OVER: Final = (
    0.0007745450142783414,
    0.022723844989269184,
    0.2417807251774506,
    1.2704582524523684,
    3.6478483247632045,
    5.769497221460691,
    4.630337846156546,
    1.4234371107496835,
)
_TAIL_UNDER: Final = (
    1.0507500716444169e-09,
    0.0005475938084995345,
    0.015198666563616457,
    0.14810397642748008,
    0.6897673349851,
    1.6763848301838038,
    2.053191626637759,
    1.0,
)
_FAR_OVER: Final = (
    2.0103343992922881e-07,
    2.7115555687434876e-05,
    0.0012426609473880784,
    0.026532189526576124,
    0.29656057182850487,
    1.7848265399172913,
    5.463784911164114,
    6.657904643501103,
)
_FAR_UNDER: Final = (
    2.0442631033899397e-15,
    1.421511758316446e-07,
    1.8463183175100548e-05,
    0.0007868691311456133,
    0.014875361290850615,
    0.1369298809227358,
    0.599832206555888,
    1.0,
)
