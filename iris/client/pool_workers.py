"""The workers of a pool as they register: a link to each, and what the controller says of them when one is amiss."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from itertools import count
from typing import Final, Protocol, TypeVar

from iris.actor.cluster import ClusterResolver
from iris.actor.resolver import Endpoint
from iris.client.pool_book import Book
from iris.client.pool_jobs import PoolJobs
from iris.client.pool_link import Line, Link
from iris.core.calls import Fact, WorkerLost, WorkerReady
from iris.core.ids import TaskId
from iris.pool.words import Session
from iris.rpc import iris_pb2 as pb
from iris.rpc.errors import RemoteError

REACH_S: Final = 30.0
"""A pool whose workers have registered and that has reached none of them for so long ends."""
_WAIT_S: Final = 5.0
"""For other endpoints than those that are known."""
_PAUSE_S: Final = 1.0
_T = TypeVar("_T")

_log = logging.getLogger(__name__)


class Loop(Protocol):
    """What drives the pool."""

    book: Book

    def learn(self, *facts: Fact) -> None:
        """Something has happened."""

    def look(self) -> None:
        """Something is amiss with a worker."""

    def spawn(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """Have something done beside."""
        ...

    def in_thread(self, work: Callable[..., _T], *args: object) -> Awaitable[_T]:
        """What a function returns that blocks."""
        ...


class Workers:
    """All of them. Lives in the pool's loop."""

    def __init__(
        self,
        loop: Loop,
        name: str,
        resolver: ClusterResolver,
        connect: Callable[[Endpoint], Line],
        ping_s: float,
    ) -> None:
        """None yet; the arguments are those of the driver."""
        self._loop = loop
        self._name = name
        self._resolver = resolver
        self._connect = connect
        self._ping_s = ping_s
        self._sessions: Iterator[Session] = ((name, number, 0) for number in count(1))
        self._links: dict[str, tuple[Endpoint, Link, asyncio.Task[None]]] = {}
        """By the registration; those that are not listed any more stay while they are in use."""
        self._listed: set[str] = set()
        self._by_task: dict[TaskId, Link] = {}
        self._listed_since: float | None = None  # None: none has ever registered
        self.was_reached = False

    def at(self, task: TaskId) -> Link:
        """The link to the worker of a seat."""
        return self._by_task[task]

    @property
    def are_well(self) -> bool:
        """Whether one was ever reached, and each that was answers."""
        return self.was_reached and all(link.is_well for link in self._by_task.values())

    async def watch(self) -> None:
        """Keep a link to each worker that is registered."""
        known: tuple[Endpoint, ...] = ()
        while True:
            try:
                found = await self._loop.in_thread(
                    self._resolver.changed, self._name, known, _WAIT_S
                )
            except RemoteError as error:
                _log.debug("workers of pool %s: %s", self._name, error)
                await asyncio.sleep(_PAUSE_S)
                continue
            known = tuple(found)
            self._take_in(known)

    def _take_in(self, endpoints: Iterable[Endpoint]) -> None:
        self._listed = set()
        for endpoint in endpoints:
            self._listed.add(endpoint.id)
            if endpoint.id not in self._links:
                self._open(endpoint)
        if self._listed and self._listed_since is None:
            self._listed_since = time.monotonic()
        for key, (_, link, task) in list(self._links.items()):
            if key not in self._listed and (task.done() or link.task is None):
                task.cancel()
                del self._links[key]
            elif key not in self._listed and not link.is_well:
                self._loop.look()

    def _open(self, endpoint: Endpoint) -> None:
        line = self._connect(endpoint)
        link = Link(line, self._sessions, self._loop.book, self._heard, self._loop.look)
        task = self._loop.spawn(link.run(self._ping_s))
        self._links[endpoint.id] = endpoint, link, task

    def _heard(self, link: Link, fact: Fact) -> None:
        match fact:
            case WorkerReady(task):
                old = self._by_task.get(task)
                if old is not None and old is not link:
                    self._close(old)
                self._by_task[task] = link
                self.was_reached = True
            case WorkerLost() if not self._is_listed(link):
                self._close(link)
            case _:
                pass
        self._loop.learn(fact)

    def _is_listed(self, link: Link) -> bool:
        return any(key in self._listed for key, each in self._links.items() if each[1] is link)

    def _close(self, link: Link) -> None:
        for _, each, task in self._links.values():
            if each is link:
                task.cancel()
        for task_id, each in list(self._by_task.items()):
            if each is link:
                del self._by_task[task_id]

    def facts(self, jobs: PoolJobs, view: pb.Job) -> list[Fact]:
        """What follows from the state of a job; links to workers that have ended are closed."""
        attempts = {task: link.attempt for task, link in self._by_task.items()}
        found = list(jobs.facts(view, attempts, was_reached=self.was_reached))
        for fact in found:
            if isinstance(fact, WorkerLost):
                self._close(self._by_task[fact.task])
        return found

    def why_unreachable(self) -> str | None:
        """Why the pool can do nothing though it has workers; None while it may still."""
        since = self._listed_since
        if self.was_reached or since is None or time.monotonic() - since < REACH_S:
            return None
        tried = [f"{each[0].address}: {each[1].why_not}" for each in self._links.values()]
        return (
            f"its workers run, and none could be reached from here within {REACH_S:g} s"
            f" ({'; '.join(tried[:1]) or 'none is registered now'}): run the program within the cluster,"
            " as a job of its own, or open the way to its workers"
        )

    def close(self) -> None:
        """Look for no further ones."""
        self._resolver.close()

    async def dismiss(self) -> list[TaskId]:
        """Let every worker end well that answers; those that were told so."""
        links = {task: link for task, link in self._by_task.items() if link.is_well}
        await asyncio.gather(*(link.dismiss() for link in links.values()))
        return list(links)
