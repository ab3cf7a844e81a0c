"""The client's end of the wire inside an event loop: what the worker uses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar, cast

import grpc
import grpc.aio
from google.protobuf.message import Message

from iris.rpc.addresses import Address
from iris.rpc.channel import OPTIONS
from iris.rpc.errors import RemoteError, remote_error
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

    def converse(self, method: Method[_Q, _A]) -> "Conversation[_Q, _A]":
        """Begin a call in which both sides send as they like."""
        stub = self._channel.stream_stream(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.answer.FromString,
        )
        call = stub(timeout=method.deadline_s, metadata=self._metadata)
        return Conversation(cast("grpc.aio.StreamStreamCall[_Q, _A]", call), self.address.url)


class Conversation(Generic[_Q, _A]):
    """A call under way, in which both sides send."""

    def __init__(self, call: "grpc.aio.StreamStreamCall[_Q, _A]", url: str) -> None:
        self._call = call
        self._url = url
        self.ended = asyncio.Event()
        """Set when the call is over, whoever ended it."""
        call.add_done_callback(lambda _call: self.ended.set())
        self._sending = asyncio.Lock()

    async def send(self, message: _Q) -> None:
        """Send one message, when the other side has room for it.

        Raises:
            RemoteError: the call is over.
        """
        try:
            async with self._sending:
                await self._call.write(message)
        except (grpc.RpcError, asyncio.InvalidStateError) as error:
            raise await self._failure() from error

    async def receive(self) -> _A | None:
        """The next message of the other side; nothing when it has sent its last.

        Raises:
            RemoteError: it was refused, or broke off.
        """
        try:
            message = await self._call.read()
        except grpc.RpcError as error:
            raise remote_error(error, self._url) from error
        return None if message is grpc.aio.EOF else cast("_A", message)

    async def finish(self) -> None:
        """Send no more."""
        with suppress(grpc.RpcError, asyncio.InvalidStateError):
            async with self._sending:
                await self._call.done_writing()

    def cancel(self) -> None:
        """End the call."""
        self._call.cancel()

    async def _failure(self) -> RemoteError:
        code, details = await self._call.code(), await self._call.details()
        return RemoteError(code, f"{self._url}: {details}")
