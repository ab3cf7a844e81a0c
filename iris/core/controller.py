"""The controller: one step learns the facts of an instant, decides, and says what to ask of the world.

The order within a step is fixed. Facts are learned first, all of them. Then come what the evidence
says of slices, what becomes of jobs, who is placed, who must make way, what capacity is asked for,
and what is given back. Every planner sees what the ones before it have decided.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from iris.core.apply import apply
from iris.core.autoscaler import plan_capacity
from iris.core.decisions import Decision
from iris.core.effects import Effect
from iris.core.events import Event
from iris.core.eviction import plan_evictions
from iris.core.instant import Instant
from iris.core.judge import plan_jobs
from iris.core.learn import learn, learn_time
from iris.core.news import News
from iris.core.record import Turn
from iris.core.recovery import plan_repairs
from iris.core.retention import plan_oblivion
from iris.core.scheduler import plan_placements
from iris.core.slices import plan_observations, plan_returns, plan_slices
from iris.core.snapshot import copy_state
from iris.core.state import ClusterState

_Plans: TypeAlias = Callable[[ClusterState], Iterator[Decision]]


class Controller:
    """The deterministic machine around the state."""

    def __init__(self, state: ClusterState | None = None) -> None:
        self.state = state if state is not None else ClusterState()

    def step(
        self, now: Instant, events: Sequence[Event] = ()
    ) -> tuple[Sequence[Decision], Sequence[Effect]]:
        """Learn the events of an instant and decide; `now` never goes back.

        Raises:
            ValueError: `now` lies before the last step.
        """
        state = self.state
        effects = self._learn(now, events)
        decisions: list[Decision] = []

        def carry_out(plan: _Plans) -> None:
            for decision in plan(state):
                decisions.append(decision)
                effects.extend(apply(state, decision))

        # Each planner stands behind the cheap question whether it could have anything to say.
        if state.news.is_about_slices():
            carry_out(plan_slices)
        if state.news.is_about_jobs():
            carry_out(plan_jobs)
        if state.may_evict():  # Before later work takes what lacks only a victim or two.
            carry_out(plan_evictions)
        if state.may_place():
            carry_out(plan_placements)
        while state.may_evict():
            carry_out(plan_evictions)
            if state.may_place():  # Who evicts gives up what was kept for it elsewhere.
                carry_out(plan_placements)
        if state.may_scale():
            carry_out(plan_capacity)
        if state.news.is_about_returns():
            carry_out(plan_returns)
        if state.may_observe():
            carry_out(plan_observations)
        if state.may_forget():
            carry_out(plan_oblivion)
        state.news = News()
        return decisions, effects

    def replay(self, turn: Turn) -> None:
        """Enter a recorded turn: learn its events and apply its decisions, deciding nothing anew."""
        self._learn(turn.now, turn.events)
        for decision in turn.decisions:
            apply(self.state, decision)
        self.state.news = News()

    def _learn(self, now: Instant, events: Sequence[Event]) -> list[Effect]:
        state = self.state
        if now < state.now:
            raise ValueError(f"now is {now} ms, before the last step at {state.now} ms")
        learn_time(state, now)
        effects: list[Effect] = []
        for event in events:
            effects += learn(state, event)
        learn_time(state, now)  # A fact may tell of a silence, or bring a timeout, that is over.
        return effects

    def unfinished(self) -> Sequence[Effect]:
        """All that the state wants and no fact has confirmed: to be asked for again after a restart."""
        return plan_repairs(self.state)

    def next_deadline(self) -> Instant | None:
        """When to be woken though nothing happens; nothing when only a fact can change anything."""
        return self.state.deadlines.next()

    def clone(self) -> "Controller":
        """A twin that shares nothing that changes."""
        return Controller(copy_state(self.state))

    def digest(self) -> str:
        """A hash of the whole state."""
        return self.state.digest()
