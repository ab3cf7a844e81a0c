"""The client's end of the wire inside an event loop: what the worker uses."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from iris.rpc.addresses import Address
from iris.rpc.channel import OPTIONS
from iris.rpc.errors import remote_error
from iris.rpc.methods import Method

_Q = TypeVar("_Q", bound=Message)
_A = TypeVar("_A", bound=Message)


class AioChannel:
    """A connection to one controller, for one event loop."""

    def __init__(self, address: Address, *, token: str = "", authority: Path | None = None) -> None:
        """Nothing is sent yet; the arguments are those of `iris.rpc.channel.Channel`."""
        self.address = address
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        if address.tls:
            roots = authority.read_bytes() if authority is not None else None
            credentials = grpc.ssl_channel_credentials(root_certificates=roots)
            self._channel = grpc.aio.secure_channel(address.target, credentials, options=OPTIONS)
        else:
            self._channel = grpc.aio.insecure_channel(address.target, options=OPTIONS)

    async def close(self) -> None:
        """End the connection."""
        await self._channel.close()

    async def call(self, method: Method[_Q, _A], request: _Q) -> _A:
        """The answer to one request.

        Raises:
            RemoteError: it was refused, or nobody answered.
        """
        stub = self._channel.unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.answer.FromString,
        )
        try:
            answer: _A = await stub(request, timeout=method.deadline_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise remote_error(error, self.address.url) from error
        return answer

    async def send(self, method: Method[_Q, _A], requests: AsyncIterator[_Q]) -> _A:
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
            answer: _A = await stub(requests, timeout=method.deadline_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise remote_error(error, self.address.url) from error
        return answer

    async def stream(self, method: Method[_Q, _A], request: _Q) -> AsyncIterator[_A]:
        """The messages that answer a request, as they come.

        Raises:
            RemoteError: it was refused, or broke off.
        """
        stub = self._channel.unary_stream(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.answer.FromString,
        )
        try:
            async for answer in stub(request, timeout=method.deadline_s, metadata=self._metadata):
                yield answer
        except grpc.RpcError as error:
            raise remote_error(error, self.address.url) from error
