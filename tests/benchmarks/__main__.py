"""Prints the table of all figures, or of those that are named: `python -m tests.benchmarks --help`.

Each program runs in a process of its own, one after the other, between two calibration loops.
"""

import argparse
import multiprocessing
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from tests.benchmarks import (
    actors,
    dashboard,
    filling,
    fleet,
    live,
    memory,
    placement,
    pools,
    recovery,
    reporting,
    restart,
    slurm,
    startup,
    trace_speed,
)
from tests.benchmarks.figures import Benchmark, Figure, run, table


def benchmarks(
    trace: Path = trace_speed.TRACE,
    accasim: Path | None = None,
    ray: Path | None = None,
    dask: Path | None = None,
    *,
    with_slurm: bool = False,
) -> Mapping[str, Benchmark]:
    """Every program at its full size, by name."""
    return {
        "trace": partial(trace_speed.measure, trace=trace, accasim=accasim),
        "fleet": fleet.measure,
        "placement": placement.measure,
        "misfits": placement.measure_misfits,
        "fill": filling.measure,
        "dispatch": filling.measure_dispatches,
        "recovery": recovery.measure,
        "restart": restart.measure,
        "memory": memory.measure,
        "help": startup.measure,
        "live": partial(live.measure, ray=ray, dask=dask, with_slurm=with_slurm),
        "actors": partial(actors.measure, ray=ray, dask=dask),
        "pool": partial(pools.measure, ray=ray, dask=dask),
        "reporting": reporting.measure,
        "dashboard": dashboard.measure,
    }


def main(arguments: Sequence[str]) -> None:
    """Run what was asked for and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(benchmarks())}")
    parser.add_argument("--trace", type=Path, default=trace_speed.TRACE, help="the NASA log")
    parser.add_argument("--accasim", type=Path, help="a Python that has AccaSim 1.1.3")
    parser.add_argument("--ray", type=Path, help="a Python that has ray[default]")
    parser.add_argument("--dask", type=Path, help="a Python that has dask[distributed]")
    parser.add_argument("--slurm", action="store_true", help="Slurm, from Debian's packages, too")
    asked = parser.parse_args(arguments)
    known = benchmarks(asked.trace, asked.accasim, asked.ray, asked.dask, with_slurm=asked.slurm)
    unknown = sorted(set(asked.names) - known.keys())
    if unknown:
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(known)}")
    if asked.slurm and (missing := slurm.lacking()):
        parser.error(missing)
    rows: list[tuple[Figure, float]] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as alone:
        for name in asked.names or known:
            sys.stderr.write(f"{name} ...\n")
            rows += alone.submit(run, known[name]).result()
    sys.stdout.write(f"Python {platform.python_version()}, {os.cpu_count()} processors\n\n")
    sys.stdout.write(table(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
