"""Views: frozen copies of what is on record, complete, and without a trace in the state."""

from dataclasses import FrozenInstanceError

import pytest

from iris.core import events as ev
from iris.core.ids import GroupName, JobId, SliceId, UserName, Zone
from iris.core.instant import MINUTE, Instant
from iris.core.lifecycle import AttemptState, JobState, SliceState, TaskState, WorkerState
from iris.core.retry import EndCause
from iris.core.spec import Band, Constraint, ConstraintOp
from iris.core.views import (
    gate_views,
    group_views,
    job_page,
    job_view,
    lines_above,
    slice_views,
    vm_views,
    worker_views,
)
from tests.harness import Script, cluster, cpu_group, fleet, tpu_group


def test_a_job_that_is_not_known_has_no_view() -> None:
    assert job_view(Script().controller.state, JobId("/alice/train")) is None


def test_i_113_a_job_shows_every_attempt_with_its_place_and_the_cause_of_its_end() -> None:
    script = fleet(cpu_group(min_slices=2, max_slices=2))
    job = script.submit(replicas=2, max_retries_failure=1)
    script.running(job).advance(2 * MINUTE)
    script.ends(script.task(job, 1).id, EndCause.EXIT_NONZERO)
    view = job_view(script.controller.state, job)
    assert view is not None
    assert view.line.tasks == ((TaskState.ASSIGNED, 1), (TaskState.RUNNING, 1))
    first, second = view.tasks[1].attempts
    assert (first.number, first.state, first.cause) == (
        0,
        AttemptState.FAILED,
        EndCause.EXIT_NONZERO,
    )
    assert (first.assigned_at, first.started_at, first.ended_at) == (0, 0, 2 * MINUTE)
    assert (first.worker, first.slice) == ("iris-cpu-1-w0", "iris-cpu-1")
    assert (second.number, second.state, second.ended_at) == (1, AttemptState.ASSIGNED, None)
    assert view.tasks[1].why == "exit_nonzero"


def test_i_111_a_job_shows_its_constraints_with_the_inherited_ones_marked() -> None:
    script = fleet(cpu_group(min_slices=1))
    own = Constraint("zone", ConstraintOp.IN, ("us-a",))
    from_parent = Constraint("preemptible", ConstraintOp.IN, ("false",), inherited=True)
    parent = script.submit("parent")
    child = script.submit("child", parent=parent, constraints=(own, from_parent))
    view, above = (
        job_view(script.controller.state, child),
        job_view(script.controller.state, parent),
    )
    assert view is not None
    assert above is not None
    assert [c.inherited for c in view.constraints] == [False, True]
    assert above.children == (child,)


def test_the_jobs_above_those_of_a_page_are_told_once_while_they_are_on_record() -> None:
    script = fleet(cpu_group(cores=8, min_slices=1))
    state = script.controller.state
    root = script.submit("root")
    mid = script.submit("mid", parent=root)
    for name in ("a", "b"):
        script.submit(name, parent=mid)
    page = job_page(state, limit=2)
    assert [line.id for line in page.jobs] == [f"{mid}/b", f"{mid}/a"]
    assert [line.id for line in lines_above(state, page)] == [root, mid]
    assert [line.id for line in lines_above(state, job_page(state, limit=3))] == [root]
    script.controller.state.jobs.pop(root)  # As when it was forgotten, and a child was not yet.
    assert [line.id for line in lines_above(state, page)] == [mid]


def test_a_task_shows_its_pause_and_the_hosts_it_avoids_while_they_count() -> None:
    script = fleet(cpu_group(min_slices=2, max_slices=2))
    job = script.submit()
    script.ends(script.task(job).id, EndCause.LAUNCH)
    waits = job_view(script.controller.state, job)
    assert waits is not None
    assert (waits.tasks[0].not_before, waits.tasks[0].avoids) == (10_000, ("iris-cpu-1-w0",))
    script.advance(MINUTE)
    runs = job_view(script.controller.state, job)
    assert runs is not None
    assert runs.tasks[0].not_before is None


def test_a_job_that_is_ending_says_how_and_why() -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit()
    script.running(job).stop(job)
    view = job_view(script.controller.state, job)
    assert view is not None
    assert (view.line.state, view.ending) == (JobState.RUNNING, JobState.KILLED)
    assert view.why == "its user stopped it"


def test_a_view_does_not_change_with_the_state_nor_by_its_reader() -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit()
    before = job_view(script.controller.state, job)
    script.running(job).finish(job)
    assert before is not None
    assert (before.line.state, before.tasks[0].state) == (JobState.RUNNING, TaskState.ASSIGNED)
    with pytest.raises(FrozenInstanceError):
        before.why = "mine"  # type: ignore[misc]  # that it may not be is what is shown


def crowd() -> Script:
    """Three jobs of alice and one of bob, the first of which have ended."""
    script = fleet(cpu_group(cores=8, min_slices=1, max_slices=1))
    for name, user in (("one", "alice"), ("two", "alice"), ("other", "bob"), ("three", "alice")):
        script.submit(name, user=user, band=Band.BATCH)
        script.advance(1)
    script.finish(JobId("/alice/one"))
    script.advance(1)
    script.finish(JobId("/bob/other"))
    return script


