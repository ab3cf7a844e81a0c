"""What machines ask the controller by HTTP: whether it lives, whether it is ready, and its numbers.

The server shares its event loop with the turns. Where that loop stands still nobody is answered at
all, which a prober takes for no; where it runs and turns are not taken, the answer itself is no.
"""

from collections.abc import Sequence
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from iris.cluster.controller.metrics import CONTENT_TYPE, Metrics
from iris.cluster.controller.pulse import Pulse
from iris.cluster.controller.turns import TurnLoop
from iris.dashboard.sessions import Sessions
from iris.dashboard.subject import Door, Refusal


class Probes:
    """The addresses of one controller."""

    def __init__(self, loop: TurnLoop, door: Door, pulse: Pulse) -> None:
        """Probes of a loop.

        Args:
            loop: whose numbers are asked.
            door: who knows the tokens that numbers are told to.
            pulse: how it goes.
        """
        self._pulse = pulse
        self._metrics = Metrics(loop)
        self._door = door
        self._sessions = Sessions(door)

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
        return _answer(self._pulse.not_alive())

    async def ready(self, _: Request) -> Response:
        """Whether what it is asked for is done now."""
        return _answer(self._pulse.not_ready())

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
