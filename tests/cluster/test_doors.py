"""Every call with every kind of token, on a real controller: who gets in, who does not, and what is never told."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from iris.client import IrisClient, RemoteError
from iris.cluster.controller.auth import Doorkeeper, signing_key
from iris.cluster.types import Entrypoint, EnvironmentSpec
from iris.config import Auth
from iris.core.ids import JobId, WorkerId
from iris.exit_status import ExitStatus
from iris.rpc import iris_pb2 as pb
from iris.rpc.methods import (
    APPEND_LOG,
    GET_STATUS,
    LIST_SLICES,
    METHODS,
    PUT_RESULT,
    RECONCILE,
    REGISTER,
    SHUTDOWN,
    Method,
)
from tests.cluster.running import RunningCluster, running
from tests.cluster.test_wire import send

ALICE, BOB, ADMIN = "alices-long-token", "bobs-very-long-token", "the-administrators-token"
SHARED_WORKER = "the-token-of-all-workers"
VARIABLE = "a-secret-of-alices-job"
AUTH: Final = {
    "tokens": {"alice": {"value": ALICE}, "bob": {"value": BOB}, "root": {"value": ADMIN}},
    "admins": ["root"],
    "worker_token": {"value": SHARED_WORKER},
}

PEOPLE = {
    "SubmitJob", "GetJob", "ListJobs", "StopJob", "ExplainJob", "GetResult", "ListWorkers", "ListSlices", "ListVms",
    "GetStatus", "HasBlob", "PutBlob", "GetBlob", "ReadLog", "ListEndpoints",
}  # fmt: skip
SERVER = {"RegisterEndpoint", "RenewEndpoints", "WithdrawEndpoints"}
OWNER = {"ExecTask", "GetImage", "ExplainGroup", "ListEvents"}
OPERATOR = {"DrainWorker", "TerminateSlice", "CreateSlice", "ReadVmLog", "Shutdown"}
WORKER = {"GetStatus", "GetBlob", "Register", "Reconcile", "PutResult", "AppendLog", "ServeExec"}
ALLOWED: Final = {
    "none": set[str](),
    "wrong": set[str](),
    "forged": set[str](),
    "user": PEOPLE | OWNER,
    "task": PEOPLE | SERVER,
    "admin": PEOPLE | OWNER | OPERATOR,
    "worker": WORKER,
    "shared worker": WORKER,
}
"""Written out, so that a change of the table of calls is seen here."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    yield from running(tmp_path_factory.mktemp("guarded"), auth=AUTH)


@pytest.fixture(scope="module")
def door(guarded: RunningCluster) -> Doorkeeper:
    """What the controller itself signs with."""
    return Doorkeeper(Auth((), (), None), signing_key(guarded.root))


def shell(script: str) -> Entrypoint:
    return Entrypoint.from_command("sh", "-c", script)


@pytest.fixture(scope="module")
def secret_job(guarded: RunningCluster) -> str:
    """Alice's, long since ended."""
    with guarded.client(ALICE, "alice") as alice:
        environment = EnvironmentSpec({"SECRET": VARIABLE})
        job = alice.submit(shell("echo hello"), "secret", environment=environment)
        assert job.wait(60).state == "succeeded"
        return job.id


def tokens(door: Doorkeeper) -> dict[str, str]:
    other = Doorkeeper(Auth((), (), None), b"x" * 32)
    return {
        "none": "",
        "wrong": "alices-long-tokem",
        "forged": other.task_token(JobId("/alice/secret")),
        "user": ALICE,
        "task": door.task_token(JobId("/alice/secret")),
        "admin": ADMIN,
        "worker": door.worker_token(WorkerId("iris-cpu-9-w0")),
        "shared worker": SHARED_WORKER,
    }


class Bearing:
    """A channel that shows a token with every call."""

    def __init__(self, channel: grpc.Channel, token: str) -> None:
        self._channel: Any = channel
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def __getattr__(self, name: str) -> Any:
        def opened(path: str) -> Any:
            stub = getattr(self._channel, name)(path)
            return lambda request, timeout: stub(request, timeout=timeout, metadata=self._metadata)

        return opened