@pytest.mark.parametrize(
    ("user", "state", "limit", "names", "total"),
    [
        (None, None, 10, ["three", "other", "two", "one"], 4),
        (None, None, 2, ["three", "other"], 4),
        (None, None, 0, [], 4),
        ("alice", None, 10, ["three", "two", "one"], 3),
        (None, JobState.SUCCEEDED, 1, ["other"], 2),
        ("alice", JobState.RUNNING, 10, ["three", "two"], 2),
        ("carol", None, 10, [], 0),
    ],
)
def test_i_134_a_page_holds_the_newest_jobs_that_match_and_says_how_many_there_are(
    user: str | None, state: JobState | None, limit: int, names: list[str], total: int
) -> None:
    asked_for = UserName(user) if user is not None else None
    page = job_page(crowd().controller.state, user=asked_for, job_state=state, limit=limit)
    assert [line.id.rpartition("/")[2] for line in page.jobs] == names
    assert page.total == total


def test_a_page_may_be_of_some_jobs_only() -> None:
    page = job_page(crowd().controller.state, only=lambda job: "o" in job.spec.name, limit=2)
    assert [line.id.rpartition("/")[2] for line in page.jobs] == ["other", "two"]
    assert page.total == 3


def test_a_line_of_the_list_says_whose_it_is_and_when_it_came_and_ended() -> None:
    line = job_page(crowd().controller.state, limit=4).jobs[1]
    assert (line.id, line.user, line.band) == ("/bob/other", "bob", Band.BATCH)
    assert (line.submitted_at, line.ended_at) == (2, 5)


def test_slices_and_workers_show_what_is_on_them() -> None:
    script = fleet(cpu_group(hosts=2, min_slices=1, max_slices=2), tpu_group(min_slices=1))
    job = script.submit("small", cpu=3, band=Band.BATCH)
    script.submit("wide", gang=True, replicas=2, cpu=4, band=Band.INTERACTIVE)
    state = script.controller.state
    assert [s.id for s in slice_views(state)][:2] == ["iris-cpu-1", "iris-tpu-2"]
    (tpu,) = slice_views(state, GroupName("tpu"))
    assert (tpu.state, tpu.live, tpu.idle_since) == (SliceState.READY, 0, 0)
    first, second = worker_views(state, SliceId("iris-cpu-1"))
    assert (first.tasks, first.committed.cpu) == ((f"{job}:0",), 3_000)
    assert first.held_for == second.held_for == ("/alice/wide",)
    assert len(worker_views(state)) == 4


def test_machines_are_the_hosts_of_all_slices_that_may_exist_the_awaited_included() -> None:
    script = fleet(cpu_group(min_slices=2, max_slices=3), tpu_group())
    job = script.submit("small", replicas=2, cpu=1)
    script.running(job)
    script.submit("gang", gang=True, replicas=2, tpu="v5litepod-16")
    script.terminate(SliceId("iris-cpu-2")).deleted(SliceId("iris-cpu-2"))
    state = script.controller.state
    assert state.slices[SliceId("iris-cpu-2")].state is SliceState.GONE
    machines = vm_views(state)
    assert "iris-cpu-2-w0" not in [vm.id for vm in machines]
    first, *_ = machines
    assert (first.id, first.host, first.group) == ("iris-cpu-1-w0", 0, "cpu")
    assert first.worker is not None
    assert first.worker.tasks == (f"{job}:0", f"{job}:1")
    assert [attempt.number for attempt in first.attempts] == [0, 0]
    awaited = [vm for vm in machines if vm.group == "tpu"]
    assert [(vm.worker, vm.slice_state) for vm in awaited] == [(None, SliceState.REQUESTED)] * 2
    assert vm_views(state, awaited[0].slice) == tuple(awaited)


def test_a_worker_shows_that_it_is_silent_cordoned_or_blamed() -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit()
    script.ends(script.task(job).id, EndCause.LAUNCH)
    (worker,) = worker_views(script.controller.state)
    script.step(ev.WorkerDrainRequested(worker.id))
    script.silent(worker.id)
    (worker,) = worker_views(script.controller.state)
    assert (worker.state, worker.silent_since) == (WorkerState.SILENT, 0)
    assert (worker.cordoned, worker.launch_failures) == (True, 1)


def test_a_group_shows_how_many_slices_are_in_each_state() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=3), tpu_group())
    script.submit("more", cpu=4, replicas=2)
    cpu, tpu = group_views(script.controller.state)
    assert cpu.slices == ((SliceState.REQUESTED, 1), (SliceState.READY, 1))
    assert (cpu.standing, cpu.existing, cpu.idle) == (2, 2, 0)
    assert (tpu.spec.name, tpu.slices, tpu.existing) == ("tpu", (), 0)


def test_a_gate_shows_its_block_while_it_lasts() -> None:
    script = cluster(cpu_group())
    script.submit()
    script.refused(script.coming("cpu")[0], ev.CreateFailure.STOCKOUT, "none left")
    (gate,) = gate_views(script.controller.state)
    assert (gate.zone, gate.accelerator_type) == (Zone("us-a"), "cpu")
    assert (gate.blocked_until, gate.for_ever, gate.scarce) == (Instant(MINUTE), False, True)
    assert (gate.window, gate.level, gate.why) == (1, 1, "stockout: none left")
    script.advance(MINUTE)
    assert gate_views(script.controller.state)[0].blocked_until is None


def test_a_gate_that_only_a_configuration_opens_says_so() -> None:
    script = cluster(cpu_group())
    script.submit()
    script.refused(script.coming("cpu")[0], ev.CreateFailure.BAD_REQUEST)
    (gate,) = gate_views(script.controller.state)
    assert gate.for_ever
