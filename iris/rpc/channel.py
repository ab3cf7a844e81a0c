"""The client's end of the wire, for programs that wait: one call after the other, errors in Iris's words.

Workers and the controller live in an event loop and use `iris.rpc.aio`.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import grpc
from google.protobuf.message import Message

from iris.rpc.addresses import Address
from iris.rpc.errors import BadToken, RemoteError, remote_error
from iris.rpc.methods import MAX_MESSAGE_BYTES, Method

_Q = TypeVar("_Q", bound=Message)
_A = TypeVar("_A", bound=Message)
_R = TypeVar("_R")

OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.enable_http_proxy", 0),
)
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 2.0
_LOOK_S: Final = 1.0
_NOBODY: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)

_log = logging.getLogger(__name__)


def spread(pause_s: float) -> float:
    """A pause before a call is repeated, shorter by up to a half: what failed together shall not come back together."""
    return pause_s * random.uniform(0.5, 1.0)


class Channel:
    """A connection to one controller; safe to use from several threads."""

    def __init__(self, address: Address, *, token: str = "", authority: Path | None = None) -> None:
        """Nothing is sent yet.

        Args:
            address: where the controller listens.
            token: shown with every call; empty for none.
            authority: the certificate that signed the controller's, if no public authority did.

        Raises:
            BadToken: no header can hold it.
            OSError: the certificate cannot be read.
        """
        if not (token.isascii() and token.isprintable()):
            raise BadToken
        self.address = address
        self._authority = authority
        self.reached = False
        """Whether a controller has ever answered here."""
        self._away = False
        self._closed = False
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        if address.tls:
            roots = authority.read_bytes() if authority is not None else None
            credentials = grpc.ssl_channel_credentials(root_certificates=roots)
            self._channel = grpc.secure_channel(address.target, credentials, options=OPTIONS)
        else:
            self._channel = grpc.insecure_channel(address.target, options=OPTIONS)

    def close(self) -> None:
        """End the connection; whatever is asked later is refused."""
        self._closed = True
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
            deadline_s: for one attempt, if the method's own is too long.

        Raises:
            RemoteError: it was refused, or nobody answered.
        """
        stub = self._channel.unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.answer.FromString,
        )
        limit = method.deadline_s if deadline_s is None else min(deadline_s, method.deadline_s)
        give_up = time.monotonic() + patience_s
        pause = _FIRST_PAUSE_S
        while True:
            try:
                answer: _A = stub(request, timeout=limit, metadata=self._metadata)
            except grpc.RpcError as error:
                failure = self._failure(error)
                left = give_up - time.monotonic()
                if left <= 0 or not (method.repeatable and self.may_try_again(failure)):
                    raise failure from error
                time.sleep(min(spread(pause), left))
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            except ValueError as error:  # So gRPC says that the channel is closed.
                if not self._closed:
                    raise
                said = f"the connection to {self.address.url} was closed here"
                raise RemoteError(grpc.StatusCode.CANCELLED, said) from error
            else:
                self._answered()
                return answer

    def may_try_again(self, failure: RemoteError) -> bool:
        """Whether the same call may go through later; the first time that nobody answers is told.

        A controller that has never answered is not waited for: its address may be wrong.
        """
        if not (failure.is_passing and self.reached):
            return False
        if not self._away:
            self._away = True
            _log.warning("%s; trying again until it answers", failure)
        return True

    def _failure(self, error: grpc.RpcError) -> RemoteError:
        failure = remote_error(error, self.address.url)
        if failure.code not in _NOBODY:
            self._answered()
        elif not self.reached:
            return self._never_reached(failure)
        return failure

    def _never_reached(self, failure: RemoteError) -> RemoteError:
        """The same failure, with what TLS has to do with it, if it has."""
        from iris.rpc.certificates import Refusal, speaks_tls, trouble

        if self.address.tls:
            found = trouble(self.address, self._authority)
        elif speaks_tls(self.address):
            found = Refusal("it speaks TLS", "write https:// instead of http://")
        else:
            return failure
        if found is None:
            return failure
        return RemoteError(failure.code, f"{self.address.url}: {found.said}", found.help)

    def _answered(self) -> None:
        self.reached = True
        if self._away:
            self._away = False
            _log.warning("the controller at %s answers again", self.address.url)

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
            raise self._failure(error) from error
        self._answered()
        return answer

    def stream(self, method: Method[_Q, _A], request: _Q) -> Iterator[_A]:
        """The messages that answer a request, as they come; whoever stops reading ends the call.

        Raises:
            RemoteError: it was refused, broke off, or nothing came for the method's deadline.
        """
        stub = self._channel.unary_stream(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.answer.FromString,
        )
        call = stub(request, metadata=self._metadata)
        watch = _Watch(call.cancel, method.deadline_s)
        try:
            while (answer := watch.during(lambda: next(call, None))) is not None:
                self._answered()
                yield answer
        except grpc.RpcError as error:
            if watch.was_silent:
                said = (
                    f"the controller at {self.address.url} said nothing for {method.deadline_s:g} s"
                )
                raise RemoteError(grpc.StatusCode.DEADLINE_EXCEEDED, said) from error
            raise self._failure(error) from error
        finally:
            watch.end()
            call.cancel()

    def converse(self, method: Method[_Q, _A], requests: Iterator[_Q]) -> Iterator[_A]:
        """What the other side sends, while `requests` are sent as they come, by a thread of the call's own.

        Raises:
            RemoteError: it was refused, or broke off.
        """
        stub = self._channel.stream_stream(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.answer.FromString,
        )
        call = stub(requests, timeout=method.deadline_s, metadata=self._metadata)
        try:
            yield from call
        except grpc.RpcError as error:
            raise self._failure(error) from error
        finally:
            call.cancel()


class _Watch:
    """Cancels a stream on which nothing comes, while somebody waits for it to come: a line may have gone deaf."""

    def __init__(self, cancel: Callable[[], object], limit_s: float) -> None:
        self._cancel = cancel
        self._limit_s = limit_s
        self._since: float | None = None  # None: nobody waits
        self._over = threading.Event()
        self.was_silent = False
        threading.Thread(target=self._look, daemon=True).start()

    def during(self, wait: Callable[[], _R]) -> _R:
        """What is waited for."""
        self._since = time.monotonic()
        try:
            return wait()
        finally:
            self._since = None

    def end(self) -> None:
        """The stream is over."""
        self._over.set()

    def _look(self) -> None:
        while not self._over.wait(_LOOK_S):
            since = self._since
            if since is not None and time.monotonic() - since > self._limit_s:
                self.was_silent = True
                self._cancel()
                return


__all__ = ["OPTIONS", "Channel", "RemoteError"]
