"""The whole explanation: verdict, headline, queue, what is usual, when, and what would help, each held true."""

from dataclasses import replace

from hypothesis import given, settings

from iris.core import events as ev
from iris.core.explain import briefly, waiting_by_verdict, why_waiting, without_others
from iris.core.ids import JobId
from iris.core.instant import HOUR, Millis
from iris.core.lifecycle import TaskState
from iris.core.order import served_at
from iris.core.reasons import NEVER, Advised, Reason, Subject, Verdict
from iris.core.records import Job
from iris.core.resources import NOTHING, amounts
from iris.core.retry import EndCause
from iris.core.spec import Band, Order, SchedulerPolicy
from iris.core.state import ClusterState
from iris.core.telling import headline, sentences
from tests.core.situations import situations
from tests.core.test_explain import STRICT, TPU, full, why
from tests.harness import Script, cluster, cpu_group, fleet, gpu_group, tpu_group


def advice(reason: Reason) -> dict[Advised, str]:
    return {it.kind: it.text for it in reason.advice}


# ---- verdicts ----------------------------------------------------------------------------------


def test_what_can_never_come_is_told_apart_from_what_is_waited_for() -> None:
    script = full()
    script.config(cpu_group(cores=2, max_slices=1), tpu_group())
    script.submit("wide", cpu=2)
    script.config(cpu_group(cores=1, max_slices=1))
    reason = why(script, "/alice/wide")
    assert reason.verdict is Verdict.TOO_BIG
    assert headline(reason) == (
        "needs 2 cores, 1 GiB of memory; it is too big for every configured group"
        " (cpu: needs 2 cores, has 1 core, 1 core missing)"
    )
    assert advice(reason) == {
        Advised.ASK_FOR_LESS: "ask for no more than 1 core a task: what a host of cpu has"
    }
    assert not any("When it is placed" in told for told in sentences(reason))


def test_a_job_for_which_there_is_no_group_is_told_what_each_has() -> None:
    script = fleet(gpu_group(), tpu_group(hosts=1), cpu_group())
    tpu = script.submit("tpu", tpu=TPU)
    script.submit("fill", tpu=TPU)
    script.config(gpu_group(), *(cpu_group(f"cpu-{n}") for n in range(3)))
    reason = why(script, tpu)
    assert reason.verdict is Verdict.NO_MATCHING_GROUP
    assert headline(reason).endswith(
        f"(gpu: needs {TPU}, has H100; cpu-0: needs {TPU}, has none;"
        f" cpu-1: needs {TPU}, has none; 1 more)"
    )
    assert advice(reason) == {
        Advised.ADD_GROUP: f"add a scale group of {TPU}, or ask for one of H100"
    }
    script.config(cpu_group())
    assert advice(why(script, tpu)) == {Advised.ADD_GROUP: f"add a scale group of {TPU}"}


def test_without_any_group_a_job_waits_for_one() -> None:
    script = full()
    job = script.submit("wide", cpu=4)
    script.config()
    reason = why(script, job)
    assert reason.verdict is Verdict.NO_MATCHING_GROUP
    assert headline(reason).endswith("no configured group can ever hold it")
    assert advice(reason) == {Advised.ADD_GROUP: "add a scale group that matches it"}


def test_a_slice_that_comes_for_an_accelerator_is_not_waited_for_by_cpu_work() -> None:
    script = cluster(tpu_group(hosts=2, max_slices=1), cpu_group(max_slices=0))
    script.submit("gang", gang=True, replicas=2, tpu=TPU)
    reason = why(script, script.submit("cpu"))
    assert (reason.under_way, reason.verdict) == ((), Verdict.UNSUPPLIED)
    assert headline(reason).endswith("on its account (cpu: 0 of max_slices 0 exist)")
    assert reason.next.what.endswith("or a slice comes for other work")
    assert advice(reason)[Advised.RAISE_MAX_SLICES] == "raise max_slices of cpu, which is 0"


def test_a_quota_is_told_apart_from_other_refusals_with_its_end() -> None:
    script = cluster(cpu_group(max_slices=2))
    job = script.submit()
    script.refused(script.coming("cpu")[0], ev.CreateFailure.QUOTA_REGION, "CPUS: 8 of 8")
    reason = why(script, job)
    assert reason.verdict is Verdict.QUOTA
    assert headline(reason) == (
        "needs 1 core, 1 GiB of memory; a quota is used up, so that no slice may be asked for"
        " (cpu: cpu in us-a is blocked (quota_region: CPUS: 8 of 8), over in 5 min)"
    )
    assert reason.eta is not None
    assert (reason.eta.low, reason.eta.high) == (reason.next.at, None)


