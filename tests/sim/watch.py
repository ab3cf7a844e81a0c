"""A simulated world under observation: what was asked of its cloud, what it told, and when.

Nothing is replaced: calls and facts are noted on their way. After `calm_after` the cloud turns
kind, so that a story can tell what is left once the faults have stopped.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

import yaml

from iris.core import effects as ef
from iris.core import events as ev
from iris.core.ids import SliceId
from iris.core.instant import HOUR, MINUTE, Instant, Millis
from iris.core.lifecycle import ENDED_JOB, SliceState
from sim.dice import Constant
from sim.measure import Measures
from sim.model import CloudModel, CreateAnswers, CreateFailures, Deletes, Lists, Scenario, Vanishing
from sim.results import summarize
from sim.scenario import load_scenario
from sim.world import World

NEVER: Final = Constant(Millis(1 << 50))
_Fact = TypeVar("_Fact", bound=ev.Event)
_Request = TypeVar("_Request", ef.CreateSlice, ef.DeleteSlice, ef.ObserveSlices)


def scenario_of(
    folder: Path, sections: object, *overrides: str, seed: int | None = None
) -> Scenario:
    """The scenario that these sections are."""
    path = folder / "story.yaml"
    path.write_text(yaml.safe_dump(sections, sort_keys=False), encoding="utf-8")
    return load_scenario(path, seed=seed, overrides=overrides)


@dataclass(frozen=True, slots=True)
class Noted:
    """A call or a fact, and its instant."""

    at: Instant
    what: ef.CreateSlice | ef.DeleteSlice | ef.ObserveSlices | ev.Event


class Watch:
    """One run to its end, every invariant checked after every turn."""

    def __init__(self, scenario: Scenario, *, calm_after: Millis | None = None) -> None:
        self.scenario = scenario
        self.world = World(scenario, audit_every_turn=True)
        self.calls: list[Noted] = []
        self.told: list[Noted] = []
        self.live_deleted: list[SliceId] = []
        """Slices that worked, whole and heard, when their deletion was asked for."""
        self._listen()
        if calm_after is not None:
            self.world.clock.later(calm_after, self._calm)
        while self.world.goes_on():
            self.world.clock.step()
        self.measures: Measures = self.world.finish(partial=False)
        self.results = summarize(self.measures, scenario.expect)

    def _listen(self) -> None:
        cloud, clock = self.world.cloud, self.world.clock
        perform, deliver = cloud.perform, cloud.deliver

        def note_call(request: ef.CreateSlice | ef.DeleteSlice | ef.ObserveSlices) -> None:
            self.calls.append(Noted(clock.now, request))
            if isinstance(request, ef.DeleteSlice) and self._is_working(request.slice):
                self.live_deleted.append(request.slice)
            perform(request)

        def note_fact(event: ev.Event) -> None:
            self.told.append(Noted(clock.now, event))
            deliver(event)

        cloud.perform = note_call  # type: ignore[method-assign]  # noted on its way, not replaced
        cloud.deliver = note_fact

    def _is_working(self, name: SliceId) -> bool:
        machine = self.world.cloud.machines.get(name)
        if machine is None or machine.state is not ev.CloudState.READY or machine.noticed:
            return False
        sound = all(host.alive and not host.cut for host in machine.hosts)
        return sound and any(host.runs for host in machine.hosts)

    def _calm(self) -> None:
        """From now on the cloud does what it is asked, when it is asked, and tells the truth."""
        model = self.world.cloud.model
        self.world.cloud.model = replace(
            kind(model),
            false_notice=NEVER if model.false_notice is not None else None,
            another_hand=NEVER if model.another_hand is not None else None,
            stray=NEVER if model.stray is not None else None,
        )

    # ---- what was noted --------------------------------------------------------------------

    def asked(self, kind: type[_Request]) -> list[tuple[Instant, _Request]]:
        """All calls of a kind."""
        return [(noted.at, noted.what) for noted in self.calls if isinstance(noted.what, kind)]

    def facts(self, kind: type[_Fact]) -> list[tuple[Instant, _Fact]]:
        """All facts of a kind that the cloud told."""
        return [(noted.at, noted.what) for noted in self.told if isinstance(noted.what, kind)]

    def creates(self) -> list[SliceId]:
        """The slices of all create calls, as often as they were asked for."""
        return [request.slice for _, request in self.asked(ef.CreateSlice)]

    def first(self, kind: type[_Fact], of: Callable[[_Fact], SliceId]) -> dict[SliceId, Instant]:
        """When each slice was first told of by a fact of this kind."""
        found: dict[SliceId, Instant] = {}
        for at, fact in self.facts(kind):
            found.setdefault(of(fact), at)
        return found

    # ---- what must be right ----------------------------------------------------------------

    def assert_all_is_well(self) -> None:
        """Every job has ended, all chip-seconds are accounted for, nothing leaks or storms."""
        jobs = self.world.controller.state.jobs.values()
        assert [job.id for job in jobs if job.state not in ENDED_JOB] == []
        assert self.measures.violations == []
        invariants = self.results["invariants"]
        assert isinstance(invariants, dict)
        assert invariants["violated"] == 0, invariants
        assert self.live_deleted == []
        assert self.leaked() == []
        assert self.most_creates_within(Millis(10 * MINUTE)) <= 40

    def leaked(self) -> list[SliceId]:
        """Machines that nobody has on the books, or that nobody uses long after the last need."""
        slices = self.world.controller.state.slices
        return [
            name
            for name, machine in self.world.cloud.machines.items()
            if name not in slices
            or slices[name].state is SliceState.GONE
            or machine.created < self.measures.now - 2 * HOUR
        ]

    def most_creates_within(self, span: Millis) -> int:
        """The most create calls of any span of this length."""
        times = [at for at, _ in self.asked(ef.CreateSlice)]
        return max((sum(1 for t in times if at <= t < at + span) for at in times), default=0)


def kind(model: CloudModel) -> CloudModel:
    """The same cloud, as far as boots and stock go, without any fault."""
    return replace(
        model,
        lifetime=None,
        lifetime_max=None,
        zone_lifetime={},
        create_failures=CreateFailures(),
        create_answers=CreateAnswers(),
        hang=0.0,
        slow_zones={},
        call=Constant(Millis(0)),
        deletes=Deletes(),
        vanishing=Vanishing(),
        stuck_creating=0.0,
        partial=0.0,
        straggler=None,
        duplicate_index=0.0,
        early_registration=0.0,
        host_failure=None,
        lists=Lists(),
    )
