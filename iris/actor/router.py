"""Which server a call goes to: lines to endpoints, calls that wait for one, and who looks for more.

The resolver is asked when there is nobody to call, and by pools once for each change; never for a call.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Sequence
from copy import copy
from typing import Final, TypeAlias

from iris.actor.deadlines import Deadlines
from iris.actor.errors import (
    ActorDenied,
    ActorError,
    ActorLost,
    ActorUnavailable,
    CallTimeout,
    NoSuchMethod,
)
from iris.actor.handshake import AnotherServes, greeted
from iris.actor.line import Line, Request, late, was_sent
from iris.actor.loop import in_wire_loop, wire_loop
from iris.actor.parked import Parked
from iris.actor.resolver import Endpoint, Endpoints, Resolver
from iris.problems import Failure

Choice: TypeAlias = Callable[[Sequence[Line]], Line]
"""Which of some lines, of which there is one at least, is to take the next call."""

_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 1.0
_LOOK_S: Final = 10.0
"""How long a question for news may stay open."""
_NOT_TOLD: Final = "who serves it was asked, and not answered yet"


class Router:
    """The lines of one client or pool, and the calls that wait for one."""

    def __init__(
        self,
        name: str,
        resolver: Resolver,
        choice: Choice,
        *,
        patience_s: float,
        of_all: bool,
    ) -> None:
        """Nobody is asked or called yet, unless `of_all`.

        Args:
            name: of the actor.
            resolver: knows where it is served.
            choice: which line takes a call.
            patience_s: how long a call waits for somebody who serves.
            of_all: whether lines to all endpoints are kept up, as they come and go; else to one.
        """
        self.name = name
        self._resolver = resolver
        self._choice = choice
        self._patience_s = patience_s
        self._of_all = of_all
        self._loop = wire_loop()
        self._process = os.getpid()
        self._lock = threading.Lock()
        self.lines: list[Line] = []
        self.changed = threading.Condition(self._lock)
        """Notified when lines come or go."""
        self._parked = Parked(patience_s)
        self._is_sending_parked = False
        self._is_looking = False
        self._is_opening = False
        """Whether connections are being tried."""
        self._awaiting = 0
        """Threads that wait for a line, each with a call for all servers."""
        self._refusal: Failure | None = None  # None: they may wait on
        self._why_none = ""
        """Why there is no line, as far as is known."""
        self._is_closed = False
        self._news = threading.Event()
        self._deadlines = Deadlines(self._loop, self._expire)
        if of_all:
            threading.Thread(
                target=self._watch, name=f"iris-actor-watch-{name}", daemon=True
            ).start()

    # ---- calls ---------------------------------------------------------------------------------

    def place(self, request: Request, *, now: bool = False) -> None:
        """Make a call, now or when somebody serves; its sink learns what became of it."""
        if os.getpid() != self._process:
            raise RuntimeError(
                f"the client of {self.name!r} was made before this process was forked; make one here"
            )
        if request.until is not None:
            self._deadlines.add(request, request.until)
        self._send(request, now=now)

    def _send(self, request: Request, *, now: bool = False) -> None:
        while True:
            with self._lock:
                if self._is_closed:
                    break
                if not self.lines or self._parked or self._is_sending_parked:
                    self._parked.add(request)  # A timer ends it: the finder may wait longer.
                    self._deadlines.add(request, request.give_up_at)
                    self._look()
                    return
                line = self._choice(self.lines)
            if line.send(request, now=now):
                return
            self._forget(line)
        request.fail(ActorUnavailable(f"{request.what} did not run: its client was closed"))

    def lines_now(self, what: str, timeout: float | None) -> Sequence[Line]:
        """The lines that there are, of which there is one at least; waits for them as a call does.

        Args:
            what: shall be called at all of them, for messages.
            timeout: seconds, if not as many as the patience.

        Raises:
            ActorUnavailable: there is none.
            CallTimeout: there is none, and the timeout was shorter than the patience.
            Failure: nobody lets this caller in.
        """
        refusal = None
        with self.changed:
            if not self.lines and not in_wire_loop():
                refusal = self._await_lines(self._patience_s if timeout is None else timeout)
            if self.lines:
                return list(self.lines)
        if refusal is not None:
            raise copy(refusal)
        if self._is_closed:
            raise ActorUnavailable(f"{what} did not run: its client was closed")
        if timeout is not None and timeout < self._patience_s:
            raise CallTimeout(f"{what} did not run: {self._nobody()} after {timeout:.3g} s")
        raise self._unavailable(what)

    def _await_lines(self, wait_s: float) -> Failure | None:
        """Wait for all lines that there are at first, or for why there can be none; the lock is held at both ends."""
        self._awaiting += 1
        self._refusal = None
        self._look()
        self.changed.wait_for(
            lambda: (
                (self.lines and not self._is_opening)
                or self._refusal is not None
                or self._is_closed
            ),
            min(wait_s, self._patience_s),
        )
        self._awaiting -= 1
        return self._refusal

    def _nobody(self) -> str:
        return f"nobody could be reached ({self._why_none})"

    def _unavailable(self, what: str) -> ActorUnavailable:
        words = f"{what} did not run: in {self._patience_s:.3g} s {self._nobody()}"
        return ActorUnavailable(words)

    def send_to(self, line: Line, request: Request) -> None:
        """Make a call to one server and no other."""
        if request.until is not None:
            self._deadlines.add(request, request.until)
        if not line.send(request, now=False):
            message = f"{request.what} did not run: {line.endpoint.address} has gone away"
            request.fail(ActorUnavailable(message))

    def cancel(self, request: Request) -> None:
        """Nobody waits for a call any longer; from any thread."""
        if request.line is not None:
            request.line.cancel(request)
        request.end()

    def _expire(self, request: Request) -> None:
        """The time of a call is over, or that for which it waits for somebody who serves."""
        now = time.monotonic()
        is_late = request.until is not None and request.until <= now
        with self._lock:
            was_parked = (is_late or request.give_up_at <= now) and self._parked.take(request)
        if request.is_over or not (is_late or was_parked):  # It has found a line meanwhile.
            return
        if request.line is not None:
            request.line.cancel(request)
        if not is_late:
            request.fail(self._unavailable(request.what))
        elif was_parked:
            request.fail(late(request, self._nobody()))
        else:
            request.fail(late(request, "" if was_sent(request) else "it had not been sent"))

    def again(self, request: Request) -> None:
        """A call did not run, and is made elsewhere."""
        if not request.is_over:
            self._send(request)

    # ---- lines ---------------------------------------------------------------------------------

    def _forget(self, line: Line) -> None:
        with self._lock:
            if line in self.lines:
                self.lines.remove(line)
                self.changed.notify_all()
            if self._of_all and not self._is_closed:
                self._look()
        self._resolver.invalidate(line.endpoint)

    def line_stopping(self, line: Line) -> None:
        """A server takes no more calls."""
        self._forget(line)

    def line_lost(self, line: Line, requests: Sequence[Request], why: str) -> None:
        """A connection is over: what did not run, or may run twice, is made again; the rest ends."""
        self._forget(line)
        for request in requests:
            if not was_sent(request):
                self._send(request)
                continue
            request.lost = f"the server at {line.endpoint.address} was lost ({why})"
            if request.retries > 0:
                request.retries -= 1
                self._send(request)
            else:
                request.fail(ActorLost(f"{request.what} may have run or not: {request.lost}"))

    def close(self) -> None:
        """End all lines; what waits or is under way fails."""
        with self._lock:
            self._is_closed = True
            lines, self.lines = self.lines, []
            parked = self._parked.clear()
            self.changed.notify_all()
        self._news.set()
        for request in parked:
            request.fail(ActorUnavailable(f"{request.what} did not run: its client was closed"))
        for line in lines:
            line.connection.close("this client was closed")

    # ---- looking for endpoints -----------------------------------------------------------------

    def _look(self) -> None:
        """See to it that somebody looks for endpoints; the lock is held."""
        self._news.set()
        if not self._is_looking:
            self._is_looking = True
            self._why_none = _NOT_TOLD
            name = f"iris-actor-find-{self.name}"
            threading.Thread(target=self._find, name=name, daemon=True).start()

    def _needs(self, endpoints: Endpoints | None) -> bool:
        """Whether somebody must look further; the lock is held."""
        if self._is_closed:
            return False
        if self._parked or (self._awaiting and not self.lines):
            return True
        if not self._of_all:
            return False
        have = [line.endpoint for line in self.lines]
        return endpoints is None or any(endpoint not in have for endpoint in endpoints)

    def _find(self) -> None:
        """Look for endpoints until there is no need to, in a thread of its own."""
        endpoints: Endpoints | None = None  # None: not asked yet
        pause = _FIRST_PAUSE_S
        while True:
            with self._lock:
                has_news = self._of_all and self._news.is_set() and not self._is_closed
                if not (has_news or self._needs(endpoints)):
                    self._is_looking = False
                    return
                self._news.clear()
            why = "nobody serves it"
            try:
                endpoints = self._resolver.resolve(self.name)
                why = self._connect(endpoints) or why
            except Failure as error:
                why = str(error)
                if not getattr(error, "is_passing", False):
                    self._fail_parked(error)
            except Exception as error:  # noqa: BLE001
                why = f"its resolver failed: {type(error).__name__}: {error}"
            self._why_none = why
            self._send_parked()
            self._rest(endpoints, pause if endpoints else _LOOK_S)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _rest(self, endpoints: Endpoints | None, most_s: float) -> None:
        """Wait a while, or until there may be other endpoints."""
        with self._lock:
            wait_s = min(max(self._parked.left(most_s), _FIRST_PAUSE_S), most_s)
            if not self._needs(endpoints):
                return
        if self._of_all or endpoints:
            self._news.wait(wait_s)
            return
        try:
            self._resolver.changed(self.name, (), wait_s)
        except Exception:  # noqa: BLE001
            self._news.wait(min(wait_s, _LONGEST_PAUSE_S))

    def _watch(self) -> None:
        """Learn of every change of the endpoints, in a thread of its own."""
        known: Endpoints = ()
        while not self._is_closed:
            try:
                found = self._resolver.changed(self.name, known, _LOOK_S)
            except Exception:  # noqa: BLE001
                time.sleep(_LONGEST_PAUSE_S)
                continue
            if tuple(found) != tuple(known):
                known = found
                with self._lock:
                    gone = [line for line in self.lines if line.endpoint not in found]
                    self.lines = [line for line in self.lines if line not in gone]
                    self.changed.notify_all()
                    self._look()
                for line in gone:
                    line.retire()

    def _connect(self, endpoints: Endpoints) -> str:
        """Open lines to endpoints: all, or the first that answers; why the last one failed, if one did.

        Raises:
            ActorDenied: none was opened, and one server does not believe this caller.
            NoSuchMethod: none was opened, and a server has no such actor.
        """
        with self._lock:
            have = [line.endpoint for line in self.lines]
            missing = [endpoint for endpoint in endpoints if endpoint not in have]
            self._is_opening = True
        try:
            return asyncio.run_coroutine_threadsafe(self._open(missing), self._loop).result()
        finally:
            with self._lock:
                self._is_opening = False
                self.changed.notify_all()

    async def _open(self, endpoints: Endpoints) -> str:
        if self._of_all:
            errors = list(await asyncio.gather(*map(self._tried, endpoints)))
        else:
            errors = []
            for endpoint in endpoints:
                errors.append(await self._tried(endpoint))
                if errors[-1] is None:
                    return ""
        failures = [error for error in errors if error is not None]
        if failures and not self.lines and isinstance(failures[-1], ActorError):
            raise failures[-1]
        return str(failures[-1]) if failures else ""

    async def _tried(self, endpoint: Endpoint) -> Exception | None:
        """Open a line to an endpoint; why not, if not."""
        try:
            sock = await greeted(endpoint)
        except (AnotherServes, ActorDenied, NoSuchMethod) as error:
            self._resolver.invalidate(endpoint)
            return error
        except OSError as error:
            self._resolver.invalidate(endpoint)
            return OSError(f"{endpoint.address}: {error.strerror or error}")
        line = Line(self._loop, sock, endpoint, self)
        with self._lock:
            self.lines.append(line)
            self.changed.notify_all()
            closed = self._is_closed
        if closed:
            line.connection.close("this client was closed")
        return None

    # ---- calls that wait -----------------------------------------------------------------------

    def _send_parked(self) -> None:
        """Make the calls that wait, before any that are made meanwhile."""
        while True:
            with self._lock:
                request = self._parked.next() if self.lines else None
                self._is_sending_parked = request is not None
                if request is None:
                    return
                line = self._choice(self.lines)
            if not request.is_over and not line.send(request, now=False):
                with self._lock:
                    self._parked.put_back(request)
                    self._deadlines.add(request, request.give_up_at)
                self._forget(line)

    def _fail_parked(self, error: Failure) -> None:
        with self._lock:
            parked = self._parked.clear()
            self._refusal = error
            self.changed.notify_all()
        for request in parked:
            request.fail(copy(error))
