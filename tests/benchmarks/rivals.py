"""The same trace under strict first come first served by others: a bare loop, SimPy, and AccaSim.

The first two are ours and do nothing else: no cluster, no journal, no books. They say what the
simulated queue alone costs. AccaSim is another simulator of whole clusters, run by an interpreter
that has it.
"""

import gzip
import json
import shutil
import subprocess
from collections import deque
from collections.abc import Generator
from heapq import heappop, heappush
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import simpy

from sim.traces import TraceJobs
from tests.benchmarks.figures import Clocks

_SCRIPT: Final = Path(__file__).with_name("accasim_run.py")


def by_heap(jobs: TraceJobs, cores: int) -> list[int]:
    """The wait of each job in milliseconds, by the shortest loop there is."""
    ends: list[tuple[int, int]] = []
    waits: list[int] = []
    free = cores * 1_000
    start = 0
    for at, span, width in zip(jobs.submit_ms, jobs.run_ms, jobs.width_milli, strict=True):
        start = max(start, at)
        while ends and (ends[0][0] <= start or free < width):
            end, given = heappop(ends)
            start = max(start, end)
            free += given
        free -= width
        heappush(ends, (start + span, width))
        waits.append(start - at)
    return waits


class _Queue:
    """A machine with some cores, and who waits for them in order of arrival."""

    def __init__(self, env: simpy.Environment, cores: int) -> None:
        self.env = env
        self.free = cores * 1_000
        self.waiting: deque[tuple[int, simpy.Event]] = deque()

    def ask(self, width: int) -> simpy.Event:
        """An event that happens when the cores are this job's."""
        mine = self.env.event()
        self.waiting.append((width, mine))
        self._serve()
        return mine

    def give_back(self, width: int) -> None:
        """The job has ended."""
        self.free += width
        self._serve()

    def _serve(self) -> None:
        while self.waiting and self.waiting[0][0] <= self.free:
            width, event = self.waiting.popleft()
            self.free -= width
            event.succeed()


def by_simpy(jobs: TraceJobs, cores: int) -> list[int]:
    """The same waits, by one SimPy process for each job."""
    env = simpy.Environment()
    queue = _Queue(env, cores)
    waits = [0] * len(jobs)

    def job(number: int) -> Generator[simpy.Event, None, None]:
        asked = int(env.now)
        yield queue.ask(jobs.width_milli[number])
        waits[number] = int(env.now) - asked
        yield env.timeout(jobs.run_ms[number])
        queue.give_back(jobs.width_milli[number])

    def submit() -> Generator[simpy.Event, None, None]:
        for number, at in enumerate(jobs.submit_ms):
            yield env.timeout(at - int(env.now))
            env.process(job(number))

    env.process(submit())
    env.run()
    return waits


def by_accasim(python: Path, trace: Path, cores: int, *, plan: bool) -> tuple[Clocks, float]:
    """How long AccaSim takes for the trace, and its mean wait in seconds.

    One node has all the cores, which is its quickest way; `plan` has it write each dispatch to a
    file, as it does unless told otherwise.
    """
    with TemporaryDirectory() as folder:
        workload = Path(folder) / "trace.swf"
        raw = trace.read_bytes()
        workload.write_bytes(gzip.decompress(raw) if trace.suffix == ".gz" else raw)
        # It writes its plan beside the script that runs it.
        script = shutil.copy(_SCRIPT, folder)
        done = subprocess.run(
            [str(python), script, str(workload), str(cores), "plan" if plan else "bare"],
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
        )
    said = json.loads(done.stdout.splitlines()[-1])
    return Clocks(float(said["wall_s"]), float(said["cpu_s"])), float(said["mean_wait_s"])
