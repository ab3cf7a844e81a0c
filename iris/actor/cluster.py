"""Actors of a cluster: how they are found through its controller, and how a task lists its own.

A resolver keeps what it was told, and one thread waits at the controller for changes of all that it was
asked about. So a call of an actor costs the controller nothing, and a server that is gone is known to
be gone a moment later. While the controller is away, what was told last holds.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Final

from iris.actor.resolver import Endpoint, Endpoints, Registration
from iris.core.cadence import RENEW_EVERY
from iris.core.endpoints import fits, mark_of
from iris.core.ids import EndpointId
from iris.rpc import iris_pb2 as pb
from iris.rpc.addresses import parse_address
from iris.rpc.channel import Channel, spread
from iris.rpc.errors import RemoteError
from iris.rpc.methods import (
    LIST_ENDPOINTS,
    LONG_POLL_MS,
    REGISTER_ENDPOINT,
    RENEW_ENDPOINTS,
    WITHDRAW_ENDPOINTS,
)

_PATIENCE_S: Final = 10.0
"""With a controller that is away."""
_WITHDRAW_S: Final = 2.0
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 2.0
_KEPT_S: Final = 300.0
"""So long after it was last asked about, a name is watched."""

_log = logging.getLogger(__name__)


class ClusterResolver:
    """Finds actors by asking the controller, seldom."""

    def __init__(self, channel: Channel, *, job: str | None = None) -> None:
        """Nothing is asked yet.

        Args:
            channel: to the controller.
            job: where the actors run, itself or below it; if not given, in all that the caller may see: the tree of
                a task's own job, or all jobs of a user.
        """
        self._channel = channel
        self._job = job or ""
        self._news = threading.Condition()
        self._known: dict[str, tuple[Endpoint, ...]] = {}
        self._doubted: dict[str, tuple[Endpoint, ...]] = {}
        """What was known of names of which an endpoint did not answer: better than nothing."""
        self._used: dict[str, float] = {}
        self._watched: frozenset[str] = frozenset()
        """Names whose changes come by themselves."""
        self._watching = False
        self._closed = False
        self.calls = 0
        """So often the controller was asked."""

    def __reduce__(self) -> tuple[Callable[..., "ClusterResolver"], tuple[str | None]]:
        """Where the pickle is read, in a task: one that asks with that task's token; ours stays here."""
        return resolver_of_task, (self._job or None,)

    def resolve(self, name: str) -> Endpoints:
        """The endpoints of an actor, oldest first; in a name `*` stands for any characters.

        Raises:
            RemoteError: the controller refused, or did not answer for 10 seconds.
        """
        with self._news:
            self._used[name] = time.monotonic()
            found = self._known.get(name)
            last = self._doubted.get(name)
        if found:
            return found
        try:
            return self._ask(name, known=0, wait_s=0.0, patience_s=0.0 if last else _PATIENCE_S)
        except RemoteError as error:
            if last and error.is_passing:
                return last
            raise

    def invalidate(self, endpoint: Endpoint) -> None:
        """Somebody did not answer there: the next `resolve` of its name asks anew."""
        with self._news:
            for name in [n for n, found in self._known.items() if endpoint in found]:
                self._doubted[name] = self._known.pop(name)

    def changed(self, name: str, known: Endpoints, wait_s: float) -> Endpoints:
        """The endpoints as soon as they are others than those known, and after `wait_s` seconds in any case.

        Raises:
            RemoteError: the controller refused, or did not answer.
        """
        end = time.monotonic() + wait_s
        mark = _mark(known)
        while True:
            with self._news:
                self._used[name] = time.monotonic()
                found = self._known.get(name)
                left = end - time.monotonic()
                if found is not None and (_mark(found) != mark or left <= 0):
                    return found
                if found is not None and name in self._watched:
                    self._news.wait(left)
                    continue
            found = self._ask(name, known=mark, wait_s=max(0.0, left), patience_s=0.0)
            if _mark(found) != mark or left <= 0:
                return found

    def close(self) -> None:
        """Watch no longer; it can still be asked."""
        with self._news:
            self._closed = True

    def _ask(
        self, name: str, *, known: int, wait_s: float, patience_s: float
    ) -> tuple[Endpoint, ...]:
        answer = self._call((name,), known, int(1_000 * wait_s), patience_s)
        found = _told(answer.endpoints)
        with self._news:
            self._learn(name, found)
            if not self._watching and not self._closed:
                self._watching = True
                threading.Thread(
                    target=self._watch, name="iris-actor-resolver", daemon=True
                ).start()
        return found

    def _learn(self, name: str, found: tuple[Endpoint, ...]) -> None:
        self._known[name] = found
        self._doubted.pop(name, None)

    def _call(
        self, names: Iterable[str], known: int, wait_ms: int, patience_s: float
    ) -> pb.ListEndpointsResponse:
        request = pb.ListEndpointsRequest(
            job=self._job, tree=True, names=names, secrets=True, known=known, wait_ms=wait_ms
        )
        self.calls += 1
        return self._channel.call(LIST_ENDPOINTS, request, patience_s=patience_s)

    # ---- changes -------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Wait for changes of all that is asked about, until nobody asks about anything."""
        mark, names, pause = 0, frozenset[str](), _FIRST_PAUSE_S
        while (wanted := self._wanted()) is not None:
            if wanted != names:
                mark, names = 0, wanted
            try:
                answer = self._call(sorted(names), mark, LONG_POLL_MS, 0.0)
            except RemoteError as error:
                if error.is_passing:
                    time.sleep(spread(pause))
                    pause = min(2 * pause, _LONGEST_PAUSE_S)
                    continue
                self._end_watch()  # Whoever asks next is told why.
                return
            mark, pause = answer.mark, _FIRST_PAUSE_S
            self._enter(names, _told(answer.endpoints))

    def _wanted(self) -> frozenset[str] | None:
        """The names to watch; nothing when there are none, and then nobody watches any more."""
        with self._news:
            late = time.monotonic() - _KEPT_S
            for name in [name for name, at in self._used.items() if at < late]:
                del self._used[name]
                self._known.pop(name, None)
                self._doubted.pop(name, None)
            if self._used and not self._closed:
                return frozenset(self._used)
        self._end_watch()
        return None

    def _end_watch(self) -> None:
        with self._news:
            self._watching, self._watched = False, frozenset()
            self._known.clear()
            self._news.notify_all()

    def _enter(self, names: frozenset[str], found: tuple[Endpoint, ...]) -> None:
        with self._news:
            for name in names:
                self._learn(name, tuple(each for each in found if fits(each.name, name)))
            self._watched = names
            self._news.notify_all()


