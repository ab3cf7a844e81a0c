"""One run of a scenario, from its begin to its end, at the fidelity that it asks for."""

import time
from collections.abc import Callable

from iris.core.instant import Instant
from iris.garbage import rare_collections
from sim.measure import Measures
from sim.model import Fidelity, Scenario
from sim.protocol_world import ProtocolWorld
from sim.world import World

Progress = Callable[[Instant, int], None]
"""Called now and then with the simulated time and the number of jobs that have ended."""

_STEPS_BETWEEN_LOOKS = 1_000


def world_of(scenario: Scenario, *, audit_every_turn: bool = False) -> World:
    """A world of the scenario, at time 0."""
    kind = ProtocolWorld if scenario.fidelity is Fidelity.PROTOCOL else World
    return kind(scenario, audit_every_turn=audit_every_turn or scenario.check_every_turn)


def simulate(
    scenario: Scenario,
    *,
    progress: Progress | None = None,
    check_invariants: bool | None = None,
    stop: Callable[[], bool] | None = None,
) -> Measures:
    """Run a scenario to its end and return what it left behind.

    Args:
        scenario: what to run.
        progress: called now and then.
        check_invariants: all of them after every turn; by default so if the scenario asks for it, else
            as often as keeps the cost of a turn bounded, which depends on scenario and seed alone.
        stop: asked now and then; once it says so, the run ends there and is marked partial.
    """
    began = time.perf_counter()
    world = world_of(scenario, audit_every_turn=bool(check_invariants))
    measures = finish(world, progress=progress, stop=stop)
    measures.wall_s = time.perf_counter() - began
    return measures


def finish(
    world: World,
    *,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> Measures:
    """Run a world to its end and return what it left behind."""
    stopped = False
    step = world.clock.step
    with rare_collections():
        while world.goes_on() and not stopped:
            for _ in range(_STEPS_BETWEEN_LOOKS):
                step()
                if not world.goes_on():
                    break
            if progress is not None:
                progress(world.clock.now, world.ended_jobs)
            stopped = stop is not None and stop() and world.goes_on()
        return world.finish(partial=stopped)
