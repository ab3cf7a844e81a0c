"""What is kept of a failing world: the smallest scenario that fails so, and its transcript.

A seed is run again first: one that does not fail in the same way again is no finding about Iris
but about the simulator, and that is said.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sim.fuzz import Outcome, kind_of, patience, run_seed, text_of
from sim.fuzz_draw import draw_world
from sim.protocol_world import ProtocolWorld
from sim.run import finish, world_of
from sim.scenario import scenario_of
from sim.shrink import Shrunk, shrink
from sim.transcript import transcript


@dataclass(frozen=True, slots=True)
class Story:
    """A failure, told."""

    outcome: Outcome
    same_again: bool
    """Whether a second run, in another process or not, was the same to the last decision."""
    shrunk: Shrunk | None  # None: it is not told smaller
    files: tuple[Path, ...]


def tell(
    failure: Outcome, folder: Path, *, seconds: float, stop: Callable[[], bool] = lambda: False
) -> Story:
    """Run a failing seed again, make it smaller, and write it down.

    Args:
        failure: what a campaign found.
        folder: where the files go; it must be there.
        seconds: how long to look for something smaller.
        stop: asked now and then; once it says so, what was found so far is written.

    Raises:
        OSError: the files could not be written.
    """
    again = run_seed(failure.profile, failure.seed)
    same = (again.sentences, again.digest) == (failure.sentences, failure.digest)
    if not again.sentences:
        return Story(failure, same, None, ())
    mark, kind = again.marks[0], again.kinds[0]
    world = draw_world(failure.seed, failure.profile)
    small = shrink(world, kind, seconds=seconds, stop=stop)
    name = f"{failure.profile}-{failure.seed}-{mark.lower()}"
    scenario, story = folder / f"{name}.yaml", folder / f"{name}.txt"
    sentence = next(s for s in small.outcome.sentences if kind_of(s) == kind)
    header = (
        f"# Found by `iris sim fuzz --profile {failure.profile}`, seed {failure.seed}.\n"
        f"# `iris sim` of this file says:\n#   {sentence}\n"
    )
    scenario.write_text(header + text_of(small.world), encoding="utf-8")
    story.write_text(_transcript(scenario), encoding="utf-8")
    return Story(failure, same, small, (scenario, story))


def _transcript(path: Path) -> str:
    world = world_of(scenario_of(path.read_text(encoding="utf-8"), path))
    assert isinstance(world, ProtocolWorld)
    world.journal.keeps_all = True
    try:
        finish(world, stop=patience(world))
    except Exception as error:  # noqa: BLE001  # It is what is told.
        ending = f"ERROR {type(error).__name__}: {error}\n"
    else:
        ending = "".join(f"{sentence}\n" for sentence in world.measures.violations)
    return transcript(world.journal.all, world.fleet.truth) + ending
