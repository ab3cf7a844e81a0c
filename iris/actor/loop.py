"""The one thread of a process in which all of its actor connections live, clients' and servers'."""

import asyncio
import os
import threading
from collections.abc import Iterable


class _Wire:
    """An event loop in a daemon thread; a forked child gets one of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.thread = 0

    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop, self.thread = running_loop("iris-actor-wire")
            return self._loop

    def forget(self) -> None:
        self._lock = threading.Lock()
        self._loop = None
        self.thread = 0


def running_loop(name: str) -> tuple[asyncio.AbstractEventLoop, int]:
    """A new event loop that runs in a daemon thread of that name, and the thread's number."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=_run, args=(loop,), name=name, daemon=True)
    thread.start()
    return loop, thread.ident or 0


_WIRE = _Wire()
_OWN: set[int] = set()
"""Descriptors of connections and listeners."""


def own(descriptor: int) -> None:
    """Let no forked child have it: while that lived, the other side would not notice the end of this process."""
    _OWN.add(descriptor)


def disown(descriptor: int) -> None:
    """It is about to be closed."""
    _OWN.discard(descriptor)


def _forked() -> None:
    _WIRE.forget()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in _OWN:
        os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)
    _OWN.clear()


os.register_at_fork(after_in_child=_forked)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop until it is stopped; then end its tasks, and close it."""
    loop.run_forever()
    loop.run_until_complete(_end(asyncio.all_tasks(loop)))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


async def _end(tasks: Iterable["asyncio.Task[object]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def wire_loop() -> asyncio.AbstractEventLoop:
    """The loop of this process's connections, which runs."""
    return _WIRE.loop()


def in_wire_loop() -> bool:
    """Whether this thread is that of the connections, which must never wait for one."""
    return threading.get_ident() == _WIRE.thread