def test_a_reservation_in_use_is_a_quota_too() -> None:
    group = tpu_group(hosts=1, reservation="shared", min_slices=1)
    script = fleet(group, reservations=[("shared", 4)])
    script.submit("runs", tpu=TPU)
    reason = why(script, script.submit("waits", tpu=TPU))
    assert reason.verdict is Verdict.QUOTA
    assert Advised.ENLARGE_RESERVATION in advice(reason)


def test_only_running_work_is_waited_for_where_nothing_may_be_asked_for() -> None:
    script = fleet(cpu_group(max_slices=3, min_slices=1))
    script.submit("runs", cpu=4)
    job = script.submit("waits", cpu=4)
    script.refused(script.coming("cpu")[0], ev.CreateFailure.BAD_REQUEST, "no such machine")
    reason = why(script, job)
    assert reason.verdict is Verdict.FULL
    assert advice(reason)[Advised.CORRECT_GROUP].startswith("correct cpu and load it again: ")


def test_room_that_is_kept_and_half_a_slice_have_verdicts_of_their_own() -> None:
    script = fleet(
        cpu_group(hosts=2, min_slices=1, max_slices=1), scheduler=SchedulerPolicy(eviction=False)
    )
    script.submit("there", cpu=3, timeout=Millis(HOUR))
    gang = script.submit("gang", gang=True, replicas=2, cpu=4)
    assert why(script, gang).verdict is Verdict.GANG_INCOMPLETE
    later = why(script, script.submit("later"))
    assert later.verdict is Verdict.HELD
    assert "(cpu: needs 1 core, has 0 cores on iris-cpu-1-w0" in headline(later)
    kept = why(script, gang)
    assert kept.eta is not None
    assert (kept.eta.low, kept.eta.high) == (script.now, kept.next.at)
    assert kept.kept is not None
    assert any("free in 1 h" in told for told in sentences(kept))


def test_who_evicts_is_placed_at_the_latest_when_the_last_is_given_up() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    script.running(script.submit("old", cpu=4, band=Band.BATCH))
    reason = why(script, script.submit("urgent", cpu=3))
    assert reason.eta is not None
    assert (reason.eta.low, reason.eta.high) == (script.now, reason.next.at)
    assert headline(reason).endswith("(in 2 min at the latest)")
    assert (reason.queue, reason.groups[0].blocker) == (None, reason.pools[0].blocker)


def test_a_pause_is_told_with_its_end_and_an_end_with_its_cause() -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit(max_retries_failure=1)
    script.ends(script.task(job).id, EndCause.EXIT_NONZERO)
    assert headline(why(script, job)).endswith("after a pause (in 10 s at the latest)")
    script.advance(10_000).ends(script.task(job).id, EndCause.EXIT_NONZERO)
    reason = why(script, job)
    assert reason.why
    assert sentences(reason) == (f"failed: {reason.why}",) == (headline(reason),)
    done = script.submit("done")
    script.finish(done)
    assert sentences(why(script, done)) == ("succeeded",)


def test_what_runs_is_told_so() -> None:
    script = full()
    reason = why(script, "/alice/fill")
    assert sentences(reason) == ("/alice/fill is running: nothing of it waits to be placed.",)
    assert (reason.subject, reason.task, headline(reason)) == (Subject.JOB, None, "running")


def test_the_subject_is_a_task_or_the_whole_gang() -> None:
    script = full()
    reason = why(script, script.submit("wide", cpu=2, replicas=3))
    assert (reason.subject, reason.task) == (Subject.TASK, "/alice/wide:0")
    assert headline(reason).startswith("needs 3 x (2 cores, 1 GiB of memory); ")
    script = cluster(tpu_group(hosts=2, max_slices=1))
    gang = why(script, script.submit("gang", gang=True, replicas=2, tpu=TPU))
    assert (gang.subject, gang.task) == (Subject.GANG, None)
    assert headline(gang) == (
        f"needs one slice of {TPU} (2 hosts with 4 chips, 1 core, 1 GiB of memory each);"
        " it waits for slices that are on their way (iris-tpu-1 requested for 0 ms)"
    )
    assert amounts(NOTHING) == "nothing"


# ---- who is ahead ------------------------------------------------------------------------------


def test_the_queue_says_who_is_ahead_and_with_how_many_chips() -> None:
    script = cluster(tpu_group(hosts=2, max_slices=0), cpu_group(max_slices=0))
    for number in range(7):
        script.submit(f"g{number}", gang=True, replicas=2, tpu=TPU)
    script.submit("other", user="bob", tpu=TPU, gang=True, replicas=2, band=Band.PRODUCTION)
    queue = why(script, script.submit("last", gang=True, replicas=2, tpu=TPU)).queue
    assert queue is not None
    assert (queue.position, queue.ahead, queue.ahead_by_same_user, queue.ahead_chips) == (
        9, 8, 7, 64,
    )  # fmt: skip
    assert [(it.job, it.user, it.units) for it in queue.first] == [
        ("/bob/other", "bob", 1),
        ("/alice/g0", "alice", 1),
    ]


