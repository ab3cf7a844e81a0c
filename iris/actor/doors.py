"""The server's side of all connections: who is let in, which call goes to which actor, and what it holds.

Everything here runs in the loop of the wire, but for `ended` and `Link.answer`.
"""

import asyncio
import socket
import threading
from collections import deque
from typing import Final

from iris.actor.calls import Call, Refusal, call_of
from iris.actor.connection import Connection
from iris.actor.frames import Arrival, Kind, Malformed, message
from iris.actor.handshake import PATIENCE_S, Hello, hello_of, is_proof, nonce, proof, read, written
from iris.actor.loop import disown, own
from iris.actor.payload import Payload
from iris.actor.resolver import Registration
from iris.actor.serving import Actor

_LATER_S: Final = 1.0
_LINGER_S: Final = 1.0
"""For a refused caller to read why."""
_MOST_STRANGERS: Final = 1_000
"""Connections that may be open whose callers have proven nothing yet."""


class Doors:
    """All that one server's callers have in common."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, token: str, most_bytes: int, *, is_open: bool
    ) -> None:
        """Doors that are closed.

        Args:
            loop: of the wire.
            token: the server's own; callers that mean no registration prove it.
            most_bytes: of arguments, at a time.
            is_open: whether nobody has to know anything: on loopback only.
        """
        self.loop = loop
        self.actors: dict[str, Actor] = {}
        self._token = token
        self._is_open = is_open
        self._most_bytes = most_bytes
        self._held = 0
        self._lock = threading.Lock()
        self._asking: deque[tuple[Link, Call]] = deque()  # Large calls that wait for room.
        self._registrations: dict[str, Registration] = {}
        self._listener: socket.socket | None = None
        self.links: set[Link] = set()
        self.strangers: set[Link] = set()
        self.is_stopping = False

    # ---- who comes in --------------------------------------------------------------------------

    def admit(self, registration: Registration) -> None:
        """Let in who knows the secret of a registration."""
        self._registrations[registration.id] = registration

    def registrations(self) -> list[Registration]:
        """Under which this server is listed."""
        return list(self._registrations.values())

    def secret(self, hello: Hello) -> str | None:
        """What a caller must know; nothing if it means somebody else."""
        if hello.id:
            found = self._registrations.get(hello.id)
            return found.secret if found is not None and found.name == hello.actor else None
        return self._token if self._token or self._is_open else None

    def listen(self, listener: socket.socket) -> None:
        """Take connections."""
        if self.is_stopping:
            return
        self._listener = listener
        own(listener.fileno())
        self.loop.add_reader(listener.fileno(), self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # No descriptor is left, or the like: it is tried again later.
                self.loop.remove_reader(listener.fileno())
                self.loop.call_later(_LATER_S, self.listen, listener)
                return
            if len(self.strangers) >= _MOST_STRANGERS:
                sock.close()
                continue
            Link(self, sock)

    # ---- what is held --------------------------------------------------------------------------

    def refusal(self, call: Call, actor: Actor) -> tuple[Refusal, str] | None:
        """Why a call cannot wait for its turn; nothing if it can."""
        if self.is_stopping:
            return Refusal.STOPPING, f"the server of {actor.name!r} is stopping"
        if actor.is_full:
            words = f"{actor.waiting:,} calls wait for {actor.name!r} already"
            return Refusal.BUSY, words
        if call.size > self._most_bytes:
            words = (
                f"arguments of {call.size:,} bytes; this server takes {self._most_bytes:,} at most"
            )
            return Refusal.BUSY, words
        return None

    def has_room(self, call: Call) -> bool:
        """Whether the arguments of a call may be held, too."""
        return self._held + call.size <= self._most_bytes

    def hold(self, call: Call) -> None:
        """Count the arguments of a call until it has ended."""
        with self._lock:
            self._held += call.size
            call.held = call.size

    def ask(self, link: "Link", call: Call) -> None:
        """Grant a large call its room when there is some, in the order of arrival."""
        self._asking.append((link, call))
        self._grant()

    def _grant(self) -> None:
        while self._asking:
            link, call = self._asking[0]
            if call.is_over:
                self._asking.popleft()
                continue
            if not self.has_room(call):
                return
            self._asking.popleft()
            self.hold(call)
            link.grant(call)

    def ended(self, call: Call) -> None:
        """A call is over, and its arguments are held no longer; from any thread."""
        with self._lock:
            self._held -= call.held
            call.held = 0
        if isinstance(call.caller, Link):
            call.caller.calls.pop(call.number, None)
        if self._asking:
            self.loop.call_soon_threadsafe(self._grant)

    # ---- the end -------------------------------------------------------------------------------

    def stop_taking(self) -> None:
        """Take no more connections and calls; what waits did not run, and its callers are told so."""
        self.is_stopping = True
        if self._listener is not None:
            self.loop.remove_reader(self._listener.fileno())
            disown(self._listener.fileno())
            self._listener.close()
        for link in list(self.links):
            link.say(Kind.STOPPING)
        for actor in self.actors.values():
            for call in actor.clear():
                if isinstance(call.caller, Link):
                    call.caller.refuse(
                        call, Refusal.STOPPING, f"the server of {actor.name!r} stops"
                    )
                self.ended(call)

    def is_busy(self) -> bool:
        """Whether a call runs."""
        return any(actor.running for actor in self.actors.values())

    def has_unsent(self) -> bool:
        """Whether an answer waits to be sent."""
        return any(link.connection.unsent for link in self.links)

    def give_up(self) -> None:
        """End what still runs, as far as it can be ended, and tell its callers."""
        for actor in self.actors.values():
            for call in list(actor.running):
                if isinstance(call.caller, Link) and not call.is_over:
                    words = f"{call.method} was given up: its server has stopped"
                    call.caller.refuse(call, Refusal.LOST, words)
                call.give_up()

    def close(self) -> None:
        """End all connections."""
        for link in [*self.links, *self.strangers]:
            link.connection.close("the server has stopped")


class Link:
    """One caller's connection."""

    def __init__(self, doors: Doors, sock: socket.socket) -> None:
        """A stranger, until it has proven itself; it has not for ever."""
        self._doors = doors
        self._hello: Hello | None = None
        self._answer = nonce()
        self._is_denied = False
        self._actor: Actor | None = None
        self.calls: dict[int, Call] = {}
        self._large: dict[int, Call] = {}  # Whose payload is still to come.
        doors.strangers.add(self)
        self.connection = Connection(doors.loop, sock, self)
        self._patience = doors.loop.call_later(PATIENCE_S, self._too_slow)

    @property
    def is_full(self) -> bool:
        """Whether so many answers wait to be sent that no further call should begin."""
        return self.connection.is_full

    def say(self, kind: Kind, head: bytes = b"", call: int = 0) -> None:
        """Send a small frame before the answers that wait."""
        self.connection.send(message(kind, call, head), urgent=True, now=True)

    def answer(
        self, call: Call, kind: Kind, payload: Payload, head: bytes = b"", *, now: bool
    ) -> None:
        """Send an answer to a call, unless nobody waits for it; from any thread."""
        if call.is_over:
            return
        if kind is not Kind.ITEM:
            call.is_over = True
        self.connection.send(message(kind, call.number, head, payload), now=now)

    def refuse(self, call: Call, why: Refusal, words: str) -> None:
        """Say that a call did not run."""
        self.answer(call, Kind.REFUSED, (words.encode(),), bytes([why]), now=False)

    def grant(self, call: Call) -> None:
        """There is room for the payload of a call."""
        self.say(Kind.GRANT, call=call.number)

    # ---- what comes ----------------------------------------------------------------------------

    def announced(self, coming: Arrival) -> None:
        """The frame of a call with a large payload."""
        if coming.kind is not Kind.CALL or self._actor is None:
            raise Malformed(f"a large frame of kind {coming.kind}")
        call = call_of(self, coming.call, coming.head, coming.missing)
        self.calls[call.number] = call
        if (refusal := self._doors.refusal(call, self._actor)) is not None:
            self._turn_away(call, *refusal)
            return
        self._large[call.number] = call
        self._doors.ask(self, call)

    def arrived(self, whole: Arrival) -> None:
        """A frame with all of its payload."""
        match whole.kind:
            case _ if self._is_denied:
                return
            case Kind.CALL if self._actor is not None:
                self._called(whole, self._actor)
            case Kind.CANCEL:
                self._cancelled(whole.call)
            case Kind.CREDIT:
                call = self.calls.get(whole.call)
                if call is not None and call.credit is not None:
                    call.credit.give(int.from_bytes(whole.head[:8]))
            case Kind.HELLO if self._hello is None:
                self._greeted(hello_of(whole.head))
            case Kind.PROOF if self._hello is not None and self._actor is None:
                self._proven(self._hello, read(whole.head).get("proof"))
            case _:
                raise Malformed(f"a frame of kind {whole.kind}, which nobody expects")

    def _called(self, whole: Arrival, actor: Actor) -> None:
        call = self._large.pop(whole.call, None)
        if call is None:
            size = sum(map(len, whole.payload))
            call = call_of(self, whole.call, whole.head, size)
            self.calls[call.number] = call
            refusal = self._doors.refusal(call, actor)
            if refusal is None and not self._doors.has_room(call):
                words = f"the server of {actor.name!r} holds as many bytes of arguments as it may"
                refusal = Refusal.BUSY, words
            if refusal is not None:
                self._turn_away(call, *refusal)
                return
            self._doors.hold(call)
        call.payload = whole.payload
        if call.is_over:
            self._doors.ended(call)
        else:
            actor.admit(call)

    def _turn_away(self, call: Call, why: Refusal, words: str) -> None:
        self.refuse(call, why, words)
        self.calls.pop(call.number, None)
        self.connection.forget(call.number)

    def _cancelled(self, number: int) -> None:
        if (call := self.calls.get(number)) is None:
            return
        self._nobody_waits(call)
        if self._large.pop(number, None) is not None:
            self.connection.forget(number)
            self._doors.ended(call)

    def _nobody_waits(self, call: Call) -> None:
        call.give_up()
        if self._actor is not None:
            self._actor.withdraw(call)

    def has_room(self) -> None:
        """Its answers have been sent: its calls may go on."""
        if self._actor is not None:
            self._actor.proceed()

    def lost(self, why: str) -> None:  # noqa: ARG002
        """The caller is gone: nobody waits for its calls."""
        self._patience.cancel()
        self._doors.links.discard(self)
        self._doors.strangers.discard(self)
        for call in list(self.calls.values()):
            self._nobody_waits(call)
        for call in self._large.values():
            self._doors.ended(call)
        if self._actor is not None:
            self._actor.proceed()

    # ---- the greeting --------------------------------------------------------------------------

    def _greeted(self, hello: Hello) -> None:
        self._hello = hello
        secret = self._doors.secret(hello)
        if secret is None:
            if hello.id:
                self._deny("another", f"another server than that of {hello.id} answers here")
            else:
                self._deny("denied", "this server serves those who found it by its registration")
            return
        shown = proof(secret, "server", hello, self._answer)
        self.say(Kind.WELCOME, written(nonce=self._answer, proof=shown))

    def _proven(self, hello: Hello, shown: object) -> None:
        secret = self._doors.secret(hello)
        if secret is None or not is_proof(shown, secret, "caller", hello, self._answer):
            self._deny("denied", "the token is not that of this server")
            return
        actor = self._doors.actors.get(hello.actor)
        if actor is None:
            names = ", ".join(sorted(self._doors.actors)) or "none"
            self._deny("unknown", f"no actor is called {hello.actor!r} here; there are {names}")
            return
        self._patience.cancel()
        self._actor = actor
        self._doors.strangers.discard(self)
        self._doors.links.add(self)
        self.connection.trust()
        self.say(Kind.READY)
        if self._doors.is_stopping:
            self.say(Kind.STOPPING)

    def _deny(self, code: str, why: str) -> None:
        self._is_denied = True
        self.say(Kind.DENIED, written(code=code, why=why))
        self._patience.cancel()
        self._patience = self._doors.loop.call_later(_LINGER_S, self._too_slow)

    def _too_slow(self) -> None:
        self.connection.close("it did not prove itself")
