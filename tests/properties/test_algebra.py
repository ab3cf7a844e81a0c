"""The algebra of facts: what may be repeated, reordered or late without making a difference."""

import functools
from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris.core import decisions, effects
from iris.core import events as ev
from iris.core.controller import Controller
from iris.core.ids import RequestId, SliceId, TaskId, UserName, WorkerId
from iris.core.instant import SECOND
from iris.core.lifecycle import AttemptState
from iris.core.record import from_json, to_json
from iris.core.retry import EndCause
from iris.core.spec import JobSpec
from tests.checks import untraced
from tests.harness import Script, cpu_group, fleet, tpu_group
from tests.properties.world import ENDS

POD: Final = SliceId("iris-tpu-1")
HOSTS: Final = (WorkerId("iris-tpu-1-w0"), WorkerId("iris-tpu-1-w1"), WorkerId("iris-cpu-2-w0"))


@functools.cache
def working() -> Script:
    """A gang on a pod, two tasks on a machine, and one more task that is at its second attempt.

    What is told is told to copies of its controller, so that all tests share it.
    """
    script = fleet(tpu_group(min_slices=1), cpu_group(min_slices=1, cores=8))
    gang = script.submit("gang", gang=True, replicas=2, tpu="v5litepod-16")
    pair = script.submit("pair", replicas=2, cpu=1, max_retries_failure=3)
    again = script.submit("again", cpu=1, max_retries_failure=3)
    for job in (gang, pair, again):
        script.running(job)
    script.ends(TaskId("/alice/again:0"), EndCause.EXIT_NONZERO)
    script.advance(60 * SECOND)
    script.running(again)
    return script


def facts(script: Script) -> dict[str, Sequence[ev.Event]]:
    """One of each kind of fact about a cluster at work, as lists that belong together."""
    return {
        "an end": [script.end(TaskId("/alice/pair:0"), EndCause.EXIT_ZERO)],
        "a failure": [script.end(TaskId("/alice/pair:1"), EndCause.EXIT_NONZERO)],
        "a silence": [ev.WorkerSilent(HOSTS[2], "first", script.now)],
        "a registration": [script.registration(POD, 0)],
        "a restarted agent": [script.registration(POD, 1, incarnation="second")],
        "a notice": [ev.PreemptionNoticed(POD)],
        "a submission": [ev.JobSubmitted(RequestId("x"), JobSpec(UserName("bob"), "new"))],
        "a drain": [ev.WorkerDrainRequested(HOSTS[2])],
        "an unasked delete": [ev.SliceDeleted(POD)],
        "a refusal of what is ready": [ev.SliceCreateFailed(POD, ev.CreateFailure.STOCKOUT)],
        "a late acceptance": [ev.SliceAccepted(POD)],
        "a preempted sighting": [
            ev.SlicesObserved(
                (ev.SliceSighting(POD, ev.CloudState.PREEMPTED),), script.now, complete=False
            )
        ],
        "an error": [ev.SlicesObserved((), script.now, complete=False, error="unavailable")],
        "a whole report": [script.report(HOSTS[2], complete=True)],
    }


KINDS: Final = sorted(facts(working()))


def told(controller: Controller, *turns: Sequence[ev.Event]) -> str:
    """The digest after these turns, all of one instant, without the count of stale facts."""
    twin = controller.clone()
    for events in turns:
        twin.step(twin.state.now, events)
    twin.state.books.stale_facts = 0
    return twin.digest()


@pytest.mark.parametrize("kind", KINDS)
def test_a_fact_twice_is_a_fact_once(kind: str) -> None:
    script = working()
    events = facts(script)[kind]
    once = told(script.controller, events)
    assert told(script.controller, events, events) == once
    assert told(script.controller, [*events, *events]) == once


UNRELATED: Final = [
    ("an end", "a notice"),
    ("an end", "a failure"),
    ("an end", "a restarted agent"),
    ("a failure", "a preempted sighting"),
    ("a silence", "a notice"),
    ("a restarted agent", "a drain"),
    ("a submission", "a notice"),
    ("a registration", "an error"),
]


@pytest.mark.parametrize(("one", "other"), UNRELATED)
def test_unrelated_facts_of_one_instant_commute(one: str, other: str) -> None:
    script = working()
    kinds = facts(script)
    here, there = kinds[one], kinds[other]
    assert told(script.controller, [*here, *there]) == told(script.controller, [*there, *here])


@given(
    cause=st.sampled_from(sorted(ENDS, key=lambda cause: cause.value)),
    incarnation=st.sampled_from(["first", "another"]),
    number=st.sampled_from([0, 2, 7]),
)
def test_a_fact_about_a_past_attempt_changes_only_the_stale_count(
    cause: EndCause, incarnation: str, number: int
) -> None:
    script = working()
    report = ev.AttemptReport(TaskId("/alice/again:0"), number, ENDS[cause], cause)
    late = ev.WorkerReported(HOSTS[2], incarnation, (report,))
    before = told(script.controller, [])
    stale = script.controller.state.books.stale_facts
    twin = script.controller.clone()
    twin.step(twin.state.now, (late,))
    assert twin.state.books.stale_facts == stale + 1
    assert told(twin, []) == before


def test_progress_does_not_go_back() -> None:
    script = working()
    report = ev.AttemptReport(TaskId("/alice/pair:0"), 0, AttemptState.BUILDING)
    late = ev.WorkerReported(HOSTS[2], "first", (report,))
    assert told(script.controller, [late]) == told(script.controller, [])


# ---- records -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "union"),
    [("Event", ev.Event), ("Decision", decisions.Decision), ("Effect", effects.Effect)],
)
@given(data=st.data())
def test_every_record_reads_back_as_it_was_written(
    name: str, union: object, data: st.DataObject
) -> None:
    strategy: st.SearchStrategy[object] = st.from_type(union)  # type: ignore[arg-type]  # so is a union
    record = untraced(data.draw)(strategy, label=name)
    assert from_json(to_json(record), union) == record
