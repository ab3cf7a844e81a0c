"""Each invariant goes red when what it says is broken, and says which thing broke it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

from iris.core import decisions as de
from iris.core import events as ev
from iris.core.conduct import Witness
from iris.core.controller import Controller
from iris.core.deadlines import Due
from iris.core.ids import JobId, RequestId, SliceId, TaskId, WorkerId, Zone
from iris.core.instant import HOUR, MINUTE, Instant
from iris.core.invariants import SENTENCES_KEPT, Auditor, violations
from iris.core.lifecycle import (
    AttemptState,
    JobState,
    SliceState,
    TaskState,
    WorkerState,
)
from iris.core.record import Turn
from iris.core.records import Attempt, Gate, Hold
from iris.core.resources import Resources
from iris.core.retry import Budget, EndCause
from iris.core.spec import Band, ClusterSpec
from iris.core.state import ClusterState
from tests.harness import GIB, Script, cpu_group, fleet, tpu_group

POD: Final = SliceId("iris-tpu-1")
MACHINE: Final = SliceId("iris-cpu-2")
HOST: Final = WorkerId("iris-cpu-2-w0")
NEED: Final = Resources(cpu=1_000, memory=GIB)


def busy() -> Script:
    """A gang on a pod, a job on a machine, a job and a gang that wait, and a job that has ended."""
    script = fleet(
        tpu_group(min_slices=1, max_slices=1), cpu_group(min_slices=1, max_slices=1, cores=4)
    )
    script.submit("past")
    script.finish(JobId("/alice/past"))
    script.running(script.submit("gang", gang=True, replicas=2, tpu="v5litepod-16"))
    script.running(script.submit("solo", cpu=2, timeout=HOUR, scheduling_timeout=HOUR))
    script.submit("other", gang=True, replicas=2, tpu="v5litepod-16")
    script.submit("wide", cpu=4, scheduling_timeout=HOUR)
    return script


def test_a_busy_cluster_breaks_nothing() -> None:
    script = busy()
    assert violations(script.controller.state) == []
    assert {job.state for job in script.controller.state.jobs.values()} == {
        JobState.PENDING,
        JobState.RUNNING,
        JobState.SUCCEEDED,
    }


Harm = Callable[[ClusterState], object]


def task(state: ClusterState, name: str) -> "Harmed":
    return Harmed(state, TaskId(name))


class Harmed:
    """A task, its last attempt and its worker, within reach."""

    def __init__(self, state: ClusterState, name: TaskId) -> None:
        self.task = state.tasks[name]
        self.job = state.jobs[self.task.job]
        self.attempt = self.task.attempts[-1] if self.task.attempts else None
        self.worker = state.workers[self.attempt.worker] if self.attempt is not None else None


def past(state: ClusterState) -> Attempt:
    """The attempt that has ended."""
    return state.tasks[TaskId("/alice/past:0")].attempts[0]


def put(thing: object, **fields: object) -> None:
    """Overwrite fields, as no code of the core would."""
    for name, value in fields.items():
        setattr(thing, name, value)


HARMS: Final[dict[str, tuple[Harm, str]]] = {
    "a ledger that was not paid into": (
        lambda s: put(s.workers[HOST], committed=Resources(cpu=1)),
        "V-01 worker iris-cpu-2-w0 has committed",
    ),
    "a ledger above what the worker has": (
        lambda s: put(s.workers[HOST], offers=Resources(cpu=1_000, memory=GIB)),
        "V-01 worker iris-cpu-2-w0 offers",
    ),
    "a worker that forgot its attempt": (
        lambda s: s.workers[HOST].attempts.clear(),
        "V-01 worker iris-cpu-2-w0 lists {}",
    ),
    "an attempt on a worker that is not there": (
        lambda s: put(task(s, "/alice/solo:0").attempt, worker=WorkerId("nobody")),
        "V-01 /alice/solo:0@0 runs on nobody",
    ),
    "a slice that miscounts its attempts": (
        lambda s: put(s.slices[POD], live=1),
        "V-01 live attempts of iris-tpu-1",
    ),
    "a slice that miscounts its chips": (
        lambda s: put(s.slices[POD], chips_used=4),
        "V-01 chips in use on iris-tpu-1",
    ),
    "a pool that miscounts its bands": (
        lambda s: s.bands_on[s.slices[POD].group, Zone("us-a")].__setitem__(2, 7),
        "V-01 attempts by band on ('tpu', 'us-a')",
    ),
    "a user who is charged too much": (
        lambda s: put(next(iter(s.usage.values())), rate=9),
        "V-01 rate of use of (1, 'alice')",
    ),
    "a look-up that leads nowhere": (lambda s: s.slice_by_number.pop(1), "V-01 slice 1: "),
    "a task that cannot be found": (lambda s: s.tasks.pop(TaskId("/alice/past:0")), "V-01 task "),
    "a job without its shape": (lambda s: s.shapes.pop(JobId("/alice/solo")), "V-01 shape of "),
    "an ended job off the list": (lambda s: s.ended.clear(), "V-01 ended job /alice/past"),
    "a gap in the numbers": (
        lambda s: put(task(s, "/alice/past:0").attempt, number=1),
        "V-02 /alice/past:0@1 stands in place 0",
    ),
    "an end without a cause": (
        lambda s: put(task(s, "/alice/past:0").attempt, cause=None),
        "V-02 /alice/past:0@0 is succeeded",
    ),
    "an attempt beside an unfinished one": (
        lambda s: put(
            task(s, "/alice/solo:0").task,
            attempts=[task(s, "/alice/solo:0").attempt, replace(past(s), number=1)],
        ),
        "V-02 /alice/solo:0@0 is unfinished, and attempt 1 was made",
    ),
    "a task in another state than its attempt": (
        lambda s: put(task(s, "/alice/past:0").task, state=TaskState.KILLED),
        "V-03 task /alice/past:0 is killed",
    ),
    "a job in another state than its tasks": (
        lambda s: put(s.jobs[JobId("/alice/past")], state=JobState.FAILED),
        "V-03 job /alice/past is failed",
    ),
    "a job that miscounts its tasks": (
        lambda s: put(s.jobs[JobId("/alice/past")], tally={TaskState.FAILED: 1}),
        "V-03 job /alice/past counts 1 failed",
    ),
    "a job that miscounts who never ran": (
        lambda s: put(s.jobs[JobId("/alice/gang")], never_ran=1),
        "V-03 job /alice/gang counts 1",
    ),
    "an end that was not written down": (
        lambda s: put(s.jobs[JobId("/alice/past")], ended_at=None),
        "V-03 job /alice/past is succeeded and ended at None",
    ),
    "a gang of unequal rounds": (
        lambda s: task(s, "/alice/gang:1").task.attempts.clear(),
        "V-04 gang /alice/gang has members with [1, 0] attempts",
    ),
    "a gang that was placed in two turns": (
        lambda s: put(task(s, "/alice/gang:1").attempt, assigned_at=Instant(7)),
        "V-04 /alice/gang:1@0 is on iris-tpu-1 at 7",
    ),
    "a rank on the wrong host": (
        lambda s: put(task(s, "/alice/gang:1").attempt, worker=WorkerId("iris-tpu-1-w0")),
        "V-04 /alice/gang:1@0 is on iris-tpu-1-w0",
    ),
    "a hold that its worker does not know": (
        lambda s: s.holds.update({(JobId("/alice/wide"), 0): hold_of(s, "/alice/wide")}),
        "V-06 holds on iris-cpu-2-w0",
    ),
    "a hold for somebody who runs": (
        lambda s: s.add_hold(hold_of(s, "/alice/solo")),
        "V-06 the hold of /alice/solo:0 is for a task that runs",
    ),
    "a hold for somebody who has ended": (
        lambda s: s.add_hold(hold_of(s, "/alice/past")),
        "V-06 the hold of /alice/past is for a job that does not wait",
    ),
    "a bucket that is overdrawn": (
        lambda s: put(s.books, tokens=-1),
        "V-07 the create bucket holds -1",
    ),
    "a gate that lets nothing through": (
        lambda s: s.gates.update({(Zone("us-a"), "cpu"): Gate(Zone("us-a"), "cpu", "cpu", 4, 0)}),
        "V-07 the gate of cpu in us-a is 0 wide",
    ),
    "a fleet that is miscounted": (
        lambda s: s.fleet[s.slices[POD].group].__setitem__(SliceState.READY, 2),
        "V-07 slices of ('tpu', <SliceState.READY: 'ready'>)",
    ),
    "slices that are coming and were not asked for": (
        lambda s: s.coming.__setitem__((s.slices[POD].group, Zone("us-a")), 3),
        "V-07 slices coming to ('tpu', 'us-a')",
    ),
    "a ready slice that awaits a host": (
        lambda s: put(s.slices[POD], workers=[WorkerId("iris-tpu-1-w0"), None]),
        "V-10 slice iris-tpu-1 is ready with hosts",
    ),
    "a host under another's index": (
        lambda s: put(s.workers[WorkerId("iris-tpu-1-w1")], host=0),
        "V-10 iris-tpu-1-w1 is host 0 of iris-tpu-1, listed as 1",
    ),
    "a slice that lives on without a host": (
        lambda s: put(s.workers[WorkerId("iris-tpu-1-w1")], state=WorkerState.LOST),
        "V-10 slice iris-tpu-1 is ready, and lost iris-tpu-1-w1",
    ),
    "a host that nobody knows": (
        lambda s: put(s.slices[POD], workers=[WorkerId("iris-tpu-1-w0"), WorkerId("ghost")]),
        "V-10 slice iris-tpu-1 lists ghost",
    ),
    "a stop without a deadline": (
        lambda s: put(
            task(s, "/alice/solo:0").attempt, state=AttemptState.STOPPING, stop_deadline=None
        ),
        "V-13 /alice/solo:0@0 stops without a deadline",
    ),
    "a timeout that nobody waits for": (
        lambda s: put(task(s, "/alice/solo:0").attempt, assigned_at=Instant(-5)),
        "V-13 timeout of /alice/solo:0",
    ),
    "a scheduling timeout that nobody waits for": (
        lambda s: put(s.jobs[JobId("/alice/wide")], submitted_at=Instant(-5)),
        "V-13 scheduling of /alice/wide",
    ),
    "a silent worker whose clock does not run": (
        lambda s: put(s.workers[HOST], state=WorkerState.SILENT),
        "V-13 worker iris-cpu-2-w0 is silent since nobody knows when",
    ),
    "a silence that nobody waits for": (
        lambda s: put(s.workers[HOST], state=WorkerState.SILENT, silent_since=s.now),
        "V-13 silence of iris-cpu-2-w0",
    ),
    "a task that waits for nothing": (
        lambda s: put(
            task(s, "/alice/wide:0").task,
            attempts=[replace(past(s), state=AttemptState.FAILED, cause=EndCause.EXIT_NONZERO)],
        ),
        "V-13 task /alice/wide:0 is pending, and neither waits",
    ),
    "a pause that nobody waits for": (
        lambda s: put(task(s, "/alice/wide:0").task, not_before=Instant(s.now + 5)),
        "V-13 retry of /alice/wide:0",
    ),
    "a boot without a deadline": (
        lambda s: put(s.slices[POD], state=SliceState.BOOTING),
        "V-13 slice iris-tpu-1 is booting without a deadline",
    ),
    "a drain of nothing": (
        lambda s: put(s.slices[MACHINE], state=SliceState.DRAINING, workers=[]),
        "V-13 slice iris-cpu-2 drains, and nothing is left on it",
    ),
    "a lost slice that is not given back": (
        lambda s: put(s.slices[POD], state=SliceState.FAILED),
        "V-13 slice iris-tpu-1 is failed, and its delete was not asked for",
    ),
    "a listing that nobody waits for": (
        lambda s: put(s.books, observe_at=Instant(1)),
        "V-13 observe of the cloud at 1",
    ),
    "an attempt of a job that is ending": (
        lambda s: put(s.jobs[JobId("/alice/solo")], ending=JobState.KILLED),
        "V-15 /alice/solo:0@0 is running, and job /alice/solo has ended or is ending",
    ),
    "a job below one that has ended": (
        lambda s: put(
            s.jobs[JobId("/alice/wide")],
            spec=replace(s.jobs[JobId("/alice/wide")].spec, parent=JobId("/alice/past")),
        ),
        "V-15 job /alice/wide is pending below /alice/past",
    ),
    "a unit that is not queued": (
        lambda s: s.waiting.queues.clear(),
        "V-22 queue QueueKey",
    ),
    "a want that is counted twice": (
        lambda s: s.waiting.accelerators.update({"v5litepod-16": 2}),
        "V-22 waiting for v5litepod-16: cached 2, recomputed 1",
    ),
    "a blocked queue among the active": (
        lambda s: s.waiting.active.update(dict.fromkeys(s.waiting.queues)),
        "V-22 active queue",
    ),
    "a blocked shape that nobody has": (
        lambda s: s.waiting.blocked.update(dict.fromkeys([s.shapes[JobId("/alice/solo")]])),
        "V-22 shape Shape",
    ),
    "a worker off the list": (
        lambda s: s.room.where.pop(s.workers[HOST].number),
        "V-22 worker iris-cpu-2-w0 is listed with None",
    ),
    "a listed worker that is unknown": (
        lambda s: s.room.where.update({99: s.room.where[s.workers[HOST].number]}),
        "V-22 worker number 99 is listed, and is not known",
    ),
    "a bucket of hosts that lies": (
        lambda s: s.room.pools[s.slices[MACHINE].group, Zone("us-a")].buckets.clear(),
        "V-22 hosts in ('cpu', 'us-a')",
    ),
    "a slice that gangs may not see": (
        lambda s: s.room.pools[s.slices[MACHINE].group, Zone("us-a")].slices.clear(),
        "V-22 slices open to gangs in ('cpu', 'us-a')",
    ),
    "room for somebody who waits": (
        lambda s: grow(s, HOST),
        "V-22 job /alice/wide has a unit that waits, and there is room for it",
    ),
    "an idle slice that is busy": (
        lambda s: put(s.slices[POD], idle_since=s.now),
        "V-27 slice iris-tpu-1 is in use",
    ),
    "an idle list that is not true": (
        lambda s: s.idle.update({s.slices[POD].group: [(Instant(1), 1)]}),
        "V-27 idle slices of tpu",
    ),
}


def grow(state: ClusterState, worker: WorkerId) -> None:
    """A worker has more room, and says so, but nobody looks."""
    put(state.workers[worker], offers=Resources(cpu=9_000, memory=9 * GIB))
    state.refresh_worker(state.workers[worker])


def hold_of(state: ClusterState, job: str) -> Hold:
    return Hold(JobId(job), 0, de.HoldKind.BACKFILL, (HOST,), NEED, state.now, None)


@pytest.mark.parametrize("harm", HARMS)
def test_what_must_not_be_is_seen(harm: str) -> None:
    state = busy().controller.state
    do, sentence = HARMS[harm]
    do(state)
    found = violations(state)
    assert any(each.startswith(sentence) for each in found), found


def test_looking_changes_nothing() -> None:
    state = busy().controller.state
    before, asked = state.digest(), state.books.evaluations
    violations(state)
    auditor = Auditor(state, every_turn=True)
    auditor.check_all()
    assert (state.digest(), state.books.evaluations) == (before, asked)
    assert (auditor.violated, auditor.sentences) == (0, [])


# ---- turns -------------------------------------------------------------------------------------


def judged(state: ClusterState, *decisions: de.Decision, events: tuple[ev.Event, ...] = ()) -> str:
    """What is said of a turn that was forged: the state is as it was, the turn tells a story."""
    return "\n".join(Witness(state).saw(Turn(state.now, events, decisions)))


def test_a_placement_is_for_somebody_who_has_not_ended() -> None:
    script = busy()
    place = de.Placement(JobId("/alice/past"), (TaskId("/alice/past:0"),), (HOST,), "")
    assert "V-15 /alice/past was placed" in judged(script.controller.state, place)


def test_a_gang_is_placed_whole_and_in_order() -> None:
    script = busy()
    tasks = tuple(t.id for t in script.job(JobId("/alice/gang")).tasks)
    hosts = (WorkerId("iris-tpu-1-w1"), WorkerId("iris-tpu-1-w0"))
    place = de.Placement(JobId("/alice/gang"), tasks, hosts, "")
    assert "V-04 gang /alice/gang was placed as" in judged(script.controller.state, place)


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (
            lambda s: put(s.slices[MACHINE], state=SliceState.DRAINING),
            "V-08 /alice/solo:0 was placed on iris-cpu-2, which may have no new work",
        ),
        (
            lambda s: put(s.slices[MACHINE], cordon_until=Instant(10**9)),
            "V-08 /alice/solo:0 was placed on iris-cpu-2, which may have no new work",
        ),
        (
            lambda s: put(s.workers[HOST], cordoned=True),
            "V-08 /alice/solo:0 was placed on iris-cpu-2-w0, which may have no new work",
        ),
        (
            lambda s: put(task(s, "/alice/solo:0").task, avoid=(HOST,)),
            "V-16 /alice/solo:0 was placed on iris-cpu-2-w0, where a launch of it had failed",
        ),
        (
            lambda s: put(s.workers[HOST], committed=Resources(cpu=10**9)),
            "V-16 /alice/solo:0 was placed on iris-cpu-2-w0, which has no room for it",
        ),
        (
            lambda s: put(s.slices[MACHINE], zone=Zone("moon")),
            "V-16 /alice/solo:0 was placed in cpu, moon, which cannot serve it",
        ),
    ],
)
def test_a_placement_satisfies_the_one_fit(harm: Harm, sentence: str) -> None:
    state = busy().controller.state
    harm(state)
    place = de.Placement(JobId("/alice/solo"), (TaskId("/alice/solo:0"),), (HOST,), "")
    assert sentence in judged(state, place)


def test_room_is_free_only_when_an_end_was_seen() -> None:
    script = busy()
    state = script.controller.state
    auditor = Auditor(state, every_turn=True)
    one = task(state, "/alice/solo:0")
    assert one.attempt is not None
    state.end_attempt(one.task, one.attempt, EndCause.EXIT_ZERO, "")
    auditor.check(Turn(state.now, (), ()))
    told = "\n".join(auditor.sentences)
    assert "V-05 /alice/solo:0@0 gave back its room on iris-cpu-2-w0" in told


def test_an_attempt_is_given_up_only_when_its_worker_denied_it() -> None:
    script = busy()
    state = script.controller.state
    auditor = Auditor(state, every_turn=True)
    one = task(state, "/alice/solo:0")
    assert one.attempt is not None
    state.end_attempt(one.task, one.attempt, EndCause.UNKNOWN, "")
    loss = de.AttemptLoss(one.task.id, EndCause.UNKNOWN, "")
    said = script.report(HOST, complete=False)
    auditor.check(Turn(state.now, (said,), (loss,)))
    assert "V-05 /alice/solo:0@0 was given up" in "\n".join(auditor.sentences)


def evicted() -> tuple[Script, de.Eviction]:
    script = fleet(cpu_group(min_slices=1, max_slices=1, cores=4))
    script.running(script.submit("low", cpu=2, band=Band.BATCH))
    script.running(script.submit("lower", cpu=2, band=Band.BATCH))
    script.submit("high", cpu=2, band=Band.PRODUCTION)
    return script, script.the(de.Eviction)


def test_an_eviction_as_it_was_decided_is_right() -> None:
    script, eviction = evicted()
    assert judged(script.controller.state, eviction) == ""


def test_an_eviction_binds_its_beneficiary() -> None:
    script, eviction = evicted()
    told = judged(script.controller.state, replace(eviction, workers=()))
    assert "V-06 /alice/high evicts, and is not bound to" in told


def test_an_eviction_needs_every_victim() -> None:
    script, eviction = evicted()
    state = script.controller.state
    (other,) = {"/alice/low:0", "/alice/lower:0"} - set(eviction.victims)
    spared = task(state, other)
    assert spared.attempt is not None
    put(spared.attempt, stop_cause=EndCause.EVICTION)
    forged = replace(eviction, victims=(*eviction.victims, TaskId(other)))
    assert "could have been spared by /alice/high" in judged(state, forged)


def test_an_eviction_makes_enough_room() -> None:
    script, eviction = evicted()
    state = script.controller.state
    put(task(state, eviction.victims[0]).attempt, stop_cause=None)
    told = judged(state, eviction)
    assert "V-06 /alice/high does not fit on iris-cpu-1-w0 once its victims are gone" in told
    assert "was to be evicted for /alice/high, and was not asked to stop" in told


def test_only_a_lower_band_makes_way() -> None:
    script, eviction = evicted()
    state = script.controller.state
    job = state.jobs[state.tasks[eviction.victims[0]].job]
    put(job, spec=replace(job.spec, band=Band.PRODUCTION))
    assert "which is of no higher band" in judged(state, eviction)


def test_a_slice_is_lost_only_on_evidence() -> None:
    script = busy()
    state = script.controller.state
    loss = de.SliceLoss(POD, SliceState.FAILED, EndCause.HOST_LOST, "a feeling")
    assert "V-12 slice iris-tpu-1 was given up as failed without evidence" in judged(state, loss)
    asked = ev.SliceTerminateRequested(RequestId("r"), POD)
    assert judged(state, loss, events=(asked,)) == ""


def test_one_listing_without_a_slice_is_no_evidence_while_its_workers_speak() -> None:
    script = busy()
    state = script.controller.state
    loss = de.SliceLoss(POD, SliceState.FAILED, EndCause.HOST_LOST, "it vanished")
    listing = ev.SlicesObserved((), state.now, complete=True)
    assert "V-12" in judged(state, loss, events=(listing,))
    witness = Witness(state)
    assert list(witness.saw(Turn(state.now, (listing,), ()))) == []
    assert list(witness.saw(Turn(state.now, (listing,), (loss,)))) == []


def test_silence_counts_only_from_its_timeout_and_while_the_controller_was_awake() -> None:
    script = busy()
    state = script.controller.state
    loss = de.SliceLoss(POD, SliceState.FAILED, EndCause.HOST_LOST, "silent")
    worker = WorkerId("iris-tpu-1-w0")
    silent = ev.WorkerSilent(worker, "first", Instant(state.now - MINUTE))
    assert judged(state, loss, events=(silent,)) == ""
    late = replace(silent, since=Instant(state.now - MINUTE + 1))
    assert "V-12" in judged(state, loss, events=(late,))
    stalled = ev.ControllerStalled(Instant(state.now - 1))
    assert "V-12" in judged(state, loss, events=(silent, stalled))
    heard = ev.WorkerHeard(worker, "first")
    assert "V-12" in judged(state, loss, events=(silent, heard))
    assert "V-12" in judged(state, loss, events=(replace(silent, incarnation="other"),))


def test_a_slice_is_gone_only_by_the_clouds_word() -> None:
    state = busy().controller.state
    gone = de.SliceGone(POD, "")
    assert "V-09 slice iris-tpu-1 was taken off the books" in judged(state, gone)
    failed = ev.SlicesObserved((), state.now, complete=True, error="unavailable")
    partial = ev.SlicesObserved((), state.now, complete=False)
    assert "V-09" in judged(state, gone, events=(failed, partial))
    assert judged(state, gone, events=(ev.SliceDeleted(POD),)) == ""
    whole = ev.SlicesObserved((), state.now, complete=True)
    assert judged(state, gone, events=(whole,)) == ""


def test_a_slice_with_work_is_not_deleted_nor_drained() -> None:
    state = busy().controller.state
    delete = de.SliceDelete(POD, state.now, "")
    assert "V-08 the delete of iris-tpu-1 was asked for" in judged(state, delete)
    drain = de.SliceDrain(POD, "")
    assert "V-08 slice iris-tpu-1 drains while it is in use" in judged(state, drain)


def test_a_slice_request_is_within_the_limits_and_for_somebody() -> None:
    script = busy()
    state = script.controller.state
    request = de.SliceRequest(
        SliceId("iris-cpu-9"), state.slices[MACHINE].group, Zone("us-a"), None, ""
    )
    put(state, spec=ClusterSpec((cpu_group(max_slices=1),)), groups={})
    state.rebuild()
    state.fleet[request.group][SliceState.BOOTING] = 1
    assert "V-07 iris-cpu-9 makes 2 of cpu, which may have 1" in judged(state, request)
    for name in ("/alice/wide", "/alice/other"):
        state.unwait(state.jobs[JobId(name)], 0 if name == "/alice/wide" else -1)
    assert "V-16 iris-cpu-9 of cpu in us-a would serve nobody" in judged(state, request)


def test_a_reservation_is_shared_by_all_sizes() -> None:
    group = tpu_group(min_slices=1, max_slices=3)
    state = fleet(group).controller.state
    rack = (replace(group, reservation="rack"),)
    put(state, spec=replace(state.spec, groups=rack, reservations=(("rack", 4),)))
    state.rebuild()
    request = de.SliceRequest(
        SliceId("iris-tpu-9"), state.slices[POD].group, Zone("us-a"), None, ""
    )
    assert "V-07 iris-tpu-9 makes 8 chips of reservation rack, which has 4" in judged(
        state, request
    )


def failing() -> tuple[Script, TaskId]:
    script = fleet(cpu_group(min_slices=1, max_slices=1, cores=4))
    job = script.submit("flaky", max_retries_failure=1)
    script.running(job)
    name = script.job(job).tasks[0].id
    script.ends(name, EndCause.EXIT_NONZERO)
    return script, name


def test_a_retry_is_charged_to_whom_the_ends_say_and_within_the_budget() -> None:
    script, name = failing()
    state = script.controller.state
    right = script.the(de.Retry)
    assert judged(state, right) == ""
    wrong = replace(right, charge=Budget.PREEMPTION)
    assert f"V-14 {name} goes back at the cost of" in judged(state, wrong)
    job = state.jobs[right.job]
    put(job, spec=replace(job.spec, max_retries_failure=0))
    assert f"V-14 {name} goes back for the 1th time" in judged(state, right)


def test_a_task_fails_for_good_only_over_its_budget() -> None:
    script, name = failing()
    state = script.controller.state
    failed = de.TaskVerdict(name, TaskState.FAILED, "")
    assert f"V-14 {name} has failed with 1 of 1 retries spent" in judged(state, failed)
    killed = de.TaskVerdict(name, TaskState.KILLED, "")
    assert f"V-14 {name} was killed, and its job is not ending" in judged(state, killed)
    never = de.TaskVerdict(TaskId("/alice/wide:0"), TaskState.FAILED, "")
    assert "V-14 /alice/wide:0 has failed, and no attempt" in judged(busy().controller.state, never)


def test_ended_attempts_and_jobs_stay_as_they_are() -> None:
    state = busy().controller.state
    auditor = Auditor(state, every_turn=True)
    auditor.check(Turn(state.now, (), ()))
    put(task(state, "/alice/past:0").attempt, ended_at=Instant(1))
    put(state.jobs[JobId("/alice/past")], state=JobState.FAILED)
    auditor.check(Turn(state.now, (), ()))
    told = "\n".join(auditor.sentences)
    assert "V-02 ended attempts of /alice/past:0 have changed" in told
    assert "V-15 job /alice/past had ended as succeeded and is failed" in told


def test_the_fit_may_be_asked_for_what_changed_only() -> None:
    state = busy().controller.state
    auditor = Auditor(state, every_turn=False)
    state.books.evaluations += 10_000
    auditor.check(Turn(state.now, (), ()))
    assert "V-20 at 0 the fit was asked 10000 times for 1 changes" in auditor.sentences


def test_a_copy_must_be_equal() -> None:
    state = busy().controller.state
    auditor = Auditor(state, every_turn=False)
    state.slices[SliceId("alias")] = state.slices[MACHINE]
    auditor.check_all()
    assert any(s.startswith("V-18 a copy of the state is not equal") for s in auditor.sentences)


# ---- the auditor -------------------------------------------------------------------------------


def test_the_first_sentences_are_kept_and_all_are_counted() -> None:
    state = busy().controller.state
    auditor = Auditor(state, every_turn=True)
    put(state.books, tokens=-1)
    for _ in range(SENTENCES_KEPT + 5):
        auditor.check(Turn(state.now, (), ()))
    assert auditor.violated == SENTENCES_KEPT + 5
    assert len(auditor.sentences) == SENTENCES_KEPT


def test_a_sparse_auditor_looks_less_often_and_at_the_same_turns_in_every_run() -> None:
    def run() -> list[int]:
        controller = Controller()
        auditor = Auditor(controller.state, every_turn=False)
        seen = []
        for number in range(200):
            decisions, _ = controller.step(Instant(number), (ev.ControllerRestarted(),))
            auditor.check(Turn(Instant(number), (ev.ControllerRestarted(),), tuple(decisions)))
            seen.append(auditor.checked)
        return seen

    first = run()
    assert first == run()
    assert len(set(first)) < 12


def test_deadlines_can_be_looked_through() -> None:
    state = busy().controller.state
    assert any(due is Due.TIMEOUT for _, due, _ in state.deadlines.entries())
