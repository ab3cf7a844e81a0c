"""The server of actors: objects that are registered by name and serve calls until they are told to stop."""

import asyncio
import ipaddress
import os
import signal
import socket
import threading
import time
from concurrent.futures import Future
from typing import Any, Final, Self

from iris.actor.doors import Doors
from iris.actor.loop import running_loop, wire_loop
from iris.actor.resolver import Registry
from iris.actor.serving import Actor
from iris.core.ids import is_name
from iris.exit_status import ExitStatus
from iris.problems import Failure

LONGEST_QUEUE: Final = 20_000
"""Calls that may wait for one actor, unless it says otherwise."""
MOST_BYTES: Final = 1 << 30
"""Of arguments of calls that wait or run, at one server, unless it says otherwise."""
GRACE_S: Final = 5.0
_LOOK_S: Final = 0.02
_LOOPBACK: Final = "127.0.0.1"
_ANY: Final = "0.0.0.0"


class CannotServe(Failure):
    """A server that cannot be as it was asked for; says why, and what would be right."""


class _Terminated(BaseException):
    """SIGTERM has come. It is raised, for an event that is waited for must not be set by a signal's handler."""


def _terminate(*_: object) -> None:
    raise _Terminated


class ActorServer:
    """Serves objects to callers elsewhere; a context manager that serves until it is left.

    In a task it is listed with the cluster's controller, and serves whoever finds it there. Elsewhere, without a
    token, it serves its own machine only.
    """

    def __init__(
        self,
        *,
        host: str | None = None,
        port: int | str = 0,
        token: str = "",
        registry: Registry | None = None,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """A server that does not listen yet.

        Args:
            host: to listen at; if not given, all of this host's with a token or a registry, else loopback.
            port: a number, 0 for any that is free, or the name of a port that the job asked for (`IRIS_PORT_<NAME>`).
            token: what callers prove that they know; empty for none, on loopback only.
            registry: where the actors are listed; if host and token are not given either, that of the task that
                this process runs, if it runs one.
            most_bytes: of arguments that it holds at a time.

        Raises:
            CannotServe: it would serve others than this machine, and nobody would have to prove anything.
        """
        if registry is None and host is None and not token:
            registry = _registry_of_task()
        known = bool(token) or registry is not None
        self._host = host if host is not None else (_host_of_task() if known else _LOOPBACK)
        if not known and not _is_loopback(self._host):
            raise CannotServe(
                f"a server at {self._host} without a token would run whatever anybody sends",
                ExitStatus.BAD_INPUT,
                "give it a token, or let it listen at 127.0.0.1",
            )
        self._asked_port = _port(port)
        self._registry = registry
        self._loop = wire_loop()
        self._tasks: asyncio.AbstractEventLoop | None = None
        self._doors = Doors(self._loop, token, most_bytes, is_open=not known)
        self._listener: socket.socket | None = None
        self._port = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._stopping = False

    # ---- actors --------------------------------------------------------------------------------

    def register(
        self, name: str, target: object, *, concurrency: int = 1, longest_queue: int = LONGEST_QUEUE
    ) -> None:
        """Serve an object: its public methods, or itself if it is a function.

        Args:
            name: what callers call it.
            target: the object; asynchronous methods run as tasks of one loop, others in threads.
            concurrency: how many of its calls may run at once.
            longest_queue: how many may wait; further ones are refused.

        Raises:
            CannotServe: the name is taken, or is none that an endpoint may have, or a number is none.
            RemoteError: the registry refused, or did not answer.
        """
        if not _is_name(name):
            raise CannotServe(
                f"actor {name!r}: its name must be 1 to 63 of letters, digits and `_ . -`, and"
                " begin with a letter, a digit or `_`",
                ExitStatus.BAD_INPUT,
            )
        for what, number in (("concurrency", concurrency), ("longest_queue", longest_queue)):
            if not _is_count(number):
                raise CannotServe(
                    f"actor {name!r}: {what} {number!r} must be a whole number, 1 or more",
                    ExitStatus.BAD_INPUT,
                )
        actor = Actor(
            name,
            target,
            concurrency=concurrency,
            longest_queue=longest_queue,
            tasks=self._task_loop,
            ended=self._doors.ended,
        )
        with self._lock:
            if name in self._doors.actors:
                raise CannotServe(f"there is an actor {name!r} already", ExitStatus.CONFLICT)
            self._doors.actors[name] = actor
            listens = self._listener is not None
        if listens:
            self._list(name)

    def _list(self, name: str) -> None:
        if self._registry is None:
            return
        try:
            self._doors.admit(self._registry.register(name, self.port))
        except BaseException:
            self._doors.actors.pop(name, None)
            raise

    def _task_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._tasks is None:
                self._tasks, _ = running_loop("iris-actor-tasks")
            return self._tasks

    # ---- listening -----------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """Where it listens, or did before it was stopped; 0 before it does."""
        return self._port

    @property
    def address(self) -> str:
        """Host and port, for a `FixedResolver` on this machine or, if a host was given, elsewhere."""
        return f"{_LOOPBACK if self._host == _ANY else self._host}:{self.port}"

    def serve(self) -> Self:
        """Listen, and serve in threads of its own from now on.

        Raises:
            CannotServe: the port is taken, or may not be used.
            RemoteError: the registry refused, or did not answer.
        """
        with self._lock:
            try:
                family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
                listener = socket.create_server(
                    (self._host, self._asked_port), family=family, backlog=1_024
                )
            except OSError as error:
                raise CannotServe(
                    f"cannot listen at {self._host}:{self._asked_port}: {error.strerror or error}",
                    ExitStatus.CONFLICT,
                    "choose another port, or 0 for any that is free",
                ) from error
            listener.settimeout(0)
            self._listener = listener
            self._port = int(listener.getsockname()[1])
            self._loop.call_soon_threadsafe(self._doors.listen, listener)
            names = list(self._doors.actors)
        try:
            for name in names:
                self._list(name)
        except BaseException:
            self.stop(0)
            raise
        return self

    def run(self, grace: float = GRACE_S) -> None:
        """Serve until SIGTERM or Ctrl-C, or until another thread says `stop`; then stop with a grace of seconds.

        Raises:
            CannotServe: as `serve`, which was not called before.
        """
        if self._listener is None:
            self.serve()
        main = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGTERM, _terminate) if main else None
        try:
            self._stopped.wait()
        except (KeyboardInterrupt, _Terminated):
            pass
        finally:
            if main:
                signal.signal(signal.SIGTERM, before)
        self.stop(grace)

    def stop(self, grace: float = GRACE_S) -> None:
        """Take no more calls, let those that run end, and after `grace` seconds give them up.

        Callers are told at once: calls that wait did not run, and go elsewhere. A method that stops its own server
        does so in another thread, for this waits for the method.
        """
        with self._lock:
            if self._stopping:
                return
            self._stopping = True
        if self._registry is not None:
            for registration in self._doors.registrations():
                self._registry.withdraw(registration)
        self._in_loop(self._doors.stop_taking)
        end = time.monotonic() + grace
        while time.monotonic() < end and self._in_loop(self._doors.is_busy):
            time.sleep(_LOOK_S)
        self._in_loop(self._doors.give_up)
        end = max(end, time.monotonic() + _LOOK_S)
        while time.monotonic() < end and self._in_loop(self._doors.has_unsent):
            time.sleep(_LOOK_S)
        self._in_loop(self._doors.close)
        if self._tasks is not None:
            self._tasks.call_soon_threadsafe(self._tasks.stop)
        self._stopped.set()

    def _in_loop(self, work: Any) -> Any:
        """What a function returns that runs in the loop of the wire."""
        done: Future[Any] = Future()

        def run() -> None:
            try:
                done.set_result(work())
            except BaseException as error:  # noqa: BLE001
                done.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return done.result()

    def __enter__(self) -> Self:
        return self.serve() if self._listener is None else self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _is_name(name: object) -> bool:
    return isinstance(name, str) and is_name(name)


def _is_count(number: object) -> bool:
    return isinstance(number, int) and number >= 1


def _registry_of_task() -> Registry | None:
    if "IRIS_CONTROLLER_ADDRESS" not in os.environ or "IRIS_ATTEMPT_ID" not in os.environ:
        return None
    from iris.actor.cluster import registry_of_task  # gRPC, which is heavy

    return registry_of_task()


def _host_of_task() -> str:
    """Where others reach this machine: nowhere but on itself, if that is what it is known by."""
    known_by = os.environ.get("IRIS_ADVERTISE_HOST", "")
    return known_by if known_by and _is_loopback(known_by) else _ANY


def _port(port: int | str) -> int:
    if isinstance(port, int):
        return port
    variable = f"IRIS_PORT_{port.upper()}"
    found = os.environ.get(variable, "")
    if not found.isdecimal():
        raise CannotServe(
            f"the port {port!r} was not given to this task: {variable} is not set",
            ExitStatus.BAD_INPUT,
            f"submit the job with ports=[{port!r}]",
        )
    return int(found)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


__all__ = ["ActorServer", "CannotServe"]
