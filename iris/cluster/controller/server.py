"""The gRPC server: every method of the table, with its caller checked and its errors told in full sentences."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final, TypeAlias

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from iris.cluster.controller.auth import Caller, Doorkeeper, NotPermitted, NotSignedIn
from iris.cluster.controller.counts import Counts
from iris.cluster.controller.handlers import Refused
from iris.cluster.controller.objects import StoreUnavailable
from iris.cluster.controller.pulse import Pulse
from iris.cluster.controller.standard import Health, OnlyKnownCallers, token_of
from iris.cluster.tls_files import read_pair
from iris.config import Tls
from iris.rpc.codec import Malformed
from iris.rpc.methods import LONG_POLLS, MAX_MESSAGE_BYTES, METHODS, Method, Stream

_log = logging.getLogger(__name__)

_PULSE_S: Final = 1.0

Handler: TypeAlias = Callable[[Any, Caller], Awaitable[Any]]
StreamHandler: TypeAlias = Callable[[Any, Caller], AsyncGenerator[Any, None]]
_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
    # After a restart all workers of a large fleet call at once; by default one in many is turned away.
    ("grpc.server.max_pending_requests", 50_000),
    ("grpc.server.max_pending_requests_hard_limit", 100_000),
)


class AddressInUse(Exception):
    """The port is taken, or may not be used."""


class Server:
    """A listening server."""

    def __init__(self, handlers: Mapping[str, object], door: Doorkeeper, counts: Counts) -> None:
        """A server that does not listen yet.

        Args:
            handlers: by service, an object with a method for each call, in snake_case.
            door: who knows the callers.
            counts: where calls are counted.
        """
        self._door = door
        self._counts = counts
        self._server = grpc.aio.server(options=OPTIONS, interceptors=(OnlyKnownCallers(door),))
        for service in dict.fromkeys(method.service for method in METHODS):
            table = {
                method.name: self._handler(method, getattr(handlers[service], _snake(method.name)))
                for method in METHODS
                if method.service == service
            }
            generic = grpc.method_handlers_generic_handler(f"iris.v1.{service}", table)
            self._server.add_generic_rpc_handlers((generic,))
        self._health = Health(self._server)

    async def listen(self, host: str, port: int, tls: Tls | None) -> int:
        """Listen, and return the port.

        Raises:
            AddressInUse: somebody else listens there.
            NoPair: a certificate or its key cannot be read, or they are no pair.
        """
        address = f"{host}:{port}"
        credentials = None if tls is None else grpc.ssl_server_credentials([read_pair(tls)])
        try:
            if credentials is None:
                bound = self._server.add_insecure_port(address)
            else:
                bound = self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise AddressInUse(f"cannot listen on {address}: it is in use, or not ours") from error
        await self._server.start()
        await self._health.say(serving=True)
        return int(bound)

    async def watch_health(self, pulse: Pulse) -> None:
        """Tell those who ask for its health how it goes, for ever."""
        while True:
            await self._health.say(serving=not pulse.not_ready())
            await asyncio.sleep(_PULSE_S)

    async def stop(self, grace_s: float) -> None:
        """Take no new calls, and end those under way after a while."""
        await self._health.say(serving=False)
        await self._server.stop(grace_s)

    # ---- one call ------------------------------------------------------------------------------

    def _handler(self, method: Method[Any, Any], handle: Any) -> "grpc.RpcMethodHandler[Any, Any]":
        # Requests are parsed by the call itself: gRPC would log a traceback for bytes that are none.
        words = {"response_serializer": method.answer.SerializeToString}
        if method.stream is Stream.BOTH:
            return grpc.stream_stream_rpc_method_handler(self._streaming(method, handle), **words)
        if method.stream is Stream.ANSWER:
            return grpc.unary_stream_rpc_method_handler(self._streaming(method, handle), **words)
        if method.stream is Stream.REQUEST:
            return grpc.stream_unary_rpc_method_handler(self._unary(method, handle), **words)
        return grpc.unary_unary_rpc_method_handler(self._unary(method, handle), **words)

    def _unary(self, method: Method[Any, Any], handle: Handler) -> Any:
        several = method.stream is Stream.REQUEST
        timed = not several and method.name not in LONG_POLLS

        async def call(raw: Any, context: _Context) -> Any:
            with self._counts.call(method.name, context, timed=timed):
                try:
                    caller = self._caller(method, context)
                    request = _parsed_all(method, raw) if several else _parsed(method, raw)
                    return await handle(request, caller)
                except Exception as error:  # noqa: BLE001
                    await _abort(method, error, context)

        return call

    def _streaming(self, method: Method[Any, Any], handle: StreamHandler) -> Any:
        several = method.stream is Stream.BOTH

        async def call(raw: Any, context: _Context) -> AsyncIterator[Any]:
            with self._counts.call(method.name, context, timed=False):
                try:
                    caller = self._caller(method, context)
                    request = _parsed_all(method, raw) if several else _parsed(method, raw)
                    async with aclosing(handle(request, caller)) as answers:
                        async for answer in answers:
                            yield answer
                except Exception as error:  # noqa: BLE001
                    await _abort(method, error, context)

        return call

    def _caller(self, method: Method[Any, Any], context: _Context) -> Caller:
        caller = self._door.caller(token_of(context.invocation_metadata()))
        self._door.check_kind(method, caller)
        return caller


def _parsed(method: Method[Any, Any], raw: bytes) -> Any:
    try:
        return method.request.FromString(raw)
    except DecodeError as error:
        message = f"{method.name}: {len(raw)} bytes that are no {method.request.DESCRIPTOR.name}"
        raise Malformed(f"{message}; is the client of another version?") from error


async def _parsed_all(method: Method[Any, Any], raw: AsyncIterator[bytes]) -> AsyncIterator[Any]:
    async for content in raw:
        yield _parsed(method, content)


async def _abort(method: Method[Any, Any], error: Exception, context: _Context) -> None:
    """End a call with what its error means; what nobody expected is logged, and not told."""
    match error:
        case Refused():
            await context.abort(error.code, str(error))
        case Malformed():
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        case StoreUnavailable():
            await context.abort(grpc.StatusCode.INTERNAL, str(error))
        case NotSignedIn():
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(error))
        case NotPermitted():
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
        case asyncio.CancelledError() | grpc.aio.AbortError():
            raise error
        case OSError() if error.strerror is not None:
            _log.error("%s: %s", method.name, error)
            message = f"the controller's disk: {error.strerror}: {error.filename}"
            await context.abort(grpc.StatusCode.INTERNAL, message)
        case _:
            _log.error("%s failed", method.name, exc_info=error)
            message = f"a bug in the controller: {type(error).__name__}; its log has more"
            await context.abort(grpc.StatusCode.INTERNAL, message)


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).strip("_")
