"""One actor: an object, the calls that wait for it, and the threads and tasks in which its methods run.

No more calls run at once than the actor allows. Those of one caller begin in the order in which they
were made; callers take turns, so that who has sent thousands delays nobody else by them.
"""

import asyncio
import inspect
import os
import queue
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from typing import Any, Final

from iris.actor.calls import Call, Caller, Refusal
from iris.actor.errors import NoSuchMethod
from iris.actor.frames import Kind
from iris.actor.payload import Payload, packed_error, packed_result, unpacked
from iris.pickling import NotPicklable
from iris.problems import one_of

_IDLE_S: Final = 30.0
"""After which a thread that has nothing to do ends."""


class Actor:
    """An object that serves."""

    def __init__(  # noqa: PLR0913
        self,
        name: str,
        target: object,
        *,
        concurrency: int,
        longest_queue: int,
        tasks: Callable[[], asyncio.AbstractEventLoop],
        ended: Callable[[Call], None],
    ) -> None:
        """An actor without calls.

        Args:
            name: its name.
            target: whose methods are called; a function is called itself.
            concurrency: how many calls may run at once.
            longest_queue: how many may wait; further ones are refused.
            tasks: the running loop in which asynchronous methods run.
            ended: told of each call that is over, in any thread.
        """
        self.name = name
        self._target = target
        self._concurrency = concurrency
        self._longest_queue = longest_queue
        self._tasks = tasks
        self._ended = ended
        self._lock = threading.Lock()
        self._lanes: dict[Caller, deque[Call]] = {}
        self._turns: deque[Caller] = deque()
        self.waiting = 0
        self.running: set[Call] = set()
        self._jobs: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._idle = 0
        self._asynchronous: dict[str, bool] = {}
        self._process = os.getpid()

    @property
    def is_full(self) -> bool:
        """Whether no further call may wait."""
        return self.waiting >= self._longest_queue

    def admit(self, call: Call) -> None:
        """Run a call when its turn comes."""
        with self._lock:
            lane = self._lanes.get(call.caller)
            if lane is None:
                lane = self._lanes[call.caller] = deque()
                self._turns.append(call.caller)
            lane.append(call)
            call.is_waiting = True
            self.waiting += 1
        self.proceed()

    def proceed(self) -> None:
        """Begin what may begin."""
        while (call := self._next(None)) is not None:
            self._begin(call)

    def withdraw(self, call: Call) -> None:
        """Forget a call if its turn has not come: nobody waits for it."""
        with self._lock:
            if not call.is_waiting:
                return
            call.is_waiting, call.payload = False, ()
            self.waiting -= 1
        self._ended(call)

    def clear(self) -> list[Call]:
        """Take away the calls that wait."""
        with self._lock:
            found = [call for lane in self._lanes.values() for call in lane if call.is_waiting]
            for call in found:
                call.is_waiting = False
            self._lanes.clear()
            self._turns.clear()
            self.waiting = 0
        return found

    # ---- turns ---------------------------------------------------------------------------------

    def _next(self, done: Call | None) -> Call | None:
        """The call whose turn it is, now that another may be done; nothing when none may begin."""
        over: list[Call] = []
        with self._lock:
            if done is not None:
                self.running.discard(done)
            found = None
            if len(self.running) < self._concurrency:
                found = self._take(over)
            if found is not None:
                self.running.add(found)
        for call in over:
            if not call.is_over:
                self._refuse(
                    call, Refusal.LATE, f"{call.method} had not begun when its time was over"
                )
            self._ended(call)
        return found

    def _take(self, over: list[Call]) -> Call | None:
        for _ in range(len(self._turns)):
            caller = self._turns.popleft()
            lane = self._lanes[caller]
            if caller.is_full:
                self._turns.append(caller)
                continue
            found = None
            while lane and found is None:
                call = lane.popleft()
                if not call.is_waiting:
                    continue
                call.is_waiting = False
                self.waiting -= 1
                if call.is_late:
                    over.append(call)
                else:
                    found = call
            if lane:
                self._turns.append(caller)
            else:
                del self._lanes[caller]
            if found is not None:
                return found
        return None

    def _begin(self, call: Call) -> None:
        if self._is_asynchronous(call.method):
            loop = self._tasks()
            loop.call_soon_threadsafe(self._start_task, loop, call)
            return
        with self._lock:
            alone = self._idle == 0
            if not alone:
                self._idle -= 1
        self._jobs.put(call)
        if alone:
            threading.Thread(target=self._work, name=f"iris-actor-{self.name}", daemon=True).start()

    def _work(self) -> None:
        """A thread: one call after the other, and after a while without any, none."""
        while True:
            try:
                call = self._jobs.get(timeout=_IDLE_S)
            except queue.Empty:
                with self._lock:
                    if self._idle == 0:  # Somebody counts on this thread.
                        continue
                    self._idle -= 1
                return
            while call is not None:
                self._run(call)
                self._ended(call)
                call = self._next(call)
                while call is not None and self._is_asynchronous(call.method):
                    self._begin(call)
                    call = self._next(None)
            with self._lock:
                self._idle += 1

    # ---- methods -------------------------------------------------------------------------------

    def _is_asynchronous(self, name: str) -> bool:
        known = self._asynchronous.get(name)
        if known is None:
            found = inspect.getattr_static(self._target, name, None)
            if name == "__call__" and inspect.isroutine(self._target):
                found = self._target
            if isinstance(found, staticmethod | classmethod):
                found = found.__func__
            known = inspect.iscoroutinefunction(found) or inspect.isasyncgenfunction(found)
            if len(self._asynchronous) < 1_000:
                self._asynchronous[name] = known
        return known

    def _method(self, name: str) -> Callable[..., Any]:
        """What a call runs.

        Raises:
            NoSuchMethod: there is none of that name, or it is not for callers.
        """
        if name.startswith("_") and name != "__call__":
            raise NoSuchMethod(f"{self.name}.{name} is not for callers: its name begins with `_`")
        found = getattr(self._target, name, None)
        if callable(found):
            method: Callable[..., Any] = found
            return method
        if name == "__call__":
            raise NoSuchMethod(f"actor {self.name!r} cannot be called itself; call a method of it")
        if found is not None:
            raise NoSuchMethod(f"{self.name}.{name} is {type(found).__name__}, and no method")
        known = [word for word in dir(self._target) if self._is_method(word)]
        raise NoSuchMethod(f"actor {self.name!r} has no method {name!r}", one_of(name, known))

    def _is_method(self, name: str) -> bool:
        """Whether callers may call it; no property is computed to know that."""
        found = inspect.getattr_static(self._target, name, None)
        return not name.startswith("_") and (callable(found) or isinstance(found, classmethod))

    def _prepared(
        self, call: Call
    ) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]] | None:
        """The method and its arguments; nothing if the call was refused."""
        try:
            method = self._method(call.method)
        except NoSuchMethod as error:
            self._refuse(
                call, Refusal.NO_METHOD, f"{error}" + (f"; {error.help}" if error.help else "")
            )
            return None
        try:
            args, named = unpacked(call.payload)
        except Exception as error:  # noqa: BLE001
            words = f"{call.method} did not run: its arguments cannot be unpickled at the server"
            self._refuse(call, Refusal.UNREADABLE, f"{words} ({type(error).__name__}: {error})")
            return None
        call.payload = ()
        return method, args, named

    def _run(self, call: Call) -> None:
        """Run a call in this thread, whatever becomes of it."""
        try:
            if (ready := self._prepared(call)) is None:
                return
            method, args, named = ready
            value = method(*args, **named)
            if call.credit is not None:
                self._stream(call, iter(value))
            else:
                self._return(call, value)
        except BaseException as error:  # noqa: BLE001
            self._answer(call, Kind.RAISED, packed_error(error))

    def _stream(self, call: Call, values: Iterator[Any]) -> None:
        assert call.credit is not None
        try:
            while call.credit.wait():
                try:
                    value = next(values)
                except StopIteration:
                    self._answer(call, Kind.END, ())
                    return
                self._item(call, value)
        finally:
            if inspect.isgenerator(values):
                values.close()

    def _item(self, call: Call, value: object) -> None:
        assert call.credit is not None
        payload = packed_result(call.method, value)
        call.credit.spend(sum(map(len, payload)))
        self._answer(call, Kind.ITEM, payload)

    def _return(self, call: Call, value: object) -> None:
        if inspect.isgenerator(value) or inspect.isasyncgen(value):
            raise NotPicklable(
                f"{call.method} yields its results one by one: call it as {call.method}.stream(...)"
            )
        self._answer(call, Kind.RESULT, packed_result(call.method, value))

    def _start_task(self, loop: asyncio.AbstractEventLoop, call: Call) -> None:
        task = loop.create_task(self._run_task(call))
        call.cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        if call.is_over:
            task.cancel()
        # Also for a task that was cancelled before it began, and so never ran.
        task.add_done_callback(lambda _task: self._task_done(call))

    def _task_done(self, call: Call) -> None:
        self._ended(call)
        if (following := self._next(call)) is not None:
            self._begin(following)

    async def _run_task(self, call: Call) -> None:
        try:
            if (ready := self._prepared(call)) is None:
                return
            method, args, named = ready
            made: Any = method(*args, **named)
            if inspect.isasyncgenfunction(method):
                if call.credit is None:
                    self._return(call, made)
                await self._stream_task(call, made)
            elif call.credit is not None:
                await self._stream_task(call, _each(await made))
            else:
                self._return(call, await made)
        except BaseException as error:  # noqa: BLE001
            self._answer(call, Kind.RAISED, packed_error(error))

    async def _stream_task(self, call: Call, values: AsyncGenerator[Any, None]) -> None:
        assert call.credit is not None
        try:
            while await call.credit.waited():
                try:
                    value = await anext(values)
                except StopAsyncIteration:
                    self._answer(call, Kind.END, ())
                    return
                self._item(call, value)
        finally:
            await values.aclose()

    # ---- answers -------------------------------------------------------------------------------

    def _answer(self, call: Call, kind: Kind, payload: Payload, head: bytes = b"") -> None:
        if (
            os.getpid() != self._process
        ):  # A child that the method has forked, and that came back from it.
            os._exit(0)
        call.caller.answer(call, kind, payload, head, now=not self.waiting)

    def _refuse(self, call: Call, why: Refusal, words: str) -> None:
        self._answer(call, Kind.REFUSED, (words.encode(),), bytes([why]))


async def _each(values: Iterable[Any]) -> AsyncGenerator[Any, None]:
    for value in values:
        yield value