def test_in_the_order_of_arrival_the_users_own_are_counted_one_by_one() -> None:
    script = cluster(cpu_group(max_slices=0), scheduler=replace(STRICT, order=Order.FIFO))
    script.submit("mine", cpu=2)
    script.submit("bobs", cpu=3, user="bob", replicas=2)
    reason = why(script, script.submit("last", cpu=4))
    assert reason.queue is not None
    assert (reason.queue.ahead, reason.queue.ahead_by_same_user) == (3, 1)
    assert "3 units of work are before it, 1 of the same user." in sentences(reason)
    own = why(script, script.submit("more", cpu=4, replicas=2))
    assert own.queue is not None
    assert [it.job for it in own.queue.first] == ["/alice/mine", "/bob/bobs", "/alice/last"]
    alone = without_others(own)
    assert alone.queue is not None
    assert (alone.queue.ahead, alone.queue.first) == (4, ())
    assert "/alice/mine" not in " ".join(sentences(alone))
    assert "/alice/mine" in " ".join(sentences(own))


def served_before(state: ClusterState, job: Job) -> int:
    """How many units the order has before the first one of a job that waits, each asked for itself."""
    unit = state.units_of(job)[0]
    place = served_at(state, state.queue_key(job, unit.member), unit)
    queues = state.waiting.queues.items()
    return sum(served_at(state, key, it) < place for key, queue in queues for it in queue.units())


# ---- whatever the situation --------------------------------------------------------------------


@settings(max_examples=25)
@given(situations())
def test_a_headline_is_the_same_for_many_as_for_one(script: Script) -> None:
    state = script.controller.state
    many = briefly(state, list(state.jobs), script.now)
    for name, brief in many.items():
        reason = why_waiting(state, name, script.now)
        assert headline(brief) == headline(reason)
        if reason.verdict not in (Verdict.NOT_WAITING, *NEVER):
            assert any(headline(reason) in told for told in sentences(reason))
        if reason.queue is not None:
            assert reason.queue.ahead == served_before(state, state.jobs[name])
        if reason.eta is not None:
            assert script.now <= reason.eta.low
            assert reason.eta.high is None or reason.eta.low <= reason.eta.high


@settings(max_examples=25)
@given(situations())
def test_what_waits_is_counted_by_verdict_and_nothing_twice(script: Script) -> None:
    state = script.controller.state
    told = list(waiting_by_verdict(state))
    counted = {v: sum(n for it, n in told if it is v) for v, _ in told}
    by_hand: dict[Verdict, int] = {}
    for job in state.jobs.values():
        for unit in state.units_of(job):
            reason = why_waiting(state, job.id, script.now)
            if unit == state.units_of(job)[0]:
                by_hand[reason.verdict] = by_hand.get(reason.verdict, 0) + len(state.units_of(job))
    units = sum(len(queue) for queue in state.waiting.queues.values())
    paused = sum(1 for t in state.tasks.values() if t.state is TaskState.PENDING and t.not_before)
    assert units + counted[Verdict.MAKING_ROOM] + counted[Verdict.PAUSED] == sum(counted.values())
    assert counted[Verdict.PAUSED] <= paused
    placed = {Verdict.FITS_NOW, Verdict.BEHIND_OTHERS, Verdict.MAKING_ROOM, Verdict.PAUSED}
    for verdict in {*counted, *by_hand} - placed:
        assert counted.get(verdict, 0) == by_hand.get(verdict, 0), verdict


def test_a_queue_that_is_gone_when_its_turn_comes_is_passed_over() -> None:
    script = full()
    script.submit("a", cpu=2)
    script.submit("b", cpu=3)
    counts = waiting_by_verdict(script.controller.state)
    assert next(counts) == (Verdict.GROUP_AT_MAX, 1)
    script.stop(JobId("/alice/b"))
    assert [count for _, count in counts] == [0, 0, 0, 0]


def test_of_what_fits_only_the_first_is_placed_by_the_next_step() -> None:
    script = full()
    script.submit("many", cpu=4, replicas=3)
    twin = script.controller.clone()
    task = twin.state.tasks[script.task(JobId("/alice/fill")).id]
    twin.state.end_attempt(task, task.attempts[-1], EndCause.EXIT_ZERO, "")
    told = [pair for pair in waiting_by_verdict(twin.state) if pair[1]]
    assert told == [(Verdict.FITS_NOW, 1), (Verdict.BEHIND_OTHERS, 2)]


def test_need_is_spelled_with_what_it_is_on() -> None:
    script = cluster(gpu_group(max_slices=0))
    reason = why(script, script.submit("gpu", gpus=2, cpu=3))
    assert headline(reason).startswith("needs 2 chips, 3 cores, 1 GiB of memory on H100; ")
