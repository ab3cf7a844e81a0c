"""One turn over a long queue: who fits is placed, and who does not costs nothing."""

import statistics
from dataclasses import dataclass
from functools import partial
from typing import Final

from iris.core.lifecycle import AttemptState
from iris.core.resources import Resources, fits
from iris.core.retry import EndCause
from iris.core.spec import JobSpec
from tests.benchmarks.crowds import CORES, Crowd, jobs, submissions
from tests.benchmarks.figures import Figure, milliseconds, timed

UNDER: Final = "under 50 ms"


def measure(*, workers: int = 1_000, pending: int = 10_000, shapes: int = 50) -> list[Figure]:
    """A turn in which everybody fits, one in which nobody does, and one with as many as workers."""
    size = f"{pending:,} pending x {workers:,} workers"
    naive = _naive(workers, pending)
    fitting = partial(jobs, pending, shapes=shapes)
    busy = jobs(workers, cores=CORES, user="busy")
    beside = f"every task against every worker: {milliseconds(naive)}"
    nobody: list[JobSpec] = []
    rows = (
        (f"placement, {size}, all fit", nobody, fitting()),
        (f"placement, {size}, one fits on each", nobody, fitting(cores=CORES)),
        (f"placement, {size}, none fits", busy, fitting()),
        (f"the same, {shapes} shapes became {pending:,}", busy, jobs(pending, shapes=pending)),
    )
    return [
        Figure(what, UNDER, _turn(workers, before, waiting), beside)
        for what, before, waiting in rows
    ]


def _turn(workers: int, before: list[JobSpec], waiting: list[JobSpec]) -> str:
    """How long the step takes that looks for places, and how many tasks it places."""
    best, placed = float("inf"), 0
    for _ in range(3):
        crowd = Crowd(workers)
        if before:
            crowd.admit(before)
            crowd.step()
        crowd.admit(waiting)
        seconds, _ = timed(crowd.step)
        best, placed = min(best, seconds), crowd.placements()
    return f"{milliseconds(best)}, {placed:,} placed"


def _naive(workers: int, pending: int) -> float:
    """The seconds of asking, for each waiting task, whether it fits on each worker; none does."""
    need, free = Resources(cpu=2_000), [Resources(cpu=1_000)] * workers

    def ask() -> int:
        return sum(1 for _ in range(pending) for amount in free if fits(need, amount))

    return timed(ask)[0]


@dataclass(frozen=True, slots=True)
class Cost:
    """What turns cost while a number of tasks fit nowhere."""

    first_evaluations: int
    """Questions whether something fits, in the turn that first looks for places."""
    first_s: float
    turn_evaluations: int
    """The same, in a turn in which some room opens that is too small for them."""
    turn_s: float

    def __str__(self) -> str:
        """For the table."""
        return (
            f"first turn {self.first_evaluations} evaluations, {self.first_s * 1e6:,.0f} us;"
            f" each later one {self.turn_evaluations}, {self.turn_s * 1e6:,.0f} us"
        )


def measure_misfits(*, workers: int = 1_000, many: int = 10_000, turns: int = 200) -> list[Figure]:
    """What a turn costs when many equal tasks fit nowhere, beside one."""
    what = f"{many:,} identical tasks that fit nowhere"
    cost, beside = (misfit_cost(workers, count, turns) for count in (many, 1))
    return [Figure(what, "no dearer than one", str(cost), f"one: {beside}")]


def misfit_cost(workers: int, waiting: int, turns: int) -> Cost:
    """Every worker has one core that its smallest task gives back; whoever waits needs two."""
    crowd = Crowd(workers)
    crowd.step(*submissions(jobs(workers, cores=CORES - 1, users=1)))
    crowd.step(*submissions(jobs(workers, user="small", users=1)))
    crowd.run_all()
    crowd.admit(jobs(1, tasks=waiting, cores=2, user="misfit", users=1))
    books = crowd.controller.state.books
    before = books.evaluations
    first, _ = timed(crowd.step)
    looked = books.evaluations
    ends = crowd.reports(
        AttemptState.RUNNING, AttemptState.SUCCEEDED, EndCause.EXIT_ZERO, of="/small"
    )
    spans = [timed(partial(crowd.step, end))[0] for end in ends[:turns]]
    each = (books.evaluations - looked) // len(spans)
    return Cost(looked - before, first, each, statistics.median(spans))
