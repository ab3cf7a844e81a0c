"""The genuine client of the Cloud TPU API, in this loop: each call with a deadline, each failure a `CloudError`."""

import asyncio
from typing import Any, Final

from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError
from google.api_core.gapic_v1.client_info import ClientInfo
from google.auth.exceptions import GoogleAuthError
from google.cloud import tpu_v2
from google.cloud.tpu_v2.services.tpu.transports import TpuGrpcAsyncIOTransport
from google.longrunning import operations_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from iris import __version__
from iris.cluster.vm.gcp_calls import Ask
from iris.cluster.vm.gcp_endpoints import Endpoints, default_credentials
from iris.cluster.vm.gcp_errors import CloudError, Code
from iris.cluster.vm.gcp_operations import Outcome

_NAMED: Final = (error_details_pb2.QuotaFailure, error_details_pb2.ErrorInfo)


class TpuClient:
    """Calls, as whoever the application default credentials say that we are."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._client: tpu_v2.TpuAsyncClient | None = None
        self._making = asyncio.Lock()

    def ask(self, method: str, request: Any) -> Ask[Any]:
        """A call of a method of the client, still to be made."""

        async def call(patience_s: float) -> Any:
            try:
                client = await self._connected()
                return await getattr(client, method)(
                    request=request, timeout=patience_s, retry=None
                )
            except GoogleAPICallError as error:
                raise _told(error) from error
            except (GoogleAPIError, GoogleAuthError) as error:
                raise CloudError(Code.UNAUTHENTICATED, str(error)) from error

        return call

    def operation(self, name: str) -> Ask[Outcome | None]:
        """A question how an operation stands."""
        ask = self.ask("get_operation", operations_pb2.GetOperationRequest(name=name))

        async def call(patience_s: float) -> Outcome | None:
            found = await ask(patience_s)
            if not found.done:
                return None
            return Outcome(error_of(found.error) if found.HasField("error") else None)

        return call

    async def close(self) -> None:
        """Hang up."""
        if self._client is not None:
            await self._client.transport.close()

    async def _connected(self) -> tpu_v2.TpuAsyncClient:
        async with self._making:
            if self._client is None:
                self._client = await self._connect()
            return self._client

    async def _connect(self) -> tpu_v2.TpuAsyncClient:
        endpoint, info = self._endpoints.tpu, ClientInfo(user_agent=f"iris/{__version__}")
        if self._endpoints.channel is not None:
            channel = self._endpoints.channel(endpoint)
            transport = TpuGrpcAsyncIOTransport(host=endpoint, channel=channel)
            return tpu_v2.TpuAsyncClient(transport=transport, client_info=info)
        credentials = await asyncio.to_thread(default_credentials)
        options = ClientOptions(api_endpoint=endpoint)
        return tpu_v2.TpuAsyncClient(
            credentials=credentials, client_options=options, client_info=info
        )


def error_of(status: status_pb2.Status) -> CloudError:
    """What an operation's error says."""
    details = []
    for packed in status.details:
        for kind in _NAMED:
            message = kind()
            if packed.Unpack(message):
                details.append(message)
    return CloudError(_code(code_pb2.Code.Name(status.code)), status.message, _texts(details))


def _told(error: GoogleAPICallError) -> CloudError:
    code = error.grpc_status_code
    return CloudError(
        _code(code.name if code is not None else ""), error.message or "", _texts(error.details)
    )


def _code(name: str) -> Code:
    return Code[name] if name in Code.__members__ else Code.UNKNOWN


def _texts(details: list[Message]) -> tuple[str, ...]:
    """What rich details say that the text does not."""
    found: list[str] = []
    for detail in details:
        if isinstance(detail, error_details_pb2.QuotaFailure):
            found += [violation.description for violation in detail.violations]
        elif isinstance(detail, error_details_pb2.ErrorInfo):
            found.append(detail.reason)
    return tuple(found)
