"""What a caller holds while a call is under way: a future of one value, or a stream of many.

Both serve threads and asyncio alike. What has come is unpickled by whoever asks for it, in its own thread.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, Final, Generic, Protocol, Self, TypeVar

from iris.actor.calls import LEAST_ITEM_BYTES, WINDOW_BYTES
from iris.actor.frames import Kind
from iris.actor.loop import in_wire_loop, wire_loop
from iris.actor.payload import Payload, unpacked_error, unpacked_result
from iris.actor.resolver import Endpoint

_T = TypeVar("_T")

_CREDIT_BYTES: Final = WINDOW_BYTES // 4
"""Taken bytes are told in pieces of so many at least."""


class Sink(Protocol):
    """Where what becomes of a call goes, from any thread."""

    def came(self, kind: Kind, payload: Payload) -> None:
        """The method returned, yielded, ended or raised."""

    def failed(self, error: BaseException) -> None:
        """The call ended otherwise than by its method."""


class ActorFuture(Future[_T]):
    """The result of one call, once it is there; `await` it, or ask for `result()`.

    It is a `concurrent.futures.Future`, and `wait` and `as_completed` take it. To cancel it takes the call
    back if it has not begun, and ends it if its method is asynchronous; a method in a thread runs on
    and its result is dropped.
    """

    def __init__(self, what: str, cancel: Callable[[], object]) -> None:
        """A call under way.

        Args:
            what: actor and method, for messages.
            cancel: tells the server that nobody waits.
        """
        super().__init__()
        self.endpoint: Endpoint | None = None  # None: whichever took the call
        """Of a broadcast: the server that it went to."""
        self._what = what
        self._cancel_call = cancel
        self._is_cancelled = False
        self._came: tuple[Kind, Payload] | None = None
        self._value: tuple[_T | None, BaseException | None] | None = None

    def result(self, timeout: float | None = None) -> _T:
        """What the method returned.

        Args:
            timeout: seconds to wait here; the call itself goes on.

        Raises:
            TimeoutError: it has not ended; the same may come from the method itself.
            CancelledError: it was cancelled.
            ActorError: it ended otherwise than by its method.
            BaseException: whatever the method raised.
        """
        if self._state != "FINISHED" or self._came is None:
            _check_wait(self)
            super().result(timeout)
        value, error = self._opened()
        if error is not None:
            try:
                raise error
            finally:
                del error  # Else this frame and the exception would hold each other.
        return value  # type: ignore[return-value]  # it is there, for there is no error

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What the method raised, or what ended the call otherwise; nothing if it returned."""
        _check_wait(self)
        error = super().exception(timeout)
        return error if error is not None else self._opened()[1]

    def cancel(self) -> bool:
        """Wait no longer for the call; whether it had not ended."""
        with self._condition:
            if self._is_cancelled:
                return True
            self._is_cancelled = not self.done()
        if not super().cancel():
            self._is_cancelled = False
            return False
        self.set_running_or_notify_cancel()
        self._cancel_call()
        return True

    def __await__(self) -> Generator[Any, None, _T]:
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()

        def wake() -> None:
            if not waiter.done():
                waiter.set_result(None)

        def done(_: object) -> None:
            with suppress(RuntimeError):  # The loop may be closed: then nobody awaits.
                loop.call_soon_threadsafe(wake)

        self.add_done_callback(done)
        try:
            yield from waiter.__await__()
        except asyncio.CancelledError:
            self.cancel()
            raise
        if self.cancelled():
            raise asyncio.CancelledError
        return self.result()

    def came(self, kind: Kind, payload: Payload) -> None:
        """The method returned or raised; nobody may wait any longer."""
        self._came = kind, payload
        with suppress(InvalidStateError):
            self.set_result(None)  # type: ignore[arg-type]  # `result` opens what came

    def failed(self, error: BaseException) -> None:
        """The call ended otherwise."""
        with suppress(InvalidStateError):
            self.set_exception(error)

    def _opened(self) -> tuple[_T | None, BaseException | None]:
        with self._condition:
            if self._value is None:
                assert self._came is not None
                kind, payload = self._came
                self._value = _opened(kind, payload, self._what)
                self._came = None
            return self._value


