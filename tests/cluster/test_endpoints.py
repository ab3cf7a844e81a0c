"""Endpoints on a real cluster: listed by their attempts, found by whoever may, and never by whoever may not."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from iris.actor import ActorClient
from iris.actor.cluster import ClusterRegistry, ClusterResolver
from iris.cli.main import root
from iris.client import IrisClient, Job, RemoteError
from iris.cluster.controller.auth import Doorkeeper, signing_key
from iris.cluster.controller.journal import SqliteJournal
from iris.cluster.controller.recovery import JOURNAL_FILE
from iris.cluster.types import Entrypoint
from iris.config import Auth
from iris.core import events as ev
from iris.core.ids import JobId
from iris.core.replay import verify
from iris.rpc import iris_pb2 as pb
from iris.rpc.methods import LIST_ENDPOINTS, REGISTER_ENDPOINT, RENEW_ENDPOINTS, WITHDRAW_ENDPOINTS
from tests.cluster.running import RunningCluster, running, until

ALICE, BOB, ADMIN = "alices-long-token", "bobs-very-long-token", "the-administrators-token"
AUTH = {
    "tokens": {"alice": {"value": ALICE}, "bob": {"value": BOB}, "root": {"value": ADMIN}},
    "admins": ["root"],
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    yield from running(tmp_path_factory.mktemp("guarded"), auth=AUTH)


@pytest.fixture(scope="module")
def alice(guarded: RunningCluster) -> Iterator[IrisClient]:
    with guarded.client(ALICE) as client:
        yield client


@pytest.fixture(scope="module")
def door(guarded: RunningCluster) -> Doorkeeper:
    """What the controller itself signs with."""
    return Doorkeeper(Auth((), (), None), signing_key(guarded.root))


def serve() -> None:
    """A task that serves an actor, for as long as it is let."""
    import os

    from iris.actor import ActorServer
    from iris.client import iris_ctx

    class Self:
        def who(self) -> tuple[int, int]:
            return iris_ctx().attempt_id, os.getpid()

        def leave(self) -> None:
            server.stop()

    server = ActorServer(registry=iris_ctx().registry())
    server.register("model", Self())
    server.run()


def serving(client: IrisClient, name: str) -> tuple[Job, ClusterResolver]:
    """A job that serves `model`, found."""
    job = client.submit(Entrypoint.from_callable(serve), name, max_retries_failure=1)
    resolver = client.resolver(job.id)
    until(lambda: len(resolver.changed("model", (), 5.0)) == 1)
    return job, resolver


def listed(client: IrisClient, job: str = "") -> list[tuple[str, int]]:
    """What the controller itself lists now."""
    request = pb.ListEndpointsRequest(job=job, tree=True)
    answer = client.channel.call(LIST_ENDPOINTS, request, patience_s=10)
    return [(e.task, e.attempt) for e in answer.endpoints]


def test_i_129_a_retried_task_is_found_and_its_earlier_attempt_never_again(
    alice: IrisClient,
) -> None:
    job, resolver = serving(alice, "retried")
    (first,) = resolver.resolve("model")
    assert (first.task, first.rank, first.attempt) == (f"{job.id}:0", 0, 0)
    actor = ActorClient("model", resolver, timeout=20.0)
    number, pid = actor.who()
    assert number == 0
    os.kill(pid, signal.SIGKILL)
    until(lambda: job.status().details[0].attempts[0].state == "failed")
    assert (first.task, 0) not in listed(alice, job.id)
    found = resolver.changed("model", [first], 20.0)
    while not found:
        found = resolver.changed("model", found, 20.0)
    (second,) = found
    assert second.attempt == 1
    assert second.id != first.id
    assert second.secret != first.secret
    assert actor.who()[0] == 1
    assert resolver.resolve("model") == (second,)
    job.terminate()


def test_what_is_withdrawn_or_stopped_is_gone(alice: IrisClient) -> None:
    job, resolver = serving(alice, "stopped")
    known = resolver.resolve("model")
    job.terminate()
    assert resolver.changed("model", known, 20.0) == ()
    assert listed(alice, job.id) == []


@pytest.fixture(scope="module")
def model(alice: IrisClient) -> tuple[Job, ClusterResolver]:
    """A job of Alice's that serves all the while."""
    return serving(alice, "model")


def test_i_133_many_look_ups_cost_the_controller_next_to_nothing(
    model: tuple[Job, ClusterResolver],
) -> None:
    _, resolver = model
    found = resolver.resolve("model")
    before = resolver.calls
    assert all(resolver.resolve("model") == found for _ in range(1_000))
    assert resolver.calls < before + 20  # Those of the one who waits for news.
    before = resolver.calls
    resolver.invalidate(found[0])
    assert resolver.resolve("model") == found
    assert resolver.calls > before


def refused(client: IrisClient, task: str, attempt: int = 0) -> str:
    """What is said to a registration."""
    with pytest.raises(RemoteError) as error:
        ClusterRegistry(client.channel, task, attempt, "127.0.0.1").register("model", 1)
    return str(error.value)


