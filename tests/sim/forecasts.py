"""How good forecasts are: asked at many instants of a run, and held against what then really happened.

`python -m tests.sim.forecasts` prints the table of docs/forecasts.md; `--real` adds the logs that lie
beside the checkout. Each row is one world. Every instant stands in the second half of the time in which
jobs come, so that there is a past to learn from, and before the last eighth, since no cluster knows
that nobody will come any more.
"""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Final

from iris.core.explain import why_waiting
from iris.core.ids import JobId
from iris.core.instant import DAY, MINUTE, Instant
from iris.core.lifecycle import JobState
from iris.core.snapshot import copy_state
from iris.core.state import ClusterState
from sim.dice import Dice
from sim.forecast import Forecast, Question, forecast
from sim.measure import JobRow
from sim.model import Scenario
from sim.run import finish, world_of
from sim.workload import arrivals
from sim.world import World
from tests.sim.real_traces import DATA
from tests.sim.watch import scenario_of

MOMENTS: Final = 20
"""Instants at which forecasts are made, in one world."""
JOBS: Final = 2
"""Waiting jobs that are asked for at each of them, from the whole length of the queue."""
FUTURES: Final = 30
SEEDS: Final = (1, 2, 3)
"""Of drawn worlds; a log is what it is."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One forecast, and the truth."""

    truth: int | None  # None: it did not start in the whole run
    """Milliseconds from the question to the start."""
    naive: float
    told: Forecast

    @property
    def side(self) -> int:
        """Whether the truth lies in the range (0), before it (-1) or after it (1)."""
        low, high = self.told.wait(10), self.told.wait(90)
        if low is not None and self.truth is not None and self.truth < low:
            return -1
        return int(high is not None and (self.truth is None or self.truth > high))


def waiting(state: ClusterState) -> list[JobId]:
    """Jobs that have not run yet, the oldest first."""
    return [
        job.id
        for job in sorted(state.jobs.values(), key=lambda j: j.number)
        if job.state is JobState.PENDING and not any(task.attempts for task in job.tasks)
    ]


