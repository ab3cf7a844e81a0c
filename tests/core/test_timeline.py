"""What happened to whom: told of each thing that it concerns, once, and of nobody else."""

from dataclasses import replace
from typing import get_args

import pytest

from iris.core import decisions as de
from iris.core import events as ev
from iris.core.gates import FOREVER
from iris.core.ids import EndpointId, GroupName, RequestId, TaskId, WorkerId, Zone
from iris.core.instant import HOUR, MINUTE, Instant
from iris.core.lifecycle import AttemptState
from iris.core.record import Turn
from iris.core.recorded import completed, recorded
from iris.core.retry import EndCause
from iris.core.spec import Band
from iris.core.timeline import (
    Chapter,
    Happening,
    Of,
    Subject,
    Timeline,
    happenings,
    timeline_of_group,
)
from tests.core.test_record import example
from tests.harness import Script, cluster, cpu_group, fleet, tpu_group

TPU = "v5litepod-16"


def told(script: Script, subject: Subject) -> list[str]:
    """A timeline in words; each turn of it is one that a search for its words finds."""
    found = list(happenings(enumerate(script.journal, start=1), subject))
    for it in found:
        turn = script.journal[it.turn - 1]
        assert it.at == turn.now
        assert any(word.strip('"') in repr(turn) for word in subject.words)
    return [f"{it.text} ({it.cause})" if it.cause else it.text for it in found]


def of(kind: Of, id: str) -> Subject:
    return Subject(kind, id)


def test_a_jobs_life_is_told_from_its_submission_to_its_end_with_causes() -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit(max_retries_failure=1)
    script.running(job).ends(script.task(job).id, EndCause.EXIT_NONZERO).advance(10_000)
    script.running(job).ends(script.task(job).id, EndCause.EXIT_NONZERO)
    assert told(script, of(Of.JOB, job)) == [
        "alice submitted it: 1 x, interactive",
        "placed on iris-cpu-1-w0 (best fit)",
        "attempt 0: running on iris-cpu-1-w0",
        "attempt 0: failed on iris-cpu-1-w0 (exit_nonzero)",
        "is tried again in 10 s, at the cost of one failure retry (exit_nonzero)",
        "placed on iris-cpu-1-w0 (best fit)",
        "attempt 1: running on iris-cpu-1-w0",
        "attempt 1: failed on iris-cpu-1-w0 (exit_nonzero)",
        "ended: failed (attempt 1 ended: exit_nonzero; max_retries_failure is 1)",
    ]
    assert told(script, of(Of.TASK, f"{job}:0")) == told(script, of(Of.JOB, job))[1:]
    assert told(script, of(Of.TASK, f"{job}:1")) == []
    assert told(script, of(Of.JOB, "/alice/trai")) == []


def test_what_a_worker_says_of_an_end_is_told_with_its_cause_or_without_one() -> None:
    script = fleet(cpu_group(min_slices=1))
    failed, stopped = script.submit("failed"), script.submit("stopped")
    script.running(failed).running(stopped).stop(stopped)
    for job, cause in ((failed, EndCause.EXIT_NONZERO), (stopped, None)):
        script.step(script.end(script.task(job).id, cause, "status 143"))
    found = told(script, of(Of.JOB, failed)), told(script, of(Of.JOB, stopped))
    assert "attempt 0: failed on iris-cpu-1-w0 (exit_nonzero: status 143)" in found[0]
    assert "attempt 0: killed on iris-cpu-1-w0 (status 143)" in found[1]


def test_of_a_gang_the_whole_and_each_task_are_told() -> None:
    script = fleet(tpu_group(hosts=2))
    gang = script.submit("gang", gang=True, replicas=2, tpu=TPU)
    (name,) = script.ready("tpu")
    script.preempted(name)
    lines = told(script, of(Of.JOB, gang))
    assert "2 tasks are placed (the whole slice is free)" in lines
    assert lines.count("placed on iris-tpu-1-w1 (the whole slice is free)") == 1
    again = [line for line in lines if line.startswith("is tried again")]
    assert len(again) == 3  # The gang, and its two tasks.
    child = script.submit("child", parent=gang, tpu=TPU, gang=True, replicas=2)
    assert "alice submitted it: 2 x, interactive" not in told(script, of(Of.JOB, gang))[1:]
    assert told(script, of(Of.JOB, child))[0] == "alice submitted it: 2 x, interactive"


