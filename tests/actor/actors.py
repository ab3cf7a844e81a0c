"""Actors that tests call, and a server of one with its client, in this process and over a real socket."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from iris.actor import ActorClient, ActorServer, FixedResolver


class Cabinet:
    """Holds a number, raises, yields, waits: whatever a test asks for."""

    def __init__(self) -> None:
        self.total = 0
        self.calls: list[Any] = []
        self.gate = threading.Event()
        self.running = 0
        self.most_running = 0
        self.closed: list[str] = []

    def add(self, count: int = 1) -> int:
        self.total += count
        return self.total

    def echo(self, *args: Any, **named: Any) -> Any:
        self.calls.append(args[0] if args else None)
        return (args, named) if named or len(args) != 1 else args[0]

    def run(self, function: Callable[[], Any]) -> Any:
        return function()

    def throw(self, error: BaseException) -> None:
        self.calls.append(type(error))
        raise error

    def wait(self) -> str:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.gate.wait(20)
        self.running -= 1
        return "waited"

    def count(self, limit: int) -> Iterator[int]:
        try:
            for number in range(limit):
                self.total = number
                yield number
        finally:
            self.closed.append("count")

    async def slowly(self, value: Any) -> Any:
        await asyncio.sleep(0)
        return value

    async def forever(self) -> None:
        self.running += 1
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.closed.append("forever")
            raise

    async def throw_later(self, error: BaseException) -> None:
        await asyncio.sleep(0)
        raise error

    async def counted(self, limit: int) -> AsyncIterator[int]:
        try:
            for number in range(limit):
                self.total = number
                yield number
        finally:
            self.closed.append("counted")


@contextmanager
def served(
    target: object, *, concurrency: int = 1, longest_queue: int = 20_000, **more: Any
) -> Iterator[ActorClient]:
    """A client of an actor called `it`, whose server is there for as long as it is used."""
    with ActorServer(**more) as server:
        server.register("it", target, concurrency=concurrency, longest_queue=longest_queue)
        resolver = FixedResolver(server.address, token=more.get("token", ""))
        with ActorClient("it", resolver, patience=5) as client:
            yield client


def until(holds: Any, timeout: float = 10.0) -> None:
    """Wait for something to hold."""
    end = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.002)
