"""What an end means: one total table, one charge for a gang's round, spaced-out failures."""

from itertools import permutations

import pytest

from iris.core import decisions as de
from iris.core.instant import HOUR, MINUTE, SECOND, Instant, Millis
from iris.core.lifecycle import AttemptState, JobState, SliceState, TaskState
from iris.core.retry import MEANING, SURVIVES_LOSS, Budget, EndCause, cause_of_loss, charge_of
from iris.core.spec import TimeoutPolicy
from tests.harness import cpu_group, fleet, tpu_group


def test_every_cause_has_a_meaning() -> None:
    assert list(MEANING) == list(EndCause)
    assert {m.state for m in MEANING.values()} == {
        AttemptState.SUCCEEDED,
        AttemptState.FAILED,
        AttemptState.KILLED,
        AttemptState.PREEMPTED,
        AttemptState.EVICTED,
        AttemptState.WORKER_FAILED,
    }


@pytest.mark.parametrize("cause", EndCause)
def test_i_113_only_what_the_users_code_did_costs_the_failure_budget(cause: EndCause) -> None:
    by_the_user = cause in (EndCause.EXIT_NONZERO, EndCause.OUT_OF_MEMORY)
    assert (MEANING[cause].charges is Budget.FAILURE) == by_the_user
    assert MEANING[cause].blames_host == (cause is EndCause.LAUNCH)


@pytest.mark.parametrize("host_went", [EndCause.HOST_LOST, EndCause.PREEMPTION, EndCause.UNKNOWN])
def test_i_114_a_sibling_that_exits_because_a_host_vanished_is_infrastructure(
    host_went: EndCause,
) -> None:
    ends = [EndCause.EXIT_NONZERO, host_went, EndCause.SIBLING, EndCause.EXIT_ZERO]
    assert {charge_of(order) for order in permutations(ends)} == {Budget.PREEMPTION}


def test_a_round_without_infrastructure_is_charged_to_the_user_once() -> None:
    ends = [EndCause.SIBLING, EndCause.OUT_OF_MEMORY, EndCause.EXIT_NONZERO]
    assert {charge_of(order) for order in permutations(ends)} == {Budget.FAILURE}
    assert charge_of([EndCause.EXIT_ZERO, EndCause.SIBLING]) is None
    assert charge_of([]) is None


@pytest.mark.parametrize("stopping_for", [None, *EndCause])
def test_a_stop_that_was_asked_for_stays_the_cause_when_the_host_is_lost(
    stopping_for: EndCause | None,
) -> None:
    cause = cause_of_loss(stopping_for, EndCause.HOST_LOST)
    assert cause is (stopping_for if stopping_for in SURVIVES_LOSS else EndCause.HOST_LOST)


def test_i_115_running_out_of_memory_is_the_users_failure_and_ends_the_job() -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit("greedy", max_retries_failure=1, max_retries_preemption=10_000)
    script.running(job).ends(script.task(job).id, EndCause.OUT_OF_MEMORY)
    assert script.the(de.Retry).charge is Budget.FAILURE
    script.advance(10 * SECOND)
    script.running(job).ends(script.task(job).id, EndCause.OUT_OF_MEMORY)
    assert "out_of_memory: 2 times" in script.the(de.TaskVerdict).why
    assert script.job(job).state is JobState.FAILED


def test_i_118_a_job_gets_exactly_as_many_tries_as_its_budget_says() -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit("flaky", max_retries_failure=3)
    for _ in range(3):
        script.running(job).ends(script.task(job).id, EndCause.EXIT_NONZERO)
        assert script.the(de.Retry).charge is Budget.FAILURE
        script.advance(HOUR)
    script.running(job).ends(script.task(job).id, EndCause.EXIT_NONZERO)
    assert script.job(job).state is JobState.FAILED
    assert [a.state for a in script.task(job).attempts] == [AttemptState.FAILED] * 4


def test_i_140_a_budget_of_zero_means_that_the_first_preemption_is_the_end() -> None:
    script = fleet(tpu_group(min_slices=1))
    job = script.submit(tpu="v5litepod-16", replicas=2, gang=True, max_retries_preemption=0)
    script.running(job).preempted(script.slices_in(SliceState.READY)[0])
    assert (
        "preemption: once, and max_retries_preemption is 0; "
        in script.the(de.TaskVerdict, task=f"{job}:0").why
    )
    assert script.job(job).state is JobState.FAILED


def test_i_113_preemptions_leave_the_failure_budget_untouched() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    job = script.submit("long", max_retries_failure=0, max_retries_preemption=5)
    for _ in range(5):
        name = script.running(job).slices_in(SliceState.READY)[0]
        script.preempted(name).advance(HOUR)
        script.ready("cpu")
    assert script.task(job).state is TaskState.ASSIGNED
    assert {a.cause for a in script.task(job).attempts[:-1]} == {EndCause.PREEMPTION}


def test_i_75_quick_failures_in_a_row_are_spaced_out_twice_as_far_each_time() -> None:
    policy = TimeoutPolicy(retry_backoff=SECOND, max_retry_backoff=MINUTE)
    script = fleet(cpu_group(min_slices=1), timeouts=policy)
    job = script.submit("broken", max_retries_failure=8)
    pauses = []
    for _ in range(8):
        began = script.now
        script.running(job).ends(script.task(job).id, EndCause.EXIT_NONZERO)
        assert not script.decided(de.Placement)
        at = script.the(de.Retry).not_before
        assert at is not None
        pauses.append((at - began) // SECOND)
        assert not script.advance(at - script.now - 1).decided(de.Placement)
        assert script.advance(1).decided(de.Placement)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_i_75_a_cluster_of_bad_workers_tries_a_job_as_often_as_its_budget_and_no_more() -> None:
    script = fleet(cpu_group(min_slices=4))
    job = script.submit("doomed", max_retries_preemption=2)
    for _ in range(3):
        script.ends(script.task(job).id, EndCause.LAUNCH).advance(10 * MINUTE)
    assert script.job(job).state is JobState.FAILED
    assert len(script.task(job).attempts) == 3


def test_an_attempt_that_lasted_is_no_quick_failure() -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit("slow", max_retries_failure=9)
    script.running(job).ends(script.task(job).id, EndCause.EXIT_NONZERO)
    assert script.the(de.Retry).not_before == Instant(script.now + 10 * SECOND)
    script.advance(10 * SECOND)
    script.running(job).advance(MINUTE)
    script.ends(script.task(job).id, EndCause.EXIT_NONZERO)
    assert script.the(de.Retry).not_before is None
    assert script.the(de.Placement).tasks == (f"{job}:0",)


def test_a_pause_of_nothing_is_no_pause() -> None:
    script = fleet(cpu_group(min_slices=1), timeouts=TimeoutPolicy(retry_backoff=Millis(0)))
    job = script.submit("eager", max_retries_failure=9)
    script.running(job).ends(script.task(job).id, EndCause.EXIT_NONZERO)
    assert script.the(de.Retry).not_before is None
    assert script.decided(de.Placement)