def test_every_call_is_in_the_table() -> None:
    assert {method.name for method in METHODS} == PEOPLE | SERVER | OWNER | OPERATOR | WORKER


CALLS = [
    pytest.param(method, who, id=f"{method.name}-{who}")
    for method in METHODS
    for who in ALLOWED
    if (method, who) != (SHUTDOWN, "admin")  # It would be obeyed.
]


@pytest.mark.parametrize(("method", "who"), CALLS)
def test_i_144_each_call_is_served_to_its_own_kinds_of_callers_only(
    guarded: RunningCluster, door: Doorkeeper, method: Method[Any, Any], who: str
) -> None:
    target = f"127.0.0.1:{guarded.port}"
    with grpc.insecure_channel(target) as channel:
        refused = send(Bearing(channel, tokens(door)[who]), method, b"")
    code = grpc.StatusCode.OK if refused is None else refused.code()
    said = "" if refused is None else refused.details() or ""
    if method.name in ALLOWED[who]:  # What it may say there is another question.
        assert code is not grpc.StatusCode.UNAUTHENTICATED
        assert "is not good for" not in said
        return
    assert refused is not None
    nobody = who in ("none", "wrong", "forged")
    assert code is (
        grpc.StatusCode.UNAUTHENTICATED if nobody else grpc.StatusCode.PERMISSION_DENIED
    )
    assert nobody or f"is not good for {method.name}" in said
    assert all(secret not in said for secret in (ALICE, BOB, ADMIN, SHARED_WORKER))


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("", "asks for a token, and none was shown"),
        ("wrong", "the token is not known to this controller"),
    ],
)
def test_i_145_whoever_is_not_known_is_told_so_at_once(
    guarded: RunningCluster, token: str, said: str
) -> None:
    began = time.monotonic()
    with guarded.client(token, "alice") as client:
        for ask in (
            lambda: client.submit(shell("true"), "x"),
            lambda: client.job("/alice/secret").wait(),
            lambda: list(client.job("/alice/secret").tasks()),
        ):
            with pytest.raises(RemoteError, match=said) as refused:
                ask()
            assert refused.value.status is ExitStatus.NOT_PERMITTED
            assert "IRIS_TOKEN" in refused.value.help
    assert time.monotonic() - began < 20  # Nobody tries again what is not permitted.


