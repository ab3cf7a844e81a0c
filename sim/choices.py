"""What the autoscaler decided in a run, by rule, and where the cloud was not to be asked for how long.

The rules are the reasons of the decisions themselves, without the names and numbers in them.
"""

import re
from collections.abc import Iterable
from typing import Final

from iris.core import decisions as de
from iris.core.instant import Instant
from sim.measure import Measures

_PARTICULARS: Final = re.compile(r"[\w/-]*[0-9][\w/-]*")
"""Words with a digit in them: names of slices and workers, amounts."""
_MOST_RULES: Final = 100
"""Of a kind of decision: what the cloud says may differ each time."""


class Choices:
    """Keeps count of decisions about slices, and of the time for which each (zone, type) was blocked."""

    def __init__(self, measures: Measures) -> None:
        """A count that goes into these measures."""
        self._measures = measures
        self._blocked: dict[tuple[str, str], tuple[Instant, Instant]] = {}
        """By zone and type, since when and until when."""

    def note(self, now: Instant, decisions: Iterable[de.Decision]) -> None:
        """Enter the decisions of one turn."""
        for decision in decisions:
            match decision:
                case de.SliceRequest():
                    self._count("asked for", decision.why)
                case de.SliceDrain():
                    self._count("given back", decision.why)
                case de.SliceLoss():
                    self._count("held for lost", decision.why)
                case de.Throttle():
                    self._throttle(now, decision)
                case _:
                    continue

    def _count(self, kind: str, why: str) -> None:
        rule = _PARTICULARS.sub("N", why)
        counts = self._measures.choices
        if (kind, rule) not in counts and len(counts) >= _MOST_RULES:
            rule = "for other reasons"
        counts[kind, rule] = counts.get((kind, rule), 0) + 1

    def _throttle(self, now: Instant, throttle: de.Throttle) -> None:
        key = (throttle.zone, throttle.accelerator_type)
        until = throttle.blocked_until if throttle.blocked_until is not None else now
        _, before = self._blocked.get(key, (now, now))
        self._settle(key, now)
        if until > now:
            self._blocked[key] = (now, until)
        if until > max(now, before):
            self._count("stopped asking", throttle.why.partition(":")[0])

    def _settle(self, key: tuple[str, str], now: Instant) -> None:
        since, until = self._blocked.pop(key, (now, now))
        span = min(until, now) - max(since, self._measures.warm_up)
        if span > 0:
            self._measures.blocked[key] = self._measures.blocked.get(key, 0) + span

    def close(self, now: Instant) -> None:
        """The simulation stops here."""
        for key in list(self._blocked):
            self._settle(key, now)