def _opened(kind: Kind, payload: Payload, what: str) -> tuple[Any, BaseException | None]:
    if kind is Kind.RAISED:
        return None, unpacked_error(payload)
    try:
        return unpacked_result(payload, what), None
    except Exception as error:  # noqa: BLE001
        return None, error


def _check_wait(future: "Future[Any]") -> None:
    if in_wire_loop() and not future.done():
        raise RuntimeError(
            "a callback of a call waits for another call, which would stop all of them:"
            " let a thread of your own wait, or use `submit`"
        )


class Inbox(Generic[_T]):
    """What has come of a stream and was not taken yet: no more than the window."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.give_credit: Callable[[int], object] = int
        """Tells the server how many bytes were taken."""
        self.cancel: Callable[[], object] = int
        """Tells the server that nobody takes any more."""
        self._lock = threading.Condition()
        self._items: deque[tuple[Kind, Payload]] = deque()
        self._error: BaseException | None = None
        self._wakes: list[Callable[[], object]] = []
        self._taken = 0

    def came(self, kind: Kind, payload: Payload) -> None:
        """The next value, or how the stream ended."""
        with self._lock:
            self._items.append((kind, payload))
            self._notify()

    def failed(self, error: BaseException) -> None:
        """The stream broke off; what came before can still be taken."""
        with self._lock:
            self._error = error
            self._notify()

    def end(self) -> None:
        """Nobody takes what is left."""
        with self._lock:
            self._items = deque([(Kind.END, ())])
            self._notify()

    def _notify(self) -> None:
        self._lock.notify_all()
        for wake in self._wakes:
            wake()
        self._wakes.clear()

    def wait(self) -> None:
        """Wait, in a thread, until there is something to take."""
        with self._lock:
            self._lock.wait_for(lambda: self._items or self._error is not None)

    async def waited(self) -> None:
        """The same in a task."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(woken.set)

        with self._lock:
            if self._items or self._error is not None:
                return
            self._wakes.append(wake)
        await woken.wait()

    def take(self) -> tuple[bool, _T | None]:
        """The next value, and whether there was one; something must be there.

        Raises:
            BaseException: whatever the method raised, or what broke the stream off.
        """
        with self._lock:
            if not self._items:
                assert self._error is not None
                raise self._error
            kind, payload = self._items[0]
            if kind is not Kind.ITEM:  # It stays: a stream that has ended has ended.
                self._items = deque([(Kind.END, ())])
            else:
                self._items.popleft()
                self._taken += max(sum(map(len, payload)), LEAST_ITEM_BYTES)
            credit, self._taken = (
                (self._taken, 0) if self._taken >= _CREDIT_BYTES else (0, self._taken)
            )
        if credit:
            self.give_credit(credit)
        if kind is Kind.END:
            return False, None
        value, error = _opened(kind, payload, self.what)
        if error is not None:
            raise error
        return True, value


class ActorStream(Iterator[_T], AsyncIterator[_T]):
    """The values of one call as the method yields them; `for` and `async for` take it.

    The method runs ahead by a little and then waits for the caller. Whoever takes no more closes it, or
    drops it: the method's generator is closed, too.
    """

    def __init__(self, inbox: Inbox[_T]) -> None:
        self._inbox = inbox

    def __next__(self) -> _T:
        if in_wire_loop():
            raise RuntimeError(
                "a callback of a call takes from a stream, which would stop all calls"
            )
        self._inbox.wait()
        there, value = self._inbox.take()
        if not there:
            raise StopIteration
        return value  # type: ignore[return-value]

    async def __anext__(self) -> _T:
        await self._inbox.waited()
        there, value = self._inbox.take()
        if not there:
            raise StopAsyncIteration
        return value  # type: ignore[return-value]

    def close(self) -> None:
        """Take no more."""
        self._inbox.cancel()
        self._inbox.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # In the loop, for this may run anywhere, also where a lock of the connection is held.
        wire_loop().call_soon_threadsafe(self._inbox.cancel)
