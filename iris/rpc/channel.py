"""The client's end of the wire, for programs that wait: one call after the other, errors in Iris's words.

Workers and the controller live in an event loop and use `iris.rpc.aio`.
"""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import grpc
from google.protobuf.message import Message

from iris.rpc.addresses import Address
from iris.rpc.errors import RemoteError, remote_error
from iris.rpc.methods import MAX_MESSAGE_BYTES, Method

_Q = TypeVar("_Q", bound=Message)
_A = TypeVar("_A", bound=Message)

OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.enable_http_proxy", 0),
)
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 2.0


class Channel:
    """A connection to one controller; safe to use from several threads."""

    def __init__(self, address: Address, *, token: str = "", authority: Path | None = None) -> None:
        """Nothing is sent yet.

        Args:
            address: where the controller listens.
            token: shown with every call; empty for none.
            authority: the certificate that signed the controller's, if no public authority did.

        Raises:
            OSError: the certificate cannot be read.
        """
        self.address = address
        self._reached = False
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        if address.tls:
            roots = authority.read_bytes() if authority is not None else None
            credentials = grpc.ssl_channel_credentials(root_certificates=roots)
            self._channel = grpc.secure_channel(address.target, credentials, options=OPTIONS)
        else:
            self._channel = grpc.insecure_channel(address.target, options=OPTIONS)

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    def call(
        self,
        method: Method[_Q, _A],
        request: _Q,
        *,
        patience_s: float = 0.0,
        deadline_s: float | None = None,
    ) -> _A:
        """The answer to one request.

        Args:
            method: what to call.
            request: what to ask.
            patience_s: for so long, a call that may be repeated is repeated while nobody answers; a
                controller that has never answered here gets none, for its address may be wrong.
            deadline_s: of one try; the method's own if not given.

        Raises:
            RemoteError: it was refused, or nobody answered.
        """
        stub = self._channel.unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.answer.FromString,
        )
        span = method.deadline_s if deadline_s is None else deadline_s
        give_up = time.monotonic() + patience_s
        pause = _FIRST_PAUSE_S
        while True:
            try:
                answer: _A = stub(request, timeout=span, metadata=self._metadata)
            except grpc.RpcError as error:
                failure = remote_error(error, self.address.url)
                if failure.code is not grpc.StatusCode.UNAVAILABLE:
                    self._reached = True
                worth_it = failure.is_passing and method.repeatable and self._reached
                if not worth_it or time.monotonic() >= give_up:
                    raise failure from error
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            else:
                self._reached = True
                return answer

    def send(self, method: Method[_Q, _A], requests: Iterable[_Q]) -> _A:
        """The answer to a stream of requests.

        Raises:
            RemoteError: it was refused, or nobody answered.
        """
        stub = self._channel.stream_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.answer.FromString,
        )
        try:
            answer: _A = stub(iter(requests), timeout=method.deadline_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise remote_error(error, self.address.url) from error
        return answer

    def stream(self, method: Method[_Q, _A], request: _Q) -> Iterator[_A]:
        """The messages that answer a request, as they come; whoever stops reading ends the call.

        Raises:
            RemoteError: it was refused, or broke off.
        """
        stub = self._channel.unary_stream(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.answer.FromString,
        )
        call = stub(request, metadata=self._metadata)
        try:
            yield from call
        except grpc.RpcError as error:
            raise remote_error(error, self.address.url) from error
        finally:
            call.cancel()


__all__ = ["OPTIONS", "Channel", "RemoteError"]
