"""The scheduler: who may pass whom, and what a turn costs, however many wait."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from iris.core import decisions as de
from iris.core import events as ev
from iris.core.controller import Controller
from iris.core.ids import GroupName, JobId, RequestId, SliceId, TaskId, UserName, WorkerId, Zone
from iris.core.instant import MINUTE, Instant
from iris.core.lifecycle import AttemptState, JobState
from iris.core.resources import Resources
from iris.core.retry import EndCause
from iris.core.spec import (
    Backfill,
    Band,
    ClusterSpec,
    Constraint,
    ConstraintOp,
    GroupSpec,
    JobSpec,
    Order,
    RetentionPolicy,
    SchedulerPolicy,
)
from tests.harness import ALICE, GIB, Script, cpu_group, fleet, tpu_group

STRICT = SchedulerPolicy(order=Order.FIFO, backfill=Backfill.NONE)
GREEDY = SchedulerPolicy(backfill=Backfill.GREEDY)


# ---- head of line ------------------------------------------------------------------------------


def test_in_strict_order_nobody_passes_a_head_that_does_not_fit() -> None:
    script = fleet(cpu_group(min_slices=2, max_slices=2), scheduler=STRICT)
    script.submit("one", cpu=3)
    script.submit("two", cpu=3)
    script.submit("wide", cpu=4)
    small = script.submit("small")
    assert script.job(small).state is JobState.PENDING
    script.finish(JobId("/alice/two"))
    placed = [p.job for p in script.decided(de.Placement)]
    assert placed == ["/alice/wide", "/alice/small"]


def test_in_strict_order_a_shape_that_fits_waits_for_one_of_another_kind() -> None:
    script = fleet(
        tpu_group(hosts=1, min_slices=1, max_slices=1),
        cpu_group(min_slices=1, max_slices=1),
        scheduler=STRICT,
    )
    script.submit("fill", tpu="v5litepod-16")
    script.submit("waits", tpu="v5litepod-16")
    cpu = script.submit("cpu")
    assert script.job(cpu).state is JobState.PENDING


def test_in_strict_order_the_next_is_looked_at_when_the_head_gives_up() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1), scheduler=STRICT)
    script.submit("there", cpu=3)
    wide, small = script.submit("wide", cpu=4), script.submit("small")
    script.stop(wide)
    assert script.job(small).state is JobState.RUNNING


def test_a_greedy_policy_lets_pass_whoever_fits() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1), scheduler=GREEDY)
    script.submit("there", cpu=3)
    wide, small = script.submit("wide", cpu=4), script.submit("small")
    assert script.job(wide).state is JobState.PENDING
    assert script.job(small).state is JobState.RUNNING
    assert not script.decided(de.Holding)


def test_i_14_a_gang_that_was_thrown_back_is_first_again_by_its_arrival() -> None:
    script = fleet(cpu_group(hosts=2, min_slices=1, max_slices=1), scheduler=GREEDY)
    gang = script.submit("gang", gang=True, replicas=2, cpu=4, max_retries_failure=1)
    script.running(gang)
    script.submit("later", gang=True, replicas=2, cpu=4)
    script.advance(2 * MINUTE)
    script.ends(script.task(gang, 0).id, EndCause.EXIT_NONZERO).stopped(gang)
    assert script.the(de.Placement).job == gang


def test_room_that_comes_back_is_offered_to_who_waits_for_it() -> None:
    script = fleet(cpu_group(hosts=2, min_slices=1, max_slices=1))
    worker = WorkerId("iris-cpu-1-w0")
    script.step(ev.WorkerDrainRequested(worker))
    gang = script.submit("gang", gang=True, replicas=2)
    assert script.job(gang).state is JobState.PENDING
    script.step(ev.WorkerDrainRequested(worker, resume=True))
    assert script.job(gang).state is JobState.RUNNING


def test_a_worker_that_is_silent_gets_no_work_until_it_speaks() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    worker = WorkerId("iris-cpu-1-w0")
    script.silent(worker)
    job = script.submit()
    assert script.job(job).state is JobState.PENDING
    script.step(ev.WorkerHeard(worker, "first"))
    assert script.job(job).state is JobState.RUNNING


def test_room_on_a_host_that_falls_silent_in_the_same_turn_is_no_room() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    first = script.submit("first", cpu=4)
    second = script.submit("second", cpu=4)
    worker = WorkerId("iris-cpu-1-w0")
    ends = script.end(script.task(first).id, EndCause.EXIT_ZERO)
    script.step(ends, ev.WorkerSilent(worker, "first", script.now))
    assert script.job(second).state is JobState.PENDING


def test_i_66_what_waits_for_a_slice_is_offered_its_idle_ones_first() -> None:
    script = fleet(tpu_group(min_slices=2, max_slices=4))
    for number in range(2):
        script.submit(f"gang-{number}", gang=True, replicas=2, tpu="v5litepod-16")
    assert len(script.controller.state.slices) == 2
    assert not script.decided(de.SliceDrain)
    script.submit("third", gang=True, replicas=2, tpu="v5litepod-16")
    assert script.decided(de.SliceRequest)


def test_i_54_cpu_work_that_waits_makes_nobody_buy_more_accelerators_than_are_needed() -> None:
    script = fleet(tpu_group(), cpu_group(min_slices=1, max_slices=1))
    script.submit("fill", cpu=4)
    script.submit("cpu", cpu=3)
    script.submit("gang", gang=True, replicas=2, tpu="v5litepod-16")
    assert script.the(de.SliceRequest).group == "tpu"


def test_i_111_an_inherited_constraint_binds_like_any_other_and_is_seen_by_all() -> None:
    script = fleet(cpu_group("a", min_slices=1), cpu_group("b", max_slices=2))
    parent = script.submit("parent")
    only_b = Constraint("group", ConstraintOp.IN, ("b",), inherited=True)
    child = script.submit_spec(JobSpec(ALICE, "child", parent=parent, constraints=(only_b,)))
    assert script.job(child).state is JobState.PENDING
    # The autoscaler sees it, too: it buys in b, though a has room.
    assert script.the(de.SliceRequest).group == "b"
    script.ready("b")
    assert script.attempt(TaskId(f"{child}:0")).worker == "iris-b-2-w0"


# ---- what a turn costs -------------------------------------------------------------------------


def big_cluster(machines: int, policy: SchedulerPolicy | None = None) -> Controller:
    """A controller with so many machines of four cores, and no check on its every step."""
    group = replace(cpu_group(min_slices=machines, max_slices=machines), zones=(Zone("us-a"),))
    controller = Controller()
    spec = ClusterSpec((group,), scheduler=policy or SchedulerPolicy())
    policy_of = replace(spec.autoscaler, create_burst=machines, creates_per_minute=machines)
    tell(controller, ev.ConfigLoaded(replace(spec, autoscaler=policy_of)))
    tell(controller, ev.SlicesObserved((), Instant(0), complete=True))
    names = list(controller.state.slices)
    tell(controller, *(registered(group, name) for name in names))
    assert len(controller.state.room.where) == machines
    return controller


def registered(group: GroupSpec, name: SliceId) -> ev.WorkerRegistered:
    return ev.WorkerRegistered(name, 0, "first", name, group.host, GroupName("cpu"), Zone("us-a"))


def tell(controller: Controller, *events: ev.Event) -> tuple[Sequence[de.Decision], int]:
    """What a turn decides, and how many evaluations of the fit it takes."""
    before = controller.state.books.evaluations
    decisions, _ = controller.step(controller.state.now, events)
    return decisions, controller.state.books.evaluations - before


def submission(
    name: str, *, cpu: int, replicas: int = 1, band: Band = Band.INTERACTIVE, user: str = ALICE
) -> ev.JobSubmitted:
    need = Resources(cpu=cpu * 1_000, memory=GIB)
    spec = JobSpec(UserName(user), name, replicas=replicas, resources=need, band=band)
    return ev.JobSubmitted(RequestId(name), spec)


def ended(controller: Controller, task: str) -> ev.WorkerReported:
    attempt = controller.state.tasks[TaskId(task)].attempts[-1]
    report = ev.AttemptReport(
        TaskId(task), attempt.number, AttemptState.SUCCEEDED, EndCause.EXIT_ZERO
    )
    return ev.WorkerReported(attempt.worker, "first", (report,))


@pytest.mark.parametrize("policy", [SchedulerPolicy(), STRICT, GREEDY])
def test_i_07_ten_thousand_identical_tasks_that_fit_nowhere_cost_what_one_costs(
    policy: SchedulerPolicy,
) -> None:
    costs = []
    for replicas in (1, 10_000):
        controller = big_cluster(20, policy)
        tell(controller, submission("fill", cpu=3, replicas=20, band=Band.PRODUCTION))
        _, to_come = tell(
            controller, submission("stuck", cpu=4, replicas=replicas, band=Band.PRODUCTION)
        )
        _, at_rest = tell(controller)
        _, at_end = tell(controller, submission("other", cpu=4, band=Band.BATCH))
        costs.append((to_come, at_rest, at_end))
    assert costs[0] == costs[1]


def test_i_07_who_fits_nowhere_is_looked_at_again_only_where_there_is_more_room() -> None:
    controller = big_cluster(200)
    tell(controller, submission("fill", cpu=3, replicas=200, band=Band.PRODUCTION))
    tell(controller, submission("low", cpu=1, replicas=200, band=Band.PRODUCTION))
    tell(controller, submission("stuck", cpu=4, replicas=500))
    decisions, cost = tell(controller, ended(controller, "/alice/low:7"))
    assert not any(isinstance(d, de.Placement) for d in decisions)
    assert cost == 1


def test_i_07_room_that_a_shape_may_not_use_is_no_reason_to_look_at_it_again() -> None:
    script = fleet(
        cpu_group("a", min_slices=1, max_slices=1), cpu_group("b", min_slices=1, max_slices=1)
    )
    script.submit("fill", cpu=4, replicas=2)
    only_a = Constraint("group", ConstraintOp.IN, ("a",))
    script.submit("stuck", cpu=4, band=Band.BATCH, constraints=(only_a,))
    (elsewhere,) = [
        task.id
        for task in script.job(JobId("/alice/fill")).tasks
        if script.attempt(task.id).slice == "iris-b-2"
    ]
    _, cost = tell(script.controller, script.end(elsewhere, EndCause.EXIT_ZERO))
    assert cost == 1


def test_i_07_a_gang_is_looked_at_again_only_where_a_whole_slice_may_be_free() -> None:
    script = fleet(tpu_group(min_slices=1, max_slices=1))
    script.submit("fill", tpu="v5litepod-16", gang=True, replicas=2)
    script.submit("stuck", tpu="v5litepod-16", gang=True, replicas=2, band=Band.BATCH)
    _, cost = tell(script.controller, script.end(TaskId("/alice/fill:0"), EndCause.EXIT_ZERO))
    assert cost == 1


def test_i_07_a_host_that_is_put_out_as_it_is_freed_is_no_reason_to_look_again() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    script.submit("fill", cpu=4)
    script.submit("stuck", cpu=4, band=Band.BATCH)
    end = script.end(TaskId("/alice/fill:0"), EndCause.EXIT_ZERO)
    _, cost = tell(script.controller, end, ev.WorkerDrainRequested(WorkerId("iris-cpu-1-w0")))
    assert cost == 0


def test_i_07_a_hopeless_search_for_victims_is_repeated_only_where_something_has_changed() -> None:
    controller = big_cluster(200)
    tell(controller, submission("fill", cpu=3, replicas=200, band=Band.PRODUCTION))
    tell(controller, submission("low", cpu=1, replicas=200, band=Band.BATCH))
    _, first = tell(controller, submission("stuck", cpu=4, band=Band.PRODUCTION))
    assert first > 200
    _, again = tell(controller, ended(controller, "/alice/low:7"))
    assert again < 10


@pytest.mark.parametrize("policy", [SchedulerPolicy(), STRICT, GREEDY])
def test_i_94_each_host_is_asked_a_bounded_number_of_times_however_many_must_make_way(
    policy: SchedulerPolicy,
) -> None:
    costs = []
    for machines in (50, 200):
        controller = big_cluster(machines, policy)
        tell(controller, submission("low", cpu=1, replicas=4 * machines, band=Band.BATCH))
        urgent = submission("urgent", cpu=4, replicas=machines, band=Band.PRODUCTION)
        decisions, cost = tell(controller, urgent)
        evicted = [d for d in decisions if isinstance(d, de.Eviction)]
        assert sum(len(d.victims) for d in evicted) == 4 * machines
        costs.append(cost / machines)
    assert max(costs) < 4


def test_i_91_what_has_ended_makes_no_turn_dearer() -> None:
    costs = []
    for history in (0, 300):
        controller = big_cluster(10)
        for number in range(history):
            tell(controller, submission(f"old-{number}", cpu=1))
            tell(controller, ended(controller, f"/alice/old-{number}:0"))
        _, cost = tell(controller, submission("new", cpu=1))
        costs.append(cost)
    assert costs[0] == costs[1]


def test_i_96_shapes_that_nobody_uses_are_forgotten_with_the_jobs_that_had_them() -> None:
    script = Script()
    script.config(cpu_group(cores=64, min_slices=1), retention=RetentionPolicy(ended_jobs=4))
    script.listing().ready("cpu")
    for cores in range(1, 30):
        script.advance(1)
        script.finish(script.submit(f"job-{cores}", cpu=cores))
    rankings = script.controller.state.room._rankings
    assert len(rankings) < 10