def test_a_task_lists_for_its_own_attempt_only(
    guarded: RunningCluster,
    alice: IrisClient,
    door: Doorkeeper,
    model: tuple[Job, ClusterResolver],
) -> None:
    job, _ = model
    task, other = f"{job.id}:0", door.task_token(JobId("/alice/other"), "/alice/other:0@0")
    ids = pb.RenewEndpointsRequest(task=task, endpoints=["x"])
    with guarded.client(other) as stranger:
        assert (
            refused(stranger, task)
            == f"this token is that of /alice/other:0@0, and not of {task}@0"
        )
        assert "attempt /alice/other:0@0 is not known" in refused(stranger, "/alice/other:0")
        with pytest.raises(RemoteError, match="and not of"):
            stranger.channel.call(RENEW_ENDPOINTS, ids)
        gone = pb.WithdrawEndpointsRequest(task=task, endpoints=["x"])
        with pytest.raises(RemoteError, match="and not of"):
            stranger.channel.call(WITHDRAW_ENDPOINTS, gone)
        with pytest.raises(RemoteError, match="limited to /alice/other"):
            listed(stranger, job.id)
        assert listed(stranger) == []
    with guarded.client(door.task_token(JobId(job.id))) as older:
        assert "is that of no attempt" in refused(older, task)
        assert listed(older) == [(task, 0)]
    with guarded.client(door.task_token(JobId(job.id), f"{task}@1")) as later:
        assert f"attempt {task}@1 is not known" in refused(later, task, 1)
    with guarded.client(door.task_token(JobId(job.id), f"{task}@0")) as own:
        assert list(own.channel.call(RENEW_ENDPOINTS, ids).unknown) == ["x"]
        bad = pb.RegisterEndpointRequest(task=task, name="a b", address="h:1")
        with pytest.raises(RemoteError, match="name: 'a b' is no name of an endpoint"):
            own.channel.call(REGISTER_ENDPOINT, bad)
    assert "is not good for RegisterEndpoint" in refused(alice, task)


def printed(cluster: RunningCluster, *more: str) -> str:
    """What `iris endpoint list` prints of a job to Alice."""
    words = ("endpoint", "list", "--job", "/alice/model", "--name", "mod*", *more)
    shown = CliRunner().invoke(
        root, [*words, "--controller-url", cluster.url], env={"IRIS_TOKEN": ALICE}
    )
    assert shown.exit_code == 0, shown.output
    return shown.output


def test_users_find_their_own_and_secrets_stand_nowhere(
    guarded: RunningCluster, alice: IrisClient, model: tuple[Job, ClusterResolver]
) -> None:
    job, resolver = model
    (endpoint,) = resolver.resolve("model")
    assert len(endpoint.secret) == 64
    with guarded.client(BOB, "bob") as bob, guarded.client(ADMIN, "root") as admin:
        assert listed(bob) == []
        with pytest.raises(RemoteError, match=f"{job.id} belongs to alice"):
            bob.resolver(job.id).resolve("model")
        with pytest.raises(RemoteError, match="job /alice/nothing is not known"):
            listed(admin, "/alice/nothing")
        assert (endpoint.task, 0) in listed(admin)
        told = [str(admin.endpoints(job=job.id)), str(job.status()), repr(endpoint)]
        assert admin.endpoints(name="mod*")[0].renewed_at_ms > 0
    told += [printed(guarded, "--json"), printed(guarded)]
    (item,) = json.loads(told[-2])["items"]
    assert (item["name"], item["task"], item["attempt"]) == ("model", endpoint.task, 0)
    assert told[-1].splitlines()[1].split()[:3] == ["model", endpoint.address, f"{endpoint.task}@0"]
    with pytest.raises(RemoteError, match="names: 'a b' is no name"):
        alice.endpoints(name="a b")
    assert all(endpoint.secret not in text for text in told)
    for path in guarded.root.parent.rglob("*"):
        if path.is_file():
            assert endpoint.secret.encode() not in path.read_bytes(), path


def test_renewals_are_no_turns_and_resolver_and_server_outlast_their_controller(
    guarded: RunningCluster,
    alice: IrisClient,
    door: Doorkeeper,
    model: tuple[Job, ClusterResolver],
) -> None:
    job, resolver = model
    (endpoint,) = known = resolver.resolve("model")
    actor = ActorClient("model", resolver, timeout=20.0)
    request = pb.RenewEndpointsRequest(task=endpoint.task, endpoints=[endpoint.id])
    with guarded.client(door.task_token(JobId(job.id), f"{endpoint.task}@0")) as own:
        for _ in range(200):
            assert not own.channel.call(RENEW_ENDPOINTS, request).unknown
    guarded.kill()
    journal = SqliteJournal(Path(guarded.root) / JOURNAL_FILE, readonly=True)
    image, found = journal.latest()
    turns = list(found)
    journal.close()
    assert image is None
    assert verify(turns) is None
    told = [e for turn in turns for e in turn.events if isinstance(e, ev.EndpointRegistered)]
    assert len([e for e in told if e.task == endpoint.task]) == 1  # What was refused is not there.
    assert resolver.resolve("model") == known
    assert actor.who()[0] == 0
    guarded.start()
    resolver.invalidate(endpoint)
    assert resolver.resolve("model") == known  # With the same identity and the same secret.
    assert listed(alice, job.id) == [(endpoint.task, 0)]
    job.terminate()
    until(lambda: resolver.changed("model", known, 10.0) == ())
