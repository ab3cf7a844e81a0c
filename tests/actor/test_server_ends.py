"""How a server of actors ends, and what its callers learn then."""

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import pytest

from iris.actor import (
    ActorClient,
    ActorLost,
    ActorServer,
    ActorUnavailable,
    FixedResolver,
)
from iris.cluster.processes import is_running
from tests.actor.actors import Cabinet, until
from tests.actor.directory import Directory

_PROGRAM = """
import sys
from iris.actor import ActorServer
from tests.actor.actors import Cabinet
server = ActorServer(port=int(sys.argv[1]))
server.register("it", Cabinet())
print(server.serve().port, flush=True)
server.run(grace=5)
print("stopped", flush=True)
"""


def started(port: int = 0) -> tuple["subprocess.Popen[str]", int]:
    """A server in a process of its own."""
    words = [sys.executable, "-c", _PROGRAM, str(port)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_a_stop_lets_what_runs_end_and_sends_what_waits_elsewhere() -> None:
    cabinet, second = Cabinet(), Cabinet()
    directory = Directory()
    server = ActorServer(registry=directory, host="127.0.0.1")
    server.register("it", cabinet)
    server.serve()
    with (
        ActorClient("it", directory, patience=10) as client,
        ActorServer(registry=directory, host="127.0.0.1") as other,
    ):
        running = client.wait.submit()
        until(lambda: cabinet.running == 1)
        waiting = [client.echo.submit(number) for number in range(20)]
        other.register("it", second)
        stopping = threading.Thread(target=server.stop, args=(10,))
        stopping.start()
        assert [future.result(5) for future in waiting] == list(range(20))
        assert second.calls == list(range(20))
        assert not running.done()
        cabinet.gate.set()
        assert running.result(5) == "waited"
        stopping.join(5)
        assert not stopping.is_alive()
    assert cabinet.calls == []


def test_what_runs_longer_than_the_grace_is_given_up() -> None:
    cabinet = Cabinet()
    server = ActorServer()
    server.register("it", cabinet, concurrency=2)
    with server, ActorClient("it", FixedResolver(server.address), patience=0.1) as client:
        task, thread = client.forever.submit(), client.wait.submit()
        until(lambda: cabinet.running == 2)
        server.stop(grace=0.05)
        for future in (task, thread):
            with pytest.raises(ActorLost, match="was given up: its server has stopped"):
                future.result(5)
        until(lambda: cabinet.closed == ["forever"])
        with pytest.raises(ActorUnavailable, match=r"did not run: in 0\.1 s nobody could be"):
            client.add()
        cabinet.gate.set()


def test_a_killed_server_costs_what_it_ran_and_its_successor_gets_the_rest() -> None:
    process, port = started()
    try:
        with ActorClient("it", FixedResolver(f"127.0.0.1:{port}"), patience=20) as client:
            assert client.add() == 1
            running = client.wait.submit()
            again = client.options(retries=1).echo.submit("twice is once")
            time.sleep(0.05)
            process.kill()
            process.wait()
            with pytest.raises(ActorLost, match=r"it\.wait may have run or not: .* was lost"):
                running.result(10)
            fresh = client.add.submit()
            assert process.stdout is not None
            process.stdout.close()
            process, _ = started(port)
            assert again.result(20) == "twice is once"
            assert fresh.result(20) == 1
            process.send_signal(signal.SIGTERM)
            assert process.communicate(timeout=10)[0] == "stopped\n"
    finally:
        process.kill()
        process.communicate()


def branch(stays: float) -> int:
    """Fork a child, which comes back after a while, too."""
    child = os.fork()
    if child == 0:
        time.sleep(stays)
    return child


def test_a_child_that_a_method_forks_answers_nothing_and_hides_no_end_of_its_server() -> None:
    process, port = started()
    children = []
    try:
        with ActorClient("it", FixedResolver(f"127.0.0.1:{port}"), patience=0.1) as client:
            children = [client.run(partial(branch, stays)) for stays in (0, 0, 60)]
            assert all(children)
            until(lambda: not any(map(lives, children[:2])))
            running = client.wait.submit()
            time.sleep(0.05)
            process.kill()
            process.wait()
            with pytest.raises(ActorLost, match=r"it\.wait may have run or not"):
                running.result(5)
            assert lives(children[2])
            with pytest.raises(ActorUnavailable, match="Connect call failed"):
                client.add()
    finally:
        process.kill()
        process.communicate()
        for child in filter(lives, children):
            os.kill(child, signal.SIGKILL)


def lives(pid: int) -> bool:
    return is_running(pid, mark=_PROGRAM)


def test_patience_begins_anew_when_a_server_is_lost() -> None:
    first, second, directory = Cabinet(), Cabinet(), Directory()
    second.gate.set()
    with (
        ActorServer(registry=directory, host="127.0.0.1") as lost,
        ActorServer(registry=directory, host="127.0.0.1") as next_one,
        ActorClient("it", directory, patience=1, retries=1) as client,
    ):
        lost.register("it", first)
        running = client.wait.submit()
        until(lambda: first.running == 1)
        time.sleep(1.1)
        directory.listed = []
        for link in list(lost._doors.links):
            link.connection.close("cut")
        until(lambda: not lost._doors.links)
        time.sleep(0.1)
        next_one.register("it", second)
        assert running.result(5) == "waited"
        first.gate.set()
