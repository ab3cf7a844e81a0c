"""Runs AccaSim 1.1.3 over a trace and says how long it took; for an interpreter that has AccaSim.

It is older than Python 3.10 and NumPy 1.24, which dropped names that it uses: they are put back.
Usage: accasim_run.py TRACE CORES plan|bare
"""

import collections
import collections.abc
import importlib
import json
import sys
import time
from pathlib import Path


def _bring_back_old_names() -> None:
    for name in ("Callable", "Hashable", "Iterable", "Mapping", "MutableMapping", "Sequence"):
        setattr(collections, name, getattr(collections.abc, name))
    numpy = importlib.import_module("numpy")
    for kind in (bool, float, int, object, str):
        if kind.__name__ not in vars(numpy):
            setattr(numpy, kind.__name__, kind)


def main(trace: str, cores: int, *, plan: bool) -> None:
    """Simulate the trace on one node under strict first in first out."""
    _bring_back_old_names()
    simulator_class = importlib.import_module("accasim.base.simulator_class")
    scheduler_class = importlib.import_module("accasim.base.scheduler_class")
    allocator_class = importlib.import_module("accasim.base.allocator_class")
    config = Path("system.json")
    config.write_text(
        json.dumps(
            {
                "groups": {"node": {"core": cores}},
                "resources": {"node": 1},
                "equivalence": {"processor": {"core": 1}},
            }
        )
    )
    began, worked = time.perf_counter(), time.process_time()
    simulator = simulator_class.Simulator(
        trace,
        str(config),
        scheduler_class.FirstInFirstOut(allocator_class.FirstFit()),
        scheduling_output=plan,
        pprint_output=False,
        statistics_output=False,
        show_statistics=False,
    )
    simulator.start_simulation()
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - worked
    waits = simulator.mapper.wtimes
    said = {"wall_s": wall_s, "cpu_s": cpu_s, "mean_wait_s": sum(waits) / len(waits)}
    sys.stdout.write("\n" + json.dumps(said) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), plan=sys.argv[3] == "plan")
