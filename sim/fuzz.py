"""A campaign: many drawn worlds, each run to its end and judged, with counts of what they reached.

A world is a function of its profile and seed alone. A campaign ends after so many seeds or minutes,
and says which of the situations that it is meant to reach it never did.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count, takewhile
from pathlib import Path
from typing import Final

import yaml

from iris.core.instant import HOUR
from sim.apart import apart, died, ignore_interrupt
from sim.fuzz_dice import World as Drawn
from sim.fuzz_draw import draw_world
from sim.protocol_world import ProtocolWorld
from sim.run import finish, world_of
from sim.scenario import scenario_of
from sim.world import World

_WORDS: Final = 16

MOST_LOOKS: Final = 300
"""So many thousands of steps are far more than any world takes that comes to an end."""

SOMETIMES: Final[Mapping[str, tuple[str, ...]]] = {
    "a task is placed": ("Placement",),
    "work is evicted": ("Eviction",),
    "room is kept for a unit": ("Holding",),
    "kept room is given up": ("Release",),
    "a task is tried again": ("Retry",),
    "a slice is preempted": ("cause preemption",),
    "a worker is lost with its work": ("cause host_lost",),
    "an attempt is given up that its host denies or cannot end": ("AttemptLoss",),
    "a launch fails": ("cause launch",),
    "code fails": ("cause exit_nonzero",),
    "code runs out of memory": ("cause out_of_memory",),
    "a task runs into its timeout": ("cause timeout",),
    "a job is stopped": ("job killed",),
    "a job finds no room in time": ("job unschedulable",),
    "a host is put out": ("WorkerCordon",),
    "a create is refused": ("SliceCreateFailed",),
    "a pool is throttled": ("Throttle",),
    "a preemption is announced": ("PreemptionNoticed",),
    "a delete is refused": ("SliceDeleteFailed",),
    "a machine turns up that was believed gone": ("SliceAgain",),
    "a worker falls silent": ("WorkerSilent",),
    "the controller stands still": ("ControllerStalled",),
    "the controller comes back": ("ControllerRestarted",),
    "it dies between journal and request": ("died within a turn",),
    "it comes back to running work": ("came back to work",),
    "an agent takes up its containers": ("agent took up",),
    "a container outlives its replacement's start": ("two at once",),
    "a message is lost, late or repeated": ("message fault",),
    "a machine starts again without its containers": ("machine rebooted",),
    "the configuration is edited": ("edited",),
    "a request is refused": ("refused request",),
    "work waits for its user's quota": ("held by a quota",),
    "a job has submitted another": ("child",),
    "a gang's member gives up before the loss of another is known": ("gave up",),
}
"""What campaigns should reach, and what each is counted by."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one world came to."""

    profile: str
    seed: int
    sentences: tuple[str, ...]
    """What was wrong; each begins with the mark of the invariant."""
    violated: int
    digest: str
    seconds: float
    simulated: int
    """Milliseconds."""
    turns: int
    faults: int
    reached: Mapping[str, int]

    @property
    def kinds(self) -> tuple[str, ...]:
        """What was wrong, without the names and numbers of the case."""
        return tuple(dict.fromkeys(kind_of(sentence) for sentence in self.sentences))

    @property
    def marks(self) -> tuple[str, ...]:
        """The invariants that were violated."""
        return tuple(dict.fromkeys(sentence.split(" ", 1)[0] for sentence in self.sentences))


def kind_of(sentence: str) -> str:
    """A sentence's mark and its first plain words: two failures of one kind say the same."""
    mark, *words = sentence.split()
    plain = [w for w in words if not any(c.isdigit() or c == "/" for c in w)]
    return " ".join([mark, *plain[:_WORDS]])


def text_of(world: Drawn) -> str:
    """A world as a scenario file."""
    return yaml.safe_dump(world, sort_keys=False, width=100)


def patience(place: World, *, hasty: bool = False) -> Callable[[], bool]:
    """Says when a world has taken more steps than any that comes to an end, or (`hasty`) is wrong already."""
    looks = count()
    return lambda: next(looks) >= MOST_LOOKS or (hasty and place.auditor.violated > 0)


