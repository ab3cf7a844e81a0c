"""The process that makes the calls of a pool's worker, one by one: `python -m iris.pool.hand` and four descriptors.

It is apart from the worker so that a call that crashes, hangs or holds the interpreter's lock takes nothing with it:
the worker still answers, says which call it was, and has a new one of these at once. It ends when its input does.

In comes, for each call, its function as a pickle, or nothing if it is the same as that of the call before, and
its arguments as a payload. Out goes how it ended, how many microseconds it took, and the payload of its value
or of what it raised. Both ways have a pipe and a shelf: the descriptors are those of the pipes, in and out, and those
of the shelves.
"""

import os
import pickle
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from iris.actor.errors import NotReadable
from iris.actor.payload import Payload, packed_error, packed_result, unpacked
from iris.pickling import NotPicklable
from iris.pool.pipes import Shelf, read_message, write_message

RETURNED: Final = "returned"
RAISED: Final = "raised"
"""How a call ended, as `iris.core.calls.Outcome` has it, which is not imported here: this process starts quickly."""
_KEPT: Final = 64
"""Functions, the last ones used, that are not unpickled again."""


class Functions:
    """Those that were called last, by their pickles."""

    def __init__(self) -> None:
        """None yet."""
        self._known: OrderedDict[bytes, Callable[..., Any]] = OrderedDict()

    def get(self, content: bytes) -> Callable[..., Any]:
        """A function by its pickle.

        Raises:
            Exception: whatever unpickling raises.
        """
        found = self._known.get(content)
        if found is None:
            found = pickle.loads(content)
            self._known[content] = found
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(content)
        return found


def readable(
    functions: Functions, content: bytes, arguments: Payload
) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """A call's function and its arguments.

    Raises:
        NotReadable: they cannot be unpickled here.
    """
    try:
        return functions.get(content), *unpacked(arguments)
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
        words = f"the call did not run: it cannot be unpickled at the worker ({told})"
        if isinstance(error, ModuleNotFoundError):
            words += (
                "; modules beside the program come with IrisClient.remote(url, workspace=FOLDER),"
            )
            words += " packages with the pool's environment"
        raise NotReadable(words) from error


def make(functions: Functions, content: bytes, arguments: Payload) -> tuple[str, Payload]:
    """How a call ended, whatever it did."""
    try:
        function, args, named = readable(functions, content, arguments)
        value = function(*args, **named)
    except BaseException as error:  # noqa: BLE001
        return RAISED, packed_error(error)
    name = getattr(function, "__qualname__", type(function).__name__)
    try:
        return RETURNED, packed_result(name, value, snapshot=False)  # It is written at once.
    except NotPicklable as error:
        return RAISED, packed_error(error)


def main() -> None:
    """Make calls until there are no more."""
    came, goes, *files = map(int, sys.argv[1:])
    there, back = map(Shelf, files)
    for fd in files:
        os.close(fd)
    for fd in (came, goes):
        os.set_inheritable(fd, False)  # noqa: FBT003
    # A child that a call forks takes no calls and answers none, also if it comes back here: it finds an end.
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (came, goes):
        os.register_at_fork(after_in_child=partial(os.dup2, nothing, fd, inheritable=False))
    functions = Functions()
    content = b""
    with os.fdopen(came, "rb") as calls:
        while (message := read_message(calls, there, writable=True)) is not None:
            content = bytes(message[0]) or content
            began = time.perf_counter_ns()
            outcome, payload = make(functions, content, message[1:])
            took_us = (time.perf_counter_ns() - began) // 1_000
            head = pickle.dumps((outcome, took_us))
            del message
            write_message(goes, (head, *payload), back)


if __name__ == "__main__":
    main()
