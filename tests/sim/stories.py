"""The small scenario that every fault of the cloud is tried on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from iris.core.instant import HOUR, Millis
from tests.sim.watch import Watch, scenario_of

ZONES: Final = ("zone-a", "zone-b")
CALM_AFTER: Final = Millis(24 * HOUR)

GROUPS: Final = {
    "tpu": {
        "accelerator_type": "v5litepod-16",
        "max_slices": 6,
        "preemptible": True,
        "zones": list(ZONES),
    }
}
GANG: Final = {
    "name": "train",
    "arrivals": {"every": "20m"},
    "count": 12,
    "replicas": 4,
    "coscheduled": True,
    "resources": {"cpu": 8, "memory": "32GB", "tpu": "v5litepod-16"},
    "run_time": "1h",
    "checkpoint": {"every": "10m", "restore": "1m", "on_notice": "20s"},
}
LAST: Final = {**GANG, "name": "last", "arrivals": {"at": "40h"}, "count": 1}
"""Comes long after all else: what is left of the rest shows by then."""


def story(
    folder: Path,
    cloud: Mapping[str, object],
    *,
    cluster: Mapping[str, object] | None = None,
    gang: Mapping[str, object] | None = None,
    faults: list[object] | None = None,
) -> Watch:
    """Twelve gangs under a cloud with these faults, which end after a day; then one more gang."""
    sections = {
        "seed": 1,
        "cluster": {
            "scale_groups": GROUPS,
            "autoscaler": {"idle_timeout": "10m", "boot_timeout": "30m"},
            **(cluster or {}),
        },
        "cloud": {"boot": "2m", **cloud},
        "workload": [{**GANG, **(gang or {})}, {**LAST, **(gang or {})}],
        "faults": faults or [],
    }
    return Watch(scenario_of(folder, sections), calm_after=CALM_AFTER)
