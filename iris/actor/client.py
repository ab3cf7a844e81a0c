"""The caller's side of an actor: its methods, as if it were here."""

import math
import time
import weakref
from collections.abc import Callable
from typing import Any, Self

from iris.actor.futures import ActorFuture, ActorStream, Inbox
from iris.actor.line import Request
from iris.actor.loop import wire_loop
from iris.actor.payload import Payload, packed_call
from iris.actor.resolver import Resolver
from iris.actor.router import Router

PATIENCE_S = 30.0
"""For which a call waits for somebody who serves, unless the client says otherwise."""


class Hold:
    """Whoever has it, or a call under way, keeps a router open; when nobody has it any more, it closes."""

    def __init__(self, router: Router) -> None:
        # In the loop, for a finaliser may run anywhere, also where the router's lock is held.
        end = weakref.finalize(self, wire_loop().call_soon_threadsafe, router.close)
        end.atexit = False


class Method:
    """A method of an actor: `method(...)` waits for its result, `method.submit(...)` does not."""

    __slots__ = ("_calls", "_name")

    def __init__(self, calls: "Calls", name: str) -> None:
        self._calls = calls
        self._name = name

    def __call__(self, /, *args: Any, **named: Any) -> Any:
        """Call it and wait for what it returns.

        Raises:
            NotPicklable: an argument, or the result, cannot be sent.
            ActorError: the call ended otherwise than by the method; the kind says how.
            BaseException: whatever the method raised, with a `RemoteTraceback` as its cause.
        """
        payload = packed_call(self._name, args, named, snapshot=False)
        future = self._calls.make(self._name, payload, now=True)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def submit(self, /, *args: Any, **named: Any) -> ActorFuture[Any]:
        """Call it, and return a future at once; large arguments may be written to again.

        It waits only while 64 MiB and more of arguments wait to be sent to that server.

        Raises:
            NotPicklable: an argument cannot be sent.
        """
        payload = packed_call(self._name, args, named, snapshot=True)
        return self._calls.make(self._name, payload, now=False)

    def stream(self, /, *args: Any, **named: Any) -> ActorStream[Any]:
        """Call it, and return its values one by one: what it yields, or the items of what it returns.

        Raises:
            NotPicklable: an argument cannot be sent.
        """
        payload = packed_call(self._name, args, named, snapshot=True)
        return self._calls.make_stream(self._name, payload)

    def broadcast(self, /, *args: Any, **named: Any) -> list[ActorFuture[Any]]:
        """Call it at each server that is there now: a future for each, with its `endpoint`.

        While nobody is there it waits, as a call does.

        Raises:
            NotPicklable: an argument cannot be sent.
            ActorError: nobody came, or nobody lets this caller in: the kind is that which a call would have.
        """
        payload = packed_call(self._name, args, named, snapshot=True)
        return self._calls.make_everywhere(self._name, payload)


class Calls:
    """How calls are made over a router: with which time, how often, and kept open by what."""

    __slots__ = ("hold", "retries", "router", "timeout")

    def __init__(self, router: Router, hold: Hold, timeout: float | None, retries: int) -> None:
        """As `options` has it.

        Raises:
            ValueError: the timeout is no finite number, or retries no whole one, 0 or more.
        """
        if timeout is not None and not _is_finite(timeout):
            raise ValueError(f"timeout {timeout!r}: it must be a number of seconds, or None")
        if not _is_whole(retries):
            raise ValueError(f"retries {retries!r}: it must be a whole number, 0 or more")
        self.router = router
        self.hold = hold
        self.timeout = timeout
        self.retries = retries

    def make(self, name: str, payload: Payload, *, now: bool) -> ActorFuture[Any]:
        """A call for one value."""
        request, future = self._asked(name, payload)
        self.router.place(request, now=now)
        return future

    def make_stream(self, name: str, payload: Payload) -> ActorStream[Any]:
        """A call for many values."""
        inbox: Inbox[Any] = Inbox(self._what(name))
        request = self._request(name, payload, inbox, is_stream=True)
        router = self.router

        def credit(count: int) -> None:
            if request.line is not None:
                request.line.give_credit(request.number, count)

        inbox.give_credit = credit
        inbox.cancel = lambda: router.cancel(request)
        router.place(request)
        return ActorStream(inbox)

    def make_everywhere(self, name: str, payload: Payload) -> list[ActorFuture[Any]]:
        """A call at every server."""
        futures = []
        for line in self.router.lines_now(self._what(name), self.timeout):
            request, future = self._asked(name, payload)
            future.endpoint = line.endpoint
            self.router.send_to(line, request)
            futures.append(future)
        return futures

    def _asked(self, name: str, payload: Payload) -> tuple[Request, ActorFuture[Any]]:
        made: list[Request] = []
        router = self.router
        future: ActorFuture[Any] = ActorFuture(self._what(name), lambda: router.cancel(made[0]))
        made.append(self._request(name, payload, future, is_stream=False))
        return made[0], future

    def _what(self, name: str) -> str:
        return f"{self.router.name}.{name}"

    def _request(self, name: str, payload: Payload, sink: Any, *, is_stream: bool) -> Request:
        return Request(
            self._what(name),
            name,
            payload,
            is_stream,
            None if self.timeout is None else time.monotonic() + self.timeout,
            self.timeout,
            self.retries,
            sink,
            self.hold,
        )


