"""A cluster on this machine as a user meets it, beside Ray, Dask and Slurm: up, a job, a command, many jobs, idle."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from iris.cluster.types import Entrypoint, ResourceSpec
from tests.benchmarks import slurm
from tests.benchmarks.figures import Figure, milliseconds, timed
from tests.cluster.logs import proportional_mib
from tests.cluster.running import RunningCluster, until

_RAY: Final = Path(__file__).with_name("ray_run.py")
_DASK: Final = Path(__file__).with_name("dask_run.py")
_PROGRAM: Final = "import sys; from iris.cli.main import main; sys.exit(main())"
_SMALL: Final = ResourceSpec(cpu="0.1", memory="10MB")
_GROUP: Final = {"accelerator_type": "cpu", "vm": {"cpu": 8, "memory": "8GB"}}


@contextmanager
def cluster() -> Iterator[RunningCluster]:
    """A controller with one worker that has registered."""
    with tempfile.TemporaryDirectory(prefix="iris-live-") as folder:
        group = {**_GROUP, "min_slices": 1, "max_slices": 1}
        found = RunningCluster(Path(folder), scale_groups={"cpu": group})
        try:
            yield found
        finally:
            found.end()


def start(found: RunningCluster) -> None:
    """Start it, and wait for its worker."""
    found.start()
    until(lambda: [w.state for w in found.workers()] == ["healthy"])


def ours(*, calls: int, commands: int, jobs: int, ups: int, settle_s: float) -> dict[str, float]:
    """All figures of Iris."""
    spans = []
    for _ in range(ups):
        with cluster() as found:
            spans.append(timed(lambda: start(found))[0])
    with cluster() as found:
        start(found)
        with found.client() as client:
            number = iter(range(10**6))

            def call() -> None:
                job = client.submit(
                    Entrypoint.from_callable(int), f"call-{next(number)}", resources=_SMALL
                )
                assert job.result(60) == 0

            def many() -> None:
                submitted = [
                    client.submit(Entrypoint.from_command("true"), f"many-{n}", resources=_SMALL)
                    for n in range(jobs)
                ]
                assert all(job.wait(120).state == "succeeded" for job in submitted)

            def command() -> None:
                words = ["job", "run", f"--controller-url={found.url}", "--", "true"]
                subprocess.run(
                    [sys.executable, "-c", _PROGRAM, *words], check=True, capture_output=True
                )

            measured = {
                "up_s": statistics.median(spans),
                "call_s": _median(call, calls),
                "command_s": _median(command, commands),
                "jobs_per_s": jobs / timed(many)[0],
            }
        time.sleep(settle_s)
        assert found.process is not None
        pids = [found.process.pid, *found.worker_pids()]
        measured["idle_mib"] = sum(proportional_mib(pid) for pid in pids)
    return measured


def _median(work: Callable[[], None], repeats: int) -> float:
    return statistics.median(timed(work)[0] for _ in range(repeats))


def peer(python: Path, script: Path) -> dict[str, float]:
    """The figures of another system, by an interpreter that has it."""
    done = subprocess.run([str(python), str(script)], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


_LINES: Final = (
    ("local cluster up, its worker registered", "under 2 s", "up_s", (("up_s", "cluster"),)),
    (
        "submit to succeeded, no-op, process runtime, from Python",
        "under 100 ms",
        "call_s",
        (("job_s", "job"), ("task_s", "task")),
    ),
    (
        "`iris job run -- true`, whole command",
        "under 1 s",
        "command_s",
        (("command_s", "job submit"), ("run_s", "srun"), ("batch_s", "sbatch --wait")),
    ),
    (
        "no-op jobs, submitted together",
        "60 a second",
        "jobs_per_s",
        (
            ("jobs_per_s", "jobs, one by one"),
            ("tasks_per_s", "tasks"),
            ("array_per_s", "tasks of an array"),
        ),
    ),
    (
        "idle controller and worker, proportional set size",
        "under 150 MiB",
        "idle_mib",
        (("idle_mib", "cluster"),),
    ),
)
"""What, its target, the key of our figure, and those of the peers' with what they are of."""


def measure(  # noqa: PLR0913
    *,
    ray: Path | None = None,
    dask: Path | None = None,
    with_slurm: bool = False,
    calls: int = 30,
    commands: int = 7,
    jobs: int = 200,
    ups: int = 3,
    settle_s: float = 5.0,
) -> list[Figure]:
    """A line for each size, with what the peers took for theirs."""
    found = ours(calls=calls, commands=commands, jobs=jobs, ups=ups, settle_s=settle_s)
    peers: dict[str, dict[str, float]] = {}
    if ray is not None:
        peers["Ray"] = peer(ray, _RAY)
    if dask is not None:
        peers["Dask"] = peer(dask, _DASK)
    if with_slurm:
        peers["Slurm"] = slurm.measure(commands=commands, jobs=jobs, ups=ups, settle_s=settle_s)
    figures = []
    for what, target, key, others in _LINES:
        told = [
            f"{name} {word}: {_shown(theirs, measured[theirs])}"
            for name, measured in peers.items()
            for theirs, word in others
            if theirs in measured
        ]
        beside = "; ".join(told) or "no peer was named"
        figures.append(Figure(what, target, _shown(key, found[key]), beside))
    return figures


def _shown(key: str, number: float) -> str:
    if key.endswith("_per_s"):
        return f"{number:,.1f}/s"
    return f"{number:,.0f} MiB" if key.endswith("_mib") else milliseconds(number)
