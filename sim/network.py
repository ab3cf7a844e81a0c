"""The simulated network between workers and controller: calls that are delayed, lost, repeated, cut.

A call is a request and its answer, each a message of its own, so that a request may be carried out
and its answer lost. Whoever calls gives up at a deadline; what arrives later is dropped by it, and
has happened all the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from iris.core.cadence import CALL_DEADLINE
from iris.core.instant import Instant, Millis
from sim.clockwork import Clockwork
from sim.dice import Dice
from sim.protocol_model import KIND_NETWORK, NetworkModel

_Answer = TypeVar("_Answer")


@dataclass(slots=True)
class Line:
    """One worker's line: whether messages pass, each way."""

    name: str
    calls: int = 0
    cuts: int = 0
    up: bool = True
    """Messages of the worker reach the controller."""
    down: bool = True
    """Messages of the controller reach the worker."""
    swallows: bool = False
    """A call over a cut line hears nothing; else it fails at once."""
    closed: bool = False
    """Its host is no more."""


class Network:
    """All lines, and what happens on them."""

    def __init__(self, clock: Clockwork, dice: Dice, model: NetworkModel) -> None:
        """Lines that are as bad as the model says."""
        self._clock = clock
        self._dice = dice
        self.model = model
        self.faults = 0
        """Messages that were lost, repeated or late, and cuts, so far."""
        self._lines: dict[str, Line] = {}

    def open(self, name: str) -> Line:
        """A worker comes up."""
        line = self._lines[name] = Line(name)
        self._cut_later(line)
        return line

    def close(self, line: Line) -> None:
        """Its host is no more."""
        line.closed = True
        self._lines.pop(line.name, None)

    # ---- cuts ------------------------------------------------------------------------------

    def _cut_later(self, line: Line) -> None:
        if self.model.cuts is None:
            return
        span = self._dice.draw(self.model.cuts.every, "cut", line.name, line.cuts)

        def strike() -> None:
            cuts = self.model.cuts
            if line.closed or cuts is None:
                return
            number = line.cuts
            lasts = self._dice.draw(cuts.lasts, "cut lasts", line.name, number)
            one_way = self._dice.chance(self.model.one_way, "one way", line.name, number)
            side = self._dice.pick(2, "which way", line.name, number)
            swallows = self._dice.chance(self.model.half_open, "half open", line.name, number)
            self.cut(
                line,
                Millis(max(1, lasts)),
                up=not one_way or side == 0,
                down=not one_way or side == 1,
                swallows=swallows or one_way,
            )
            self._cut_later(line)

        self._clock.later(Millis(max(1, span)), strike)

    def cut(self, line: Line, span: Millis | None, *, up: bool, down: bool, swallows: bool) -> None:
        """Cut a line, one way or both, for a while or (no span) for good."""
        self.faults += 1
        line.cuts += 1
        number = line.cuts
        line.up, line.down, line.swallows = not up, not down, swallows
        if span is None:
            return

        def heal() -> None:
            if line.cuts == number:
                line.up = line.down = True

        self._clock.later(span, heal)

    def calm(self) -> None:
        """From now on every line is whole and every message arrives, once and at once."""
        self.model = KIND_NETWORK
        for line in self._lines.values():
            line.up = line.down = True

    # ---- calls -----------------------------------------------------------------------------

    def call(
        self,
        line: Line,
        ask: Callable[[Callable[[_Answer], None]], bool],
        hear: Callable[[_Answer], None],
        fail: Callable[[], None],
    ) -> None:
        """Carry a request to the controller and its answer back.

        Args:
            line: whose it is.
            ask: hands the request over, with a way to answer it; false when nobody is there.
            hear: called with the first answer that arrives before the deadline.
            fail: called once instead, when none does.
        """
        line.calls += 1
        number = line.calls
        open_until = Instant(self._clock.now + CALL_DEADLINE)
        over = False

        def end(then: Callable[[], None]) -> None:
            nonlocal over
            if not over and not line.closed:
                over = True
                then()

        def answer(value: _Answer) -> None:
            if line.down and not self._lost(line, "answer", number):
                delay = self._delay(line, "answer", number)
                self._clock.later(delay, lambda: end(lambda: hear(value)))

        def arrive() -> None:
            if not ask(answer):
                self._clock.later(Millis(1), lambda: end(fail))

        if not (line.up and line.down) and not line.swallows:
            self._clock.later(Millis(1), lambda: end(fail))
            return
        self._clock.later(Millis(open_until - self._clock.now), lambda: end(fail))
        if not line.up or self._lost(line, "request", number):
            return
        self._clock.later(self._delay(line, "request", number), arrive)
        if self._dice.chance(self.model.repeat, "repeat", line.name, number):
            self.faults += 1
            self._clock.later(self._delay(line, "repeated", number), arrive)

    def _lost(self, line: Line, what: str, number: int) -> bool:
        lost = self._dice.chance(self.model.loss, f"loss/{what}", line.name, number)
        self.faults += lost
        return lost

    def _delay(self, line: Line, what: str, number: int) -> Millis:
        delay = self._dice.draw(self.model.delay, f"delay/{what}", line.name, number)
        late = self.model.late
        if self._dice.chance(late.probability, f"late/{what}", line.name, number):
            self.faults += 1
            delay = Millis(delay + self._dice.draw(late.span, f"by/{what}", line.name, number))
        return delay
