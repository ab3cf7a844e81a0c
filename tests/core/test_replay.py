"""Reading a journal: it recovers without deciding, and verification names the first difference."""

from dataclasses import replace

from iris.core import decisions as de
from iris.core import effects as ef
from iris.core.ids import SliceId
from iris.core.instant import MINUTE
from iris.core.record import Turn
from iris.core.replay import Difference, recover, verify
from iris.core.retry import EndCause
from iris.core.snapshot import snapshot
from iris.core.spec import Band
from tests.harness import Script, cluster, cpu_group, tpu_group

TPU = "v5litepod-16"


def story() -> Script:
    """A day with gangs, an eviction, a preemption, a refusal and a retry."""
    script = cluster(tpu_group(max_slices=1), cpu_group(max_slices=2))
    low = script.submit("low", tpu=TPU, replicas=2, gang=True, band=Band.BATCH)
    script.ready("tpu")
    script.running(low)
    script.submit("high", tpu=TPU, replicas=2, gang=True, band=Band.PRODUCTION)
    script.stopped(low)
    single = script.submit("single", max_retries_failure=1)
    script.ready("cpu")
    script.running(single).ends(script.task(single).id, EndCause.EXIT_NONZERO)
    script.advance(MINUTE)
    script.preempted(SliceId("iris-tpu-1"))
    script.advance(10 * MINUTE)
    return script


def test_a_journal_recovers_the_state_that_it_ends_in_from_any_snapshot_on_the_way() -> None:
    script = story()
    assert recover(script.journal).digest() == script.controller.digest()
    half = len(script.journal) // 2
    image = snapshot(recover(script.journal[:half]).state)
    assert recover(script.journal[half:], image).digest() == script.controller.digest()


def test_the_same_facts_decide_the_same_again() -> None:
    script = story()
    assert verify(script.journal) is None
    half = len(script.journal) // 2
    image = snapshot(recover(script.journal[:half]).state)
    assert verify(script.journal[half:], image) is None


def test_a_recovered_controller_decides_on_as_the_old_one_would_have() -> None:
    script = story()
    twin = recover(script.journal)
    script.submit("next", cpu=4)
    turn = script.journal[-1]
    decisions, _ = twin.step(turn.now, turn.events)
    assert tuple(decisions) == turn.decisions


def placed(journal: list[Turn]) -> tuple[int, int]:
    """The first turn with a placement, and its position there."""
    for number, turn in enumerate(journal):
        for position, decision in enumerate(turn.decisions):
            if isinstance(decision, de.Placement):
                return number, position
    raise AssertionError("nothing was placed")


def test_verification_names_the_first_decision_that_differs() -> None:
    journal = list(story().journal)
    number, position = placed(journal)
    turn = journal[number]
    was = turn.decisions[position]
    assert isinstance(was, de.Placement)
    forged = replace(was, why="another version thought so")
    decisions = (*turn.decisions[:position], forged, *turn.decisions[position + 1 :])
    journal[number] = replace(turn, decisions=decisions)
    assert verify(journal) == Difference(number, turn.now, position, forged, was)


def test_verification_names_a_decision_that_only_one_of_the_two_has() -> None:
    journal = list(story().journal)
    number, position = placed(journal)
    turn = journal[number]
    was = turn.decisions[position]
    shorter, longer = list(journal), list(journal)
    shorter[number] = replace(turn, decisions=turn.decisions[:position])
    longer[number] = replace(turn, decisions=(*turn.decisions, was))
    assert verify(shorter) == Difference(number, turn.now, position, None, was)
    past_the_end = len(turn.decisions)
    assert verify(longer) == Difference(number, turn.now, past_the_end, was, None)


def test_a_recorded_decision_is_applied_though_this_version_would_decide_otherwise() -> None:
    script = cluster(cpu_group(max_slices=3))
    script.submit()
    turn = script.journal[-1]
    (request,) = [d for d in turn.decisions if isinstance(d, de.SliceRequest)]
    other = replace(request, slice=SliceId("iris-cpu-by-another-policy"))
    decisions = tuple(other if d is request else d for d in turn.decisions)
    journal = [*script.journal[:-1], replace(turn, decisions=decisions)]
    recovered = recover(journal)
    assert list(recovered.state.slices) == ["iris-cpu-by-another-policy"]
    creates = [e for e in recovered.unfinished() if isinstance(e, ef.CreateSlice)]
    assert [create.slice for create in creates] == ["iris-cpu-by-another-policy"]
