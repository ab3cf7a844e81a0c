"""One run of a sweep as a function of values: a scenario's text and a seed in, the results as bytes out.

It is what an executor sends to wherever there is room, so it needs nothing of the place but `iris` and
`sim` of the same version, and its files in a folder. The bytes leave out `wall_s`, the one figure that
may differ between two equal runs: the same run gives the same bytes everywhere.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from iris import __version__
from sim.results import summarize
from sim.run import simulate
from sim.scenario import scenario_of


class OtherVersion(Exception):
    """The run was planned by another version of Iris, whose results may be others."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A run, complete but for the files that its text names."""

    text: str
    """The scenario with its cluster and all overrides in place; files by their names in the folder."""
    seed: int
    version: str = __version__
    """Of the Iris that planned it."""


def run_unit(
    unit: Unit, folder: str = ".", *, stop: Callable[[], bool] = lambda: False
) -> bytes | None:
    """The results of a run as JSON, or None when it was stopped before its end.

    Args:
        unit: what to run.
        folder: where the files are that its text names.
        stop: asked now and then; once it says so, the run ends.

    Raises:
        OtherVersion: this is another Iris than the one that planned the run.
        BadInput: the text is no scenario, or a file is not in the folder.
    """
    if unit.version != __version__:
        raise OtherVersion(
            f"iris {__version__} is installed here, and {unit.version} planned the sweep:"
            " install the same"
        )
    scenario = scenario_of(unit.text, Path(folder) / "scenario.yaml", seed=unit.seed)
    results = summarize(simulate(scenario, stop=stop), scenario.expect)
    if results["partial"]:
        return None
    del results["wall_s"]
    return json.dumps(results, allow_nan=False).encode()
