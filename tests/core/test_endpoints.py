"""Where attempts serve: listed while they go on, gone with them, and refused for what is over."""

from dataclasses import replace
from typing import Final

import pytest

from iris.core import effects as ef
from iris.core import events as ev
from iris.core.endpoints import MAX_ENDPOINTS, endpoint_views, mark_of
from iris.core.ids import EndpointId, JobId, RequestId, TaskId, UserName, WorkerId
from iris.core.instant import MINUTE, SECOND, Instant, Millis
from iris.core.leases import Leases
from iris.core.lifecycle import AttemptState, SliceState
from iris.core.retry import EndCause
from iris.core.snapshot import snapshot, snapshot_from_json, snapshot_to_json, without_secrets
from iris.core.spec import RetentionPolicy
from tests.harness import Script, cpu_group, fleet, tpu_group

HERE: Final = "10.0.0.3:10417"
LEASE: Final = Millis(MINUTE)


def serve(
    script: Script, task: TaskId, attempt: int = 0, name: str = "model", address: str = HERE
) -> ef.Accepted | ef.Rejected:
    """A server inside an attempt says that it serves; what it is answered."""
    request = RequestId(f"{task}@{attempt}/{name}@{address}")
    script.step(ev.EndpointRegistered(request, task, attempt, name, address))
    return script.the(ef.Reply, request=request).answer


def found(script: Script, name: str = "*") -> list[tuple[str, int]]:
    """The addresses under a name, with the attempts that serve there."""
    views = endpoint_views(script.controller.state, names=[name])
    return [(view.endpoint.address, view.endpoint.attempt) for view in views]


def why(answer: ef.Accepted | ef.Rejected) -> str:
    """Why it was refused."""
    assert isinstance(answer, ef.Rejected), answer
    return answer.why


def one_task(**more: object) -> tuple[Script, TaskId]:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit(**more)  # type: ignore[arg-type]  # of a job's specification
    script.running(job)
    return script, script.task(job).id


# ---- with its attempt ---------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["exit", "stop", "host lost"])
def test_i_129_an_endpoint_is_gone_in_the_turn_in_which_its_attempt_ends(end: str) -> None:
    script, task = one_task(max_retries_failure=1)
    serve(script, task)
    assert found(script) == [(HERE, 0)]
    if end == "exit":
        script.ends(task, EndCause.EXIT_NONZERO)
    elif end == "stop":
        script.stop(script.controller.state.tasks[task].job)
        assert found(script) == [(HERE, 0)]  # It may have calls to answer yet.
        script.ends(task, EndCause.EXIT_ZERO)
    else:
        script.lose(WorkerId("iris-cpu-1-w0"))
    assert found(script) == []
    assert not script.controller.state.endpoints


def test_i_129_a_retried_rank_finds_the_new_coordinator_and_never_the_old() -> None:
    script = fleet(tpu_group(min_slices=2))
    job = script.submit(gang=True, replicas=2, tpu="v5litepod-16")
    script.running(job)
    first = script.attempt(script.task(job).id).slice
    serve(script, script.task(job).id, 0, "coordinator", "10.0.0.1:1")
    script.preempted(first)
    assert found(script) == []
    assert script.attempt(script.task(job, 1).id).number == 1
    # The old rank 0, cut off from the world, goes on for a while.
    assert "has ended" in why(serve(script, script.task(job).id, 0, "coordinator", "10.0.0.1:1"))
    assert found(script, "coordinator") == []
    assert script.slices_in(SliceState.READY) != [first]
    serve(script, script.task(job).id, 1, "coordinator", "10.0.0.2:1")
    assert found(script, "coordinator") == [("10.0.0.2:1", 1)]


def test_an_attempt_may_serve_before_its_worker_has_said_that_it_runs() -> None:
    script = fleet(cpu_group(min_slices=1))
    job = script.submit()
    assert script.attempt(script.task(job).id).state is AttemptState.ASSIGNED
    assert isinstance(serve(script, script.task(job).id), ef.Accepted)


@pytest.mark.parametrize(
    ("task", "attempt"),
    [("/alice/train:0", 1), ("/alice/train:0", -1), ("/alice/train:1", 0), ("/bob/other:0", 0)],
)
def test_what_names_no_attempt_is_refused_and_counted(task: str, attempt: int) -> None:
    script, _ = one_task()
    before = script.controller.state.books.stale_facts
    answer = serve(script, TaskId(task), attempt)
    assert answer == ef.Rejected(f"attempt {task}@{attempt} is not known", ef.Refusal.UNKNOWN)
    assert script.controller.state.books.stale_facts == before + 1
    assert found(script) == []


