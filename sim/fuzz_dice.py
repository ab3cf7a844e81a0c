"""The draws of one seed of the fuzzer, and how spans are written in a scenario."""

from typing import TypeAlias

from sim.dice import Dice

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain]"
World: TypeAlias = "dict[str, Plain]"


def span(median: str, sigma: float = 0.6) -> Plain:
    """Some are much longer than the median."""
    return {"lognormal": {"median": median, "sigma": sigma}}


def mean(length: str) -> Plain:
    """As of things that come at any time, whatever was before."""
    return {"exponential": {"mean": length}}


def between(least: str, most: str) -> Plain:
    """Anything between the two."""
    return {"uniform": {"min": least, "max": most}}


class Draw:
    """All draws of one seed of a profile."""

    def __init__(self, seed: int, profile: str) -> None:
        """The draws of a seed."""
        self._dice = Dice(seed)
        self.seed = seed
        self.profile = profile
        self._count = 0

    def _next(self) -> int:
        self._count += 1
        return self._count

    def chance(self, probability: float) -> bool:
        """Whether something is so."""
        return self._dice.chance(probability, "fuzz", self._next())

    def number(self, least: int, most: int) -> int:
        """One of these numbers, both ends included."""
        return least + self._dice.pick(most - least + 1, "fuzz", self._next())

    def one_of(self, *options: str) -> str:
        """One of these."""
        return options[self._dice.pick(len(options), "fuzz", self._next())]

    def rate(self, most: float) -> float:
        """A probability up to `most`, in hundredths."""
        return round(most * self.number(1, 10) / 10, 3)
