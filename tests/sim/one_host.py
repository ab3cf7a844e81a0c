"""The smallest cluster that has a queue, and what its controller knows at an instant."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from iris.core.instant import Instant
from iris.core.state import ClusterState
from sim.run import world_of
from tests.sim.watch import scenario_of

ONE_HOST: Final = {
    "cpu": {
        "accelerator_type": "cpu",
        "vm": {"cpu": 4, "memory": "16GB"},
        "min_slices": 1,
        "max_slices": 1,
    }
}
WORK: Final = {
    "name": "work",
    "arrivals": {"at": ["0s"] * 24},
    "resources": {"cpu": 4},
    "run_time": "30m",
}


def state_at(folder: Path, at: Instant, sections: Mapping[str, object]) -> ClusterState:
    """What the controller of a simulated cluster knows at an instant."""
    world = world_of(scenario_of(folder, sections))
    while world.clock.env.peek() <= at:
        world.clock.step()
    return world.controller.state