def test_who_must_go_and_who_gains_by_it_are_told_of_each_other() -> None:
    script = fleet(cpu_group(min_slices=1, max_slices=1))
    old = script.submit("old", cpu=4, band=Band.BATCH)
    script.running(old)
    urgent = script.submit("urgent", cpu=3)
    assert told(script, of(Of.JOB, urgent))[1].startswith("asked to stop for it: /alice/old:0 (")
    assert any(
        line.startswith("asked to stop for /alice/urgent (")
        for line in told(script, of(Of.JOB, old))
    )
    script.stopped(old).stop(urgent)
    lines = told(script, of(Of.JOB, urgent))
    assert "alice asked for it to be stopped" in lines
    assert any(line.startswith("is to end: killed (requested)") for line in lines)


def test_a_slices_life_holds_that_of_its_hosts() -> None:
    script = cluster(cpu_group(max_slices=1))
    job = script.submit()
    (name,) = script.ready("cpu")
    script.running(job)
    worker = WorkerId(f"{name}-w0")
    script.step(ev.WorkerDrainRequested(worker)).step(ev.WorkerDrainRequested(worker, resume=True))
    script.lose(worker)
    script.deleted(name)
    lines = told(script, of(Of.SLICE, name))
    assert lines[:4] == [
        "asked for in us-a (1 waiting)",
        "the cloud took the request",
        "it registered, at iris-cpu-1:0",
        "/alice/train:0 was placed on it (best fit)",
    ]
    assert "an operator says that it shall get no new work" in lines
    assert "an operator says that it may have work again" in lines
    assert "it has fallen silent" in lines
    assert any(line.startswith("is lost as a whole: failed (host_lost)") for line in lines)
    assert any(line.startswith("is gone (") for line in lines)
    own = told(script, of(Of.WORKER, worker))
    assert set(own) < set(lines)
    assert own[0] == "it registered, at iris-cpu-1:0"
    assert told(script, of(Of.SLICE, "iris-cpu-11")) == []


def test_a_group_is_told_its_slices_and_what_creates_meet_in_its_zones() -> None:
    script = cluster(cpu_group(max_slices=3), cpu_group("cpu-b", zones=("us-b",)), tpu_group())
    script.submit()
    first = script.coming("cpu")[0]
    script.refused(first, ev.CreateFailure.STOCKOUT, "none left")
    script.deleted(first)
    spec = script.controller.state.spec
    lines = told(script, timeline_of_group(spec, GroupName("cpu")))
    assert "the configuration was read: 0 to 3 slices" in lines
    assert "the cloud refused it: stockout (none left)" in lines
    assert "cpu in us-a: no creates for 1 min (stockout: none left)" in lines
    other = told(script, timeline_of_group(spec, GroupName("cpu-b")))
    assert not any("us-a" in line for line in other)
    script.refused(script.coming("cpu-b")[0], ev.CreateFailure.RATE)
    for group in ("cpu", "tpu"):
        lines = told(script, timeline_of_group(spec, GroupName(group)))
        assert "no creates for 1 min (the cloud refused their rate)" in lines


def test_what_a_worker_repeats_is_told_once() -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit()
    report = ev.AttemptReport(TaskId(f"{job}:0"), 0, AttemptState.BUILDING)
    for _ in range(3):
        script.step(script.report(WorkerId("iris-cpu-1-w0"), report, complete=True))
    script.listing().listing()
    lines = told(script, of(Of.JOB, job))
    assert lines.count("attempt 0: building on iris-cpu-1-w0") == 1
    assert told(script, of(Of.SLICE, "iris-cpu-1")).count("the cloud calls it ready") == 1


