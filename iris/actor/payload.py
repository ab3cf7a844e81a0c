"""Values as bytes and back: arguments, results and what methods raise.

A payload is a list of buffers: a pickle, and after it whatever large buffers lie in the value, such as
those of arrays, which are neither copied into the pickle nor out of it. Only processes of the
user's own unpickle, after caller and server have proven themselves.
"""

import pickle
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from iris.actor.errors import NotReadable, RemoteFailure, RemoteTraceback
from iris.pickling import NotPicklable, culprit, parts_of

Buffer: TypeAlias = bytes | bytearray | memoryview
Payload: TypeAlias = Sequence[Buffer]

_BESIDE_BYTES: Final = 16 << 10
"""The least buffer that travels beside its pickle."""
_PLAIN: Final = frozenset({bool, bytes, float, int, str, type(None)})
_FEW: Final = 8
MOST_BUFFERS: Final = 1_000
"""Of one payload; further ones travel within the pickle."""


def packed(value: object, *, snapshot: bool) -> Payload:
    """A value as a payload.

    Args:
        value: what is to be sent.
        snapshot: whether large buffers are copied, because their owner may write to them before they are sent.

    Raises:
        Exception: whatever the value's own pickling raises.
    """
    if _is_plain(value):
        return (pickle.dumps(value, 5),)
    import cloudpickle

    beside: list[Buffer] = []

    def apart(buffer: pickle.PickleBuffer) -> bool:
        try:
            view = buffer.raw()
        except BufferError:  # Not in one piece.
            return True
        if view.nbytes < _BESIDE_BYTES or len(beside) >= MOST_BUFFERS - 1:
            return True
        is_final = not snapshot or isinstance(view.obj, bytes)
        beside.append(view if is_final else bytes(view) if view.readonly else bytearray(view))
        return False

    head = cloudpickle.dumps(_lightened(value), protocol=5, buffer_callback=apart)
    return [head, *beside] if beside else (head,)


def _is_plain(value: Any, depth: int = 3) -> bool:
    """Whether a value is so simple and small that Python's own pickle does for it, which is five times as quick."""
    kind = type(value)
    if kind in _PLAIN:
        return kind is not bytes or len(value) < _BESIDE_BYTES
    if kind not in (tuple, list, dict) or len(value) > _FEW or not depth:
        return False
    if kind is dict and not all(type(key) in _PLAIN for key in value):
        return False
    return all(_is_plain(part, depth - 1) for part in (value.values() if kind is dict else value))


@dataclass(frozen=True, slots=True)
class _Large:
    """Stands for bytes that shall travel beside the pickle, which of itself would copy them twice."""

    content: bytes

    def __reduce__(self) -> tuple[type[bytes], tuple[pickle.PickleBuffer]]:
        return bytes, (pickle.PickleBuffer(self.content),)


def _lightened(value: Any, depth: int = 2) -> Any:
    """The same value, in whose outermost layers large bytes stand apart: arguments, and what is returned."""
    kind = type(value)
    if kind is bytes:
        return _Large(value) if len(value) >= _BESIDE_BYTES else value
    if kind is tuple and depth and len(value) <= _FEW:
        return tuple(_lightened(part, depth - 1) for part in value)
    if kind is dict and depth and len(value) <= _FEW:
        return {key: _lightened(part, depth - 1) for key, part in value.items()}
    return value


def unpacked(payload: Payload) -> Any:
    """The value of a payload.

    Raises:
        Exception: whatever unpickling raises.
    """
    if len(payload) == 1:
        return pickle.loads(payload[0])
    return pickle.loads(payload[0], buffers=payload[1:])


def packed_call(
    method: str, args: tuple[Any, ...], named: dict[str, Any], *, snapshot: bool
) -> Payload:
    """The arguments of a call.

    Raises:
        NotPicklable: one of them cannot be sent; says which.
    """
    try:
        return packed((args, named), snapshot=snapshot)
    except Exception as error:
        what = culprit(parts_of(args, named)) or "the call"
        raise NotPicklable(
            f"{method} cannot be called: {what} cannot be pickled ({error})"
        ) from error


def packed_result(method: str, value: object, *, snapshot: bool = True) -> Payload:
    """What a method returned or yielded; large buffers are copied where their owner may write to them at once.

    Raises:
        NotPicklable: it cannot be sent.
    """
    try:
        return packed(value, snapshot=snapshot)
    except Exception as error:
        kind = type(value).__name__
        raise NotPicklable(
            f"{method} has run, but its result of type {kind} cannot be pickled ({error})"
        ) from error


def unpacked_result(payload: Payload, what: str) -> Any:
    """What a method returned or yielded.

    Raises:
        NotReadable: it cannot be unpickled here.
    """
    try:
        return unpacked(payload)
    except Exception as error:
        message = f"{what} has run, but its result cannot be unpickled here: {_told(error)}"
        raise NotReadable(message) from error


def packed_error(error: BaseException) -> Payload:
    """What a method raised, with its traceback; whatever it is, there is a payload for it.

    It goes as pickle has it, if that can be read again. Many exceptions cannot, for their class wants other
    arguments than it handed on: they go as class, arguments and attributes. What still cannot be
    sent is told by name.
    """
    trace = _trace(error)
    form = _readable(error) or _readable((type(error), error.args, vars(error))) or b""
    kind = type(error)
    return (pickle.dumps((form, f"{kind.__module__}.{kind.__qualname__}", _words(error), trace)),)


def unpacked_error(payload: Payload) -> BaseException:
    """What a method raised, or what stands in for it."""
    form, kind, words, trace = pickle.loads(payload[0])
    found: BaseException
    try:
        found = _raised(pickle.loads(form)) if form else RemoteFailure(kind, words)
    except Exception as error:  # noqa: BLE001
        found = RemoteFailure(kind, words)
        found.add_note(f"it cannot be unpickled here: {_told(error)}")
    found.__cause__ = RemoteTraceback(trace)
    return found


def _readable(form: object) -> bytes | None:
    """A pickle of something from which what was raised can be had again, tried here."""
    import cloudpickle

    try:
        content = bytes(cloudpickle.dumps(form, protocol=5))
        _raised(pickle.loads(content))
    except Exception:  # noqa: BLE001
        return None
    return content


def _raised(form: object) -> BaseException:
    if isinstance(form, tuple):
        kind, args, attributes = form
        made: BaseException = kind.__new__(kind, *args)
        made.args = args
        vars(made).update(attributes)
        return made
    if not isinstance(form, BaseException):
        raise TypeError(f"it came back as {type(form).__name__}")
    return form


def _trace(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001  # As of a SyntaxError with other arguments than the compiler's.
        return "".join(traceback.format_tb(error.__traceback__)) + type(error).__qualname__


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001
        return "its message cannot be had"


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
