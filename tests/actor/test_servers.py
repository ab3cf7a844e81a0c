"""A server of actors: whom it serves, how much it takes, and where it serves."""

import os
import socket
import time
from concurrent.futures import wait
from typing import Any

import pytest

from iris.actor import (
    ActorBusy,
    ActorClient,
    ActorDenied,
    ActorServer,
    ActorUnavailable,
    CannotServe,
    Endpoint,
    FixedResolver,
    NoSuchMethod,
)
from tests.actor.actors import Cabinet, served, until
from tests.actor.directory import Directory

# ---- whom it serves ----------------------------------------------------------------------------


def test_off_loopback_nobody_is_served_without_a_token() -> None:
    with pytest.raises(CannotServe, match=r"0\.0\.0\.0 without a token"):
        ActorServer(host="0.0.0.0")
    with pytest.raises(CannotServe, match=r"10\.0\.0\.3 without a token"):
        ActorServer(host="10.0.0.3")


@pytest.mark.parametrize("shown", ["", "another", "secreT"])
def test_a_wrong_token_is_refused_at_once_and_runs_nothing(shown: str) -> None:
    cabinet = Cabinet()
    with ActorServer(token="secret") as server:
        server.register("it", cabinet)
        with ActorClient("it", FixedResolver(server.address, token=shown)) as client:
            began = time.monotonic()
            with pytest.raises(ActorDenied, match="another token"):
                client.add()
            assert time.monotonic() - began < 5
        with ActorClient("it", FixedResolver(server.address, token="secret")) as client:
            assert client.add() == 1


def test_where_a_server_was_is_known_after_it_was_stopped() -> None:
    with ActorServer() as server:
        address, port = server.address, server.port
    assert (server.address, server.port) == (address, port) == (f"127.0.0.1:{port}", port)
    assert port


class _Pretender:
    """Knows no secret, and says what a caller says that does."""

    def __init__(self, port: int, *frames: bytes) -> None:
        with socket.create_connection(("127.0.0.1", port), 5) as sock:
            sock.settimeout(5)
            sock.sendall(b"".join(frames))
            self.heard = b""
            while piece := sock.recv(65_536):
                self.heard += piece


def test_a_caller_that_has_proven_nothing_runs_nothing() -> None:
    from iris.actor.calls import call_head
    from iris.actor.frames import Kind, message
    from iris.actor.handshake import written
    from iris.actor.payload import packed_call

    cabinet = Cabinet()
    with ActorServer(token="secret") as server:
        server.register("it", cabinet)
        payload = packed_call("add", (), {}, snapshot=True)
        call = message(Kind.CALL, 1, call_head("add", 0, stream=False), payload).frame
        hello = message(Kind.HELLO, 0, written(version=1, actor="it", id="", nonce="n")).frame
        proof = message(Kind.PROOF, 0, written(proof="0" * 64)).frame
        for frames in ((call,), (hello, call), (hello, proof, call), (b"GET / HTTP/1.1\r\n\r\n",)):
            heard = _Pretender(server.port, *frames).heard
            assert b"secret" not in heard
        huge = (1 << 31).to_bytes(4) + bytes(200)
        _Pretender(server.port, huge)
        with ActorClient("it", FixedResolver(server.address, token="secret")) as client:
            assert client.add() == 1


def test_an_unknown_actor_is_told_with_those_that_there_are() -> None:
    with ActorServer() as server:
        server.register("it", Cabinet())
        with (
            ActorClient("that", FixedResolver(server.address)) as client,
            pytest.raises(NoSuchMethod, match="no actor is called 'that' here; there are it"),
        ):
            client.add()


def test_a_registered_server_serves_who_was_given_its_secret_and_finds_out_others() -> None:
    directory = Directory()
    with ActorServer(registry=directory, host="127.0.0.1") as server:
        server.register("it", Cabinet())
        with ActorClient("it", directory) as client:
            assert client.add() == 1
        listed = directory.listed[0]
        wrong = Endpoint("it", listed.address, listed.id, 0, "another secret")
        later = Endpoint("it", listed.address, "it#99", 1, listed.secret)
        other = Endpoint("that", listed.address, listed.id, 0, listed.secret)
        for endpoint in (wrong, later, other):
            directory.listed = [endpoint]
            with (
                ActorClient(endpoint.name, directory, patience=0.1) as client,
                pytest.raises(ActorUnavailable, match=r"another server|not that of"),
            ):
                client.add()
            assert directory.invalidated[-1] == endpoint
        with (
            ActorClient("it", FixedResolver(server.address)) as client,
            pytest.raises(ActorDenied, match="by its registration"),
        ):
            client.add()
    assert directory.listed == []


# ---- how much it takes -------------------------------------------------------------------------


def test_i_133_ten_thousand_open_calls_are_all_answered() -> None:
    cabinet = Cabinet()
    with served(cabinet, concurrency=2) as client:
        gate = client.wait.submit()
        until(lambda: cabinet.running == 1)
        futures = [client.echo.submit(number) for number in range(10_000)]
        cabinet.gate.set()
        assert gate.result(10) == "waited"
        assert [future.result(30) for future in futures] == list(range(10_000))


def test_a_call_too_many_is_refused_and_those_before_it_are_not() -> None:
    cabinet = Cabinet()
    with served(cabinet, longest_queue=5) as client:
        running = client.wait.submit()
        until(lambda: cabinet.running == 1)
        futures = [client.add.submit() for _ in range(7)]
        with pytest.raises(ActorBusy, match=r"it\.add did not run: 5 calls wait for 'it' already"):
            futures[-1].result(5)
        cabinet.gate.set()
        assert running.result(5) == "waited"
        assert [future.result(5) for future in futures[:5]] == [1, 2, 3, 4, 5]


