"""Drives a pool: a loop in a thread of its own, which tells `iris.core.pool` what happens and does what it asks for."""

import asyncio
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Final, TypeVar, assert_never, cast

from iris.actor.cluster import ClusterResolver
from iris.actor.resolver import Endpoint
from iris.client.errors import BadRequest, PoolEnded
from iris.client.pool_book import Book
from iris.client.pool_jobs import PoolJobs
from iris.client.pool_link import Line
from iris.client.pool_workers import Workers
from iris.core import calls as c
from iris.core.calls import Fact, Progress, Request, Verdict
from iris.core.instant import Instant
from iris.core.pool import Pool
from iris.rpc.errors import RemoteError

_LOOK_S: Final = 2.0
_LOOK_SOON_S: Final = 0.2
"""How often the controller is asked for the jobs, and how often while a worker does not answer."""
_T = TypeVar("_T")

_log = logging.getLogger(__name__)


class Driver:
    """A pool at work, until it is closed or has ended, and its last call, too."""

    def __init__(
        self,
        name: str,
        jobs: PoolJobs,
        resolver: ClusterResolver,
        connect: Callable[[Endpoint], Line],
        ping_s: float,
    ) -> None:
        """A pool without a job; `start` begins.

        Args:
            name: under which its workers register.
            jobs: those that its workers are tasks of.
            resolver: finds its workers.
            connect: the way to one of them.
            ping_s: how often a worker hears that the pool lives, in seconds.
        """
        self.book = Book(lambda number: self.learn(c.CallCancelled(number)))
        self._name = name
        self._jobs = jobs
        self._pool = Pool()
        self._lock = threading.Lock()
        self._stepping = threading.Lock()
        """Held while the pool changes, for whoever asks how far it is."""
        self._inbox: deque[Fact] = deque()
        self._is_woken = False
        self._dead: str | None = None  # None: the loop goes on
        self._finished = asyncio.Event()
        self._work: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_shut = False
        self._is_closed = False
        """Whether the pool knows that it was shut."""
        self._workers = Workers(self, name, resolver, connect, ping_s)
        self._look = asyncio.Event()
        self.over = threading.Event()
        """Whether every call has ended, no further one is taken, and the jobs have been ended."""

    # ---- from any thread ---------------------------------------------------------------------------

    def start(self, wanted: int) -> None:
        """Submit the first job, of so many workers, and begin.

        Raises:
            BadRequest: it cannot be.
            RemoteError: the controller refused, or did not answer.
        """
        tasks = self._jobs.add(wanted)
        self._loop = asyncio.new_event_loop()
        # What is asked for at first is there already.
        self._pool.step(self._now(), [c.Resized(wanted), c.SeatsAdded(tasks)])
        threading.Thread(target=self._run, name="iris-pool", daemon=True).start()

    def learn(self, *facts: Fact) -> None:
        """Something has happened."""
        with self._lock:
            if self._dead is None:
                self._inbox.extend(facts)
                if not self._is_woken:
                    self._is_woken = True
                    self._loop.call_soon_threadsafe(self._turn)
                return
        self._refuse(facts)

    def check(self) -> None:
        """Whether it takes calls.

        Raises:
            PoolEnded: it can do nothing more.
            RuntimeError: it was shut down.
        """
        if self.ended is not None and not self._is_shut:
            raise PoolEnded(f"the pool has ended: {self.ended}")
        if self._is_shut:
            raise RuntimeError("the pool was shut down: it takes no further calls")

    def shut(self, *, cancels: bool = False) -> None:
        """Take no further calls; when the last has ended, end the jobs."""
        self._is_shut = True
        self.learn(c.PoolClosed(cancels))

    def leave(self) -> None:
        """The program ends: wait for the last call and for the end of the jobs; not for calls after Ctrl-C."""
        if _is_interrupted():
            self.interrupt()
        self.shut()
        try:
            self.over.wait()
        except KeyboardInterrupt:
            self.interrupt()
            self.over.wait()
            raise

    def interrupt(self) -> None:
        """End every call now, and the pool; nobody waits for them any more."""
        found = self.progress()
        if found.waiting or found.running:
            words = "pool %s is interrupted: of its calls %d were not begun and %d are given up"
            _log.warning(words, self._shown, found.waiting, found.running)
        self.learn(c.PoolEnded("it was interrupted"))

    def progress(self) -> Progress:
        """How far the pool is."""
        with self._stepping:
            return self._pool.progress()

    @property
    def _shown(self) -> str:
        """Its first job, by which its user knows it."""
        return self._jobs.jobs[0].id

    @property
    def ended(self) -> str | None:
        """Why it can do nothing more; None while it can."""
        return self._dead or self._pool.ended

    # ---- the loop ----------------------------------------------------------------------------------

    def _run(self) -> None:
        self.book.thread = threading.get_ident()
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._live())
        finally:
            with self._lock:
                self._dead = self._pool.ended or "it was shut down"
                left = tuple(self._inbox)
            self._refuse(left)
            self._loop.close()
            self.over.set()

    async def _live(self) -> None:
        watching = [self.spawn(self._workers.watch()), self.spawn(self._watch_jobs())]
        self._turn()
        await self._finished.wait()
        for task in watching:
            task.cancel()
        await self._end_jobs()
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    def spawn(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """Have something done beside, to the end of the pool at most; nothing in it may fail."""
        task = self._loop.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._work.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._crash(error)

    def _turn(self) -> None:
        """Tell the pool what has happened, and do what it asks for."""
        try:
            while self._step():
                pass
        except Exception as error:  # noqa: BLE001
            self._crash(error)
        if self._pool.ended is not None or (self._is_closed and self._pool.is_idle):
            self._finished.set()

    def _step(self) -> bool:
        """One step of the pool; whether more has happened meanwhile."""
        with self._lock:
            facts = tuple(self._inbox)
            self._inbox.clear()
            self._is_woken = False
        self._is_closed |= any(isinstance(fact, c.PoolClosed) for fact in facts)
        with self._stepping:
            requests = self._pool.step(self._now(), facts)
        for request in requests:
            self._perform(request)
        self.book.forget_answers()
        if self._timer is not None:
            self._timer.cancel()
        deadline = self._pool.next_deadline()
        at = None if deadline is None else self._loop.call_at((deadline + 1) / 1_000, self._turn)
        self._timer = at
        return bool(self._inbox)

    def _crash(self, error: BaseException) -> None:
        """A bug must not leave anybody waiting."""
        _log.error("pool %s has failed", self._shown, exc_info=error)
        for number in list(self.book.entries):
            self.book.settle(c.SettleCall(number, Verdict.ENDED, f"a bug in Iris: {error!r}"))
        with suppress(Exception):  # It is settled without the pool, in whichever state that is.
            self._pool.step(self._now(), [c.PoolEnded(f"a bug in Iris: {error!r}")])
        self._finished.set()

    def _refuse(self, facts: Iterable[Fact]) -> None:
        for fact in facts:
            if isinstance(fact, c.CallSubmitted):
                self.book.settle(c.SettleCall(fact.call, Verdict.ENDED, str(self._dead)))

    def _now(self) -> Instant:
        return Instant(int(1_000 * time.monotonic()))  # As the loop's own time.

    def _perform(self, request: Request) -> None:
        match request:
            case c.SettleCall():
                self.book.settle(request)
            case c.SendCalls(task, _, calls):
                self._workers.at(task).send(calls)
            case c.RecallCalls(task, _, calls):
                self._workers.at(task).recall(calls)
            case c.AbandonCalls(task, _, calls):
                self._workers.at(task).abandon(calls)
            case c.DismissWorker(task):
                self.spawn(self._workers.at(task).dismiss())
            case c.AddSeats(number):
                self.spawn(self._add(number))
            case c.StopJob(job):
                self.spawn(self._stop(job))
            case _:
                assert_never(request)

    # ---- jobs --------------------------------------------------------------------------------------

    async def in_thread(self, work: Callable[..., _T], *args: object) -> _T:
        """What a function returns that blocks; a program that ends does not wait for it."""
        done: asyncio.Future[_T] = self._loop.create_future()

        def told(result: _T | None, error: BaseException | None) -> None:
            if done.cancelled():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(cast("_T", result))  # There was no error, so it is one.

        def run() -> None:
            result, failure = None, None
            try:
                result = work(*args)
            except BaseException as error:  # noqa: BLE001
                failure = error
            with suppress(RuntimeError):  # The loop is closed: nobody asks any more.
                self._loop.call_soon_threadsafe(told, result, failure)

        threading.Thread(target=run, name="iris-pool-asks", daemon=True).start()
        return await done

    async def _add(self, number: int) -> None:
        try:
            tasks = await self.in_thread(self._jobs.add, number)
        except (BadRequest, RemoteError) as error:
            _log.warning("pool %s gets no %s further workers: %s", self._shown, number, error)
            self.learn(c.SeatsRefused(number, str(error)))
        else:
            self.learn(c.SeatsAdded(tasks))

    async def _stop(self, job: str) -> None:
        try:
            await self.in_thread(self._jobs.stop, job)
        except RemoteError as error:
            _log.warning("job %s of pool %s cannot be stopped: %s", job, self._shown, error)

    def look(self) -> None:
        """Something is amiss with a worker: ask the controller at once."""
        self._look.set()

    async def _watch_jobs(self) -> None:
        """Learn from the controller what became of workers that do not answer, and of jobs."""
        while True:
            self._look.clear()
            try:
                views = await self.in_thread(self._jobs.look)
            except RemoteError as error:
                _log.debug("jobs of pool %s: %s", self._name, error)
            else:
                self.learn(
                    *(fact for view in views for fact in self._workers.facts(self._jobs, view))
                )
            if (why := self._workers.why_unreachable()) is not None:
                self.learn(c.PoolEnded(why))
            pause = _LOOK_S if self._workers.are_well else _LOOK_SOON_S
            await asyncio.sleep(_LOOK_SOON_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause - _LOOK_SOON_S):
                    await self._look.wait()

    async def _end_jobs(self) -> None:
        try:
            await self.in_thread(self._jobs.end, await self._workers.dismiss())
        except RemoteError as error:
            _log.warning("jobs of pool %s end by themselves, and later: %s", self._shown, error)
        self._workers.close()


def _is_interrupted() -> bool:
    """Whether this program ends by Ctrl-C, or is closing something because of it."""
    # What ended the program; where somebody types at a prompt, it may be long ago.
    last = None if hasattr(sys, "ps1") else getattr(sys, "last_value", None)
    return isinstance(last or sys.exc_info()[1], KeyboardInterrupt)
