"""Runs of a sweep as jobs of an Iris cluster: each run is one job of one task that needs one cpu.

Files travel as the jobs' workspace, once for all of them. Jobs run in the batch band, so that a sweep
waits for whatever is more urgent; a job that loses its machine runs again, with the same result. A
sweep that is interrupted stops its jobs.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from iris.client import IrisClient, Job, JobEnded, NotFinished
from iris.cluster.types import Entrypoint, ResourceSpec
from sim.packing import Folder
from sim.sweep import Executor, Lost, Outcome, Watch, lost_by
from sim.sweep_run import Unit, run_unit

_LOOK_S: Final = 0.5
"""How long an interrupt may wait to be heard."""

Connect = Callable[[Path | None], IrisClient]
"""A client of the cluster, with a workspace or without."""


def on_iris(connect: Connect, memory: str) -> Executor:
    """An executor whose runs are jobs of a cluster, each with so much memory.

    Raises:
        RemoteError: when run: the controller refuses, or has not answered for long.
    """

    def run(units: Sequence[Unit], files: Folder, watch: Watch) -> list[Outcome]:
        with connect(files.path if files.files else None) as client:
            return _Jobs(client, ResourceSpec(cpu=1, memory=memory), watch).run(units)

    return run


class _Jobs:
    """The jobs of one sweep."""

    def __init__(self, client: IrisClient, resources: ResourceSpec, watch: Watch) -> None:
        self._client = client
        self._resources = resources
        self._watch = watch
        self._stem = f"sweep-{time.time_ns() // 1_000_000:x}-{os.getpid():x}"
        self._jobs: list[Job] = []
        self._outcomes: list[Outcome] = []

    def run(self, units: Sequence[Unit]) -> list[Outcome]:
        try:
            for place, unit in enumerate(units):
                if self._watch.stop():
                    break
                self._jobs.append(self._submit(f"{self._stem}-{place}", unit))
            while len(self._outcomes) < len(self._jobs) and not self._watch.stop():
                self._look(self._jobs[len(self._outcomes)])
        finally:
            for job in self._jobs[len(self._outcomes) :]:
                job.terminate()
        return self._outcomes + [None] * (len(units) - len(self._outcomes))

    def _submit(self, name: str, unit: Unit) -> Job:
        return self._client.submit(
            Entrypoint.from_callable(run_unit, unit),
            name,
            resources=self._resources,
            band="batch",
        )

    def _look(self, job: Job) -> None:
        """Wait a little for the oldest job without outcome; those behind it end meanwhile."""
        try:
            self._outcomes.append(job.result(_LOOK_S))
        except NotFinished:
            return
        except JobEnded as error:
            self._outcomes.append(_lost(error))
        self._watch.ended(len(self._outcomes))


def _lost(error: JobEnded) -> Lost:
    """Of a job that ended otherwise: what its run raised, or what befell it."""
    if error.__cause__ is None:
        return Lost(str(error), error.status)
    found = lost_by(error.__cause__)
    return Lost(f"{error.job}: {found.why}", found.status, found.error)
