"""The calls of a pool as their users see them: futures, and what each is about, in bytes."""

import hashlib
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from itertools import count
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final, TypeVar

from iris.actor.payload import Payload, packed_call, unpacked_error, unpacked_result
from iris.client.errors import CallCrashed, CallTimedOut, PoolEnded, WorkerLost
from iris.core.calls import CallId, CallLimits, CallSubmitted, Outcome, SettleCall, Verdict
from iris.pickling import NotPicklable

_T = TypeVar("_T")

_DIGEST_BYTES: Final = 16
_NAMED: Final = frozenset({FunctionType, BuiltinFunctionType, type})


class PoolFuture(Future[_T]):
    """The result of one call; it can be cancelled until a worker has been sent it."""

    def __init__(self, number: CallId, book: "Book") -> None:
        """A call that waits.

        Args:
            number: of the call.
            book: that has it; told when its user has cancelled it.
        """
        super().__init__()
        self.number = number
        self._book = book

    def result(self, timeout: float | None = None) -> _T:
        """As of any future; a callback of the same pool may not wait for it, for all calls would wait with it."""
        self._book.check_wait(self)
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Likewise."""
        self._book.check_wait(self)
        return super().exception(timeout)

    def cancel(self) -> bool:
        """Give the call up; whether no worker has been sent it."""
        if not super().cancel():
            return False
        self._book.cancelled(self.number)
        return True


@dataclass(frozen=True, slots=True)
class Function:
    """Something that can be called, ready to be sent."""

    name: str
    digest: bytes
    content: bytes = field(repr=False)


@dataclass(slots=True)
class Entry:
    """A call that has not ended."""

    future: "PoolFuture[Any]"
    function: Function
    arguments: Payload
    size_bytes: int
    limits: CallLimits
    was_sent: bool = False
    is_cancelled: bool = False
    """Whether its user was told so."""


class Book:
    """All calls that have not ended. Written by users' threads and the pool's, a call by one at a time."""

    def __init__(self, cancelled: Callable[[CallId], object]) -> None:
        """Without a call; `cancelled` is told of each that its user has cancelled."""
        self.cancelled = cancelled
        self.thread = 0
        """The pool's, in which callbacks run; 0 before there is one."""
        self._numbers = count()
        self.entries: dict[CallId, Entry] = {}
        self._answers: dict[CallId, tuple[Outcome, Payload]] = {}

    def enter(
        self, function: Function, arguments: Payload, limits: CallLimits
    ) -> tuple["PoolFuture[Any]", CallSubmitted]:
        """A future for a call, and what the pool is to be told."""
        number = CallId(next(self._numbers))
        future: PoolFuture[Any] = PoolFuture(number, self)
        size = sum(memoryview(buffer).nbytes for buffer in arguments)
        self.entries[number] = Entry(future, function, arguments, size, limits)
        return future, CallSubmitted(number, limits, size)

    def check_wait(self, future: "PoolFuture[Any]") -> None:
        """Refuse to let the pool's own thread wait.

        Raises:
            RuntimeError: it would.
        """
        if threading.get_ident() == self.thread and not future.done():
            raise RuntimeError(
                "a callback of a call waits for another call, which would stop all of them:"
                " let a thread of your own wait, or use `submit`"
            )

    def to_send(self, number: CallId) -> Entry | None:
        """A call that is about to be sent; None if its user has cancelled it."""
        entry = self.entries[number]
        if self._is_cancelled(entry):
            return None
        entry.was_sent = True
        return entry

    def answered(self, number: CallId, outcome: Outcome, payload: Payload) -> None:
        """Keep an answer until it is decided what it means."""
        self._answers[number] = outcome, payload

    def forget_answers(self) -> None:
        """It is decided of all."""
        self._answers.clear()

    def settle(self, request: SettleCall) -> None:
        """Tell who waits for a call."""
        entry = self.entries.pop(request.call)
        future = entry.future
        if request.verdict is Verdict.CANCELLED and not entry.was_sent:
            future.cancel()
        if self._is_cancelled(entry):
            return
        try:
            future.set_result(self._value(entry, request))
        except BaseException as error:  # noqa: BLE001
            future.set_exception(error)

    def _is_cancelled(self, entry: Entry) -> bool:
        """Whether its user has cancelled it, who is then told so; if not, it cannot be cancelled any more."""
        if not entry.was_sent and not entry.is_cancelled:
            entry.is_cancelled = not entry.future.set_running_or_notify_cancel()
        return entry.is_cancelled

    def _value(self, entry: Entry, request: SettleCall) -> Any:
        name = entry.function.name
        match request.verdict:
            case Verdict.ANSWERED:
                outcome, payload = self._answers[request.call]
                if outcome is Outcome.RETURNED:
                    return unpacked_result(payload, name)
                if outcome is Outcome.RAISED:
                    raise unpacked_error(payload)
                how = bytes(payload[0]).decode()
                raise CallCrashed(f"{name} crashed: the process that made the call {how}")
            case Verdict.TIMED_OUT:
                assert entry.limits.timeout is not None
                span = f"{entry.limits.timeout / 1_000:g} s"
                words = "had not ended" if entry.was_sent else "was not sent to any worker"
                raise CallTimedOut(f"{name} {words} within {span}")
            case Verdict.LOST:
                raise WorkerLost(f"{name} lost its worker: {request.why}")
            case Verdict.CANCELLED:
                raise CancelledError
            case Verdict.ENDED:
                raise PoolEnded(f"{name} has no result, for its pool has ended: {request.why}")


def prepared(function: Callable[..., Any]) -> Function:
    """A function as it is now, as bytes.

    Raises:
        NotPicklable: it cannot be sent.
        TypeError: it cannot be called.
    """
    import cloudpickle

    if not callable(function):
        raise TypeError(f"{function!r} cannot be called")
    name = str(getattr(function, "__qualname__", type(function).__name__))
    try:
        content = _by_name(function) or bytes(cloudpickle.dumps(function, protocol=5))
    except Exception as error:
        raise NotPicklable(
            f"{name} cannot be sent: it, or something that it closes over, cannot be pickled ({error});"
            " make what it needs inside the function"
        ) from error
    return Function(name, hashlib.sha256(content).digest()[:_DIGEST_BYTES], content)


def _by_name(function: Callable[..., Any]) -> bytes | None:
    """A pickle that only names what a module defines, which is quickly made; None if it must go by value."""
    import cloudpickle

    module = getattr(function, "__module__", None)
    by_value = cloudpickle.list_registry_pickle_by_value()
    if module == "__main__" or by_value or type(function) not in _NAMED:
        return None
    try:
        return pickle.dumps(function, 5)
    except (pickle.PicklingError, AttributeError):  # It is not found by its name.
        return None


def packed_arguments(function: Function, args: tuple[Any, ...], named: dict[str, Any]) -> Payload:
    """Arguments as they are now, as bytes.

    Raises:
        NotPicklable: one of them cannot be sent; says which.
    """
    return packed_call(function.name, args, named, snapshot=True)
