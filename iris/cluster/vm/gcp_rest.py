"""Compute Engine over REST: each call in a thread of ours and with a deadline, each failure a `CloudError`.

The library that the credentials come with blocks, so the loop never calls it.
"""

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import requests
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession
from google.oauth2 import service_account

from iris import __version__
from iris.cluster.vm.gcp_calls import Ask
from iris.cluster.vm.gcp_endpoints import Endpoints, default_credentials
from iris.cluster.vm.gcp_errors import CloudError, Code

_HOST: Final = "compute.googleapis.com"
_THREADS: Final = 32
_BY_HTTP: Final[Mapping[int, Code]] = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    409: Code.ABORTED,
    429: Code.RESOURCE_EXHAUSTED,
    499: Code.CANCELLED,
    500: Code.INTERNAL,
    501: Code.UNIMPLEMENTED,
    502: Code.UNAVAILABLE,
    503: Code.UNAVAILABLE,
    504: Code.DEADLINE_EXCEEDED,
}
_BY_REASON: Final[Mapping[str, Code]] = {
    "alreadyExists": Code.ALREADY_EXISTS,
    "notFound": Code.NOT_FOUND,
    "rateLimitExceeded": Code.RESOURCE_EXHAUSTED,
    "quotaExceeded": Code.RESOURCE_EXHAUSTED,
}


class Rest:
    """Calls of one project's machines."""

    def __init__(self, endpoints: Endpoints, project: str) -> None:
        self._endpoints = endpoints
        self._base = f"{endpoints.compute.rstrip('/')}/compute/v1/projects/{project}"
        self._threads = ThreadPoolExecutor(_THREADS, "compute")
        self._session: AuthorizedSession | None = None
        self._making = threading.Lock()

    def ask(
        self, verb: str, path: str, body: object = None, **query: str | int
    ) -> Ask[dict[str, Any]]:
        """A call, still to be made: `GET` of a path below the project, and so on."""

        async def call(patience_s: float) -> dict[str, Any]:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(
                self._threads, self._call, verb, path, body, query, patience_s
            )

        return call

    def close(self) -> None:
        """Make no more calls; those under way end by their deadlines."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._session is not None:
            self._session.close()

    def _call(
        self, verb: str, path: str, body: object, query: Mapping[str, str | int], patience_s: float
    ) -> dict[str, Any]:
        try:
            answer = self._connected().request(
                verb,
                f"{self._base}/{path}",
                json=body,
                params=query,
                timeout=patience_s,
                max_allowed_time=patience_s,
            )
            said = answer.json()
        except requests.Timeout as error:
            raise CloudError(Code.DEADLINE_EXCEEDED, str(error)) from error
        except requests.RequestException as error:
            raise CloudError(Code.UNAVAILABLE, str(error)) from error
        except GoogleAuthError as error:
            raise CloudError(Code.UNAUTHENTICATED, str(error)) from error
        if answer.ok and isinstance(said, dict):
            return said
        raise refusal(answer.status_code, said)

    def _connected(self) -> AuthorizedSession:
        with self._making:
            if self._session is None:
                self._session = AuthorizedSession(self._credentials(), default_host=_HOST)
                self._session.headers["User-Agent"] = f"iris/{__version__}"
            return self._session

    def _credentials(self) -> Credentials:
        if self._endpoints.channel is not None:
            return AnonymousCredentials()
        found = default_credentials()
        if isinstance(found, service_account.Credentials):
            # It signs for itself, as the client of the TPUs has it do.
            signing: Credentials = found.with_always_use_jwt_access(always_use_jwt_access=True)
            return signing
        return found


def refusal(status: int, said: object) -> CloudError:
    """What the body of a refused call says; the reason, where there is one, is finer than the status."""
    error = said.get("error", {}) if isinstance(said, dict) else {}
    if not isinstance(error, dict):
        return CloudError(_BY_HTTP.get(status, Code.UNKNOWN), str(said))
    reasons = [str(it.get("reason", "")) for it in error.get("errors", ())]
    reasons += [str(it["reason"]) for it in error.get("details", ()) if "reason" in it]
    code = _BY_HTTP.get(status, Code.UNKNOWN)
    named = str(error.get("status", ""))
    if named in Code.__members__:
        code = Code[named]
    code = next((_BY_REASON[reason] for reason in reasons if reason in _BY_REASON), code)
    return CloudError(code, str(error.get("message", said)), tuple(filter(None, reasons)))


def error_of(operation: Mapping[str, Any]) -> CloudError | None:
    """What an operation that is done says against itself; nothing when it went well."""
    errors = operation.get("error", {}).get("errors", ())
    if not errors:
        return None
    words = "; ".join(f"{it.get('code')}: {it.get('message', '')}" for it in errors)
    code = _BY_HTTP.get(operation.get("httpErrorStatusCode", 500), Code.UNKNOWN)
    return CloudError(code, words)
