"""Many servers of one actor as one: calls are spread over them as they come and go."""

import itertools
from collections.abc import Sequence
from typing import Final

from iris.actor.client import PATIENCE_S, Calls, Face, Hold, resolver_here
from iris.actor.errors import ActorUnavailable
from iris.actor.line import Line
from iris.actor.resolver import Endpoint, Resolver
from iris.actor.router import Choice, Router
from iris.problems import one_of


def _round_robin() -> Choice:
    numbers = itertools.count()
    return lambda lines: lines[next(numbers) % len(lines)]


def _least_loaded() -> Choice:
    numbers = itertools.count()

    def choice(lines: Sequence[Line]) -> Line:
        start = next(numbers) % len(lines)
        return min((*lines[start:], *lines[:start]), key=lambda line: len(line.open))

    return choice


_POLICIES: Final = {"round_robin": _round_robin, "least_loaded": _least_loaded}


class ActorPool(Face):
    """Calls an actor at all of its servers, which are found as they come and forgotten as they go.

    `pool.method(x)`, `.submit` and `.stream` go to one server each, `.broadcast` to all that are there.
    """

    def __init__(  # noqa: PLR0913
        self,
        name: str,
        resolver: Resolver | None = None,
        *,
        policy: str = "round_robin",
        timeout: float | None = None,
        retries: int = 0,
        patience: float = PATIENCE_S,
    ) -> None:
        """Begins to look for servers.

        Args:
            name: of the actor.
            resolver: knows where it is served; if not given, that of the task that this process runs.
            policy: `round_robin`, or `least_loaded`: whoever has the fewest calls of this pool.
            timeout: seconds that a call may take, its waiting included; none: for ever.
            retries: how often a call is made again, elsewhere, that was lost with its server. Only for what
                may run twice.
            patience: seconds that a call waits for somebody who serves.

        Raises:
            ValueError: there is no such policy; timeout or retries cannot be.
            RuntimeError: there is no resolver, and this process runs no task.
        """
        if policy not in _POLICIES:
            raise ValueError(f"policy {policy!r}: {one_of(policy, list(_POLICIES))}")
        if resolver is None:
            resolver = resolver_here()
        router = Router(name, resolver, _POLICIES[policy](), patience_s=patience, of_all=True)
        calls = Calls(router, Hold(router), timeout, retries)
        super().__init__(calls, resolver, {"policy": policy, "patience": patience})

    def endpoints(self) -> list[Endpoint]:
        """The servers that take calls now."""
        return [line.endpoint for line in self._calls.router.lines]

    def wait_for(self, count: int = 1, timeout: float | None = None) -> None:
        """Wait until so many servers take calls.

        Raises:
            ActorUnavailable: the time, in seconds, was over before.
        """
        router = self._calls.router
        with router.changed:
            if not router.changed.wait_for(lambda: len(router.lines) >= count, timeout):
                raise ActorUnavailable(
                    f"{len(router.lines)} servers of {router.name!r} after {timeout:.3g} s,"
                    f" and {count} were waited for"
                )
