"""Pools: calls are spread over servers that come and go, and the resolver is asked once for each change."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from iris.actor import (
    ActorClient,
    ActorDenied,
    ActorLost,
    ActorPool,
    ActorServer,
    ActorUnavailable,
    CallTimeout,
    FixedResolver,
)
from tests.actor.actors import Cabinet, until
from tests.actor.directory import Directory


@contextmanager
def serving(
    directory: Directory, *cabinets: Cabinet, concurrency: int = 1
) -> Iterator[list[ActorServer]]:
    """A server for each of some objects."""
    with ExitStack() as stack:
        servers = []
        for cabinet in cabinets:
            server = ActorServer(registry=directory, host="127.0.0.1")
            server.register("it", cabinet, concurrency=concurrency)
            servers.append(stack.enter_context(server))
        yield servers


def test_i_133_calls_go_around_and_the_resolver_is_not_asked_for_them() -> None:
    directory, cabinets = Directory(), [Cabinet() for _ in range(3)]
    with serving(directory, *cabinets), ActorPool("it", directory) as pool:
        pool.wait_for(3, timeout=5)
        asked = directory.asked
        futures = [pool.echo.submit(number) for number in range(300)]
        assert [future.result(5) for future in futures] == list(range(300))
        assert [len(cabinet.calls) for cabinet in cabinets] == [100] * 3
        assert directory.asked <= asked + 1  # One question is always open.


def test_a_broadcast_reaches_each_of_those_that_are_there() -> None:
    directory, cabinets = Directory(), [Cabinet() for _ in range(3)]
    with ActorPool("it", directory, patience=0.05) as pool:
        with pytest.raises(ActorUnavailable, match=r"it\.add did not run: in 0\.05 s nobody could"):
            pool.add.broadcast()
        with pytest.raises(CallTimeout, match=r"add did not run: nobody .* after 0\.01 s"):
            pool.options(timeout=0.01).add.broadcast()
    # It waits for all that there are, of which not one is known yet.
    with serving(directory, *cabinets), ActorPool("it", directory) as pool:
        futures = pool.add.broadcast(5)
        assert [future.result(5) for future in futures] == [5, 5, 5]
        assert {future.endpoint for future in futures} == set(directory.listed)
        assert len(pool.endpoints()) == 3
    with (
        serving(directory, Cabinet()) as (server,),
        ActorClient("it", FixedResolver(server.address)) as client,
        pytest.raises(ActorDenied),
    ):
        client.add.broadcast()


def test_the_least_loaded_takes_the_next_call() -> None:
    directory, cabinets = Directory(), [Cabinet() for _ in range(2)]
    with (
        serving(directory, *cabinets),
        ActorPool("it", directory, policy="least_loaded") as pool,
    ):
        pool.wait_for(2, timeout=5)
        blocked = pool.wait.submit()
        until(lambda: sum(cabinet.running for cabinet in cabinets) == 1)
        free = next(cabinet for cabinet in cabinets if not cabinet.running)
        assert [pool.echo(number) for number in range(20)] == list(range(20))
        assert free.calls == list(range(20))
        for cabinet in cabinets:
            cabinet.gate.set()
        assert blocked.result(5) == "waited"
    with pytest.raises(ValueError, match="did you mean `least_loaded`"):
        ActorPool("it", directory, policy="least_load")


def test_servers_are_found_as_they_come_and_forgotten_as_they_go() -> None:
    directory, first, second = Directory(), Cabinet(), Cabinet()
    with ActorPool("it", directory, patience=10) as pool:
        early = pool.echo.submit("early")
        with serving(directory, first):
            assert early.result(5) == "early"
            with serving(directory, second):
                pool.wait_for(2, timeout=5)
                assert [pool.echo(number) for number in range(10)] == list(range(10))
                assert len(second.calls) == 5
            until(lambda: len(pool.endpoints()) == 1)
            assert [pool.echo(number) for number in range(10)] == list(range(10))
        until(lambda: pool.endpoints() == [])


def test_a_server_that_is_lost_costs_its_calls_unless_they_may_run_twice() -> None:
    directory, cabinets = Directory(), [Cabinet() for _ in range(2)]
    with serving(directory, *cabinets) as servers, ActorPool("it", directory) as pool:
        pool.wait_for(2, timeout=5)
        once = [pool.wait.submit() for _ in range(2)]
        until(lambda: all(cabinet.running for cabinet in cabinets))
        again = [pool.options(retries=1).echo.submit(number) for number in range(20)]
        until(lambda: all(server._doors.links for server in servers))
        for link in list(servers[0]._doors.links):
            link.connection.close("cut")
        until(lambda: any(future.done() for future in once))
        for cabinet in cabinets:
            cabinet.gate.set()
        assert [future.result(5) for future in again] == list(range(20))
        ends = [future.exception(5) for future in once]
        assert sorted(type(end).__name__ for end in ends) == ["ActorLost", "NoneType"]
        assert any(isinstance(end, ActorLost) and "may have run or not" in str(end) for end in ends)
        pool.wait_for(2, timeout=5)  # It is there still, and is called again.


def test_what_nobody_serves_is_told_when_patience_ends() -> None:
    with (
        ActorPool("it", Directory(), patience=0.05) as pool,
        pytest.raises(
            ActorUnavailable, match=r"in 0\.05 s nobody could be reached \(nobody serves"
        ),
    ):
        pool.add()


def test_what_may_have_run_where_it_was_lost_is_never_said_not_to_have_run() -> None:
    directory, cabinet = Directory(), Cabinet()
    with serving(directory, cabinet) as (server,):
        with ActorClient("it", directory, patience=0.1, retries=1) as client:
            call = client.wait.submit()
            until(lambda: cabinet.running)
            directory.listed = []
            for link in list(server._doors.links):
                link.connection.close("cut")
            with pytest.raises(
                ActorLost, match=r"may have run or not: .* was lost .*; made again, "
            ):
                call.result(5)
        cabinet.gate.set()
