"""A line to a worker of a pool by way of `iris.actor`: the worker is an actor, and this its caller."""

import time
from collections.abc import AsyncIterator
from typing import Any, Final

from iris.actor.client import Calls, Hold
from iris.actor.errors import ActorError, ActorUnavailable
from iris.actor.payload import packed_call
from iris.actor.resolver import Endpoint, Endpoints
from iris.actor.router import Router
from iris.client.pool_link import LineLost, Unsent
from iris.pool.words import Answers, Greeting, Orders, Session, StaleSession
from iris.rpc.errors import RemoteError

_PATIENCE_S: Final = 2.0
"""For which a connection is tried, before it counts as one that cannot be had."""
_LOST: Final = (ActorError, StaleSession, RemoteError, OSError)


class OneEndpoint:
    """A resolver that knows one server, which it was given."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Nobody is asked."""
        self._endpoints = (endpoint,)

    def resolve(self, name: str) -> Endpoints:  # noqa: ARG002
        """That one."""
        return self._endpoints

    def invalidate(self, endpoint: Endpoint) -> None:
        """Nothing: there is no other."""

    def changed(self, name: str, known: Endpoints, wait_s: float) -> Endpoints:
        """That one, which never changes."""
        if tuple(known) == self._endpoints:
            time.sleep(wait_s)
        return self.resolve(name)


class ActorLine:
    """The post of one worker."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Not connected yet."""
        self._router = Router(
            endpoint.name,
            OneEndpoint(endpoint),
            lambda lines: lines[0],
            patience_s=_PATIENCE_S,
            of_all=False,
        )
        self._calls = Calls(self._router, Hold(self._router), None, 0)

    async def greet(self, session: Session) -> Greeting:
        """As the post."""
        found: Greeting = await self._call("greet", session)
        return found

    async def tell(self, session: Session, orders: Orders) -> None:
        """As the post."""
        await self._call("tell", session, orders)

    async def dismiss(self, session: Session) -> None:
        """As the post."""
        await self._call("dismiss", session)

    async def _call(self, method: str, *args: Any) -> Any:
        try:
            return await self._calls.make(
                method, packed_call(method, args, {}, snapshot=False), now=True
            )
        except ActorUnavailable as error:
            raise Unsent(str(error)) from error
        except _LOST as error:
            raise LineLost(str(error)) from error

    async def hear(self, session: Session, seen: int) -> AsyncIterator[Answers]:
        """As the post."""
        payload = packed_call("hear", (session, seen), {}, snapshot=False)
        with self._calls.make_stream("hear", payload) as stream:
            while True:
                try:
                    found: Answers = await anext(stream)
                except StopAsyncIteration:
                    return
                except _LOST as error:
                    raise LineLost(str(error)) from error
                yield found

    def close(self) -> None:
        """End the connection."""
        self._router.close()
