"""Each invariant goes red when what it says is broken, and says which thing broke it."""

from dataclasses import replace
from typing import Final

import pytest

from iris.core import decisions as de
from iris.core import events as ev
from iris.core.controller import Controller
from iris.core.deadlines import Due
from iris.core.ids import EndpointId, JobId, SliceId, TaskId, WorkerId, Zone
from iris.core.instant import MINUTE, Instant
from iris.core.invariants import SENTENCES_KEPT, Auditor, violations
from iris.core.lifecycle import (
    AttemptState,
    JobState,
    SliceState,
    TaskState,
    WorkerState,
)
from iris.core.record import Turn
from iris.core.records import Endpoint, Gate, Hold, Job
from iris.core.resources import Resources
from iris.core.retry import EndCause
from iris.core.room import Pool
from iris.core.state import ClusterState
from tests.core.forged import HOST, MACHINE, NEED, POD, Harm, busy, past, put, task
from tests.harness import GIB


def test_a_busy_cluster_breaks_nothing() -> None:
    script = busy()
    assert violations(script.controller.state) == []
    assert {job.state for job in script.controller.state.jobs.values()} == {
        JobState.PENDING,
        JobState.RUNNING,
        JobState.SUCCEEDED,
    }


def listed(state: ClusterState, task: str, attempt: int) -> None:
    """List an endpoint, whatever it is of."""
    name = EndpointId(f"{task}@{attempt}")
    endpoint = Endpoint(name, attempt, "model", "h:1", state.now)
    state.list_endpoint(TaskId(task), endpoint)


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
    "an attempt on a slice that is not there": (
        lambda s: put(task(s, "/alice/solo:0").attempt, slice=SliceId("nowhere")),
        "V-01 live attempts of iris-cpu-2",
    ),
    "a slice that miscounts its chips": (
        lambda s: put(s.slices[POD], chips_used=4),
        "V-01 chips in use on iris-tpu-1",
    ),
    "a pool that miscounts its bands": (
        lambda s: s.bands_on[s.slices[POD].group, Zone("us-a")].__setitem__(2, 7),
        "V-01 attempts by band on ('tpu', 'us-a')",
    ),
    "a worker that miscounts who is leaving": (
        lambda s: s.leaving.__setitem__(WorkerId("iris-tpu-1-w0"), 2),
        "V-01 stopping attempts on iris-tpu-1-w0: cached 2, recomputed None",
    ),
    "a user who is charged too much": (
        lambda s: put(next(iter(s.usage.values())), rate=9),
        "V-01 rate of use of (1, 'alice')",
    ),
    "a look-up that leads nowhere": (lambda s: s.slice_by_number.pop(1), "V-01 slice 1: "),
    "a task that cannot be found": (lambda s: s.tasks.pop(TaskId("/alice/past:0")), "V-01 task "),
    "a job without its shape": (lambda s: s.shapes.pop(JobId("/alice/solo")), "V-01 shape of "),
    "a job under a state that it has left": (
        lambda s: s.by_state[JobState.SUCCEEDED].pop(JobId("/alice/past")),
        "V-01 state of job /alice/past",
    ),
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
    "a round that began before the last was over": (
        lambda s: begin_anew(s.jobs[JobId("/alice/gang")]),
        "V-04 /alice/gang:0@1 was made at 0, the one before ended at None",
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
    "a pool that miscounts what may exist": (
        lambda s: s.present.__setitem__((s.slices[POD].group, Zone("us-a")), 9),
        "V-07 slices that may exist in ('tpu', 'us-a')",
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
    "a silence that went on for too long": (
        lambda s: put(
            s.workers[HOST], state=WorkerState.SILENT, silent_since=Instant(s.now - MINUTE)
        ),
        "V-12 worker iris-cpu-2-w0 is silent since -60000, and is not given up",
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
    "an endpoint of an attempt that has ended": (
        lambda s: listed(s, "/alice/past:0", 0),
        "V-28 /alice/past:0@0 is listed, and the unfinished attempt of /alice/past:0 is none",
    ),
    "an endpoint of another attempt than the present": (
        lambda s: listed(s, "/alice/solo:0", 1),
        "V-28 /alice/solo:0@1 is listed, and the unfinished attempt of /alice/solo:0 is 0",
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
    "a worker in another's pool": (
        lambda s: s.room.where.update(
            {s.workers[HOST].number: (pool_of(s, POD), s.room.where[s.workers[HOST].number][1])}
        ),
        "V-22 worker iris-cpu-2-w0 is listed in a pool that is not its own",
    ),
    "a worker whose pool is not configured": (
        lambda s: put(s.slices[MACHINE], zone=Zone("moon")),
        "V-22 worker iris-cpu-2-w0 is listed with Resources",
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


def begin_anew(gang: Job) -> None:
    """Another round of a gang, though nothing of the last one has ended."""
    for member in gang.tasks:
        member.attempts.append(replace(member.attempts[0], number=1, ended_at=None))


def pool_of(state: ClusterState, name: SliceId) -> Pool:
    pool = state.pool_of(state.slices[name])
    assert pool is not None
    return pool


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


# ---- the auditor -------------------------------------------------------------------------------


def test_the_first_sentences_are_kept_and_all_are_counted() -> None:
    state = busy().controller.state
    put(state.books, tokens=-1)
    auditor = Auditor(state, every_turn=True)
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
