"""The gRPC front of the fake: the service Tpu in both versions, Operations and Locations."""

from collections.abc import Callable, Mapping
from concurrent import futures
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import status_pb2

from tests.gcp.fake_calls import Call, Handler
from tests.gcp.fake_errors import ApiError, HangUp
from tests.gcp.fake_messages import ANSWERS, VERSIONS, messages_of, read, written

UNLIMITED: Final = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
]
"""Options of a channel, or of a server, that takes messages of any size."""

_OPERATIONS: Final = (
    "GetOperation",
    "ListOperations",
    "CancelOperation",
    "DeleteOperation",
    "WaitOperation",
)
_LOCATIONS: Final = ("ListLocations", "GetLocation")


class GrpcFront:
    """A gRPC server of its own port; over TLS if it is given a certificate."""

    def __init__(self, handle: Handler, tls: tuple[Path, Path] | None = None) -> None:
        self._handle = handle
        # Calls that hang, or wait for an operation, keep a thread each.
        self._threads = futures.ThreadPoolExecutor(64)
        self._server = grpc.server(self._threads, options=UNLIMITED)
        services = {
            f"google.cloud.tpu.{version}.Tpu": (version, list(ANSWERS)) for version in VERSIONS
        }
        services["google.longrunning.Operations"] = ("v2", list(_OPERATIONS))
        services["google.cloud.location.Locations"] = ("v2", list(_LOCATIONS))
        for service, (version, methods) in services.items():
            handlers = {
                method: self._unary(method, version)
                for method in methods
                if _is_known(method, version)
            }
            self._server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(service, handlers),)
            )
        if tls is None:
            port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            pair = (tls[1].read_bytes(), tls[0].read_bytes())
            credentials = grpc.ssl_server_credentials([pair])
            port = self._server.add_secure_port("127.0.0.1:0", credentials)
        host = "127.0.0.1" if tls is None else "localhost"
        self.address = f"{host}:{port}"
        self._server.start()

    def close(self) -> None:
        """End all calls."""
        self._server.stop(None).wait()
        self._threads.shutdown()

    def _unary(self, method: str, version: str) -> "grpc.RpcMethodHandler[Any, Any]":
        request, answer = messages_of(method, version)
        return grpc.unary_unary_rpc_method_handler(
            self._handler(method, version, answer),
            request_deserializer=request.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )

    def _handler(
        self, method: str, version: str, kind: type[Message]
    ) -> Callable[[Message, grpc.ServicerContext], Message]:
        def handler(request: Message, context: grpc.ServicerContext) -> Message:
            headers = {key.lower(): _text(value) for key, value in context.invocation_metadata()}
            call = Call("tpu", method, version, read(request), "grpc", headers, context.is_active)
            try:
                return written(self._handle(call), kind)
            except ApiError as error:
                _abort(context, error)
            except HangUp:
                context.abort(grpc.StatusCode.UNAVAILABLE, "recvmsg:Connection reset by peer")
            raise AssertionError

        return handler


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _is_known(method: str, version: str) -> bool:
    module: Mapping[str, object] = vars(VERSIONS[version])
    return f"{method}Request" in module or method in (*_OPERATIONS, *_LOCATIONS)


def _abort(context: grpc.ServicerContext, error: ApiError) -> None:
    status = json_format.ParseDict(error.status(), status_pb2.Status())
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(error.code, error.message)
