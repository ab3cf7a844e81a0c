"""Where an actor serves: what a resolver answers, and the one whose answer never changes.

A resolver turns the name of an actor into endpoints. Clients and pools ask it seldom: they keep what
they were told until an endpoint does not answer, and then say so by `invalidate`. So the
controller, which stands behind the cluster's resolver, is not asked for each call.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

_LAST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server of an actor, for as long as the attempt lasts that registered it."""

    name: str
    """The actor's, as its server registered it."""
    address: str
    """As `10.0.0.3:10417`."""
    id: str = ""
    """Names this registration and no other: a task that registers again, and a later attempt, get another.
    A server that is not the one meant, because a port found a new owner, is thereby found out. Empty
    at servers that no controller knows."""
    attempt: int = 0
    """Of the task that serves. Of one task a resolver gives endpoints of the newest attempt only."""
    secret: str = field(default="", repr=False)
    """What caller and server prove to each other that they know; it is never sent. Empty: no proof, on
    loopback only."""
    task: str = ""
    """Which task serves, as `/alice/train:3`; empty at servers that no controller knows."""
    rank: int = 0
    """The task's index in its job, which in a gang is its rank."""


Endpoints: TypeAlias = Sequence[Endpoint]


class Resolver(Protocol):
    """Finds the endpoints of actors. Safe to use from several threads; calls may block."""

    def resolve(self, name: str) -> Endpoints:
        """The endpoints of an actor, oldest first; none while nobody serves it.

        What was told before may be told again without asking, until it is invalidated.

        Raises:
            RemoteError: the controller refused, or did not answer.
        """
        ...

    def invalidate(self, endpoint: Endpoint) -> None:
        """Somebody did not answer there: the next `resolve` of its name asks anew."""
        ...

    def changed(self, name: str, known: Endpoints, wait_s: float) -> Endpoints:
        """The endpoints as soon as they are others than those known, and after `wait_s` seconds in any case.

        Raises:
            RemoteError: the controller refused, or did not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class Registration:
    """That a server is listed, and what its callers will prove themselves by."""

    name: str
    id: str
    secret: str = field(repr=False)


class Registry(Protocol):
    """Where a server says that it serves an actor. Safe to use from several threads; calls may block."""

    def register(self, name: str, port: int) -> Registration:
        """List an actor of this attempt, at a port of this host, until it is withdrawn or the attempt ends.

        A lease, if there is one, is kept up by the registry itself.

        Raises:
            RemoteError: the controller refused, or did not answer.
        """
        ...

    def withdraw(self, registration: Registration) -> None:
        """List it no longer. It is no error if it is not listed, or if nobody answers."""
        ...


class FixedResolver:
    """Knows a list of addresses, which serve every name."""

    def __init__(self, *addresses: str, token: str = "") -> None:
        """Nothing is asked of anybody.

        Args:
            addresses: as `127.0.0.1:9000`.
            token: what the servers were given as theirs; empty for none, on loopback only.

        Raises:
            ValueError: one is no address.
        """
        for address in addresses:
            if not _is_address(address):
                raise ValueError(f"{address!r} is no address: it must be as `127.0.0.1:9000`")
        self._addresses = addresses
        self._token = token

    def resolve(self, name: str) -> Endpoints:
        """An endpoint for each address."""
        return tuple(Endpoint(name, address, secret=self._token) for address in self._addresses)

    def invalidate(self, endpoint: Endpoint) -> None:
        """Nothing: there is nobody to ask."""

    def changed(self, name: str, known: Iterable[Endpoint], wait_s: float) -> Endpoints:
        """The same endpoints, after the wait if they are known."""
        found = self.resolve(name)
        if tuple(known) == found:
            time.sleep(wait_s)
        return found


def _is_address(text: object) -> bool:
    if not isinstance(text, str):
        return False
    host, _, port = text.rpartition(":")
    return bool(host) and "/" not in host and port.isdecimal() and 0 < int(port) <= _LAST_PORT