def _told(endpoints: Iterable[pb.Endpoint]) -> tuple[Endpoint, ...]:
    return tuple(
        Endpoint(each.name, each.address, each.id, each.attempt, each.secret, each.task, each.rank)
        for each in endpoints
    )


def _mark(endpoints: Iterable[Endpoint]) -> int:
    return mark_of(EndpointId(each.id) for each in endpoints)


class ClusterRegistry:
    """Lists what one attempt of a task serves, and keeps it listed."""

    def __init__(self, channel: Channel, task: str, attempt: int, host: str) -> None:
        """Nothing is listed yet.

        Args:
            channel: to the controller, with the token of the attempt.
            task: as `/alice/train:3`.
            attempt: its number.
            host: by which others reach this machine.
        """
        self._channel = channel
        self._task = task
        self._attempt = attempt
        self._host = f"[{host}]" if ":" in host else host
        self._lock = threading.Lock()
        self._listed: dict[str, pb.RegisterEndpointRequest] = {}
        self._every_s = RENEW_EVERY / 1_000
        self._renewing = False

    def register(self, name: str, port: int) -> Registration:
        """List an actor at a port of this host, until it is withdrawn or the attempt ends.

        Raises:
            RemoteError: the controller refused, or did not answer for 10 seconds.
        """
        request = pb.RegisterEndpointRequest(
            task=self._task, attempt=self._attempt, name=name, address=f"{self._host}:{port}"
        )
        answer = self._channel.call(REGISTER_ENDPOINT, request, patience_s=_PATIENCE_S)
        with self._lock:
            self._listed[answer.id] = request
            self._every_s = answer.renew_every_ms / 1_000
            if not self._renewing:
                self._renewing = True
                threading.Thread(target=self._renew, name="iris-actor-leases", daemon=True).start()
        return Registration(name, answer.id, answer.secret)

    def withdraw(self, registration: Registration) -> None:
        """List it no longer. It is no error if it is not listed, or if nobody answers."""
        with self._lock:
            self._listed.pop(registration.id, None)
        self._withdraw(registration.id)

    def _withdraw(self, id: str) -> None:
        request = pb.WithdrawEndpointsRequest(
            task=self._task, attempt=self._attempt, endpoints=[id]
        )
        try:
            self._channel.call(WITHDRAW_ENDPOINTS, request, deadline_s=_WITHDRAW_S)
        except RemoteError as error:
            _log.info("%s was not withdrawn, and goes with its lease: %s", id, error)

    def _renew(self) -> None:
        """Keep up the leases, until nothing is listed any more."""
        while True:
            time.sleep(self._every_s)
            with self._lock:
                listed = list(self._listed)
                if not listed:
                    self._renewing = False
                    return
            request = pb.RenewEndpointsRequest(
                task=self._task, attempt=self._attempt, endpoints=listed
            )
            try:
                answer = self._channel.call(RENEW_ENDPOINTS, request, patience_s=self._every_s)
            except RemoteError as error:
                _log.warning("leases were not renewed, and are tried again: %s", error)
                continue
            for id in answer.unknown:
                self._list_again(id)

    def _list_again(self, id: str) -> None:
        """What is served here is not listed: its lease ran out while the controller could not be reached."""
        with self._lock:
            request = self._listed.get(id)
        if request is None:
            return  # It was withdrawn meanwhile.
        try:
            self._channel.call(REGISTER_ENDPOINT, request)
        except RemoteError as error:
            if not error.is_passing:
                _log.warning("%s is not listed any more: %s", id, error)
                with self._lock:
                    self._listed.pop(id, None)
            return
        with self._lock:
            kept = id in self._listed
        if not kept:
            self._withdraw(id)


