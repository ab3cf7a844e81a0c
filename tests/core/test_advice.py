"""When it is placed, by what is usual, and what would help: each held against the deciding functions."""

from dataclasses import replace

import pytest
from hypothesis import given, settings

from iris.core import events as ev
from iris.core.explain import why_waiting, without_others
from iris.core.fit import refusal, shape_of
from iris.core.ids import JobId, SliceId, WorkerId
from iris.core.instant import MINUTE, Millis
from iris.core.reasons import Advised, Usual, Verdict
from iris.core.resources import Resources
from iris.core.retry import EndCause
from iris.core.spec import Constraint, ConstraintOp
from iris.core.telling import sentences
from iris.core.usual import usual_coming, usual_steps
from tests.core.situations import situations
from tests.core.test_explain import STRICT, TPU, why
from tests.core.test_telling import advice
from tests.harness import GIB, Script, cluster, cpu_group, fleet, tpu_group

# ---- what is usual, and when -------------------------------------------------------------------


def grown(slices: int) -> Script:
    """A group of which so many slices have come, after 1, 2, 3 ... minutes each."""
    script = cluster(cpu_group(max_slices=slices + 2))
    for number in range(slices):
        script.submit(f"job-{number}", cpu=4)
        (name,) = script.coming("cpu")
        script.advance(30_000).step(ev.SliceAccepted(name))
        script.advance((number + 1) * MINUTE - 30_000).ready(name)
        script.running(JobId(f"/alice/job-{number}"))
    return script


def test_how_long_slices_usually_take_is_learned_from_those_that_came() -> None:
    script = grown(4)
    job = script.submit("waits", cpu=4)
    reason = why(script, job)
    assert (reason.under_way[0].usual, reason.eta) == (None, None)
    assert "When it is placed is unknown." in sentences(reason)
    script = grown(10)
    script.terminate(SliceId("iris-cpu-1"))  # One that is over counts as well.
    reason = why(script, script.submit("waits", cpu=4))
    usual = Usual(Millis(5 * MINUTE), Millis(9 * MINUTE), 10)
    assert reason.under_way[-1].usual == usual
    assert usual_coming(script.controller.state, script.slice(SliceId("iris-cpu-2")).group) == usual
    accepted, booted = usual_steps(script.controller.state, reason.pools[0].group)
    assert accepted == Usual(Millis(30_000), Millis(30_000), 10)
    assert booted == Usual(Millis(5 * MINUTE - 30_000), Millis(9 * MINUTE - 30_000), 10)


def test_an_adopted_slice_says_nothing_of_how_long_they_take() -> None:
    script = grown(4)
    name = SliceId("iris-cpu-77")
    script.machines[name] = replace(script.machines[SliceId("iris-cpu-1")], slice=name)
    script.listing().step(script.registration(name, 0))
    assert script.slice(name).adopted
    assert usual_coming(script.controller.state, script.slice(name).group) is None


def test_a_slice_on_its_way_says_when_and_one_that_is_late_does_not() -> None:
    script = grown(10)
    asked = script.now
    first, second = script.submit("first", cpu=4), script.submit("second", cpu=4)
    eta = why(script, first).eta
    assert eta is not None
    assert (eta.low, eta.high) == (asked + 5 * MINUTE, asked + 9 * MINUTE)
    assert "10 slices like it have come" in sentences(why(script, first))[-1]
    behind = why(script, second).eta
    assert behind is not None
    assert behind.high == asked + 9 * MINUTE
    for name in script.coming("cpu"):
        script.step(ev.SliceAccepted(name))
    script.advance(10 * MINUTE)
    late = why(script, first).eta
    assert late is not None
    assert (late.low, late.high) == (script.now, None)


def test_after_a_pause_of_creates_a_slice_takes_its_time() -> None:
    script = grown(10)
    script.submit("waits", cpu=4)
    script.refused(script.coming("cpu")[0], ev.CreateFailure.RATE)
    eta = why(script, "/alice/waits").eta
    assert eta is not None
    assert (eta.low, eta.high) == (script.now + 6 * MINUTE, None)


# ---- what would help ---------------------------------------------------------------------------


