"""gRPC's standard services: health for whoever probes, reflection for tools that ask what there is.

They come with the extra `server`; without it a controller serves its own calls and nothing else.
Where calls need a token, these do, too.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import grpc
import grpc.aio

from iris.cluster.controller.auth import Doorkeeper, NotSignedIn
from iris.rpc import iris_pb2 as pb

OWN: Final = "/iris.v1."
"""Calls below this are checked one by one, by the kinds of caller that each is for."""

if TYPE_CHECKING:
    _Handler: TypeAlias = grpc.RpcMethodHandler[Any, Any]


class OnlyKnownCallers(grpc.aio.ServerInterceptor):
    """Lets nobody without a token see even the standard services."""

    def __init__(self, door: Doorkeeper) -> None:
        """Known is whom this door knows."""
        self._door = door

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable["_Handler | None"]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "_Handler | None":
        """The handler of a call, or one that refuses."""
        if not handler_call_details.method.startswith(OWN):
            try:
                self._door.caller(token_of(handler_call_details.invocation_metadata))
            except NotSignedIn as error:
                return _refusing(str(error))
        return await continuation(handler_call_details)


def _refusing(why: str) -> "_Handler":
    async def refuse(_: Any, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, why)

    return grpc.unary_unary_rpc_method_handler(refuse)


def token_of(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    """The token that a call shows; empty when it shows none."""
    for key, value in metadata or ():
        if key == "authorization" and isinstance(value, str):
            return value.removeprefix("Bearer ")
    return ""


class Health:
    """What is answered to whoever asks for the health of the controller and its services."""

    def __init__(self, server: grpc.aio.Server) -> None:
        """Answer, if the extra `server` is installed; not yet healthy."""
        self._servicer: Any = None
        try:
            from grpc_health.v1 import health, health_pb2, health_pb2_grpc
            from grpc_reflection.v1alpha import reflection
        except ImportError:
            return
        own = [service.full_name for service in pb.DESCRIPTOR.services_by_name.values()]
        self._names = ["", *own]
        self._states = health_pb2.HealthCheckResponse
        self._servicer = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)
        names = [*own, health.SERVICE_NAME, reflection.SERVICE_NAME]
        reflection.enable_server_reflection(names, server)

    async def say(self, *, serving: bool) -> None:
        """From now on every service is serving, or none is."""
        if self._servicer is None:
            return
        state = self._states.SERVING if serving else self._states.NOT_SERVING
        for name in self._names:
            await self._servicer.set(name, state)
