"""Turns that are done again show what recovery, reading and refusing must not change."""

from dataclasses import replace
from typing import Final

from iris.core import decisions as de
from iris.core import events as ev
from iris.core.ids import JobId, RequestId, SliceId, TaskId
from iris.core.invariants import Auditor
from iris.core.record import Turn
from iris.core.records import Hold, HoldKey
from iris.core.rehearsal import bad_facts_are_set_aside, reads_are_free
from iris.core.retry import EndCause
from iris.core.state import ClusterState
from tests.core.forged import MACHINE, ONLY, busy, put, watched
from tests.harness import cpu_group, fleet


def test_a_copy_must_be_equal() -> None:
    state = busy().controller.state
    auditor = Auditor(state, every_turn=True)
    state.slices[SliceId("alias")] = state.slices[MACHINE]
    auditor.check_all()
    assert any(s.startswith("V-17 a copy of the state is not equal") for s in auditor.sentences)


def test_what_no_turn_tells_is_not_recovered() -> None:
    state, auditor = watched()
    put(state.jobs[JobId("/alice/solo")], why="a whim")
    auditor.check_all()
    assert auditor.sentences == ["V-17 the journal up to 0 recovers another state than this one"]


class NosyHolds(dict[HoldKey, Hold]):
    """A table of holds that writes down how often it was read."""

    def __init__(self, state: ClusterState) -> None:
        super().__init__(state.holds)
        self._state = state

    def get(self, key: HoldKey, default: object = None) -> object:  # type: ignore[override]
        """Reads, and leaves a trace of it."""
        self._state.books.stale_facts += 1
        return super().get(key, default)


def test_whoever_asks_changes_nothing() -> None:
    state, _ = watched()
    digest = state.digest()
    assert list(reads_are_free(state, digest)) == []
    state.holds = NosyHolds(state)
    sentences = "".join(reads_are_free(state, digest))
    assert "V-18 the state at 0 has changed by being asked" in sentences


STRANGER: Final = ev.WorkerHeard(ONLY, "another")


def test_a_fact_that_was_refused_brings_about_nothing() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1, cores=4))
    job = script.submit("solo")
    before = script.controller.clone()
    end = script.end(TaskId("/alice/solo:0"), EndCause.EXIT_NONZERO)
    decisions, _ = script.controller.step(script.now, (end, STRANGER))
    right = Turn(script.now, (end, STRANGER), tuple(decisions))
    assert decisions
    assert list(bad_facts_are_set_aside(before, right)) == []
    forged = replace(right, decisions=(*decisions, de.Release(job, (), "")))
    told = "".join(bad_facts_are_set_aside(before, forged))
    assert told == "V-19 at 0 WorkerHeard was refused, and yet other decisions hung on it"


def test_a_request_that_was_refused_brings_about_nothing_but_its_answer() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1, cores=4))
    job = script.submit("solo")
    before = script.controller.clone()
    bad = ev.JobSubmitted(RequestId("again"), script.job(job).spec)
    decisions, _ = script.controller.step(script.now, (bad,))
    right = Turn(script.now, (bad,), tuple(decisions))
    assert list(bad_facts_are_set_aside(before, right)) == []
    forged = replace(right, decisions=(*decisions, de.Release(job, (), "")))
    assert "V-19 at 0 JobSubmitted was refused" in "".join(bad_facts_are_set_aside(before, forged))