def run_world(drawn: Drawn, profile: str = "", *, hasty: bool = False) -> Outcome:
    """Run a drawn world and judge it; whatever it raises is a violation, too.

    Args:
        drawn: the scenario, as plain values.
        profile: what it was drawn from.
        hasty: run it no further when the core's own judges have found something.

    Raises:
        BadInput: it is no scenario.
    """
    name = str(drawn["name"])
    scenario = scenario_of(text_of(drawn), Path(f"{name}.yaml"))
    began = time.perf_counter()
    place = world_of(scenario)
    assert isinstance(place, ProtocolWorld)
    try:
        measures = finish(place, stop=patience(place, hasty=hasty))
    except Exception as error:  # noqa: BLE001  # An error of any kind is what is looked for.
        sentences: tuple[str, ...] = (f"ERROR {type(error).__name__}: {error}",)
        violated, digest = 1, ""
    else:
        sentences, violated = tuple(measures.violations), measures.invariants_violated
        if measures.partial and not place.auditor.violated:
            sentences = (*sentences, f"V-25 it goes on and on, at {place.clock.now}")
            violated += 1
        digest = measures.digest
    return Outcome(
        profile,
        scenario.seed,
        sentences,
        violated,
        digest,
        time.perf_counter() - began,
        place.clock.now,
        place.journal.turns,
        place.faults_injected(),
        place.census(),
    )


def run_seed(profile: str, seed: int, *, hasty: bool = False) -> Outcome:
    """Draw a world, run it and judge it."""
    return run_world(draw_world(seed, profile), profile, hasty=hasty)


@dataclass(slots=True)
class Campaign:
    """The sum of all worlds so far."""

    profile: str
    seeds: int = 0
    seconds: float = 0.0
    """Of the whole campaign, on the wall."""
    simulated: int = 0
    turns: int = 0
    faults: int = 0
    failures: list[Outcome] = field(default_factory=list)
    """Those of fewest turns first: they are the quickest to tell."""
    lost: list[int] = field(default_factory=list)
    """The seeds whose process died."""
    reached: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """One more world."""
        self.seeds += 1
        self.simulated += outcome.simulated
        self.turns += outcome.turns
        self.faults += outcome.faults
        self.reached.update(outcome.reached)
        if outcome.violated:
            self.failures.append(outcome)
            self.failures.sort(key=lambda failure: (failure.turns, failure.seed))

    def hits(self) -> dict[str, int]:
        """How often each situation was reached."""
        return {name: sum(self.reached[c] for c in by) for name, by in SOMETIMES.items()}

    def results(self) -> dict[str, object]:
        """As one JSON object."""
        hits = self.hits()
        span = max(self.seconds, 1e-9)
        return {
            "profile": self.profile,
            "seeds": self.seeds,
            "seconds": round(self.seconds, 1),
            "seeds_per_minute": round(60 * self.seeds / span, 1),
            "simulated_hours": round(self.simulated / HOUR, 1),
            "simulated_hours_per_second": round(self.simulated / HOUR / span, 1),
            "turns": self.turns,
            "faults": self.faults,
            "failures": [
                {"seed": f.seed, "marks": list(f.marks), "sentence": f.sentences[0]}
                for f in self.failures
            ],
            "lost": sorted(self.lost),
            "sometimes": hits,
            "never": [name for name, count in hits.items() if not count],
        }


def campaign(  # noqa: PLR0913
    profile: str,
    seeds: range,
    *,
    processes: int,
    minutes: float | None = None,
    stop: Callable[[], bool] = lambda: False,
    finished: Callable[[Campaign], None] = lambda _: None,
) -> Campaign:
    """Run the worlds of these seeds, as many as there is time for.

    Args:
        profile: what kind of worlds.
        seeds: in their order, though they may end in another.
        processes: how many at once.
        minutes: begin no further world after so long; nothing for no bound.
        stop: asked now and then; once it says so, no further world begins.
        finished: told after each world.
    """
    began = time.monotonic()
    total = Campaign(profile)

    def go_on() -> bool:
        late = minutes is not None and time.monotonic() - began >= 60 * minutes
        return not late and not stop()

    for outcome in _outcomes(profile, seeds, processes, go_on):
        if isinstance(outcome, int):
            total.lost.append(outcome)
        else:
            total.add(outcome)
        total.seconds = time.monotonic() - began
        finished(total)
    return total


def _outcomes(
    profile: str, seeds: range, processes: int, go_on: Callable[[], bool]
) -> Iterator[Outcome | int]:
    """What became of each seed, or the seed alone where its process died."""
    if processes <= 1:
        for seed in seeds:
            if not go_on():
                return
            yield run_seed(profile, seed)
        return
    wanted = takewhile(lambda _: go_on(), seeds)
    for batch in apart(partial(run_seed, profile), wanted, processes, ignore_interrupt):
        for seed, future in batch:
            yield seed if died(future) else future.result()
