"""How Google Cloud says no: codes, texts and details as users have reported them (gcp.md, 2.5)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import grpc
from google.rpc import code_pb2

Json = dict[str, Any]

HTTP: Final[Mapping[grpc.StatusCode, int]] = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.UNAUTHENTICATED: 401,
}
"""The HTTP status that stands for each code."""

_RPC: Final = "type.googleapis.com/google.rpc."


class ApiError(Exception):
    """A call, or an operation, that ends with an error."""

    def __init__(self, code: grpc.StatusCode, message: str, details: Sequence[Json] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = list(details)

    @property
    def number(self) -> int:
        """The code as google.rpc.Code counts it."""
        return int(code_pb2.Code.Value(self.code.name))

    @property
    def http(self) -> int:
        """The HTTP status."""
        return HTTP[self.code]

    def status(self) -> Json:
        """As a google.rpc.Status."""
        found: Json = {"code": self.number, "message": self.message}
        return found | ({"details": self.details} if self.details else {})

    def body(self) -> Json:
        """As the body of an HTTP answer."""
        error: Json = {"code": self.http, "message": self.message, "status": self.code.name}
        return {"error": error | ({"details": self.details} if self.details else {})}


class HangUp(Exception):
    """The connection breaks: whoever called learns nothing."""


def stockout(zone: str, eid: str) -> ApiError:
    """No capacity; told in the operation."""
    text = (
        f'There is no more capacity in the zone "{zone}"; you can try in another zone where Cloud TPU '
        f"Nodes are offered (see https://cloud.google.com/tpu/docs/regions) [EID: {eid}]"
    )
    return ApiError(grpc.StatusCode.RESOURCE_EXHAUSTED, text)


def no_reserved_capacity(eid: str) -> ApiError:
    """The reservation is used up; told in the operation."""
    text = "Insufficient reserved capacity. Contact customer support to increase your reservation."
    return ApiError(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{text} [EID: {eid}]")


def quota(metric: str, limit: int, place: str, subject: str) -> ApiError:
    """Over quota; `place` is `zone Z` or `region R`; told in the call."""
    violation = {
        "subject": subject,
        "description": f"Quota '{metric}' exhausted. Limit {limit} in {place}",
    }
    text = f"Quota limit '{metric}' has been exceeded. Limit: {limit} in {place}."
    return ApiError(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        text,
        [{"@type": _RPC + "QuotaFailure", "violations": [violation]}],
    )


def too_often(method: str, limit: int, project: str) -> ApiError:
    """Over the rate of a minute; told in the call."""
    text = (
        f"Quota exceeded for quota metric '{method} requests' and limit 'Maximum number of {method} "
        f"requests per minute' of service 'tpu.googleapis.com' for consumer 'project_number:{project}'."
    )
    info = {
        "@type": _RPC + "ErrorInfo",
        "reason": "RATE_LIMIT_EXCEEDED",
        "domain": "googleapis.com",
        "metadata": {"service": "tpu.googleapis.com", "quota_limit_value": str(limit)},
    }
    return ApiError(grpc.StatusCode.RESOURCE_EXHAUSTED, text, [info])


def not_enabled(service: str) -> ApiError:
    """The project has never used this interface."""
    api = f"{service}.googleapis.com"
    text = f"{api} has not been used in project 1 before or it is disabled."
    info = {"@type": _RPC + "ErrorInfo", "reason": "SERVICE_DISABLED", "domain": "googleapis.com"}
    return ApiError(grpc.StatusCode.PERMISSION_DENIED, text, [info])


def _about(name: str) -> Json:
    return {"@type": _RPC + "ResourceInfo", "resourceName": name}


def not_found(name: str) -> ApiError:
    """There is no such thing."""
    text = f"Resource '{name}' was not found"
    return ApiError(grpc.StatusCode.NOT_FOUND, text, [_about(name)])


def exists(name: str) -> ApiError:
    """The name is taken."""
    text = f"Resource '{name}' already exists"
    return ApiError(grpc.StatusCode.ALREADY_EXISTS, text, [_about(name)])


def location_denied(project: str, zone: str) -> ApiError:
    """A zone that is not there, or not for you."""
    info = {
        "@type": _RPC + "ErrorInfo",
        "reason": "LOCATION_POLICY_VIOLATED",
        "domain": "googleapis.com",
        "metadata": {
            "consumer": f"projects/{project}",
            "location": zone,
            "service": "tpu.googleapis.com",
        },
    }
    text = f"Permission denied on 'locations/{zone}' (or it may not exist)."
    return ApiError(grpc.StatusCode.PERMISSION_DENIED, text, [info])


def permission(what: str, name: str) -> ApiError:
    """Credentials without the right."""
    text = f"Permission '{what}' denied on '{name}'"
    return ApiError(grpc.StatusCode.PERMISSION_DENIED, text)


def not_offered(kind: str, zone: str, eid: str) -> ApiError:
    """A type that the zone does not have, or nobody."""
    text = (
        "Cloud TPU received a bad request. The requested accelerator configuration for accelerator "
        f'type, "{kind}", could not be found in the zonal accelerator configurations for "{zone}".; '
        f"the accelerator {kind} was not found in zone {zone} [EID: {eid}]"
    )
    return ApiError(grpc.StatusCode.INVALID_ARGUMENT, text)


def zone_unsupported(zone: str, eid: str) -> ApiError:
    """A zone that has no TPUs at all."""
    text = f'Cloud TPU received a bad request. The requested zone "{zone}" is not supported. [EID: {eid}]'
    return ApiError(grpc.StatusCode.INVALID_ARGUMENT, text)


def catch_all(eid: str) -> ApiError:
    """What the service says when it has nothing to say."""
    text = (
        "Cloud TPU was unable to complete the operation. Please try again, or contact support if the "
        f"problem persists. [EID: {eid}]"
    )
    return ApiError(grpc.StatusCode.INVALID_ARGUMENT, text)


def preempted_meanwhile(eid: str) -> ApiError:
    """The slice was taken while it was being created; told in the operation."""
    text = "Cloud TPU received a bad request. update is not supported while in state PREEMPTED"
    return ApiError(grpc.StatusCode.INVALID_ARGUMENT, f"{text} [EID: {eid}]")


def internal() -> ApiError:
    """A create that broke, for no reason of its own; told in the operation."""
    return ApiError(grpc.StatusCode.INTERNAL, "an internal error has occurred")


def unavailable() -> ApiError:
    """The service is not there for a moment."""
    return ApiError(grpc.StatusCode.UNAVAILABLE, "Internal error. Please try again")


def busy() -> ApiError:
    """Another operation on the same thing is under way."""
    return ApiError(grpc.StatusCode.ABORTED, "unable to queue the operation")


def invalid(message: str) -> ApiError:
    """A request that can never be right; the text is ours, Google's is not known."""
    return ApiError(grpc.StatusCode.INVALID_ARGUMENT, message)


def precondition(message: str) -> ApiError:
    """Not in this state; the text is ours, Google's is not known."""
    return ApiError(grpc.StatusCode.FAILED_PRECONDITION, message)


def unauthenticated(why: str) -> ApiError:
    """Credentials that do not hold."""
    text = (
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or "
        f"other valid authentication credential ({why})."
    )
    return ApiError(grpc.StatusCode.UNAUTHENTICATED, text)
