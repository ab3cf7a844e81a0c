"""What the fake cloud has to give: capacity over time, droughts, what a loss leaves, quota.

The answer to "may this slice be had now" is the reason why not, or nothing. How many may exist in a
zone is the least of what its curve, an outage and a loss allow.
"""

from bisect import bisect_left, bisect_right
from operator import attrgetter
from typing import Final

from iris.core.events import CreateFailure
from iris.core.ids import Zone
from iris.core.instant import Instant, Millis
from iris.core.spec import GroupSpec
from sim.dice import Dice
from sim.model import CloudModel, CreateFailures
from sim.recorded_model import Answer

_AT: Final = attrgetter("at")


class Stock:
    """The stock of every zone."""

    def __init__(self, model: CloudModel, dice: Dice) -> None:
        """Stock as the model has it."""
        self._model = model
        self._dice = dice
        self._times = {z: [at for at, _ in steps] for z, steps in model.capacity.items()}
        self._ceilings: dict[Zone, list[tuple[Instant, int]]] = {}
        self._droughts: list[tuple[Zone, str, int, Instant]] = []
        self._spells: dict[tuple[Zone, str], tuple[Instant, int]] = {}
        self._asked: dict[tuple[Zone, str], tuple[Instant, int]] = {}
        """The last create, and how many there were at its instant before it."""

    def limit(self, zone: Zone, now: Instant) -> int | None:
        """How many slices may exist in a zone now; nothing when there is no limit."""
        limits = [most for until, most in self._ceilings.get(zone, ()) if until > now]
        steps = self._model.capacity.get(zone)
        if steps is not None:
            index = bisect_right(self._times[zone], now) - 1
            limits.append(steps[index][1] if index >= 0 else 0)
        return min(limits, default=None)

    def close(self, zone: Zone, until: Instant, most: int) -> None:
        """No more than `most` slices may exist in a zone until then."""
        self._ceilings.setdefault(zone, []).append((until, most))

    def dry_up(self, zone: Zone, family: str, chips: int, until: Instant) -> None:
        """No slice of a family with so many chips or more can be had in a zone until then."""
        self._droughts.append((zone, family, chips, until))

    def lost(self, zone: Zone, number: int, left: int, now: Instant) -> None:
        """The cloud took slices of a zone; what that leaves may be scarce for a while."""
        if self._model.scarcity is not None:
            span = self._dice.draw(self._model.scarcity, f"scarcity/{zone}", number)
            self.close(zone, Instant(now + span), left)

    def refusal(
        self, group: GroupSpec, zone: Zone, present: int, chips: int, now: Instant
    ) -> CreateFailure | None:
        """Why one more slice cannot be had, with `present` slices and `chips` chips in the zone."""
        quota = self._model.quota.get(zone)
        if quota is not None and chips + group.chips > quota:
            return CreateFailure.QUOTA_ZONE
        limit = self.limit(zone, now)
        if limit is not None and present >= limit:
            return CreateFailure.STOCKOUT
        if self._in_drought(zone, group, now):
            return CreateFailure.STOCKOUT
        if self._model.weather is not None and self._is_dry(zone, group.family, now):
            return CreateFailure.STOCKOUT
        return None

    def answer_on_record(self, zone: Zone, accelerator_type: str, now: Instant) -> Answer | None:
        """What the create of that instant showed, else the last one before it; nothing without a record.

        Of several at one instant each has that of its own number, and what goes beyond them the last.
        """
        key = (zone, accelerator_type)
        answers = self._model.answers.get(key)
        if answers is None:
            return None
        last, before = self._asked.get(key, (now, -1))
        number = before + 1 if last == now else 0
        self._asked[key] = (now, number)
        first = bisect_left(answers, now, key=_AT)
        index = min(first + number, bisect_right(answers, now, key=_AT) - 1)
        is_stale = index == len(answers) - 1 and now - answers[index].at > self._model.answers_hold
        return Answer(now) if index < 0 or is_stale else answers[index]

    def _is_dry(self, zone: Zone, family: str, now: Instant) -> bool:
        """Whether a spell without stock is on: even spells are open, odd ones dry."""
        weather = self._model.weather
        assert weather is not None
        ends, number = self._spells.get((zone, family), (Instant(0), -1))
        while ends <= now:
            number += 1
            kind = weather.dry if number % 2 else weather.open
            span = self._dice.draw(kind, f"weather/{zone}/{family}", number)
            ends = Instant(ends + max(Millis(1), span))
        self._spells[zone, family] = (ends, number)
        return number % 2 == 1

    def _in_drought(self, zone: Zone, group: GroupSpec, now: Instant) -> bool:
        return any(
            (where, family) == (zone, group.family) and chips <= group.chips and now < until
            for where, family, chips, until in self._droughts
        )


def odds_of(odds: CreateFailures) -> tuple[tuple[float, CreateFailure], ...]:
    """The probability of each reason, in the order in which they are drawn."""
    return (
        (odds.stockout, CreateFailure.STOCKOUT),
        (odds.quota, CreateFailure.QUOTA_ZONE),
        (odds.quota_region, CreateFailure.QUOTA_REGION),
        (odds.rate, CreateFailure.RATE),
        (odds.permission, CreateFailure.PERMISSION),
        (odds.bad_request, CreateFailure.BAD_REQUEST),
        (odds.internal, CreateFailure.INTERNAL),
        (odds.unknown, CreateFailure.UNKNOWN),
    )