@pytest.mark.parametrize(
    ("until", "said"),
    [
        (None, "cpu in us-a: 4 may come at once"),
        (Instant(0), "cpu in us-a: 4 may come at once"),
        (FOREVER, "cpu in us-a: no creates until another configuration is read"),
    ],
)
def test_what_is_thought_of_a_zone_is_told_in_words(until: Instant | None, said: str) -> None:
    throttle = de.Throttle(Zone("us-a"), "cpu", 4, 1, until, False, "why")  # noqa: FBT003
    (it,) = Timeline().of_turn(Turn(Instant(9), (), (throttle,)), 1)
    assert it.text == said


@pytest.mark.parametrize("expired", [False, True])
def test_what_a_task_serves_is_told_of_it(*, expired: bool) -> None:
    task = TaskId("/alice/serve:0")
    facts = (
        ev.EndpointRegistered(RequestId("r"), task, 0, "model", "10.0.0.3:10417"),
        ev.EndpointsWithdrawn(task, (EndpointId("e-1"), EndpointId("e-2")), expired),
    )
    found = [it.text for it in Timeline().of_turn(Turn(Instant(0), facts, ()), 1)]
    assert found == ["serves model at 10.0.0.3:10417", "serves no more: e-1, e-2"]


UNTOLD = {
    ev.JobSubmitted,  # Its admission is told, which has the job's name.
    ev.ControllerStalled,
    ev.ControllerRestarted,
    de.Answer,
    de.Observation,
}


@pytest.mark.parametrize("record", [*get_args(ev.Event), *get_args(de.Decision)])
def test_every_fact_and_decision_is_told_of_somebody_or_of_nobody_on_purpose(record: type) -> None:
    value = example(record, filled=True)
    facts = (value,) if record in get_args(ev.Event) else ()
    turn = Turn(Instant(0), facts, () if facts else (value,))  # type: ignore[arg-type]
    found = list(Timeline().of_turn(turn, 7))
    assert bool(found) is (record not in UNTOLD)
    for it in found:
        assert (it.kind, it.turn, it.is_fact) == (record.__name__, 7, bool(facts))
        assert it.text


# ---- what the tables still know ----------------------------------------------------------------


def test_what_the_journal_has_let_go_of_is_told_from_the_tables() -> None:
    script = fleet(cpu_group(min_slices=1))
    script.advance(MINUTE)
    job = script.submit(max_retries_failure=1)
    script.running(job).advance(MINUTE).ends(script.task(job).id, EndCause.EXIT_NONZERO)
    script.advance(MINUTE).running(job).ends(script.task(job).id)
    state, end = script.controller.state, Instant(HOUR)

    def lines(subject: Subject, before: Instant) -> list[str]:
        return [f"{it.at} {it.text} {it.cause}".strip() for it in recorded(state, subject, before)]

    assert lines(of(Of.JOB, job), end) == [
        "60000 alice submitted it: 1 x",
        "60000 placed on iris-cpu-1-w0",
        "60000 attempt 0: running on iris-cpu-1-w0",
        "120000 attempt 0: failed on iris-cpu-1-w0 exit_nonzero",
        "120000 placed on iris-cpu-1-w0",
        "180000 attempt 1: running on iris-cpu-1-w0",
        "180000 attempt 1: succeeded on iris-cpu-1-w0 exit_zero",
        "180000 ended: succeeded",
    ]
    assert lines(of(Of.JOB, job), Instant(120_000)) == lines(of(Of.JOB, job), end)[:3]
    assert lines(of(Of.TASK, f"{job}:0"), end) == lines(of(Of.JOB, job), end)[1:-1]
    assert lines(of(Of.SLICE, "iris-cpu-1"), end) == [
        "0 asked for in us-a",
        "0 the cloud took the request",
        "0 ready",
    ]
    for unknown in (of(Of.JOB, "/x/y"), of(Of.WORKER, "iris-cpu-1-w0"), of(Of.SLICE, "nope")):
        assert lines(unknown, end) == []
    assert lines(of(Of.JOB, script.submit("open")), end)[:1]
    (first, *_, last) = recorded(state, of(Of.JOB, job), end)
    assert isinstance(first, Happening)
    page = Chapter((), 0, 9, end)
    assert completed(page, state, of(Of.JOB, job), 1).happenings == (last,)
    newer = replace(page, before=9)  # What is older is on another page.
    assert completed(newer, state, of(Of.JOB, job), 1) == newer