def moments(scenario: Scenario, count: int) -> list[Instant]:
    """So many instants at which a job came and something waits, from the whole of the time asked about."""
    ats = [arrival.at for arrival in arrivals(scenario, Dice(scenario.seed))]
    world = world_of(scenario)
    found: list[Instant] = []
    for at in dict.fromkeys(ats[len(ats) // 2 : len(ats) * 7 // 8]):
        run_to(world, at)
        if waiting(world.controller.state):
            found.append(at)
    step = max(1, -(-len(found) // count))
    return found[::step]


def run_to(world: World, at: Instant) -> None:
    """Let everything happen up to an instant, and at it."""
    while world.goes_on() and world.clock.env.peek() <= at:
        world.clock.step()


def questions(
    scenario: Scenario, count: int, jobs: int
) -> Iterator[tuple[Instant, ClusterState, list[JobId]]]:
    """States of a run, with jobs that wait in them, from the whole length of the queue."""
    ats = moments(scenario, count)
    world = world_of(scenario)
    for at in ats:
        run_to(world, at)
        state = world.controller.state
        names = waiting(state)
        yield at, copy_state(state), names[:: max(1, -(-len(names) // jobs))]


def naive(state: ClusterState, job: JobId, at: Instant) -> float:
    """What one reckons on the back of an envelope: the queue, times the mean run time, by the servers."""
    ran = [
        attempt.ended_at - attempt.started_at
        for other in state.jobs.values()
        for task in other.tasks
        for attempt in task.attempts
        if attempt.ended_at is not None and attempt.started_at is not None
    ]
    running = sum(len(worker.attempts) for worker in state.workers.values())
    queue = why_waiting(state, job, at).queue
    return (
        (queue.ahead + 1 if queue is not None else 1)
        * (fmean(ran) if ran else 0.0)
        / max(1, running)
    )


def study(
    scenario: Scenario, count: int = MOMENTS, jobs: int = JOBS, futures: int = FUTURES
) -> list[Asked]:
    """Every forecast of a world."""
    truths: Mapping[str, JobRow] = finish(world_of(scenario)).jobs
    found: list[Asked] = []
    for at, state, names in questions(scenario, count, jobs):
        for job in names:
            start = truths[job].first_running
            truth = None if start is None else start - at
            told = forecast(Question(state, job, at, futures, seed=len(found)))
            found.append(Asked(truth, naive(state, job, at), told))
    return found


# ---- the worlds ---------------------------------------------------------------------------------


def _machines(count: int, cpu: int = 4, **keys: object) -> dict[str, object]:
    shape = {"accelerator_type": "cpu", "vm": {"cpu": cpu, "memory": "4096GB"}}
    return {"cpu": {**shape, "min_slices": count, "max_slices": count, **keys}}


def _stream(name: str, rate: str, count: int, **keys: object) -> dict[str, object]:
    plain = {"name": name, "user": name, "arrivals": {"poisson": {"rate": rate}}, "count": count}
    run = {"lognormal": {"median": "30m", "sigma": 1.0}}
    return {**plain, "resources": {"cpu": 4, "memory": "1GB"}, "run_time": run, **keys}


QUEUE: Final = {
    "cluster": {
        "scale_groups": _machines(8),
        "scheduler": {"order": "fifo", "backfill": "none"},
    },
    "workload": [_stream("ann", "9.2/h", 500)],
}
FAIR: Final = {
    "cluster": {"scale_groups": _machines(8)},
    "workload": [
        _stream("ann", "4/h", 240),
        _stream("bea", "2/h", 120, run_time={"lognormal": {"median": "40m", "sigma": 0.4}}),
        _stream("cyd", "0.5/h", 30, band="production"),
        _stream("dan", "1.5/h", 90, band="batch"),
    ],
}
SPOT: Final = {
    "cluster": {
        "scale_groups": {
            "pod": {"accelerator_type": "v5litepod-16", "max_slices": 6, "preemptible": True}
        },
    },
    "cloud": {
        "boot": {"lognormal": {"median": "4m", "sigma": 0.5}},
        "lifetime": {"exponential": {"mean": "5h"}},
        "bulk": {"mean": 2, "max": 4},
        "scarcity": {"exponential": {"mean": "40m"}},
    },
    "workload": [
        _stream(
            name,
            rate,
            count,
            replicas=4,
            coscheduled=True,
            resources={"cpu": 8, "memory": "4GB", "tpu": "v5litepod-16"},
            run_time={"lognormal": {"median": "2h", "sigma": 0.7}},
            checkpoint={"every": "10m"},
        )
        for name, rate, count in (("ann", "1/h", 100), ("bea", "0.6/h", 60))
    ],
}


NASA: Final = "jobs/NASA-iPSC-1993-3.1-cln.swf.gz"
PHILLY: Final = "jobs/philly_82k.csv.gz"
REAL: Final[Mapping[str, tuple[str, Mapping[str, object]]]] = {
    "NASA iPSC, 3,000 jobs at 1.7 times the load": (
        NASA,
        {
            "cluster": {
                "scale_groups": _machines(1, 128),
                "scheduler": {"order": "fifo", "backfill": "none"},
            },
            "workload": [
                {
                    "name": "jobs",
                    "trace": {
                        "file": str(DATA / NASA),
                        "format": "swf",
                        "limit": 3_000,
                        "time_scale": 0.6,
                    },
                }
            ],
        },
    ),
    "Philly, 6,000 jobs on 200 GPUs": (
        PHILLY,
        {
            "cluster": {"scale_groups": _machines(1, 200)},
            "workload": [
                {
                    "name": "jobs",
                    "trace": {
                        "file": str(DATA / PHILLY),
                        "format": "csv",
                        "columns": {"cpu": "num_gpus", "user": "vc"},
                        "limit": 6_000,
                    },
                }
            ],
        },
    ),
}
SIMULATED: Final[Mapping[str, Mapping[str, object]]] = {
    "one queue, 8 machines, FIFO": QUEUE,
    "three bands and fair shares": FAIR,
    "gangs on spot slices that run dry": SPOT,
}


def row(name: str, asked: list[Asked]) -> str:
    """A world in a line of the table."""
    started = [a for a in asked if a.truth is not None]
    sides = [a.side for a in asked]

    def minutes(values: list[float]) -> str:
        return f"{median(values) / MINUTE:,.1f}" if values else "-"

    waits = [float(a.truth or 0) for a in started]
    errors = [abs(float(a.told.wait(50) or 30 * DAY) - (a.truth or 0)) for a in started]
    naives = [abs(a.naive - (a.truth or 0)) for a in started]
    within = sides.count(0) / len(sides)
    cells = (
        name,
        f"{len(asked)}",
        minutes(waits),
        f"{within:.0%}",
        f"{sides.count(-1) / len(sides):.0%}",
        f"{sides.count(1) / len(sides):.0%}",
        minutes(errors),
        minutes(naives),
    )
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table."""
    sys.stdout.write(
        "| world | forecasts | median wait | in the range | before | after | error | naive |\n"
    )
    sys.stdout.write("|---|---|---|---|---|---|---|---|\n")
    worlds: dict[str, Mapping[str, object]] = dict(SIMULATED)
    if "--real" in sys.argv:
        worlds |= {name: world for name, (file, world) in REAL.items() if (DATA / file).is_file()}
    only = [word for word in sys.argv[1:] if not word.startswith("-")]
    for name, sections in worlds.items():
        if only and not any(word in name for word in only):
            continue
        found: list[Asked] = []
        with tempfile.TemporaryDirectory() as folder:
            for seed in SEEDS if name in SIMULATED else (1,):
                found += study(scenario_of(Path(folder), sections, seed=seed))
        sys.stdout.write(row(name, found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
