"""The Python client against real controllers: waiting, following and asking, whatever befalls the controller."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from iris.client import BadRequest, IrisClient, JobEnded, NotFinished, NotPicklable, RemoteError
from iris.cluster.types import Entrypoint, EnvironmentSpec, ResourceSpec
from iris.exit_status import ExitStatus
from iris.problems import Failure
from iris.rpc.addresses import BadAddress
from tests.cluster.running import RunningCluster, free_port, running, until


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    yield from running(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RunningCluster]:
    yield from running(tmp_path)


@pytest.fixture
def client(shared: RunningCluster) -> Iterator[IrisClient]:
    with shared.client() as found:
        yield found


def shell(script: str) -> Entrypoint:
    return Entrypoint.from_command("sh", "-c", script)


# ---- following and waiting -------------------------------------------------------------------------


def test_i_128_a_followed_log_has_no_gap_and_no_repetition_when_the_controller_is_killed(
    own: RunningCluster,
) -> None:
    script = "for i in $(seq 1 60); do echo line $i; sleep 0.05; done"
    with own.client() as client:
        job = client.submit(shell(script), "talks")
        heard: list[bytes] = []

        def follow() -> None:
            heard.extend(piece.content for piece in job.tasks()[0].stream_logs())

        follower = threading.Thread(target=follow)
        follower.start()
        until(lambda: len(heard) > 3)
        own.kill()
        own.start()
        follower.join(60)
        assert not follower.is_alive()
        assert job.wait(60).state == "succeeded"
        lines = b"".join(heard).decode().splitlines()
    assert lines == [f"line {number}" for number in range(1, 61)]


def test_whoever_follows_a_task_is_told_all_of_its_attempts(client: IrisClient) -> None:
    script = "echo attempt $IRIS_ATTEMPT_ID begins; sleep 0.3; echo it ends; exit 1"
    job = client.submit(shell(script), "attempts", max_retries_failure=2)
    heard = list(job.tasks()[0].stream_logs())
    text = b"".join(piece.content for piece in heard).decode()
    assert text == "".join(f"attempt {number} begins\nit ends\n" for number in range(3))
    assert [piece.attempt for piece in heard] == sorted(piece.attempt for piece in heard)
    assert job.tasks()[0].logs(attempt=1) == "attempt 1 begins\nit ends\n"


def test_attempts_that_came_and_went_while_the_reader_was_away_are_told_too(
    own: RunningCluster,
) -> None:
    script = "echo $IRIS_ATTEMPT_ID begins; sleep 1; echo it ends; exit 1"
    with own.client() as client:
        job = client.submit(shell(script), "missed", max_retries_failure=2)
        pieces = job.tasks()[0].stream_logs()
        heard = [next(pieces).content]
        own.kill()
        own.start()
        assert job.wait(60).state == "failed"
        heard += [piece.content for piece in pieces]
    assert b"".join(heard).decode() == "".join(f"{n} begins\nit ends\n" for n in range(3))


def test_the_end_of_a_log_is_told_by_bytes_or_lines(client: IrisClient) -> None:
    job = client.submit(shell("echo one; echo two"), "tail")
    job.wait()
    pieces = job.tasks()[0].stream_logs(follow=False, tail_bytes=4)
    assert b"".join(piece.content for piece in pieces) == b"two\n"
    for lines, expected in ((1, b"two\n"), (2, b"one\ntwo\n"), (9, b"one\ntwo\n")):
        pieces = job.tasks()[0].stream_logs(follow=False, tail_lines=lines)
        assert b"".join(piece.content for piece in pieces) == expected


def test_a_wait_lasts_as_long_as_the_controller_is_away_and_says_so_once(
    own: RunningCluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with own.client() as client:
        job = client.submit(shell("sleep 1"), "outlasts")
        until(lambda: job.status().state == "running")
        own.kill()
        ended: list[str] = []
        waiter = threading.Thread(target=lambda: ended.append(job.wait().state))
        waiter.start()
        until(lambda: "trying again" in caplog.text)
        waiter.join(2)
        assert waiter.is_alive()
        own.start()
        waiter.join(60)
        assert ended == ["succeeded"]
    said = [record.getMessage() for record in caplog.records if record.name == "iris.rpc.channel"]
    assert len(said) == 2, said
    assert said[0].startswith(f"no controller answers at {own.url}: ")
    assert said[1] == f"the controller at {own.url} answers again"


def test_i_139_a_deadline_holds_though_the_controller_is_away(own: RunningCluster) -> None:
    with own.client() as client:
        job = client.submit(shell("sleep 60"), "away")
        job.status()
        own.kill()
        began = time.monotonic()
        with pytest.raises(NotFinished, match="when the controller was last heard") as late:
            job.wait(1.0)
        assert time.monotonic() - began < 30  # And not the ten minutes that other calls are borne.
        assert late.value.status is ExitStatus.NOT_FINISHED


ASKS: list[Callable[[IrisClient], object]] = [
    lambda client: client.job("/alice/x").wait(),
    lambda client: client.job("/alice/x").wait(60),
    lambda client: client.jobs(),
    lambda client: client.submit(shell("true"), "x"),
    lambda client: client.job("/alice/x").terminate(),
]


@pytest.mark.parametrize("ask", ASKS)
def test_a_wrong_port_is_told_at_once_and_not_tried_for_minutes(
    ask: Callable[[IrisClient], object],
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    said = f"no controller answers at {url}: connection refused"
    with (
        IrisClient.remote(url, user="alice") as client,
        pytest.raises(RemoteError, match=said) as refused,
    ):
        ask(client)
    assert refused.value.status is ExitStatus.UNREACHABLE
    assert "check the address" in refused.value.help


def test_a_log_at_a_wrong_port_is_refused_at_once() -> None:
    from iris.client import Task

    with (
        IrisClient.remote(f"http://127.0.0.1:{free_port()}") as client,
        pytest.raises(RemoteError, match="no controller answers") as refused,
    ):
        list(Task(client.channel, "/alice/x:0").stream_logs())
    assert refused.value.status is ExitStatus.UNREACHABLE


def test_what_is_no_address_is_refused() -> None:
    for text in ("ftp://host", "http://host:port", "http://", "http://host/path"):
        with pytest.raises(BadAddress, match="is no address of a controller") as refused:
            IrisClient.remote(text)
        assert refused.value.status is ExitStatus.BAD_INPUT


# ---- results ---------------------------------------------------------------------------------------


def test_a_result_that_will_not_come_says_why(client: IrisClient) -> None:
    failed = client.submit(shell("exit 3"), "no-result")
    with pytest.raises(JobEnded, match=r"/alice/no-result is failed: .*exit status 3") as ended:
        failed.result()
    assert (ended.value.state, ended.value.status) == ("failed", ExitStatus.JOB_FAILED)
    stopped = client.submit(shell("sleep 60"), "stopped")
    stopped.terminate()
    with pytest.raises(JobEnded, match="/alice/stopped is killed") as ended:
        stopped.result()
    assert ended.value.status is ExitStatus.JOB_STOPPED
    huge = client.submit(shell("true"), "huge", resources=ResourceSpec(cpu=999))
    with pytest.raises(JobEnded, match="/alice/huge is unschedulable") as ended:
        huge.result()
    assert ended.value.status is ExitStatus.NEVER_PLACEABLE
    slow = client.submit(shell("sleep 60"), "slow")
    with pytest.raises(NotFinished, match="it goes on"):
        slow.result(0.2)
    slow.terminate()
    assert client.submit(shell("true"), "command").result() is None


def test_a_task_that_is_stopped_knows_it_and_how_long_it_has(client: IrisClient) -> None:
    def heeds() -> None:
        import sys

        from iris.client import stop_notice

        notice = stop_notice()
        sys.stdout.write("works\n")
        while not notice.is_given:
            time.sleep(0.01)
        left = notice.remaining_s
        if left is not None and 0 < left < 25:
            sys.stdout.write("saves, for there is time\n")

    job = client.submit(Entrypoint.from_callable(heeds), "heeds", checkpoint_every="10m")
    until(lambda: "works" in job.tasks()[0].logs())
    job.terminate()
    assert job.wait(60).state == "killed"
    assert job.tasks()[0].logs().startswith("works\nsaves, for there is time\n")
    assert job.status().spec.checkpoint_every_ms == 600_000


def test_i_131_what_a_function_raises_comes_back_as_itself(client: IrisClient) -> None:
    def times_out() -> None:
        raise TimeoutError("the user's own")

    def returns_a_lock() -> object:
        return threading.Lock()

    job = client.submit(Entrypoint.from_callable(times_out), "times-out")
    with pytest.raises(JobEnded) as ended:
        job.result()
    assert isinstance(ended.value.__cause__, TimeoutError)
    assert len(job.status().details[0].attempts) == 1
    job = client.submit(Entrypoint.from_callable(returns_a_lock), "returns-a-lock")
    with pytest.raises(JobEnded) as ended:
        job.result()
    assert "the result of type lock cannot be pickled" in str(ended.value.__cause__)


def test_a_call_of_another_python_is_refused_by_name(
    client: IrisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iris.client.request.PYTHON_MINOR", "3.9")
    job = client.submit(Entrypoint.from_callable(len, "abc"), "other-python")
    with pytest.raises(JobEnded) as ended:
        job.result()
    assert "was pickled by Python 3.9, and the task runs Python 3." in str(ended.value.__cause__)


def test_i_141_an_argument_of_100_mb_travels(client: IrisClient) -> None:
    job = client.submit(Entrypoint.from_callable(len, bytes(100 << 20)), "large")
    assert job.result() == 100 << 20


# ---- what cannot be --------------------------------------------------------------------------------

LOCK = threading.Lock()
PRINTS_LOCK = Entrypoint.from_callable(print, LOCK)
HOLDS_LOCK = Entrypoint.from_callable(LOCK.acquire)
REFUSED: list[tuple[type[Exception], str, dict[str, object]]] = [
    (BadRequest, "name 'a/b' cannot be one: use 1 to 63 letters", {"name": "a/b"}),
    (BadRequest, "name '' cannot be one", {"name": ""}),
    (BadRequest, "x...' cannot be one", {"name": "x" * 5_000}),
    (BadRequest, "name '../x' cannot be one", {"name": "../x"}),
    (BadRequest, "replicas: 0 is less than 1", {"replicas": 0}),
    (BadRequest, "replicas: '2' is of type str; give a whole number", {"replicas": "2"}),
    (BadRequest, "replicas: True is of type bool; give a whole number", {"replicas": True}),
    (BadRequest, "name: 5 is of type int; give a text", {"name": 5}),
    (BadRequest, "ports: 5 is of type int; give a text", {"ports": [5]}),
    (BadRequest, "ports: 'web' is no list; give a list, each a text", {"ports": "web"}),
    (BadRequest, "constraints: 'x' is of type str; give a Constraint", {"constraints": ["x"]}),
    (BadRequest, "resources: {} is of type dict; give a ResourceSpec", {"resources": {}}),
    (BadRequest, "environment: {} is of type dict; give an EnvironmentSpec", {"environment": {}}),
    (BadRequest, "replicas: 200000 is more than 100000", {"replicas": 200_000}),
    (BadRequest, "a number is larger than any cluster has", {"max_retries_failure": 1 << 70}),
    (BadRequest, "replicas: 1099511627776 is more than 100000", {"replicas": 1 << 40}),
    (BadRequest, "band 'urgent' is none of", {"band": "urgent"}),
    (BadRequest, "max_retries_failure: -1 is less than 0", {"max_retries_failure": -1}),
    (BadRequest, "max_retries_preemption: 1000001 is more", {"max_retries_preemption": 1_000_001}),
    (BadRequest, "memory: '2XB'", {"resources": ResourceSpec(memory="2XB")}),
    (BadRequest, "cpu: 'many'", {"resources": ResourceSpec(cpu="many")}),
    (BadRequest, "disk: '999999999PB' is too large", {"resources": ResourceSpec(disk="999999999PB")}),
    (BadRequest, "timeout: 'soon'", {"timeout": "soon"}),
    (BadRequest, "timeout_ms: 0 is less than 1", {"timeout": 0}),
    (BadRequest, "checkpoint_every: [] is of type list; give seconds", {"checkpoint_every": []}),
    (BadRequest, "checkpoint_every_ms: 0 is less than 1", {"checkpoint_every": 0}),
    (BadRequest, "ports: 'a b' cannot be part of a variable", {"ports": ["a b"]}),
    (BadRequest, "ports: 'web' is there twice", {"ports": ["web", "api", "web"]}),
    (BadRequest, "ports: 'web' is there twice", {"ports": ["web", "WEB"]}),
    (BadRequest, "holds half a character", {"environment": EnvironmentSpec({"A": "x\ud800"})}),
    (BadRequest, "env_vars: N is 1, a int; write a text", {"environment": EnvironmentSpec({"N": 1})}),  # type: ignore[dict-item]
    (BadRequest, "'A=B' is no name of a variable", {"environment": EnvironmentSpec({"A=B": ""})}),
    (BadRequest, "holds a NUL", {"environment": EnvironmentSpec({"A": "x\0y"})}),
    (BadRequest, "131073 bytes, more than 131071", {"environment": EnvironmentSpec({"A": "x" * 131_071})}),
    (BadRequest, "say sync=True", {"environment": EnvironmentSpec(extras=["tpu"])}),
    (BadRequest, "there is no workspace", {"environment": EnvironmentSpec(sync=True)}),
    (BadRequest, "command: its first word is empty", {"entrypoint": Entrypoint.from_command("")}),
    (BadRequest, "'--help' is an option", {"environment": EnvironmentSpec(pip_packages=["--help"])}),
    (BadRequest, "command: word 2 holds a NUL", {"entrypoint": shell("echo \0")}),
    (BadRequest, "command: word 2 has 104857600 bytes", {"entrypoint": shell("x" * (100 << 20))}),
    (NotPicklable, "argument 0, of type lock, cannot be pickled", {"entrypoint": PRINTS_LOCK}),
    (NotPicklable, "the function, or something that it closes over", {"entrypoint": HOLDS_LOCK}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "said", "words"), REFUSED, ids=[said for _, said, _ in REFUSED])
def test_what_cannot_be_is_refused_in_one_sentence_and_nothing_is_submitted(
    client: IrisClient, kind: type[Exception], said: str, words: dict[str, object]
) -> None:
    whole = {"entrypoint": shell("true"), "name": "refused", **words}
    with pytest.raises(kind) as refused:
        client.submit(**whole)  # type: ignore[arg-type]
    assert said in str(refused.value)
    assert len(str(refused.value)) < 400
    if isinstance(refused.value, Failure):
        assert refused.value.status is ExitStatus.BAD_INPUT
    assert "/alice/refused" not in [job.id for job in client.jobs()]


def test_a_workspace_without_a_project_cannot_be_synced(
    shared: RunningCluster, tmp_path: Path
) -> None:
    with (
        IrisClient.remote(shared.url, workspace=tmp_path, user="alice") as client,
        pytest.raises(BadRequest, match=r"has no pyproject\.toml"),
    ):
        client.submit(shell("true"), "refused", environment=EnvironmentSpec(sync=True))
