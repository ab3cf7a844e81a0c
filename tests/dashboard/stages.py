"""What tests look at: a simulated fleet with all that can happen to one, and any state of the core, standing still."""

import asyncio
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final

import yaml
from starlette.testclient import TestClient

from iris.core.ids import GroupName, JobId, SliceId, TaskId, WorkerId
from iris.core.instant import Instant
from iris.core.record import Turn
from iris.core.state import ClusterState
from iris.core.timeline import Chapter, Happening, happenings
from iris.core.timeline import Subject as Timed
from iris.dashboard.app import Dashboard
from iris.dashboard.recent import Recent
from iris.dashboard.subject import CallRow, Door, Kind, Refusal, Simulation, Viewer
from sim.on_stage import OwnMachine, Stage
from sim.run import world_of
from sim.scenario import load_scenario

KEY: Final = b"k" * 32
LONG: Final = "a-name-of-" + "very-" * 6 + "many"
"""As long as a name may be, nearly."""

FLEET: Final[dict[str, object]] = {
    "name": "<script>alert(1)</script> & fleet",
    "seed": 3,
    "duration": "12h",
    "cluster": {
        "scale_groups": {
            "tpu": {
                "accelerator_type": "v5litepod-16",
                "max_slices": 2,
                "preemptible": True,
                "zones": ["us-a"],
                "price_per_hour": 9.6,
            },
            "scarce": {"accelerator_type": "v5litepod-8", "max_slices": 4, "zones": ["us-b"]},
            "cpu": {
                "accelerator_type": "cpu",
                "vm": {"cpu": 16, "memory": "64GB"},
                "min_slices": 1,
                "max_slices": 3,
                "price_per_hour": 0.6,
            },
        },
        "autoscaler": {"idle_timeout": "10m"},
    },
    "cloud": {
        "boot": {"constant": "150s"},
        "lifetime": {"exponential": {"mean": "3h"}},
        "capacity": {"us-b": [["0s", 0]]},
    },
    "workload": [
        {
            "name": "train",
            "user": "alice",
            "arrivals": {"every": "20m"},
            "count": 30,
            "replicas": 4,
            "coscheduled": True,
            "resources": {"cpu": 8, "memory": "32GB", "tpu": "v5litepod-16"},
            "run_time": {"constant": "1h"},
        },
        {
            "name": "stuck",
            "user": "bob",
            "arrivals": {"at": ["1h"]},
            "resources": {"cpu": 1, "memory": "1GB", "tpu": "v5litepod-8"},
            "run_time": {"constant": "1h"},
        },
        {
            "name": LONG,
            "user": "carol",
            "band": "batch",
            "arrivals": {"every": "2m"},
            "count": 150,
            "resources": {"cpu": 4, "memory": "8GB"},
            "run_time": {"constant": "20m"},
        },
        {
            "name": "late",
            "user": "bob",
            "arrivals": {"every": "3h"},
            "count": 4,
            "resources": {"cpu": 1, "memory": "1GB"},
            "run_time": {"constant": "1h"},
            "timeout": "10m",
        },
    ],
}
TRAIN: Final = "/alice/train-12"
STUCK: Final = "/bob/stuck-0"


def stage_of(
    folder: Path, scenario: Mapping[str, object], *, hours: float = 0, runs: Path | None = None
) -> Stage:
    """A simulation on show, as it is after so many hours."""
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump(dict(scenario)))
    world = world_of(load_scenario(path))
    stage = Stage(world, 0, runs)
    stage.advance(int(hours * 3_600_000))
    return stage


class Still:
    """Any state of the core as a dashboard's subject; nothing can be asked of it."""

    def __init__(self, state: ClusterState, turns: Sequence[Turn] = ()) -> None:
        """At the state's own present, which these turns have led to."""
        self._turns = list(enumerate(turns, start=1))
        self.kind = Kind.LIVE
        self.name = "still"
        self.started_at = Instant(0)
        self.state = state
        self.turns = 1
        self.recent = Recent()
        self.simulation: Simulation | None = None
        self.runs: Path | None = None
        self.watching: list[asyncio.Event] = []

    @property
    def changes(self) -> int:
        return self.turns

    def now(self) -> Instant:
        return self.state.now

    def spent(self) -> Mapping[GroupName, int]:
        return self.recent.costs.spent(self.state, self.now())

    def watch(self) -> asyncio.Event:
        self.watching.append(asyncio.Event())
        return self.watching[-1]

    def unwatch(self, changed: asyncio.Event) -> None:
        self.watching.remove(changed)

    async def history(self, subject: Timed, before: int, limit: int) -> Chapter:
        told = [it for it in happenings(self._turns, subject) if not before or it.turn < before]
        page = tuple(told[-limit:])
        return Chapter(page, page[0].turn if len(told) > limit else 0, 1, Instant(0))

    async def latest(self, subject: Timed, limit: int) -> Sequence[Happening]:
        return (await self.history(subject, 0, limit)).happenings

    async def command(self, job: JobId) -> str:
        return f"run {job}"

    def calls(self) -> Sequence[CallRow]:
        return ()

    async def facts(self) -> Mapping[str, str]:
        return {}

    async def log(self, task: TaskId, attempt: int, viewer: Viewer) -> Path | None:
        del task, attempt, viewer
        return None

    async def machine_log(self, slice_: SliceId, host: int, viewer: Viewer) -> bytes:
        raise Refusal(HTTPStatus.NOT_FOUND, f"host {host} of {slice_} says nothing to {viewer}")

    def why_not_stop(self, job: JobId, viewer: Viewer) -> str:
        del job, viewer
        return "it stands still"

    def why_not_operate(self, viewer: Viewer) -> str:
        del viewer
        return "it stands still"

    async def stop_job(self, job: JobId, viewer: Viewer) -> None:
        raise AssertionError(job, viewer)

    async def drain_worker(self, worker: WorkerId, viewer: Viewer, *, resume: bool) -> None:
        raise AssertionError(worker, viewer, resume)

    async def terminate_slice(self, slice_: SliceId, viewer: Viewer) -> None:
        raise AssertionError(slice_, viewer)


def browser_of(subject: Stage | Still, door: Door | None = None) -> TestClient:
    """Whoever looks at a subject from this machine, without a browser."""
    app = Dashboard(subject, door or OwnMachine(KEY)).app
    return TestClient(app, base_url="http://localhost", follow_redirects=False)
