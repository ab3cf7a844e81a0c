"""Operations that are followed: how each ends for whoever waits, and who is no longer asked."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from iris.cluster.vm.gcp_errors import CloudError, Code
from iris.cluster.vm.gcp_operations import Operations, Outcome, StillGoing
from tests.gcp.managing import QUICK


def tell(story: Callable[[Operations], Awaitable[None]]) -> None:
    """A story beside the poller."""

    async def whole() -> None:
        operations = Operations(QUICK)
        poller = asyncio.create_task(operations.poll())
        try:
            await asyncio.wait_for(story(operations), 10)
        finally:
            poller.cancel()
            await asyncio.gather(poller, return_exceptions=True)

    asyncio.run(whole())


def test_one_that_google_has_forgotten_is_waited_for_no_more() -> None:
    async def forgotten() -> Outcome | None:
        raise CloudError(Code.NOT_FOUND, "Resource was not found")

    async def story(operations: Operations) -> None:
        assert await operations.outcome(forgotten, 60) == Outcome()

    tell(story)


def test_one_that_does_not_end_in_its_time_is_said_to_go_on() -> None:
    async def going() -> Outcome | None:
        return None

    async def story(operations: Operations) -> None:
        with pytest.raises(StillGoing):
            await operations.outcome(going, 0.1)

    tell(story)


def test_one_that_nobody_waits_for_is_asked_no_more_and_the_others_are() -> None:
    asked: list[str] = []

    def look(name: str) -> Callable[[], Awaitable[Outcome | None]]:
        async def going() -> Outcome | None:
            asked.append(name)
            return Outcome() if asked.count("other") == 5 else None

        return going

    async def story(operations: Operations) -> None:
        given_up = asyncio.create_task(operations.outcome(look("given up"), 60))
        await asyncio.sleep(0)
        given_up.cancel()
        with suppress(asyncio.CancelledError):
            await given_up
        assert await operations.outcome(look("other"), 60) == Outcome()
        assert asked == ["other"] * 5

    tell(story)


def test_one_that_is_given_up_while_it_is_asked_troubles_nobody() -> None:
    asked, told = asyncio.Event(), asyncio.Event()

    async def slow() -> Outcome | None:
        asked.set()
        await told.wait()
        return Outcome()

    async def story(operations: Operations) -> None:
        given_up = asyncio.create_task(operations.outcome(slow, 60))
        await asked.wait()
        given_up.cancel()
        await asyncio.sleep(0)
        told.set()
        assert await operations.outcome(slow, 60) == Outcome()

    tell(story)
