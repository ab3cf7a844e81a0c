"""Actors: objects that serve calls from other tasks. A server, a client, a pool of servers, and how they are found."""

from iris.actor.client import ActorClient
from iris.actor.errors import (
    ActorBusy,
    ActorDenied,
    ActorError,
    ActorLost,
    ActorUnavailable,
    CallTimeout,
    NoSuchMethod,
    NotReadable,
    RemoteFailure,
    RemoteTraceback,
)
from iris.actor.futures import ActorFuture, ActorStream
from iris.actor.pool import ActorPool
from iris.actor.resolver import Endpoint, FixedResolver, Registration, Registry, Resolver
from iris.actor.server import ActorServer, CannotServe
from iris.pickling import NotPicklable

__all__ = [
    "ActorBusy",
    "ActorClient",
    "ActorDenied",
    "ActorError",
    "ActorFuture",
    "ActorLost",
    "ActorPool",
    "ActorServer",
    "ActorStream",
    "ActorUnavailable",
    "CallTimeout",
    "CannotServe",
    "Endpoint",
    "FixedResolver",
    "NoSuchMethod",
    "NotPicklable",
    "NotReadable",
    "Registration",
    "Registry",
    "RemoteFailure",
    "RemoteTraceback",
    "Resolver",
]
