"""Explanations in any situation: confirmed by the fit, true to the next step, traceless."""

from hypothesis import given, settings

from iris.core.controller import Controller
from iris.core.explain import why_waiting
from iris.core.fit import Shape, lacks, refusal
from iris.core.ids import JobId
from iris.core.lifecycle import JobState, TaskState
from iris.core.placing import gang_fits, spare_is_wanted
from iris.core.reasons import PoolReason, Reason, Verdict
from iris.core.records import Job
from iris.core.resources import fits
from iris.core.retry import EndCause
from iris.core.room import Pool
from iris.core.spec import Backfill
from iris.core.state import ClusterState
from iris.core.telling import sentences
from iris.core.views import gate_views, group_views, job_page, job_view, slice_views, worker_views
from iris.core.waiting import GANG
from tests.core.situations import crowds, situations
from tests.harness import Script


def pending(state: ClusterState) -> list[Job]:
    return [job for job in state.jobs.values() if state.units_of(job)]


def reasons(script: Script) -> list[tuple[Job, Reason]]:
    state = script.controller.state
    return [(job, why_waiting(state, job.id, script.now)) for job in pending(state)]


def fits_in(state: ClusterState, shape: Shape, pool: Pool) -> bool:
    """The predicate itself, asked of every worker or slice of a pool."""
    if refusal(shape, pool.group, pool.zone) or spare_is_wanted(state, shape, pool):
        return False
    if shape.hosts:
        return any(gang_fits(state, shape, state.slice_by_number[n]) for n in pool.slices)
    return any(
        where is pool and fits(shape.need, free)
        and state.worker_by_number[number].id not in shape.avoid
        for number, (where, free) in state.room.where.items()
    )  # fmt: skip


@settings(max_examples=25)
@given(situations())
def test_i_135_every_does_not_fit_is_confirmed_by_the_predicate_for_each_pool(
    script: Script,
) -> None:
    state = script.controller.state
    for job, reason in reasons(script):
        member = GANG if job.spec.coscheduled else state.units_of(job)[0].member
        shape = state.shape(job, member)
        assert len(reason.pools) == len(state.room.pools)
        for told in reason.pools:
            pool = state.room.pools[told.group, told.zone]
            assert (told.blocker is None) is fits_in(state, shape, pool), (told, shape)
            refused = refusal(shape, pool.group, pool.zone)
            assert told.can_serve is (refused is None)
            if refused is not None and told.blocker is not None:
                assert told.blocker.need == refused.need
            numbers_are_true(state, shape, told)


def numbers_are_true(state: ClusterState, shape: Shape, told: PoolReason) -> None:
    blocker = told.blocker
    if blocker is None or blocker.nearest not in state.workers:
        return
    worker = next(w for w in state.workers.values() if w.id == blocker.nearest)
    assert blocker.lacks == lacks(shape.need, state.room.where[worker.number][1])
    assert blocker.lacks


@settings(max_examples=25)
@given(situations())
def test_v_22_after_a_turn_nothing_that_waits_fits_unless_the_order_is_strict(
    script: Script,
) -> None:
    strict = script.controller.state.spec.scheduler.backfill is Backfill.NONE
    for job, reason in reasons(script):
        fitting = [pool for pool in reason.pools if pool.blocker is None]
        assert reason.verdict is not Verdict.FITS_NOW, job
        assert strict or not fitting, (job, fitting)


@settings(max_examples=25)
@given(crowds())
def test_what_a_reason_says_fits_now_is_placed_by_the_next_step(script: Script) -> None:
    for task in list(script.controller.state.tasks.values()):
        twin = script.controller.clone()
        ending = twin.state.tasks[task.id]
        attempt = twin.state.live_attempt(ending)
        if attempt is None or twin.state.jobs[ending.job].spec.coscheduled:
            continue
        twin.state.end_attempt(ending, attempt, EndCause.EXIT_ZERO, "")
        told = [
            (job.id, why_waiting(twin.state, job.id, script.now)) for job in pending(twin.state)
        ]
        twin.step(script.now, ())
        for job, reason in told:
            if reason.verdict is Verdict.FITS_NOW:
                assert a_unit_was_placed(twin, job, reason)


def a_unit_was_placed(controller: Controller, job: JobId, reason: Reason) -> bool:
    row = controller.state.jobs[job]
    waits = len([t for t in row.tasks if t.state is TaskState.PENDING])
    return row.state is JobState.RUNNING or waits < reason.waiting


@settings(max_examples=25)
@given(situations())
def test_v_21_a_time_that_is_named_is_one_for_which_the_controller_wakes(script: Script) -> None:
    for job in script.controller.state.jobs.values():
        reason = why_waiting(script.controller.state, job.id, script.now)
        times = [at for at in (reason.next.at, reason.gives_up_at) if at is not None]
        wakes = script.controller.next_deadline()
        assert not times or (wakes is not None and wakes <= min(times)), reason


@settings(max_examples=25)
@given(situations())
def test_v_18_whatever_is_asked_the_state_stays_as_it_was(script: Script) -> None:
    state = script.controller.state
    before, wakes = script.controller.digest(), script.controller.next_deadline()
    for job in list(state.jobs):
        assert sentences(why_waiting(state, job, script.now))
        assert job_view(state, job) is not None
    assert job_page(state, limit=3).total == len(state.jobs)
    assert len(slice_views(state)) == len(state.slices)
    assert len(worker_views(state)) == len(state.workers)
    assert len(gate_views(state)) == len(state.gates)
    assert len(group_views(state)) == len(state.groups)
    assert (script.controller.digest(), script.controller.next_deadline()) == (before, wakes)
    decisions, _ = script.controller.clone().step(script.now, ())
    assert not decisions
