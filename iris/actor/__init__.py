"""Actors: objects that serve calls from other tasks. A server, a client, a pool of servers, and how they are found."""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
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

_MODULES: Final = {
    "iris.actor.client": ("ActorClient",),
    "iris.actor.errors": (
        "ActorBusy",
        "ActorDenied",
        "ActorError",
        "ActorLost",
        "ActorUnavailable",
        "CallTimeout",
        "NoSuchMethod",
        "NotReadable",
        "RemoteFailure",
        "RemoteTraceback",
    ),
    "iris.actor.futures": ("ActorFuture", "ActorStream"),
    "iris.actor.pool": ("ActorPool",),
    "iris.actor.resolver": ("Endpoint", "FixedResolver", "Registration", "Registry", "Resolver"),
    "iris.actor.server": ("ActorServer", "CannotServe"),
    "iris.pickling": ("NotPicklable",),
}
"""Where each name is; imported when it is first asked for: not who needs one module needs all."""

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


def __getattr__(name: str) -> object:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