def test_one_user_cannot_act_for_another(
    guarded: RunningCluster, secret_job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with guarded.client(BOB, "bob") as bob, guarded.client(BOB, "alice") as liar:
        with pytest.raises(RemoteError, match="/alice/secret belongs to alice") as refused:
            bob.job(secret_job).terminate()
        assert refused.value.status is ExitStatus.NOT_PERMITTED
        with pytest.raises(RemoteError, match="bob cannot submit in the name of alice"):
            liar.submit(shell("true"), "x")
        monkeypatch.setenv("IRIS_CONTROLLER_ADDRESS", guarded.url)
        monkeypatch.setenv("IRIS_JOB_ID", secret_job)
        with pytest.raises(RemoteError, match="/alice/secret belongs to alice"):
            bob.submit(shell("true"), "child")
        monkeypatch.delenv("IRIS_JOB_ID")
    with IrisClient.remote(guarded.url, token=BOB) as whoever_the_token_says:
        assert whoever_the_token_says.submit(shell("true"), "by-token").id == "/bob/by-token"


def test_a_tasks_token_reaches_its_own_tree_and_no_other(
    guarded: RunningCluster, door: Doorkeeper, secret_job: str
) -> None:
    token = door.task_token(JobId("/alice/other"))
    with guarded.client(token, "alice") as client:
        job = client.job(secret_job)
        with pytest.raises(RemoteError, match="a token of a task is not good for GetImage"):
            job.when()
        for ask in (job.status, job.terminate, job.why, job.result):
            with pytest.raises(RemoteError, match="this token is limited to /alice/other"):
                ask()
        from iris.client import Task

        with pytest.raises(RemoteError, match="limited to /alice/other"):
            Task(client.channel, f"{secret_job}:0").logs()
        with pytest.raises(RemoteError, match="submits below /alice/other only"):
            client.submit(shell("true"), "x")
        assert client.jobs() == []
    with guarded.client(door.task_token(JobId("/alice/secret")), "alice") as own:
        assert own.job(secret_job).status().state == "succeeded"


def test_i_146_a_workers_token_speaks_for_that_worker_only(
    guarded: RunningCluster, door: Doorkeeper, secret_job: str
) -> None:
    stranger = door.worker_token(WorkerId("iris-cpu-9-w0"))
    task = f"{secret_job}:0"
    messages: list[tuple[Method[Any, Any], Any]] = [
        (REGISTER, pb.RegisterRequest(slice="iris-cpu-1", incarnation="x", address="x")),
        (RECONCILE, pb.ReconcileRequest(worker="iris-cpu-1-w0")),
        (APPEND_LOG, pb.AppendLogRequest(task=task, offset=6, content=b"forged")),
        (PUT_RESULT, pb.PutResultRequest(task=task, content=b"forged")),
    ]
    with grpc.insecure_channel(f"127.0.0.1:{guarded.port}") as channel:
        for method, message in messages:
            refused = send(Bearing(channel, stranger), method, message.SerializeToString())
            assert refused is not None, method.name
            assert refused.code() is grpc.StatusCode.PERMISSION_DENIED, method.name
            assert "is that of iris-cpu-9-w0, and not of " in (refused.details() or "")
    with guarded.client(ALICE, "alice") as alice:
        assert alice.job(secret_job).tasks()[0].logs() == "hello\n"


def test_no_secret_is_told_or_written_where_it_does_not_belong(
    guarded: RunningCluster, secret_job: str
) -> None:
    with guarded.client(ALICE, "alice") as alice:
        job = alice.job(secret_job)
        told = [str(job.status()), str(job.why()), str(alice.jobs())]
        told += [str(alice.channel.call(GET_STATUS, pb.GetStatusRequest()))]
        told += [str(alice.channel.call(LIST_SLICES, pb.ListSlicesRequest()))]
    assert all(VARIABLE not in text for text in told)
    files = [path for path in guarded.root.parent.rglob("*") if path.is_file()]
    logs = [path for path in files if path.suffix == ".log" or path.name == "log"]
    assert any(path.name == "worker.log" for path in logs)
    for path in files:
        content = path.read_bytes()
        if path.name != "cluster.yaml":
            for secret in (ALICE, BOB, ADMIN, SHARED_WORKER):
                assert secret.encode() not in content, path
        if path in logs:
            assert VARIABLE.encode() not in content, path


def test_a_tasks_own_token_works_from_inside_and_names_its_user(guarded: RunningCluster) -> None:
    def inside() -> tuple[str, str]:
        from iris.client import RemoteError, iris_ctx
        from iris.cluster.types import Entrypoint

        with iris_ctx().client() as client:
            child = client.submit(Entrypoint.from_command("true"), "child").wait().id
            try:
                client.job("/alice/secret").status()
            except RemoteError as error:
                return child, str(error)
            return child, "let in"

    with guarded.client(ALICE, "alice") as alice:
        job = alice.submit(Entrypoint.from_callable(inside), "inside")
        assert job.result(60) == ("/alice/inside/child", "this token is limited to /alice/inside")


def test_the_configured_users_are_read_from_where_the_config_says(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("a-token-from-a-file\n")
    path.chmod(0o600)
    for cluster in running(tmp_path, auth={"tokens": {"carol": {"file": str(path)}}}):
        with IrisClient.remote(cluster.url, token="a-token-from-a-file", user="carol") as carol:
            assert carol.submit(shell("true"), "x").wait(60).state == "succeeded"
