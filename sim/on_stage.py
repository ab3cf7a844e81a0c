"""A simulation that can be looked at while it runs: its world, stepped in an event loop at a chosen speed.

Between two steps nobody is half through anything, so that pages read the very state that the next
turn begins with. Looking changes nothing; whoever acts on a page meddles, which is counted.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Final

from iris.core import events as ev
from iris.core.ids import GroupName, JobId, RequestId, SliceId, TaskId, UserName, WorkerId
from iris.core.instant import Instant, Millis
from iris.core.recorded import completed
from iris.core.state import ClusterState
from iris.core.timeline import Chapter, Happening
from iris.core.timeline import Subject as Timed
from iris.dashboard.recent import Recent
from iris.dashboard.subject import CallRow, Kind, Refusal, Viewer
from iris.units import format_duration
from sim.annals import Annals
from sim.measure import Measures
from sim.results import group_costs
from sim.world import World

SLICE_S: Final = 0.01
"""Wall time that steps may take before pages have their turn."""
REST_S: Final = 0.05
"""How often a simulation that waits for its time looks whether it has come."""


class OwnMachine:
    """Whoever is on this machine may look and act; nobody else is served."""

    def __init__(self, key: bytes) -> None:
        """Forms are sealed with a key."""
        self.key = key
        self.is_open = True

    def viewer(self, token: str) -> Viewer:
        """Anybody."""
        del token
        return Viewer(None, is_admin=True)

    def known(self, user: UserName) -> Viewer | None:
        """Nobody has a name here."""
        del user
        return None

    def proof(self, viewer: Viewer) -> str:
        """Nothing has to be proved."""
        del viewer
        return ""


class Stage:
    """A world on show: the dashboard's subject, and its simulation."""

    def __init__(self, world: World, speed: float | None, runs: Path | None) -> None:
        """At the world's begin.

        Args:
            world: what is simulated.
            speed: simulated seconds in a second; 0: it rests; None: as fast as it goes.
            runs: where the folders of finished runs are.
        """
        self.kind = Kind.SIMULATION
        self.name = world.scenario.name
        self.started_at = world.clock.now
        self.recent = Recent()
        self.simulation = self
        self.runs = runs
        self.speed = speed
        self.touched = 0
        self._asides = 0
        self._is_closed = False
        self._world = world
        self._annals = Annals()
        self._changed: list[asyncio.Event] = []
        self._wake = asyncio.Event()
        self._began = time.perf_counter()
        self._anchor(world.clock.now)

    # ---- what pages read -------------------------------------------------------------------------

    @property
    def state(self) -> ClusterState:
        """All that the controller knows, between two turns."""
        return self._world.controller.state

    @property
    def turns(self) -> int:
        """How many turns were taken."""
        return self._world.journal.turns

    @property
    def changes(self) -> int:
        """Turns, and how often its pace was changed or it came to its end."""
        return self.turns + self._asides

    @property
    def duration(self) -> Millis | None:
        """When it stops at the latest."""
        return self._world.scenario.duration

    @property
    def warm_up(self) -> Millis:
        """What comes before counts in no result."""
        return self._world.scenario.warm_up

    @property
    def is_over(self) -> bool:
        """Whether it has come to its end, or was ended."""
        return self._is_closed or not self._world.goes_on()

    def now(self) -> Instant:
        """The present of the simulation: where its speed has brought it, though nothing may have happened there."""
        clock, due = self._world.clock, self._due()
        if self.is_over or due is None:
            return clock.now
        return max(clock.now, min(due, clock.next_at()))

    def spent(self) -> Mapping[GroupName, int]:
        """What the slices of each group have really cost, as the results have it."""
        known = group_costs(replace(self._world.measures, now=self.now()))
        return {GroupName(group): cost for group, cost in known.items()}

    async def history(self, subject: Timed, before: int, limit: int) -> Chapter:
        """What happened to somebody, as each turn told it."""
        page = self._annals.chapter(subject, before, limit)
        return completed(page, self.state, subject, limit)

    async def latest(self, subject: Timed, limit: int) -> Sequence[Happening]:
        """The newest of it."""
        return (await self.history(subject, 0, limit)).happenings

    def watch(self) -> asyncio.Event:
        """An event that is set after the next change."""
        changed = asyncio.Event()
        self._changed.append(changed)
        return changed

    def unwatch(self, changed: asyncio.Event) -> None:
        """Nobody waits for this any more."""
        self._changed.remove(changed)

    # ---- what somebody may want ------------------------------------------------------------------

    async def command(self, job: JobId) -> str:
        """Simulated jobs run nothing."""
        del job
        return ""

    def calls(self) -> Sequence[CallRow]:
        """Nobody calls a simulation."""
        return ()

    async def facts(self) -> Mapping[str, str]:
        """Which scenario, and how it was drawn."""
        scenario = self._world.scenario
        end = scenario.duration
        return {
            "scenario": scenario.name,
            "seed": str(scenario.seed),
            "duration": "to the end of all jobs" if end is None else format_duration(end),
            "jobs ended": f"{self._world.ended_jobs:,}",
        }

    async def log(self, task: TaskId, attempt: int, viewer: Viewer) -> Path | None:
        """Simulated tasks say nothing."""
        del task, attempt, viewer
        return None

    async def machine_log(self, slice_: SliceId, host: int, viewer: Viewer) -> bytes:
        """Simulated machines say nothing."""
        del slice_, host, viewer
        raise Refusal(HTTPStatus.NOT_FOUND, "simulated machines say nothing")

    def why_not_stop(self, job: JobId, viewer: Viewer) -> str:
        """Whoever looks may."""
        del job, viewer
        return ""

    def why_not_operate(self, viewer: Viewer) -> str:
        """Whoever looks may."""
        del viewer
        return ""

    async def stop_job(self, job: JobId, viewer: Viewer) -> None:
        """Stop a job and its whole tree."""
        del viewer
        if job not in self.state.jobs:
            raise Refusal(HTTPStatus.NOT_FOUND, f"job {job} is not known")
        self._meddle(ev.JobStopRequested(self._request(), job, self.state.jobs[job].spec.user))

    async def drain_worker(self, worker: WorkerId, viewer: Viewer, *, resume: bool) -> None:
        """Give a worker no new work, or let it have some again."""
        del viewer
        if worker not in self.state.workers:
            raise Refusal(HTTPStatus.NOT_FOUND, f"worker {worker} is not known")
        self._meddle(ev.WorkerDrainRequested(worker, resume))

    async def terminate_slice(self, slice_: SliceId, viewer: Viewer) -> None:
        """Give up a slice at once, work and all."""
        del viewer
        if slice_ not in self.state.slices:
            raise Refusal(HTTPStatus.NOT_FOUND, f"slice {slice_} is not known")
        self._meddle(ev.SliceTerminateRequested(self._request(), slice_))

    def _request(self) -> RequestId:
        return RequestId(f"dashboard/{self.touched}")

    def _meddle(self, event: ev.Event) -> None:
        if self.is_over:
            raise Refusal(HTTPStatus.CONFLICT, "the simulation is over")
        self.touched += 1
        world = self._world
        world.clock.later(Millis(self.now() - world.clock.now), lambda: world.deliver(event))

    def pace(self, speed: float | None) -> None:
        """Go at another speed from now on."""
        self._anchor(self.now())
        self.speed = speed
        self._wake.set()
        self._change()

    # ---- the run ---------------------------------------------------------------------------------

    async def run(self, stop: Callable[[], bool]) -> None:
        """Go on to the world's end, or until it is asked to stop."""
        while self._world.goes_on() and not stop():
            if self._step():
                await asyncio.sleep(0)
                continue
            self._wake.clear()
            try:
                async with asyncio.timeout(REST_S):
                    await self._wake.wait()
            except TimeoutError:
                continue
        self._change()

    def advance(self, span: int) -> None:
        """Go on at once by so many milliseconds of simulated time."""
        world = self._world
        until = Instant(world.clock.now + span)
        while world.goes_on() and world.clock.next_at() <= until:
            self._take_step()
        self._anchor(world.clock.now)

    def finish(self) -> Measures:
        """Close the books; the pages show how it ended. The wall time is all that it was on show, rests included."""
        self._is_closed = True
        measures = self._world.finish(partial=self._world.goes_on())
        measures.wall_s = time.perf_counter() - self._began
        return measures

    def _step(self) -> bool:
        """Step for a moment; whether there is more to do at once."""
        world = self._world
        until = self._due()
        end = time.perf_counter() + SLICE_S
        while world.goes_on() and (until is None or world.clock.next_at() <= until):
            self._take_step()
            if time.perf_counter() > end:
                return True
        return False

    def _due(self) -> Instant | None:
        """How far the simulation should be now; nothing when it may go as far as it can."""
        if self.speed is None:
            return None
        wall_at, at = self._since
        return Instant(at + int((time.perf_counter() - wall_at) * 1_000 * self.speed))

    def _anchor(self, at: Instant) -> None:
        """From here on it goes at its speed."""
        self._since = time.perf_counter(), at

    def _take_step(self) -> None:
        """One step of the world, in which it takes one turn or none."""
        before, began = self.turns, time.perf_counter()
        self._world.clock.step()
        if self.turns > before:
            self.recent.took(self.now(), (time.perf_counter() - began) * 1_000)
            self.recent.turned(self._world.journal.last, self.state)
            self._annals.turned(self._world.journal.last, self.turns)
            self._tell()

    def _change(self) -> None:
        """Something else than a turn changes what is shown."""
        self._asides += 1
        self._tell()

    def _tell(self) -> None:
        for changed in self._changed:
            changed.set()
