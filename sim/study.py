"""A study: the same scenario under seeds that follow each other, in several processes.

Each run is a function of the scenario and its seed alone, and results are handed back in order of
the seeds, so the number of processes changes nothing but the time it takes. An interrupt reaches
the runs through a shared flag: those under way end early and are marked partial, those not begun
are left out, and no process stays behind.
"""

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from ctypes import c_bool
from dataclasses import dataclass, replace
from typing import Protocol

from sim.measure import Measures
from sim.model import Scenario
from sim.results import summarize

POLL_S = 0.2
"""How long an interrupt may wait to be passed on."""


class Simulate(Protocol):
    """What runs a scenario: `sim.run.simulate`."""

    def __call__(
        self,
        scenario: Scenario,
        *,
        stop: Callable[[], bool] | None = None,
    ) -> Measures:
        """The rows of a run, which ends early and partial once `stop` says so."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a study."""

    results: dict[str, object]
    measures: Measures | None  # None: its rows were not asked for


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be run, and how."""

    scenario: Scenario
    replications: int
    processes: int
    keep_rows: bool
    simulate: Simulate


class RunLost(Exception):
    """A process ended without an answer; the system may have run out of memory."""


def run_study(
    plan: Plan, *, stop: Callable[[], bool], finished: Callable[[int], None] | None = None
) -> list[Run]:
    """The runs in order of their seeds; fewer than planned, or partial ones, when stopped.

    `finished` is told the number of runs that have ended each time that it grows.
    """
    first = plan.scenario.seed
    scenarios = [replace(plan.scenario, seed=first + i) for i in range(plan.replications)]
    if min(plan.processes, plan.replications) > 1:
        return _in_processes(plan, scenarios, stop, finished)
    runs: list[Run] = []
    for scenario in scenarios:
        if stop():
            break
        runs.append(_run(plan, scenario, stop))
        if finished is not None:
            finished(len(runs))
    return runs


def _run(plan: Plan, scenario: Scenario, stop: Callable[[], bool]) -> Run:
    measures = plan.simulate(scenario, stop=stop)
    results = summarize(measures, scenario.expect)
    return Run(results, measures if plan.keep_rows else None)


def _in_processes(
    plan: Plan,
    scenarios: Sequence[Scenario],
    stop: Callable[[], bool],
    finished: Callable[[int], None] | None,
) -> list[Run]:
    processes = min(plan.processes, len(scenarios))
    # Spawned, for a fork would copy whatever threads and locks the caller has.
    context = multiprocessing.get_context("spawn")
    flag = context.RawValue(c_bool)
    with ProcessPoolExecutor(processes, context, obey, (flag,)) as pool:
        futures = [pool.submit(_run_here, plan, scenario) for scenario in scenarios]
        try:
            _await_all(futures, stop, finished)
            flag.value = True
            _cancel(futures)
            ended = [future.result() for future in futures if not future.cancelled()]
        except BrokenProcessPool as error:
            raise RunLost(f"one of {processes} processes ended without an answer") from error
        finally:
            # Whatever brought us here, nobody waits for further results.
            flag.value = True
            _cancel(futures)
    return [run for run in ended if run is not None]


def _await_all(
    futures: Sequence[Future[Run | None]],
    stop: Callable[[], bool],
    finished: Callable[[int], None] | None,
) -> None:
    """Return when all runs have ended or all shall stop; a run that fails fails the study now."""
    pending = set(futures)
    while pending and not stop():
        done, pending = wait(pending, timeout=POLL_S, return_when=FIRST_COMPLETED)
        for future in sorted(done, key=futures.index):
            future.result()
        if done and finished is not None:
            finished(len(futures) - len(pending))


def _cancel(futures: Sequence[Future[Run | None]]) -> None:
    for future in futures:
        future.cancel()


_flags: list[c_bool] = []
"""In a process of a study: the flag that says stop, once it has begun."""


def obey(flag: c_bool) -> None:
    """In a new process: the one who started it hears Ctrl-C, and passes it on by the flag."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _flags.append(flag)


def is_told_to_stop() -> bool:
    """In a process that obeys a flag: what it says."""
    (flag,) = _flags
    return flag.value


def _run_here(plan: Plan, scenario: Scenario) -> Run | None:
    """In a process of a study: one run, or None when all was over before it began."""
    return None if is_told_to_stop() else _run(plan, scenario, is_told_to_stop)