def test_arguments_wait_at_their_caller_until_the_server_has_room_for_them() -> None:
    cabinet = Cabinet()
    with served(cabinet, most_bytes=1_000_000) as client:
        with pytest.raises(ActorBusy, match="this server takes 1,000,000 at most"):
            client.echo(bytes(2_000_000))
        blocked = client.wait.submit()
        futures = [client.echo.submit(bytes(400_000)) for _ in range(10)]
        until(lambda: cabinet.running == 1)
        cabinet.gate.set()
        assert blocked.result(5) == "waited"
        assert [len(future.result(5)) for future in futures] == [400_000] * 10


@pytest.mark.parametrize("size", [65_000, 70_000, 5_000_000])
def test_what_is_large_arrives_as_it_was(size: int) -> None:
    content = os.urandom(1_000) * (size // 1_000)
    with served(Cabinet()) as client:
        assert client.echo(content) == content
        beside = bytearray(content)
        future = client.echo.submit(memoryview_of(beside), 1)
        beside[:] = bytes(len(beside))
        assert bytes(future.result(5)[0][0].content) == content


class memoryview_of:  # noqa: N801
    """Has a large buffer that travels beside its pickle, as arrays do."""

    def __init__(self, content: Any) -> None:
        self.content = content

    def __reduce_ex__(self, _: Any) -> Any:
        import pickle

        return memoryview_of, (pickle.PickleBuffer(self.content),)


def test_one_callers_thousand_calls_do_not_delay_another() -> None:
    cabinet = Cabinet()
    with ActorServer() as server:
        server.register("it", cabinet)
        at = FixedResolver(server.address)
        with ActorClient("it", at) as many, ActorClient("it", at) as one:
            blocked = many.wait.submit()
            futures = [many.echo.submit("many") for _ in range(1_000)]
            late = one.echo.submit("one")
            until(lambda: server._doors.actors["it"].waiting == 1_001)
            cabinet.gate.set()
            wait([blocked, late, *futures], 10)
    assert cabinet.calls.index("one") < 3


def test_calls_of_a_caller_that_is_gone_take_no_place_from_others() -> None:
    cabinet = Cabinet()
    with ActorServer(most_bytes=1_000_000) as server:
        server.register("it", cabinet, longest_queue=3)
        at = FixedResolver(server.address)
        with ActorClient("it", at) as stays:
            blocked = stays.wait.submit()
            until(lambda: cabinet.running == 1)
            with ActorClient("it", at) as goes:
                given_up = [goes.echo.submit(bytes(300_000)) for _ in range(3)]
                until(lambda: server._doors.actors["it"].is_full)
                assert given_up[0].cancel()
                until(lambda: not server._doors.actors["it"].is_full)
            until(lambda: server._doors.actors["it"].waiting == 0)
            futures = [stays.echo.submit(bytes(300_000)) for _ in range(3)]
            until(lambda: server._doors.actors["it"].is_full)
            cabinet.gate.set()
            assert blocked.result(5) == "waited"
            assert [len(future.result(5)) for future in futures] == [300_000] * 3
    assert len(cabinet.calls) == 3


# ---- what cannot be ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 64, 3, None])
def test_a_name_that_no_endpoint_may_have_is_refused(name: Any) -> None:
    with pytest.raises(CannotServe, match=r"its name must be 1 to 63 of letters"):
        ActorServer().register(name, Cabinet())


@pytest.mark.parametrize("wrong", [0, 1.5, "4", None])
def test_what_is_no_number_of_calls_is_refused(wrong: Any) -> None:
    with pytest.raises(CannotServe, match=r"concurrency .* must be a whole number, 1 or more"):
        ActorServer().register("it", Cabinet(), concurrency=wrong)
    with pytest.raises(CannotServe, match=r"longest_queue .* must be a whole number, 1 or more"):
        ActorServer().register("it", Cabinet(), longest_queue=wrong)


@pytest.mark.parametrize(
    "wrong", ["", "localhost", ":9000", "http://host:9000", "host:0", "host:65536", "host:x", None]
)
def test_what_is_no_address_is_refused_when_the_resolver_is_made(wrong: Any) -> None:
    with pytest.raises(ValueError, match="is no address: it must be as"):
        FixedResolver("127.0.0.1:9000", wrong)


def test_limits_of_calls_that_cannot_be_are_refused_when_they_are_given() -> None:
    at = FixedResolver("127.0.0.1:9000")
    with ActorClient("it", at) as client:
        for retries in ("x", -1, 1.5, True):
            with pytest.raises(ValueError, match=r"retries .*: it must be a whole number"):
                client.options(retries=retries)  # type: ignore[arg-type]
        for timeout in ("x", float("nan"), float("inf")):
            with pytest.raises(ValueError, match=r"timeout .*: it must be a number of seconds"):
                client.options(timeout=timeout)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="retries -1"):
        ActorClient("it", at, retries=-1)


def test_a_port_of_the_task_is_taken_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with ActorServer() as server:
        monkeypatch.setenv("IRIS_PORT_SERVE", str(server.port))
        with pytest.raises(CannotServe, match=r"cannot listen at .*: Address already in use"):
            ActorServer(port="serve").serve()
    with ActorServer(port="serve") as again:
        assert again.port == int(os.environ["IRIS_PORT_SERVE"])
    with pytest.raises(CannotServe, match="IRIS_PORT_OTHER is not set"):
        ActorServer(port="other")


def test_a_client_that_nobody_has_any_more_closes_its_connection() -> None:
    with ActorServer() as server:
        server.register("it", Cabinet())
        client = ActorClient("it", FixedResolver(server.address))
        future = client.slowly.submit(1)
        del client
        assert future.result(5) == 1
        until(lambda: not server._doors.links)
