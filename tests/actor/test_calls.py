"""A call to an actor: what goes there, what comes back, in which order, and in which ways it can be made."""

import asyncio
import builtins
import pickle
from concurrent.futures import as_completed, wait
from typing import Any

import pytest

from iris.actor import (
    RemoteTraceback,
)
from tests.actor.actors import Cabinet, served, until


def test_a_method_is_called_as_if_the_object_were_here() -> None:
    with served(Cabinet()) as client:
        assert client.add(3) == 3
        assert client.add(count=4) == 7
        assert client.echo(1, b=2) == ((1,), {"b": 2})
        assert client.slowly("x") == "x"
        assert client.echo(lambda: 5)() == 5


def test_a_function_is_an_actor_and_a_name_of_the_clients_own_is_reached_in_brackets() -> None:
    class Door:
        def close(self) -> str:
            return "shut"

    with served(len) as client:
        assert client([1, 2]) == 2
    with served(Door()) as client:
        assert client["close"]() == "shut"


def test_futures_serve_threads_and_loops() -> None:
    with served(Cabinet()) as client:
        futures = [client.add.submit() for _ in range(50)]
        assert {future.result(5) for future in as_completed(futures)} == set(range(1, 51))
        assert wait(futures).not_done == set()

        async def awaited() -> list[int]:
            return list(await asyncio.gather(*(client.add.submit() for _ in range(50))))

        assert sorted(asyncio.run(awaited())) == list(range(51, 101))


def test_calls_of_one_caller_begin_in_the_order_in_which_they_were_made() -> None:
    cabinet = Cabinet()
    with served(cabinet) as client:
        big = bytes(300_000)
        sent: list[Any] = []
        for number in range(200):
            sent.append(number if number % 7 else big)
            client.echo.submit(sent[-1])
        client.add()
    assert cabinet.calls == sent


def test_no_more_calls_run_at_once_than_the_actor_allows() -> None:
    cabinet = Cabinet()
    with served(cabinet, concurrency=3) as client:
        futures = [client.wait.submit() for _ in range(10)]
        until(lambda: cabinet.running == 3)
        cabinet.gate.set()
        assert [future.result(5) for future in futures] == ["waited"] * 10
    assert cabinet.most_running == 3


def _samples() -> list[BaseException]:
    """One of every exception that Python has built in."""
    special: dict[type[BaseException], tuple[Any, ...]] = {
        UnicodeDecodeError: ("utf-8", b"x", 0, 1, "why"),
        UnicodeEncodeError: ("utf-8", "x", 0, 1, "why"),
        UnicodeTranslateError: ("x", 0, 1, "why"),
        BaseExceptionGroup: ("some", [KeyboardInterrupt("a")]),
        ExceptionGroup: ("some", [ValueError("a"), KeyError("b")]),
    }
    kinds = {
        kind
        for kind in vars(builtins).values()
        if isinstance(kind, type) and issubclass(kind, BaseException)
    }
    kinds.add(asyncio.CancelledError)
    kinds.add(asyncio.InvalidStateError)
    return [
        kind(*special.get(kind, ("its own words",)))
        for kind in sorted(kinds, key=lambda kind: kind.__name__)
    ]


@pytest.mark.parametrize("method", ["throw", "throw_later"])
def test_every_exception_of_python_comes_back_as_itself_and_once(method: str) -> None:
    cabinet = Cabinet()
    with served(cabinet) as client:
        for error in _samples():
            if method == "throw_later" and isinstance(error, StopIteration | StopAsyncIteration):
                continue  # Python turns it into a RuntimeError within the coroutine.
            found = client[method].submit(error).exception(5)
            assert type(found) is type(error)
            assert found is not None
            assert pickle.dumps(found.args) == pickle.dumps(error.args)
            assert str(found) == str(error)
            assert isinstance(found.__cause__, RemoteTraceback)
            assert "raise error" in found.__cause__.text
        assert client.add() == 1
    if method == "throw":
        assert cabinet.calls == [type(error) for error in _samples()]
