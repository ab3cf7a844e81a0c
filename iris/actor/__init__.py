"""Actors: objects that serve calls from other tasks. A server, a client, a pool of servers, and how they are found."""

from iris.actor.resolver import Endpoint, FixedResolver, Registration, Registry, Resolver

__all__ = ["Endpoint", "FixedResolver", "Registration", "Registry", "Resolver"]
