"""Streams: values one by one, no further ahead than the caller lets them, and closed when nobody takes them."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from iris.actor import ActorClient, ActorLost, ActorServer, CallTimeout, FixedResolver
from iris.actor.calls import LEAST_ITEM_BYTES, WINDOW_BYTES
from tests.actor.actors import Cabinet, served, until

_AHEAD = WINDOW_BYTES // LEAST_ITEM_BYTES


@pytest.mark.parametrize("method", ["count", "counted"])
def test_values_come_one_by_one_to_threads_and_loops(method: str) -> None:
    with served(Cabinet()) as client:
        assert list(client[method].stream(500)) == list(range(500))

        async def taken() -> list[int]:
            return [value async for value in client[method].stream(500)]

        assert asyncio.run(taken()) == list(range(500))
        assert list(client.echo.stream("abc")) == ["a", "b", "c"]
        assert list(client.slowly.stream([1, 2])) == [1, 2]


@pytest.mark.parametrize("method", ["count", "counted"])
def test_a_method_runs_ahead_a_little_and_is_closed_when_nobody_takes_more(method: str) -> None:
    cabinet = Cabinet()
    with served(cabinet) as client:
        stream = client[method].stream(10_000)
        assert [next(stream) for _ in range(3)] == [0, 1, 2]
        until(lambda: cabinet.total >= _AHEAD - 1)
        time.sleep(0.05)
        assert cabinet.total < _AHEAD + 3
        stream.close()
        assert list(stream) == []
        until(lambda: cabinet.closed == [method])
        dropped = client[method].stream(10_000)
        assert next(dropped) == 0
        del dropped
        until(lambda: cabinet.closed == [method] * 2)
        assert client.add(-cabinet.total) == 0


def test_large_values_are_taken_one_at_a_time() -> None:
    def large() -> Iterator[bytes]:
        for number in range(5):
            made.append(number)
            yield bytes(3_000_000)

    made: list[int] = []
    with served(large) as client:
        stream = client["__call__"].stream()
        until(lambda: made == [0])
        time.sleep(0.05)
        assert made == [0]
        assert [len(value) for value in stream] == [3_000_000] * 5


@pytest.mark.parametrize("method", ["count", "counted"])
def test_what_ends_a_stream_comes_after_its_values(method: str) -> None:
    class Broken:
        def count(self) -> Iterator[int]:
            yield 1
            raise TimeoutError("its own")

        async def counted(self) -> Iterator[int]:  # type: ignore[misc]
            yield 1
            raise TimeoutError("its own")

        def locks(self) -> Iterator[object]:
            import threading

            yield 1
            yield threading.Lock()

    with served(Broken()) as client:
        stream = client[method].stream()
        assert next(stream) == 1
        with pytest.raises(TimeoutError, match="its own") as found:
            next(stream)
        assert not isinstance(found.value, CallTimeout)
        assert list(stream) == []
        stream = client.locks.stream()
        assert next(stream) == 1
        with pytest.raises(TypeError, match="its result of type lock cannot be pickled"):
            next(stream)


def test_a_stream_has_its_time_and_ends_with_its_server() -> None:
    cabinet = Cabinet()
    server = ActorServer()
    server.register("it", cabinet, concurrency=2)
    with server, ActorClient("it", FixedResolver(server.address)) as client:
        late = client.options(timeout=0.1).count.stream(10_000)
        with pytest.raises(CallTimeout, match=r"it\.count had not ended after 0\.1 s"):
            list(map(_slowly, late))
        until(lambda: cabinet.closed == ["count"])
        cut = client.counted.stream(10_000)
        assert next(cut) == 0
        server.stop(grace=0.01)
        with pytest.raises(ActorLost):
            list(cut)
        until(lambda: cabinet.closed == ["count", "counted"])


def _slowly(value: int) -> int:
    time.sleep(0.01)
    return value
