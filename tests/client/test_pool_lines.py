"""The line between a pool and a worker: it may break at any time, and each call is made once and answered once."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from iris.actor import ActorServer, Endpoint
from iris.client.pool_book import Book, packed_arguments, prepared
from iris.client.pool_line import ActorLine
from iris.client.pool_link import Link
from iris.core.calls import (
    UNLIMITED,
    CallAnswered,
    CallId,
    CallsGivenBack,
    Fact,
    SettleCall,
    Verdict,
    WorkerBack,
    WorkerReady,
    WorkerSilent,
)
from iris.core.ids import TaskId
from iris.pool.post import Post
from iris.pool.words import StaleSession
from tests.cluster.proxy import Proxy

TASK = TaskId("/alice/pool:3")


def write_down(number: int, book: str) -> int:
    time.sleep(0.002)
    with Path(book).open("a", encoding="utf-8") as file:
        file.write(f"{number}\n")
    return number


def linger(book: str) -> None:
    Path(book).touch()
    time.sleep(3_600)


class Line:
    """A worker in this process, and a link to it through a network that can be made worse."""

    def __init__(self, proxy: Proxy) -> None:
        self.facts: list[Fact] = []
        self.book = Book(lambda _: None)
        self.troubles = 0
        endpoint = Endpoint("worker", f"127.0.0.1:{proxy.port}")
        sessions = (("pool", number, 0) for number in count(1))
        self.link = Link(ActorLine(endpoint), sessions, self.book, self.heard, self.trouble)

    def trouble(self) -> None:
        self.troubles += 1

    def heard(self, _: Link, fact: Fact) -> None:
        if isinstance(fact, WorkerSilent | WorkerBack):
            return
        self.facts.append(fact)
        if isinstance(fact, CallAnswered):
            self.book.settle(SettleCall(fact.call, Verdict.ANSWERED))

    def enter(self, function: Callable[..., object], *args: object) -> CallId:
        what = prepared(function)
        _, fact = self.book.enter(what, packed_arguments(what, args, {}), UNLIMITED)
        return fact.call

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not true():  # noqa: ASYNC110
                await asyncio.sleep(0.005)


@pytest.fixture
def post() -> Iterator[Post]:
    found = Post(TASK, 2)
    yield found
    found.end(0)
    found.wait(60)


@pytest.fixture
def proxy(post: Post) -> Iterator[Proxy]:
    server = ActorServer()
    server.register("worker", post, concurrency=16)
    server.serve()
    found = Proxy(server.port)
    yield found
    found.close()
    server.stop(0.0)


async def run(line: Line, work: Callable[[], Awaitable[None]]) -> None:
    task = asyncio.create_task(line.link.run(0.05))
    try:
        await line.until(lambda: bool(line.facts))
        assert line.facts.pop(0) == WorkerReady(TASK, 2)
        await work()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_over_a_line_that_breaks_each_call_is_made_once_and_answered_once(
    proxy: Proxy, tmp_path: Path
) -> None:
    record = tmp_path / "record"
    dice = random.Random(3)

    async def main() -> None:
        line = Line(proxy)

        async def work() -> None:
            calls = [line.enter(write_down, n, str(record)) for n in range(300)]
            for start in range(0, 300, 30):
                line.link.send(tuple(calls[start : start + 30]))
                await asyncio.sleep(dice.uniform(0, 0.05))
                line.troubles = 0
                proxy.cut()
                await line.until(lambda: line.troubles > 0 and line.link.is_well)
                for fact in [f for f in line.facts if isinstance(f, CallsGivenBack)]:
                    line.facts.remove(fact)
                    line.link.send(fact.calls)
            await line.until(lambda: len(line.facts) >= 300)
            answered = [fact.call for fact in line.facts if isinstance(fact, CallAnswered)]
            assert sorted(answered) == calls
            assert len(line.facts) == 300

        await run(line, work)

    asyncio.run(main())
    assert sorted(map(int, record.read_text().split())) == list(range(300))


def test_what_is_recalled_or_abandoned_comes_back_also_over_a_line_that_is_broken(
    proxy: Proxy, tmp_path: Path
) -> None:
    record = tmp_path / "record"

    async def main() -> None:
        line = Line(proxy)

        async def work() -> None:
            first, second, third = [line.enter(linger, str(record)) for _ in range(3)]
            line.link.send((first, second))
            await line.until(record.exists)
            proxy.away()
            await line.until(lambda: not line.link.is_well)
            line.link.send((third,))
            line.link.recall([second])
            assert line.facts == [CallsGivenBack((third,), TASK, 2)]
            line.link.abandon([first])
            proxy.well()
            await line.until(lambda: len(line.facts) == 3)
            assert CallsGivenBack((second,), TASK, 2) in line.facts
            assert {fact.call for fact in line.facts if isinstance(fact, CallAnswered)} == {first}

        await run(line, work)

    asyncio.run(main())


def test_a_later_session_ends_all_that_was_and_an_older_one_is_refused(post: Post) -> None:
    old, new = ("pool", 1, 1), ("pool", 2, 1)
    post.greet(old)
    function = prepared(time.sleep)
    arguments = packed_arguments(function, (3_600,), {})
    calls = tuple((CallId(n), function.digest, arguments) for n in range(2))
    post.tell(old, (0, (), (), {function.digest: function.content}, calls))
    assert post.greet(("pool", 1, 2)) == (TASK, 2, (0, 1))
    with pytest.raises(StaleSession):
        post.tell(old, (0, (), (), {}, ()))
    assert post.greet(new) == (TASK, 2, ())
    with pytest.raises(StaleSession):
        post.greet(("pool", 1, 3))
    quick = prepared(abs)
    call = (CallId(2), quick.digest, packed_arguments(quick, (-1,), {}))
    post.tell(new, (0, (), (), {quick.digest: quick.content}, (call,)))
    first, answers = next(post.hear(new, 0))
    assert (first, [answer[:2] for answer in answers]) == (1, [(2, "returned")])


def test_a_worker_that_was_heard_once_ends_badly_and_one_that_never_was_ends_well(
    post: Post,
) -> None:
    assert Post(TASK, 0).wait(0.01) == 0
    post.greet(("pool", 1, 1))
    assert post.wait(0.01) == 1
