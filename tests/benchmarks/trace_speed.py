"""Simulated jobs per second: a real trace under strict first come first served."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Final

from sim.model import Scenario, Trace, TraceUnit
from sim.results import queue_waits
from sim.run import simulate
from sim.scenario import load_scenario
from sim.traces import TraceJobs, read_jobs
from tests.benchmarks.figures import Clocks, Figure, clocked
from tests.benchmarks.rivals import by_accasim, by_heap, by_simpy

SCENARIO: Final = Path(__file__).parents[2] / "scenarios" / "nasa.yaml"
NASA: Final = "NASA-iPSC-1993-3.1-cln.swf.gz"
TRACE: Final = Path(__file__).parents[3] / "shared" / "data" / "jobs" / NASA
CORES: Final = 128

WHAT: Final = "simulated jobs per second, strict FIFO, NASA trace"
TARGET: Final = "5,000, aim 10,000"

IRIS: Final = "Iris"
HEAP: Final = "bare heap loop"
SIMPY: Final = "SimPy, a process per job"
ACCASIM: Final = "AccaSim"
ACCASIM_PLAN: Final = "AccaSim, its plan written out"


class Race:
    """Runs of the same trace by several, with the best time of each and what they found."""

    def __init__(self, trace: Path, limit: int | None) -> None:
        self.trace = trace
        self.jobs = _first(read_jobs(Trace(trace, "swf", TraceUnit.CPU, {}, 8)), limit)
        self.scenario = _scenario(trace, limit)
        self.best: dict[str, Clocks] = {}
        self.mean_wait_s: dict[str, float] = {}

    def run_ours(self) -> None:
        """One run of Iris, and one of each loop of our own."""
        span, measures = clocked(lambda: simulate(self.scenario))
        self._note(IRIS, span, fmean(queue_waits(measures.jobs.values())) / 1_000)
        for name, rival in ((HEAP, by_heap), (SIMPY, by_simpy)):
            span, waits = clocked(partial(rival, self.jobs, CORES))
            self._note(name, span, fmean(waits) / 1_000)

    def run_accasim(self, python: Path) -> None:
        """One run of AccaSim in each way."""
        for name, plan in ((ACCASIM, False), (ACCASIM_PLAN, True)):
            self._note(name, *by_accasim(python, self.trace, CORES, plan=plan))

    def _note(self, name: str, span: Clocks, mean_wait_s: float) -> None:
        before = self.best.get(name, span)
        self.best[name] = Clocks(*map(min, zip(span, before, strict=True)))
        self.mean_wait_s[name] = mean_wait_s

    def told(self, name: str) -> str:
        """Jobs per second on the wall, and per second of a processor."""
        wall, cpu = (len(self.jobs) / span for span in self.best[name])
        return f"{wall:,.0f} ({cpu:,.0f})"


def measure(
    *,
    trace: Path = TRACE,
    limit: int | None = None,
    repeats: int = 3,
    accasim: Path | None = None,
) -> list[Figure]:
    """The best of some runs of each, in turn, so that a noisy moment hits them all.

    In brackets stand jobs per second of a processor, which a busy machine distorts less.

    Args:
        trace: the log, in the standard workload format.
        limit: of the trace, take only the first rows.
        repeats: how often everybody runs.
        accasim: an interpreter that has AccaSim; without one it does not take part.
    """
    if not trace.is_file():
        return [Figure(WHAT, TARGET, "skipped", f"needs ../shared/data/jobs/{NASA}, absent here")]
    race = Race(trace, limit)
    for _ in range(repeats):
        race.run_ours()
        if accasim is not None and limit is None:
            race.run_accasim(accasim)
    others = "; ".join(f"{name} {race.told(name)}" for name in race.best if name != IRIS)
    found = sorted({f"{wait:.2f}" for wait in race.mean_wait_s.values()})
    beside = f"{others}; mean wait in all: {' and '.join(found)} s"
    return [Figure(WHAT, TARGET, race.told(IRIS), beside)]


def _scenario(trace: Path, limit: int | None) -> Scenario:
    overrides = [f"workload.jobs.trace.file={trace}"]
    if limit is not None:
        overrides.append(f"workload.jobs.trace.limit={limit}")
    return load_scenario(SCENARIO, overrides=overrides)


def _first(jobs: TraceJobs, limit: int | None) -> TraceJobs:
    return replace(
        jobs,
        submit_ms=jobs.submit_ms[:limit],
        run_ms=jobs.run_ms[:limit],
        width_milli=jobs.width_milli[:limit],
        users=jobs.users[:limit],
    )