class Face:
    """What clients and pools have in common: attributes are methods of the actor, but for a few of their own."""

    def __init__(self, calls: Calls, resolver: Resolver, more: dict[str, Any]) -> None:
        self._calls = calls
        self._resolver = resolver
        self._more = more
        """What else it was made of, for a pickle."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Another one for the same actor, where the pickle is read."""
        calls = self._calls
        more = {**self._more, "timeout": calls.timeout, "retries": calls.retries}
        return _made, (type(self), calls.router.name, self._resolver, more)

    def __getattr__(self, name: str) -> Method:
        if name.startswith("_"):
            raise AttributeError(name)
        return Method(self._calls, name)

    def __getitem__(self, name: str) -> Method:
        """The method of that name, also where the name is one of this object's own, as `close`."""
        return Method(self._calls, name)

    def __call__(self, /, *args: Any, **named: Any) -> Any:
        """Call the actor itself, where it is a function or has `__call__`."""
        return Method(self._calls, "__call__")(*args, **named)

    def options(self, *, timeout: float | None = None, retries: int = 0) -> Self:
        """The same actor, called in another way; it shares the connections.

        Args:
            timeout: seconds that a call may take, its waiting included; none: for ever.
            retries: how often a call is made again that was lost with its server. Only for what may run twice.

        Raises:
            ValueError: one of them cannot be.
        """
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        other._calls = Calls(self._calls.router, self._calls.hold, timeout, retries)
        return other

    def close(self) -> None:
        """End the connections; calls under way fail."""
        self._calls.router.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ActorClient(Face):
    """Calls an actor at one of its servers, and at another when that one is gone.

    `client.method(x)` waits for the result; `client.method.submit(x)` returns a future, which can be awaited;
    `client.method.stream(x)` yields. Several threads and event loops may share a client. It closes itself
    when nobody has it any more.
    """

    def __init__(
        self,
        name: str,
        resolver: Resolver | None = None,
        *,
        timeout: float | None = None,
        retries: int = 0,
        patience: float = PATIENCE_S,
    ) -> None:
        """Nothing is asked or sent before the first call.

        Args:
            name: of the actor.
            resolver: knows where it is served; if not given, that of the task that this process runs.
            timeout: seconds that a call may take, its waiting included; none: for ever.
            retries: how often a call is made again that was lost with its server. Only for what may run twice.
            patience: seconds that a call waits for somebody who serves.

        Raises:
            ValueError: timeout or retries cannot be.
            RuntimeError: there is no resolver, and this process runs no task.
        """
        if resolver is None:
            resolver = resolver_here()
        router = Router(name, resolver, lambda lines: lines[0], patience_s=patience, of_all=False)
        calls = Calls(router, Hold(router), timeout, retries)
        super().__init__(calls, resolver, {"patience": patience})


def _is_finite(number: object) -> bool:
    return isinstance(number, int | float) and math.isfinite(number)


def _is_whole(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0


def resolver_here() -> Resolver:
    """What finds the actors of the tree of jobs that this process's task belongs to.

    Raises:
        RuntimeError: it runs none.
    """
    from iris.actor.cluster import resolver_of_task  # gRPC, which is heavy

    return resolver_of_task()


def _made(kind: Callable[..., Face], name: str, resolver: Resolver, more: dict[str, Any]) -> Face:
    return kind(name, resolver, **more)
