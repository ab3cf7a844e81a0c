"""A scenario without content, and stand-ins for the simulator that only a study can tell apart.

They live in a module of their own, since the processes of a study import them by name.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

from iris.core.instant import Millis
from iris.core.spec import ClusterSpec
from sim.expect import parse_expectation
from sim.measure import Measures
from sim.model import CloudModel, Scenario
from tests.sim.example_run import at, example


def example_scenario(*expectations: str) -> Scenario:
    """The scenario that `example` would be a run of."""
    return Scenario(
        name="example",
        seed=7,
        duration=None,
        warm_up=Millis(0),
        cluster=ClusterSpec(),
        cloud=CloudModel(),
        workload=(),
        faults=(),
        expect=tuple(parse_expectation(text, ["tpu", "cpu", "spare"]) for text in expectations),
        path=Path("example.yaml"),
        config_hash="c0ffee" * 10,
    )


def quick(scenario: Scenario, *, stop: Callable[[], bool] | None = None) -> Measures:
    """The example, with a wait that depends on the seed; later seeds take less work to get to."""
    assert stop is not None
    sum(range(300_000 * (10 - scenario.seed % 10)))
    measures = example()
    measures.seed, measures.digest = scenario.seed, f"{scenario.seed:04x}"
    measures.jobs["/bob/etl"].first_running = at(65 + scenario.seed)
    measures.partial = stop()
    return measures


def endless(scenario: Scenario, *, stop: Callable[[], bool] | None = None) -> Measures:
    """Says by a file at the scenario's path that it has begun, and runs until it is stopped.

    It gives up by itself after a minute, which no test waits for.
    """
    assert stop is not None
    scenario.path.touch()
    began = time.monotonic()
    while not stop() and time.monotonic() < began + 60:
        pass
    measures = example()
    measures.seed, measures.partial = scenario.seed, stop()
    return measures


def dying(scenario: Scenario, *, stop: Callable[[], bool] | None = None) -> Measures:
    """Ends its process under seed 8 as the system does when memory runs out."""
    if scenario.seed == 8:
        os._exit(9)
    return quick(scenario, stop=stop)


def broken(scenario: Scenario, *, stop: Callable[[], bool] | None = None) -> Measures:
    """Fails for one seed as a bug would; the other runs are endless."""
    if scenario.seed == 8:
        raise RuntimeError("a bug under seed 8")
    return endless(scenario, stop=stop)