def test_a_job_of_the_same_name_has_endpoints_of_its_own() -> None:
    script = fleet(cpu_group(min_slices=1), retention=RetentionPolicy(ended_jobs=0))
    job = script.submit()
    script.running(job)
    task = script.task(job).id
    first = serve(script, task)
    script.ends(task)
    assert task not in script.controller.state.tasks
    script.running(script.submit())
    again = serve(script, task)
    assert isinstance(first, ef.Accepted)
    assert isinstance(again, ef.Accepted)
    assert first.endpoint != again.endpoint


# ---- asking, twice and too often ----------------------------------------------------------------


def test_the_same_twice_is_one_endpoint_with_one_identity() -> None:
    script, task = one_task()
    answers = [serve(script, task) for _ in range(2)]
    assert (
        answers[0]
        == answers[1]
        == ef.Accepted(endpoint=EndpointId(f"/alice/train:0@0/model@{HERE}#1"))
    )
    assert found(script) == [(HERE, 0)]
    other = serve(script, task, address="10.0.0.3:10418")
    assert other != answers[0]
    assert len(found(script)) == 2


def test_an_attempt_has_so_many_endpoints_and_no_more() -> None:
    script, task = one_task()
    for number in range(MAX_ENDPOINTS):
        serve(script, task, name=f"n{number}")
    refused = serve(script, task, name="one-more")
    assert refused == ef.Rejected(
        "attempt /alice/train:0@0 has 64 endpoints, and may have no more", ef.Refusal.INVALID
    )
    assert isinstance(serve(script, task, name="n7"), ef.Accepted)
    assert len(found(script)) == MAX_ENDPOINTS


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a*", "-a", "x" * 64, "a\n"])
def test_a_name_has_a_grammar(name: str) -> None:
    script, task = one_task()
    assert why(serve(script, task, name=name)).startswith(f"name: {name!r} is no name")


@pytest.mark.parametrize(
    "address",
    ["", "10.0.0.3", ":80", "host:", "host:0", "host:65536", "host:80 ", "http://host:80", "a b:80",
     "::1:80", "host:80\n", f"{'h' * 300}:80", "-host:80"],
)  # fmt: skip
def test_what_is_no_address_is_refused(address: str) -> None:
    script, task = one_task()
    assert why(serve(script, task, address=address)).startswith("address: ")


@pytest.mark.parametrize("address", ["h:1", "tpu-vm-0.us-a.internal:65535", "[fe80::1]:443"])
def test_an_address_is_a_host_and_a_port(address: str) -> None:
    script, task = one_task()
    serve(script, task, address=address)
    assert found(script) == [(address, 0)]


# ---- withdrawing, and leases --------------------------------------------------------------------


def test_what_is_withdrawn_is_gone_and_the_rest_stays() -> None:
    script, task = one_task()
    answers = [serve(script, task, name=name) for name in ("a", "b")]
    first = answers[0].endpoint if isinstance(answers[0], ef.Accepted) else None
    assert first is not None
    changes = script.controller.state.endpoint_changes
    script.step(ev.EndpointsWithdrawn(task, (first,)))
    assert [v.endpoint.name for v in endpoint_views(script.controller.state)] == ["b"]
    assert script.controller.state.endpoint_changes == changes + 1
    before = script.controller.state.books.stale_facts
    script.step(
        ev.EndpointsWithdrawn(task, (first,)), ev.EndpointsWithdrawn(TaskId("/x/y:0"), (first,))
    )
    assert script.controller.state.books.stale_facts == before + 2
    assert script.controller.state.endpoint_changes == changes + 1


def leased() -> tuple[Script, TaskId, Leases, list[EndpointId]]:
    script, task = one_task()
    answers = [serve(script, task, name=name) for name in ("a", "b")]
    ids = [answer.endpoint for answer in answers if isinstance(answer, ef.Accepted)]
    leases = Leases(Instant(0), span=LEASE, deaf_after=Millis(5 * SECOND))
    return script, task, leases, [name for name in ids if name is not None]


def looked(
    script: Script, leases: Leases, start: int, end: int
) -> list[tuple[int, ev.EndpointsWithdrawn]]:
    """What was told, looking every two seconds."""
    listed = script.controller.state.endpoints
    seconds = range(start, end, 2)
    return [(s, e) for s in seconds for e in leases.look(Instant(s * SECOND), listed)]


