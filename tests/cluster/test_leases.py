"""A server that died without a word: its lease runs out, those who wait are told, and it may come back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from iris.cluster.controller import endpoint_handlers
from iris.cluster.controller.auth import Caller, Doorkeeper
from iris.cluster.controller.endpoint_handlers import EndpointHandlers
from iris.cluster.controller.journal import SqliteJournal
from iris.cluster.controller.turns import TurnLoop
from iris.config import Auth
from iris.core.cadence import ENDPOINT_LEASE, LOOK_EVERY, RENEW_EVERY
from iris.core.instant import Instant, Millis, after
from iris.rpc import iris_pb2 as pb
from iris.rpc.methods import Kind
from tests.harness import cpu_group, fleet

ANYBODY = Caller(Kind.ADMIN)
TASK = "/alice/train:0"


class Clock:
    """Stands still until it is told."""

    def __init__(self, at: Instant) -> None:
        self.at = at

    def now(self) -> Instant:
        return self.at


@asynccontextmanager
async def turning(loop: TurnLoop, handlers: EndpointHandlers) -> AsyncIterator[None]:
    """A controller that turns, with those who watch endpoints."""
    works = [loop.run(lambda _: None), handlers.watch(), handlers.watch_leases()]
    running = [asyncio.create_task(work) for work in works]
    yield
    loop.close()
    for watch in running[1:]:
        watch.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def register(handlers: EndpointHandlers, name: str) -> pb.RegisterEndpointResponse:
    request = pb.RegisterEndpointRequest(task=TASK, name=name, address="h:1")
    return await handlers.register_endpoint(request, ANYBODY)


async def listed(handlers: EndpointHandlers, known: int = 0) -> pb.ListEndpointsResponse:
    """What is listed, as soon as it is other than what is known."""
    request = pb.ListEndpointsRequest(secrets=True, known=known, wait_ms=10_000)
    return await handlers.list_endpoints(request, ANYBODY)


async def renewed(handlers: EndpointHandlers, *endpoints: str) -> list[str]:
    """Those of these endpoints that could not be renewed."""
    request = pb.RenewEndpointsRequest(task=TASK, endpoints=endpoints)
    return list((await handlers.renew_endpoints(request, ANYBODY)).unknown)


async def pass_time(clock: Clock, span: int) -> None:
    """Let the watch look as often as it does in so long a time."""
    for _ in range(0, span, LOOK_EVERY):
        clock.at = after(clock.at, Millis(LOOK_EVERY))
        await asyncio.sleep(0.003)


async def story(loop: TurnLoop, handlers: EndpointHandlers, clock: Clock) -> None:
    async with turning(loop, handlers):
        answers = [await register(handlers, name) for name in ("dies", "lives")]
        dead, alive = [answer.id for answer in answers]
        known = await listed(handlers)
        assert [each.secret for each in known.endpoints] == [each.secret for each in answers]
        waiting = asyncio.create_task(listed(handlers, known.mark))
        for _ in range(ENDPOINT_LEASE // RENEW_EVERY):
            assert await renewed(handlers, alive) == []
            await pass_time(clock, RENEW_EVERY)
        await pass_time(clock, RENEW_EVERY)
        assert [each.id for each in (await waiting).endpoints] == [alive]
        assert await renewed(handlers, dead, alive) == [dead]
        again = await register(handlers, "dies")
        assert (again.id, again.secret) == (dead, answers[0].secret)
        waiting = asyncio.create_task(listed(handlers, (await listed(handlers)).mark))
        gone = pb.WithdrawEndpointsRequest(task=TASK, endpoints=[alive, "/nobody's"])
        await handlers.withdraw_endpoints(gone, ANYBODY)
        assert [each.id for each in (await waiting).endpoints] == [dead]


def test_a_lease_that_runs_out_is_told_at_once_and_whoever_lives_is_listed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_handlers, "LOOK_EVERY", 1)
    script = fleet(cpu_group(min_slices=1))
    script.running(script.submit())
    clock = Clock(script.now)
    journal = SqliteJournal(tmp_path / "journal.sqlite")
    loop = TurnLoop(script.controller, journal, clock)
    handlers = EndpointHandlers(loop, Doorkeeper(Auth((), (), None), b"k" * 32))
    asyncio.run(story(loop, handlers, clock))
    journal.close()