def _channel_of_task() -> Channel:
    """To the controller of the task that this process runs.

    Raises:
        RuntimeError: it runs none.
    """
    if "IRIS_CONTROLLER_ADDRESS" not in os.environ:
        raise RuntimeError("this process is no task of Iris: IRIS_CONTROLLER_ADDRESS is not set")
    authority = os.environ.get("IRIS_AUTHORITY")
    channel = Channel(
        parse_address(os.environ["IRIS_CONTROLLER_ADDRESS"]),
        token=os.environ.get("IRIS_TOKEN", ""),
        authority=Path(authority) if authority else None,
    )
    channel.reached = True  # By whoever started this task: the address is right.
    return channel


@cache
def registry_of_task() -> ClusterRegistry:
    """Where the task that this process runs lists what it serves.

    Raises:
        RuntimeError: it runs none.
    """
    channel = _channel_of_task()
    task, attempt = os.environ["IRIS_TASK_ID"], int(os.environ["IRIS_ATTEMPT_ID"])
    return ClusterRegistry(channel, task, attempt, os.environ["IRIS_ADVERTISE_HOST"])


@cache
def resolver_of_task(job: str | None = None) -> ClusterResolver:
    """Finds actors of a job and those below it, or in the whole tree of jobs that this process's task belongs to.

    Raises:
        RuntimeError: it runs none.
    """
    return ClusterResolver(_channel_of_task(), job=job)
