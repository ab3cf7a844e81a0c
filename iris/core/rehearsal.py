"""What is shown by doing a turn again on a twin: recovery, reading and refusing change nothing else.

A rehearsal keeps a second controller that never decides: it enters every recorded turn, as recovery
does. Between two turns it stands where the real one stood before, so that a turn can also be decided
anew without the facts that were refused. This costs a turn about as much again as the state is large,
so it goes along only where every turn is checked.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Final, TypeGuard

from iris.core import decisions as de
from iris.core.controller import Controller
from iris.core.decisions import Decision
from iris.core.effects import Rejected
from iris.core.events import Event, WorkerHeard, WorkerRegistered, WorkerReported, WorkerSilent
from iris.core.explain import why_waiting
from iris.core.lifecycle import JobState, WorkerState
from iris.core.record import Turn
from iris.core.snapshot import copy_state
from iris.core.state import ClusterState

EXPLAINED: Final = 3
"""So many waiting jobs are explained to see that asking is free."""


class Rehearsal:
    """A follower of one state, from now on."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._follower = Controller(copy_state(state))

    def follow(self, turn: Turn) -> Iterator[str]:
        """What the turn shows when it is done again; the follower has then entered it."""
        follower = self._follower
        yield from bad_facts_are_set_aside(follower, turn)
        follower.replay(turn)

    def recovery_leads_here(self) -> Iterator[str]:
        """V-17: the recorded turns, applied without deciding anything, lead to this very state."""
        if self._follower.digest() != self._state.digest():
            yield f"V-17 the journal up to {self._state.now} recovers another state than this one"


def reads_are_free(state: ClusterState, digest: str) -> Iterator[str]:
    """V-18: whoever asks why work waits leaves the state as it was, with this digest."""
    pending = (name for name, job in state.jobs.items() if job.state is JobState.PENDING)
    asked = list(islice(pending, EXPLAINED))
    for name in asked:
        why_waiting(state, name, state.now)
    if asked and state.digest() != digest:
        yield f"V-18 the state at {state.now} has changed by being asked why work waits"


def bad_facts_are_set_aside(before: Controller, turn: Turn) -> Iterator[str]:
    """V-19: without the facts that were refused, all other decisions of the turn are the same."""
    refusals = {d.request: d for d in turn.decisions if _is_refusal(d)}
    bad = _by_nobody(before, turn) if before.state.workers else []
    bad += [event for event in turn.events if getattr(event, "request", None) in refusals]
    if not bad:
        return
    good = [event for event in turn.events if event not in bad]
    expected = [d for d in turn.decisions if d not in refusals.values()]
    decided, _ = before.clone().step(turn.now, good)
    if list(decided) != expected:
        names = ", ".join(type(event).__name__ for event in bad)
        yield f"V-19 at {turn.now} {names} was refused, and yet other decisions hung on it"


def _is_refusal(decision: Decision) -> TypeGuard[de.Answer]:
    return isinstance(decision, de.Answer) and isinstance(decision.answer, Rejected)


def _by_nobody(before: Controller, turn: Turn) -> list[Event]:
    """Facts from agents that are not, or no longer, the present one of the worker they name."""
    present = {
        name: worker.incarnation
        for name, worker in before.state.workers.items()
        if worker.state is not WorkerState.LOST
    }
    said = [e for e in turn.events if isinstance(e, WorkerReported | WorkerSilent | WorkerHeard)]
    introduced = {e.incarnation for e in turn.events if isinstance(e, WorkerRegistered)}
    return [
        event
        for event in said
        if present.get(event.worker) != event.incarnation and event.incarnation not in introduced
    ]
