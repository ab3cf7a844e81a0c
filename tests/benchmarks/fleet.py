"""A month of four thousand workers, many of them preemptible: wall time, memory, turns, and SimPy's own share.

Peak memory is that of the process, so it means something only in one that did nothing else, as
under `python -m tests.benchmarks`.
"""

import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from iris.core.instant import SECOND, Millis
from sim.clockwork import Clockwork
from sim.ledger import ledger_of
from sim.scenario import load_scenario
from sim.world import World
from tests.benchmarks.figures import Figure, clocked, timed

SCENARIO: Final = Path(__file__).with_name("fleet.yaml")
_LOOK_EVERY: Final = 1_000
_EMPTY_STEPS: Final = 200_000


class Month:
    """One run of the scenario, with its steps counted."""

    def __init__(self, overrides: Sequence[str]) -> None:
        self.world = World(load_scenario(SCENARIO, overrides=overrides), audit_every_turn=False)
        self.steps = 0
        self._agenda_lengths: list[int] = []

    def run(self) -> None:
        """To the end, as `sim.run.simulate` does."""
        world = self.world
        while world.goes_on():
            if self.steps % _LOOK_EVERY == 0:
                # SimPy tells nobody how long its agenda is.
                self._agenda_lengths.append(len(world.clock.env._queue))
            world.clock.step()
            self.steps += 1

    def simpy_s(self, empty_steps: int) -> float:
        """An estimate of SimPy's own share: so many steps that do nothing, on an agenda as long."""
        agenda = sum(self._agenda_lengths) // len(self._agenda_lengths)
        return self.steps * empty_step_s(agenda, empty_steps)


def empty_step_s(agenda: int, steps: int) -> float:
    """Seconds that scheduling an action and coming to it costs, when there are so many others."""
    clock = Clockwork()

    def again() -> None:
        clock.later(Millis(agenda * SECOND), again)

    for number in range(agenda):
        clock.later(Millis(number * SECOND), again)

    def run() -> None:
        for _ in range(steps):
            clock.step()

    return timed(run)[0] / steps


def measure(*, overrides: Sequence[str] = (), empty_steps: int = _EMPTY_STEPS) -> list[Figure]:
    """The month, or with overrides a smaller one, simulated once."""
    month = Month(overrides)
    (wall, cpu), _ = clocked(month.run)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
    simpy = month.simpy_s(empty_steps)
    measures = month.world.finish(partial=False)
    ledger = ledger_of(measures)
    busy = 100 * (ledger.useful + ledger.lost) / ledger.provisioned
    preempted = sum(slice_.outcome == "preempted" for slice_ in measures.slices.values())
    what = (
        f"4,000 workers, {len(measures.jobs):,} jobs, {measures.now / 86_400_000:.0f} days,"
        f" {preempted:,} preemptions, {busy:.0f} % used"
    )
    measured = (
        f"{wall:,.1f} s ({cpu:,.1f} s of a processor), {peak:,.0f} MiB;"
        f" {measures.turns:,} turns, {measures.turns / wall:,.0f}/s"
    )
    beside = f"{month.steps:,} empty SimPy steps: {simpy:,.1f} s, {100 * simpy / wall:.0f} % of it"
    return [Figure(what, "under 60 s and 1 GiB", measured, beside)]