def test_a_lease_that_is_not_renewed_runs_out_and_one_that_is_does_not() -> None:
    script, task, leases, (a, b) = leased()
    assert leases.renewed_at(a) is None
    assert looked(script, leases, 0, 30) == []
    leases.renew([b], Instant(30 * SECOND))
    assert leases.renewed_at(b) == 30 * SECOND
    over = looked(script, leases, 30, 64)
    assert over == [(62, ev.EndpointsWithdrawn(task, (a,), expired=True))]
    script.step(over[0][1])
    assert [v.endpoint.id for v in endpoint_views(script.controller.state)] == [b]
    leases.renew([b], Instant(64 * SECOND))
    assert looked(script, leases, 64, 120) == []


def test_after_a_restart_and_after_a_stall_everybody_begins_a_lease_anew() -> None:
    script, task, _, ids = leased()
    late = Leases(Instant(900 * SECOND), span=LEASE, deaf_after=Millis(5 * SECOND))
    told = [(962, ev.EndpointsWithdrawn(task, tuple(ids), expired=True))]
    assert looked(script, late, 900, 964) == told
    stood = Leases(Instant(0), span=LEASE, deaf_after=Millis(5 * SECOND))
    assert looked(script, stood, 0, 10) == []
    assert looked(script, stood, 500, 560) == []
    assert looked(script, stood, 560, 562) == []
    assert [at for at, _ in looked(script, stood, 562, 564)] == [562]


def test_a_lease_is_forgotten_with_its_endpoint() -> None:
    script, task, leases, (a, _) = leased()
    leases.renew([a], Instant(0))
    script.ends(task)
    leases.look(Instant(2 * SECOND), script.controller.state.endpoints)
    assert leases.renewed_at(a) is None


# ---- who is found -------------------------------------------------------------------------------


def test_one_finds_by_name_and_job_and_user_oldest_first() -> None:
    script = fleet(cpu_group(min_slices=1))
    jobs = [script.submit("train", replicas=2), script.submit("other", user="bob")]
    for job in jobs:
        script.running(job)
    serve(script, script.task(jobs[0], 1).id, 0, "actor-1", "h:1")
    script.advance(1)
    serve(script, script.task(jobs[1]).id, 0, "actor-2", "h:2")
    serve(script, script.task(jobs[0], 0).id, 0, "actor-0", "h:3")
    state = script.controller.state
    assert [(v.task, v.rank) for v in endpoint_views(state)] == [
        ("/alice/train:1", 1),
        ("/alice/train:0", 0),
        ("/bob/other:0", 0),
    ]

    def names(*wanted: str, user: str | None = None, job: JobId | None = None) -> list[str]:
        of = UserName(user) if user is not None else None
        only = (lambda found: found == job) if job is not None else None
        return [
            v.endpoint.name for v in endpoint_views(state, names=wanted or "*", user=of, only=only)
        ]

    assert names("actor-*") == ["actor-1", "actor-0", "actor-2"]
    assert names("*-1") == names("actor-1") == ["actor-1"]
    assert names("actor-2", "*-0", "a*r-0") == ["actor-0", "actor-2"]
    assert names("actor") == names("actor-1*2") == names("actor.1") == names("actor-1*1") == []
    assert names("*c*r*") == names("**") == ["actor-1", "actor-0", "actor-2"]
    assert names("*r*c*") == names("*x*") == names("*tor-*-1") == []
    assert names(user="bob") == ["actor-2"]
    assert names(job=jobs[0]) == ["actor-1", "actor-0"]


def test_a_mark_is_of_these_endpoints_in_this_order_and_never_nothing() -> None:
    sets = [(), ("a",), ("b",), ("a", "b"), ("b", "a")]
    marks = {mark_of(map(EndpointId, each)) for each in sets}
    assert len(marks) == len(sets)
    assert all(0 < mark < 1 << 63 for mark in marks)


# ---- on record ----------------------------------------------------------------------------------


def test_endpoints_are_in_snapshots_and_in_what_is_told_of_a_state_they_are_not() -> None:
    script, task = one_task()
    serve(script, task)
    image = snapshot(script.controller.state)
    again = snapshot_from_json(snapshot_to_json(image))
    assert again == image
    assert [name for name, _ in again.endpoints] == [task]
    assert without_secrets(image).endpoints == ()
    older = snapshot_to_json(replace(image, endpoints=()))
    assert isinstance(older, dict)
    del older["endpoints"]  # As every version before this one wrote it.
    assert snapshot_from_json(older) == replace(image, endpoints=())


def test_what_is_listed_is_part_of_the_digest() -> None:
    script, task = one_task()
    before = script.controller.digest()
    serve(script, task)
    assert script.controller.digest() != before
