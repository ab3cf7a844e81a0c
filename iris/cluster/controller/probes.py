"""What machines ask the controller by HTTP: whether it lives, whether it is ready, and its numbers.

The server shares its event loop with the turns. Where that loop stands still nobody is answered at
all, which a prober takes for no; where it runs and turns are not taken, the answer itself is no.
"""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from iris.cluster.controller.metrics import CONTENT_TYPE, Metrics
from iris.cluster.controller.turns import TurnLoop
from iris.dashboard.sessions import Sessions
from iris.dashboard.subject import Door, Refusal

READY_WITHIN_S: Final = 5.0
"""A loop that wakes by itself every second and has not for so long is not ready."""
ALIVE_WITHIN_S: Final = 60.0
"""And dead after so long: nothing but a restart helps."""


class Probes:
    """The addresses of one controller."""

    def __init__(self, loop: TurnLoop, door: Door, trouble: Callable[[], str]) -> None:
        """Probes of a loop.

        Args:
            loop: whose age and numbers are asked.
            door: who knows the tokens that numbers are told to.
            trouble: what else keeps the controller from being ready; empty when nothing does.
        """
        self._loop = loop
        self._metrics = Metrics(loop)
        self._door = door
        self._sessions = Sessions(door)
        self._trouble = trouble

    @property
    def routes(self) -> Sequence[Route]:
        """For the HTTP server."""
        return [
            Route("/healthz", self.health, methods=["GET"]),
            Route("/readyz", self.ready, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
        ]

    async def health(self, _: Request) -> Response:
        """Whether the controller should be left alone."""
        return _answer(self._stands_still(ALIVE_WITHIN_S))

    async def ready(self, _: Request) -> Response:
        """Whether what it is asked for is done now."""
        return _answer(self._stands_still(READY_WITHIN_S) or self._trouble())

    def _stands_still(self, within_s: float) -> str:
        age = self._loop.age_s()
        return f"no look for work since {age:.1f} s" if age > within_s else ""

    async def metrics(self, request: Request) -> Response:
        """All numbers, to whoever may see them."""
        try:
            self._sessions.check_host(request)
        except Refusal as error:
            return _plain(f"{error}\n", error.status)
        if not self._door.is_open:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            try:
                self._door.viewer(token if scheme.lower() == "bearer" else "")
            except Refusal as error:
                headers = {"www-authenticate": "Bearer"}
                return _plain(f"{error}\n", error.status, headers)
        text = await self._metrics.text()
        return Response(text, headers={"content-type": CONTENT_TYPE, "cache-control": "no-store"})


def _answer(trouble: str) -> Response:
    if trouble:
        return _plain(f"not ready: {trouble}\n", HTTPStatus.SERVICE_UNAVAILABLE)
    return _plain("ok\n", HTTPStatus.OK)


def _plain(text: str, status: HTTPStatus, headers: dict[str, str] | None = None) -> Response:
    more = {**(headers or {}), "cache-control": "no-store"}
    return Response(text, status, headers=more, media_type="text/plain")