def test_a_constraint_is_named_without_which_it_would_be_served() -> None:
    script = fleet(cpu_group(zones=("us-a", "us-b")))
    only_a = Constraint("zone", ConstraintOp.IN, ("us-a",))
    spot = Constraint("preemptible", ConstraintOp.IN, ("false",))
    job = script.submit("picky", constraints=(spot, only_a))
    script.config(cpu_group(zones=("us-b",)))
    reason = why(script, job)
    assert reason.verdict is Verdict.NO_MATCHING_GROUP
    assert advice(reason) == {
        Advised.DROP_CONSTRAINT: "drop the constraint zone in us-a: cpu in us-b would serve it"
    }


def test_a_gang_is_told_of_how_many_it_would_have_to_be() -> None:
    script = fleet(tpu_group(hosts=2))
    gang = script.submit("gang", gang=True, replicas=2, tpu=TPU)
    script.config(tpu_group(hosts=4), cpu_group(hosts=2), cpu_group("one"))
    told = advice(why(script, gang))
    assert told == {
        Advised.FIT_THE_GANG: "submit 4 replicas, coscheduled: slices of tpu have 4 hosts"
    }


def test_who_is_first_in_line_can_be_asked() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1), scheduler=STRICT)
    script.submit("there", cpu=3)
    wide = script.submit("wide", cpu=4)
    reason = why(script, script.submit("small"))
    assert advice(reason)[Advised.ASK_WHO_IS_FIRST].endswith(f"iris job why {wide}")
    told = without_others(reason)
    assert (told.advice, told.next.what) == ((), "whoever is served before it is placed")


def test_an_operators_closed_door_is_named_unless_its_host_is_too_small_or_has_failed_it() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    script.step(ev.WorkerDrainRequested(WorkerId("iris-cpu-1-w0")))
    reason = why(script, script.submit())
    assert advice(reason)[Advised.LET_WORK_IN].endswith("iris worker drain --resume iris-cpu-1-w0")
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    job = script.submit()
    script.ends(script.task(job).id, EndCause.LAUNCH).advance(MINUTE)
    script.step(ev.WorkerDrainRequested(WorkerId("iris-cpu-1-w0")))
    assert Advised.LET_WORK_IN not in advice(why(script, job))
    script = cluster(cpu_group(min_slices=1, max_slices=1))
    (name,) = script.coming("cpu")
    small = replace(script.registration(name, 0), offers=Resources(cpu=1_000, memory=GIB))
    script.step(ev.SliceAccepted(name), small)
    script.step(ev.WorkerDrainRequested(WorkerId("iris-cpu-1-w0")))
    told = why(script, script.submit(cpu=2))
    assert (told.verdict, Advised.LET_WORK_IN in advice(told)) == (Verdict.BARRED, False)
    assert without_others(told) == replace(told, queue=without_others(told).queue)


@pytest.mark.parametrize("held", [1, 3])
def test_who_has_most_slices_is_named(held: int) -> None:
    script = fleet(cpu_group(min_slices=4, max_slices=4))
    script.submit("many", cpu=4, replicas=held)
    script.submit("rest", cpu=4, replicas=4 - held)
    told = advice(why(script, script.submit("waits", cpu=4)))
    most = "/alice/many" if held == 3 else "/alice/rest"
    assert told[Advised.ASK_WHO_HOLDS] == f"{most} is on 3 slices of cpu"


# ---- whatever the situation --------------------------------------------------------------------


@settings(max_examples=25)
@given(situations())
def test_i_135_advice_is_taken_by_the_predicates_themselves(script: Script) -> None:
    state = script.controller.state
    for name in state.jobs:
        reason = why_waiting(state, name, script.now)
        spec = state.jobs[name].spec
        assert not reason.advice or reason.verdict is not Verdict.FITS_NOW
        for told in reason.advice:
            match told.kind:
                case Advised.RAISE_MAX_SLICES:
                    group = next(g for g in state.spec.groups if g.name == told.about)
                    assert state.existing(group.name) >= group.max_slices
                    assert any(refusal(shape_of(spec), group, z) is None for z in group.zones)
                case Advised.ASK_WHO_HOLDS:
                    tasks = state.jobs[JobId(told.about)].tasks
                    assert any(state.live_attempt(task) is not None for task in tasks)
                case Advised.LET_WORK_IN:
                    worker = state.workers[WorkerId(told.about)]
                    assert worker.cordoned
                case kind:
                    assert kind is Advised.ASK_WHO_IS_FIRST
