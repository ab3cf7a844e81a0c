"""How caller and server prove to each other that they know an endpoint's secret, without sending it.

Each side draws a nonce; each proof is an HMAC-SHA256 under the secret over its side's name, the actor, the
registration and both nonces. So a proof is good for one connection, and a caller finds out when a port
has found a new owner before it sends anything.
"""

import asyncio
import hashlib
import hmac
import json
import secrets
import socket
from dataclasses import dataclass
from typing import Final

from iris.actor.errors import ActorDenied, NoSuchMethod
from iris.actor.frames import HEADER, LARGEST_GREETING, VERSION, Kind, Malformed, message
from iris.actor.resolver import Endpoint

PATIENCE_S: Final = 10.0
"""For a connection and its greeting."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What a caller begins with."""

    actor: str
    id: str
    """Of the registration that the caller means; empty: none, it knows the server's own token."""
    nonce: str


class AnotherServes(Exception):
    """Somebody answers at that address who is not the server meant."""


def nonce() -> str:
    """A word that was never used before."""
    return secrets.token_hex(16)


def proof(secret: str, side: str, hello: Hello, answer: str) -> str:
    """What shows that a side, `caller` or `server`, knows the secret."""
    said = json.dumps(["iris-actor", VERSION, side, hello.actor, hello.id, hello.nonce, answer])
    return hmac.new(secret.encode(), said.encode(), hashlib.sha256).hexdigest()


def is_proof(shown: object, secret: str, side: str, hello: Hello, answer: str) -> bool:
    """Whether that is what a side would show, compared in constant time."""
    expected = proof(secret, side, hello, answer)
    return isinstance(shown, str) and hmac.compare_digest(shown.encode(), expected.encode())


def written(**words: object) -> bytes:
    """The head of a greeting's frame."""
    return json.dumps(words).encode()


def read(head: bytes) -> dict[str, object]:
    """What a greeting's frame says.

    Raises:
        Malformed: it is none.
    """
    try:
        found = json.loads(head)
    except ValueError as error:
        raise Malformed("a greeting that is no JSON") from error
    if not isinstance(found, dict):
        raise Malformed("a greeting that is no object")
    return found


def hello_of(head: bytes) -> Hello:
    """What a caller began with.

    Raises:
        Malformed: it speaks another language, or another version of this one.
    """
    found = read(head)
    if found.get("version") != VERSION:
        raise Malformed(f"version {found.get('version')!r}, and this server speaks {VERSION}")
    words = [found.get(key) for key in ("actor", "id", "nonce")]
    if not all(isinstance(word, str) for word in words):
        raise Malformed("a greeting that lacks a word")
    return Hello(*map(str, words))


async def greeted(endpoint: Endpoint) -> socket.socket:
    """A connection to an endpoint over which calls may be sent; runs in the loop of the wire.

    Raises:
        OSError: nobody answers there.
        AnotherServes: somebody else does.
        ActorDenied: the server does not believe that this caller knows the secret.
        NoSuchMethod: the server serves no actor of that name.
    """
    loop = asyncio.get_running_loop()
    host, _, port = endpoint.address.rpartition(":")
    sock: socket.socket | None = None
    try:
        async with asyncio.timeout(PATIENCE_S):
            found = await loop.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
            sock = socket.socket(found[0][0], socket.SOCK_STREAM)
            sock.settimeout(0)
            await loop.sock_connect(sock, found[0][4])
            await _prove(loop, sock, endpoint)
    except BaseException as error:
        if sock is not None:
            sock.close()
        if isinstance(error, TimeoutError):
            raise OSError(f"no answer in {PATIENCE_S:.0f} s") from error
        raise
    return sock


async def _prove(loop: asyncio.AbstractEventLoop, sock: socket.socket, endpoint: Endpoint) -> None:
    mine = Hello(endpoint.name, endpoint.id, nonce())
    words = written(version=VERSION, actor=mine.actor, id=mine.id, nonce=mine.nonce)
    await loop.sock_sendall(sock, message(Kind.HELLO, 0, words).frame)
    welcome = await _answer(loop, sock, Kind.WELCOME, endpoint)
    theirs = str(welcome.get("nonce"))
    if not is_proof(welcome.get("proof"), endpoint.secret, "server", mine, theirs):
        if endpoint.id:
            raise AnotherServes(f"the server at {endpoint.address} is not that of {endpoint.id}")
        raise ActorDenied(f"the server at {endpoint.address} has another token than this caller")
    shown = written(proof=proof(endpoint.secret, "caller", mine, theirs))
    await loop.sock_sendall(sock, message(Kind.PROOF, 0, shown).frame)
    await _answer(loop, sock, Kind.READY, endpoint)


async def _answer(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, expected: Kind, endpoint: Endpoint
) -> dict[str, object]:
    """What the server says next.

    Raises:
        AnotherServes: it does not speak as one, or does not know the registration.
        ActorDenied: it does not believe this caller.
        NoSuchMethod: it serves no actor of that name.
    """
    length, kind, _, head = HEADER.unpack(await _exactly(loop, sock, HEADER.size))
    if length > LARGEST_GREETING or kind not in (expected, Kind.DENIED) or head != length:
        raise AnotherServes(f"no actor's server answers at {endpoint.address}")
    try:
        words = read(await _exactly(loop, sock, length)) if length else {}
    except Malformed as error:
        raise AnotherServes(f"no actor's server answers at {endpoint.address}") from error
    if kind == expected:
        return words
    why = str(words.get("why"))
    match words.get("code"):
        case "denied":
            raise ActorDenied(why)
        case "unknown":
            raise NoSuchMethod(why)
        case _:
            raise AnotherServes(why)


async def _exactly(loop: asyncio.AbstractEventLoop, sock: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        piece = await loop.sock_recv(sock, count - len(found))
        if not piece:
            raise ConnectionResetError("the connection was closed")
        found += piece
    return found
